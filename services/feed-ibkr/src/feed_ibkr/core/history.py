"""Questions to the Gateway's history, and its answers as messages of ours.

In:   a `HistoryQuery`; bars and ticks as the Gateway tells them.   Out: the pages to ask for; `Bar`, `Quote`, `Trade`.
Not:  pace (`venues.ibkr.pacing`), and no bars of a week: what a week is, depends on who is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from barque.calendars import Calendar
from barque.errors import VenueRefused
from barque.intervals import interval_of
from barque.live_feed.source import HistoryQuery
from barque.messages import Bar
from barque.messages.market import PriceType

NS_PER_S = 10**9
DAY_S = 86_400
BAR_SIZES = {
    1: "1 secs", 5: "5 secs", 10: "10 secs", 15: "15 secs", 30: "30 secs",
    60: "1 min", 120: "2 mins", 180: "3 mins", 300: "5 mins", 600: "10 mins", 900: "15 mins", 1_200: "20 mins", 1_800: "30 mins",
    3_600: "1 hour", 7_200: "2 hours", 10_800: "3 hours", 14_400: "4 hours", 28_800: "8 hours", DAY_S: "1 day",
}  # fmt: skip
_PAGES = ((1, 1_800), (5, 7_200), (30, DAY_S), (180, DAY_S), (1_800, 7 * DAY_S), (28_800, 30 * DAY_S), (DAY_S, 365 * DAY_S))
"""Bars of up to so many seconds: so long a page."""


class Page(NamedTuple):
    """One question."""

    bar_size: str
    duration: str
    """Back from the end."""
    end: datetime
    until_ns: int
    """What opened before is then known."""


def pages_of(query: HistoryQuery) -> Iterator[Page]:
    """What to ask for bars, oldest first; raises `VenueRefused` for bars that the Gateway has not."""
    seconds = interval_of(query.interval).interval_ns // NS_PER_S
    size = BAR_SIZES.get(seconds)
    if size is None:
        shown = ", ".join(_short(known) for known in BAR_SIZES)
        raise VenueRefused(f"Interactive Brokers has no bars of {query.interval}; it has {shown}")
    length_s = next(page for most, page in _PAGES if seconds <= most)
    from_s, to_s = query.from_ns // NS_PER_S, -(-query.to_ns // NS_PER_S)
    while from_s < to_s:
        end_s = min(from_s + length_s, to_s)
        asked_s = max(-(-(end_s - from_s) // seconds) * seconds, 30)
        duration = f"{asked_s} S" if asked_s <= DAY_S else f"{-(-asked_s // DAY_S)} D"
        yield Page(size, duration, datetime.fromtimestamp(end_s, UTC), end_s * NS_PER_S)
        from_s = end_s


def opened_at(told: datetime | date | str, hours: Calendar) -> tuple[int, int] | None:
    """(open, close) of a daily bar's trading day, (open, 0) of others; None: it is no time.

    The Gateway tells seconds since 1970 (as text where nobody has parsed it), and of daily bars the date alone.
    """
    if isinstance(told, str):
        if told.isdigit() and len(told) == 8:
            told = datetime.strptime(told, "%Y%m%d").date()  # noqa: DTZ007 - a date in the market's own calendar
        elif told.isdigit():
            return int(told) * NS_PER_S, 0
        else:
            return None
    if isinstance(told, datetime):
        return round(told.timestamp()) * NS_PER_S, 0
    day = hours.trading_day_on(told)
    if day is not None:
        return day.open_ns, day.close_ns
    midnight_ns = int(datetime.combine(told, time(), UTC).timestamp()) * NS_PER_S
    return midnight_ns, midnight_ns + DAY_S * NS_PER_S


class Told(NamedTuple):
    """A bar in the Gateway's figures; volume -1: it has none."""

    opened: tuple[int, int]
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


def bar_of(symbol: str, interval: str, price: PriceType, told: Told) -> Bar:
    """It as ours."""
    open_ns, close_ns = told.opened
    return Bar(
        symbol=symbol,
        interval=interval,
        price=price,
        ts_open_ns=open_ns,
        ts_close_ns=close_ns or open_ns + interval_of(interval).interval_ns,
        open=told.open,
        high=told.high,
        low=told.low,
        close=told.close,
        volume=max(told.volume, 0.0),
        tick_count=max(told.trades, 0),
    )


def _short(seconds: int) -> str:
    for size, letter in ((DAY_S, "d"), (3_600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
