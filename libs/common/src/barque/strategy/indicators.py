"""Indicators: fed one number at a time, they remember what they need and nothing else.

An indicator is a `msgspec.Struct`: what its constructor takes are its parameters, its other fields are its memory. That is all
it takes to survive a restart, for one of your own too. `value` is None until enough numbers have come.
"""

from __future__ import annotations

from math import fsum

import msgspec


class Indicator(msgspec.Struct, array_like=True, tag=True):
    """Base of all indicators; a strategy declares them in `setup` with `self.indicator(...)`."""


class SMA(Indicator):
    """Simple moving average of the last `length` numbers.

    >>> sma = SMA(2)
    >>> [sma.update(x) for x in (1.0, 2.0, 4.0)]
    [None, 1.5, 3.0]
    """

    length: int
    value: float | None = None
    ring: list[float] = msgspec.field(default_factory=list)
    at: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        _check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        if len(self.ring) < self.length:
            self.ring.append(x)
        else:
            self.total -= self.ring[self.at]
            self.ring[self.at] = x
        self.at += 1
        if self.at == self.length:  # once around, the sum is taken afresh, so that rounding errors never pile up
            self.at = 0
            self.total = fsum(self.ring)
        else:
            self.total += x
        if len(self.ring) == self.length:
            self.value = self.total / self.length
        return self.value


class EMA(Indicator):
    """Exponential moving average with weight 2 / (`length` + 1), which starts from the mean of the first `length` numbers.

    >>> ema = EMA(3)
    >>> [ema.update(x) for x in (1.0, 2.0, 3.0, 4.0)]
    [None, None, 2.0, 3.0]
    """

    length: int
    value: float | None = None
    seen: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        _check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        if self.value is not None:
            self.value += (x - self.value) * 2 / (self.length + 1)
            return self.value
        self.seen += 1
        self.total += x
        if self.seen == self.length:
            self.value = self.total / self.length
        return self.value


def _check_length(length: int) -> None:
    if length < 1:
        raise ValueError(f"length is {length}; an average needs at least 1")
