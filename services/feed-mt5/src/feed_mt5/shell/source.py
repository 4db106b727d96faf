"""A terminal of MetaTrader 5 as a source of market data.

In:   symbols; the terminal's ticks, asked for again and again.   Out: quotes, trades, in order, each once, none left out.
Not:  a decision; the feed's core makes them (`barque.live_feed`).

The terminal keeps every tick, so a poll brings all since the last one however long ago that was: after an outage, or after a
restart of this process from the place that was published.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from random import uniform
from typing import Any

import numpy as np
import structlog

from barque.calendars import calendar
from barque.config import load_section
from barque.errors import ConfigError, VenueRefused, VenueUnavailable, nearest
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.live_feed.source import (
    Connected,
    DataKind,
    HistoryPage,
    HistoryQuery,
    Lost,
    MarketMessage,
    Place,
    SafeMode,
    Sink,
    Subscription,
    SymbolNews,
)
from feed_mt5.config import FeedMt5Config
from feed_mt5.core import rows as messages
from feed_mt5.core.cursor import Cursor, Rows
from venues.mt5 import session as mt5
from venues.mt5.config import Mt5Config
from venues.mt5.session import Mt5Session, SessionEvent

log = structlog.get_logger()
PAGE = 2_000
"""Ticks of one poll; more where one second has more."""
NS_PER_S, NS_PER_MS = 10**9, 10**6
FULL_S = 0.05
"""So long we wait where the bus is so far behind that nothing fits."""
IDLE_S = 0.05
LONGEST_WAIT_S = 60.0


class Poll:
    """One symbol: where it is, and when it is asked next."""

    def __init__(self, symbol: str, interval_s: float) -> None:
        self.symbol = symbol
        self.cursors: dict[DataKind, Cursor] = {}
        self.interval_s = interval_s
        self.due = 0.0
        self.page = PAGE


class Mt5Source:
    """A `barque.live_feed.source.MarketSource`."""

    name = "mt5"

    def __init__(
        self,
        feed: FeedMt5Config,
        config: Mt5Config,
        instruments: Sequence[Instrument],
        open_session: Callable[..., Mt5Session] = Mt5Session,
    ) -> None:
        """Raises `ConfigError`."""
        known = {each.symbol: each for each in instruments}
        for symbol in feed.symbols:
            if symbol not in known:
                raise ConfigError(f"symbol '{symbol}' has no [[instruments]] entry; {nearest(symbol, list(known))}")
        kinds: list[tuple[str, DataKind]] = [(s, "quotes") for s in feed.symbols] + [(s, "trades") for s in feed.trades]
        self.subscriptions = [
            Subscription(symbol=symbol, kind=kind, resumes=True, bar_prices=("bid",) if kind == "quotes" else ("last",))
            for symbol, kind in kinds
        ]
        self._feed, self._config = feed, config
        self._hours = {symbol: calendar(known[symbol].calendar) for symbol in feed.symbols}
        self._instruments = [known[symbol] for symbol in feed.symbols]
        self._open_session = open_session
        self._session: Mt5Session | None = None
        self._polls = {symbol: Poll(symbol, feed.poll_min_s) for symbol in feed.symbols}
        self._sink: Sink | None = None
        self._up_ns = 0
        """What happened before, we have missed."""

    # -- the protocol ----------------------------------------------------------------------------------------------------

    async def connect(self, sink: Sink) -> None:
        """As `MarketSource.connect`."""
        self._sink = sink
        attempts, wait_s = 0, mt5.FIRST_WAIT_S
        while True:
            session = self._open_session(self._config, self._instruments, self._on_event)
            self._session = session
            try:
                await session.open()
                break
            except (VenueUnavailable, VenueRefused) as error:
                attempts += 1
                self._tell(Lost(detail=str(error), attempts=attempts))
                if attempts == mt5.SAFE_MODE_AFTER or isinstance(error, VenueRefused):  # asking a refused login often locks it
                    self._tell(SafeMode(detail=str(error), attempts=attempts))
                    wait_s = LONGEST_WAIT_S
                await asyncio.sleep(wait_s * uniform(0.8, 1.2))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        await self._poll_all()

    async def subscribe(self, subscription: Subscription, after: Place | None) -> None:
        """As `MarketSource.subscribe`. What has been polled already goes on where it was."""
        session = self._the_session()
        venue_symbol = session.symbols[subscription.symbol].venue_symbol
        if not await session.client.select(venue_symbol):
            raise ConfigError(f"'{venue_symbol}' cannot be put into the terminal's Market Watch")
        poll = self._polls[subscription.symbol]
        if subscription.kind not in poll.cursors:
            poll.cursors[subscription.kind] = await self._begin(session, venue_symbol, subscription.kind, after)
        poll.interval_s, poll.due = self._feed.poll_min_s, 0.0

    async def history(self, query: HistoryQuery) -> AsyncIterator[HistoryPage]:
        """As `MarketSource.history`."""
        frame = messages.timeframe_of(query) if query.kind == "bars" else 0
        for from_ns, to_ns in messages.pages_of(query):
            session = self._the_session()
            venue_symbol = session.symbols[query.symbol].venue_symbol
            if frame:
                found: Sequence[MarketMessage] = await self._bars(session, venue_symbol, query, frame, (from_ns, to_ns))
            else:
                found = await self._ticks(session, venue_symbol, query, from_ns, to_ns)
            yield HistoryPage(messages=found, until_ns=to_ns)

    async def close(self) -> None:
        """As `MarketSource.close`."""
        if self._session is not None:
            await self._session.close()

    # -- polling ---------------------------------------------------------------------------------------------------------

    async def _begin(self, session: Mt5Session, venue_symbol: str, kind: DataKind, after: Place | None) -> Cursor:
        """After what was published; else after the newest tick that there is."""
        if after is not None:
            oldest_ns = time.time_ns() - int(self._feed.backfill_max_s * NS_PER_S)
            if after.ts_event_ns >= oldest_ns:
                return Cursor(session.clock.to_wall_ms(after.ts_event_ns), after.repeats)
            return Cursor(session.clock.to_wall_ms(oldest_ns))
        newest = await session.client.tick(venue_symbol)
        if newest is None or not newest.time_msc:
            return Cursor(session.clock.to_wall_ms(time.time_ns()))
        cursor = Cursor(newest.time_msc)
        rows = await session.client.ticks_from(venue_symbol, newest.time_msc // 1_000, PAGE)
        if rows is not None and len(rows):
            cursor.take(_of(kind, rows))
        return cursor

    async def _poll_all(self) -> None:
        """Whoever is due, the longest waiting first. Calls into the terminal follow one another anyway."""
        while True:
            session, now = self._session, time.monotonic()
            due = [poll for poll in self._polls.values() if poll.cursors and poll.due <= now]
            if session is None or not session.up or not due:
                waits = [poll.due - now for poll in self._polls.values() if poll.cursors]
                await asyncio.sleep(max(min([IDLE_S, *waits]), 0.001) if session is not None and session.up else IDLE_S)
                continue
            for poll in sorted(due, key=lambda each: each.due):
                try:
                    await self._poll(session, poll)
                except VenueUnavailable as error:  # the session has noticed, and says so
                    log.info("poll_failed", symbol=poll.symbol, reason=str(error))
                    await asyncio.sleep(IDLE_S)
                    break

    async def _poll(self, session: Mt5Session, poll: Poll) -> None:
        room = self._sink.room() if self._sink is not None else 0
        if room < poll.page:
            poll.due = time.monotonic() + FULL_S
            return
        began = time.monotonic()
        venue_symbol = session.symbols[poll.symbol].venue_symbol
        wall_s = min(cursor.wall_ms for cursor in poll.cursors.values()) // 1_000
        rows = await session.client.ticks_from(venue_symbol, wall_s, poll.page)
        if rows is None:
            self._tell(SymbolNews(symbol=poll.symbol, state="unknown", detail=f"the terminal has no ticks of {venue_symbol}"))
            poll.due = began + self._feed.poll_closed_s
            return
        news = self._take(session, poll, rows)
        full = len(rows) >= poll.page
        poll.page = 2 * poll.page if full and not news else PAGE
        self._schedule(poll, began, bool(news), full)

    def _take(self, session: Mt5Session, poll: Poll, rows: Rows) -> int:
        """Hand on what is new, what was missed apart from what is fresh; how many."""
        now_ns, count = time.time_ns(), 0
        for kind, cursor in poll.cursors.items():
            fresh = cursor.take(_of(kind, rows))
            if not len(fresh) or self._sink is None:
                continue
            count += len(fresh)
            utc_ns = session.clock.to_utc_ns_of_rows(fresh["time_msc"], now_ns)
            make = messages.quotes_of if kind == "quotes" else messages.trades_of
            found: Sequence[MarketMessage] = make(poll.symbol, fresh, utc_ns, now_ns)
            missed = int(np.searchsorted(utc_ns, self._up_ns))
            if missed:
                self._sink.heard(found[:missed], missed=True)
            if missed < len(found):
                self._sink.heard(found[missed:])
        return count

    def _schedule(self, poll: Poll, began: float, news: bool, full: bool) -> None:
        """Sooner where it speaks, later where it is quiet, at once where there is more."""
        feed = self._feed
        poll.interval_s = max(feed.poll_min_s, poll.interval_s / 2) if news else min(feed.poll_max_s, poll.interval_s * 1.25)
        wait_s = poll.interval_s
        if not news and not self._hours[poll.symbol].is_open(time.time_ns()):
            wait_s = feed.poll_closed_s
        poll.due = began if full else began + wait_s

    # -- the past --------------------------------------------------------------------------------------------------------

    async def _ticks(
        self, session: Mt5Session, venue_symbol: str, query: HistoryQuery, from_ns: int, to_ns: int
    ) -> Sequence[MarketMessage]:
        first_s, last_s = (session.clock.to_wall_ms(at_ns) // 1_000 for at_ns in (from_ns, to_ns))
        rows = await session.client.ticks_between(venue_symbol, first_s, last_s + 1)
        if rows is None:
            raise VenueRefused(f"the terminal has no ticks of {venue_symbol}")
        rows = _of(query.kind, rows)
        utc_ns = session.clock.to_utc_ns_of_rows(rows["time_msc"], from_ns)
        inside = (utc_ns >= from_ns) & (utc_ns < to_ns)
        make = messages.quotes_of if query.kind == "quotes" else messages.trades_of
        return make(query.symbol, rows[inside], utc_ns[inside], time.time_ns())

    async def _bars(
        self, session: Mt5Session, venue_symbol: str, query: HistoryQuery, frame: int, span: tuple[int, int]
    ) -> Sequence[MarketMessage]:
        first_s, last_s = (session.clock.to_wall_ms(at_ns) // 1_000 for at_ns in span)
        rows = await session.client.rates_between(venue_symbol, frame, first_s, last_s)
        if rows is None:
            raise VenueRefused(f"the terminal has no bars of {venue_symbol}")
        seconds = _seconds(query)
        opened_ns, closed_ns = (session.clock.to_utc_ns_of_rows((rows["time"] + s) * 1_000, span[0]) for s in (0, seconds))
        bars = messages.bars_of(query, rows, opened_ns, closed_ns)
        return [bar for bar in bars if span[0] <= bar.ts_open_ns < span[1]]

    # -- the session speaks ----------------------------------------------------------------------------------------------

    def _on_event(self, event: SessionEvent) -> None:
        if isinstance(event, mt5.SessionUp):
            self._up_ns = time.time_ns()
            account = event.account
            self._tell(Connected(detail=f"account {account.login} at {account.server}, session {event.number}"))
        elif isinstance(event, mt5.SessionLost):
            self._tell(Lost(detail=event.detail))
        elif isinstance(event, mt5.SafeMode):
            self._tell(SafeMode(detail=event.detail, attempts=event.attempts))
        else:
            log.info("mt5_session", said=type(event).__name__, detail=getattr(event, "detail", ""))

    def _tell(self, event: Connected | Lost | SafeMode | SymbolNews) -> None:
        if self._sink is not None:
            self._sink.told(event)

    def _the_session(self) -> Mt5Session:
        if self._session is None or not self._session.up:
            raise VenueUnavailable(f"{self._config.where}: there is no session")
        return self._session


def open_source(raw: Mapping[str, Any], instruments: Sequence[Instrument]) -> Mt5Source:
    """As `barque.live_feed.source.OpenSource`: reads `[feed_mt5]` and `[mt5]`."""
    return Mt5Source(load_section(raw, "feed_mt5", FeedMt5Config), load_section(raw, "mt5", Mt5Config), instruments)


def open_history(raw: Mapping[str, Any], instruments: Sequence[Instrument], symbol: str) -> Mt5Source:
    """For questions about the past alone."""
    return Mt5Source(FeedMt5Config(symbols=(symbol,)), load_section(raw, "mt5", Mt5Config), instruments)


def _of(kind: DataKind, rows: Rows) -> Rows:
    return messages.rows_of("trades" if kind == "trades" else "quotes", rows)


def _seconds(query: HistoryQuery) -> int:
    return interval_of(query.interval).interval_ns // NS_PER_S
