"""Where time bars begin and end: the UTC grid, or buckets counted from the beginning of a day.

In:   an instant, the length of a bar, and how days are cut.   Out: the bucket that holds the instant.
Not:  state. Every answer is a function of what was asked.

How days are cut is a text, so that it can be part of the state:

    ""                        no days: buckets are aligned to the UTC epoch, weeks begin on Monday
    "zone:Europe/Stockholm"   from midnight to midnight there; 23 or 25 hours where its clocks change
    "session:XNYS"            the trading days of a calendar; between them there is no bucket

In a day, buckets are counted from its beginning and the last one ends with it, however short that makes it. A bar of `1d` is
the day, a bar of `1w` runs from the beginning of its first day to the end of its last, Monday to Sunday by the days' dates.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from functools import cache
from typing import NamedTuple, Protocol

from barque.calendars import Calendar, calendar, instant, local_day, zone
from barque.errors import ConfigError
from barque.intervals import DAY_NS, WEEK_NS, bucket_open

NO_DAYS = ""
_ZONE, _SESSION = "zone:", "session:"
_MIDNIGHT = time(0)
_DATES_OF_A_WEEK = 7


class Span(NamedTuple):
    """From `open_ns` inclusive to `end_ns` exclusive."""

    open_ns: int
    end_ns: int


def days_of(anchor: str, calendar_name: str) -> str:
    """How the days of bars with that `anchor` are cut; raises `ConfigError` where the zone or the calendar is not known."""
    if anchor == "utc":
        return NO_DAYS
    days = f"{_SESSION}{calendar_name}" if anchor == "session" else f"{_ZONE}{anchor}"
    _days(days)
    return days


def span_of(ts_ns: int, interval_ns: int, days: str) -> Span | None:
    """The bucket that holds `ts_ns`; None: it lies between trading days, or beyond what the calendar knows.

    >>> span_of(1_385_735_400 * 10**9, DAY_NS, "session:XNYS")  # 29 November 2013, a half day
    Span(open_ns=1385735400000000000, end_ns=1385748000000000000)
    """
    if not days:
        open_ns = bucket_open(ts_ns, interval_ns)
        return Span(open_ns, open_ns + interval_ns)
    try:
        return _span_in(_days(days), ts_ns, interval_ns)
    except ConfigError:
        return None


def is_in_session(open_ns: int, end_ns: int, days: str) -> bool:
    """Whether a bar lies wholly in one trading day; always so where days are not those of a calendar."""
    if not days.startswith(_SESSION):
        return True
    day = span_of(open_ns, DAY_NS, days)
    return day is not None and end_ns <= day.end_ns


class _Days(Protocol):
    def day(self, ts_ns: int) -> tuple[date, Span] | None: ...

    def begins(self, day: date) -> int | None: ...

    def ends(self, day: date) -> int | None: ...


def _span_in(days: _Days, ts_ns: int, interval_ns: int) -> Span | None:
    found = days.day(ts_ns)
    if found is None:
        return None
    day, span = found
    if interval_ns == DAY_NS:
        return span
    if interval_ns == WEEK_NS:
        return _week(days, day, span)
    open_ns = ts_ns - (ts_ns - span.open_ns) % interval_ns
    return Span(open_ns, min(open_ns + interval_ns, span.end_ns))


def _week(days: _Days, day: date, span: Span) -> Span:
    monday = day - timedelta(days=day.weekday())
    dates = [monday + timedelta(days=n) for n in range(_DATES_OF_A_WEEK)]
    opens = [ns for each in dates if (ns := days.begins(each)) is not None]
    ends = [ns for each in dates if (ns := days.ends(each)) is not None]
    return Span(min([span.open_ns, *opens]), max([span.end_ns, *ends]))


@cache
def _days(name: str) -> _Days:
    if name.startswith(_SESSION):
        return _TradingDays(calendar(name.removeprefix(_SESSION)))
    return _LocalDays(name.removeprefix(_ZONE))


class _TradingDays:
    def __init__(self, hours: Calendar) -> None:
        self._hours = hours

    def day(self, ts_ns: int) -> tuple[date, Span] | None:
        found = self._hours.trading_day_until(ts_ns)
        return (found.day, Span(found.open_ns, found.close_ns)) if found is not None and ts_ns < found.close_ns else None

    def begins(self, day: date) -> int | None:
        found = self._hours.trading_day_on(day)
        return found.open_ns if found is not None else None

    def ends(self, day: date) -> int | None:
        found = self._hours.trading_day_on(day)
        return found.close_ns if found is not None else None


class _LocalDays:
    def __init__(self, zone_name: str) -> None:
        self._zone = zone(zone_name)

    def day(self, ts_ns: int) -> tuple[date, Span] | None:
        day = local_day(ts_ns, self._zone)
        return day, Span(self.begins(day), self.ends(day))

    def begins(self, day: date) -> int:
        return instant(day, _MIDNIGHT, self._zone)

    def ends(self, day: date) -> int:
        return instant(day + timedelta(days=1), _MIDNIGHT, self._zone)
