"""Average price by volume (VWAP): of a trading day so far, or of a window of bars.

In:   one bar at a time, with its volume.   Out: sum of typical price x volume / sum of volume; typical: (high + low + close) / 3.
Not:  a price where nothing has traded: `value` stays None until there is volume, a bar without any changes nothing.
"""

from __future__ import annotations

from math import fsum

import msgspec

from barque.calendars import calendar
from barque.messages import Bar
from barque.strategy.features import typical_price
from barque.strategy.indicators.base import LOST_DIGITS, Indicator, check_length, room


class VWAP(Indicator):
    """Average price by volume since the beginning of the trading day.

    `update_bar` begins anew with the first bar that opens in a later trading day of `calendar` (of UTC with `24/7`; from 17:00 to
    17:00 in New York with `FX`; an exchange's session with its code). With `update` alone you call `reset` yourself.
    """

    calendar: str = "24/7"
    value: float | None = None
    turnover: float = 0.0
    turnover_rest: float = 0.0
    """What rounding took from `turnover` so far (Neumaier's sum)."""
    volume: float = 0.0
    until_ns: int = -(2**63)
    """Close of the trading day that it is in."""

    def __post_init__(self) -> None:
        calendar(self.calendar)

    def update(self, high: float, low: float, close: float, volume: float) -> float | None:
        """Take in a bar; the new value."""
        if volume <= 0:
            return self.value
        part, before = typical_price(high, low, close) * volume, self.turnover
        self.turnover = total = before + part
        self.turnover_rest += (before - total) + part if abs(before) >= abs(part) else (part - total) + before
        self.volume += volume
        self.value = (total + self.turnover_rest) / self.volume
        return self.value

    def update_bar(self, bar: Bar) -> float | None:
        """Take in the bar, in its trading day; the new value."""
        if bar.ts_open_ns >= self.until_ns:
            day = calendar(self.calendar).trading_day_from(bar.ts_open_ns)
            self.reset()
            self.until_ns = 2**63 - 1 if day is None else day.close_ns
        return self.update(bar.high, bar.low, bar.close, bar.volume)

    def reset(self) -> None:
        """Begin anew."""
        self.value, self.turnover, self.turnover_rest, self.volume = None, 0.0, 0.0, 0.0


class RollingVWAP(Indicator):
    """Average price by volume of the last `length` bars; it stays what it was while none of them has volume."""

    length: int
    value: float | None = None
    turnovers: list[float] = msgspec.field(default_factory=list)
    volumes: list[float] = msgspec.field(default_factory=list)
    turnover: float = 0.0
    volume: float = 0.0
    """Sums over the window; taken afresh at every cut of the lists, and after a great volume has left."""
    peak: float = 0.0
    """Greatest `volume` since it was taken afresh."""
    full: int = 0

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, high: float, low: float, close: float, volume: float) -> float | None:
        """Take in a bar; the new value, None until there are `length` bars."""
        turnovers, volumes, length = self.turnovers, self.volumes, self.length
        turnovers.append(typical_price(high, low, close) * volume)
        volumes.append(volume)
        if len(volumes) < self.full:
            self.turnover += turnovers[-1] - turnovers[~length]
            self.volume += volume - volumes[~length]
            self.peak = max(self.peak, self.volume)
        if (len(volumes) >= self.full or self.volume < self.peak * LOST_DIGITS) and len(volumes) >= length:
            del turnovers[:-length], volumes[:-length]
            self.turnover, self.volume, self.full = fsum(turnovers), fsum(volumes), room(length)
            self.peak = self.volume
        if self.volume > 0:
            self.value = self.turnover / self.volume
        return self.value

    def update_bar(self, bar: Bar) -> float | None:
        """Take in the bar; the new value."""
        return self.update(bar.high, bar.low, bar.close, bar.volume)
