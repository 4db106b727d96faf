"""Signals that strategies share: crossings, breakouts, thresholds.

In:   numbers, as indicators give them (None while they have no value).   Out: what has happened just now.
Not:  orders. Those with memory are declared in `setup` with `self.indicator(...)`, as indicators are.

    def setup(self) -> None:
        self.fast, self.slow = self.indicator(SMA(10)), self.indicator(SMA(20))
        self.cross = self.indicator(Cross())

    def on_bar(self, bar: Bar) -> None:
        if self.cross.update(self.fast.update(bar.close), self.slow.update(bar.close)) > 0: ...
"""

from __future__ import annotations

import msgspec

from barque.messages import Bar
from barque.strategy.indicators import Donchian, Indicator

TOLERANCE = 1e-7
"""Numbers this close to one another count as equal."""


def crossed_above(a_before: float, b_before: float, a: float, b: float, tolerance: float = 0.0) -> bool:
    """`a` was not above `b` and now is, by more than `tolerance` both times.

    >>> crossed_above(1.0, 1.1, 1.2, 1.1)
    True
    """
    return a_before - b_before <= tolerance < a - b


def crossed_below(a_before: float, b_before: float, a: float, b: float, tolerance: float = 0.0) -> bool:
    """`a` was not below `b` and now is, by more than `tolerance` both times."""
    return crossed_above(b_before, a_before, b, a, tolerance)


class Cross(Indicator):
    """Tells when one number crosses another.

    Within `tolerance` of one another the two are equal, and each stays on the side where it was. The first side that is seen is
    no crossing: nobody knows how old it is.

    >>> cross = Cross()
    >>> [cross.update(a, 1.0) for a in (None, 1.1, 1.0, 0.9, 0.8, 1.0, 1.1)]
    [0, 0, 0, -1, 0, 0, 1]
    """

    tolerance: float = TOLERANCE
    side: int = 0
    """1: the first number is, or last was, above the second; -1: below; 0: not known yet."""

    def update(self, a: float | None, b: float | None) -> int:
        """1: `a` has crossed above `b`; -1: below; 0: neither, or one of them is None."""
        if a is None or b is None:
            return 0
        ahead, tolerance = a - b, self.tolerance
        if ahead > tolerance:
            side = 1
        elif ahead < -tolerance:
            side = -1
        else:
            return 0
        before = self.side
        if side == before:
            return 0
        self.side = side
        return side if before else 0


class Breakout(Indicator):
    """Tells when a bar closes outside the range of the `length` bars before it."""

    length: int = 20
    channel: Donchian = msgspec.field(default_factory=lambda: Donchian(1))

    def __post_init__(self) -> None:
        if self.channel.length != self.length:
            self.channel = Donchian(self.length)

    def update(self, high: float, low: float, close: float) -> int:
        """1: the close is above all highs before; -1: below all lows before; 0: neither, or there are not enough bars yet."""
        known = self.channel.value
        self.channel.update(high, low)
        return 0 if known is None else (close > known.upper) - (close < known.lower)

    def update_bar(self, bar: Bar) -> int:
        """As `update`."""
        return self.update(bar.high, bar.low, bar.close)


class Threshold(Indicator):
    """A switch with two levels, so that a number that trembles at one of them does not turn it on and off all the time.

    `on` above `leave`: it is on from `on` up until it comes down to `leave`. `on` below `leave`: on from `on` down until it
    comes up to `leave`.

    >>> overbought = Threshold(on=70.0, leave=60.0)
    >>> [overbought.update(x) for x in (65.0, 71.0, 65.0, 59.0, 65.0)]
    [False, True, True, False, False]
    """

    on: float
    leave: float
    active: bool = False

    def __post_init__(self) -> None:
        if self.on == self.leave:
            raise ValueError(f"on and leave are both {self.on}; the switch needs two levels")

    def update(self, x: float | None) -> bool:
        """Whether it is on, with `x` as the newest number; None changes nothing."""
        if x is not None:
            upwards = self.on > self.leave
            if (x >= self.on) if upwards else (x <= self.on):
                self.active = True
            elif (x <= self.leave) if upwards else (x >= self.leave):
                self.active = False
        return self.active
