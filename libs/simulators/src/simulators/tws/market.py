"""The simulated market: per listing a lane with its quote, its last trade, its day, and its past in cells of five seconds.

In:   quotes and trades of a script or of a random walk, with their time.   Out: what orders match against and desks show.
Not:  a clock; who puts a quote says when it happened. Not an order book: one price and size per side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from simulators.tws.catalogue import Catalogue
from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing

CELL_S = 5
MAX_CELLS = 2_880
"""Of one listing: four hours of them; older ones are joined to minutes."""
MAX_MINUTES = 10_080
"""A week of them."""
MAX_TICKS = 5_000


class Candle(msgspec.Struct):
    """Open, high, low, close, volume, count, and sum of price × size, of one kind of price."""

    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    count: int = 0
    value: float = 0.0

    def take(self, price: float, size: float = 0.0) -> None:
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        if size:
            self.volume, self.count, self.value = self.volume + size, self.count + 1, self.value + price * size

    def join(self, later: Candle) -> None:
        """And what came after it."""
        self.high, self.low, self.close = max(self.high, later.high), min(self.low, later.low), later.close
        self.volume, self.count, self.value = self.volume + later.volume, self.count + later.count, self.value + later.value


class Cell(msgspec.Struct):
    """What five seconds (or a loaded minute) held; a kind of price that did not occur is None."""

    start_s: int
    seconds: int = CELL_S
    bid: Candle | None = None
    ask: Candle | None = None
    mid: Candle | None = None
    trades: Candle | None = None

    def join(self, later: Cell) -> None:
        for kind in ("bid", "ask", "mid", "trades"):
            mine, other = getattr(self, kind), getattr(later, kind)
            if mine is None:
                setattr(self, kind, other)
            elif other is not None:
                mine.join(other)


class Tick(msgspec.Struct, frozen=True):
    """A quote or a trade as it happened; a trade has `price`."""

    time_ns: int
    bid: float = 0.0
    ask: float = 0.0
    bid_size: float = 0.0
    ask_size: float = 0.0
    price: float = 0.0
    size: float = 0.0


class Lane:
    """One listing's market."""

    def __init__(self, listing: Listing, now_ns: int) -> None:
        self.listing = listing
        first = float(listing.first_price)
        self.bid, self.ask = first, float(listing.first_price + listing.tick)
        self.bid_size = self.ask_size = 1_000_000.0 if listing.is_fx else 100.0
        self.last = self.last_size = 0.0
        self.last_ns = 0
        self.volume = self.value = 0.0
        self.open = self.high = self.low = 0.0
        self.close = first
        """Of the day before."""
        self.switched: bool | None = None
        """Opened or closed by hand; None: always open, or by its hours where the simulator keeps them."""
        self.was_open = True
        """As its subscribers were last told."""
        self.halted = False
        """Nothing trades, the quote stands."""
        self.cells: deque[Cell] = deque()
        self.minutes: deque[Cell] = deque(maxlen=MAX_MINUTES)
        self.ticks: deque[Tick] = deque(maxlen=MAX_TICKS)
        self.loaded: list[Cell] = []
        """History that a test gave, older than the cells."""
        self.begun_ns = now_ns

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2 if self.bid > 0 and self.ask > 0 else self.last or self.close

    def exact(self, is_buy: bool) -> Decimal | None:
        """The price that a market order gets; None without a quote."""
        price, size = (self.ask, self.ask_size) if is_buy else (self.bid, self.bid_size)
        return Decimal(repr(price)) if price > 0 and size > 0 else None

    def quote(self, tick: Tick) -> None:
        self.bid, self.ask, self.bid_size, self.ask_size = tick.bid, tick.ask, tick.bid_size, tick.ask_size
        self.ticks.append(tick)
        if tick.bid > 0 and tick.ask > 0:
            cell, mid = self.cell(tick.time_ns), self.mid
            cell.bid = _taken(cell.bid, tick.bid)
            cell.ask = _taken(cell.ask, tick.ask)
            cell.mid = _taken(cell.mid, mid)
            if not self.open:
                self.open = self.high = self.low = mid
            self.high, self.low = max(self.high, mid), min(self.low, mid)

    def trade(self, tick: Tick) -> None:
        self.last, self.last_size, self.last_ns = tick.price, tick.size, tick.time_ns
        self.volume, self.value = self.volume + tick.size, self.value + tick.size * tick.price
        self.high, self.low = max(self.high, tick.price), min(self.low or tick.price, tick.price)
        self.open = self.open or tick.price
        self.ticks.append(tick)
        cell = self.cell(tick.time_ns)
        cell.trades = _taken(cell.trades, tick.price, tick.size)

    def cell(self, now_ns: int) -> Cell:
        """The one under way, begun where need be with the last prices."""
        start_s = now_ns // NS_PER_S // CELL_S * CELL_S
        if not self.cells or self.cells[-1].start_s < start_s:
            self.cells.append(Cell(start_s))
            if len(self.cells) > MAX_CELLS:
                self._put_away(self.cells.popleft())
        return self.cells[-1]

    def _put_away(self, cell: Cell) -> None:
        minute_s = cell.start_s // 60 * 60
        if not self.minutes or self.minutes[-1].start_s < minute_s:
            self.minutes.append(Cell(minute_s, 60))
        self.minutes[-1].join(cell)


def _taken(candle: Candle | None, price: float, size: float = 0.0) -> Candle:
    if candle is None:
        candle = Candle(price, price, price, price)
    candle.take(price, size)
    return candle


class Market:
    """All lanes; a lane begins when somebody asks for it."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], int], keep_hours: bool) -> None:
        self.catalogue = catalogue
        self._clock = clock
        self._keep_hours = keep_hours
        self._lanes: dict[int, Lane] = {}

    def lane(self, listing: Listing) -> Lane:
        if listing.con_id not in self._lanes:
            lane = self._lanes[listing.con_id] = Lane(listing, self._clock())
            lane.was_open = self.is_open(lane)
        return self._lanes[listing.con_id]

    def named(self, name: str) -> Lane:
        return self.lane(self.catalogue.named(name))

    def mid(self, listing: Listing) -> Decimal:
        """For valuation."""
        return Decimal(repr(round(self.lane(listing).mid, 9)))

    def is_open(self, lane: Lane) -> bool:
        if lane.switched is not None:
            return lane.switched
        return not self._keep_hours or lane.listing.hours.open_at(self._clock())

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))
