"""What every runner promises: the same node says the same over Redis, over Postgres and in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from barque.bus.ledger import LedgerRunner
from barque.bus.memory import MemoryRunner
from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.messages import DeadLetter, Message, Topic
from barque.observability.health import Health
from barque.postgres.projector import Handled, Scope
from tests.support.builders import NS, T0, a_quote
from tests.support.driving import OPTIONS, at_rest, publish, running, said
from tests.support.nodes import TallyNode
from tests.support.servers import begin_book

QUOTES = [[a_quote(T0 + i * NS + j, bid=1.0 + i + j) for j in range(3)] for i in range(40)]
"""Forty entries of three quotes."""


class NoRows:
    """A projector of a node without rows."""

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        assert batch


def in_memory(batches: Sequence[Sequence[Message]]) -> list[Message]:
    heard: list[Message] = []
    runner = MemoryRunner([TallyNode()], lambda source, topic, m: heard.append(m) if topic is not Topic.TICKS else None)
    for batch in batches:
        runner.publish("feed.test", [(Topic.TICKS, m) for m in batch])
    return heard


async def test_redis_says_what_memory_says(bus: RedisBus) -> None:
    async with running(bus, TallyNode()):
        await publish(bus, Topic.TICKS, QUOTES)
        await at_rest(bus, "tally")
    marks = await said(bus, Topic.MARKS)
    assert marks == in_memory(QUOTES)
    assert (marks[-1].bid, marks[-1].ask) == (120.0, sum(q.bid for batch in QUOTES for q in batch))


async def test_postgres_says_what_memory_says(bus: RedisBus, database: PostgresConfig, connection: asyncpg.Connection) -> None:
    await begin_book(bus, connection)
    stop = asyncio.Event()
    task = asyncio.create_task(LedgerRunner(TallyNode(), NoRows(), bus, database, OPTIONS, Health("test")).run(stop))
    await publish(bus, Topic.TICKS, QUOTES)
    await at_rest(bus, "tally")
    stop.set()
    await task
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def test_a_runner_that_starts_again_goes_on_where_the_last_one_stopped(bus: RedisBus) -> None:
    for part in (QUOTES[:15], QUOTES[15:16], QUOTES[16:]):
        async with running(bus, TallyNode()):
            await publish(bus, Topic.TICKS, part)
            await at_rest(bus, "tally")
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def test_two_runners_of_one_node_say_everything_once(bus: RedisBus) -> None:
    async with running(bus, TallyNode()), running(bus, TallyNode()):
        await publish(bus, Topic.TICKS, QUOTES)
        await at_rest(bus, "tally")
    assert await said(bus, Topic.MARKS) == in_memory(QUOTES)


async def test_a_message_that_raises_is_dead_lettered_and_the_rest_goes_on(bus: RedisBus) -> None:
    batch = [a_quote(bid=1.0), a_quote(bid=-13.0), a_quote(bid=2.0)]
    async with running(bus, TallyNode()):
        await publish(bus, Topic.TICKS, [batch])
        await at_rest(bus, "tally")
    assert [m.ask for m in await said(bus, Topic.MARKS)] == [1.0, 3.0]
    (letter,) = await said(bus, Topic.DEAD)
    assert isinstance(letter, DeadLetter)
    assert (letter.node, letter.stream, letter.index, letter.reason) == ("tally", "ticks", 1, "ZeroDivisionError: thirteen")


async def test_a_malformed_entry_is_kept_with_its_bytes_and_place_and_the_service_goes_on(bus: RedisBus) -> None:
    async with running(bus, TallyNode()):
        await publish(bus, Topic.TICKS, QUOTES[:1])
        entry_id = await bus.call("XADD", bus.stream(Topic.TICKS), "*", "e", b"\xc1", "m", b"rubbish")
        await publish(bus, Topic.TICKS, QUOTES[1:2])
        await at_rest(bus, "tally")
    assert len(await said(bus, Topic.MARKS)) == 6
    (letter,) = await said(bus, Topic.DEAD)
    assert (letter.stream, letter.entry_id, letter.raw, letter.index) == ("ticks", entry_id.decode(), b"rubbish", -1)
