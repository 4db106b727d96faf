"""Gotobi (五十日): long USDJPY into the Tokyo fixing on days that end in 5 or 0."""

from gotobi.strategy import Gotobi

__all__ = ["Gotobi"]
