"""What touches the terminal."""
