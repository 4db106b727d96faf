"""A sender's core: what leaves and when, what silence means, and how each execution becomes one fill."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from barque.config import load_section
from barque.errors import ConfigError
from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    CancelRejected,
    Fill,
    Halt,
    Message,
    ModifyOrder,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    RejectReason,
    Resume,
)
from barque.venue import Accepted, Connected, Disconnected, Ended, Executed, Rejected, RequestRefused, TradingDisabled
from router.core.lifecycle import OrderEvent
from router.core.sending.config import SendingConfig
from router.core.sending.desk import Desk
from router.core.sending.effects import AskBooks, Change, Send, Withdraw
from router.core.sending.events import ReconcileAsked
from router.core.sending.state import LiveOrder
from tests.support.builders import NS, T0, an_order
from tests.support.routing import command, of_kind
from tests.support.sending import Sending, a_bracket, a_sender, capabilities

D = Decimal


def connected(**section: Any) -> Sending:
    sending = Sending(**section)
    sending.connect()
    return sending


def kinds(messages: list[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]


def sent(sending: Sending) -> list[str]:
    return [order.order_id for effect in sending.effects if isinstance(effect, Send) for order, _ in effect.orders]


def request(kind: type, order_id: str = "o1", **fields: Any) -> Any:
    about = {"cause": "k1", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD", "ts_event_ns": T0}
    return kind(order_id=order_id, **about, **fields)


def breaker_tripped(scope: str = "", tripped: bool = True) -> BreakerChanged:
    about = {"account": "paper", "breaker": "drawdown", "ts_event_ns": T0, "cause": "c"}
    return BreakerChanged(strategy_id=scope, status="TRIPPED" if tripped else "NORMAL", tripped=tripped, **about)


def at_work(**changes: Any) -> Sending:
    """A sender with one order at the broker."""
    sending = connected()
    sending.tell(an_order(order_type="limit", limit_price=D("1.30"), **changes))
    sending.deliver()
    return sending


# -- before anything may leave ---------------------------------------------------------------------------------------


def test_nothing_leaves_before_the_books_have_been_compared() -> None:
    sending = Sending()
    assert sending.tell(an_order()) == []
    assert sending.effects == []
    sending.tell(Connected(ts_event_ns=T0))
    assert sending.effects == [AskBooks(number=1, since_ns=0)]
    sending.answer()
    assert sent(sending) == ["o1"]


def test_an_order_is_sent_once_with_a_number_of_its_own() -> None:
    sending = connected()
    sending.tell(an_order(), an_order(), an_order(order_id="o2"))
    sending.tell(an_order())
    sending.deliver()
    sending.broker.trade("o1", D(1))
    sending.deliver()
    assert sending.state_of("o1") == "FILLED"
    sending.tell(an_order())
    assert sending.broker.sent_numbers == [1, 2]
    assert sent(sending) == ["o1", "o2"]
    assert sending.node.counters["orders_repeated"] == 3


def test_an_order_of_another_account_is_left_alone() -> None:
    sending = connected()
    assert sending.tell(an_order(account="other"), an_order(order_id="o2", account="b")) == []
    assert sent(sending) == []


def test_what_the_broker_cannot_do_is_refused_before_it_leaves() -> None:
    sending = Sending(capabilities(order_types=("limit",), times_in_force=("day",)))
    (wrong_type,) = sending.tell(an_order())
    (wrong_time,) = sending.tell(an_order(order_id="o2", order_type="limit", limit_price=D(1)))
    assert wrong_type.reason is wrong_time.reason is RejectReason.UNSUPPORTED


def test_an_order_whose_time_is_over_expires_unsent() -> None:
    sending = connected()
    (expired,) = sending.tell(an_order(valid_until_ns=T0))
    assert isinstance(expired, OrderExpired)
    assert sent(sending) == []


def test_an_order_that_opens_does_not_wait_for_ever_and_one_that_closes_does() -> None:
    sending = Sending(max_wait_s=10)
    sending.tell(an_order(), an_order(order_id="o2", closes=True))
    assert sending.wait(9) == []
    refused, alert = sending.wait(1)
    assert (refused.order_id, refused.reason) == ("o1", RejectReason.EXPIRED)
    assert (alert.name, alert.severity) == ("exit_waits", "critical")
    assert "o2" in alert.text
    assert "no session with the broker" in alert.text
    assert sending.state_of("o2") == "NEW"
    assert sending.wait(1) == []  # told once
    sending.connect()
    assert sent(sending) == ["o2"]


def test_an_order_that_was_decided_while_nobody_read_opens_nothing_hours_later_and_still_closes() -> None:
    sending = connected()
    sending.wait(3 * 3600)
    sending.answer()
    said = sending.tell(an_order(ts_event_ns=T0), an_order(order_id="o2", closes=True, ts_event_ns=T0))
    (refused,) = of_kind(OrderRejected, said)
    assert (refused.order_id, refused.reason) == ("o1", RejectReason.EXPIRED)
    assert "10800 s ago" in refused.detail
    assert [alert.name for alert in of_kind(Alert, said)] == ["exit_waits"]
    assert sent(sending) == ["o2"]


def test_a_bracket_that_was_decided_hours_ago_does_not_leave() -> None:
    for native in (True, False):
        sending = Sending(capabilities(brackets=native, oco=native))
        sending.connect()
        sending.wait(3 * 3600)
        sending.answer()
        sending.tell(*a_bracket("b"))
        assert sent(sending) == []
        assert [sending.state_of(order_id) for order_id in ("b", "b-tp", "b-sl")] == ["REJECTED", "CANCELLED", "CANCELLED"]


def test_an_order_that_closes_is_tried_for_ever_at_longer_intervals_and_a_person_is_told() -> None:
    sending = connected(max_wait_s=10_000)
    sending.luck = ["not_sent"] * 8
    sending.tell(an_order(order_id="x", side="sell", closes=True))
    times = [0]
    for second in range(1, 200):
        if "x" not in sending.broker.orders:
            before = len(sent(sending))
            sending.wait(1)
            times += [second] * (len(sent(sending)) - before)
    assert times == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    assert sending.broker.open_ids() == ["x"]
    (alert,) = [m for m in of_kind(Alert, sending.said) if m.name == "exit_waits"]
    assert "could not be sent 5 times: no route" in alert.text


@pytest.mark.parametrize("luck", ["lost_before", "not_sent"])
def test_a_cancel_that_comes_to_nothing_is_told_once(luck: Any) -> None:
    sending = connected()
    sending.tell(an_order(order_type="limit", limit_price=D("1.2")))
    sending.deliver()
    sending.luck = [luck] * 200
    sending.tell(request(CancelOrder))
    said: list[Message] = []
    for second in range(1, 150):
        said += sending.wait(1) + sending.answer()
        assert len([m for m in said if isinstance(m, Alert)]) == (second >= 60)
    (alert,) = of_kind(Alert, said)
    assert (alert.name, alert.severity) == ("order_not_cancelled", "warning")
    assert "order o1 (buy 1 EURUSD) was to be cancelled 60 s ago and may still trade: the broker has not answered" in alert.text
    sending.luck = []
    sending.wait(11)
    sending.answer()
    sending.wait(1)
    assert [type(m).__name__ for m in sending.deliver()] == ["OrderCancelled"]


# -- orders that have ended --------------------------------------------------------------------------------------------


def test_for_ten_minutes_a_late_fill_is_its_strategy_s_however_many_orders_came_since() -> None:
    sending = connected(max_requests_per_s=1000, burst=1000)
    sending.tell(an_order(order_id="first", order_type="limit", limit_price=D("1.2")))
    sending.deliver()
    sending.tell(request(CancelOrder, "first"))
    sending.deliver()
    orders = [an_order(order_id=f"o{n}") for n in range(140)]
    sending.tell(*orders)
    for order in orders:
        sending.broker.trade(order.order_id, D(1))
    sending.deliver()
    sending.wait(599)
    sending.answer()
    sending.broker.execute("first", "buy", D(1))
    (fill,) = of_kind(Fill, sending.deliver())
    assert (fill.strategy_id, len(sending.state()["finished"])) == ("s1", 141)
    sending.wait(1)
    sending.answer()
    sending.tell(an_order(order_id="last", ts_event_ns=sending.now_ns))
    sending.broker.trade("last", D(1))
    sending.deliver()
    assert [sending.state_of(order_id) for order_id in ("o0", "first", "last")] == ["", "FILLED", "FILLED"]


def test_the_orders_that_have_ended_are_a_quarter_of_a_megabyte_at_the_most() -> None:
    desk = Desk(
        load_section({"sender": {"account": "paper", "venue": "model"}}, "sender", SendingConfig), capabilities(), "s", []
    )
    said = {"reason": "fast crossed slow", "checks": ("max_position: 7 of 100",) * 12}
    for n in range(2000):
        order = an_order(order_id=f"{n:020x}", cause="sma-eurusd/12345/0", root="1798765432101-0", account="DU1234567", **said)
        live = LiveOrder(order=order, keep=order.quantity, filled=D(1))
        desk.state.orders[order.order_id] = live
        desk.move(live, OrderEvent.FILLED)
    assert next(iter(desk.state.finished)) == f"{2000 - 1024:020x}"
    assert len(desk.state.finished) == 1024
    assert len(msgspec.msgpack.encode(desk.state)) < 280_000


def test_a_state_of_before_is_read_with_the_orders_that_had_ended() -> None:
    sending = connected()
    old = sending.state()
    order = msgspec.to_builtins(an_order(order_id="old", checks=("max_position",)), builtin_types=(D,))
    old["finished"]["old"] = {"order": order, "state": "FILLED", "filled": D(1), "ended_ns": T0, "number": 3}
    assert order["type"] == "SubmitOrder"
    sending.restore(msgspec.msgpack.encode(old))
    assert sending.state_of("old") == "FILLED"
    sending.tell(an_order(order_id="old"))
    assert sent(sending) == []


# -- trades of others -------------------------------------------------------------------------------------------------


def with_position(**section: Any) -> Sending:
    """A strategy holds ten contracts."""
    sending = connected(**section)
    sending.tell(an_order(quantity=D(10)))
    sending.deliver()
    sending.broker.trade("o1", D(10))
    sending.deliver()
    return sending


def test_a_trade_of_others_against_what_strategies_hold_is_critical_and_told_once_for_all_its_parts() -> None:
    sending = with_position()
    for part in (4, 6):
        sending.broker.execute("", "sell", D(part))
    (alert,) = of_kind(Alert, sending.deliver())
    assert (alert.name, alert.severity) == ("external_trade", "critical")
    assert "sell 4 EURUSD" in alert.text
    assert "against the 10 contracts" in alert.text
    sending.wait(60)
    sending.broker.execute("", "sell", D(1))
    (again,) = of_kind(Alert, sending.deliver())
    assert "the account has -1 now" in again.text


@pytest.mark.parametrize(("symbol", "side"), [("EURUSD", "buy"), ("USDJPY", "sell")])
def test_a_trade_of_others_that_takes_nothing_from_a_strategy_is_no_alert(symbol: str, side: str) -> None:
    sending = with_position()
    sending.broker.execute("", side, D(4), symbol=symbol)
    assert of_kind(Alert, sending.deliver()) == []


def test_a_trade_of_others_that_is_booked_to_the_strategy_itself_is_no_alert() -> None:
    sending = with_position()
    closed = sending.broker.execute("", "sell", D(4))
    sending.broker.pending.clear()
    (fill,) = sending.tell(Executed(execution=replace(closed, strategy_id="s1")))
    assert (fill.strategy_id, sending.state()["by_orders"]) == ("s1", {"EURUSD": "6"})


def test_what_a_strategy_has_closed_itself_is_nothing_that_others_could_take() -> None:
    sending = with_position()
    sending.tell(an_order(order_id="o2", side="sell", quantity=D(10), closes=True))
    sending.deliver()
    sending.broker.trade("o2", D(10))
    sending.deliver()
    sending.broker.execute("", "sell", D(4))
    assert of_kind(Alert, sending.deliver()) == []


def test_what_is_taken_over_at_the_opening_is_no_trade_of_others() -> None:
    sending = Sending()
    sending.broker.execute("", "sell", D(4))
    sending.broker.pending.clear()
    assert of_kind(Alert, sending.connect() + sending.deliver()) == []
    assert sending.positions() == {"EURUSD": D(-4)}


def test_while_the_broker_takes_no_orders_they_wait_and_a_person_is_told() -> None:
    sending = connected()
    (alert,) = sending.tell(TradingDisabled(ts_event_ns=T0, detail="AutoTrading is off"), an_order())
    assert (alert.name, alert.severity) == ("trading_disabled", "critical")
    assert sending.tell(TradingDisabled(ts_event_ns=T0, detail="AutoTrading is off")) == []
    assert sending.tell(TradingDisabled(ts_event_ns=T0, detail="the client has disabled it")) == []  # another word for it
    assert sent(sending) == []
    sending.connect()
    assert sent(sending) == ["o1"]


# -- halts and breakers ----------------------------------------------------------------------------------------------


def test_after_a_halt_nothing_new_leaves_and_cancels_do() -> None:
    sending = at_work()
    said = sending.tell(command(Halt), an_order(order_id="o2"), request(CancelOrder), request(ModifyOrder, quantity=D(2)))
    assert [(m.order_id, m.reason) for m in of_kind(OrderRejected, said)] == [("o2", RejectReason.HALTED)]
    assert [m.reason for m in of_kind(ModifyRejected, said)] == [RejectReason.HALTED]
    assert isinstance(sending.effects[-1], Withdraw)
    assert sent(sending) == ["o1"]


def test_a_halt_refuses_what_waits() -> None:
    sending = Sending()
    sending.tell(an_order())
    (refused,) = sending.tell(command(Halt))
    assert refused.reason is RejectReason.HALTED
    sending.tell(command(Resume, "c2"))
    sending.connect()
    assert sent(sending) == []


def test_an_open_breaker_stops_what_opens_and_lets_pass_what_closes() -> None:
    sending = connected()
    trip: dict[str, Any] = {"account": "paper", "breaker": "drawdown", "ts_event_ns": T0, "cause": "x"}
    sending.tell(BreakerChanged(strategy_id="s1", status="TRIPPED", tripped=True, **trip))
    (refused,) = sending.tell(an_order(), an_order(order_id="o2", closes=True), an_order(order_id="o3", strategy_id="s2"))
    assert (refused.order_id, refused.reason) == ("o1", RejectReason.BREAKER)
    assert sent(sending) == ["o2", "o3"]
    sending.tell(BreakerChanged(strategy_id="s1", status="NORMAL", tripped=False, **trip), an_order(order_id="o4"))
    assert sent(sending)[-1] == "o4"


# -- the rate at which requests leave --------------------------------------------------------------------------------


def test_requests_leave_no_faster_than_the_broker_bears_cancels_first_then_what_closes() -> None:
    sending = connected(max_requests_per_s=2, burst=2)
    sending.tell(an_order(order_type="limit", limit_price=D(1)))
    sending.deliver()
    sending.wait(10)
    orders = [an_order(order_id=f"e{n}") for n in range(3)] + [an_order(order_id="c1", closes=True)]
    sending.tell(*orders, request(CancelOrder))
    assert isinstance(sending.effects[-2], Withdraw)
    assert sent(sending) == ["o1", "c1"]
    sending.wait(0.4)
    assert sent(sending) == ["o1", "c1"]
    sending.wait(0.1)
    assert sent(sending) == ["o1", "c1", "e0"]
    sending.wait(1)
    assert sent(sending) == ["o1", "c1", "e0", "e1", "e2"]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_an_order_that_is_not_answered_is_unknown_and_stays_so_until_the_books_tell() -> None:
    sending = connected()
    sending.luck = ["lost_after"]
    (unknown,) = sending.tell(an_order())
    assert isinstance(unknown, OrderUnknown)
    assert kinds(sending.wait(600)) == ["Alert"]
    assert sending.state_of("o1") == "UNKNOWN"
    said = sending.answer()
    assert "OrderAccepted" in kinds(said)
    assert sending.state_of("o1") == "ACKED"


def test_silence_alone_makes_an_order_unknown_after_the_deadline() -> None:
    sending = connected(ack_timeout_s=3)
    sending.tell(an_order())
    sending.broker.pending.clear()
    assert sending.wait(2.9) == []
    (unknown,) = sending.wait(0.1)
    assert isinstance(unknown, OrderUnknown)
    assert isinstance(sending.effects[-1], AskBooks)


def test_a_person_is_told_once_that_an_order_is_unknown_for_long() -> None:
    sending = connected()
    sending.luck = ["lost_after"]
    sending.tell(an_order())
    alerts = [alert for _ in range(20) for alert in of_kind(Alert, sending.wait(10))]
    assert [alert.name for alert in alerts] == ["order_unknown"]


def test_an_order_that_the_books_do_not_have_twice_a_quiet_period_apart_was_never_sent() -> None:
    sending = connected(quiet_s=5)
    sending.luck = ["lost_before"]
    sending.tell(an_order())
    sending.wait(1)
    assert of_kind(OrderRejected, sending.answer()) == []
    sending.wait(4.9)
    assert sending.questions == []
    sending.wait(0.1)
    (refused,) = of_kind(OrderRejected, sending.answer())
    assert refused.reason is RejectReason.NOT_SENT
    assert sent(sending) == ["o1"]


def test_a_second_look_that_comes_too_soon_does_not_count() -> None:
    sending = connected(quiet_s=5)
    sending.luck = ["lost_before"]
    sending.tell(an_order())
    sending.wait(1)
    sending.answer()
    sending.wait(3, ReconcileAsked())
    assert of_kind(OrderRejected, sending.answer()) == []
    assert sending.state_of("o1") == "UNKNOWN"


def test_two_looks_in_different_sessions_do_not_count_as_two() -> None:
    sending = connected()
    sending.luck = ["lost_before"]
    sending.tell(an_order())
    sending.wait(1)
    sending.answer()
    sending.wait(6)
    sending.crash()
    sending.wait(1)
    assert of_kind(OrderRejected, sending.connect()) == []
    sending.wait(5)
    assert len(of_kind(OrderRejected, sending.answer())) == 1


def test_books_asked_for_in_an_earlier_session_say_nothing() -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    old = sending.questions.pop()
    sending.tell(Disconnected(ts_event_ns=T0, detail="gone"), an_order())
    sending.tell(sending.broker.books(old))
    assert not sending.node.ready
    assert sending.node.counters["books_stale"] == 1


def test_an_order_is_sent_again_only_where_the_broker_knows_every_token_for_ever() -> None:
    sending = Sending(capabilities(dedupe="forever"))
    sending.connect()
    sending.luck = ["lost_before"]
    sending.tell(an_order())
    for _ in range(2):
        sending.wait(6)
        sending.answer()
    assert sent(sending) == ["o1", "o1"]
    assert sending.broker.sent_numbers == [1]
    sending.deliver()
    assert sending.state_of("o1") == "ACKED"


def test_nothing_is_sent_again_that_a_halt_or_a_breaker_forbids_by_now() -> None:
    for stop, closes, times in ((command(Halt), True, 1), (breaker_tripped(), False, 1), (breaker_tripped(), True, 2)):
        sending = Sending(capabilities(dedupe="forever"))
        sending.connect()
        sending.luck = ["lost_before"]
        sending.tell(an_order(closes=closes))
        sending.tell(stop)
        for _ in range(2):
            sending.wait(6)
            sending.answer()
        assert len(sent(sending)) == times


def test_nothing_is_sent_again_if_what_comes_with_the_books_forbids_it() -> None:
    for word in (breaker_tripped(), request(CancelOrder), command(Halt)):
        sending = Sending(capabilities(dedupe="forever"))
        sending.connect()
        sending.luck = ["lost_before"]
        sending.tell(an_order())
        sending.wait(6)
        sending.answer()
        sending.wait(6)
        (ask,) = sending.questions
        sending.tell(sending.broker.books(ask), word)
        assert sent(sending) == ["o1"]


def test_a_broker_that_knows_the_token_of_an_order_sent_again_has_the_order() -> None:
    sending = Sending(capabilities(dedupe="forever"))
    sending.connect()
    sending.luck = ["lost_after"]
    sending.tell(an_order())
    for _ in range(2):
        sending.wait(6)
        sending.answer(open_orders=())  # the broker's books lag
    assert sent(sending) == ["o1", "o1"]
    assert of_kind(OrderRejected, sending.deliver()) == []
    sending.answer()
    assert sending.state_of("o1") == "ACKED"
    assert sending.broker.orders["o1"].submissions == 1


def test_an_order_that_did_not_leave_waits_and_is_refused_after_five_tries() -> None:
    sending = connected()
    sending.luck = ["not_sent"] * 5
    sending.tell(an_order())
    said = [message for _ in range(5) for message in sending.wait(1)]
    assert [m.reason for m in of_kind(OrderRejected, said)] == [RejectReason.NOT_SENT]  # no broker has refused it
    assert sent(sending) == ["o1"] * 5
    assert sending.broker.orders == {}


def test_after_a_crash_what_was_being_sent_is_unknown_and_nothing_leaves_before_the_books() -> None:
    sending = connected()
    sending.tell(an_order())
    assert kinds(sending.crash()) == ["OrderUnknown"]
    assert sending.state_of("o1") == "UNKNOWN"
    sending.tell(an_order(order_id="o2"))
    assert sent(sending) == ["o1"]
    sending.connect()
    assert sending.state_of("o1") == "ACKED"
    assert sent(sending) == ["o1", "o2"]


def test_what_was_thought_never_to_have_been_sent_and_trades_is_booked_and_the_rest_withdrawn() -> None:
    """The router was told that the order is gone: it counts against no limit, and no flatten would reach it."""
    sending = connected()
    sending.luck = ["lost_after"]
    sending.tell(an_order(quantity=D(3)))
    for _ in range(2):
        sending.wait(6)
        sending.answer(open_orders=())
    assert sending.state_of("o1") == "REJECTED"
    sending.broker.trade("o1", D(1))
    (fill,) = of_kind(Fill, sending.deliver())
    assert (fill.strategy_id, fill.quantity, fill.leaves_quantity) == ("s1", D(1), D(2))
    assert sending.state_of("o1") == "UNKNOWN"
    sending.answer()
    assert [e.request.order_id for e in sending.effects if isinstance(e, Withdraw)] == ["o1"]
    assert [type(m).__name__ for m in sending.deliver()] == ["OrderCancelled"]
    assert (sending.positions(), sending.broker.open_ids()) == ({"EURUSD": D(1)}, [])


# -- cancels and changes -----------------------------------------------------------------------------------------------


def test_an_order_that_was_never_sent_is_cancelled_and_changed_without_the_broker() -> None:
    sending = Sending()
    sending.tell(an_order(), an_order(order_id="o2"))
    (changed,) = sending.tell(request(ModifyOrder, quantity=D(5)))
    (gone,) = sending.tell(request(CancelOrder, "o2"))
    assert (type(changed), changed.quantity, type(gone)) == (OrderModified, D(5), OrderCancelled)
    sending.connect()
    assert [order.quantity for effect in sending.effects if isinstance(effect, Send) for order, _ in effect.orders] == [D(5)]


def test_a_cancel_of_an_order_that_is_not_answered_waits_until_it_is_found() -> None:
    sending = connected()
    sending.tell(an_order())
    sending.tell(request(CancelOrder))
    assert [e for e in sending.effects if isinstance(e, Withdraw)] == []
    assert kinds(sending.deliver()) == ["OrderAccepted"]
    assert isinstance(sending.effects[-1], Withdraw)
    assert kinds(sending.deliver()) == ["OrderCancelled"]


def test_requests_about_orders_that_are_not_here_are_refused() -> None:
    sending = connected()
    cancel, change = sending.tell(request(CancelOrder, "?"), request(ModifyOrder, "?", quantity=D(1)))
    assert (type(cancel), type(change)) == (CancelRejected, ModifyRejected)
    assert cancel.reason is change.reason is RejectReason.UNKNOWN_ORDER


def test_a_request_about_an_order_that_has_ended_unfilled_is_told_how_it_ended() -> None:
    """A whole order whose execution is busted looks open to whoever has heard of no end."""
    sending = at_work(quantity=D(2))
    sending.broker.correct(sending.broker.trade("o1", D(2)), D(0))
    sending.deliver()
    for kind in (CancelOrder, ModifyOrder):
        refused, ended = sending.tell(request(kind))
        assert refused.reason is RejectReason.UNKNOWN_ORDER
        assert (type(ended), ended.order_id, ended.filled_quantity) == (OrderCancelled, "o1", D(0))
    whole = at_work()
    whole.broker.trade("o1", D(1))
    whole.deliver()
    assert kinds(whole.tell(request(CancelOrder))) == ["CancelRejected"]


def test_a_change_goes_to_the_broker_and_its_answer_to_the_router() -> None:
    sending = at_work()
    asked = request(ModifyOrder, quantity=D(4), limit_price=D("1.31"))
    sending.tell(asked)
    (change,) = [effect for effect in sending.effects if isinstance(effect, Change)]
    assert (change.order.quantity, change.request.quantity, change.request.limit_price) == (D(1), D(4), D("1.31"))
    (second,) = sending.tell(request(ModifyOrder, quantity=D(6)))
    assert second.reason is RejectReason.ORDER_STATE
    (made,) = sending.deliver()
    assert (made.cause, made.quantity, made.limit_price) == ("k1", D(4), D("1.31"))
    assert sending.state_of("o1") == "ACKED"


def test_a_change_that_has_not_left_when_the_book_is_halted_waits_for_the_resume() -> None:
    sending = connected()
    sending.tell(an_order(quantity=D(5)))
    sending.tell(request(ModifyOrder, quantity=D(6)))
    sending.tell(command(Halt))
    sending.deliver()
    assert not [effect for effect in sending.effects if isinstance(effect, Change)]
    sending.tell(command(Resume, "c2"))
    assert isinstance(sending.effects[-1], Change)


def test_a_change_that_only_takes_contracts_away_leaves_under_a_halt_and_an_open_breaker() -> None:
    for stop, word in ((command(Halt), RejectReason.HALTED), (breaker_tripped(), RejectReason.BREAKER)):
        sending = at_work(quantity=D(5))
        sending.tell(stop)
        for kept in ({"quantity": D(6)}, {"quantity": D(4), "limit_price": D("1.5")}):
            (refused,) = sending.tell(request(ModifyOrder, **kept))
            assert (type(refused), refused.reason) == (ModifyRejected, word)
        sending.tell(request(ModifyOrder, quantity=D(4)))
        assert isinstance(sending.effects[-1], Change)
        assert sending.broker.orders["o1"].order.quantity == D(4)


def test_a_change_that_waits_is_refused_where_a_breaker_trips_before_it_leaves() -> None:
    sending = connected()
    sending.tell(an_order(quantity=D(5)))
    sending.tell(request(ModifyOrder, quantity=D(6)))
    sending.tell(breaker_tripped("s1"))
    (_, refused) = sending.deliver()
    assert (type(refused), refused.reason, sending.state_of("o1")) == (ModifyRejected, RejectReason.BREAKER, "ACKED")
    assert not [effect for effect in sending.effects if isinstance(effect, Change)]


def test_a_change_of_an_order_that_fills_before_it_leaves_is_answered() -> None:
    """Else the router would wait for its answer, and count the order as open, for ever."""
    sending = at_work(quantity=D(2))
    sending.tell(command(Halt))
    sending.tell(command(Resume, "c2"))
    sending.now_ns += NS
    sending.tell(Disconnected(ts_event_ns=sending.now_ns, detail="cut"))
    sending.tell(request(ModifyOrder, quantity=D(3)))
    sending.broker.trade("o1", D(2))
    fill, answer = sending.deliver()
    assert (type(fill), type(answer), answer.reason) == (Fill, ModifyRejected, RejectReason.UNKNOWN_ORDER)
    assert (answer.cause, sending.state_of("o1")) == ("k1", "FILLED")


def test_an_order_that_is_being_made_larger_is_not_whole_before_that_is_answered() -> None:
    """The broker has made the change, and its answer comes after the executions, or never."""
    sending = at_work(quantity=D(2))
    sending.tell(request(ModifyOrder, quantity=D(3)))
    answer = sending.broker.pending.pop()
    sending.broker.trade("o1", D(2))
    sending.deliver()
    assert sending.state_of("o1") == "PENDING_MODIFY"
    (modified,) = sending.tell(answer)
    assert (modified.quantity, sending.state_of("o1")) == (D(3), "PARTIALLY_FILLED")
    sending.broker.trade("o1", D(1))
    sending.deliver()
    assert sending.state_of("o1") == "FILLED"


def test_an_order_that_was_whole_when_its_change_was_refused_or_not_made_is_filled() -> None:
    refusal: dict[str, Any] = {"reason": RejectReason.ORDER_STATE, "detail": "filled", "ts_event_ns": T0}
    for lost in (False, True):
        sending = at_work(quantity=D(2))
        sending.luck = ["lost_before"]
        sending.tell(request(ModifyOrder, quantity=D(3)))
        sending.broker.trade("o1", D(2))
        sending.deliver()
        if lost:
            said = [m for _ in range(4) for m in sending.wait(6) + sending.answer()]
        else:
            said = sending.tell(RequestRefused(order_id="o1", request="modify", **refusal))
        assert [type(m) for m in said] == [ModifyRejected]
        assert (said[0].cause, sending.state_of("o1")) == ("k1", "FILLED")


def test_a_refused_change_leaves_the_order_as_it_was() -> None:
    sending = at_work()
    sending.tell(request(ModifyOrder, quantity=D(4)))
    sending.broker.pending.clear()
    refusal: dict[str, Any] = {"reason": RejectReason.VENUE, "detail": "no", "ts_event_ns": T0}
    (refused,) = sending.tell(RequestRefused(order_id="o1", request="modify", **refusal))
    assert isinstance(refused, ModifyRejected)
    assert (sending.state_of("o1"), sending.state()["orders"]["o1"]["keep"]) == ("ACKED", "1")


def test_a_cancel_that_the_broker_does_not_answer_is_asked_for_again_once_its_books_show_the_order() -> None:
    sending = at_work()
    sending.luck = ["lost_before"]
    sending.tell(request(CancelOrder))
    sending.wait(5)
    sending.wait(5)
    sending.answer()
    assert len([e for e in sending.effects if isinstance(e, Withdraw)]) == 2
    assert kinds(sending.deliver()) == ["OrderCancelled"]


def test_a_change_that_the_broker_does_not_answer_was_made_or_not_as_its_books_show() -> None:
    for luck, kind in (("lost_after", OrderModified), ("lost_before", ModifyRejected)):
        sending = at_work()
        sending.luck = [luck]  # type: ignore[list-item]
        sending.tell(request(ModifyOrder, quantity=D(4)))
        sending.wait(5)
        sending.wait(5)
        (said,) = [m for m in sending.answer() if isinstance(m, OrderModified | ModifyRejected)]
        assert type(said) is kind
        assert sending.state_of("o1") == "ACKED"


def test_a_broker_that_does_not_know_an_order_it_was_to_cancel_leaves_it_unknown() -> None:
    sending = at_work()
    sending.tell(request(CancelOrder))
    sending.broker.pending.clear()
    refusal: dict[str, Any] = {"reason": RejectReason.UNKNOWN_ORDER, "detail": "no such order", "ts_event_ns": T0}
    said = sending.tell(RequestRefused(order_id="o1", request="cancel", **refusal))
    assert kinds(said) == ["CancelRejected", "OrderUnknown"]


def test_a_fill_that_comes_after_the_cancel_is_booked() -> None:
    sending = at_work(quantity=D(2))
    execution = sending.broker.trade("o1", D(1))
    sending.broker.pending.clear()
    sending.tell(request(CancelOrder))
    (cancelled,) = sending.deliver()
    assert cancelled.filled_quantity == 0
    (fill,) = sending.tell(Executed(execution=execution))
    assert isinstance(fill, Fill)
    assert (sending.state_of("o1"), sending.positions()) == ("CANCELLED", {"EURUSD": D(1)})


def test_an_order_that_the_broker_refuses_or_ends_is_over() -> None:
    sending = at_work()
    about: dict[str, Any] = {"order_id": "o1", "ts_event_ns": T0 + NS}
    (expired,) = sending.tell(Ended(how="expired", detail="", **about))
    assert (type(expired), expired.ts_event_ns) == (OrderExpired, T0 + NS)
    sending = connected()
    sending.tell(an_order())
    _, refused = sending.tell(Rejected(reason=RejectReason.BUYING_POWER, detail="poor", **about))
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.BUYING_POWER)
    assert sending.tell(Accepted(venue_order_id="v", **about)) == []


# -- executions --------------------------------------------------------------------------------------------------------


def test_an_execution_is_one_fill_however_often_it_is_reported() -> None:
    sending = at_work(quantity=D(3))
    execution = sending.broker.trade("o1", D(2))
    said = sending.deliver() + sending.tell(Executed(execution=execution)) + sending.crash() + sending.connect()
    (fill,) = of_kind(Fill, said)
    assert (fill.exec_id, fill.cause, fill.quantity, fill.leaves_quantity) == ("x1", "s1/1/0", D(2), D(1))
    assert sending.state_of("o1") == "PARTIALLY_FILLED"


def test_a_commission_that_comes_later_is_a_correction_of_the_fill() -> None:
    sending = at_work(quantity=D(2))
    execution = sending.broker.trade("o1", D(2), commission=None)
    (fill,) = sending.deliver()
    priced = replace(execution, commission=D("2.5"))
    (correction,) = sending.tell(Executed(execution=priced))
    assert (fill.commission, fill.corrects) == (0, "")
    assert (correction.exec_id, correction.corrects, correction.commission) == ("x1/commission", "x1", D("2.5"))
    assert (correction.quantity, correction.price) == (fill.quantity, fill.price)
    assert sending.tell(Executed(execution=priced)) == []
    assert sending.positions() == {"EURUSD": D(2)}


def test_a_correction_of_a_fill_with_a_late_commission_corrects_what_stands_for_it_now() -> None:
    sending = at_work(quantity=D(2))
    execution = sending.broker.trade("o1", D(2), commission=None)
    priced = replace(execution, commission=D(1))
    sending.deliver()
    sending.tell(Executed(execution=priced))
    sending.broker.correct(execution, D(1))
    (correction,) = sending.deliver()
    assert correction.corrects == "x1/commission"
    assert sending.positions() == {"EURUSD": D(1)}


def test_a_bust_takes_its_execution_back() -> None:
    sending = at_work(quantity=D(3))
    sending.broker.correct(sending.broker.trade("o1", D(2)), D(0))
    fill, bust = sending.deliver()
    assert (bust.corrects, bust.quantity, bust.leaves_quantity) == (fill.exec_id, 0, 3)
    assert sending.positions() == {}


def test_a_correction_that_comes_without_what_it_corrects_counts_and_what_it_corrects_no_longer_does() -> None:
    sending = at_work(quantity=D(3))
    first = sending.broker.trade("o1", D(3))
    sending.broker.pending.clear()
    sending.broker.correct(first, D(2))
    (fill,) = sending.deliver()
    assert (fill.corrects, fill.quantity) == ("", D(2))
    assert sending.tell(Executed(execution=first)) == []
    assert sending.positions() == {"EURUSD": D(2)}


def test_corrections_of_corrections_come_to_the_same_in_any_order() -> None:
    for order in permutations(range(3)):
        sending = at_work(quantity=D(9))
        first = sending.broker.trade("o1", D(4))
        sending.broker.correct(sending.broker.correct(first, D(3)), D(2))
        events = list(sending.broker.pending)
        for index in order:
            sending.tell(events[index])
        assert sending.positions() == {"EURUSD": D(2)}, order
        assert sending.state()["orders"]["o1"]["filled"] == "2", order


def test_a_correction_that_is_reported_after_its_own_correction_costs_nothing() -> None:
    sending = at_work(quantity=D(9))
    first = sending.broker.trade("o1", D(4), commission=D(4))
    sending.deliver()
    second = sending.broker.correct(first, D(3))
    sending.broker.correct(second, D(2))
    _, third = sending.broker.pending
    sending.tell(third)
    (fill,) = sending.tell(Executed(execution=replace(second, commission=D(3))))
    assert (fill.corrects, fill.quantity, fill.commission) == ("x1", D(0), D(0))
    assert sending.positions() == {"EURUSD": D(2)}


def test_executions_that_correct_one_another_do_not_hang_the_sender() -> None:
    sending = at_work(quantity=D(9))
    first = sending.broker.trade("o1", D(4))
    second = sending.broker.correct(first, D(3))
    for execution in (second, replace(first, corrects="x2"), replace(first, exec_id="x3", corrects="x1")):
        sending.tell(Executed(execution=execution))
    assert sending.state_of("o1") == "PARTIALLY_FILLED"


def test_executions_of_others_are_booked_as_external() -> None:
    sending = connected()
    sending.broker.execute("", "sell", D(4))
    (fill,) = sending.deliver()
    assert (fill.strategy_id, fill.quantity, fill.side) == ("external", D(4), "sell")
    assert sending.positions() == {"EURUSD": D(-4)}


def test_what_others_close_of_a_strategys_position_is_booked_to_it_and_its_exits_have_less_to_close() -> None:
    sending = Sending(capabilities(brackets=True, oco=True))
    sending.connect()
    sending.tell(*a_bracket("e"))
    sending.deliver()
    sending.broker.trade("e", D(10))
    sending.deliver()
    by_hand = replace(sending.broker.execute("", "sell", D(10)), position_of="e", strategy_id="s1")
    (fill,) = sending.tell(Executed(execution=by_hand))
    assert (fill.strategy_id, fill.quantity, fill.side) == ("s1", D(10), "sell")
    ended = [Ended(order_id=f"e-{leg}", how="cancelled", detail="its position is closed", ts_event_ns=T0) for leg in ("tp", "sl")]
    assert [type(message).__name__ for message in sending.tell(*ended)] == ["OrderCancelled"] * 2, "and no alert"


def test_what_the_broker_closes_by_itself_is_told_once_for_each_order_of_its() -> None:
    sending = connected()
    sending.tell(an_order(order_id="e", quantity=D(10)))
    sending.deliver()
    sending.broker.trade("e", D(10))
    sending.deliver()
    closed = {"position_of": "e", "strategy_id": "s1", "liquidation": "stop out of position 7, [so: 48.1%]"}
    parts = [replace(sending.broker.execute("", "sell", D(3)), venue_order_id="v9", **closed) for _ in range(2)]
    said = sending.tell(*(Executed(execution=part) for part in (*parts, parts[0])))
    assert [fill.quantity for fill in of_kind(Fill, said)] == [D(3), D(3)]
    (alert,) = of_kind(Alert, said)
    assert (alert.name, alert.severity) == ("position_liquidated", "critical")
    for word in (
        "paper: ",
        "closed sell 3 EURUSD at 1.3 ",
        "stop out of position 7",
        "order e of strategy s1",
        "v9",
        "has 7 EURUSD",
    ):
        assert word in alert.text
    sending.wait(70)
    again = replace(sending.broker.execute("", "sell", D(4)), venue_order_id="v10", **closed)
    corrected = replace(sending.broker.correct(again, D(3)), **closed)
    said = sending.tell(Executed(execution=again), Executed(execution=corrected))
    assert [alert.name for alert in of_kind(Alert, said)] == ["position_liquidated"]
    assert list(sending.state()["liquidated"]) == ["v10"], "those of long ago are forgotten"


def test_a_position_of_an_order_that_the_ledger_does_not_know_is_nobodys() -> None:
    sending = connected()
    by_hand = replace(sending.broker.execute("", "sell", D(4)), position_of="stranger")
    (fill,) = sending.tell(Executed(execution=by_hand))
    assert fill.strategy_id == "external"


def test_an_execution_older_than_all_that_is_remembered_has_been_booked_long_ago() -> None:
    sending = Sending()
    sending.restore(b"")
    sending.connect()
    first = sending.broker.execute("", "buy", D(1))
    for _ in range(1200):
        sending.broker.now_ns += 1
        sending.broker.execute("", "buy", D(1))
    sending.broker.pending, events = [], sending.broker.pending
    for event in events:
        list(sending.node.handle(event))
    assert list(sending.node.handle(Executed(execution=first))) == []
    assert sending.positions() == {"EURUSD": D(1201)}
    assert sending.node.counters["executions_too_old"] == 1
    assert len(sending.state()["executions"]) <= 1024 + 64


def test_accepted_is_said_once() -> None:
    sending = connected()
    sending.tell(an_order())
    event = sending.broker.pending[0]
    said = sending.deliver() + sending.tell(event) + sending.wait(300) + sending.answer()
    assert len(of_kind(OrderAccepted, said)) == 1


def test_a_configuration_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="quiet_s"):
        a_sender(quiet_s=1)
    with pytest.raises(ConfigError, match="max_requests_per_s"):
        a_sender(max_requests_per_s=0)
