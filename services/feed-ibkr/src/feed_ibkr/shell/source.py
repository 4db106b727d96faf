"""The Gateway as a source of market data.

In:   streams, questions about the past.   Out: quotes, trades, bars; what the Gateway says of itself and of each stream.
Not:  a decision; the feed's core makes them (`barque.live_feed`). Nothing is asked for again here of its own accord, but for one
      thing: where tick by tick is not to be had, level 1 is taken in its place.

Requests go past ib_async's own subscriptions: it would merge delayed and live prices, throw the venue's seconds away and keep
tickers for ever. Its decoder calls our taps.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import structlog
from ib_async import BarData

from barque.calendars import Calendar, calendar
from barque.config import load_section
from barque.errors import VenueRefused, VenueThrottled, VenueUnavailable
from barque.instruments import Instrument
from barque.live_feed.source import (
    Connected,
    HistoryPage,
    HistoryQuery,
    Lost,
    MarketMessage,
    Place,
    SafeMode,
    Sink,
    Subscription,
    SymbolNews,
    SymbolState,
)
from barque.messages import Quote, Trade
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.core.growing import GrowingBars
from feed_ibkr.core.history import NS_PER_S, Page, Told, bar_of, opened_at, pages_of
from feed_ibkr.core.level1 import RT_VOLUME, Level1, is_known, trade_of
from feed_ibkr.core.plan import WHAT_TO_SHOW, Stream, streams_of
from venues.ibkr.codes import Reaction, explain, reaction_of
from venues.ibkr.config import MARKET_DATA_TYPES, IbkrConfig
from venues.ibkr.contracts import ContractBook, Listing
from venues.ibkr.link import Link, Tap
from venues.ibkr.pacing import HistoryQuestion, Lane
from venues.ibkr.session import Degraded, Down, Notice, Restored, Safe, Session, SessionEvent, Up, backoff_s

log = structlog.get_logger()

_DATA_TYPES: dict[int, SymbolState] = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed"}
_REACTIONS: dict[Reaction, SymbolState] = {
    Reaction.DELAYED: "delayed",
    Reaction.NO_ENTITLEMENT: "not_entitled",
    Reaction.NO_LINE: "no_line",
    Reaction.DATA_STOLEN: "stolen",
    Reaction.RESUBSCRIBE: "dropped",
    Reaction.UNKNOWN_CONTRACT: "unknown",
}
BUST, MARKET_FARM_DOWN, MARKET_FARM_UP = 10225, 2103, 2104
ROLL_CHECK_S = 600.0
TICKS_PAGE = 1_000
HISTORY_S = 90.0
_SAID = re.compile(r": (\d{3,5}) (.*)", re.DOTALL)


class Line:
    """One request at the Gateway that brings data."""

    def __init__(self, number: int, streams: Sequence[Stream], cancel: Callable[[Any, int], None]) -> None:
        self.number, self.streams, self.cancel = number, streams, cancel
        symbol = streams[0].subscription.symbol
        self.symbol = symbol
        self.level1 = Level1(symbol)
        self.growing: GrowingBars | None = None
        self.claimed: set[str] = set()
        """Keys of subscriptions for whose sake it was asked."""
        self.kinds = {stream.subscription.kind for stream in streams}


class IbkrSource:
    """A `barque.live_feed.source.MarketSource`."""

    name = "ibkr"

    def __init__(
        self, feed: FeedIbkrConfig, config: IbkrConfig, instruments: Sequence[Instrument], asked: Sequence[str] = ()
    ) -> None:
        """`asked`: symbols of which only the past is wanted. Raises `ConfigError`."""
        self._streams = {stream.subscription.key: stream for stream in streams_of(feed, instruments)}
        self.subscriptions = [stream.subscription for stream in self._streams.values()]
        listened = {stream.subscription.symbol for stream in self._streams.values()} | set(asked)
        self._config = config = _only(config, listened)
        instruments = [each for each in instruments if each.symbol in listened]
        self._hours: Mapping[str, Calendar] = {each.symbol: calendar(each.calendar) for each in instruments}
        self._contracts = ContractBook(config, instruments)
        taps: dict[str, Tap] = {
            "priceSizeTick": self._on_price,
            "tickSize": self._on_size,
            "tickString": self._on_string,
            "tickByTickBidAsk": self._on_bid_ask,
            "tickByTickAllLast": self._on_last,
            "marketDataType": self._on_data_type,
            "realtimeBar": self._on_five_seconds,
            "historicalData": self._on_past_bar,
            "historicalDataUpdate": self._on_bar_update,
        }
        self._session = Session(config, config.feed_client_id, taps=taps, on_event=self._on_event)
        self._sink: Sink | None = None
        self._lines: dict[int, Line] = {}
        self._news: list[MarketMessage] = []
        self._missed: list[MarketMessage] = []
        self._dirty: set[int] = set()
        self._typed: object = None
        """The connection that knows which type of data we want."""
        self._downgraded: set[str] = set()
        self._listed: set[str] = set()
        """Symbols whose contracts are known."""
        self._farm_broken = False

    # -- the protocol ----------------------------------------------------------------------------------------------------

    async def connect(self, sink: Sink) -> None:
        """As `MarketSource.connect`."""
        self._sink = sink
        attempts = 0
        while True:
            try:
                await self._session.open()
                break
            except VenueUnavailable as error:
                attempts += 1
                sink.told(Lost(detail=str(error), attempts=attempts))
                if attempts == self._config.safe_after_attempts:
                    sink.told(SafeMode(detail=str(error), attempts=attempts))
                await asyncio.sleep(backoff_s(self._config, attempts, 0.5))
        await self._roll()

    async def subscribe(self, subscription: Subscription, after: Place | None) -> None:
        """As `MarketSource.subscribe`."""
        stream = self._streams[subscription.key]
        listing = await self._listing(subscription.symbol)
        how = "level1" if subscription.key in self._downgraded else stream.how
        if how == "level1":
            await self._ask_level1(subscription, listing)
        elif how == "tick_by_tick":
            await self._ask_tick_by_tick(stream, listing)
        elif how == "five_seconds":
            await self._ask_five_seconds(stream, listing)
        else:
            await self._ask_growing(stream, listing, after)

    async def history(self, query: HistoryQuery) -> AsyncIterator[HistoryPage]:
        """As `MarketSource.history`."""
        listing = await self._listing(query.symbol)
        if query.kind == "bars":
            for page in pages_of(query):
                yield await self._bars(query, listing, page)
        else:
            at_ns = query.from_ns
            while at_ns < query.to_ns:
                answer = await self._ticks(query, listing, at_ns)
                yield answer
                at_ns = answer.until_ns

    async def close(self) -> None:
        """As `MarketSource.close`."""
        await self._session.close()

    # -- asking ----------------------------------------------------------------------------------------------------------

    async def _ask_level1(self, subscription: Subscription, listing: Listing) -> None:
        """Quotes and trades of a symbol come over one line."""
        shared = [
            stream
            for key, stream in self._streams.items()
            if stream.subscription.symbol == subscription.symbol and (stream.how == "level1" or key in self._downgraded)
        ]
        for line in self._lines.values():
            if line.streams == shared and subscription.key not in line.claimed:
                line.claimed.add(subscription.key)  # it comes over this line already, which was asked for the other's sake
                return
        trades = any(stream.subscription.kind == "trades" for stream in shared)

        def put(client: Any, number: int) -> None:
            client.reqMktData(number, listing.contract(), "233" if trades else "", False, False, [])

        line = Line(0, shared, lambda client, number: client.cancelMktData(number))
        line.claimed.add(subscription.key)
        await self._ask(line, put)

    async def _ask_tick_by_tick(self, stream: Stream, listing: Listing) -> None:
        kind = "BidAsk" if stream.subscription.kind == "quotes" else "Last"

        def put(client: Any, number: int) -> None:
            client.reqTickByTickData(number, listing.contract(), kind, 0, False)

        await self._ask(Line(0, [stream], lambda client, number: client.cancelTickByTickData(number)), put)

    async def _ask_five_seconds(self, stream: Stream, listing: Listing) -> None:
        def put(client: Any, number: int) -> None:
            client.reqRealTimeBars(number, listing.contract(), 5, stream.what_to_show, stream.use_rth, [])

        await self._ask(Line(0, [stream], lambda client, number: client.cancelRealTimeBars(number)), put)

    async def _ask_growing(self, stream: Stream, listing: Listing, after: Place | None) -> None:
        wanted = stream.subscription
        now_ns = time.time_ns()
        from_ns = now_ns - 3_600 * NS_PER_S if after is None else after.ts_event_ns
        span = HistoryQuery(symbol=wanted.symbol, kind="bars", from_ns=from_ns, to_ns=now_ns, interval=wanted.interval)
        seconds = min((now_ns - from_ns) // NS_PER_S + 60, 30 * 86_400)
        first = next(pages_of(span))
        duration = f"{seconds} S" if seconds <= 86_400 else f"{-(-seconds // 86_400)} D"
        line = Line(0, [stream], lambda client, number: client.cancelHistoricalData(number))
        line.growing = GrowingBars(0 if after is None else after.ts_event_ns)

        def put(client: Any, number: int) -> None:
            what, rth = stream.what_to_show, stream.use_rth
            client.reqHistoricalData(number, listing.contract(), "", duration, first.bar_size, what, rth, 2, True, [])

        question = HistoryQuestion(str(listing.con_id), stream.what_to_show, first.bar_size, duration, "now")
        async with self._session.history.question(question):
            await self._ask(line, put)

    async def _ask(self, line: Line, put: Callable[[Any, int], None]) -> None:
        """Ask anew: what brought any of it so far is cancelled first."""
        keys = {stream.subscription.key for stream in line.streams}
        for old in [each for each in self._lines.values() if keys & {stream.subscription.key for stream in each.streams}]:
            del self._lines[old.number]
            await self._session.write(Lane.REQUEST, _cancels(old))
        link = self._session.link
        if self._typed is not link:
            kind = MARKET_DATA_TYPES[self._config.market_data_type]
            await self._session.write(Lane.REQUEST, lambda link: _client(link).reqMarketDataType(kind))
            self._typed = link

        def send(link: Link) -> None:
            client = _client(link)
            line.number = client.getReqId()
            self._lines[line.number] = line
            put(client, line.number)

        await self._session.write(Lane.REQUEST, send)

    async def _listing(self, symbol: str) -> Listing:
        await self._contracts.resolve(self._session, datetime.now(UTC).date(), [symbol])
        self._listed.add(symbol)
        return self._contracts.get(symbol)

    async def _roll(self) -> None:
        """Front months roll: whoever listens to the old one is to be subscribed anew."""
        symbols = {stream.subscription.symbol for stream in self._streams.values()}
        while True:
            await asyncio.sleep(ROLL_CHECK_S)
            await self.roll(symbols, datetime.now(UTC).date())

    async def roll(self, symbols: Set[str], today: date) -> None:
        """Look once."""
        try:
            changed = await self._contracts.resolve(self._session, today, symbols & self._listed)
        except VenueUnavailable as error:
            log.info("roll_not_checked", reason=str(error))
            return
        for listing in changed:
            self._tell(SymbolNews(symbol=listing.symbol, state="dropped", detail=f"rolled to {listing.local_symbol}"))

    # -- the past --------------------------------------------------------------------------------------------------------

    async def _bars(self, query: HistoryQuery, listing: Listing, page: Page) -> HistoryPage:
        what = WHAT_TO_SHOW[query.price]
        name = f"{page.bar_size} bars ({what}) of {query.symbol} until {page.end:%Y-%m-%d %H:%M:%S}"
        question = HistoryQuestion(str(listing.con_id), what, page.bar_size, page.duration, f"{page.end:%Y%m%d%H%M%S}")
        async with self._asking(name, question) as found:
            found += await self._session.ask(
                name,
                lambda ib: ib.reqHistoricalDataAsync(
                    listing.contract(), page.end, page.duration, page.bar_size, what, False, 2, False, [], 0
                ),
                timeout_s=HISTORY_S,
            )
        told = [(opened_at(bar.date, self._hours[query.symbol]), bar) for bar in found]
        whole = [(opened, bar) for opened, bar in told if opened and _is_whole(bar)]
        bars = [bar_of(query.symbol, query.interval, query.price, _told(opened, bar)) for opened, bar in whole]
        inside = [bar for bar in bars if query.from_ns <= bar.ts_open_ns < min(query.to_ns, page.until_ns)]
        return HistoryPage(messages=inside, until_ns=page.until_ns)

    async def _ticks(self, query: HistoryQuery, listing: Listing, from_ns: int) -> HistoryPage:
        what = "BID_ASK" if query.kind == "quotes" else "TRADES"
        start = datetime.fromtimestamp(from_ns // NS_PER_S, UTC)
        name = f"ticks ({what}) of {query.symbol} from {start:%Y-%m-%d %H:%M:%S}"
        question = HistoryQuestion(str(listing.con_id), what, "ticks", str(TICKS_PAGE), f"{start:%Y%m%d%H%M%S}")
        async with self._asking(name, question) as found:
            found += await self._session.ask(
                name,
                lambda ib: ib.reqHistoricalTicksAsync(listing.contract(), start, "", TICKS_PAGE, what, False, False, []),
                timeout_s=HISTORY_S,
            )
        ticks = [_tick_of(query.symbol, tick) for tick in found]
        until_ns = query.to_ns
        if len(ticks) >= TICKS_PAGE and ticks[-1].ts_event_ns < query.to_ns:  # its last second may go on on the next page
            until_ns = max(ticks[-1].ts_event_ns, from_ns // NS_PER_S * NS_PER_S + NS_PER_S)
        return HistoryPage(messages=[tick for tick in ticks if from_ns <= tick.ts_event_ns < until_ns], until_ns=until_ns)

    @asynccontextmanager
    async def _asking(self, name: str, question: HistoryQuestion) -> AsyncIterator[list[Any]]:
        """Paced; that there is nothing is an empty list, and that we were too fast a `VenueThrottled`."""
        found: list[Any] = []
        async with self._session.history.question(question):
            try:
                yield found
            except VenueRefused as error:
                said = _SAID.search(str(error))
                reaction = reaction_of(int(said[1]), said[2]) if said else Reaction.NOTE
                if reaction is Reaction.HISTORY_PACING:
                    pause_s = self._session.history.pause()
                    raise VenueThrottled(f"{name}: {error}", int(pause_s * 1_000)) from None
                if reaction is not Reaction.HISTORY_EMPTY:
                    raise

    # -- the session speaks ----------------------------------------------------------------------------------------------

    def _on_event(self, event: SessionEvent) -> None:
        if isinstance(event, Notice):
            self._on_notice(event)
        elif isinstance(event, Up):
            self._lines.clear()
            self._farm_broken = False
            self._session.ib.updateEvent += self._flush
            self._tell(Connected(detail=f"connection {event.number}"))
        elif isinstance(event, Down):
            self._lines.clear()
            self._tell(Lost(detail=event.detail, expected=bool(event.expected), attempts=event.attempts))
        elif isinstance(event, Safe):
            self._tell(SafeMode(detail=event.detail, attempts=event.attempts))
        elif isinstance(event, Degraded):
            self._tell(Lost(detail=event.detail))
        elif isinstance(event, Restored):
            if event.data_lost:
                self._lines.clear()
            self._tell(Connected(kept=not event.data_lost, detail=event.detail))

    def _on_notice(self, notice: Notice) -> None:
        if notice.code == MARKET_FARM_DOWN or (notice.code == MARKET_FARM_UP and self._farm_broken):
            self._farm_broken = notice.code == MARKET_FARM_DOWN
            self._tell(SymbolNews(symbol="", state="doubtful", detail=explain(notice.code, notice.text)))
            return
        line = self._lines.get(notice.number)
        if line is None:
            return
        detail = explain(notice.code, notice.text)
        if notice.reaction is Reaction.DOWNGRADE:
            self._downgraded |= {stream.subscription.key for stream in line.streams}
            log.warning("tick_by_tick_refused", symbol=line.symbol, detail=detail)
            self._lines.pop(notice.number)
            self._tell_of(line, "dropped", f"level 1 in its place: {detail}")
            return
        state: SymbolState | None = "dropped" if notice.code == BUST else _REACTIONS.get(notice.reaction)
        if notice.reaction is Reaction.HISTORY_PACING:
            self._session.history.pause()
            state = "dropped"
        if state is not None:
            if state in ("dropped", "not_entitled", "no_line", "unknown"):
                self._lines.pop(notice.number)
            self._tell_of(line, state, detail)

    def _tell_of(self, line: Line, state: SymbolState, detail: str) -> None:
        for stream in line.streams:
            self._tell(SymbolNews(symbol=line.symbol, state=state, detail=detail, key=stream.subscription.key))

    def _tell(self, event: Connected | Lost | SafeMode | SymbolNews) -> None:
        if self._sink is not None:
            self._sink.told(event)

    # -- data ------------------------------------------------------------------------------------------------------------

    def _on_data_type(self, number: int, kind: int) -> None:
        line = self._lines.get(number)
        if line is not None:
            self._tell_of(line, _DATA_TYPES.get(kind, "delayed"), f"market data type {kind}")

    def _on_price(self, number: int, tick: int, price: float, size: float) -> None:
        line = self._lines.get(number)
        if line is not None and "quotes" in line.kinds:
            self._news += line.level1.price(tick, price, size, time.time_ns())
            self._dirty.add(number)

    def _on_size(self, number: int, tick: int, size: float) -> None:
        line = self._lines.get(number)
        if line is not None and "quotes" in line.kinds:
            self._news += line.level1.size(tick, size, time.time_ns())
            self._dirty.add(number)

    def _on_string(self, number: int, tick: int, text: str) -> None:
        line = self._lines.get(number)
        if line is not None and tick == RT_VOLUME and "trades" in line.kinds:
            trade = trade_of(line.symbol, text, time.time_ns())
            if trade is not None:
                self._news.append(trade)

    def _on_bid_ask(self, number: int, at_s: int, bid: float, ask: float, bid_size: float, ask_size: float, *_: Any) -> None:
        line = self._lines.get(number)
        if line is not None and is_known(bid, ask):
            self._news.append(_quote(line.symbol, at_s, (bid, ask, bid_size, ask_size)))

    def _on_last(self, number: int, _kind: int, at_s: int, price: float, size: float, *_: Any) -> None:
        line = self._lines.get(number)
        if line is not None and is_known(price, size):
            self._news.append(_trade(line.symbol, at_s, price, size))

    def _on_five_seconds(
        self, number: int, at_s: int, open_: float, high: float, low: float, close: float, volume: float, _: float, count: int
    ) -> None:
        line = self._lines.get(number)
        if line is not None and is_known(open_, high, low, close):
            wanted = line.streams[0].subscription
            told = Told((at_s * NS_PER_S, 0), open_, high, low, close, volume, count)
            self._news.append(bar_of(wanted.symbol, wanted.interval, wanted.price, told))

    def _on_past_bar(self, number: int, bar: BarData) -> None:
        line = self._lines.get(number)
        if line is not None and line.growing is not None:
            wanted = line.streams[0].subscription
            opened = opened_at(bar.date, self._hours[wanted.symbol])
            if opened is not None and _is_whole(bar):
                ours = bar_of(wanted.symbol, wanted.interval, wanted.price, _told(opened, bar))
                self._missed += line.growing.past(ours)

    def _on_bar_update(self, number: int, bar: BarData) -> None:
        line = self._lines.get(number)
        if line is not None and line.growing is not None:
            wanted = line.streams[0].subscription
            opened = opened_at(bar.date, self._hours[wanted.symbol])
            if opened is not None and _is_whole(bar):
                self._news += line.growing.update(bar_of(wanted.symbol, wanted.interval, wanted.price, _told(opened, bar)))

    def _flush(self) -> None:
        """A packet has been read: what it said goes out."""
        now_ns = time.time_ns()
        for number in sorted(self._dirty):
            line = self._lines.get(number)
            if line is not None:
                self._news += line.level1.flush(now_ns)
        self._dirty.clear()
        missed, news = self._missed, self._news
        self._missed, self._news = [], []
        if self._sink is not None:
            if missed:
                self._sink.heard(missed, missed=True)
            if news:
                self._sink.heard(news)


def open_source(raw: Mapping[str, Any], instruments: Sequence[Instrument]) -> IbkrSource:
    """As `barque.live_feed.source.OpenSource`: reads `[feed_ibkr]` and `[ibkr]`."""
    return IbkrSource(load_section(raw, "feed_ibkr", FeedIbkrConfig), load_section(raw, "ibkr", IbkrConfig), instruments)


def open_history(raw: Mapping[str, Any], instruments: Sequence[Instrument], symbol: str) -> IbkrSource:
    """For questions about the past alone, with the client id of probes, so that a feed may run beside it."""
    config = load_section(raw, "ibkr", IbkrConfig)
    probing = msgspec.structs.replace(config, feed_client_id=config.probe_client_id, probe_client_id=config.feed_client_id)
    return IbkrSource(FeedIbkrConfig(), probing, instruments, (symbol,))


def _only(config: IbkrConfig, symbols: Set[str]) -> IbkrConfig:
    """Without contracts that are not listened to: what is wrong with those is no affair of ours."""
    contracts = tuple(each for each in config.contracts if each.symbol in symbols)
    return msgspec.structs.replace(config, contracts=contracts)


def _client(link: Link) -> Any:
    """ib_async's client has no types."""
    return link.ib.client


def _cancels(line: Line) -> Callable[[Link], None]:
    return lambda link: line.cancel(_client(link), line.number)


def _quote(symbol: str, at_s: int, figures: tuple[float, float, float, float]) -> Quote:
    bid, ask, bid_size, ask_size = figures
    return Quote(
        symbol=symbol,
        ts_event_ns=at_s * NS_PER_S,
        ts_recv_ns=time.time_ns(),
        bid=bid,
        ask=ask,
        bid_size=bid_size,
        ask_size=ask_size,
    )


def _trade(symbol: str, at_s: int, price: float, size: float) -> Trade:
    return Trade(symbol=symbol, ts_event_ns=at_s * NS_PER_S, ts_recv_ns=time.time_ns(), price=price, size=size)


def _tick_of(symbol: str, tick: Any) -> Quote | Trade:
    at_s = round(tick.time.timestamp())
    if hasattr(tick, "priceBid"):
        return _quote(symbol, at_s, (tick.priceBid, tick.priceAsk, tick.sizeBid, tick.sizeAsk))
    return _trade(symbol, at_s, tick.price, tick.size)


def _is_whole(bar: BarData) -> bool:
    """All four of its prices are known."""
    return is_known(bar.open, bar.high, bar.low, bar.close)


def _told(opened: tuple[int, int], bar: BarData) -> Told:
    return Told(opened, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.barCount)
