"""Drives runners in tests: publishes, waits for rest, and always stops what it started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from barque.bus.feed import FeedWriter
from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.runner import RedisRunner
from barque.messages import Message, Topic
from barque.node import Node
from barque.observability.health import Health

OPTIONS = RunnerOptions(service="test", worker="w1", lockstep=True, feed_clock=True, clock_interval_ms=50)


@asynccontextmanager
async def running(
    bus: RedisBus, node: Node, options: RunnerOptions = OPTIONS, health: Health | None = None
) -> AsyncIterator[None]:
    """A Redis runner of `node` for the time of the block; what ends it for good is raised at the end."""
    stop = asyncio.Event()
    own = bus.another(options.lockstep)
    task = asyncio.create_task(RedisRunner(node, own, options, health or Health("test")).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await own.close()


async def writer(bus: RedisBus, feed: str = "feed.test") -> FeedWriter:
    """A loaded feed writer."""
    writer = FeedWriter(bus, feed, "test", Health("test"), asyncio.Event())
    await writer.load()
    return writer


async def publish(bus: RedisBus, topic: Topic, batches: Sequence[Sequence[Message]], feed: str = "feed.test") -> None:
    """One entry per batch."""
    feeding = await writer(bus, feed)
    for batch in batches:
        assert await feeding.write({topic: batch}, b"")


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 10.0) -> None:
    """Wait for `condition`; a test fails where it does not come."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 (the state is in another process)
            await asyncio.sleep(0.005)


async def at_rest(bus: RedisBus, *nodes: str) -> None:
    """Until these nodes have registered and nobody has anything to read."""

    async def resting() -> bool:
        return set(nodes) <= set(await bus.registered()) and await bus.whose_turn() == ""

    await until(resting)


async def said(bus: RedisBus, topic: Topic) -> list[Message]:
    """Every message on a topic."""
    return [message for entry in await bus.range(topic) for message in entry.messages()]
