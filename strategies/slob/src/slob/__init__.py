"""The 5/1 SLOB setup: a range, two sweeps of one side of it, and the way back."""

from slob.strategy import Slob

__all__ = ["Slob"]
