"""The order state machine: legal lives, and tolerance of what comes late."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import OrderRejected, RejectReason
from router.core.lifecycle import FINAL, LIVE, TABLE, OrderEvent, OrderState, after, event_of
from tests.support.builders import T0, a_fill

S, E = OrderState, OrderEvent


def life(*events: OrderEvent) -> OrderState:
    state = S.NEW
    for event in events:
        state = after(state, event)
    return state


def test_the_ordinary_lives_of_an_order() -> None:
    assert life(E.SENT, E.ACCEPTED, E.PART_FILLED, E.FILLED) is S.FILLED
    assert life(E.ACCEPTED, E.CANCEL_ASKED, E.CANCELLED) is S.CANCELLED
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.ACCEPTED, E.EXPIRED) is S.EXPIRED
    assert life(E.SENT, E.REJECTED) is S.REJECTED


def test_silence_is_unknown_until_the_broker_speaks() -> None:
    assert life(E.SENT, E.LOST) is S.UNKNOWN
    assert life(E.SENT, E.LOST, E.CANCEL_ASKED) is S.UNKNOWN
    assert life(E.SENT, E.LOST, E.ACCEPTED) is S.ACKED
    assert life(E.SENT, E.LOST, E.REJECTED) is S.REJECTED


def test_a_fill_is_booked_in_any_state() -> None:
    assert all(after(state, E.FILLED) is S.FILLED for state in S)
    assert life(E.CANCEL_ASKED, E.CANCELLED, E.PART_FILLED) is S.CANCELLED
    assert life(E.REJECTED, E.PART_FILLED) is S.UNKNOWN


def test_a_refused_cancel_of_a_finished_order_changes_nothing() -> None:
    assert life(E.FILLED, E.NOT_FOUND) is S.FILLED
    assert life(E.ACCEPTED, E.CANCEL_ASKED, E.NOT_FOUND) is S.UNKNOWN


def test_only_an_execution_leaves_a_final_state() -> None:
    leaving = {event for (state, event), to in TABLE.items() if state in FINAL and to is not state}
    assert leaving == {E.FILLED, E.PART_FILLED}


def test_a_rejection_for_an_unknown_order_is_not_a_rejection_of_the_order() -> None:
    fill = a_fill()
    fields = {n: getattr(fill, n) for n in ("order_id", "cause", "root", "strategy_id", "account", "symbol")}
    refused = OrderRejected(ts_event_ns=T0, reason=RejectReason.UNKNOWN_ORDER, **fields)
    assert event_of(refused, Decimal(1), Decimal(0)) is E.NOT_FOUND


@given(st.lists(st.sampled_from(list(OrderEvent)), max_size=12))
def test_a_repeated_event_changes_nothing_more(events: list[OrderEvent]) -> None:
    state = life(*events)
    assert state in (*FINAL, *LIVE)
    for event in set(OrderEvent) - {E.MODIFY_ASKED, E.PART_FILLED, E.REJECTED, E.NOT_FOUND}:
        once = after(state, event)
        assert after(once, event) in (once, S.ACKED)
