"""The seeded market: quotes of several symbols, the same ones from the same seed."""

from simulators.market.market import Market

__all__ = ["Market"]
