"""Publishes the seeded market as if it were a broker's live feed: now, on the wall clock, whatever Redis does.

In:   the market's quotes up to the present.   Out: packed ticks, a heartbeat every 30 s, gaps announced.
Not:  waiting for readers; a live market does not.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from barque.bus.feed import FeedWriter, TickBuffer
from barque.bus.node_shell import pause_until
from barque.errors import ConfigError
from barque.messages import FeedStatus, Message, Topic
from barque.messages.market import FeedState
from barque.service import ServiceContext
from feed_replay.config import FeedReplayConfig
from simulators.market import Market

log = structlog.get_logger()
FEED = "feed.market"
POLL_S = 0.002
HEARTBEAT_S = 30.0


class MarketFeed:
    """One seeded market of one book."""

    def __init__(self, context: ServiceContext, config: FeedReplayConfig) -> None:
        if context.common.book.clock != "wall":
            raise ConfigError('key \'book.clock\': the market runs in real time; set clock = "wall", or source = "files"')
        if not config.market.symbols:
            raise ConfigError("key 'feed_replay.market.symbols' is required: symbol = first price")
        instruments = {symbol: context.common.instrument(symbol) for symbol in config.market.symbols}
        self._context = context
        self._market = Market(config.market.seed, config.market.ticks_per_s, config.market.symbols, instruments, time.time_ns())
        self._bus = context.bus()
        self._writer = FeedWriter(self._bus, FEED, context.service, context.health, context.stop)
        self._buffer = TickBuffer(FEED)
        self._state = b""

    async def run(self) -> None:
        """Until the service stops."""
        stop = self._context.stop
        try:
            if await self._context.until_available(FEED, self._writer.load) is None:
                return
            self._say("connected")
            producer = asyncio.create_task(self._produce(stop))
            try:
                while not stop.is_set():
                    await self._publish()
                    if not len(self._buffer):
                        await pause_until(stop, POLL_S)
            finally:
                producer.cancel()
        finally:
            await self._bus.close()

    async def _produce(self, stop: asyncio.Event) -> None:
        """The market goes on while a commit hangs; the buffer decides what is kept."""
        next_heartbeat = time.monotonic() + HEARTBEAT_S
        while not stop.is_set():
            self._buffer.offer(self._market.advance(time.time_ns()), time.monotonic())
            if time.monotonic() >= next_heartbeat:
                next_heartbeat += HEARTBEAT_S
                self._say("heartbeat")
            await asyncio.sleep(POLL_S)

    async def _publish(self) -> None:
        batch: list[Message] = self._buffer.take(time.time_ns())
        if batch and not await self._writer.write({Topic.TICKS: batch}, self._state) and not self._context.stop.is_set():
            raise ConfigError(f"another process feeds book '{self._bus.book}'; stop one of them")

    def _say(self, state: FeedState) -> None:
        status = FeedStatus(feed=FEED, ts_event_ns=time.time_ns(), state=state)
        self._buffer.offer([status], time.monotonic())
