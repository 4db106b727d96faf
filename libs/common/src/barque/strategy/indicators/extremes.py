"""Highest and lowest of a window or of a trading day, and the channel between them.

In:   one number, or one bar's high and low, at a time.   Out: extremes of the last `length`, the newest included.
Not:  a breakout: compare with the value before the update.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from barque.calendars import calendar
from barque.messages import Bar
from barque.strategy.indicators.base import BarIndicator, Indicator, ScalarIndicator, check_length


class Channel(NamedTuple):
    """Two bounds and the line between them."""

    lower: float
    middle: float
    upper: float


class _Peak(ScalarIndicator):
    """Greatest of the last `length` keys: those that no later one equals or exceeds, in falling order, so that each is put in and
    taken out once. `first` is where they begin in the lists, which are cut back from time to time."""

    length: int
    value: float | None = None
    keys: list[float] = msgspec.field(default_factory=list)
    numbers: list[int] = msgspec.field(default_factory=list)
    """When each of `keys` came."""
    first: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        check_length(self.length)

    def _push(self, key: float) -> float | None:
        keys, numbers = self.keys, self.numbers
        while len(keys) > self.first and keys[-1] <= key:
            keys.pop()
            numbers.pop()
        keys.append(key)
        numbers.append(self.seen)
        self.seen += 1
        oldest = self.seen - self.length
        if numbers[self.first] < oldest:
            self.first += 1
            if self.first > self.length:
                del keys[: self.first], numbers[: self.first]
                self.first = 0
        return keys[self.first] if oldest >= 0 else None


class Highest(_Peak):
    """Greatest of the last `length` numbers; of bars, their highest high.

    >>> highest = Highest(2)
    >>> [highest.update(x) for x in (3.0, 1.0, 2.0)]
    [None, 3.0, 2.0]
    """

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        self.value = value = self._push(x)
        return value

    def update_bar(self, bar: Bar) -> float | None:
        """Take in the bar's high; the new value."""
        return self.update(bar.high)


class Lowest(_Peak):
    """Least of the last `length` numbers; of bars, their lowest low."""

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        peak = self._push(-x)
        self.value = value = None if peak is None else -peak
        return value

    def update_bar(self, bar: Bar) -> float | None:
        """Take in the bar's low; the new value."""
        return self.update(bar.low)


class Donchian(BarIndicator):
    """Lowest low and highest high of the last `length` bars, and the middle between."""

    length: int
    value: Channel | None = None
    highs: Highest = msgspec.field(default_factory=lambda: Highest(1))
    lows: Lowest = msgspec.field(default_factory=lambda: Lowest(1))

    def __post_init__(self) -> None:
        if self.highs.length != self.length:
            self.highs, self.lows = Highest(self.length), Lowest(self.length)

    def update(self, high: float, low: float, close: float = 0.0) -> Channel | None:
        """Take in a bar's high and low; the new value. The close does not matter."""
        upper, lower = self.highs.update(high), self.lows.update(low)
        if upper is not None and lower is not None:
            self.value = Channel(lower, (lower + upper) / 2, upper)
        return self.value


class SessionRange(Indicator):
    """Extremes of the trading day so far, by `calendar` (days of UTC with `24/7`, from 17:00 to 17:00 in New York with `FX`).

    A bar belongs to the trading day in which it opens.
    """

    calendar: str = "24/7"
    high: float | None = None
    low: float | None = None
    until_ns: int = -(2**63)
    """Close of the trading day that it is in."""

    def __post_init__(self) -> None:
        calendar(self.calendar)

    def update_bar(self, bar: Bar) -> tuple[float, float]:
        """Take in the bar; (low, high) of its trading day so far."""
        low, high = bar.low, bar.high
        if bar.ts_open_ns >= self.until_ns:
            day = calendar(self.calendar).trading_day_from(bar.ts_open_ns)
            self.until_ns = 2**63 - 1 if day is None else day.close_ns
        elif self.low is not None and self.high is not None:
            low, high = min(low, self.low), max(high, self.high)
        self.low, self.high = low, high
        return low, high
