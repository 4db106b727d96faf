"""A contract's hours as its details tell them: `20261218:1700-20261219:1600;20261220:CLOSED`, in the exchange's time zone.

In:   the text, the zone, an instant.   Out: when the session that is under way, or comes next, closes.
Not:  our own calendars: these are the broker's facts, by which it ends orders of the day.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

NS = 1_000_000_000
WEEK = timedelta(weeks=1)


def closes_ns(hours: str, zone: str, now_ns: int) -> int | None:
    """The first close after `now_ns`, ns UTC; None: the details do not say. They tell of some six days; those repeat.

    >>> noon = 1_796_212_800 * NS  # Wednesday 2 December 2026, 12:00 UTC
    >>> closes_ns("20261201:0930-20261201:1600;20261202:0930-20261202:1600;20261205:CLOSED", "US/Eastern", noon) // NS
    1796245200
    >>> closes_ns("20261118:0930-20261118:1600", "US/Eastern", noon) // NS  # a Wednesday, two weeks before
    1796245200
    >>> closes_ns("20261205:CLOSED", "US/Eastern", noon), closes_ns("", "", noon)
    (None, None)
    """
    try:
        there = ZoneInfo(zone)
        now = datetime.fromtimestamp(now_ns / NS, there).replace(tzinfo=None)
        spans = [span.partition("-")[2] for span in hours.split(";") if "-" in span]
        closes = [datetime.strptime(close, "%Y%m%d:%H%M") for close in spans]  # noqa: DTZ007 - there, and so is `now`
    except (ValueError, KeyError, OSError):
        return None
    coming = [close + timedelta(weeks=max(0, (now - close) // WEEK + 1)) for close in closes]
    first = min(coming, default=None)
    return None if first is None else int(first.replace(tzinfo=there).timestamp()) * NS


def instant_ns(text: str) -> int | None:
    """`20261202-16:00:00` (UTC) or `20261202 16:00:00 America/New_York`, ns UTC; None: it is neither.

    >>> instant_ns("20261202-16:00:00") == instant_ns("20261202 11:00:00 US/Eastern"), instant_ns("")
    (True, None)
    """
    day, _, rest = text.partition("-" if "-" in text[:9] else " ")
    clock, _, zone = rest.partition(" ")
    try:
        at = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone or "UTC"))
    except (ValueError, KeyError, OSError):
        return None
    return int(at.timestamp()) * NS
