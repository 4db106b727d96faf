"""What the terminal's rows mean: pure, synchronous."""
