"""What closes on a hedging account: it takes positions away and opens none, whoever has closed them before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from barque.errors import VenueOutcomeUnknown
from barque.messages import RejectReason
from barque.venue import Ended, Executed, Rejected
from simulators.mt5 import Mt5Simulator, forex
from simulators.mt5 import constants as mt5
from simulators.mt5.tuples import TradeRequest
from tests.support.mt5 import Desk, a_config, reachable

D = Decimal


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    sim = Mt5Simulator([forex("EURUSD")], hedging=True)
    with reachable(sim, "in_process"):
        sim.quote("EURUSD", 1.10000, 1.10010)
        async with Desk(sim, a_config(sim, "in_process")) as desk:
            yield desk


def by_hand(sim: Mt5Simulator, kind: int, volume: float, position: int = 0) -> None:
    """Somebody deals at the terminal."""
    request = dict.fromkeys(TradeRequest._fields, 0) | {"symbol": "EURUSD", "comment": "", "sl": 0.0, "tp": 0.0, "price": 0.0}
    request |= {"action": mt5.TRADE_ACTION_DEAL, "volume": volume, "type": kind, "position": position, "stoplimit": 0.0}
    request |= {"type_filling": mt5.ORDER_FILLING_IOC}
    with sim.terminal.state:
        assert sim.server.handle(TradeRequest(**request)).retcode == mt5.TRADE_RETCODE_DONE


def tickets(sim: Mt5Simulator) -> list[tuple[bool, float]]:
    """Buys or not, and lots, of every position."""
    return [(position.buys, position.volume) for position in sim.book.positions.values()]


async def test_an_exit_after_somebody_has_closed_the_position_opens_nothing(desk: Desk) -> None:
    await desk.submit()
    by_hand(desk.sim, mt5.ORDER_TYPE_SELL, 0.1, next(iter(desk.sim.book.positions)))
    order = await desk.submit(side="sell", closes=True)
    (rejected,) = desk.of(Rejected, order)
    assert rejected.reason is RejectReason.QUANTITY and "has no long position in EURUSD" in rejected.detail
    assert tickets(desk.sim) == []


async def test_an_exit_closes_what_is_left_of_the_position_and_the_rest_of_it_ends(desk: Desk) -> None:
    await desk.submit()
    by_hand(desk.sim, mt5.ORDER_TYPE_SELL, 0.07, next(iter(desk.sim.book.positions)))
    order = await desk.submit(side="sell", closes=True)
    await desk.hears(Ended, order)
    assert desk.words(order) == ["Accepted", "Executed", "Ended"]
    assert desk.of(Executed, order)[0].execution.quantity == D("0.03")
    assert tickets(desk.sim) == []


async def test_an_exit_of_one_strategy_leaves_the_position_of_another(desk: Desk) -> None:
    await desk.submit(strategy_id="s2")
    order = await desk.submit(side="sell", closes=True)
    assert desk.words(order) == ["Rejected"]
    assert tickets(desk.sim) == [(True, 0.1)]


async def test_a_flatten_of_what_was_traded_by_hand_closes_it(desk: Desk) -> None:
    await desk.submit(strategy_id="s2")
    by_hand(desk.sim, mt5.ORDER_TYPE_BUY, 0.3)
    order = await desk.submit(strategy_id="external", side="sell", quantity=D("0.3"), closes=True)
    await desk.hears(Executed, order)
    assert tickets(desk.sim) == [(True, 0.1)]
    assert [each.magic for each in desk.sim.book.positions.values()] != [0]


async def test_a_flatten_of_what_an_earlier_book_left_closes_it_whatever_its_magic_number(desk: Desk) -> None:
    await desk.submit(strategy_id="s2")
    order = await desk.submit(strategy_id="external", side="sell", closes=True)
    await desk.hears(Executed, order)
    assert tickets(desk.sim) == []


@pytest.mark.parametrize(
    "terms", [{"order_type": "limit", "limit_price": D("1.11")}, {"order_type": "stop", "stop_price": D("1.09")}]
)
async def test_a_pending_order_that_is_to_close_is_refused_for_it_would_open_the_opposite(
    desk: Desk, terms: dict[str, Any]
) -> None:
    await desk.submit()
    order = await desk.submit(side="sell", closes=True, **terms)
    (rejected,) = desk.of(Rejected, order)
    assert rejected.reason is RejectReason.UNSUPPORTED and "leave at market; nothing was sent" in rejected.detail
    assert not desk.sim.book.open


async def test_exits_without_their_entry_are_never_sent(desk: Desk) -> None:
    leg: dict[str, Any] = {"side": "sell", "parent_id": "entry", "oco_group": "entry", "closes": True}
    profit = desk.an_order(order_type="limit", limit_price=D("1.12"), **leg)
    stop = desk.an_order(order_type="stop", stop_price=D("1.08"), **leg)
    await desk.venue.submit([profit])
    await desk.venue.submit([stop])
    assert [desk.of(Rejected, order)[0].reason for order, _ in (profit, stop)] == [RejectReason.UNSUPPORTED] * 2
    assert not desk.sim.book.received


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("during", 1)])
async def test_an_answer_of_done_without_a_deal_leaves_the_outcome_unknown(desk: Desk, when: str, executed: int) -> None:
    desk.sim.fault(when, "retcode", retcode=mt5.TRADE_RETCODE_PLACED)
    order, token = desk.an_order()
    with pytest.raises(VenueOutcomeUnknown, match="has not said what it did"):
        await desk.venue.submit([(order, token)])
    await asyncio.sleep(0.1)
    assert len(desk.of(Executed, order)) == executed
    assert "Ended" not in desk.words(order)
