"""Where the hands of a clock on a wall point, in any IANA time zone.

In:   instants in ns UTC, dates and times of day with a zone.   Out: the other.
Not:  the time itself.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from barque.errors import ConfigError, nearest

SECOND_NS = 1_000_000_000
DAY_S = 86_400
UTC_ZONE = ZoneInfo("UTC")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


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
    return datetime.fromtimestamp(ts_ns // SECOND_NS, where).date()


class Stretch(NamedTuple):
    """A part of a local day through which the clock runs evenly: it shows `shift_s` more than UTC. Seconds since 1970 UTC."""

    from_s: int
    until_s: int
    """Exclusive."""
    shift_s: int


@lru_cache(maxsize=256)
def stretches(day: date, where: ZoneInfo) -> tuple[Stretch, ...]:
    """The local day in one part, or in two where the clock is put forward or back within it.

    >>> [(s.until_s - s.from_s) // 3600 for s in stretches(date(2013, 3, 10), zone("America/New_York"))]
    [2, 21]
    """
    begin_s, end_s = (instant(d, time(0), where) // SECOND_NS for d in (day, day + timedelta(days=1)))
    if end_s <= begin_s:
        return ()  # a date that the zone has left out, as Samoa did 30 December 2011
    before, after = _shift_s(begin_s, where), _shift_s(end_s - 1, where)
    if before == after:
        return (Stretch(begin_s, end_s, before),)
    low, high = begin_s, end_s - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _shift_s(middle, where) == before else (low, middle)
    return (Stretch(begin_s, high, before), Stretch(high, end_s, after))


def midnight_s(day: date) -> int:
    """What a clock that shows UTC would say at the beginning of `day`, in seconds since 1970."""
    return (day.toordinal() - _EPOCH_DAY) * DAY_S


def _shift_s(ts_s: int, where: ZoneInfo) -> int:
    return int((datetime.fromtimestamp(ts_s, where).utcoffset() or timedelta()).total_seconds())
