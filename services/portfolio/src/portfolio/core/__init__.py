"""What the books say. Pure."""
