"""The order state machine: legal lives, and tolerance of what comes late."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import RejectReason
from router.core.lifecycle import FINAL, LIVE, TABLE, OrderEvent, OrderState, after, event_of
from tests.support.builders import an_order
from tests.support.routing import cancel_rejected, modified, modify_rejected, rejected

S, E = OrderState, OrderEvent


def life(*events: OrderEvent) -> OrderState:
    state = S.NEW
    for event in events:
        state = after(state, event)
    return state


def test_the_ordinary_lives_of_an_order() -> None:
    assert life(E.SENT, E.ACCEPTED, E.PART_FILLED, E.FILLED) is S.FILLED
    assert life(E.ACCEPTED, E.CANCEL_ASKED, E.CANCELLED) is S.CANCELLED
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.MODIFIED, E.EXPIRED) is S.EXPIRED
    assert life(E.SENT, E.REJECTED) is S.REJECTED


def test_a_refused_request_and_a_made_change_put_the_order_back_to_work_as_it_was() -> None:
    for asked, *answers in ((E.CANCEL_ASKED, E.CANCEL_REFUSED), (E.MODIFY_ASKED, E.MODIFIED, E.MODIFY_REFUSED)):
        for answer in answers:
            assert life(E.ACCEPTED, asked, answer) is S.ACKED
            assert after(life(E.ACCEPTED, E.PART_FILLED, asked), answer, traded=True) is S.PARTIALLY_FILLED
            assert after(life(E.ACCEPTED, asked, E.PART_FILLED), answer, traded=True) is S.PARTIALLY_FILLED


def test_an_answer_to_another_request_does_not_end_the_one_that_is_under_way() -> None:
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.CANCEL_ASKED, E.MODIFIED) is S.PENDING_CANCEL
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.CANCEL_ASKED, E.MODIFY_REFUSED) is S.PENDING_CANCEL
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.CANCEL_REFUSED) is S.PENDING_MODIFY
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.ACCEPTED) is S.PENDING_MODIFY


def test_an_order_that_is_not_at_work_cannot_be_changed() -> None:
    for before in ((), (E.SENT,), (E.LOST,), (E.ACCEPTED, E.CANCEL_ASKED), (E.ACCEPTED, E.CANCELLED)):
        assert after(life(*before), E.MODIFY_ASKED) is life(*before)


def test_a_broker_that_rejects_what_has_partly_traded_has_cancelled_the_rest() -> None:
    assert life(E.ACCEPTED, E.PART_FILLED, E.REJECTED) is S.CANCELLED
    assert after(S.PENDING_CANCEL, E.REJECTED, traded=True) is S.CANCELLED
    assert life(E.ACCEPTED, E.MODIFY_ASKED, E.REJECTED) is S.REJECTED


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


def test_a_broker_that_does_not_know_the_order_leaves_it_unknown() -> None:
    order = an_order()
    lost = RejectReason.UNKNOWN_ORDER
    for refusal in (cancel_rejected(order, lost), modify_rejected(order, lost)):
        assert event_of(refusal, Decimal(1), Decimal(0)) is E.NOT_FOUND
    for asked in (E.CANCEL_ASKED, E.MODIFY_ASKED):
        assert life(E.ACCEPTED, asked, E.NOT_FOUND) is S.UNKNOWN
    assert event_of(rejected(order, reason=lost), Decimal(1), Decimal(0)) is E.REJECTED


def test_a_change_to_what_has_filled_already_ends_the_order() -> None:
    order = an_order(quantity=Decimal(5))
    assert event_of(modified(order, quantity=Decimal(2)), Decimal(5), Decimal(2)) is E.FILLED
    assert event_of(modified(order, quantity=Decimal(3)), Decimal(5), Decimal(2)) is E.MODIFIED


@given(st.lists(st.sampled_from(list(OrderEvent)), max_size=12))
def test_a_repeated_event_changes_nothing_more(events: list[OrderEvent]) -> None:
    state = life(*events)
    assert state in (*FINAL, *LIVE)
    for event in sorted(set(OrderEvent) - {E.PART_FILLED}):
        once = after(state, event)
        assert after(once, event) is once
