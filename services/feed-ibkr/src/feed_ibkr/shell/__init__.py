"""What touches the Gateway."""
