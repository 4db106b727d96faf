"""Tokyo fixing on days that end in 5 or 0."""
