"""When a market is open, and where a wall clock's hands point.

In:   a calendar's name from an `[[instruments]]` entry, an instant in ns UTC.   Out: open or not, next open, next close.
Not:  the time; every answer is a function of the instant asked about.

`24/7` never closes. `FX` is open from Sunday 17:00 to Friday 17:00 in New York, holidays included. Anything else is an
exchange's MIC code (`XNYS`, `XLON`) or one of its aliases, from the package `exchange_calendars` (extra `barque[calendars]`).
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from barque.errors import ConfigError, nearest

FIRST_YEAR, LAST_YEAR = 2000, 2035
"""What exchange calendars span, where the exchange has published as much."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_BREAK = -(2**63)
_SECOND_NS = 1_000_000_000


class Calendar(Protocol):
    """A market's hours. Sessions are half-open: it is open at its opening instant and closed at its closing one."""

    def is_open(self, ts_ns: int) -> bool:
        """Whether it trades at `ts_ns`."""
        ...

    def next_open(self, ts_ns: int) -> int | None:
        """The first opening after `ts_ns`; None: there is none, or none is known."""
        ...

    def next_close(self, ts_ns: int) -> int | None:
        """The first closing after `ts_ns`; None: there is none, or none is known."""
        ...


def calendar(name: str) -> Calendar:
    """The calendar of that name; raises `ConfigError` with the nearest one.

    >>> calendar("FX").is_open(instant(date(2013, 2, 3), time(16, 59), zone("America/New_York")))
    False
    """
    builtin = _BUILTIN.get(name)
    return builtin if builtin is not None else _exchange(name)


def zone(name: str) -> ZoneInfo:
    """The IANA time zone; raises `ConfigError` with the nearest one."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = nearest(name, sorted(available_timezones())) if name else "give one such as 'Europe/London'"
        raise ConfigError(f"'{name}' is no IANA time zone; {hint[:200]}") from None


def instant(day: date, at: time, where: ZoneInfo) -> int:
    """The ns UTC at which a clock in `where` shows `at` on `day`.

    A time that the clock skips in spring counts as if it had not been put forward (02:30 is 03:30); of a time that it
    shows twice in autumn, the first is meant.

    >>> instant(date(2013, 2, 5), time(1, 30), zone("Asia/Tokyo")) == 1_359_995_400 * 10**9
    True
    """
    return (datetime.combine(day, at, where) - _EPOCH) // timedelta(microseconds=1) * 1000


def local_day(ts_ns: int, where: ZoneInfo) -> date:
    """The date on a calendar that hangs in `where`."""
    return datetime.fromtimestamp(ts_ns // _SECOND_NS, where).date()


class _AlwaysOpen:
    def is_open(self, ts_ns: int) -> bool:
        return True

    def next_open(self, ts_ns: int) -> int | None:
        return None

    def next_close(self, ts_ns: int) -> int | None:
        return None


class _ForeignExchange:
    """One session a week, by the clocks of New York."""

    _zone = ZoneInfo("America/New_York")
    _turn = time(17)

    def is_open(self, ts_ns: int) -> bool:
        opens, closes = self._week(ts_ns, 0)
        return opens <= ts_ns < closes

    def next_open(self, ts_ns: int) -> int | None:
        opens, _ = self._week(ts_ns, 0)
        return opens if opens > ts_ns else self._week(ts_ns, 1)[0]

    def next_close(self, ts_ns: int) -> int | None:
        _, closes = self._week(ts_ns, 0)
        return closes if closes > ts_ns else self._week(ts_ns, 1)[1]

    def _week(self, ts_ns: int, weeks_on: int) -> tuple[int, int]:
        """Opening and closing of the session that begins on the Sunday on or before `ts_ns`, or of a later one."""
        day = local_day(ts_ns, self._zone)
        sunday = day - timedelta(days=day.isoweekday() % 7) + timedelta(weeks=weeks_on)
        return instant(sunday, self._turn, self._zone), instant(sunday + timedelta(days=5), self._turn, self._zone)


class _Sessions:
    """Known sessions, oldest first; a lunch break ends one and begins another."""

    def __init__(self, name: str, span: tuple[date, date], opens: Sequence[int], closes: Sequence[int]) -> None:
        self._name, self._span, self._opens, self._closes = name, span, opens, closes
        utc = ZoneInfo("UTC")
        self._from_ns = instant(span[0], time(0), utc)
        self._until_ns = instant(span[1] + timedelta(days=1), time(0), utc)

    def is_open(self, ts_ns: int) -> bool:
        return self._count(self._opens, ts_ns) > self._count(self._closes, ts_ns)

    def next_open(self, ts_ns: int) -> int | None:
        return self._after(self._opens, ts_ns)

    def next_close(self, ts_ns: int) -> int | None:
        return self._after(self._closes, ts_ns)

    def _after(self, instants: Sequence[int], ts_ns: int) -> int | None:
        index = self._count(instants, ts_ns)
        return instants[index] if index < len(instants) else None

    def _count(self, instants: Sequence[int], ts_ns: int) -> int:
        """How many of `instants` are not after `ts_ns`."""
        if not self._from_ns <= ts_ns < self._until_ns:
            first, last = self._span
            raise ConfigError(f"calendar '{self._name}' is known from {first} to {last}, not at {ts_ns} ns")
        return bisect_right(instants, ts_ns)


_BUILTIN: dict[str, Calendar] = {"24/7": _AlwaysOpen(), "FX": _ForeignExchange()}


@cache
def _exchange(name: str) -> Calendar:
    try:
        import exchange_calendars
    except ImportError:
        hint = "exchanges need the extra barque[calendars]"
        raise ConfigError(f"calendar '{name}' is not known; valid here: {', '.join(_BUILTIN)}; {hint}") from None
    valid = {*_BUILTIN, *exchange_calendars.get_calendar_names(include_aliases=True)}
    if name not in valid:
        raise ConfigError(f"calendar '{name}' is not known; {nearest(name, sorted(valid))}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # exchange_calendars against a newer pandas
        try:
            bounds = exchange_calendars.get_calendar(name)
            span = _span(bounds.bound_min(), bounds.bound_max())
            sessions = exchange_calendars.get_calendar(name, start=str(span[0]), end=str(span[1]))
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(f"exchange_calendars cannot give calendar '{name}': {str(error)[:200]}") from None
    opens = _instants(sessions.opens_nanos, sessions.break_ends_nanos)
    return _Sessions(name, span, opens, _instants(sessions.closes_nanos, sessions.break_starts_nanos))


def _span(low: datetime | None, high: datetime | None) -> tuple[date, date]:
    """What is asked of the exchange's own bounds: fixed, so that no answer depends on today."""
    first, last = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
    return max(first, low.date()) if low else first, min(last, high.date()) if high else last


def _instants(*columns: Iterable[int]) -> list[int]:
    """Both columns in one, sorted, without the mark for a session that has no break."""
    return sorted(int(ns) for column in columns for ns in column if ns != _NO_BREAK)
