"""One sender per kind of broker."""
