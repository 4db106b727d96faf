"""Orders through the adapter to the simulated terminal: over both transports, on hedging and on netting accounts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from barque.errors import ConfigError, VenueOutcomeUnknown, VenueRefused, VenueUnavailable
from barque.messages import CancelOrder, ModifyOrder, RejectReason, SubmitOrder
from barque.venue import (
    Accepted,
    Connected,
    Disconnected,
    Ended,
    Executed,
    Modified,
    Rejected,
    RequestRefused,
    TradingDisabled,
)
from simulators.mt5 import Mt5Simulator, forex
from simulators.mt5 import constants as mt5
from tests.support.mt5 import TRANSPORTS, Desk, a_config, an_instrument, reachable
from venues.mt5.adapter import Mt5Venue, open_venue

D = Decimal
HEDGING = [(transport, True) for transport in TRANSPORTS]
NETTING = [(transport, False) for transport in TRANSPORTS]


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    transport, hedging = request.param
    sim = Mt5Simulator([forex("EURUSD", commission_per_lot=7.0, stops_level=10)], hedging=hedging)
    with reachable(sim, transport):
        sim.quote("EURUSD", 1.10000, 1.10010)
        async with Desk(sim, a_config(sim, transport)) as desk:
            yield desk


everywhere = pytest.mark.parametrize("desk", HEDGING + NETTING, indirect=True)
hedging = pytest.mark.parametrize("desk", HEDGING, indirect=True)
netting = pytest.mark.parametrize("desk", NETTING, indirect=True)
once = pytest.mark.parametrize("desk", HEDGING[:1], indirect=True)


def cancel_of(order: SubmitOrder) -> CancelOrder:
    about = {name: getattr(order, name) for name in ("order_id", "cause", "root", "strategy_id", "account", "symbol")}
    return CancelOrder(**about, ts_event_ns=order.ts_event_ns)


def change_of(order: SubmitOrder, **terms: Any) -> ModifyOrder:
    about = {name: getattr(order, name) for name in ("order_id", "cause", "root", "strategy_id", "account", "symbol")}
    return ModifyOrder(**about, ts_event_ns=order.ts_event_ns, **terms)


# -- orders ------------------------------------------------------------------------------------------------------------


@everywhere
async def test_a_market_order_is_accepted_and_executed_with_its_commission(desk: Desk) -> None:
    before_ns = time.time_ns()
    order = await desk.submit(quantity=D("0.5"))
    executed = await desk.hears(Executed, order)
    assert desk.words(order) == ["Accepted", "Executed"]
    execution = executed.execution
    assert (execution.side, execution.quantity, execution.price) == ("buy", D("0.5"), D("1.1001"))
    assert (execution.commission, execution.commission_currency) == (D("3.5"), "USD")
    assert before_ns - 10**6 <= execution.ts_event_ns <= time.time_ns()
    (position,) = await desk.venue.positions()
    assert (position.symbol, position.quantity, position.average_price) == ("EURUSD", D("0.5"), D("1.1001"))
    account = await desk.venue.account()
    assert (account.account, account.live, account.cash) == ("5001", False, {"USD": D("99996.5")})
    assert [each.exec_id for each in await desk.venue.executions_since(before_ns - 10**9)] == [execution.exec_id]


@once
async def test_what_moves_the_balance_without_a_trade_is_listed_with_the_account(desk: Desk) -> None:
    assert (await desk.venue.account()).movements == ()
    before_ns = time.time_ns()
    desk.sim.deposit(500.0, "by wire")
    desk.sim.deposit(-20.5)
    await desk.hears(Executed, await desk.submit(quantity=D("0.5")))
    account = await desk.venue.account()
    assert account.cash == {"USD": D(100_000) + D(500) - D("20.5") - D("3.5")}
    listed = [(each.kind, each.amount, each.currency, each.detail) for each in account.movements]
    assert listed == [("deposit", D(500), "USD", "by wire"), ("withdrawal", D("-20.5"), "USD", "")]
    assert all(before_ns - 10**9 <= each.ts_event_ns <= time.time_ns() + 10**9 for each in account.movements)
    assert len({each.reference for each in account.movements}) == 2
    assert (await desk.venue.account()).movements == account.movements


@everywhere
@pytest.mark.parametrize(
    ("terms", "reach", "price"),
    [
        ({"order_type": "limit", "limit_price": D("1.09")}, (1.0898, 1.0899), D("1.0899")),
        ({"order_type": "stop", "stop_price": D("1.11")}, (1.1109, 1.1110), D("1.111")),
        ({"order_type": "limit", "side": "sell", "limit_price": D("1.11")}, (1.1101, 1.1102), D("1.1101")),
    ],
)
async def test_an_order_that_waits_is_shown_and_trades_when_the_price_comes(
    desk: Desk, terms: dict[str, Any], reach: tuple[float, float], price: Decimal
) -> None:
    order = await desk.submit(**terms)
    await desk.hears(Accepted, order)
    (shown,) = await desk.venue.open_orders()
    assert (shown.order_id, shown.quantity, shown.filled, shown.order_type) == (
        order.order_id, D("0.1"), D(0), order.order_type,
    )  # fmt: skip
    assert (shown.limit_price, shown.stop_price) == (order.limit_price, order.stop_price)
    desk.sim.quote("EURUSD", *reach)
    executed = await desk.hears(Executed, order)
    assert executed.execution.price == price
    await asyncio.sleep(0.1)
    assert desk.words(order) == ["Accepted", "Executed"]
    assert await desk.venue.open_orders() == []


@once
async def test_a_stop_limit_becomes_a_limit_and_trades(desk: Desk) -> None:
    order = await desk.submit(order_type="stop_limit", stop_price=D("1.104"), limit_price=D("1.103"))
    (shown,) = await desk.venue.open_orders()
    assert (shown.order_type, shown.limit_price, shown.stop_price) == ("stop_limit", D("1.103"), D("1.104"))
    desk.sim.quote("EURUSD", 1.1049, 1.1050)
    desk.sim.quote("EURUSD", 1.1028, 1.1029)
    assert (await desk.hears(Executed, order)).execution.price == D("1.1029")


@everywhere
async def test_partial_fills_of_an_order_that_waits_add_up(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    desk.sim.server.liquidity["EURUSD"] = 0.04
    for count in (1, 2, 3):
        desk.sim.quote("EURUSD", 1.0898, 1.0899)
        await desk.hears(Executed, order, count)
    assert [e.execution.quantity for e in desk.of(Executed, order)] == [D("0.04"), D("0.04"), D("0.02")]


@everywhere
async def test_of_a_market_order_that_finds_too_little_the_rest_is_gone(desk: Desk) -> None:
    desk.sim.server.liquidity["EURUSD"] = 0.04
    order = await desk.submit()
    await desk.hears(Ended, order)
    assert desk.words(order) == ["Accepted", "Executed", "Ended"]
    assert desk.of(Executed, order)[0].execution.quantity == D("0.04")


@everywhere
async def test_an_order_is_changed_in_price_and_in_volume(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    await desk.venue.modify(change_of(order, limit_price=D("1.08")), order, "")
    assert desk.of(Modified, order)[-1].limit_price == D("1.08")
    await desk.venue.modify(change_of(order, quantity=D("0.3")), order, "")
    assert desk.of(Modified, order)[-1].quantity == D("0.3")
    (shown,) = await desk.venue.open_orders()
    assert (shown.order_id, shown.quantity, shown.limit_price) == (order.order_id, D("0.3"), D("1.08"))
    await asyncio.sleep(0.1)
    assert "Ended" not in desk.words(order)


@everywhere
async def test_each_deal_is_told_once_however_often_it_is_looked_at(desk: Desk) -> None:
    orders = [await desk.submit() for _ in range(3)]
    await desk.hears(Executed, count=3)
    await asyncio.sleep(0.1)
    assert [e.execution.order_id for e in desk.of(Executed)] == [order.order_id for order in orders]


@once
async def test_a_volume_is_not_changed_by_whoever_may_not_send_any_more(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    desk.may_send = False
    with pytest.raises(VenueUnavailable, match="may not send"):
        await desk.venue.modify(change_of(order, quantity=D("0.3")), order, "")
    assert [each.order_id for each in await desk.venue.open_orders()] == [order.order_id]


@once
@pytest.mark.parametrize(("there", "lots"), [(0.04, D("0.04")), (1.0, D("0.1"))])
async def test_an_order_that_trades_while_its_volume_is_changed_is_not_placed_anew(
    desk: Desk, there: float, lots: Decimal
) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    handle, market = desk.sim.server.handle, desk.sim.server

    def handle_late(request: Any) -> Any:
        """The price comes for a moment, right before the order is taken away."""
        if request.action != mt5.TRADE_ACTION_REMOVE:
            return handle(request)
        market.liquidity["EURUSD"] = there
        market.quote("EURUSD", 1.0898, 1.0899)
        answer = handle(request)
        market.quote("EURUSD", 1.1000, 1.1001)
        return answer

    market.handle = handle_late  # type: ignore[method-assign]
    await desk.venue.modify(change_of(order, quantity=D("0.3")), order, "")
    assert len(desk.of(RequestRefused, order)) == 1
    await desk.hears(Executed, order)
    await asyncio.sleep(0.1)
    assert not desk.sim.book.open
    assert sum(each.execution.quantity for each in desk.of(Executed, order)) == lots


@everywhere
async def test_an_order_is_withdrawn_once(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    await desk.venue.cancel(cancel_of(order), "")
    await desk.hears(Ended, order)
    assert not desk.sim.book.open
    await desk.venue.cancel(cancel_of(order), "")
    assert desk.of(RequestRefused, order)[-1].reason is RejectReason.UNKNOWN_ORDER


@once
async def test_an_order_ends_at_its_time_and_by_hand_at_the_terminal(desk: Desk) -> None:
    until_ns = time.time_ns() + 1_500_000_000
    timed = await desk.submit(order_type="limit", limit_price=D("1.09"), time_in_force="gtd", valid_until_ns=until_ns)
    by_hand = await desk.submit(order_type="limit", limit_price=D("1.09"))
    ticket = desk.sim.module.orders_get()[1].ticket
    desk.sim.module.order_send({"action": mt5.TRADE_ACTION_REMOVE, "order": ticket})
    assert (await desk.hears(Ended, by_hand)).how == "cancelled"
    assert (await desk.hears(Ended, timed)).how == "expired"


@everywhere
async def test_trades_and_orders_of_others_are_shown_and_are_not_ours(desk: Desk) -> None:
    desk.sim.module.order_send(
        {"action": 1, "symbol": "EURUSD", "volume": 0.2, "type": 0, "price": 1.1001, "type_filling": 1, "comment": "hand"}
    )
    desk.sim.module.order_send(
        {"action": 5, "symbol": "EURUSD", "volume": 0.2, "type": 2, "price": 1.09, "type_filling": 2, "comment": ""}
    )
    executed = await desk.hears(Executed)
    assert executed.execution.order_id == ""
    (shown,) = await desk.venue.open_orders()
    assert shown.order_id == "" and shown.quantity == D("0.2")


# -- hedging -----------------------------------------------------------------------------------------------------------


@hedging
async def test_an_order_against_a_position_closes_its_ticket_and_opens_only_what_is_left(desk: Desk) -> None:
    await desk.submit(quantity=D("0.1"))
    await desk.submit(quantity=D("0.2"))
    partly = await desk.submit(side="sell", quantity=D("0.15"), closes=True)
    await desk.hears(Executed, partly, count=2)
    assert [round(p.volume, 2) for p in desk.sim.book.positions.values()] == [0.15]
    beyond = await desk.submit(side="sell", quantity=D("0.25"))
    await desk.hears(Executed, beyond, count=2)
    (position,) = desk.sim.book.positions.values()
    assert (position.buys, round(position.volume, 2)) == (False, 0.1)
    assert sum(e.execution.quantity for e in desk.of(Executed, beyond)) == D("0.25")
    (shown,) = await desk.venue.positions()
    assert shown.quantity == D("-0.1")


@hedging
async def test_positions_of_another_strategy_are_left_alone(desk: Desk) -> None:
    await desk.submit(strategy_id="a")
    closing = await desk.submit(strategy_id="b", side="sell")
    await desk.hears(Executed, closing)
    assert len(desk.sim.book.positions) == 2
    assert await desk.venue.positions() == []


@hedging
async def test_a_bracket_is_one_order_with_its_exits_and_the_target_ends_the_stop(desk: Desk) -> None:
    entry, profit, stop = await desk.bracket("1.12", "1.08", order_type="limit", limit_price=D("1.09"))
    (order,) = desk.sim.book.open.values()
    assert (order.sl, order.tp) == (1.08, 1.12)
    assert [desk.words(each) for each in (entry, profit, stop)] == [["Accepted"]] * 3
    assert {each.order_id for each in await desk.venue.open_orders()} == {entry.order_id, profit.order_id, stop.order_id}
    desk.sim.quote("EURUSD", 1.0899, 1.0900)
    await desk.hears(Executed, entry)
    assert {each.order_id for each in await desk.venue.open_orders()} == {profit.order_id, stop.order_id}
    desk.sim.quote("EURUSD", 1.1201, 1.1202)
    executed = await desk.hears(Executed, profit)
    assert (executed.execution.price, executed.execution.quantity) == (D("1.1201"), D("0.1"))
    assert (await desk.hears(Ended, stop)).how == "cancelled"
    assert desk.words(stop) == ["Accepted", "Ended"]


@hedging
async def test_exits_are_moved_and_taken_away_one_by_one(desk: Desk) -> None:
    entry, profit, stop = await desk.bracket("1.12", "1.08")
    await desk.hears(Executed, entry)
    await desk.venue.modify(change_of(stop, stop_price=D("1.09")), stop, "")
    assert desk.of(Modified, stop)[-1].stop_price == D("1.09")
    await desk.venue.cancel(cancel_of(profit), "")
    await desk.hears(Ended, profit)
    (position,) = desk.sim.book.positions.values()
    assert (position.sl, position.tp) == (1.09, 0.0)
    await desk.venue.modify(change_of(stop, quantity=D("0.05")), stop, "")
    assert desk.of(RequestRefused, stop)[-1].reason is RejectReason.UNSUPPORTED


@hedging
async def test_an_exit_that_a_person_moves_or_that_shrinks_with_its_position_is_told(desk: Desk) -> None:
    _, profit, stop = await desk.bracket("1.12", "1.08")
    await asyncio.sleep(0.1)
    ticket = next(iter(desk.sim.book.positions))
    desk.sim.module.order_send({"action": mt5.TRADE_ACTION_SLTP, "position": ticket, "sl": 1.085, "tp": 1.12})
    await desk.hears(Modified, stop)
    assert desk.of(Modified, stop)[-1].stop_price == D("1.085")
    await desk.submit(side="sell", quantity=D("0.04"), closes=True)
    await desk.hears(Modified, profit)
    assert desk.of(Modified, profit)[-1].quantity == D("0.06")
    await desk.submit(side="sell", quantity=D("0.06"), closes=True)
    await desk.hears(Ended, profit)
    await desk.hears(Ended, stop)


@hedging
async def test_a_process_that_starts_anew_knows_the_exits_by_their_numbers(desk: Desk) -> None:
    entry, profit, stop = await desk.bracket("1.12", "1.08")
    await desk.hears(Accepted, stop)
    await desk.venue.close()
    desk.sim.quote("EURUSD", 1.0795, 1.0796)
    config = desk.venue._config
    again = Mt5Venue(config, [an_instrument()], "5001")
    for number, order in enumerate((profit, stop), 2):
        again.token(order.order_id, number, entry.order_id)  # as a sender's ledger does when it is loaded
    await again.connect(lambda event: None, lambda: True)
    found = await again.executions_since(0)
    assert [(each.order_id, each.side) for each in found][-1] == (stop.order_id, "sell")
    await again.close()


# -- netting -----------------------------------------------------------------------------------------------------------


@netting
async def test_on_a_netting_account_a_reversal_is_one_deal(desk: Desk) -> None:
    await desk.submit(quantity=D("0.1"))
    order = await desk.submit(side="sell", quantity=D("0.3"))
    executed = await desk.hears(Executed, order)
    assert executed.execution.quantity == D("0.3")
    (shown,) = await desk.venue.positions()
    assert (shown.quantity, shown.average_price) == (D("-0.2"), D("1.1"))
    assert not desk.venue.capabilities.brackets


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@once
@pytest.mark.parametrize(
    ("terms", "reason", "words"),
    [
        ({"quantity": D("0.015")}, RejectReason.QUANTITY, "no multiple of its step"),
        ({"quantity": D("0.001")}, RejectReason.QUANTITY, "step"),
        ({"quantity": D(1000)}, RejectReason.QUANTITY, "largest"),
        ({"order_type": "limit", "limit_price": D("1.10005")}, RejectReason.PRICE, "10 points"),
        ({"order_type": "stop", "stop_price": D("1.10015")}, RejectReason.PRICE, "10 points"),
        ({"order_type": "limit", "limit_price": D("1.09"), "time_in_force": "ioc"}, RejectReason.UNSUPPORTED, "ioc"),
    ],
)
async def test_what_the_broker_would_refuse_is_said_and_nothing_is_sent(
    desk: Desk, terms: dict[str, Any], reason: RejectReason, words: str
) -> None:
    order = await desk.submit(**terms)
    (rejected,) = desk.of(Rejected, order)
    assert rejected.reason is reason and words in rejected.detail and "nothing was sent" in rejected.detail
    assert not desk.sim.book.received


@once
async def test_stops_that_are_too_near_refuse_the_whole_bracket(desk: Desk) -> None:
    entry, profit, stop = await desk.bracket("1.12", "1.09995")
    assert [desk.words(each) for each in (entry, profit, stop)] == [["Rejected"]] * 3
    assert not desk.sim.book.received


@once
async def test_what_only_the_server_knows_is_refused_with_its_reason(desk: Desk) -> None:
    poor = await desk.submit(quantity=D(200))
    assert desk.of(Rejected, poor)[0].reason is RejectReason.BUYING_POWER
    desk.sim.close_market("EURUSD")
    closed = await desk.submit()
    assert desk.of(Rejected, closed)[0].reason is RejectReason.MARKET_CLOSED
    assert not desk.sim.book.trades()


@once
async def test_a_requote_is_repeated_and_given_up_after_a_few(desk: Desk) -> None:
    desk.sim.fault("before", "retcode", retcode=10004, times=3)
    order = await desk.submit()
    await desk.hears(Executed, order)
    desk.sim.fault("before", "retcode", retcode=10021, times=9)
    given_up = await desk.submit()
    assert "no quotes" in desk.of(Rejected, given_up)[0].detail
    assert desk.sim.terminal.calls["order_send"] == 4 + 4


@once
@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("during", 1)])
async def test_an_answer_that_means_nothing_is_unknown_and_never_repeated(desk: Desk, when: str, executed: int) -> None:
    desk.sim.fault(when, "retcode", retcode=10012)
    order, token = desk.an_order()
    with pytest.raises(VenueOutcomeUnknown):
        await desk.venue.submit([(order, token)])
    assert desk.sim.terminal.calls["order_send"] == 1
    await asyncio.sleep(0.1)
    assert len(desk.of(Executed, order)) == executed
    assert "Rejected" not in desk.words(order)


@everywhere
async def test_a_lost_session_is_told_and_what_happened_meanwhile_too(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    desk.sim.lose_ipc()
    await desk.hears(Disconnected)
    with pytest.raises(VenueUnavailable):
        desk.sim.terminal.running = False
        await desk.submit()
    desk.sim.quote("EURUSD", 1.0898, 1.0899)
    desk.sim.terminal.running = True
    await desk.hears(Connected)
    await desk.hears(Executed, order)


@once
async def test_autotrading_off_stops_orders_before_they_are_sent_and_is_told_once(desk: Desk) -> None:
    desk.sim.auto_trading = False
    with pytest.raises(VenueUnavailable, match="AutoTrading"):
        await desk.submit()
    with pytest.raises(VenueUnavailable, match="AutoTrading"):
        await desk.submit()
    assert len(desk.of(TradingDisabled)) == 1 and not desk.sim.book.trades()
    assert desk.sim.terminal.calls["order_send"] <= 1
    desk.sim.auto_trading = True
    await desk.hears(Connected)
    await desk.hears(Executed, await desk.submit())


async def test_autotrading_that_is_off_when_connecting_is_told_after_it() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        sim.auto_trading = False
        async with Desk(sim, a_config(sim)) as desk:
            assert desk.said == []
            await desk.hears(TradingDisabled)


@once
async def test_whoever_may_not_send_any_more_sends_nothing(desk: Desk) -> None:
    desk.may_send = False
    with pytest.raises(VenueUnavailable, match="may not send"):
        await desk.submit()
    assert not desk.sim.book.received


@once
async def test_a_comment_that_the_broker_changes_is_read_from_the_order(desk: Desk) -> None:
    order = await desk.submit(order_type="limit", limit_price=D("1.09"))
    desk.sim.quote("EURUSD", 1.0898, 1.0899)
    next(iter(desk.sim.book.deals.values())).comment = "filled by Broker Ltd"
    executed = await desk.hears(Executed)
    assert executed.execution.order_id == order.order_id


@once
async def test_exits_that_a_position_cannot_have_are_refused_whole(desk: Desk) -> None:
    entry, token = desk.an_order()
    odd = desk.an_order(order_type="stop_limit", side="sell", stop_price=D("1.08"), limit_price=D("1.07"))
    with pytest.raises(VenueRefused, match="one take profit"):
        await desk.venue.submit([(entry, token), odd])
    assert not desk.sim.book.received


async def test_the_sender_of_another_account_does_not_begin() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        venue = Mt5Venue(a_config(sim), [an_instrument()], "4711")
        with pytest.raises(ConfigError, match="4711"):
            await venue.connect(lambda event: None, lambda: True)


def test_the_entry_point_wants_its_section() -> None:
    with pytest.raises(ConfigError, match=r"\[mt5\]"):
        open_venue({}, [], "5001")
    assert open_venue({"mt5": {"account_mode": "netting"}}, [], "5001").capabilities.brackets is False
