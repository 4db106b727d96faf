"""Brackets and OCO groups that the sender keeps for a broker which knows neither."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    Halt,
    Message,
    OrderCancelled,
    OrderModified,
    OrderRejected,
    RejectReason,
    Resume,
)
from barque.venue import Connected, Disconnected, Ended, Executed, Modified, Rejected
from router.core.sending.effects import Send, Withdraw
from router.core.sending.events import NotSent, ReconcileAsked, Release
from tests.support.builders import NS, T0, an_order
from tests.support.routing import command, of_kind
from tests.support.sending import Sending, a_bracket, a_sender, capabilities

D = Decimal


def with_entry(quantity: int = 10) -> Sending:
    """A sender whose bracket's entry is at the broker."""
    sending = Sending()
    sending.connect()
    sending.tell(*a_bracket("b", quantity))
    sending.deliver()
    return sending


def at_broker(sending: Sending) -> dict[str, Decimal]:
    """Open contracts of the broker's orders."""
    orders = sending.broker.orders
    return {order_id: orders[order_id].order.quantity - orders[order_id].filled for order_id in sending.broker.open_ids()}


def settled(sending: Sending) -> list[Message]:
    """All that is said until the broker has nothing more to say."""
    said: list[Message] = []
    while sending.broker.pending:
        said += sending.deliver()
    return said


def withdrawal(order_id: str) -> CancelOrder:
    about = {"cause": "k1", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD"}
    return CancelOrder(order_id=order_id, ts_event_ns=T0, **about)


def tripped_breaker() -> BreakerChanged:
    about = {"account": "paper", "breaker": "drawdown", "ts_event_ns": T0, "cause": "c"}
    return BreakerChanged(strategy_id="", status="TRIPPED", tripped=True, **about)


def test_exits_wait_for_their_entry_and_are_as_large_as_what_it_has_filled() -> None:
    sending = with_entry(10)
    assert at_broker(sending) == {"b": D(10)}
    sending.broker.trade("b", D(4))
    settled(sending)
    assert at_broker(sending) == {"b": D(6), "b-tp": D(4), "b-sl": D(4)}
    sending.broker.trade("b", D(6))
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(10), "b-sl": D(10)}


def test_the_broker_is_not_told_of_links_that_it_does_not_know() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    orders = [order for effect in sending.effects if isinstance(effect, Send) for order, _ in effect.orders]
    assert [(order.parent_id, order.oco_group) for order in orders] == [(None, None)] * 3


def test_what_one_exit_fills_the_other_loses() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(10))
    settled(sending)
    sending.broker.trade("b-tp", D(3))
    (cut,) = of_kind(OrderModified, settled(sending))
    assert (cut.order_id, cut.quantity) == ("b-sl", D(7))
    assert at_broker(sending) == {"b-tp": D(7), "b-sl": D(7)}
    sending.broker.trade("b-tp", D(7))
    assert [m.order_id for m in of_kind(OrderCancelled, settled(sending))] == ["b-sl"]
    assert (at_broker(sending), sending.positions()) == ({}, {})


def test_an_entry_that_ends_in_part_leaves_its_exits_that_part() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.tell(withdrawal("b"))
    said = settled(sending)
    assert [m.order_id for m in of_kind(OrderCancelled, said)] == ["b"]
    assert at_broker(sending) == {"b-tp": D(4), "b-sl": D(4)}
    sending.broker.trade("b-sl", D(4))
    settled(sending)
    assert (at_broker(sending), sending.positions()) == ({}, {})


def test_what_an_entry_turns_out_to_have_filled_after_its_end_is_given_to_its_exits() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    late = sending.broker.trade("b", D(2))
    sending.broker.pending.clear()
    sending.tell(withdrawal("b"))
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(4), "b-sl": D(4)}
    sending.wait(1, Executed(execution=late))
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(6), "b-sl": D(6)}
    assert sending.positions() == {"EURUSD": D(6)}


def test_exits_end_with_an_entry_that_never_filled() -> None:
    sending = with_entry(10)
    sending.tell(withdrawal("b"))
    assert sorted(m.order_id for m in of_kind(OrderCancelled, settled(sending))) == ["b", "b-sl", "b-tp"]
    assert at_broker(sending) == {}


def test_an_exit_that_has_filled_while_its_entry_works_ends_the_entry() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.broker.trade("b-tp", D(4))
    settled(sending)
    sending.wait(1)
    assert (at_broker(sending), sending.positions()) == ({}, {})
    assert [sending.state_of(order_id) for order_id in ("b", "b-tp", "b-sl")] == ["CANCELLED"] * 3


def test_an_entry_that_fills_further_than_an_exit_that_is_done_keeps_the_other_and_a_person_is_told() -> None:
    for at_once in (True, False):
        sending = with_entry(10)
        sending.broker.trade("b", D(4))
        settled(sending)
        sending.broker.trade("b-tp", D(4))
        sending.broker.trade("b", D(6))
        if not at_once:
            sending.deliver(1)  # the entry is to be cancelled, and has filled already
        said = settled(sending)
        (alert,) = of_kind(Alert, said)
        assert (alert.name, alert.severity) == ("position_unprotected", "warning")
        assert "b-tp" in alert.text
        assert (at_broker(sending), sending.positions()) == ({"b-sl": D(6)}, {"EURUSD": D(6)})


def test_an_exit_that_filled_its_part_while_its_cancel_was_lost_ends() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.luck = ["lost_before"]
    sending.tell(withdrawal("b-tp"))
    sending.broker.trade("b-tp", D(4))
    settled(sending)
    assert sending.state_of("b-tp") == "PENDING_CANCEL"
    sending.rest()
    assert (sending.state_of("b-tp"), sending.positions()) == ("CANCELLED", {})


def test_a_crash_between_the_entry_s_fill_and_the_exits_leaves_no_naked_position() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(10))
    sending.luck = ["lost_before", "lost_before"]
    settled(sending)
    assert at_broker(sending) == {}
    sending.crash()
    sending.connect()
    for _ in range(2):
        sending.wait(6)
        sending.answer()
    assert {m.order_id for m in sending.said if isinstance(m, OrderRejected)} == {"b-tp", "b-sl"}
    alerts = {(m.name, m.severity) for m in sending.said if isinstance(m, Alert)}
    assert alerts == {("position_unprotected", "critical"), ("position_unprotected", "warning")}


def test_a_crash_before_the_exits_left_the_desk_sends_them_at_the_next_start() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(10))
    sending.crash()
    sending.connect()
    assert at_broker(sending) == {"b-tp": D(10), "b-sl": D(10)}
    settled(sending)
    assert sending.state_of("b-sl") == "ACKED"


def test_an_exit_that_the_broker_refuses_is_an_alert() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(10))
    sending.deliver()
    sending.broker.pending.clear()
    refusal = {"reason": RejectReason.PRICE, "detail": "too near", "ts_event_ns": T0}
    (alert, refused) = sending.tell(Rejected(order_id="b-sl", **refusal))  # type: ignore[arg-type]
    assert (alert.name, alert.severity) == ("position_unprotected", "critical")
    assert "b-sl" in alert.text
    assert isinstance(refused, OrderRejected)


def test_a_halt_keeps_exits_back_says_so_and_lets_them_go_after_the_resume() -> None:
    sending = with_entry(10)
    sending.tell(command(Halt))
    sending.broker.trade("b", D(10))
    alerts = of_kind(Alert, settled(sending) + sending.wait(1))
    assert [alert.name for alert in alerts] == ["position_unprotected"] * 2
    assert at_broker(sending) == {}
    sending.tell(command(Resume, "c2"))
    assert at_broker(sending) == {"b-tp": D(10), "b-sl": D(10)}


@pytest.mark.parametrize("native", [True, False])
def test_an_exit_that_comes_under_a_halt_after_its_entry_has_filled_and_ended_is_kept_and_told_of(native: bool) -> None:
    sending = Sending(capabilities(brackets=native, oco=native))
    sending.connect()
    entry, _, stop = a_bracket("b", 10)
    sending.tell(entry)
    sending.deliver()
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.tell(withdrawal("b"))
    settled(sending)
    assert sending.state_of("b") == "CANCELLED"
    said = sending.tell(command(Halt), stop, an_order(order_id="o2"))
    assert [refused.order_id for refused in of_kind(OrderRejected, said)] == ["o2"]
    (alert,) = of_kind(Alert, said)
    assert (alert.name, alert.severity) == ("position_unprotected", "critical")
    assert "4 contracts are without it" in alert.text
    assert "barque resume" in alert.text
    assert at_broker(sending) == {}
    sending.tell(command(Resume, "c2"))
    assert at_broker(sending) == {"b-sl": D(4)}


@pytest.mark.parametrize(("filled", "told"), [(D(0), 0), (D(4), 1)])
def test_an_exit_that_cannot_be_placed_ends_its_entry_and_is_told_of_where_that_has_filled(filled: Decimal, told: int) -> None:
    sending = Sending(capabilities(order_types=("limit",)))
    sending.connect()
    entry, _, stop = a_bracket("b", 10)
    sending.tell(entry)
    sending.deliver()
    sending.broker.trade("b", filled)
    settled(sending)
    said = sending.tell(stop)
    assert [refused.order_id for refused in of_kind(OrderRejected, said)] == ["b-sl"]
    assert [alert.name for alert in of_kind(Alert, said)] == ["position_unprotected"] * told
    assert at_broker(sending) == {}


def test_an_exit_of_an_entry_that_is_long_forgotten_is_refused_under_a_halt_and_told_of() -> None:
    sending = Sending()
    sending.connect()
    *_, stop = a_bracket("b", 10)
    said = sending.tell(command(Halt), stop)
    assert [refused.reason for refused in of_kind(OrderRejected, said)] == [RejectReason.HALTED]
    assert [alert.name for alert in of_kind(Alert, said)] == ["position_unprotected"]


def test_an_exit_that_cannot_leave_for_want_of_the_broker_s_books_is_told_of_with_the_session_s_trouble() -> None:
    sending = with_entry(10)
    sending.tell(Connected(ts_event_ns=T0))
    sending.broker.trade("b", D(10))
    settled(sending)
    assert at_broker(sending) == {}
    said = sending.wait(59)
    assert of_kind(Alert, said) == []
    alerts = of_kind(Alert, sending.wait(2) + sending.wait(60))
    assert [alert.name for alert in alerts] == ["sender_disconnected", "position_unprotected", "position_unprotected"]
    assert "the broker's books are being compared with ours. 10 contracts are without it" in alerts[-1].text


def test_under_a_halt_exits_still_shrink() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(10))
    settled(sending)
    sending.tell(command(Halt))
    sending.broker.trade("b-tp", D(3))
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(7), "b-sl": D(7)}


def test_under_a_halt_exits_still_grow_with_what_their_entry_fills_for_that_opens_nothing() -> None:
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.tell(command(Halt))
    sending.broker.trade("b", D(6))
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(10), "b-sl": D(10)}
    assert sending.positions() == {"EURUSD": D(10)}


def test_where_an_exit_cannot_be_placed_its_entry_does_not_leave_either() -> None:
    sending = Sending(capabilities(order_types=("limit",)))
    sending.connect()
    said = sending.tell(*a_bracket("b"))
    assert {m.order_id for m in of_kind(OrderRejected, said)} == {"b", "b-sl"}
    assert {m.order_id for m in of_kind(OrderCancelled, said)} == {"b-tp"}
    assert sending.broker.orders == {}


def test_a_broker_that_holds_brackets_gets_them_whole_and_at_once() -> None:
    sending = Sending(capabilities(brackets=True, oco=True))
    sending.connect()
    sending.tell(*a_bracket("b"))
    (send,) = [effect for effect in sending.effects if isinstance(effect, Send)]
    assert [(order.order_id, order.parent_id, number) for order, number in send.orders] == [
        ("b", None, 1),
        ("b-tp", "b", 2),
        ("b-sl", "b", 3),
    ]


def test_exits_of_an_entry_that_a_halt_refused_end_too_whoever_holds_brackets() -> None:
    for native in (True, False):
        sending = Sending(capabilities(brackets=native, oco=native))
        sending.tell(*a_bracket("b"))
        sending.tell(command(Halt))
        assert [sending.state_of(order_id) for order_id in ("b", "b-tp", "b-sl")] == ["REJECTED", "CANCELLED", "CANCELLED"]


def native(**section: Any) -> Sending:
    """A sender of a broker that holds brackets and links orders."""
    sending = Sending(capabilities(brackets=True, oco=True), **section)
    sending.connect()
    return sending


def sends(sending: Sending) -> list[list[str]]:
    return [[order.order_id for order, _ in effect.orders] for effect in sending.effects if isinstance(effect, Send)]


def test_a_bracket_that_could_not_leave_leaves_whole_the_next_time() -> None:
    sending = native()
    sending.luck = ["not_sent"]
    sending.tell(*a_bracket("b"))
    sending.wait(2)
    assert sends(sending) == [["b", "b-tp", "b-sl"]] * 2
    assert sending.broker.sent_numbers == [1, 2, 3]


@pytest.mark.parametrize(
    "end",
    [
        lambda sending: sending.tell(withdrawal("b")),
        lambda sending: sending.tell(command(Halt)),
        lambda sending: sending.tell(tripped_breaker()),
        lambda sending: sending.tell(Disconnected(ts_event_ns=T0, detail="cut")) + sending.wait(300),
        lambda sending: sending.wait(0.5) + sending.wait(600),
    ],
    ids=["cancelled", "halted", "a breaker is open", "max_wait", "its time is over"],
)
def test_where_the_entry_ends_before_it_could_leave_again_its_exits_end_with_it(end: Any, request: Any) -> None:
    sending = native()
    sending.luck = ["not_sent"]
    entry, *legs = a_bracket("b")
    until_ns = T0 + 60 * NS if "time" in request.node.callspec.id else None
    sending.tell(replace(entry, valid_until_ns=until_ns), *legs)
    sending.luck = ["not_sent"] * 4
    end(sending)
    sending.tell(command(Resume, "c2"))
    sending.luck = []
    sending.connect()
    sending.wait(5)
    assert sending.broker.orders == {}
    assert sending.state()["orders"] == {}
    assert [sending.state_of(order_id) for order_id in ("b-tp", "b-sl")] == ["CANCELLED", "CANCELLED"]


def test_a_cancel_that_comes_while_a_bracket_is_being_sent_ends_it_should_it_not_have_left() -> None:
    node = a_sender(capabilities(brackets=True, oco=True))
    sending = native()
    node.restore(sending.node.snapshot())
    for message in (*a_bracket("b"), Release(now_ns=T0), withdrawal("b")):
        node.handle(message)
    assert [each.state for each in node.orders()[0].values()] == ["SENDING"] * 3
    said = [m for _, m in node.handle(NotSent(order_ids=("b", "b-tp", "b-sl"), request="submit", detail="no route"))]
    said += [m for _, m in node.handle(Release(now_ns=T0 + 2 * NS))]
    assert [m.order_id for m in of_kind(OrderCancelled, said)] == ["b", "b-tp", "b-sl"]
    assert node.orders()[0] == {}


def test_an_exit_that_had_not_left_when_its_entry_ended_in_part_is_as_large_as_that_part() -> None:
    sending = native()
    entry, profit, stop = a_bracket("b")
    sending.tell(entry)
    sending.deliver()
    sending.luck = ["not_sent"]
    sending.tell(profit)
    sending.broker.trade("b", D(4))
    sending.tell(withdrawal("b"))
    settled(sending)
    sending.tell(stop)
    sending.wait(2)
    settled(sending)
    assert at_broker(sending) == {"b-tp": D(4), "b-sl": D(4)}


def in_position() -> Sending:
    """A native bracket whose entry has filled."""
    sending = native()
    sending.tell(*a_bracket("b"))
    settled(sending)
    sending.broker.trade("b", D(10))
    settled(sending)
    return sending


def taken_away(sending: Sending, order_id: str) -> Ended:
    """What a broker says that has cancelled the other of a group."""
    sending.broker.orders[order_id].open = False
    return Ended(order_id=order_id, how="cancelled", detail="OCA", ts_event_ns=sending.now_ns)


def looks(sending: Sending, times: int = 3) -> list[Message]:
    said: list[Message] = []
    for _ in range(times):
        said += sending.wait(6) + sending.answer()
    return said


@pytest.mark.parametrize("fill_first", [True, False])
def test_a_take_profit_that_fills_and_a_stop_that_the_broker_takes_away_for_it_are_no_alert(fill_first: bool) -> None:
    sending = in_position()
    sending.broker.trade("b-tp", D(10))
    if fill_first:
        settled(sending)
    sending.tell(taken_away(sending, "b-sl"))
    settled(sending)
    looks(sending)
    assert [m for m in sending.said if isinstance(m, Alert)] == []
    assert [sending.state_of(order_id) for order_id in ("b-tp", "b-sl")] == ["FILLED", "CANCELLED"]


def test_a_fill_of_which_only_the_books_tell_explains_what_the_broker_took_away() -> None:
    sending = in_position()
    sending.broker.trade("b-tp", D(10))
    sending.broker.pending.clear()
    sending.tell(taken_away(sending, "b-sl"))
    looks(sending)
    assert [m for m in sending.said if isinstance(m, Alert)] == []


def test_a_stop_that_the_broker_ends_with_the_position_open_is_critical_after_one_look_at_the_books() -> None:
    sending = in_position()
    sending.tell(taken_away(sending, "b-sl"))
    assert sending.wait(4) == []
    sending.crash()
    sending.connect()
    (alert,) = of_kind(Alert, looks(sending))
    assert (alert.name, alert.severity) == ("position_unprotected", "critical")
    assert "b-sl" in alert.text
    assert "10 contracts" in alert.text


def test_a_stop_that_the_broker_ends_is_told_also_where_its_books_cannot_be_read() -> None:
    sending = in_position()
    sending.tell(taken_away(sending, "b-sl"))
    said = [message for _ in range(12) for message in sending.wait(6)]
    assert [alert.name for alert in of_kind(Alert, said)].count("position_unprotected") == 1


def test_of_a_take_profit_that_filled_in_part_the_stop_s_end_is_told_with_what_is_left() -> None:
    sending = in_position()
    sending.broker.trade("b-tp", D(4))
    settled(sending)
    sending.tell(taken_away(sending, "b-sl"))
    (alert,) = of_kind(Alert, looks(sending))
    assert "6 contracts" in alert.text


def test_an_exit_that_is_changed_to_no_contracts_has_ended() -> None:
    sending = in_position()
    sending.broker.orders["b-sl"].open = False
    nothing = {"limit_price": None, "stop_price": D("1.2"), "trail_amount": None, "ts_event_ns": T0}
    (cancelled,) = of_kind(OrderCancelled, sending.tell(Modified(order_id="b-sl", quantity=D(0), **nothing)))
    assert (cancelled.order_id, sending.state_of("b-sl")) == ("b-sl", "CANCELLED")
    assert [alert.name for alert in of_kind(Alert, looks(sending))] == ["position_unprotected"]


def test_two_orders_of_a_group_without_entry_shrink_with_each_other() -> None:
    sending = Sending()
    sending.connect()
    group = {"oco_group": "g", "quantity": D(5), "order_type": "limit"}
    sending.tell(
        an_order(order_id="lo", limit_price=D("1.2"), **group),
        an_order(order_id="hi", side="sell", limit_price=D("1.5"), **group),
    )
    settled(sending)
    sending.broker.trade("lo", D(2))
    settled(sending)
    assert at_broker(sending) == {"lo": D(3), "hi": D(3)}
    sending.broker.trade("lo", D(3))
    settled(sending)
    assert at_broker(sending) == {}


def test_an_exit_that_grew_unheard_of_and_whose_twin_took_all_is_cancelled_not_taken_for_filled() -> None:
    """The answer to the change was lost with the session; the books show the larger exit after its twin has filled."""
    sending = with_entry(10)
    sending.broker.trade("b", D(4))
    settled(sending)
    sending.broker.trade("b", D(6))
    sending.deliver()
    assert at_broker(sending) == {"b-tp": D(10), "b-sl": D(10)}
    sending.broker.pending.clear()
    sending.tell(Disconnected(ts_event_ns=T0, detail="cut"))
    sending.connect()
    sending.broker.trade("b-tp", D(10))
    sending.broker.pending.clear()
    sending.rest()
    assert at_broker(sending) == {}
    assert sending.halts == []


def test_an_exit_of_which_nothing_is_to_be_left_is_cancelled_also_where_a_change_of_it_was_under_way() -> None:
    """The take profit fills in two parts; when the stop has been cut for the first, nothing is to be left of it."""
    sending = with_entry(2)
    sending.broker.trade("b", D(2))
    settled(sending)
    sending.broker.trade("b-tp", D(1))
    sending.deliver()
    (cut,) = sending.broker.pending
    sending.broker.pending.clear()
    sending.broker.trade("b-tp", D(1))
    sending.deliver()
    sending.tell(cut)
    settled(sending)
    assert (at_broker(sending), sending.state_of("b-sl"), sending.positions()) == ({}, "CANCELLED", {})


def test_an_exit_that_fills_whole_while_it_is_made_larger_ends_its_entry_though_no_report_of_it_comes() -> None:
    """The books alone tell that it is gone; else the stop would stay, as large as a position that is closed."""
    sending = with_entry(8)
    sending.broker.trade("b", D(3))
    settled(sending)
    sending.broker.trade("b", D(2))
    sending.deliver()
    sending.broker.pending.clear()
    sending.broker.trade("b-tp", D(5))
    sending.broker.pending.clear()
    sending.tell(ReconcileAsked())
    for _ in range(4):
        sending.answer()
        settled(sending)
        sending.wait(6)
    settled(sending)
    assert (at_broker(sending), sending.positions()) == ({}, {})
    assert sending.broker.orders["b"].filled == 5


# -- exits that end before their entry fills ---------------------------------------------------------------------------


def looked(sending: Sending) -> list[Message]:
    """A quiet period, and a look at the books."""
    return sending.wait(6) + sending.answer()


def test_an_exit_that_the_broker_refuses_withdraws_its_entry_and_is_told_of_if_that_fills_all_the_same() -> None:
    sending = native()
    sending.tell(*a_bracket("b"))
    sending.deliver()
    sending.luck = ["lost_before"]
    refusal: dict[str, Any] = {"reason": RejectReason.PRICE, "detail": "no", "ts_event_ns": T0}
    said = sending.tell(Rejected(order_id="b-sl", **refusal))
    assert [alert.name for alert in of_kind(Alert, said)] == ["order_rejected"]
    assert [effect.request.order_id for effect in sending.effects if isinstance(effect, Withdraw)] == ["b"]
    sending.broker.trade("b", D(4))
    (alert,) = of_kind(Alert, settled(sending) + looked(sending))
    assert (alert.name, alert.severity) == ("position_unprotected", "critical")
    assert "b-sl" in alert.text
    assert "4 contracts are without it" in alert.text


@pytest.mark.parametrize("fills", [True, False])
def test_an_exit_that_the_broker_ends_before_its_entry_fills_is_told_of_when_it_does(fills: bool) -> None:
    sending = native()
    sending.tell(*a_bracket("b"))
    sending.deliver()
    said = sending.tell(Ended(order_id="b-sl", how="cancelled", detail="by hand", ts_event_ns=T0))
    assert of_kind(Alert, said) == []
    sending.crash()
    sending.connect()
    if fills:
        sending.broker.trade("b", D(10))
    else:
        sending.tell(Ended(order_id="b", how="cancelled", detail="by hand", ts_event_ns=T0))
    said = settled(sending) + looked(sending)
    assert [alert.text.partition(",")[0] for alert in of_kind(Alert, said)] == ["EURUSD: stop order b-sl"] * fills
    assert sending.state()["missed"] == {}


def test_an_exit_that_was_withdrawn_as_asked_is_not_missed() -> None:
    for sending in (native(), Sending()):
        sending.connect()
        sending.tell(*a_bracket("b"))
        settled(sending)
        sending.tell(withdrawal("b-sl"))
        settled(sending)
        assert sending.state_of("b-sl") == "CANCELLED"
        sending.broker.trade("b", D(10))
        assert of_kind(Alert, settled(sending)) == []


@pytest.mark.parametrize("holds", [True, False])
def test_an_entry_that_trades_after_it_had_ended_with_its_exits_is_told_of(holds: bool) -> None:
    """The broker's word of 3 contracts comes after that of the end."""
    sending = native() if holds else Sending()
    sending.connect()
    sending.tell(*a_bracket("b"))
    settled(sending)
    late = replace(sending.broker.execute("b", "buy", D(3)), ts_event_ns=T0)
    sending.broker.pending.clear()
    ended = [Ended(order_id=each, how="cancelled", detail="", ts_event_ns=T0) for each in ("b", "b-tp", "b-sl")]
    assert of_kind(Alert, sending.tell(*ended)) == []
    assert [sending.state_of(each) for each in ("b", "b-tp", "b-sl")] == ["CANCELLED"] * 3
    alerts = of_kind(Alert, sending.tell(Executed(execution=late)) + looked(sending))
    assert [(alert.name, alert.severity) for alert in alerts] == [
        ("position_unprotected", "warning"),
        ("position_unprotected", "critical"),
    ]
    assert "3 contracts are without it" in alerts[-1].text


def test_an_entry_that_was_given_up_and_trades_all_the_same_has_no_exits_and_that_is_told() -> None:
    sending = Sending()
    sending.connect()
    sending.luck = ["lost_after"]
    sending.tell(*a_bracket("b"))
    for _ in range(2):
        sending.answer(open_orders=())
        sending.wait(6)
    assert [sending.state_of(each) for each in ("b", "b-tp", "b-sl")] == ["REJECTED", "CANCELLED", "CANCELLED"]
    sending.broker.trade("b", D(4))
    alerts = [alert for alert in of_kind(Alert, settled(sending)) if alert.name == "position_unprotected"]
    assert [alert.severity for alert in alerts] == ["warning", "critical"]
    assert "its entry had ended, and has traded all the same. 4 contracts are without it" in alerts[-1].text


def test_reports_in_the_wrong_order_of_a_bracket_that_is_over_are_no_alarm() -> None:
    """The stop's end is told first, then the entry's fill, then the profit's: all three have happened by then."""
    sending = native()
    sending.tell(*a_bracket("b"))
    settled(sending)
    fills = [sending.broker.trade(order_id, D(10)) for order_id in ("b", "b-tp")]
    sending.broker.orders["b-sl"].open = False
    sending.broker.pending.clear()
    said = sending.tell(Ended(order_id="b-sl", how="cancelled", detail="", ts_event_ns=T0))
    said += sending.tell(Executed(execution=fills[0])) + sending.tell(Executed(execution=fills[1]))
    assert of_kind(Alert, said + looked(sending)) == []
