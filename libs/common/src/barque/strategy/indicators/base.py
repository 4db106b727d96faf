"""What all indicators share: they are structs, and they can be fed with bars.

In:   numbers.   Out: `value`.
Not:  a registry; a strategy declares the ones it uses with `self.indicator(...)`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from barque.messages import Bar

LOST_DIGITS = 1e-4
"""A moving sum that has fallen to less than this part of itself has lost so many digits to rounding that it is taken afresh."""


class Indicator(msgspec.Struct, array_like=True, tag=True):
    """Base of all indicators; a strategy declares them in `setup` with `self.indicator(...)`."""


class ScalarIndicator(Indicator):
    """Base of those that are fed one number at a time."""

    def update(self, x: float) -> Any:
        """Take in `x`; the new value."""
        raise NotImplementedError

    def update_bar(self, bar: Bar) -> Any:
        """Take in the bar's close; the new value."""
        return self.update(bar.close)


class BarIndicator(Indicator):
    """Base of those that are fed one bar at a time."""

    def update(self, high: float, low: float, close: float) -> Any:
        """Take in a bar; the new value."""
        raise NotImplementedError

    def update_bar(self, bar: Bar) -> Any:
        """Take in the bar; the new value."""
        return self.update(bar.high, bar.low, bar.close)


def check_length(length: int, name: str = "length", least: int = 1) -> None:
    """Raises `ValueError` for a parameter that is too small."""
    if length < least:
        raise ValueError(f"{name} is {length}; it must be at least {least}")


def room(length: int) -> int:
    """How long the list of a window grows before it is cut back to `length`; each cut is also when sums are taken afresh."""
    return 2 * length
