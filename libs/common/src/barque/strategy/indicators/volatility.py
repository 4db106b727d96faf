"""How much a price moves: standard deviation, Bollinger bands, average true range.

In:   one number, or one bar, at a time.   Out: the measure.
Not:  annualised; all are in units of the price.
"""

from __future__ import annotations

from math import fsum, sqrt

import msgspec

from barque.strategy.features import true_range
from barque.strategy.indicators.base import LOST_DIGITS, BarIndicator, ScalarIndicator, check_length, room
from barque.strategy.indicators.extremes import Channel


class StdDev(ScalarIndicator):
    """Standard deviation of the last `length` numbers, as of a whole population (divided by `length`).

    Mean and sum of squared deviations move with the window, measured from an origin within it. They are computed afresh at every
    cut of it, and where the sum has become so small that what rounding left of greater ones would show.
    """

    length: int
    value: float | None = None
    window: list[float] = msgspec.field(default_factory=list)
    origin: float = 0.0
    offset: float = 0.0
    """The mean is `origin` + `offset`."""
    squares: float = 0.0
    """Sum of squared deviations from the mean."""
    peak: float = 0.0
    """Greatest `squares` since they were computed afresh."""
    full: int = 0

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        window = self.window
        window.append(x)
        if len(window) >= self.full:
            return self._renew()
        oldest, origin, before = window[~self.length], self.origin, self.offset
        change = x - oldest
        self.offset = offset = before + change / self.length
        self.squares = squares = self.squares + change * ((x - origin - offset) + (oldest - origin - before))
        if squares < self.peak * LOST_DIGITS:
            return self._renew()
        if squares > self.peak:
            self.peak = squares
        self.value = value = sqrt(squares / self.length)
        return value

    def _renew(self) -> float | None:
        length, window = self.length, self.window
        if len(window) >= length:
            del window[:-length]
            self.full = room(length)
            self.origin = origin = window[0]
            self.offset = offset = fsum(x - origin for x in window) / length
            self.squares = self.peak = fsum((x - origin - offset) ** 2 for x in window)
            self.value = sqrt(self.squares / length)
        return self.value

    @property
    def mean(self) -> float:
        """Of the window, once it is full."""
        return self.origin + self.offset


class Bollinger(ScalarIndicator):
    """A simple average and `width` standard deviations on either side of it."""

    length: int = 20
    width: float = 2.0
    value: Channel | None = None
    deviation: StdDev = msgspec.field(default_factory=lambda: StdDev(1))

    def __post_init__(self) -> None:
        if self.deviation.length != self.length:
            self.deviation = StdDev(self.length)

    def update(self, x: float) -> Channel | None:
        """Take in `x`; the new value."""
        deviation = self.deviation.update(x)
        if deviation is not None:
            middle, away = self.deviation.mean, self.width * deviation
            self.value = Channel(middle - away, middle, middle + away)
        return self.value


class ATR(BarIndicator):
    """Average true range by Wilder: the mean of the first `length` ranges, then each new one counts 1 / `length`.

    A true range needs the close before, so the first value comes with bar `length` + 1.
    """

    length: int = 14
    value: float | None = None
    close: float | None = None
    """Of the bar before."""
    seen: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take in a bar; the new value."""
        before, self.close = self.close, close
        if before is None:
            return None
        reach = true_range(high, low, before)
        if self.value is not None:
            self.value += (reach - self.value) / self.length
            return self.value
        self.seen += 1
        self.total += reach
        if self.seen == self.length:
            self.value = self.total / self.length
        return self.value
