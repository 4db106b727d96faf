"""The feed of Interactive Brokers."""
