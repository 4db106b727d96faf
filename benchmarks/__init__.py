"""What `make bench` measures, and how. Nothing here is part of a running book."""
