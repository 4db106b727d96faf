"""The replay feed's pure core."""
