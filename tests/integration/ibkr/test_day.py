"""A day at Interactive Brokers in some seconds, sender and portfolio over real stores: all books agree at last, to the cent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import asyncpg

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from tests.support.ibkr_broker import Tws
from tests.support.live_book import LiveBook, live_book

D = Decimal
STARTING_CASH = D(100_000)
"""Of the portfolio's account in these tests; the simulator's begins with a million."""


async def cash(live: LiveBook) -> Decimal:
    """What the portfolio's ledger has gained or lost, in dollars."""
    rows = await live.rows("SELECT currency, amount FROM cash")
    assert {row["currency"] for row in rows} <= {"USD"}
    return sum((row["amount"] for row in rows), D(0)) - STARTING_CASH


async def test_a_day_with_a_broken_farm_a_lost_link_a_restart_and_fills_throughout_ends_with_equal_books(
    tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    broker = Tws()
    tws = broker.tws
    async with live_book(broker, tmp_path, bus, connection, database) as live:
        orders = [await live.order(quantity=D(3))]  # the morning
        orders.append(await live.order(order_type="limit", limit_price=D("1.28000"), quantity=D(10)))
        await live.until(lambda: live.position() == 3 and orders[1] in broker.open_ids(), "the first orders")

        tws.mishaps.farm(2103)  # a data farm comes and goes
        tws.mishaps.farm(2104)
        orders.append(await live.order(side="sell", quantity=D(1)))
        await live.until(lambda: live.position() == 2, "a sale")

        tws.mishaps.lose_ibkr()  # minutes without Interactive Brokers; the limit order fills in part
        await live.until(lambda: not live.ready(), "the loss to be seen")
        broker.quote(1.2798, 1.2799, size=4)
        orders.append(await live.order(side="sell", quantity=D(2)))  # it waits
        await live.until(lambda: live.position() == 6, "the fills of meanwhile")
        assert broker.submissions().get(orders[-1], 0) == 0
        tws.mishaps.restore_ibkr("lost")
        await live.until(lambda: live.position() == 4, "what had waited", timeout_s=45)

        restart = asyncio.create_task(tws.mishaps.restart(refuse_s=1.0, socat_s=0.5, in_use_s=0.5))  # the night
        await live.until(lambda: not live.ready(), "the restart to be seen")
        broker.quote(1.2798, 1.2799, size=2)
        await restart
        await live.until_ready()
        await live.until(lambda: live.position() == 6, "the fills of the night", timeout_s=45)

        broker.quote(1.2900, 1.2901)  # the next morning
        await live.cancel(orders[1])
        orders.append(await live.order(side="sell", quantity=D(6), closes=True))
        await live.until(lambda: live.position() == 0, "the end")
        await live.settled()
        live.sent_once(*orders)

        account = tws.accounts[broker.account]
        assert account.cash["EUR"] == 0
        gained = account.cash["USD"] - 1_000_000
        # bought 3 at 1.30010 and 6 at 1.28; sold 1 and 2 at the market then, 6 at 1.29
        assert gained + account.commissions == sum(
            ((each.price if each.quantity < 0 else -each.price) * abs(each.quantity) * 100_000 for each in broker.executions()),
            D(0),
        )
        for _ in range(100):  # commissions come last
            if await cash(live) == gained:
                break
            await asyncio.sleep(0.05)
        assert await cash(live) == gained
        states = await live.states()
        assert [states[order] for order in orders] == ["FILLED", "CANCELLED", "FILLED", "FILLED", "FILLED"]
        assert not [report for report in await live.reports() if report[0] == "critical"]
