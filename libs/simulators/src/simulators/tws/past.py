"""History: bars of any size from what happened, what a test loaded, and, before that, a past made up from the seed.

In:   a lane, a stretch of time, a bar size, a kind of price.   Out: bars in time order, none where the market was closed.
Not:  ticks; the quote desk has the last of them.

The made-up past is a random walk backwards from the listing's first price, minute by minute: the same seed gives the same past,
and it joins what happens later without a step. What happens since the simulator began is in the lane's cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import exp
from zoneinfo import ZoneInfo

import msgspec

from simulators.market.chance import seeded
from simulators.tws.catalogue import Listing
from simulators.tws.hours import NS_PER_S
from simulators.tws.market import Candle, Cell, Lane

MINUTE = 60
DAY = 86_400
SPREAD_STEPS = 2
MOVE_PER_MINUTE = 1.9e-4
BAR_SIZES = {
    "1 secs": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30,
    "1 min": 60, "2 mins": 120, "3 mins": 180, "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1200, "30 mins": 1800,
    "1 hour": 3600, "2 hours": 7200, "3 hours": 10800, "4 hours": 14400, "8 hours": 28800,
    "1 day": DAY, "1 week": 7 * DAY, "1W": 7 * DAY, "1 month": 30 * DAY, "1M": 30 * DAY,
}  # fmt: skip
DURATIONS = {"S": 1, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
KINDS = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST")


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


class Past:
    """The made-up part, of all listings."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._closes: dict[int, list[float]] = {}

    def bars(self, lane: Lane, what: str, seconds: int, start_s: int, end_s: int, rth: bool = False) -> list[PastBar]:
        """Bars that begin in [start, end)."""
        zone = ZoneInfo(lane.listing.hours.zone)
        buckets: dict[int, list[Candle]] = {}
        for cell in self.cells(lane, start_s, end_s, rth):
            candle = _of(cell, what)
            if candle is not None:
                key = cell.start_s // seconds * seconds if seconds < DAY else _bucket(cell.start_s, seconds, zone)
                buckets.setdefault(key, []).append(candle)
        return [_merged(start, candles, what) for start, candles in sorted(buckets.items())]

    def cells(self, lane: Lane, start_s: int, end_s: int, rth: bool) -> Iterator[Cell]:
        """Everything known of [start, end), oldest first."""
        begun_s = lane.begun_ns // NS_PER_S
        hours = lane.listing.liquid_hours if rth else lane.listing.hours
        edge = lane.loaded[0].start_s if lane.loaded else begun_s
        if start_s < edge:
            yield from self._made_up(lane, start_s, min(end_s, edge), rth)
        for cell in (*lane.loaded, *lane.cells):
            if start_s <= cell.start_s < end_s and (not rth or hours.open_at(cell.start_s * NS_PER_S)):
                yield cell

    def _made_up(self, lane: Lane, start_s: int, end_s: int, rth: bool) -> Iterator[Cell]:
        listing = lane.listing
        hours = listing.liquid_hours if rth else listing.hours
        last = lane.begun_ns // NS_PER_S // MINUTE
        days = (end_s - start_s) // DAY + 3
        for opens, closes in hours.around(start_s * NS_PER_S - DAY * NS_PER_S, days + 2):
            first_s = max(int(opens.timestamp()), -(-start_s // MINUTE) * MINUTE)
            for minute in range(first_s // MINUTE, min(int(closes.timestamp()), end_s, last * MINUTE) // MINUTE):
                yield self._minute(listing, minute, last)

    def _minute(self, listing: Listing, minute: int, last: int) -> Cell:
        closes = self._closes.setdefault(listing.con_id, [float(listing.first_price)])
        while len(closes) <= last - minute:
            chance = seeded(self._seed, listing.name, last - len(closes))
            closes.append(closes[-1] * exp(-MOVE_PER_MINUTE * chance.normal()))
        step = float(listing.tick) / (5 if listing.is_fx else 1)
        begin, end = closes[last - minute], closes[last - minute - 1]
        chance = seeded(self._seed, listing.name, minute, "wick")
        reach = begin * MOVE_PER_MINUTE / 2
        prices = (begin, max(begin, end) + reach * chance.uniform(), min(begin, end) - reach * chance.uniform(), end)
        low, high = (_candle(round(round(p / step + by) * step, 9) for p in prices) for by in (0, SPREAD_STEPS))
        mid = _between(low, high)
        trades = None
        if not listing.is_fx:
            trades = Candle(*_prices(low))
            trades.volume, trades.count = float(1 + int(chance.uniform() * 500)), 1 + int(chance.uniform() * 50)
            trades.value = trades.volume * (trades.high + trades.low) / 2
        return Cell(minute * MINUTE, MINUTE, low, high, mid, trades)


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


def _bucket(at_s: int, seconds: int, zone: ZoneInfo) -> int:
    """Of a day, a week or a month: midnight UTC of the first day of it, by the date in the market's zone."""
    day = datetime.fromtimestamp(at_s, UTC).astimezone(zone).date()
    if seconds == 30 * DAY:
        day = day.replace(day=1)
    ordinal = day.toordinal() - (day.weekday() if seconds == 7 * DAY else 0)
    return (ordinal - datetime(1970, 1, 1, tzinfo=UTC).toordinal()) * DAY


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
