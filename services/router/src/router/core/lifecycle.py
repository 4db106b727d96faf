"""The life of an order: a table of (state, event) → state, the same for the router and every sender's ledger.

A pair that is not in the table leaves the state as it is: events come late, twice and out of order, and none of that is an
error. A fill is booked in any state; UNKNOWN ends only by what the broker says.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from barque.messages import (
    CancelOrder,
    Fill,
    Message,
    ModifyOrder,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
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
    MODIFY_ASKED = "modify_asked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"
    """Nobody knows whether the broker has it."""


_S, _E = OrderState, OrderEvent

FINAL = (_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED)
LIVE = tuple(state for state in OrderState if state not in FINAL)


def _rows(states: Iterable[OrderState], event: OrderEvent, to: OrderState) -> dict[tuple[OrderState, OrderEvent], OrderState]:
    return {(state, event): to for state in states}


TABLE: dict[tuple[OrderState, OrderEvent], OrderState] = {
    **_rows([_S.NEW], _E.SENT, _S.SENDING),
    **_rows([_S.NEW, _S.SENDING, _S.UNKNOWN, _S.PENDING_MODIFY], _E.ACCEPTED, _S.ACKED),
    **_rows([_S.NEW, _S.SENDING, _S.ACKED, _S.PENDING_CANCEL, _S.UNKNOWN], _E.REJECTED, _S.REJECTED),
    **_rows([_S.PARTIALLY_FILLED], _E.REJECTED, _S.CANCELLED),
    **_rows([_S.PENDING_MODIFY], _E.REJECTED, _S.ACKED),
    **_rows([_S.PENDING_CANCEL, _S.PENDING_MODIFY], _E.NOT_FOUND, _S.UNKNOWN),
    **_rows([_S.NEW, _S.SENDING, _S.ACKED, _S.UNKNOWN], _E.PART_FILLED, _S.PARTIALLY_FILLED),
    **_rows([_S.REJECTED], _E.PART_FILLED, _S.UNKNOWN),
    **_rows(OrderState, _E.FILLED, _S.FILLED),
    **_rows([_S.NEW, _S.SENDING, _S.ACKED, _S.PARTIALLY_FILLED, _S.PENDING_MODIFY], _E.CANCEL_ASKED, _S.PENDING_CANCEL),
    **_rows([_S.ACKED, _S.PARTIALLY_FILLED], _E.MODIFY_ASKED, _S.PENDING_MODIFY),
    **_rows(LIVE, _E.CANCELLED, _S.CANCELLED),
    **_rows(LIVE, _E.EXPIRED, _S.EXPIRED),
    **_rows(LIVE, _E.LOST, _S.UNKNOWN),
}


def after(state: OrderState, event: OrderEvent) -> OrderState:
    """The state that follows; the same one where `event` changes nothing.

    >>> after(OrderState.CANCELLED, OrderEvent.FILLED)
    <OrderState.FILLED: 'FILLED'>
    """
    return TABLE.get((state, event), state)


def event_of(message: Message, quantity: Decimal, filled: Decimal) -> OrderEvent | None:
    """What `message` means for an order of `quantity`, of which `filled` has traded, a `Fill` itself included."""
    match message:
        case Fill():
            return OrderEvent.FILLED if filled >= quantity else OrderEvent.PART_FILLED
        case OrderAccepted():
            return OrderEvent.ACCEPTED
        case OrderRejected(reason=RejectReason.UNKNOWN_ORDER):
            return OrderEvent.NOT_FOUND
        case OrderRejected():
            return OrderEvent.REJECTED
        case OrderCancelled():
            return OrderEvent.CANCELLED
        case OrderExpired():
            return OrderEvent.EXPIRED
        case OrderUnknown():
            return OrderEvent.LOST
        case CancelOrder():
            return OrderEvent.CANCEL_ASKED
        case ModifyOrder():
            return OrderEvent.MODIFY_ASKED
    return None
