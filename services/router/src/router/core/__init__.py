"""What the router decides. Pure."""
