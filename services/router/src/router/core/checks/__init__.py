"""Pre-trade checks: each looks at one thing, says why an order must not go out, and is there only where it is configured."""
