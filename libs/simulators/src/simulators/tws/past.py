"""History: bars of any size from what happened, what a test loaded, and, before that, a past made up from the seed.

In:   a lane, a stretch of time, a bar size, a kind of price.   Out: bars in time order, none where the market was closed.
Not:  ticks; the quote desk has the last of them.

The made-up past is a random walk backwards from the listing's first price, minute by minute: the same seed gives the same past,
and it joins what happens later without a step. What happens since the simulator began is in the lane's cells.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from math import cos, exp, log, pi, sqrt
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing
from simulators.tws.market import CELL_S, Candle, Cell, Lane

MINUTE = 60
DAY = 86_400
NOON = 15 * 3_600
"""UTC; a time at which every market's day is the date."""
MOVE_PER_MINUTE = 1.9e-4
MOVE_PER_DAY = 7e-3
MINUTES_FOR_DAYS = 30
"""Before so many days the made-up past has days only: no bars that are shorter."""
BAR_SIZES = {
    "1 secs": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30,
    "1 min": 60, "2 mins": 120, "3 mins": 180, "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1200, "30 mins": 1800,
    "1 hour": 3600, "2 hours": 7200, "3 hours": 10800, "4 hours": 14400, "8 hours": 28800,
    "1 day": DAY, "1 week": 7 * DAY, "1W": 7 * DAY, "1 month": 30 * DAY, "1M": 30 * DAY,
}  # fmt: skip
DURATIONS = {"S": 1, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
KINDS = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST")
_STEPS_OVER_BID = {"MIDPOINT": (1, 1), "ASK": (2, 2), "BID_ASK": (0, 2), "BID": (0, 0), "TRADES": (0, 0), "ADJUSTED_LAST": (0, 0)}
"""Of open and low, and of high and close."""


class PastBar(msgspec.Struct, frozen=True):
    """A bar as history tells it."""

    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    average: float
    count: int


class _Path(msgspec.Struct):
    """A listing's made-up prices, backwards: `closes[i]` is the price i steps (minutes, or days) before the first."""

    chance: Random
    move: float
    closes: array[float]
    wicks: array[float]
    """Two per step, parts of a typical move: how far beyond open and close it reached, up and down."""

    def reach(self, steps: int) -> None:
        """Make it at least so long. Always continued in the same order, so that its length changes nothing."""
        while len(self.closes) <= steps:
            draw = self.chance.random
            normal = sqrt(-2.0 * log(1.0 - draw())) * cos(2.0 * pi * draw())
            self.closes.append(self.closes[-1] * exp(-self.move * normal))
            self.wicks.append(draw())
            self.wicks.append(draw())


class Past:
    """History of all listings."""

    def __init__(self, seed: int, keep_hours: bool) -> None:
        """`keep_hours`: the past too had closed hours; else only where regular hours are asked for."""
        self._seed = seed
        self._keep_hours = keep_hours
        self._paths: dict[tuple[int, str], _Path] = {}

    def bars(self, lane: Lane, what: str, seconds: int, start_s: int, end_s: int, rth: bool = False) -> list[PastBar]:
        """Bars that begin in [start, end)."""
        buckets: dict[int, list[Candle]] = {}
        if seconds >= DAY and not lane.loaded:
            for at_s, candle in self._days(lane, what, start_s, end_s):
                buckets.setdefault(_bucket(at_s, seconds, lane.listing), []).append(candle)
        for at_s, candle in self._candles(lane, what, (start_s, end_s), rth, fine=seconds < MINUTE):
            key = at_s // seconds * seconds if seconds < DAY else _bucket(at_s, seconds, lane.listing)
            buckets.setdefault(key, []).append(candle)
        return [_merged(start, candles, what) for start, candles in sorted(buckets.items())]

    def _candles(self, lane: Lane, what: str, span: tuple[int, int], rth: bool, fine: bool) -> Iterator[tuple[int, Candle]]:
        """Everything known of [start, end), oldest first; `fine`: five seconds at a time where it is made up."""
        start_s, end_s = span
        hours = lane.listing.liquid_hours if rth else lane.listing.hours
        edge = lane.loaded[0].start_s if lane.loaded else lane.begun_ns // NS_PER_S
        deep = lane.begun_ns // NS_PER_S - MINUTES_FOR_DAYS * DAY
        if start_s < edge:
            made_up = (max(start_s, deep), min(end_s, edge))
            spans = hours.spans(*made_up) if rth or self._keep_hours else [made_up]
            for at_s, candle in self._made_up(lane, what, spans, fine):
                if made_up[0] <= at_s < made_up[1]:
                    yield at_s, candle
        open_spans = hours.spans(start_s, end_s) if rth else [span]
        for cell in (*lane.loaded, *lane.minutes, *lane.cells):
            known = _of(cell, what)
            if known is not None and any(opens <= cell.start_s < closes for opens, closes in open_spans):
                yield from _fifths(cell.start_s, known) if fine and cell.seconds == MINUTE else ((cell.start_s, known),)

    def _made_up(self, lane: Lane, what: str, spans: list[tuple[int, int]], fine: bool) -> Iterator[tuple[int, Candle]]:
        """Minutes that touch the spans, the one in which the lane began last; in cells of five seconds where `fine`."""
        last = -(-(lane.begun_ns // NS_PER_S) // MINUTE)
        path = self._path(lane.listing, "minutes", MOVE_PER_MINUTE, float(lane.listing.first_price))
        for opens_s, closes_s in spans:
            for minute in range(opens_s // MINUTE, min(-(-closes_s // MINUTE), last)):
                path.reach(last - minute)
                candle = _step(lane.listing, path, last - minute, what)
                yield from _fifths(minute * MINUTE, candle) if fine else ((minute * MINUTE, candle),)

    def _days(self, lane: Lane, what: str, start_s: int, end_s: int) -> Iterator[tuple[int, Candle]]:
        """Weekdays before the minutes begin."""
        last = lane.begun_ns // NS_PER_S // DAY - MINUTES_FOR_DAYS
        minutes = self._path(lane.listing, "minutes", MOVE_PER_MINUTE, float(lane.listing.first_price))
        minutes.reach(MINUTES_FOR_DAYS * DAY // MINUTE)
        path = self._path(lane.listing, "days", MOVE_PER_DAY, minutes.closes[MINUTES_FOR_DAYS * DAY // MINUTE])
        for day in range(-(-start_s // DAY), min(end_s // DAY, last)):
            path.reach(last - day)
            if (day + 3) % 7 < 5:  # day 0 was a Thursday
                yield day * DAY + NOON, _step(lane.listing, path, last - day, what)

    def _path(self, listing: Listing, steps: str, move: float, first: float) -> _Path:
        key = (listing.con_id, steps)
        if key not in self._paths:
            self._paths[key] = _Path(Random(f"{self._seed}/{listing.name}/{steps}"), move, array("d", [first]), array("d"))
        return self._paths[key]


def _step(listing: Listing, path: _Path, ago: int, what: str) -> Candle:
    """The candle of the step that began so many steps before the first price."""
    step = float(listing.tick) / (5 if listing.is_fx else 1)
    begin, end = path.closes[ago], path.closes[ago - 1]
    up, down = path.wicks[2 * ago - 2], path.wicks[2 * ago - 1]
    reach = begin * path.move / 2
    low, high = (begin, end) if begin < end else (end, begin)
    below, above = _STEPS_OVER_BID[what]
    candle = Candle(
        round((round(begin / step) + below) * step, 9),
        round((round((high + reach * up) / step) + above) * step, 9),
        round((round((low - reach * down) / step) + below) * step, 9),
        round((round(end / step) + above) * step, 9),
    )
    if what in ("TRADES", "ADJUSTED_LAST"):
        candle.volume, candle.count = float(1 + int(500 * up)), 1 + int(50 * down)
        candle.value = candle.volume * (candle.high + candle.low) / 2
    return candle


def _fifths(minute_s: int, whole: Candle) -> Iterator[tuple[int, Candle]]:
    """A made-up minute in cells of five seconds: its price goes to one extreme, to the other, and to its close."""
    slots = MINUTE // CELL_S
    low_first = whole.open < whole.close
    turns = (whole.open, whole.low, whole.high, whole.close) if low_first else (whole.open, whole.high, whole.low, whole.close)
    legs = slots // 3
    points = [turns[i // legs] + (turns[i // legs + 1] - turns[i // legs]) * (i % legs) / legs for i in range(slots)]
    points = [round(point, 9) for point in (*points, whole.close)]
    for slot in range(slots):
        before, after = points[slot], points[slot + 1]
        part = Candle(before, max(before, after), min(before, after), after)
        part.volume, part.value, part.count = whole.volume / slots, whole.value / slots, -(-whole.count // slots)
        yield minute_s + slot * CELL_S, part


def _prices(candle: Candle) -> tuple[float, float, float, float]:
    return candle.open, candle.high, candle.low, candle.close


def _candle(prices: Iterable[float]) -> Candle:
    opened, high, low, close = prices
    return Candle(opened, high, low, close)


def _between(bid: Candle, ask: Candle) -> Candle:
    return _candle(round((b + a) / 2, 9) for b, a in zip(_prices(bid), _prices(ask), strict=True))


def _of(cell: Cell, what: str) -> Candle | None:
    if what in ("TRADES", "ADJUSTED_LAST"):
        return cell.trades
    if what == "BID_ASK":
        if cell.bid is None or cell.ask is None:
            return None
        return Candle(cell.bid.open, cell.ask.high, cell.bid.low, cell.ask.close)
    return {"MIDPOINT": cell.mid, "BID": cell.bid, "ASK": cell.ask}[what]


def _merged(start_s: int, candles: Iterable[Candle], what: str) -> PastBar:
    parts = list(candles)
    traded = what in ("TRADES", "ADJUSTED_LAST")
    volume = sum(part.volume for part in parts)
    value = sum(part.value for part in parts)
    return PastBar(
        start_s,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        volume if traded else -1.0,
        (round(value / volume, 9) if volume else parts[-1].close) if traded else -1.0,
        sum(part.count for part in parts) if traded else -1,
    )


def _bucket(at_s: int, seconds: int, listing: Listing) -> int:
    """Of a day, a week or a month: midnight UTC of its first day. An evening session belongs to the day on which it ends."""
    zone, opens = ZoneInfo(listing.hours.zone), listing.hours.sessions[0].opens
    local = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
    if opens.hour >= 12:
        local += timedelta(hours=24 - opens.hour, minutes=-opens.minute)
    day = local.date()
    if seconds == 30 * DAY:
        day = day.replace(day=1)
    ordinal = day.toordinal() - (day.weekday() if seconds == 7 * DAY else 0)
    return (ordinal - date(1970, 1, 1).toordinal()) * DAY


def told(start_s: int, seconds: int, format_date: int, zone: str) -> str:
    """A bar's time: the date for days and more, else epoch seconds (format 2) or local time and zone (format 1)."""
    if seconds >= DAY:
        return f"{datetime.fromtimestamp(start_s, UTC):%Y%m%d}"
    if format_date == 2:
        return str(start_s)
    return f"{datetime.fromtimestamp(start_s, UTC).astimezone(ZoneInfo(zone)):%Y%m%d %H:%M:%S} {zone}"


def loaded_cell(start_s: int, seconds: int, bid: Candle | None, ask: Candle | None, trades: Candle | None = None) -> Cell:
    """A bar of a recording as a cell; the mid lies between bid and ask."""
    mid = None
    if bid is not None and ask is not None:
        mid = _between(bid, ask)
    return Cell(start_s, seconds, bid, ask, mid, trades)
