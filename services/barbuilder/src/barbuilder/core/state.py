"""The bar builder's whole state: one value, written whole with every commit, a few hundred bytes per symbol.

    State ── Market (a symbol) ─┬─ Tape (its quotes, or its trades) ─┬─ Window (an interval of time) ── Lane (a price)
                                │                                    └─ Run (an interval that is none of time, and a price)
                                └─ Rollup (an interval of time made of shorter bars, and a price)

A quote is a pair (low, high) = (bid, ask); a trade is the pair (price, price). So one set of rules serves both.
"""

from __future__ import annotations

from math import nan
from typing import TypeVar

import msgspec

from barque.messages.market import PriceType

NEVER_NS = -(2**63)
"""Before all times."""


class Lane(msgspec.Struct, array_like=True, gc=False):
    """One price of an open bar. Its close is not here: it is the tape's newest tick."""

    price: PriceType
    open: float = nan
    high: float = nan
    low: float = nan
    close: float = nan
    """Of the bar published last."""


class Window(msgspec.Struct, array_like=True, gc=False):
    """The open bar of one interval, or, while `is_open` is false, the end of the last one."""

    interval: str
    interval_ns: int
    lanes: list[Lane]
    is_open: bool = False
    open_ns: int = NEVER_NS
    """A tick before this is late: the open bar's start, or the last bar's end."""
    end_ns: int = NEVER_NS
    """A tick from here on belongs to a later bar."""
    first_ns: int = NEVER_NS
    """Event time of the earliest tick inside."""
    count_before: int = 0
    """The tape's count without the ticks of this bar: `tape.count - count_before` are inside."""
    volume: float = 0.0
    days: str = ""
    """How the days are cut that its buckets are counted in (`barbuilder.core.grids`)."""


class Run(msgspec.Struct, array_like=True, gc=False):
    """The open bar of one price that ends when something has happened, or, while `is_open` is false, the last one."""

    interval: str
    price: PriceType
    is_open: bool = False
    open_ns: int = NEVER_NS
    """Event time of its first tick."""
    seq: int = 0
    """Its number among the bars that opened at the same time."""
    open: float = nan
    high: float = nan
    low: float = nan
    close: float = nan
    volume: float = 0.0
    value: float = 0.0
    """Traded value so far, of `value` bars."""
    tick_count: int = 0
    brick: tuple[int, int] | None = None
    """Bottom and top of the last brick, in bricks, of `renko` bars. Before the first: the lines around the first price."""
    restarts: int = 0
    """Jumps too long to be bricks, of `renko` bars."""


class Part(msgspec.Struct, array_like=True, gc=False):
    """An open bar, as far as the shorter bars go that it is made of."""

    open_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    tick_count: int


class Rollup(msgspec.Struct, array_like=True, gc=False):
    """The bars of one price that are made of shorter bars."""

    interval: str
    interval_ns: int
    price: PriceType
    days: str = ""
    source: str = ""
    """The interval of the bars they are made of; empty: the shortest that the feed brings."""
    heard_ns: int = 0
    """The length of those bars, once known."""
    until_ns: int = 0
    """A bar that opens before this is late: the end of the last one taken, or of the last bar published."""
    done_ns: int = 0
    """End of the newest bar of this very series, ours or the feed's; what ends no later is an echo."""
    part: Part | None = None
    """The open bar."""
    echo_ns: int = 0
    """End of the newest echo: what comes a second time, the feed has brought."""
    yielded: bool = False
    """The feed brings this very series; nothing is made any more."""


class Tape(msgspec.Struct, array_like=True, gc=False):
    """The good ticks of one kind of one symbol. The newest by event time is the one that counts."""

    windows: list[Window] = []
    ts_ns: int = NEVER_NS
    low: float = nan
    high: float = nan
    count: int = 0
    """Good ticks since the book began, late ones too."""
    suspects: list[tuple[float, float]] = []
    """Consecutive spikes that agree with one another: perhaps a new level."""
    runs: list[Run] = []


class Closes(msgspec.Struct, array_like=True, gc=False):
    """Newest closes of a symbol whose feed delivers only bars, each with its bar's event time."""

    bid: float = nan
    bid_ns: int = NEVER_NS
    ask: float = nan
    ask_ns: int = NEVER_NS
    last: float = nan
    last_ns: int = NEVER_NS
    count: int = 0


class Market(msgspec.Struct, array_like=True, gc=False):
    """All that is known of one symbol."""

    quotes: Tape
    trades: Tape
    closes: Closes
    mark_due_ns: int = NEVER_NS
    """No mark before this time."""
    marked: int = 0
    """`news` when the last mark was made; it is news again when they differ."""
    rollups: list[Rollup] = []
    """Shorter ones first, so that what one of them makes is there for the next."""
    inverted: dict[str, int] = {}
    """Of the inverse of a symbol whose feed brings bars: series -> end of its newest bar."""

    @property
    def ticked(self) -> bool:
        """It has had a good tick; from then on bars of this symbol are our own."""
        return self.quotes.count + self.trades.count > 0

    @property
    def news(self) -> int:
        """Grows with everything that may change the mark."""
        return self.quotes.count + self.trades.count + self.closes.count


class State(msgspec.Struct, array_like=True, gc=False):
    """Everything the node remembers."""

    markets: dict[str, Market]
    counters: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode(state: State) -> bytes:
    """The state as bytes; equal states give equal bytes."""
    return _encoder.encode(state)


def decode(blob: bytes) -> State:
    """The state that `encode` wrote."""
    return _decoder.decode(blob)


def adopt(fresh: State, saved: State) -> State:
    """`fresh` (what the configuration asks for) with all that `saved` knows of the same symbols, intervals and prices.

    With an unchanged configuration this is `saved` itself. A new bar starts empty and at the newest tick; one that is no
    longer configured, or whose days are cut in another way, is forgotten.
    """
    for symbol, market in fresh.markets.items():
        known = saved.markets.get(symbol)
        if known is None:
            continue
        for tape, before in ((market.quotes, known.quotes), (market.trades, known.trades)):
            for window in tape.windows:
                window.open_ns = before.ts_ns
            before.windows = _kept(tape.windows, before.windows)
            before.runs = _kept(tape.runs, before.runs)
        known.rollups = _kept(market.rollups, known.rollups)
        fresh.markets[symbol] = known
    return State(fresh.markets, fresh.counters | saved.counters)


Series = TypeVar("Series", Window, Run, Rollup)


def _kept(wanted: list[Series], before: list[Series]) -> list[Series]:
    """`wanted`, each as it was before where it was there."""
    known = {_key(series): series for series in before}
    return [known.get(_key(series), series) for series in wanted]


def _key(series: Window | Run | Rollup) -> tuple[str, ...]:
    match series:
        case Window():
            return series.interval, series.days, *(lane.price for lane in series.lanes)
        case Run():
            return series.interval, series.price
        case Rollup():
            return series.interval, series.days, series.price, series.source
