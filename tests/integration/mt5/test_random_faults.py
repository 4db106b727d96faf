"""Orders through the whole sender while the terminal is lost or hangs before, during and after `order_send`, from a seed.

The simulator's books say what was done: each order once, each deal booked once, and nothing is left that nobody knows of.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from tests.support.live_book import D, LiveBook, live_book
from tests.support.mt5_broker import Mt5

RUNS, SHORT, MOST = 50, 1, 60
KINDS = [(when, what) for when in ("before", "during", "after") for what in ("ipc", "hang", "cut")]
FINAL = {"FILLED", "CANCELLED", "REJECTED"}
IMPATIENT = {"order_timeout_s": 0.6, "call_timeout_s": 0.6, "initialize_timeout_s": 1.0}


def a_broker(chance: random.Random) -> Mt5:
    return Mt5(chance.choice(["rpyc", "in_process"]), hedging=chance.random() < 0.5, **IMPATIENT)


async def an_order(live: LiveBook, chance: random.Random) -> str:
    """At the market, or one that rests for now; either way round."""
    side = chance.choice(["buy", "sell"])
    terms: dict[str, Any] = {"side": side, "quantity": D(chance.randint(1, 3)), "closes": chance.random() < 0.3}
    if chance.random() < 0.4:
        terms |= {"order_type": "limit", "limit_price": D("1.20000") if side == "buy" else D("1.40000")}
    return await live.order(**terms)


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.slow] if n >= SHORT else []) for n in range(RUNS)])
async def test_each_order_is_done_once_and_each_deal_booked_once(
    seed: int, tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    chance = random.Random(seed)
    broker = a_broker(chance)
    kinds = chance.sample(KINDS, len(KINDS))
    async with live_book(broker, tmp_path, bus, connection, database) as live:
        orders: list[str] = []
        while kinds or broker.sim.faults.coming:
            assert len(orders) < MOST, f"after {MOST} orders these have not happened: {kinds}, {broker.sim.faults.coming}"
            if kinds and not broker.sim.faults.coming:
                when, what = kinds.pop()
                broker.sim.fault(when, what, seconds=chance.uniform(0.2, 1.6))
            for _ in range(chance.randint(1, 2)):
                orders.append(await an_order(live, chance))
            if chance.random() < 0.3:
                await live.cancel(chance.choice(orders))
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            if chance.random() < 0.15:
                await live.kill()
                live.start()
            await live.until(live.ready, "the sender to be ready", timeout_s=60)
        await end_all(live, broker)
        await live.settled()
        await compare(live, broker, orders)
    assert Counter((when, what) for _, when, what in broker.sim.faults.happened) == Counter(KINDS)


async def end_all(live: LiveBook, broker: Mt5) -> None:
    """What rests trades, what waited leaves and trades too, and no order is left whose end is not known."""
    for _ in range(120):
        broker.quote(1.4001, 1.4002)
        broker.quote(1.1998, 1.1999)
        states = await live.states()
        if set(states.values()) <= FINAL and not broker.sim.book.open:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"after a minute there still are {states} and {broker.sim.book.open}; {live.summary()}")


async def compare(live: LiveBook, broker: Mt5, orders: list[str]) -> None:
    """The simulator's books with our rows, deal by deal and order by order."""
    book, states = broker.sim.book, await live.states()
    rows = await live.rows("SELECT exec_id, order_id, quantity FROM executions")
    deals = {str(deal.ticket): (deal.comment.partition("~")[0], D(repr(deal.volume))) for deal in book.trades()}
    assert {row["exec_id"]: (row["order_id"], row["quantity"]) for row in rows} == deals
    assert len(rows) == len(deals)
    for order_id in orders:
        comments = {each.comment for each in book.history.values() if each.comment.startswith(order_id)}
        times = [book.submissions(comment) for comment in comments]
        assert len(comments) <= 1 and all(n == 1 for n in times), (order_id, comments, times)
        if states[order_id] == "REJECTED":
            assert not comments, (order_id, "it was said never to have arrived")
        else:
            assert comments or states[order_id] == "CANCELLED", (order_id, states[order_id])
