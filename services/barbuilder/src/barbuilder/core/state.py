"""The bar builder's whole state: one value, written whole with every commit, a few hundred bytes per symbol.

    State ── Market (a symbol) ── Tape (its quotes, or its trades) ── Window (an interval) ── Lane (a price)

A quote is a pair (low, high) = (bid, ask); a trade is the pair (price, price). So one set of rules serves both.
"""

from __future__ import annotations

from math import nan

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

    With an unchanged configuration this is `saved` itself. A new bar starts empty and at the newest tick; one no longer
    configured is forgotten.
    """
    for symbol, market in fresh.markets.items():
        known = saved.markets.get(symbol)
        if known is None:
            continue
        for tape, before in ((market.quotes, known.quotes), (market.trades, known.trades)):
            windows = {_key(window): window for window in before.windows}
            for window in tape.windows:
                window.open_ns = before.ts_ns
            before.windows = [windows.get(_key(window), window) for window in tape.windows]
        fresh.markets[symbol] = known
    return State(fresh.markets, fresh.counters | saved.counters)


def _key(window: Window) -> tuple[str, ...]:
    return window.interval, *(lane.price for lane in window.lanes)
