"""A halt, and a process that was frozen, at a broker with a wire: nothing leaves after either, whatever was under way.

Measured at the broker: what has arrived when the halt's command returns is all that arrives. `HALTS=200` presses in
`make chaos-orders`; a few here.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.control import halt, resume
from barque.messages import Halt, Resume
from barque.postgres.pool import connect_pool
from tests.support.brokers import Simulated
from tests.support.live_process import LiveProcess, live_process

D = Decimal
ON_THE_WIRE_S = 0.1
"""What left before the halt may need so long through the kernel to be counted at the broker."""


@pytest.fixture
async def live(
    tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, valkey: RedisConfig
) -> AsyncIterator[LiveProcess]:
    async with live_process(Simulated(), tmp_path, bus, connection, database, valkey) as live:
        yield live


def arrived(live: LiveProcess) -> int:
    return sum(live.broker.submissions().values())


@asynccontextmanager
async def orders_without_end(live: LiveProcess) -> AsyncIterator[None]:
    """The router asks for some hundred orders a second, whatever happens."""

    enough = asyncio.Event()

    async def pump() -> None:
        while not enough.is_set():
            await live.orders(*(live.an_order(valid_until_ns=time.time_ns() + 60_000_000_000) for _ in range(5)))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(pump())
    try:
        yield
    finally:
        enough.set()
        await task


async def press(live: LiveProcess, pool: asyncpg.Pool, number: int) -> tuple[int, int, float]:
    """Halt the book; (arrived by then, arrived later on, milliseconds that the command took)."""
    began = time.perf_counter()
    command = Halt(command_id=f"h{number}", ts_event_ns=time.time_ns(), actor="test", reason="a press")
    await halt(pool, live.bus, live.bus.book, command)
    took = (time.perf_counter() - began) * 1_000
    await asyncio.sleep(ON_THE_WIRE_S)
    at_once = arrived(live)
    await asyncio.sleep(0.4)
    later = arrived(live)
    await resume(
        pool, live.bus, live.bus.book, Resume(command_id=f"r{number}", ts_event_ns=time.time_ns(), actor="test", reason="")
    )
    return at_once, later, took


async def presses(live: LiveProcess, times: int) -> list[float]:
    luck = random.Random(times)
    pool = await connect_pool(live.database)
    took = []
    try:
        async with orders_without_end(live):
            for number in range(times):
                before = arrived(live)
                await live.until(lambda before=before: arrived(live) > before, "orders to flow")  # type: ignore[misc]
                await asyncio.sleep(luck.uniform(0, 0.1))
                at_once, later, milliseconds = await press(live, pool, number)
                assert at_once == later, f"press {number}: {later - at_once} orders arrived after the halt"
                took.append(milliseconds)
    finally:
        await pool.close()
    live.sent_once()
    return sorted(took)


async def test_nothing_leaves_after_a_halt(live: LiveProcess) -> None:
    await presses(live, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_nothing_leaves_after_any_of_many_halts(live: LiveProcess) -> None:
    took = await presses(live, int(os.environ.get("HALTS", "200")))
    print(f"halts: p50 {took[len(took) // 2]:.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms, longest {took[-1]:.1f} ms")
    assert took[int(len(took) * 0.99)] < 250


async def frozen(live: LiveProcess, times: int) -> None:
    """Freeze the sender among its orders until another has taken over; then let it go on. What has waited meanwhile is worked off
    before the next time."""
    luck = random.Random(times)
    for _ in range(times):
        async with orders_without_end(live):
            before = arrived(live)
            await live.until(lambda before=before: arrived(live) > before, "orders to flow")  # type: ignore[misc]
            await asyncio.sleep(luck.uniform(0, 0.05))
            old = live.process
            live.freeze()
            live.start()
            await live.until_ready()
            assert old is not None
            old.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.0)
            sessions = live.simulator.sessions
            await asyncio.sleep(0.5)
            assert live.simulator.sessions == sessions, "the one that was frozen does not leave the session to the other"
            old.kill()
            await asyncio.to_thread(old.wait, 10)
        live.sent_once()
        await live.settled()


async def test_a_sender_that_was_frozen_past_its_lease_sends_nothing_when_it_wakes(live: LiveProcess) -> None:
    await frozen(live, 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_sender_that_is_frozen_many_times_sends_nothing_when_it_wakes(live: LiveProcess) -> None:
    await frozen(live, int(os.environ.get("FREEZES", "20")))
