"""Crossing of two moving averages: long while the fast one is above the slow one, short while below."""

from sma_cross.strategy import SmaCross

__all__ = ["SmaCross"]
