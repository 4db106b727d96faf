"""What the market said: quotes, trades, the state of a feed and of its data, marks and bars.

`Quote`, `Trade` and `Bar` are the hot path: encoded as arrays, untracked by the garbage collector.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PriceType = Literal["bid", "ask", "mid", "last"]
FeedState = Literal[
    "connected", "disconnected", "heartbeat", "gap", "stale", "safe_mode", "finished", "filled", "live", "delayed"
]
DataState = Literal["live", "stale", "delayed"]


class Quote(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="q"):
    """Best bid and ask of one symbol. Written by feeds; read by barbuilder, tick strategies, the paper sender."""

    symbol: str
    ts_event_ns: int
    """When the venue says it happened, UTC."""
    ts_recv_ns: int
    """When our shell saw it; equals `ts_event_ns` where the book's clock is `feed`."""
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0

    @property
    def id(self) -> str:
        """`<symbol>.<ts_event_ns>`: the name other messages give as their `root`."""
        return f"{self.symbol}.{self.ts_event_ns}"


class Trade(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="t"):
    """One trade print. Written by feeds; read by barbuilder, tick strategies, the paper sender."""

    symbol: str
    ts_event_ns: int
    ts_recv_ns: int
    price: float
    size: float

    @property
    def id(self) -> str:
        """`<symbol>.<ts_event_ns>`: the name other messages give as their `root`."""
        return f"{self.symbol}.{self.ts_event_ns}"


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="fs"):
    """A change in a feed's health, or its heartbeat. Written by feeds; read by the gateway."""

    feed: str
    ts_event_ns: int
    state: FeedState
    symbol: str = ""
    """Empty: the whole feed."""
    dropped: int = 0
    """Ticks lost in a gap, oldest first, when the bus could not be reached."""
    detail: str = ""
    from_ns: int = 0
    """Of a gap, and of what filled it: what is missing happened after this time; 0: not known."""
    to_ns: int = 0
    """And before this one."""


class DataStatus(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="ds"):
    """Whether a symbol's prices may be traded on. Written by live feeds; read by the router, which opens nothing while they may
    not. Stands on the stream of marks, because it says what marks are worth."""

    symbol: str
    ts_event_ns: int
    feed: str
    state: DataState
    """live: they are current. stale: nothing is heard of it, or there is no connection. delayed: the broker sends prices of some
    minutes ago."""
    detail: str = ""


class Mark(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="m"):
    """Latest prices of one symbol, at most every 250 ms. Written by barbuilder; read by router, portfolio, gateway.

    A price that has not been seen is NaN.
    """

    symbol: str
    ts_event_ns: int
    bid: float
    ask: float
    last: float

    @property
    def price(self) -> float:
        """The price to value a position at: mid where both sides are known, else whatever is known (or NaN)."""
        mid = (self.bid + self.ask) / 2
        if mid == mid:
            return mid
        for price in (self.last, self.bid):
            if price == price:
                return price
        return self.ask


class Bar(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="b"):
    """One completed bar. Written by barbuilder (and by feeds that only deliver bars); read by strategies,
    portfolio, the paper sender, gateway. A bar is published once and never changed."""

    symbol: str
    interval: str
    """A duration such as `1m`, `5m`, `1h`, `1d`, `1w`; or a kind and its size, such as `tick:100`, `volume:5000`, `renko:10`."""
    price: PriceType
    ts_open_ns: int
    """Start of the bar's interval, inclusive; of a bar that is not made of time, when its first tick happened."""
    ts_close_ns: int
    """End of the bar's interval, exclusive; of a bar that is not made of time, when the tick happened that ended it. The bar's
    event time."""
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    """Traded size; 0 where the bar is made of quotes."""
    tick_count: int = 0
    """Ticks inside; 0 in a flat bar that fills a gap."""
    root: str = ""
    """Id of the tick that completed it, or of the feed's bar; empty where the clock did, or where the feed made the bar."""
    seq: int = 0
    """Number among the bars of one series that open at the same time; only bars that are not made of time have more than one."""

    @property
    def id(self) -> str:
        """The natural key: `<symbol>.<interval>.<price>.<ts_open_ns>`, with `.<seq>` where that is not 0."""
        key = f"{self.symbol}.{self.interval}.{self.price}.{self.ts_open_ns}"
        return f"{key}.{self.seq}" if self.seq else key


class BarRevised(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="br"):
    """A bar that was published without what happened in a gap, whole now, from the broker's history. Written by live feeds; read
    by portfolio and archive, for the record. To strategies, bar builder and paper exchange it is nothing: they have acted on the
    bar as it was."""

    feed: str
    ts_event_ns: int
    """When the feed asked for it."""
    bar: Bar
    """Its series and open say which bar it replaces; that may never have been published."""

    @property
    def id(self) -> str:
        """`<id of the bar>.revised.<ts_event_ns>`."""
        return f"{self.bar.id}.revised.{self.ts_event_ns}"
