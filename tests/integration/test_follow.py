"""Redis comes to agree with Postgres about the halt, whatever was commanded while it was away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.control import follow, halt, halt_state, resume
from barque.messages import Halt, Resume
from barque.postgres.pool import connect_pool


def halting(name: str) -> Halt:
    return Halt(command_id=name, ts_event_ns=1, actor="me", reason=name)


def resuming(name: str) -> Resume:
    return Resume(command_id=name, ts_event_ns=1, actor="me", reason=name)


@pytest.fixture
async def pool(database: PostgresConfig) -> AsyncIterator[asyncpg.Pool]:
    pool = await connect_pool(database)
    yield pool
    await pool.close()


async def flag(bus: RedisBus) -> str:
    """Which halt Redis knows of."""
    found = await bus.halt_flag()
    return found.command_id if found is not None else ""


async def test_a_flag_of_a_halt_that_was_lifted_meanwhile_is_lifted_too(pool: asyncpg.Pool, bus: RedisBus) -> None:
    """While Redis was away the halt that it knows of was lifted, and another one came and went."""
    await halt(pool, bus, bus.book, halting("A"))
    await resume(pool, None, bus.book, resuming("A-r"))
    await halt(pool, None, bus.book, halting("B"))
    await resume(pool, None, bus.book, resuming("B-r"))
    for _ in range(2):
        await follow(pool, bus, bus.book)
    assert (await flag(bus), (await halt_state(pool, bus.book)).halted) == ("", False)


async def test_while_a_later_halt_is_in_force_an_earlier_flag_stays_and_its_resume_lifts_it(
    pool: asyncpg.Pool, bus: RedisBus
) -> None:
    await halt(pool, bus, bus.book, halting("A"))
    await resume(pool, None, bus.book, resuming("A-r"))
    await halt(pool, None, bus.book, halting("B"))
    await follow(pool, bus, bus.book)
    assert (await flag(bus), (await halt_state(pool, bus.book)).halted) == ("A", True)
    await resume(pool, None, bus.book, resuming("B-r"))
    await follow(pool, bus, bus.book)
    assert await flag(bus) == ""


async def test_a_flag_that_postgres_has_never_heard_of_is_a_node_s_halt_and_taken_over(pool: asyncpg.Pool, bus: RedisBus) -> None:
    await halt(pool, bus, bus.book, halting("A"))
    await resume(pool, bus, bus.book, resuming("A-r"))
    await halt(pool, bus, "another book", halting("node/1"))  # the flag alone: the row is another book's
    assert await flag(bus) == "node/1"
    await follow(pool, bus, bus.book)
    state = await halt_state(pool, bus.book)
    assert (state.halted, state.command_id, await flag(bus)) == (True, "node/1", "node/1")


async def test_a_halt_that_redis_missed_is_carried_there(pool: asyncpg.Pool, bus: RedisBus) -> None:
    await halt(pool, None, bus.book, halting("A"))
    await follow(pool, bus, bus.book)
    assert await flag(bus) == "A"
