"""The strategy host's pure core."""
