"""Positions of strategies that somebody else closes at the terminal: the books of the strategy follow, whatever was between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from simulators.mt5 import constants as mt5
from simulators.mt5.tuples import TradeRequest
from tests.support.live_book import D, LiveBook, live_book
from tests.support.mt5_broker import Mt5


@pytest.fixture
async def live(
    tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> AsyncIterator[LiveBook]:
    async with live_book(Mt5("in_process", hedging=True), tmp_path, bus, connection, database) as live:
        yield live


def close_by_hand(broker: Any, lots: float) -> None:
    (position,) = broker.sim.book.positions.values()
    request = dict.fromkeys(TradeRequest._fields, 0) | {"symbol": "EURUSD", "comment": "", "sl": 0.0, "tp": 0.0, "price": 0.0}
    request |= {"action": mt5.TRADE_ACTION_DEAL, "volume": lots, "type": mt5.ORDER_TYPE_SELL, "position": position.ticket}
    request |= {"stoplimit": 0.0, "type_filling": mt5.ORDER_FILLING_IOC}
    with broker.sim.terminal.state:
        assert broker.sim.server.handle(TradeRequest(**request)).retcode == mt5.TRADE_RETCODE_DONE


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_position_that_is_closed_by_hand_was_its_strategys(live: LiveBook, restarts: bool) -> None:
    await live.order(quantity=D(3))
    await live.until(lambda: live.position() == 3, "the entry")
    if restarts:
        await live.kill()
    close_by_hand(live.broker, 3.0)
    if restarts:
        live.start()
    await live.until(lambda: live.position() == 0, "the close")
    assert [(fill.strategy_id, fill.side, fill.quantity) for fill in live.fills()] == [("s1", "buy", 3), ("s1", "sell", 3)]
    await live.settled()
    assert await live.reconcile() == [("clean", ())]
    exit_ = await live.order(side="sell", quantity=D(3), closes=True)  # the strategy had asked before it knew
    await live.until(lambda: "OrderRejected" in live.about(exit_), "the refusal")
    assert live.broker.position() == 0


async def test_a_stop_out_is_told_and_booked_to_its_strategy(live: LiveBook) -> None:
    await live.order(quantity=D(3))
    await live.until(lambda: live.position() == 3, "the entry")
    (position,) = live.broker.sim.book.positions
    live.broker.sim.stop_out(position)
    await live.until(lambda: live.position() == 0, "the stop out")
    assert [fill.strategy_id for fill in live.fills()] == ["s1", "s1"]
    assert await live.alerts("position_liquidated") == ["critical"]


async def test_what_others_hold_in_a_symbol_that_is_not_configured_is_told_and_stops_nothing(live: LiveBook) -> None:
    live.broker.sim.quote("USDJPY", 150.0, 150.01)
    request = dict.fromkeys(TradeRequest._fields, 0) | {"symbol": "USDJPY", "comment": "", "sl": 0.0, "tp": 0.0, "price": 0.0}
    request |= {"action": mt5.TRADE_ACTION_DEAL, "volume": 0.5, "type": mt5.ORDER_TYPE_BUY, "stoplimit": 0.0}
    with live.broker.sim.terminal.state:
        outcome = live.broker.sim.server.handle(TradeRequest(**request | {"type_filling": mt5.ORDER_FILLING_IOC}))
    assert outcome.retcode == mt5.TRADE_RETCODE_DONE
    found: list[tuple[str, tuple[str, ...]]] = []
    while not any(words for _, words in found):
        found += await live.reconcile()
    assert [(severity, words[0].partition(";")[0]) for severity, words in found if words] == [
        ("minor", "position_elsewhere USDJPY: the broker has 0.5, had 0")
    ]
    assert await live.reconcile() == [("clean", ())]
    await live.order(quantity=D(2))
    await live.until(lambda: live.position() == 2, "an order of ours")
    assert {fill.symbol for fill in live.fills()} == {"EURUSD"}
    assert await live.alerts("") == ["info"]


async def test_the_exits_of_a_position_that_is_closed_by_hand_end_without_an_alarm(live: LiveBook) -> None:
    entry = live.an_order(quantity=D(2))
    leg: dict[str, Any] = {"side": "sell", "quantity": D(2), "parent_id": entry.order_id, "oco_group": entry.order_id}
    profit = live.an_order(order_type="limit", limit_price=D("1.50000"), closes=True, **leg)
    stop = live.an_order(order_type="stop", stop_price=D("1.10000"), closes=True, **leg)
    await live.orders(entry, profit, stop)
    await live.until(lambda: {profit.order_id, stop.order_id} <= live.broker.open_ids(), "both exits")
    close_by_hand(live.broker, 2.0)
    await live.until(lambda: "OrderCancelled" in live.about(stop.order_id), "the stop's end")
    await live.settled()
    assert [fill.strategy_id for fill in live.standing()] == ["s1", "s1"]
    assert await live.reconcile() == [("clean", ())]
    assert await live.alerts("position_unprotected") == []
