"""The whole sender while the terminal's AutoTrading is off: what waited leaves whole once it is on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from tests.support.live_book import D, live_book
from tests.support.mt5_broker import Mt5


async def test_a_bracket_that_waited_for_autotrading_is_one_position_with_its_stops(
    tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    broker = Mt5("in_process", hedging=True)
    async with live_book(broker, tmp_path, bus, connection, database) as live:
        entry = live.an_order()
        leg: dict[str, Any] = {"side": "sell", "parent_id": entry.order_id, "oco_group": entry.order_id, "closes": True}
        profit = live.an_order(order_type="limit", limit_price=D("1.50000"), **leg)
        stop = live.an_order(order_type="stop", stop_price=D("1.10000"), **leg)
        broker.sim.auto_trading = False
        await live.orders(entry, profit, stop)

        async def told() -> bool:
            return bool(await live.alerts("trading_disabled"))

        await live.until(told, "the alert")
        assert not broker.sim.book.received
        broker.sim.auto_trading = True
        await live.until(lambda: live.fills(), "the entry")
        await live.until(lambda: {profit.order_id, stop.order_id} <= broker.open_ids(), "both exits")
        (position,) = broker.sim.book.positions.values()
        assert (position.sl, position.tp) == (1.1, 1.5)
        assert not broker.sim.book.open, "no order waits beside it"
        await live.settled()
