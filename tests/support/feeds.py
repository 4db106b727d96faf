"""A live feed in this process, over a real Valkey, with what it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from barque.bus.redis_bus import RedisBus
from barque.config import RedisConfig, load_common
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.shell import LiveFeed
from barque.live_feed.source import MarketSource
from barque.messages import Alert, Bar, DataStatus, FeedStatus, Message, Quote, Topic, Trade
from barque.observability.health import Health
from barque.service import ServiceContext

QUICK: dict[str, Any] = {"pause_after_s": 0.5, "settle_s": 0.2, "verify_s": 1.0, "stale_after_s": 60.0, "recent_bars": 0}
"""As patient as a test."""


def an_instrument(symbol: str, **changes: Any) -> dict[str, Any]:
    """An `[[instruments]]` entry of a currency pair that never closes."""
    base: dict[str, Any] = {
        "symbol": symbol,
        "currency": symbol[3:] or "USD",
        "base_currency": symbol[:3],
        "tick_size": "0.00001" if not symbol.endswith("JPY") else "0.001",
        "calendar": "24/7",
    }
    return base | changes


class RunningFeed:
    """One feed while it runs."""

    def __init__(
        self, bus: RedisBus, feed: LiveFeed, context: ServiceContext, ended: asyncio.Task[None], source: MarketSource
    ) -> None:
        self.bus, self.feed, self.context, self.ended = bus, feed, context, ended
        self.source = source

    async def said(self, topic: Topic) -> list[Message]:
        """Every message of a topic so far."""
        found: list[Message] = []
        after = "-"
        while entries := await self.bus.range(topic, after, count=5_000):
            after = entries[-1].entry_id
            found += [message for entry in entries for message in entry.messages()]
        return found

    async def quotes(self, symbol: str = "") -> list[Quote]:
        return [m for m in await self.said(Topic.TICKS) if isinstance(m, Quote) and symbol in ("", m.symbol)]

    async def trades(self) -> list[Trade]:
        return [m for m in await self.said(Topic.TICKS) if isinstance(m, Trade)]

    async def bars(self) -> list[Bar]:
        return [m for m in await self.said(Topic.BARS) if isinstance(m, Bar)]

    async def states(self, symbol: str | None = None) -> list[str]:
        """Statuses in their order, heartbeats aside."""
        said = [m for m in await self.said(Topic.TICKS) if isinstance(m, FeedStatus) and m.state != "heartbeat"]
        return [m.state for m in said if symbol is None or m.symbol == symbol]

    async def fitness(self, symbol: str) -> list[str]:
        """What the router was told of a symbol."""
        return [m.state for m in await self.said(Topic.MARKS) if isinstance(m, DataStatus) and m.symbol == symbol]

    async def alerts(self) -> list[str]:
        return [m.name for m in await self.said(Topic.ALERTS) if isinstance(m, Alert)]

    async def until(self, holds: Callable[[], Any], what: str, within_s: float = 15.0) -> None:
        """Wait until `holds()`, awaited where need be, is true."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if self.ended.done():
                self.ended.result()
            if asyncio.get_running_loop().time() > deadline:
                said = [m for m in await self.said(Topic.TICKS) if isinstance(m, FeedStatus)]
                raise AssertionError(f"{what} did not happen within {within_s:g} s; said: {said[-8:]}")
            await asyncio.sleep(0.02)

    async def until_live(self, symbol: str, within_s: float = 15.0) -> None:
        async def live() -> bool:
            return (await self.fitness(symbol))[-1:] == ["live"]

        await self.until(live, f"{symbol} live", within_s)


@asynccontextmanager
async def running_feed(
    valkey: RedisConfig,
    book: str,
    raw: Mapping[str, Any],
    open_source: Callable[..., MarketSource],
    section: str,
    kind: type[LiveFeedConfig],
) -> AsyncIterator[RunningFeed]:
    """The feed that a configuration means, from its start to its orderly end."""
    redis = {"url": valkey.url, "password_file": str(valkey.password_file)}
    table = {**raw, "redis": redis, "book": {"name": book}}
    common = load_common(table)
    context = ServiceContext(section.replace("_", "-"), "test", table, common, Health(section))
    source = open_source(table, common.instruments)
    feed = LiveFeed(context, source, context.section(section, kind))
    bus = await RedisBus.connect(valkey, book)
    task = asyncio.create_task(feed.run())
    try:
        yield RunningFeed(bus, feed, context, task, source)
        if task.done():
            task.result()
    finally:
        context.stop.set()
        await asyncio.wait((task,), timeout=10)
        await bus.close()
        assert task.done(), "the feed did not end"


def bars_of(messages: Sequence[Message]) -> list[Bar]:
    """The bars among them."""
    return [message for message in messages if isinstance(message, Bar)]
