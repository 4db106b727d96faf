"""What a source of market data is: the protocol that every broker's feed implements, and what it reports.

In:   subscriptions, questions about the past.
Out:  quotes, trades and bars as messages of ours, and what the source knows about itself and about each symbol.
Not:  a decision. A source never judges whether a symbol is stale, never asks again by itself, never fills a gap; `FeedCore`
      does. It may say a tick twice and late; it must not invent one. It reconnects by itself and says so.

Foreign objects never pass a source. Errors of `barque.errors`: `VenueUnavailable` while there is no session, `VenueThrottled`
where the broker asks us to slow down, `VenueRefused` where it said no.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from barque.instruments import Instrument
from barque.messages import Bar, Quote, Trade
from barque.messages.market import PriceType

DataKind = Literal["quotes", "trades", "bars"]
MarketMessage: TypeAlias = Quote | Trade | Bar

SymbolState = Literal["live", "delayed", "frozen", "dropped", "doubtful", "no_line", "not_entitled", "stolen", "unknown"]
"""live: the broker says that its data are current. delayed, frozen: it sends data, of some minutes ago or of the last close.
dropped: it has ended the subscription. doubtful: something happened to it on the way, it may be dead. no_line: too many
subscriptions. not_entitled: the account has no permission. stolen: another session of the same user takes the data.
unknown: no such contract."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of one symbol that is to come."""

    symbol: str
    kind: DataKind
    interval: str = ""
    """Of bars."""
    price: PriceType = "last"
    """Of bars."""
    exact_times: bool = True
    """Event times are the venue's, so that a tick is known again by its time; otherwise they are when we heard of it."""
    resumes: bool = False
    """After a silence the source brings what was missed, from the `Place` on: there is nothing to be filled."""
    tick_history: bool = True
    """`history` gives quotes and trades of it, not only bars."""

    bar_prices: tuple[PriceType, ...] = ()
    """Of quotes and trades: which bars of the past there are; empty: bid and ask of quotes, last of trades."""

    @property
    def prices(self) -> tuple[PriceType, ...]:
        """Of the bars of the past that stand for it."""
        if self.kind == "bars":
            return (self.price,)
        return self.bar_prices or (("bid", "ask") if self.kind == "quotes" else ("last",))

    @property
    def key(self) -> str:
        """Its name: `EURUSD.quotes`, `EURUSD.bars.1m.bid`."""
        return f"{self.symbol}.bars.{self.interval}.{self.price}" if self.kind == "bars" else f"{self.symbol}.{self.kind}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a subscription has been published: the event time of its newest message, and how many of that time."""

    ts_event_ns: int
    repeats: int = 1


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The past of one symbol: what happened (of bars: opened) in [from, to)."""

    symbol: str
    kind: DataKind
    from_ns: int
    to_ns: int
    interval: str = "1m"
    price: PriceType = "bid"


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of it, oldest first, and the time up to which it is now whole."""

    messages: Sequence[MarketMessage]
    until_ns: int


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The session works (again). `kept`: the broker says that the subscriptions live on."""

    kept: bool = False
    detail: str = ""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """There is no session, or it has no data; the source tries to get it back."""

    detail: str
    expected: bool = False
    """It is the time of the day or week at which the broker restarts."""
    attempts: int = 0
    """Failed attempts so far."""


class SafeMode(msgspec.Struct, frozen=True, kw_only=True):
    """So many attempts have failed that a person should look; the source goes on trying, slowly."""

    detail: str
    attempts: int


class SymbolNews(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says of a symbol's subscriptions, or of all there are where `symbol` is empty."""

    symbol: str
    state: SymbolState
    detail: str = ""
    key: str = ""
    """Of this one alone."""


SourceEvent: TypeAlias = Connected | Lost | SafeMode | SymbolNews


class Sink(Protocol):
    """Where a source puts what it hears. Called from the event loop that called `connect`."""

    def heard(self, messages: Sequence[MarketMessage], missed: bool = False) -> None:
        """The market said this. `missed`: while we were away; a minute of it is never torn apart."""
        ...

    def told(self, event: SourceEvent) -> None:
        """The source says this of itself."""
        ...

    def room(self) -> int:
        """How many messages fit now; a source that polls waits where there is none."""
        ...


class MarketSource(Protocol):
    """One broker's market data."""

    @property
    def name(self) -> str:
        """`ibkr`, `mt5`: a word for logs and metrics."""
        ...

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """All that is to come, as configured; known before connecting."""
        ...

    async def connect(self, sink: Sink) -> None:
        """Have a session, keep it and say what becomes of it: runs until it is cancelled.

        Raises `ConfigError` for what no attempt will mend.
        """
        ...

    async def subscribe(self, subscription: Subscription, after: Place | None) -> None:
        """Let it come; where it came already, anew. `after`: what was published of it; None: begin with the present."""
        ...

    def history(self, query: HistoryQuery) -> AsyncIterator[HistoryPage]:
        """The past, page by page, as slowly as the broker wants it."""
        ...

    async def close(self) -> None:
        """End the session; `connect` is cancelled before."""
        ...


OpenSource: TypeAlias = Callable[[Mapping[str, Any], Sequence[Instrument]], MarketSource]
"""What an entry point of group `barque.market_sources` names: `(configuration file, instruments) -> MarketSource`, not connected.

The source reads its own sections out of the file's table and raises `ConfigError`.
"""
