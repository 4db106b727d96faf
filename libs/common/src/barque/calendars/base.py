"""What every calendar answers.

In:   instants, dates.   Out: the answers, as functions of what was asked.
Not:  which calendars there are (`barque.calendars.names`).
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, Protocol


class TradingDay(NamedTuple):
    """One day of trading, half-open: it is open at `open_ns` and closed at `close_ns`. A lunch break lies within it."""

    day: date
    """The date that the market gives it. The FX day of a Monday begins on Sunday."""
    open_ns: int
    close_ns: int


class Calendar(Protocol):
    """A market's hours. Whatever lies beyond what is known is None, or a `ConfigError` where the question itself does."""

    def is_open(self, ts_ns: int) -> bool:
        """Whether it trades at `ts_ns`."""
        ...

    def next_open(self, ts_ns: int) -> int | None:
        """The first opening after `ts_ns`, of a day or after lunch; None: there is none, or none is known."""
        ...

    def next_close(self, ts_ns: int) -> int | None:
        """The first closing after `ts_ns`, of a day or before lunch; None: there is none, or none is known."""
        ...

    def trading_day_on(self, day: date) -> TradingDay | None:
        """The trading day that the market gives this date; None: it does not trade then."""
        ...

    def trading_day_from(self, ts_ns: int) -> TradingDay | None:
        """The trading day that `ts_ns` lies in, or the next: the first that closes after `ts_ns`."""
        ...

    def trading_day_until(self, ts_ns: int) -> TradingDay | None:
        """The trading day that `ts_ns` lies in, or the one before: the last that opens at or before `ts_ns`."""
        ...
