"""What every broker must come through with the one sender: each test runs with every simulator of `tests.support.brokers`.

The broker's own books are compared with what the sender has said, with its rows, and with the portfolio's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.control import ask_to_reconcile
from barque.postgres.pool import connect_pool
from tests.support.brokers import BROKERS, SLOW, Broker
from tests.support.live_book import LiveBook, live_book

D = Decimal


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in sorted(BROKERS)])
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]()


@pytest.fixture
async def live(
    broker: Broker, tmp_path: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> AsyncIterator[LiveBook]:
    async with live_book(broker, tmp_path, bus, connection, database) as live:
        yield live


def resting(**terms: Any) -> dict[str, Any]:
    """Terms of an order to buy far below the market."""
    return {"order_type": "limit", "limit_price": D("1.20000"), "quantity": D(10), **terms}


def bracket(live: LiveBook, quantity: int = 10, limit: str = "1.20000") -> list[Any]:
    """An entry that rests, its take profit and its stop loss."""
    entry = live.an_order(**resting(quantity=D(quantity), limit_price=D(limit)))
    leg: dict[str, Any] = {"side": "sell", "quantity": D(quantity), "parent_id": entry.order_id, "oco_group": entry.order_id}
    profit = live.an_order(order_type="limit", limit_price=D("1.50000"), closes=True, **leg)
    stop = live.an_order(order_type="stop", stop_price=D("1.10000"), closes=True, **leg)
    return [entry, profit, stop]


# -- one order ---------------------------------------------------------------------------------------------------------


async def test_a_market_order_is_sent_once_filled_once_and_booked_once(live: LiveBook) -> None:
    order_id = await live.order(quantity=D(2))
    await live.until(lambda: live.fills(), "the fill")
    await live.settled()
    live.sent_once(order_id)
    (fill,) = live.standing()
    assert (fill.order_id, fill.quantity, fill.price, fill.strategy_id) == (order_id, D(2), D("1.30010"), "s1")
    assert await live.states() == {order_id: "FILLED"}
    assert live.about(order_id)[0] == "OrderAccepted"


async def test_partial_fills_add_up_and_the_rest_is_cancelled(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: order_id in live.broker.open_ids(), "the order at the broker")
    live.broker.quote(1.1998, 1.1999, size=3)
    live.broker.quote(1.1998, 1.1999, size=4)
    live.broker.quote(1.3, 1.3001)
    await live.until(lambda: live.position() == 7, "two partial fills")
    await live.cancel(order_id)
    await live.until(lambda: "OrderCancelled" in live.about(order_id), "the cancellation")
    await live.settled()
    assert live.broker.position() == 7
    assert await live.states() == {order_id: "CANCELLED"}


async def test_an_order_is_changed_and_fills_at_its_new_terms(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    await live.modify(order_id, quantity=D(4), limit_price=D("1.25000"))
    await live.until(lambda: "OrderModified" in live.about(order_id), "the change")
    live.broker.quote(1.2498, 1.2499)
    await live.settled()
    assert live.broker.position() == 4
    assert await live.states() == {order_id: "FILLED"}


async def test_an_order_that_the_broker_refuses_is_rejected_and_no_more(live: LiveBook) -> None:
    order_id = await live.order(quantity=D("0.0000001"))
    await live.until(lambda: "OrderRejected" in live.about(order_id), "the rejection")
    assert await live.states() == {order_id: "REJECTED"}
    assert live.fills() == []


async def test_what_is_reported_twice_is_booked_once(live: LiveBook) -> None:
    live.broker.twice(True)
    first = await live.order()
    second = await live.order(**resting())
    await live.until(lambda: second in live.broker.open_ids() and live.fills(), "both orders")
    await live.cancel(second)
    await live.until(lambda: "OrderCancelled" in live.about(second), "the cancellation")
    await live.settled()
    assert live.about(first).count("OrderAccepted") == live.about(second).count("OrderAccepted") == 1
    assert len(live.standing()) == 1


async def test_a_cancel_that_comes_too_late_leaves_the_fill(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    live.broker.quote(1.1998, 1.1999)
    await live.cancel(order_id)
    await live.until(lambda: live.fills(), "the fill")
    await live.settled()
    assert await live.states() == {order_id: "FILLED"}


# -- silence and lost sessions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["silent", "cut_after"])
async def test_an_order_whose_answer_is_lost_is_found_in_the_books(live: LiveBook, fault: Any) -> None:
    live.broker.fail("submit", fault)
    order_id = await live.order(**resting())
    await live.until(lambda: live.about(order_id)[-1:] == ["OrderAccepted"], "the order to be found")
    assert "OrderUnknown" in live.about(order_id)
    assert "OrderRejected" not in live.about(order_id)
    await live.settled()
    live.sent_once(order_id)


@pytest.mark.parametrize("fault", ["silent", "cut_after"])
async def test_a_fill_whose_report_is_lost_is_booked_from_the_books(live: LiveBook, fault: Any) -> None:
    live.broker.fail("submit", fault)
    order_id = await live.order(quantity=D(3))
    await live.until(lambda: live.fills(), "the fill to be found")
    await live.settled()
    live.sent_once(order_id)
    assert live.broker.position() == 3
    assert await live.states() == {order_id: "FILLED"}


@pytest.mark.parametrize("fault", ["ignore", "cut_before"])
async def test_an_order_that_never_arrived_is_unknown_until_the_books_say_so_twice(live: LiveBook, fault: Any) -> None:
    live.broker.fail("submit", fault)
    order_id = await live.order()
    await live.until(lambda: "OrderUnknown" in live.about(order_id) or "OrderRejected" in live.about(order_id), "a word on it")
    assert live.about(order_id) == ["OrderUnknown"]
    await live.until(lambda: "OrderRejected" in live.about(order_id), "the rejection", timeout_s=45)
    assert live.broker.submissions().get(order_id, 0) == 0
    assert [m.reason for m in live.said if getattr(m, "reason", "")] == ["not_sent"]
    await live.settled()


async def test_a_cancel_that_is_lost_is_asked_for_again(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    live.broker.fail("cancel", "ignore")
    await live.cancel(order_id)
    await live.until(lambda: not live.broker.open_ids(), "the order to leave the broker's books", timeout_s=45)
    await live.settled()
    assert await live.states() == {order_id: "CANCELLED"}


async def test_a_change_whose_answer_is_lost_is_seen_in_the_books(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    live.broker.fail("modify", "silent")
    quantity = D(4) if live.broker.resizes else D(10)
    await live.modify(order_id, quantity=quantity, limit_price=D("1.21000"))
    await live.until(lambda: "OrderModified" in live.about(order_id), "the change", timeout_s=45)
    live.broker.quote(1.2098, 1.2099)
    await live.settled()
    assert live.broker.position() == quantity


async def test_a_session_that_ends_in_the_middle_of_partial_fills_loses_none(live: LiveBook) -> None:
    order_id = await live.order(**resting())
    await live.until(lambda: "OrderAccepted" in live.about(order_id), "the acceptance")
    live.broker.quote(1.1998, 1.1999, size=3)
    live.broker.closed(True)
    live.broker.quote(1.1998, 1.1999, size=2)
    live.broker.closed(False)
    await live.until(lambda: live.position() == 5, "the fills of before and in between", timeout_s=45)
    live.broker.quote(1.1998, 1.1999, size=5)
    await live.settled()
    assert live.broker.position() == 10
    live.sent_once(order_id)


async def test_the_brokers_figures_of_the_account_are_in_the_ledger(live: LiveBook) -> None:
    query = "SELECT account, equity, ts_event_ns FROM broker_accounts"
    (before,) = await live.rows(query)
    assert before["account"] == live.broker.account and before["equity"] > 0
    pool = await connect_pool(live.database, size=1)
    assert await ask_to_reconcile(pool, live.bus.book, "c1", "test")
    await pool.close()

    async def looked_again() -> bool:
        (row,) = await live.rows(query)
        return bool(row["ts_event_ns"] > before["ts_event_ns"])

    await live.until(looked_again, "a newer row")


async def test_a_session_that_stays_away_is_told_once_and_that_it_is_over_too(live: LiveBook) -> None:
    async def told() -> bool:
        return bool(await live.alerts("sender_"))

    async def over() -> bool:
        return (await live.alerts("sender_"))[-1] == "info"

    live.broker.closed(True)
    await live.until(told, "the alert")
    live.broker.closed(False)
    await live.until(over, "that it is over", timeout_s=45)
    *before, last = await live.alerts("sender_")
    assert last == "info" and "info" not in before
    assert 1 <= len(before) <= 2, "lost, and where ten attempts have failed by then in safe mode"


async def test_nothing_leaves_while_there_is_no_session_and_what_waited_leaves_after(live: LiveBook) -> None:
    live.broker.closed(True)
    await live.until(lambda: not live.ready(), "the loss of the session to be seen")
    order_id = await live.order()
    await live.until(lambda: True, "a moment")
    assert live.broker.submissions().get(order_id, 0) == 0
    live.broker.closed(False)
    await live.until(lambda: live.fills(), "the fill", timeout_s=45)
    await live.settled()
    live.sent_once(order_id)


# -- restarts ----------------------------------------------------------------------------------------------------------


async def test_a_sender_that_starts_anew_goes_on_with_the_orders_that_work(live: LiveBook) -> None:
    kept, cancelled = await live.order(**resting()), await live.order(**resting())
    await live.until(lambda: live.broker.open_ids() == {kept, cancelled}, "both orders at the broker")
    await live.kill()
    live.broker.quote(1.1998, 1.1999, size=4)
    live.broker.quote(1.3, 1.3001)
    live.start()
    await live.until_ready()
    await live.until(lambda: live.position() == live.broker.position() == 4, "what had filled meanwhile")
    await live.cancel(cancelled)
    await live.until(lambda: cancelled not in live.broker.open_ids(), "the cancellation")
    live.broker.quote(1.1998, 1.1999)
    await live.settled()
    live.sent_once(kept, cancelled)


async def test_trades_by_hand_are_booked_as_external(live: LiveBook) -> None:
    live.broker.trade_by_hand("buy", D(2))
    await live.until(lambda: live.position() == 2, "the trade")
    assert {fill.strategy_id for fill in live.standing()} == {"external"}
    await live.settled()


async def test_a_correction_replaces_what_it_corrects_and_a_bust_takes_it_away(live: LiveBook) -> None:
    if not live.broker.corrects:
        pytest.skip(f"{live.broker.venue} has no corrections")
    await live.order(quantity=D(5))
    await live.until(lambda: live.position() == 5, "the fill")
    live.broker.correct(D(4), D("1.30020"))
    await live.until(lambda: live.position() == 4, "the correction")
    await live.settled()
    live.broker.correct(D(0), D("1.30020"))
    await live.until(lambda: live.position() == 0, "the bust")
    await live.settled()


# -- brackets ------------------------------------------------------------------------------------------------------------


async def test_a_bracket_whose_target_fills_has_no_stop_left(live: LiveBook) -> None:
    entry, profit, stop = bracket(live)
    await live.orders(entry, profit, stop)
    await live.until(lambda: entry.order_id in live.broker.open_ids(), "the entry at the broker")
    live.broker.quote(1.1998, 1.1999)
    await live.until(lambda: live.position() == 10, "the entry's fill")
    await live.until(lambda: {profit.order_id, stop.order_id} <= live.broker.open_ids(), "both exits at the broker")
    live.broker.quote(1.5001, 1.5002)
    await live.until(lambda: live.position() == 0 and not live.broker.open_ids(), "the target, and no stop")
    await live.settled()
    live.sent_once(entry.order_id, profit.order_id, stop.order_id)


async def test_no_leg_of_a_bracket_is_left_alone_by_a_crash_between_its_fill_and_its_exits(live: LiveBook) -> None:
    entry, profit, stop = bracket(live)
    await live.orders(entry, profit, stop)
    await live.until(lambda: entry.order_id in live.broker.open_ids(), "the entry at the broker")
    await live.kill()
    live.broker.quote(1.1998, 1.1999)
    live.broker.quote(1.3, 1.3001)
    live.start()
    await live.until(lambda: live.position() == 10, "the entry's fill", timeout_s=45)
    await live.until(lambda: {profit.order_id, stop.order_id} <= live.broker.open_ids(), "both exits", timeout_s=45)
    live.broker.quote(1.0998, 1.0999)
    await live.until(lambda: live.position() == 0 and not live.broker.open_ids(), "the stop, and no target", timeout_s=45)
    await live.settled()
    live.sent_once(entry.order_id, profit.order_id, stop.order_id)


async def test_a_sender_that_starts_anew_goes_on_with_the_exits_of_a_position(live: LiveBook) -> None:
    entry, profit, stop = bracket(live)
    exits = {profit.order_id, stop.order_id}
    await live.orders(entry, profit, stop)
    await live.until(lambda: entry.order_id in live.broker.open_ids(), "the entry at the broker")
    live.broker.quote(1.1998, 1.1999)
    await live.until(lambda: live.position() == 10 and exits <= live.broker.open_ids(), "the position with both exits")
    await live.restart()
    for _ in range(3):
        assert await live.reconcile() == [("clean", ())]
    assert {order_id: (await live.states())[order_id] for order_id in exits} == dict.fromkeys(exits, "ACKED")
    assert "critical" not in await live.alerts("")
    live.broker.quote(1.0998, 1.0999)
    await live.until(lambda: live.position() == 0 and not live.broker.open_ids(), "the stop, and no target")
    await live.settled()
    assert [(fill.strategy_id, fill.order_id) for fill in live.standing()][-1] == ("s1", stop.order_id)


# -- the books -----------------------------------------------------------------------------------------------------------


async def test_a_request_to_reconcile_is_answered_by_a_report(live: LiveBook) -> None:
    assert await live.reconcile() == [("clean", ())]
    assert await live.rows("SELECT * FROM reconcile_requests") == []
