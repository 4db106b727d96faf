"""Exchanges by MIC code, from the sessions that the package `exchange_calendars` knows.

In:   a name.   Out: its sessions of the years 2000 to 2035, as far as the exchange has published them.
Not:  pre-market and after-hours trading, which that package does not know; see `EXTENDED_HOURS`.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from barque.calendars.base import Calendar, TradingDay
from barque.calendars.wall_clock import UTC_ZONE, instant
from barque.errors import ConfigError

FIRST_YEAR, LAST_YEAR = 2000, 2035
"""What exchange calendars span, where the exchange has published as much."""

GLOBEX = "GLOBEX"
_GLOBEX_SOURCE, _GLOBEX_ZONE = "CMES", ZoneInfo("America/Chicago")
_GLOBEX_CLOSE, _GLOBEX_SOURCE_CLOSE = time(16), time(17)

EXTENDED_HOURS: Mapping[str, tuple[str, time]] = {
    name: ("America/New_York", time(4)) for name in ("XNYS", "NYSE", "XNAS", "NASDAQ")
}
"""Zone and beginning of pre-market trading of US stocks (NYSE Arca and Nasdaq, the hours of today for every year)."""

_NO_BREAK = -(2**63)


@dataclass(frozen=True)
class Sessions:
    """Known sessions, oldest first. `opens` and `closes` include lunch breaks, `days` are whole."""

    name: str
    span: tuple[date, date]
    """First and last date that it answers for, in UTC."""
    days: Sequence[TradingDay]
    opens: Sequence[int]
    closes: Sequence[int]

    @cached_property
    def _bounds_ns(self) -> tuple[int, int]:
        first, last = self.span
        return instant(first, time(0), UTC_ZONE), instant(last + timedelta(days=1), time(0), UTC_ZONE)

    def is_open(self, ts_ns: int) -> bool:
        self._check(ts_ns)
        return bisect_right(self.opens, ts_ns) > bisect_right(self.closes, ts_ns)

    def next_open(self, ts_ns: int) -> int | None:
        return self._after(self.opens, ts_ns)

    def next_close(self, ts_ns: int) -> int | None:
        return self._after(self.closes, ts_ns)

    def trading_day_on(self, day: date) -> TradingDay | None:
        self._check(instant(day, time(0), UTC_ZONE))
        index = bisect_right(self.days, day, key=_date_of)
        return self.days[index - 1] if index and self.days[index - 1].day == day else None

    def trading_day_from(self, ts_ns: int) -> TradingDay | None:
        self._check(ts_ns)
        index = bisect_right(self.days, ts_ns, key=_close_of)
        return self.days[index] if index < len(self.days) else None

    def trading_day_until(self, ts_ns: int) -> TradingDay | None:
        self._check(ts_ns)
        index = bisect_right(self.days, ts_ns, key=_open_of)
        return self.days[index - 1] if index else None

    def _after(self, instants: Sequence[int], ts_ns: int) -> int | None:
        self._check(ts_ns)
        index = bisect_right(instants, ts_ns)
        return instants[index] if index < len(instants) else None

    def _check(self, ts_ns: int) -> None:
        from_ns, until_ns = self._bounds_ns
        if not from_ns <= ts_ns < until_ns:
            first, last = self.span
            raise ConfigError(f"calendar '{self.name}' is known from {first} to {last}, not at {ts_ns} ns")


def names() -> list[str]:
    """Every exchange there is; raises `ConfigError` where the package is not installed."""
    return [GLOBEX, *_package().get_calendar_names(include_aliases=True)]


def exchange(name: str) -> Calendar:
    """The exchange's sessions; raises `ConfigError` where they cannot be had."""
    package = _package()
    source = _GLOBEX_SOURCE if name == GLOBEX else name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # exchange_calendars against a newer pandas
        try:
            bounds = package.get_calendar(source)
            span = _span(bounds.bound_min(), bounds.bound_max())
            table = package.get_calendar(source, start=str(span[0]), end=str(span[1]))
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(f"exchange_calendars cannot give calendar '{name}': {str(error)[:200]}") from None
    dates = [stamp.date() for stamp in table.sessions]
    days = [TradingDay(*row) for row in zip(dates, map(int, table.opens_nanos), map(int, table.closes_nanos), strict=True)]
    if name == GLOBEX:
        days = [day._replace(close_ns=_globex_close(day)) for day in days]
    opens = _instants((day.open_ns for day in days), table.break_ends_nanos)
    closes = _instants((day.close_ns for day in days), table.break_starts_nanos)
    return Sessions(name, span, days, opens, closes)


def _package() -> Any:
    try:
        import exchange_calendars
    except ImportError:
        raise ConfigError("exchanges need the extra barque[calendars]") from None
    return exchange_calendars


def _globex_close(day: TradingDay) -> int:
    """A session that is said to end at 17:00 in Chicago, when the next begins, ends an hour before; early closes hold."""
    regular = instant(day.day, _GLOBEX_SOURCE_CLOSE, _GLOBEX_ZONE)
    return instant(day.day, _GLOBEX_CLOSE, _GLOBEX_ZONE) if day.close_ns == regular else day.close_ns


def _span(low: datetime | None, high: datetime | None) -> tuple[date, date]:
    """What is asked of the exchange's own bounds: fixed, so that no answer depends on today."""
    first, last = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
    return max(first, low.date()) if low else first, min(last, high.date()) if high else last


def _instants(*columns: Iterable[int]) -> list[int]:
    """Both columns in one, sorted, without the mark for a session that has no break."""
    return sorted(int(ns) for column in columns for ns in column if ns != _NO_BREAK)


def _date_of(day: TradingDay) -> date:
    return day.day


def _open_of(day: TradingDay) -> int:
    return day.open_ns


def _close_of(day: TradingDay) -> int:
    return day.close_ns
