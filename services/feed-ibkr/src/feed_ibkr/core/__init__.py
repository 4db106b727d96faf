"""What the Gateway's words mean: pure, synchronous."""
