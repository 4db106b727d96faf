"""A live sender ends at every step between an order's decision and the broker's last word on it, and goes on.

The broker's own books tell: each order is there once or never was, each execution is booked once, and nothing is left that the
router asked for. Short here; `make chaos-orders` does each twenty times.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.faults import POINTS
from tests.support.brokers import Simulated
from tests.support.live_process import LiveProcess, live_process

D = Decimal
TIMES = int(os.environ.get("TIMES", "20"))
SHORT = {
    "submit": ("request_after_commit", "after_send", "event_after_commit"),
    "cancel": ("before_send", "request_after_publish"),
    "modify": ("after_send", "event_before_commit"),
    "bracket": ("after_send", "event_before_publish"),
}


@pytest.fixture(params=[True, False], ids=["the broker's brackets", "our brackets"])
async def live(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    bus: RedisBus,
    connection: asyncpg.Connection,
    database: PostgresConfig,
    valkey: RedisConfig,
) -> AsyncIterator[LiveProcess]:
    async with live_process(Simulated(request.param), tmp_path, bus, connection, database, valkey) as live:
        yield live


async def submit(live: LiveProcess, point: str) -> None:
    before = live.broker.position()
    await live.start_and_wait(point)
    order_id = await live.order(quantity=D(3))
    await live.crashed()
    await live.start_and_wait()
    await live.until(lambda: {"Fill", "OrderRejected"} & set(live.about(order_id)), "the end of the order")
    await live.settled()
    arrived = live.broker.submissions().get(order_id, 0)
    assert arrived in (0, 1)
    assert live.broker.position() - before == 3 * arrived
    assert (await live.states())[order_id] == ("FILLED" if arrived else "REJECTED")


async def cancel(live: LiveProcess, point: str) -> None:
    order_id = await at_rest(live)
    await live.kill()
    await live.start_and_wait(point)
    await live.cancel(order_id)
    await live.crashed()
    await live.start_and_wait()
    await live.until(lambda: order_id not in live.broker.open_ids(), "the order to leave the broker's books")
    await live.settled()
    assert (await live.states())[order_id] == "CANCELLED"


async def modify(live: LiveProcess, point: str) -> None:
    order_id = await at_rest(live)
    before = live.broker.position()
    await live.kill()
    await live.start_and_wait(point)
    await live.modify(order_id, quantity=D(7))
    await live.crashed()
    await live.start_and_wait()
    await live.until(lambda: {"OrderModified", "ModifyRejected"} & set(live.about(order_id)), "an answer to the change")
    await live.settled()
    (row,) = await live.rows("SELECT quantity FROM intents WHERE order_id = $1", order_id)
    live.broker.quote(1.1998, 1.1999)
    live.broker.quote(1.3, 1.3001)
    await live.settled()
    assert live.broker.position() - before == row["quantity"]
    assert row["quantity"] == (7 if "OrderModified" in live.about(order_id) else 10)


async def bracket(live: LiveProcess, point: str) -> None:
    before = live.broker.position()
    await live.start_and_wait(point)
    entry = live.an_order(order_type="limit", limit_price=D("1.20000"), quantity=D(10))
    leg: dict[str, Any] = {"side": "sell", "quantity": D(10), "parent_id": entry.order_id, "oco_group": entry.order_id}
    profit = live.an_order(order_type="limit", limit_price=D("1.50000"), closes=True, **leg)
    stop = live.an_order(order_type="stop", stop_price=D("1.10000"), closes=True, **leg)
    await live.orders(entry, profit, stop)
    await live.crashed()
    await live.start_and_wait()
    said = {"OrderAccepted", "OrderRejected"}
    await live.until(lambda: said & set(live.about(entry.order_id)), "a word on the entry", timeout_s=45)
    await live.settled()
    if entry.order_id in live.broker.submissions():
        live.broker.quote(1.1998, 1.1999)
        live.broker.quote(1.3, 1.3001)
        both = {profit.order_id, stop.order_id}
        await live.until(lambda: both <= live.broker.open_ids(), "both exits at the broker", timeout_s=45)
        live.broker.quote(1.5001, 1.5002)
        live.broker.quote(1.3, 1.3001)
        await live.until(lambda: not both & live.broker.open_ids(), "no exit left")
        await live.settled()
    assert live.broker.position() == before
    assert not {entry.order_id, profit.order_id, stop.order_id} & live.broker.open_ids()


async def at_rest(live: LiveProcess) -> str:
    """An order that waits at the broker."""
    await live.start_and_wait()
    order_id = await live.order(order_type="limit", limit_price=D("1.20000"), quantity=D(10))
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    return order_id


VERBS = {"submit": submit, "cancel": cancel, "modify": modify, "bracket": bracket}


async def crash_at(live: LiveProcess, verb: str, points: tuple[str, ...], times: int) -> None:
    for _ in range(times):
        for point in points:
            await live.kill()
            try:
                await VERBS[verb](live, point)
                live.sent_once()
            except BaseException as error:
                error.add_note(f"{verb} with a crash at {point}; log:\n{live.log()[-3000:]}")
                raise


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_a_sender_that_ends_anywhere_goes_on(live: LiveProcess, verb: str) -> None:
    if verb != "bracket" and not live.broker.native_brackets:
        pytest.skip("brackets only: the rest does not depend on who keeps them")
    await crash_at(live, verb, SHORT[verb], 1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_a_sender_that_ends_at_every_point_many_times_goes_on(live: LiveProcess, verb: str) -> None:
    await crash_at(live, verb, POINTS, TIMES)
