"""Orders on their way: changes, cancels, brackets' exits, what brokers say late, twice, or not at all, and corrections."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from barque.messages import (
    CancelOrder,
    Flatten,
    Halt,
    ModifyOrder,
    OrderUnknown,
    RejectReason,
    Resume,
    SetLimit,
    SubmitOrder,
)
from router.core.node import RouterNode
from tests.support.builders import T0, a_fill, a_mark, eurusd
from tests.support.routing import (
    a_cancel,
    a_change,
    a_router,
    a_wish,
    accepted,
    cancel_rejected,
    cancelled,
    command,
    feed,
    filled,
    holding,
    modified,
    modify_rejected,
    of_kind,
    order_of,
    position,
    refusal_of,
    rejected,
    state_of,
    wish_to,
    working,
)

D = Decimal
LIMIT: dict[str, Any] = {"order_type": "limit", "limit_price": D("1.30"), "quantity": D(3)}


def limit_order(node: RouterNode, name: str = "a", **changes: Any) -> SubmitOrder:
    return working(node, a_wish(name, **(LIMIT | changes)))


def a_bracket(node: RouterNode, name: str = "b", quantity: int = 2) -> tuple[SubmitOrder, SubmitOrder, SubmitOrder]:
    """Entry, take profit and stop loss, all accepted."""
    legs = {"take_profit": D("1.40"), "stop_loss": D("1.38")}
    entry, profit, loss = of_kind(SubmitOrder, feed(node, a_wish(name, quantity=D(quantity), **legs)))
    assert feed(node, accepted(entry), accepted(profit), accepted(loss)) == []
    return entry, profit, loss


def held_bracket(node: RouterNode, name: str = "b", quantity: int = 2) -> tuple[SubmitOrder, SubmitOrder]:
    """The exits of a bracket whose entry has filled."""
    entry, profit, loss = a_bracket(node, name, quantity)
    assert feed(node, filled(entry)) == []
    return profit, loss


# -- changes ---------------------------------------------------------------------------------------------------------------


def test_a_wish_to_change_becomes_a_request_with_what_changes_on_the_grids() -> None:
    node = a_router()
    order = limit_order(node)
    (request,) = feed(node, a_change("m", order.order_id, quantity=D("2.9"), limit_price=D("1.310004")))
    assert request == ModifyOrder(
        order_id=order.order_id,
        cause="m",
        root="r",
        strategy_id="s1",
        account="paper",
        symbol="EURUSD",
        ts_event_ns=T0,
        quantity=D(2),
        limit_price=D("1.31000"),
    )
    assert state_of(node, order.order_id) == "PENDING_MODIFY"


def test_a_change_ends_with_the_brokers_word_in_the_state_before() -> None:
    for part, before in ((0, "ACKED"), (1, "PARTIALLY_FILLED")):
        for answer in (modified, modify_rejected):
            node = a_router()
            order = limit_order(node)
            if part:
                feed(node, filled(order, part))
            feed(node, a_change("m", order.order_id, limit_price=D("1.31")))
            assert state_of(node, order.order_id) == "PENDING_MODIFY"
            feed(node, modified(order, cause="m") if answer is modified else answer(order))
            assert state_of(node, order.order_id) == before


def test_an_orders_terms_are_what_the_broker_has_confirmed() -> None:
    node = a_router(limits={"max_position": "5"})
    order = limit_order(node)
    feed(node, a_change("m", order.order_id, quantity=D(1)), modified(order, quantity=D(1)))
    assert order_of(node, a_wish("b", quantity=D(4)))
    assert feed(node, a_change("again", order.order_id, quantity=D(1))) == []
    (request,) = feed(node, a_change("m2", order.order_id, limit_price=D("1.2")))
    assert (request.quantity, request.limit_price) == (None, D("1.2"))


def test_while_a_change_is_under_way_the_larger_quantity_counts() -> None:
    node = a_router(limits={"max_position": "5"})
    order = limit_order(node)
    feed(node, a_change("grow", order.order_id, quantity=D(4)))
    assert refusal_of(node, a_wish("b", quantity=D(2))).actual == "6"
    feed(node, modify_rejected(order), a_change("shrink", order.order_id, quantity=D(1)))
    assert refusal_of(node, a_wish("c", quantity=D(3))).actual == "6"
    feed(node, modified(order, quantity=D(1)))
    assert order_of(node, a_wish("d", quantity=D(4)))


def test_only_the_grown_part_is_measured_and_the_whole_order_against_the_order_size() -> None:
    node = holding(a_router(limits={"max_position": "6", "max_order_quantity": "4"}), 2)
    order = limit_order(node)
    rejection = refusal_of(node, a_change("m", order.order_id, quantity=D(5)))
    assert (rejection.reason, rejection.limit, rejection.actual) == (RejectReason.ORDER_SIZE_LIMIT, "4", "5")
    (request,) = feed(node, a_change("n", order.order_id, quantity=D(4)))
    assert request.quantity == D(4)
    feed(node, modified(order, quantity=D(4)))
    feed(node, filled(order, D(1)))
    node = holding(a_router(limits={"max_position": "4"}), 2, "s2")
    order = limit_order(node, quantity=D(2))
    rejection = refusal_of(node, a_change("m", order.order_id, quantity=D(3)))
    assert (rejection.reason, rejection.actual) == (RejectReason.POSITION_LIMIT, "5")


def test_making_an_order_smaller_is_never_refused_for_its_size_or_for_old_prices() -> None:
    node = a_router()
    order = limit_order(node)
    for limit, value in (("max_order_quantity", "1"), ("stale_after_s", "0"), ("max_position", "0")):
        feed(node, command(SetLimit, limit=limit, value=value))
    (request,) = feed(node, a_change("m", order.order_id, quantity=D(2)))
    assert request.quantity == D(2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": D(0)}, RejectReason.QUANTITY),
        ({"quantity": D("NaN")}, RejectReason.QUANTITY),
        ({"quantity": D(1)}, RejectReason.QUANTITY),
        ({"limit_price": D("0.000001")}, RejectReason.PRICE),
        ({"limit_price": D(-1)}, RejectReason.PRICE),
        ({"stop_price": D("1.4")}, RejectReason.UNSUPPORTED),
        ({"trail_amount": D("0.1")}, RejectReason.UNSUPPORTED),
    ],
)
def test_terms_that_cannot_be_are_refused(changes: dict[str, Any], reason: RejectReason) -> None:
    """One contract of three has traded."""
    node = a_router()
    order = limit_order(node)
    feed(node, filled(order, 1))
    assert refusal_of(node, a_change("m", order.order_id, **changes)).reason is reason
    assert state_of(node, order.order_id) == "PARTIALLY_FILLED"


def test_an_order_can_be_changed_while_it_works_and_nothing_is_asked_of_it() -> None:
    node = a_router()
    order = order_of(node, a_wish("a", **LIMIT))
    change = {"limit_price": D("1.31")}
    assert refusal_of(node, a_change("1", order.order_id, **change)).reason is RejectReason.ORDER_STATE
    feed(node, accepted(order), a_change("2", order.order_id, **change))
    assert refusal_of(node, a_change("3", order.order_id, limit_price=D("1.32"))).reason is RejectReason.ORDER_STATE
    feed(node, modified(order, limit_price=D("1.31")), a_cancel("k", order.order_id))
    assert refusal_of(node, a_change("4", order.order_id, limit_price=D("1.32"))).actual == "PENDING_CANCEL"


def test_nobody_changes_what_is_not_his_or_not_open() -> None:
    node = a_router()
    order = limit_order(node)
    for change in (
        a_change("1", "nothing", quantity=D(1)),
        a_change("2", order.order_id, strategy_id="s2", quantity=D(1)),
        a_change("3", order.order_id, symbol="USDJPY", quantity=D(1)),
    ):
        assert refusal_of(node, change).reason is RejectReason.UNKNOWN_ORDER


def test_a_repeated_change_is_counted_and_never_sent_again() -> None:
    node = a_router()
    order = limit_order(node)
    change = a_change("m", order.order_id, quantity=D(2))
    feed(node, change, modified(order, quantity=D(2)))
    assert feed(node, change) == []
    assert node.counters["signals_repeated"] == 1


def test_a_halted_book_changes_nothing() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, command(Halt))
    assert refusal_of(node, a_change("m", order.order_id, quantity=D(2))).reason is RejectReason.HALTED


WRONG_SIDE: list[dict[str, Any]] = [
    {"side": "buy", "stop_loss": "1.395"},
    {"side": "buy", "take_profit": "1.385"},
    {"side": "sell", "stop_loss": "1.385"},
    {"side": "sell", "take_profit": "1.395"},
]


@pytest.mark.parametrize("terms", WRONG_SIDE)
def test_an_exit_of_a_market_entry_on_the_wrong_side_of_the_mark_is_refused(terms: dict[str, Any]) -> None:
    """The mark is 1.39. The same exit is right for an order of the other side."""
    node = a_router()
    feed(node, a_mark(bid=1.39, ask=1.39))
    terms = {name: value if name == "side" else D(value) for name, value in terms.items()}
    refused = refusal_of(node, a_wish("b", quantity=D(2), **terms))
    assert (refused.reason, D(refused.limit)) == (RejectReason.PRICE, D("1.39"))
    other = {**terms, "side": "sell" if terms["side"] == "buy" else "buy"}
    assert len(of_kind(SubmitOrder, feed(node, a_wish("c", quantity=D(2), **other)))) == 2


def test_the_exits_of_a_bracket_follow_their_entrys_quantity() -> None:
    node = a_router()
    entry, profit, loss = a_bracket(node)
    requests = feed(node, a_change("m", entry.order_id, quantity=D(5)))
    assert [(r.order_id, r.quantity) for r in requests] == [(o.order_id, D(5)) for o in (entry, profit, loss)]
    assert feed(node, *(modified(o, quantity=D(5)) for o in (entry, profit, loss)), filled(entry, 5)) == []
    assert position(node) == D(5)


def test_a_guards_price_can_be_moved_and_its_quantity_not_beyond_what_limits_allow() -> None:
    node = a_router(limits={"max_position": "2"})
    _, loss = held_bracket(node)
    (request,) = feed(node, a_change("m", loss.order_id, stop_price=D("1.385")))
    assert request.stop_price == D("1.385")
    feed(node, modified(loss, stop_price=D("1.385")))
    assert refusal_of(node, a_change("n", loss.order_id, quantity=D(5))).reason is RejectReason.POSITION_LIMIT


def test_a_broker_that_grants_less_than_was_asked_is_believed() -> None:
    node = a_router(limits={"max_position": "5"})
    order = limit_order(node)
    feed(node, a_change("m", order.order_id, quantity=D(5)), modified(order, cause="m", quantity=D(4)))
    assert order_of(node, a_wish("b"))


def test_a_change_that_the_broker_makes_unasked_does_not_end_the_one_that_is_under_way() -> None:
    node = a_router(limits={"max_position": "5"})
    order = limit_order(node)
    feed(node, a_change("m", order.order_id, quantity=D(5)), modified(order, quantity=D(2)))
    assert state_of(node, order.order_id) == "PENDING_MODIFY"
    assert refusal_of(node, a_wish("b")).actual == "6"
    feed(node, modify_rejected(order))
    assert order_of(node, a_wish("c", quantity=D(3)))


def test_a_fill_that_overtakes_a_growing_change_does_not_end_the_order() -> None:
    """Three of three have traded, while a change to five is on its way: only the broker knows what is left."""
    for answer, state in ((modified, "PARTIALLY_FILLED"), (modify_rejected, "")):
        node = a_router()
        order = limit_order(node)
        feed(node, a_change("m", order.order_id, quantity=D(5)), filled(order, 3))
        assert state_of(node, order.order_id) == "PENDING_MODIFY"
        feed(node, answer(order, quantity=D(5)) if answer is modified else answer(order))
        assert state_of(node, order.order_id) == state


def test_a_change_that_comes_after_a_fill_of_as_much_ends_the_order() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, a_change("m", order.order_id, quantity=D(1)), filled(order, 1), modified(order, quantity=D(1)))
    assert state_of(node, order.order_id) == ""


def test_a_trailing_stop_goes_out_with_its_distance_and_can_be_changed() -> None:
    node = holding(a_router(), 2)
    trail = {"order_type": "trailing_stop", "trail_amount": D("0.002004"), "stop_price": D("1.38")}
    order = working(node, wish_to("exit", **trail))
    assert (order.order_type, order.trail_amount, order.stop_price) == ("trailing_stop", D("0.00200"), D("1.38"))
    assert (order.side, order.quantity, order.closes) == ("sell", D(2), True)
    (request,) = feed(node, a_change("m", order.order_id, trail_amount=D("0.001")))
    assert request.trail_amount == D("0.001")


# -- late, twice, never ----------------------------------------------------------------------------------------------------


def test_a_refused_cancel_puts_the_order_back_to_work_and_it_can_be_cancelled_again() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, a_cancel("1"), cancel_rejected(order))
    assert state_of(node, order.order_id) == "ACKED"
    (again,) = feed(node, a_cancel("2"))
    assert isinstance(again, CancelOrder)


def test_an_order_that_the_broker_does_not_know_is_unknown_and_counts_until_the_broker_speaks() -> None:
    node = a_router(limits={"max_position": "3"})
    order = limit_order(node)
    feed(node, a_cancel("1"), cancel_rejected(order, RejectReason.UNKNOWN_ORDER))
    assert state_of(node, order.order_id) == "UNKNOWN"
    assert refusal_of(node, a_wish("b")).actual == "4"
    feed(node, cancelled(order))
    assert order_of(node, a_wish("c"))


def test_a_cancel_that_loses_the_race_against_the_fill_leaves_a_position() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, a_cancel("1"), filled(order), cancel_rejected(order, RejectReason.UNKNOWN_ORDER))
    assert (state_of(node, order.order_id), position(node)) == ("", D(3))


def test_a_part_filled_order_that_is_cancelled_keeps_its_part() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, a_cancel("1"), filled(order, 1), cancelled(order), filled(order, 1, n=2))
    assert (state_of(node, order.order_id), position(node)) == ("", D(2))


def test_reports_that_come_late_or_twice_change_nothing() -> None:
    node = a_router()
    order = limit_order(node)
    fill = filled(order, 1)
    feed(node, fill, accepted(order), fill, accepted(order))
    assert (state_of(node, order.order_id), position(node)) == ("PARTIALLY_FILLED", D(1))
    feed(node, cancelled(order))
    before = node.snapshot()
    assert feed(node, cancelled(order), accepted(order), rejected(order), modified(order)) == []
    assert state_of(node, order.order_id) == ""
    assert len(node.snapshot()) >= len(before)


def test_an_exit_whose_entry_ended_unfilled_is_forgotten_when_the_broker_refuses_it() -> None:
    """The exits went out with an entry that ended at once, so the broker does not know their parent."""
    node = a_router(limits={"max_position": "1"})
    legs = {"take_profit": D("1.40"), "stop_loss": D("1.38")}
    orders = of_kind(SubmitOrder, feed(node, a_wish("b", time_in_force="ioc", **legs)))
    feed(node, cancelled(orders[0]), *(rejected(leg, reason=RejectReason.UNKNOWN_ORDER) for leg in orders[1:]))
    assert [state_of(node, order.order_id) for order in orders] == ["", "", ""]


def test_a_lost_order_that_turns_up_works_on() -> None:
    node = a_router()
    order = limit_order(node)
    about = {name: getattr(order, name) for name in ("order_id", "cause", "root", "strategy_id", "account", "symbol")}
    feed(node, filled(order, 1), OrderUnknown(ts_event_ns=T0, **about))
    assert state_of(node, order.order_id) == "UNKNOWN"
    feed(node, accepted(order))
    assert state_of(node, order.order_id) == "PARTIALLY_FILLED"


# -- brackets' exits -------------------------------------------------------------------------------------------------------


def test_cancelling_an_entry_leaves_its_exits_to_it() -> None:
    """Were they withdrawn first and the entry filled in the meantime, its position would have no stop."""
    node = a_router()
    entry, profit, loss = a_bracket(node)
    (cancel,) = feed(node, a_cancel("all"))
    assert cancel.order_id == entry.order_id
    feed(node, filled(entry), cancel_rejected(entry, RejectReason.UNKNOWN_ORDER))
    assert [state_of(node, leg.order_id) for leg in (profit, loss)] == ["ACKED", "ACKED"]


def test_exits_of_a_filled_entry_are_cancelled_like_any_order() -> None:
    node = a_router()
    profit, loss = held_bracket(node)
    assert [m.order_id for m in feed(node, a_cancel("all"))] == [loss.order_id, profit.order_id]
    node = a_router()
    _, loss = held_bracket(node)
    assert [m.order_id for m in feed(node, a_cancel("one", loss.order_id))] == [loss.order_id]


def test_a_partial_exit_takes_back_its_part_of_the_guards() -> None:
    node = a_router()
    profit, loss = held_bracket(node, quantity=3)
    first, second, order = feed(node, wish_to("reduce", quantity=D(1)))
    assert [(m.order_id, m.quantity) for m in (first, second)] == [(loss.order_id, D(2)), (profit.order_id, D(2))]
    assert (order.side, order.quantity) == ("sell", D(1))


def test_a_guard_that_trades_more_than_was_left_to_it_is_made_up_for_until_the_broker_has_cut_it() -> None:
    """Long three; one is sold, the stop is cut to two. Before that is confirmed it sells three: one too many."""
    node = a_router()
    profit, loss = held_bracket(node, quantity=3)
    feed(node, wish_to("reduce", quantity=D(1)))
    (again,) = feed(node, filled(loss, 3))
    assert (again.side, again.quantity, again.closes) == ("buy", D(1), True)
    node = a_router()
    profit, loss = held_bracket(node, quantity=3)
    *_, order = feed(node, wish_to("reduce", quantity=D(1)))
    feed(node, filled(order), *(modified(leg, quantity=D(2)) for leg in (profit, loss)))
    feed(node, filled(order_of(node, a_wish("other way", side="sell", quantity=D(5)))))
    assert feed(node, filled(loss, 2)) == []
    assert position(node) == D(-5)


def test_the_newest_brackets_are_taken_back_first() -> None:
    def two() -> tuple[RouterNode, list[str], list[str]]:
        node = a_router()
        old, new = held_bracket(node, "b1", 1), held_bracket(node, "b2", 2)
        return node, [leg.order_id for leg in reversed(old)], [leg.order_id for leg in reversed(new)]

    node, old, new = two()
    *back, _ = feed(node, wish_to("target", target=D(1)))
    assert [(type(m), m.order_id) for m in back] == [(CancelOrder, each) for each in new]
    node, old, new = two()
    *back, _ = feed(node, wish_to("target", target=D(2)))
    assert [(type(m), m.order_id, m.quantity) for m in back] == [(ModifyOrder, each, D(1)) for each in new]
    node, old, new = two()
    *back, _ = feed(node, wish_to("exit"))
    assert [(type(m), m.order_id) for m in back] == [(CancelOrder, each) for each in (*new, *old)]


def test_a_full_exit_ends_an_entry_that_has_filled_in_part_with_its_exits() -> None:
    """What still trades of the entry would be bought against the strategy's wish, and its exits could sell what is sold."""
    node = a_router()
    entry, profit, loss = a_bracket(node, quantity=5)
    feed(node, filled(entry, 2))
    assert feed(node, wish_to("reduce", "1", quantity=D(1)))[0].closes
    *back, order = feed(node, wish_to("exit", "2"))
    assert [m.order_id for m in back] == [loss.order_id, profit.order_id, entry.order_id]
    assert (order.side, order.quantity) == ("sell", D(1))


def test_a_target_on_the_other_side_takes_back_every_guard() -> None:
    node = a_router()
    profit, loss = held_bracket(node)
    *back, order = feed(node, wish_to("target", target=D(-1)))
    assert [m.order_id for m in back] == [loss.order_id, profit.order_id]
    assert (order.side, order.quantity, order.closes) == ("sell", D(3), False)


@pytest.mark.parametrize("first", ["guard", "target"])
def test_a_guard_that_trades_before_a_target_has_taken_it_back_is_made_up_for(first: str) -> None:
    """Long two, to be short one: three are sold. The stop sells two of its own; two are bought back."""
    node = a_router()
    _, loss = held_bracket(node)
    order = feed(node, wish_to("target", target=D(-1)))[-1]
    fills = [filled(loss, 2), filled(order)]
    said = feed(node, *(fills if first == "guard" else reversed(fills)))
    (again,) = of_kind(SubmitOrder, said)
    assert (again.side, again.quantity) == ("buy", D(2))
    feed(node, filled(again))
    assert position(node) == D(-1)


def test_a_resting_exit_leaves_the_guards_until_it_trades() -> None:
    node = a_router()
    profit, loss = held_bracket(node)
    exit_order = order_of(node, wish_to("exit", order_type="limit", limit_price=D("1.395")))
    first, second = feed(node, filled(exit_order, 1))
    assert [(m.order_id, m.quantity) for m in (first, second)] == [(loss.order_id, D(1)), (profit.order_id, D(1))]
    assert feed(node, modified(profit, quantity=D(1)), modified(loss, quantity=D(1))) == []
    assert [type(m) for m in feed(node, filled(exit_order, 1, n=2))] == [CancelOrder, CancelOrder]


STOP: dict[str, Any] = {"order_type": "stop", "stop_price": D("1.38")}
TRAIL: dict[str, Any] = {"order_type": "trailing_stop", "trail_amount": D("0.01")}
PROFIT: dict[str, Any] = {"order_type": "limit", "limit_price": D("1.42")}


@pytest.mark.parametrize("how", [("exit", {}), ("target", {"target": D(0)}), ("target", {"target": D(-1)})])
def test_who_is_out_at_market_leaves_no_resting_exit_to_open_the_opposite(how: tuple[str, dict[str, Any]]) -> None:
    node = holding(a_router(), 2)
    stop, profit = working(node, wish_to("exit", "1", **TRAIL)), working(node, wish_to("exit", "2", **PROFIT))
    action, terms = how
    *back, _ = feed(node, wish_to(action, "3", **terms))
    assert [(type(m), m.order_id) for m in back] == [(CancelOrder, stop.order_id), (CancelOrder, profit.order_id)]


def test_a_resting_exit_that_trades_before_it_is_taken_back_is_made_up_for() -> None:
    node = holding(a_router(), 2)
    stop = working(node, wish_to("exit", "1", **STOP))
    feed(node, wish_to("exit", "2"))
    (again,) = feed(node, filled(stop))
    assert (again.side, again.quantity) == ("buy", D(2))


def test_a_resting_exit_is_never_larger_than_what_is_left_to_close() -> None:
    node = holding(a_router(), 3)
    stop = working(node, wish_to("exit", "1", **STOP))
    profit = working(node, wish_to("reduce", "2", quantity=D(2), **PROFIT))
    cut, order = feed(node, wish_to("reduce", "3", quantity=D(1)))
    assert (cut.order_id, cut.quantity) == (stop.order_id, D(2))
    assert feed(node, modified(stop, quantity=D(2), cause=cut.cause), filled(order)) == []
    (cut,) = feed(node, filled(profit, 1))
    assert (cut.order_id, cut.quantity) == (stop.order_id, D(1))


@pytest.mark.parametrize("by", ["guard", "exit", "entry"])
def test_whatever_closes_a_position_ends_its_resting_exits(by: str) -> None:
    node = a_router()
    _, guard = held_bracket(node)
    stop, profit = working(node, wish_to("exit", "1", **STOP)), working(node, wish_to("exit", "2", **PROFIT))
    closing = {"guard": guard, "exit": stop, "entry": None}[by] or order_of(node, a_wish("e", side="sell", quantity=D(2)))
    ended = {m.order_id for m in of_kind(CancelOrder, feed(node, filled(closing)))}
    assert {stop.order_id, profit.order_id} - {closing.order_id} <= ended
    assert position(node) == 0


def test_a_resting_entry_the_other_way_is_a_trade_of_its_own() -> None:
    node = holding(a_router(), 2)
    entry = working(node, a_wish("1", side="sell", quantity=D(2), **PROFIT))
    assert entry.closes
    assert of_kind(CancelOrder, feed(node, wish_to("exit", "2"))) == []


def test_a_brackets_own_exit_leaves_its_sibling_to_the_broker() -> None:
    node = a_router()
    profit, _ = held_bracket(node)
    assert feed(node, filled(profit)) == []


def test_only_market_exits_are_sure_to_close_so_a_second_resting_one_is_no_exit() -> None:
    node = holding(a_router(), 2)
    first = order_of(node, wish_to("exit", "1", order_type="limit", limit_price=D("1.5")))
    second = order_of(node, wish_to("exit", "2", order_type="limit", limit_price=D("1.6")))
    *_, third = feed(node, wish_to("exit", "3"))
    assert (first.closes, second.closes, third.closes) == (True, False, True)


def test_an_entry_that_only_closes_is_known_as_one() -> None:
    node = holding(a_router(limits={"max_order_quantity": "1"}), 3)
    order = order_of(node, a_wish("a", side="sell", quantity=D(3)))
    assert order.closes
    assert refusal_of(node, a_wish("b", side="sell", quantity=D(3))).reason is RejectReason.ORDER_SIZE_LIMIT


# -- flatten ---------------------------------------------------------------------------------------------------------------


def test_a_flatten_lets_an_exit_that_is_under_way_do_its_work() -> None:
    node = holding(a_router(), 3)
    exit_order = order_of(node, wish_to("reduce", quantity=D(1)))
    closing = order_of(node, command(Flatten))
    assert (closing.side, closing.quantity) == ("sell", D(2))
    assert feed(node, filled(exit_order), filled(closing)) == []
    assert position(node) == D(0)


def test_a_flatten_opens_nothing_in_advance_where_more_is_being_closed_than_is_held() -> None:
    node = holding(a_router(), 2)
    resting = working(node, a_wish("r", side="sell", order_type="limit", limit_price=D("1.5")))
    exit_order = order_of(node, wish_to("exit"))
    feed(node, filled(resting))
    assert feed(node, command(Flatten)) == []
    (again,) = feed(node, filled(exit_order))
    assert (again.side, again.quantity) == ("buy", D(1))


def test_what_trades_late_after_a_flatten_is_closed_and_what_was_opened_since_is_not() -> None:
    node = a_router()
    late = limit_order(node)
    feed(node, command(Flatten), filled(order_of(node, a_wish("new", quantity=D(5)))))
    (closing,) = feed(node, filled(late, 1))
    assert (closing.side, closing.quantity) == ("sell", D(1))


def test_what_trades_of_an_order_that_a_flatten_cancelled_is_closed_with_its_exits() -> None:
    node = a_router()
    entry, profit, loss = a_bracket(node)
    (cancel,) = feed(node, command(Flatten))
    assert cancel.order_id == entry.order_id
    *back, closing = feed(node, filled(entry))
    assert [m.order_id for m in back] == [loss.order_id, profit.order_id]
    assert (closing.side, closing.quantity, closing.closes) == ("sell", D(2), True)
    assert feed(node, filled(closing)) == []


def test_a_target_that_a_flatten_could_not_cancel_leads_nowhere_any_more() -> None:
    """Short two, to be long five: seven are bought. The flatten closes two, its cancel is refused: each part is sold again."""
    node = a_router()
    feed(node, filled(order_of(node, a_wish("short", side="sell", quantity=D(2)))))
    limit_order(node)
    target = feed(node, wish_to("target", target=D(5)))[-1]
    said = feed(node, accepted(target), command(Flatten))
    (closing,) = of_kind(SubmitOrder, said)
    feed(node, filled(closing), cancel_rejected(target))
    for n, part in enumerate((1, 5, 1)):
        (again,) = of_kind(SubmitOrder, feed(node, filled(target, part, n=n)))
        assert (again.side, again.quantity) == ("sell", D(part))
        feed(node, filled(again))
    assert position(node) == D(0)


def test_what_trades_after_a_flatten_while_the_book_is_halted_is_a_persons_business() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, command(Flatten), command(Halt, "h"))
    (alert,) = feed(node, filled(order))
    assert (alert.name, alert.severity) == ("flatten_while_halted", "critical")
    assert order.order_id in alert.text


# -- corrections -----------------------------------------------------------------------------------------------------------


def test_a_correction_replaces_what_it_corrects_and_says_so() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, filled(order, 2))
    (alert,) = feed(node, filled(order, 1, n=2, corrects=f"{order.order_id}-1"))
    assert (alert.name, alert.severity) == ("execution_corrected", "critical")
    assert "by -1 to 1" in alert.text
    assert position(node) == D(1)
    assert feed(node, filled(order, 2, n=3)) == []
    assert (position(node), state_of(node, order.order_id)) == (D(3), "")


def test_a_commission_that_comes_later_is_no_matter_for_a_person() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, filled(order, 2))
    first = f"{order.order_id}-1"
    assert feed(node, filled(order, 2, exec_id=f"{first}/commission", corrects=first, commission=D("2.5"))) == []
    assert position(node) == D(2)
    (alert,) = feed(node, filled(order, 1, n=2, corrects=f"{first}/commission"))
    assert (alert.name, position(node)) == ("execution_corrected", D(1))


def test_a_bust_takes_the_execution_back() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, filled(order, 2))
    (alert,) = feed(node, filled(order, 0, n=2, corrects=f"{order.order_id}-1"))
    assert "busts" in alert.text
    assert position(node) == D(0)


def test_a_repeated_correction_and_a_late_copy_of_the_first_report_change_nothing() -> None:
    node = a_router()
    order = limit_order(node)
    first, correction = filled(order, 2), filled(order, 1, n=2, corrects=f"{order.order_id}-1")
    feed(node, first, correction)
    assert feed(node, correction, first) == []
    assert position(node) == D(1)


def test_a_correction_of_the_first_report_after_another_one_replaces_that() -> None:
    node = a_router()
    order = limit_order(node)
    feed(node, filled(order, 3))
    for n, quantity in ((2, 2), (3, 1)):
        feed(node, filled(order, quantity, n=n, corrects=f"{order.order_id}-1"))
    assert position(node) == D(1)


def test_a_correction_that_comes_first_waits_and_takes_the_place_of_what_it_corrects() -> None:
    node = a_router()
    (alert,) = feed(node, a_fill(exec_id="x.2", corrects="x.1", quantity=D(1)))
    assert "not known here" in alert.text
    assert position(node) == D(0)
    assert feed(node, a_fill(exec_id="x.1", quantity=D(5))) == []
    assert position(node) == D(1)


def test_corrections_that_go_round_in_circles_end() -> None:
    node = a_router()
    feed(node, a_fill(exec_id="a", corrects="b", quantity=D(1)), a_fill(exec_id="b", corrects="a", quantity=D(1)))
    feed(node, a_fill(exec_id="c", corrects="c", quantity=D(1)), a_fill(exec_id="d", corrects="c", quantity=D(1)))
    assert isinstance(position(node), Decimal)


def test_an_execution_without_a_number_is_not_booked_and_said_so() -> None:
    node = a_router()
    for index, quantity in enumerate(("NaN", "Infinity", "-1")):
        (alert,) = feed(node, a_fill(exec_id=f"{index}", quantity=D(quantity)))
        assert (alert.name, alert.severity) == ("fill_unbooked", "critical")
    assert position(node) == D(0)


def test_derived_symbols_cannot_be_traded() -> None:
    inverse = eurusd(symbol="USDEUR", currency="EUR", base_currency="USD", inverts="EURUSD")
    node = a_router([eurusd(), inverse])
    feed(node, a_mark(symbol="USDEUR"))
    refusal = refusal_of(node, a_wish("a", symbol="USDEUR"))
    assert refusal.reason is RejectReason.NOT_TRADABLE
    assert "trade EURUSD" in refusal.detail
    feed(node, command(Resume))


def test_a_flatten_withdraws_a_closing_order_that_a_correction_has_left_nothing_to_close() -> None:
    """Short three, four are being bought back; the sale is busted, and half of what is bought would open a position."""
    node = a_router()
    sold = order_of(node, a_wish("in", side="sell", quantity=D(4)))
    feed(node, accepted(sold), filled(sold))
    out = order_of(node, wish_to("exit", "out"))
    feed(node, accepted(out), filled(out, 2), a_fill(exec_id="bust", side="sell", quantity=D(0), corrects=f"{sold.order_id}-1"))
    assert position(node) == 2
    cancel, close = feed(node, command(Flatten, "f"))
    assert (type(cancel), cancel.order_id) == (CancelOrder, out.order_id)
    assert (close.side, close.quantity, close.closes) == ("sell", D(2), True)
    (again,) = feed(node, filled(out, 2, n=2))
    assert (again.side, again.quantity) == ("sell", D(2))


def test_a_flatten_takes_the_exits_of_an_entry_that_has_filled_in_part_with_it() -> None:
    """They would outlive the entry, for what it has filled, and that is closed."""
    node = a_router()
    entry, profit, loss = a_bracket(node, quantity=3)
    feed(node, filled(entry, 1))
    said = feed(node, command(Flatten, "f"))
    assert {m.order_id for m in of_kind(CancelOrder, said)} == {entry.order_id, profit.order_id, loss.order_id}
    assert [(o.side, o.quantity) for o in of_kind(SubmitOrder, said)] == [("sell", D(1))]
