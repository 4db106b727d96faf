"""The life of an order: a table of (state, event) → state, the same for the router and every sender's ledger.

A pair that is not in the table leaves the state as it is: events come late, twice and out of order, and none of that is an
error. A fill is booked in any state; UNKNOWN ends only by what the broker says. Where a change or a cancel is refused, or a
change has been made, the order is at work again as it was before: PARTIALLY_FILLED where part of it has traded, ACKED else.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from barque.messages import (
    CancelOrder,
    CancelRejected,
    Fill,
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
)


class OrderState(StrEnum):
    """How far an order has come; the values of `intents.state`."""

    NEW = "NEW"
    SENDING = "SENDING"
    ACKED = "ACKED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELLED = "CANCELLED"
    PENDING_MODIFY = "PENDING_MODIFY"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class OrderEvent(StrEnum):
    """What can happen to an order."""

    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    """The broker does not know the order that we asked to cancel or change."""
    PART_FILLED = "part_filled"
    FILLED = "filled"
    CANCEL_ASKED = "cancel_asked"
    CANCEL_REFUSED = "cancel_refused"
    MODIFY_ASKED = "modify_asked"
    MODIFIED = "modified"
    MODIFY_REFUSED = "modify_refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NOT_SENT = "not_sent"
    """What was being sent surely did not leave this machine: it waits again."""
    LOST = "lost"
    """Nobody knows whether the broker has it."""


_S, _E = OrderState, OrderEvent
_PARTIALLY_FILLED, _FILLED = _S.PARTIALLY_FILLED, _E.FILLED

FINAL = (_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED)
LIVE = tuple(state for state in OrderState if state not in FINAL)
WORKING = (_S.ACKED, _S.PARTIALLY_FILLED)
"""The broker holds the order and nothing is asked of it: it can be changed."""


def _rows(states: Iterable[OrderState], event: OrderEvent, to: OrderState) -> dict[tuple[OrderState, OrderEvent], OrderState]:
    return {(state, event): to for state in states}


TABLE: dict[tuple[OrderState, OrderEvent], OrderState] = {
    **_rows([_S.NEW], _E.SENT, _S.SENDING),
    **_rows([_S.SENDING], _E.NOT_SENT, _S.NEW),
    **_rows([_S.NEW, _S.SENDING, _S.UNKNOWN], _E.ACCEPTED, _S.ACKED),
    **_rows(LIVE, _E.REJECTED, _S.REJECTED),
    **_rows([_S.PENDING_CANCEL, _S.PENDING_MODIFY], _E.NOT_FOUND, _S.UNKNOWN),
    **_rows([_S.NEW, _S.SENDING, _S.ACKED, _S.UNKNOWN], _E.PART_FILLED, _S.PARTIALLY_FILLED),
    **_rows([_S.REJECTED], _E.PART_FILLED, _S.UNKNOWN),
    **_rows(OrderState, _E.FILLED, _S.FILLED),
    **_rows([_S.NEW, _S.SENDING, _S.ACKED, _S.PARTIALLY_FILLED, _S.PENDING_MODIFY], _E.CANCEL_ASKED, _S.PENDING_CANCEL),
    **_rows([_S.PENDING_CANCEL], _E.CANCEL_REFUSED, _S.ACKED),
    **_rows(WORKING, _E.MODIFY_ASKED, _S.PENDING_MODIFY),
    **_rows([_S.NEW, _S.SENDING, _S.PENDING_MODIFY, _S.UNKNOWN], _E.MODIFIED, _S.ACKED),
    **_rows([_S.PENDING_MODIFY], _E.MODIFY_REFUSED, _S.ACKED),
    **_rows(LIVE, _E.CANCELLED, _S.CANCELLED),
    **_rows(LIVE, _E.EXPIRED, _S.EXPIRED),
    **_rows(LIVE, _E.LOST, _S.UNKNOWN),
}

_TRADED = {_S.ACKED: _S.PARTIALLY_FILLED, _S.REJECTED: _S.CANCELLED}
"""What a state is called where part of the order has traded."""


def after(state: OrderState, event: OrderEvent, traded: bool = False) -> OrderState:
    """The state that follows; the same one where `event` changes nothing. `traded`: part of the order has been filled.

    >>> after(OrderState.CANCELLED, OrderEvent.FILLED)
    <OrderState.FILLED: 'FILLED'>
    >>> after(OrderState.PENDING_MODIFY, OrderEvent.MODIFIED, traded=True)
    <OrderState.PARTIALLY_FILLED: 'PARTIALLY_FILLED'>
    """
    to = TABLE.get((state, event))
    if to is None:
        return state
    if traded or state is _PARTIALLY_FILLED:
        return _TRADED.get(to, to)
    return to


_MEANS: dict[type, OrderEvent] = {
    OrderAccepted: _E.ACCEPTED,
    OrderRejected: _E.REJECTED,
    OrderCancelled: _E.CANCELLED,
    OrderExpired: _E.EXPIRED,
    OrderUnknown: _E.LOST,
    CancelOrder: _E.CANCEL_ASKED,
    CancelRejected: _E.CANCEL_REFUSED,
    ModifyOrder: _E.MODIFY_ASKED,
    ModifyRejected: _E.MODIFY_REFUSED,
}


def event_of(message: Message, quantity: Decimal, filled: Decimal) -> OrderEvent | None:
    """What `message` means for an order of `quantity`, of which `filled` has traded, a `Fill` itself included."""
    kind = type(message)
    if kind is Fill:
        return _FILLED if filled >= quantity else OrderEvent.PART_FILLED
    if kind is OrderModified:
        return OrderEvent.FILLED if filled >= message.quantity else OrderEvent.MODIFIED
    if kind in (CancelRejected, ModifyRejected) and message.reason is RejectReason.UNKNOWN_ORDER:
        return OrderEvent.NOT_FOUND
    return _MEANS.get(kind)
