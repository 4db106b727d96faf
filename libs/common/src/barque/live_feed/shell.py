"""Drives a source of market data and writes what it says to the bus.

In:   a `MarketSource`, its configuration, the wall clock.
Out:  `Quote`, `Trade`, `FeedStatus` on `ticks`, `Bar`, `BarRevised` on `bars`, `DataStatus` on `marks`, `Alert` on `alerts`;
      each once, with the feed's own place in the same commit.
Not:  decisions (`FeedCore`), and no waiting for readers: a live market does not wait. What cannot be written for too long is
      dropped, counted and announced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
import structlog

from barque.bus.feed import FeedWriter
from barque.calendars import calendar
from barque.errors import BarqueError, ConfigError, VenueError, VenueThrottled
from barque.intervals import interval_of
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.core import SECOND_NS, Act, FeedCore, Fill, Say, Subscribe, Warn
from barque.live_feed.filling import inside, queries_of, query_of, trading_time
from barque.live_feed.intake import Intake
from barque.live_feed.metrics import FeedMetrics
from barque.live_feed.outbox import Outbox
from barque.live_feed.recent import MINUTE_NS, RecentBars
from barque.live_feed.revising import Revise
from barque.live_feed.source import (
    Connected,
    HistoryQuery,
    Lost,
    MarketMessage,
    MarketSource,
    SafeMode,
    SourceEvent,
    Subscription,
    SymbolNews,
)
from barque.live_feed.state import FeedPlaces, decode
from barque.messages import Bar, BarRevised, FeedStatus, Message, Quote, Topic
from barque.service import ServiceContext

log = structlog.get_logger()
TIME_S = 0.25
"""How often the core is told the time."""
DRAIN_S = 3.0
HISTORY_TRIES = 4
SPARE_FRACTION = 4
"""A source that polls leaves one in so many places of the buffer free, for what is heard in the meantime."""


class LiveFeed:
    """One feed of one book; the `Sink` of its source."""

    def __init__(self, context: ServiceContext, source: MarketSource, config: LiveFeedConfig) -> None:
        """Raises `ConfigError` where the book or the symbols do not fit."""
        if context.common.book.clock != "wall":
            raise ConfigError(f"key 'book.clock': {context.service} is a live feed; set clock = \"wall\"")
        if not source.subscriptions:
            raise ConfigError(f"{context.service} has no subscriptions; name at least one symbol in its section")
        self.feed = f"feed.{source.name}"
        self._context, self._source, self._config = context, source, config
        self._hours = {each.symbol: calendar(context.common.instrument(each.symbol).calendar) for each in source.subscriptions}
        self._core = FeedCore(self.feed, config, source.subscriptions, self._hours)
        self._metrics = FeedMetrics(context.service, self.feed)
        self._outbox = Outbox(self.feed, config.buffer_ticks, config.buffer_s)
        self._intake = Intake(self._core, self._metrics, self._say, self._do)
        self._places = FeedPlaces()
        self._bus = context.bus()
        self._given_up = asyncio.Event()
        """What is still waiting for the bus is not written any more."""
        self._writer = FeedWriter(self._bus, self.feed, context.service, context.health, self._given_up)
        self._recent = {each.symbol: _recent_of(each, config.recent_bars) for each in reversed(source.subscriptions)}
        self._wake = asyncio.Event()
        self._ending = False
        self._asked: asyncio.Queue[Subscription] = asyncio.Queue()
        self._to_ask: set[str] = set()
        self._fills: asyncio.Queue[Fill | Revise] = asyncio.Queue()
        self._holding: dict[str, tuple[Fill, float]] = {}
        """Of subscriptions that are held back: for which fill, and since when."""
        context.health.show("recent", self.recent)

    async def run(self) -> None:
        """Until the service stops."""
        try:
            blob = await self._context.until_available(self.feed, self._writer.load)
            if blob is not None:
                self._begin(blob)
                await self._work()
        finally:
            await self._bus.close()

    def recent(self, symbol: str) -> dict[str, Any] | None:
        """The last bars of a symbol and whether they are old; None: the feed has no such symbol. From any thread."""
        kept = self._recent.get(symbol)
        if kept is None:
            return None
        rows = [[bar.ts_open_ns, bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in kept.bars()]
        names = {"symbol": symbol, "feed": self.feed, "interval": kept.interval, "price": kept.price}
        columns = ["ts_open_ns", "open", "high", "low", "close", "volume"]
        return {**names, "stale": self._core.stale(symbol), "columns": columns, "bars": rows}

    # -- the source speaks -----------------------------------------------------------------------------------------------

    def heard(self, messages: Sequence[MarketMessage], missed: bool = False) -> None:
        """As `Sink.heard`."""
        self._intake.take(messages, time.time_ns(), missed)

    def told(self, event: SourceEvent) -> None:
        """As `Sink.told`."""
        component, health = f"{self.feed}.session", self._context.health
        if isinstance(event, Connected):
            health.ready(component)
            log.info("feed_connected", feed=self.feed, kept=event.kept, detail=event.detail)
            if not event.kept:
                self._intake.renewed()
        elif isinstance(event, SymbolNews):
            log.info("symbol_news", feed=self.feed, symbol=event.symbol, state=event.state, detail=event.detail)
        elif health.not_ready(component, event.detail) or isinstance(event, SafeMode):
            expected = isinstance(event, Lost) and event.expected
            log.warning("feed_disconnected", feed=self.feed, reason=event.detail, attempts=event.attempts, expected=expected)
        self._do(self._core.told(event, time.time_ns()))

    def room(self) -> int:
        """As `Sink.room`."""
        return max(self._outbox.ticks.room - self._config.buffer_ticks // SPARE_FRACTION, 0)

    def _say(self, messages: Sequence[MarketMessage], whole: bool) -> None:
        if messages:
            for message in messages:
                self._recent[message.symbol].hear(message)
            self._outbox.market(messages, time.monotonic(), whole)
            self._wake.set()

    # -- what the core wants ---------------------------------------------------------------------------------------------

    def _do(self, acts: Sequence[Act]) -> None:
        for act in acts:
            if isinstance(act, Say):
                if isinstance(act.status, FeedStatus):
                    self._outbox.market([act.status], time.monotonic())
                else:
                    self._outbox.put(Topic.MARKS, act.status)
            elif isinstance(act, Warn):
                log.warning("alert", name=act.alert.name, severity=act.alert.severity, text=act.alert.text)
                self._outbox.put(Topic.ALERTS, act.alert)
            elif isinstance(act, Subscribe):
                self._ask_for(act.subscription)
            elif isinstance(act, Revise) or not act.ahead:
                self._fills.put_nowait(act)
            else:
                self._hold_for(act)
        if acts:
            self._wake.set()

    def _hold_for(self, fill: Fill) -> None:
        """What comes now waits for the history before it; of two gaps in a row both are filled at once."""
        key = fill.subscription.key
        before = self._holding.get(key)
        if before is not None:
            fill = msgspec.structs.replace(fill, from_ns=before[0].from_ns)
        self._holding[key] = fill, before[1] if before is not None else time.monotonic()
        self._intake.hold(key)
        self._fills.put_nowait(fill)

    def _give_up_waiting(self) -> None:
        """History that does not come does not hold the present back for long."""
        for fill, since in list(self._holding.values()):
            if time.monotonic() - since >= self._config.backfill_wait_s:
                self._finish(fill, [], f"history did not answer within {self._config.backfill_wait_s:g} s")

    def _ask_for(self, subscription: Subscription) -> None:
        """Unless it is to be asked for already."""
        if subscription.key not in self._to_ask:
            self._to_ask.add(subscription.key)
            self._asked.put_nowait(subscription)

    async def _subscribe(self) -> None:
        """One after the other, as the source lets us."""
        while True:
            subscription = await self._asked.get()
            self._to_ask.discard(subscription.key)
            published = self._places.published.get(subscription.key)
            self._intake.renewed(subscription.key)
            try:
                await self._source.subscribe(subscription, published.place if published is not None else None)
            except ConfigError as error:
                self.told(SymbolNews(symbol=subscription.symbol, state="unknown", detail=str(error)))
            except VenueThrottled as error:
                await asyncio.sleep(error.retry_after_ms / 1_000)
                self._ask_for(subscription)
            except VenueError as error:
                log.warning("subscribe_failed", feed=self.feed, subscription=subscription.key, reason=str(error))
                if error.disposition == "reject":
                    self.told(SymbolNews(symbol=subscription.symbol, state="not_entitled", detail=str(error)))
            else:
                log.info("subscribed", feed=self.feed, subscription=subscription.key)

    async def _fill(self) -> None:
        """One gap after the other; when there is none, the bars of the past that people may want to see."""
        unseeded = list(self._recent) if self._config.recent_bars else []
        while True:
            if unseeded and self._fills.empty() and self._core.connected:
                await self._seed(unseeded.pop(0))
                continue
            try:
                async with asyncio.timeout(1.0 if unseeded else None):
                    fill = await self._fills.get()
            except TimeoutError:
                continue
            await (self._revise(fill) if isinstance(fill, Revise) else self._fill_one(fill))

    async def _revise(self, revise: Revise) -> None:
        """Ask for bars that were published incomplete; whoever keeps the record is told of them as they are."""
        count = 0
        for price in revise.subscription.prices:
            query = query_of(revise, price)
            found, trouble = await self._ask(query)
            now_ns = time.time_ns()
            for bar in inside(query, found):
                if isinstance(bar, Bar):
                    count += 1
                    self._outbox.put(Topic.BARS, BarRevised(feed=self.feed, ts_event_ns=now_ns, bar=bar))
            if trouble:
                break
        about = {"subscription": revise.subscription.key, "interval": revise.interval, "bars": count, "trouble": trouble}
        log.info("bars_revised", feed=self.feed, **about)
        self._do(self._core.revised(revise, trouble, now_ns))
        self._wake.set()

    def _is_superseded(self, fill: Fill) -> bool:
        """Nobody waits for it any more."""
        return fill.ahead and self._holding.get(fill.subscription.key, (None,))[0] is not fill

    async def _fill_one(self, fill: Fill) -> None:
        if self._is_superseded(fill):
            return
        found: list[MarketMessage] = []
        trouble = ""
        for query in queries_of(fill, self._config.backfill_intervals):
            part, trouble = await self._ask(query)
            found += inside(query, part)
            if trouble:
                break
        if not self._is_superseded(fill):
            self._finish(fill, found, trouble)

    def _finish(self, fill: Fill, found: Sequence[MarketMessage], trouble: str) -> None:
        if fill.ahead:
            del self._holding[fill.subscription.key]
            count = self._intake.release(fill.subscription.key, found, fill)
        else:
            bars = sorted((m for m in found if isinstance(m, Bar)), key=lambda bar: (bar.ts_close_ns, bar.interval, bar.price))
            self._say(bars, True)
            count = len(bars)
        log.info("gap_filled", feed=self.feed, subscription=fill.subscription.key, messages=count, trouble=trouble)
        self._do(self._core.filled(fill, count, trouble, time.time_ns()))

    async def _ask(self, query: HistoryQuery) -> tuple[list[MarketMessage], str]:
        """The past, and what was wrong; asks again where the broker is busy or away."""
        trouble = ""
        for attempt in range(HISTORY_TRIES):
            found: list[MarketMessage] = []
            try:
                async for page in self._source.history(query):
                    found += page.messages
                return found, ""
            except BarqueError as error:
                trouble = str(error)
                if error.disposition != "retry":
                    break
                pause_s = error.retry_after_ms / 1_000 if isinstance(error, VenueThrottled) else 2.0**attempt
            log.warning("history_failed", feed=self.feed, symbol=query.symbol, kind=query.kind, reason=trouble, retry_s=pause_s)
            if attempt + 1 < HISTORY_TRIES:
                await asyncio.sleep(pause_s)
        return [], trouble

    async def _seed(self, symbol: str) -> None:
        """The newest trading day first, since that is what people look at; then what is still missing of the days before."""
        kept = self._recent[symbol]
        length_ns = interval_of(kept.interval).interval_ns * self._config.recent_bars
        try:
            for from_ns, to_ns in trading_time(self._hours[symbol], time.time_ns() // MINUTE_NS * MINUTE_NS, length_ns):
                query = HistoryQuery(
                    symbol=symbol, kind="bars", from_ns=from_ns, to_ns=to_ns, interval=kept.interval, price=kept.price
                )
                found = [bar async for page in self._source.history(query) for bar in page.messages if isinstance(bar, Bar)]
                kept.seed(found)
        except BarqueError as error:
            log.info("recent_bars_unknown", feed=self.feed, symbol=symbol, reason=str(error))

    # -- the loops -------------------------------------------------------------------------------------------------------

    def _begin(self, blob: bytes) -> None:
        self._places = decode(blob)
        published = self._places.published
        self._intake.begin(self._source.subscriptions, published)
        self._do(self._core.begin({name: each.ts_event_ns for name, each in published.items()}, time.time_ns()))

    async def _work(self) -> None:
        """All loops side by side until the service stops or one of them fails; then what is left is written."""
        publishing = asyncio.create_task(self._publish())
        loops: list[Coroutine[Any, Any, object]] = [self._source.connect(self), self._watch(), self._subscribe(), self._fill()]
        tasks: list[asyncio.Task[Any]] = [publishing, *(asyncio.create_task(loop) for loop in loops)]
        tasks.append(asyncio.create_task(self._context.stop.wait()))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            await self._drain(publishing)
        finally:
            self._given_up.set()
            await _end(tasks)
            await self._source.close()

    async def _drain(self, publishing: asyncio.Task[Any]) -> None:
        """Say that it ends, and write what there is."""
        self._do(self._core.end(time.time_ns()))
        self._ending = True
        self._wake.set()
        await asyncio.wait((publishing,), timeout=DRAIN_S)
        if not publishing.done():
            log.warning("feed_not_drained", feed=self.feed, ticks=len(self._outbox.ticks))

    async def _watch(self) -> None:
        """The core hears the time, the metrics what it thinks."""
        while True:
            self._do(self._core.on_time(time.time_ns()))
            self._give_up_waiting()
            self._metrics.connected.set(self._core.connected)
            self._metrics.reconnects.set(self._core.reconnects)
            self._metrics.stale.set(self._core.stale_symbols)
            self._metrics.dropped.set(self._outbox.ticks.dropped)
            await asyncio.sleep(TIME_S)

    async def _publish(self) -> None:
        """What waits, in one commit after another."""
        while True:
            outputs = self._outbox.take(time.time_ns())
            if outputs:
                await self._write(outputs)
            elif self._ending:
                return
            else:
                await self._wake.wait()
                self._wake.clear()

    async def _write(self, outputs: dict[Topic, list[Message]]) -> None:
        oldest_ns = min((m.ts_recv_ns for m in outputs.get(Topic.TICKS, ()) if not isinstance(m, FeedStatus)), default=0)
        for topic in (Topic.TICKS, Topic.BARS):
            self._places.advance(outputs.get(topic, ()))
        if not await self._writer.write(outputs, self._places.encode()):
            if not self._given_up.is_set():
                raise ConfigError(f"another process feeds book '{self._bus.book}' as {self.feed}; stop one of them")
            return
        now_ns = time.time_ns()
        if oldest_ns:
            self._metrics.publish.observe((now_ns - oldest_ns) / SECOND_NS)
        for (kind, symbol), (first_ns, last_ns) in self._outbox.ticks.take_lost().items():
            key = f"{symbol}.quotes" if kind is Quote else f"{symbol}.trades"
            self._do(self._core.lost(key, first_ns, last_ns, now_ns))


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel them until they have ended: `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes with its result."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


def _recent_of(subscription: Subscription, length: int) -> RecentBars:
    if subscription.kind == "bars":
        return RecentBars(subscription.symbol, subscription.price, subscription.interval, length)
    return RecentBars(subscription.symbol, "bid" if subscription.kind == "quotes" else "last", "1m", length)
