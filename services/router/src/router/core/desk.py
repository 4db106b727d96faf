"""The open orders of the book: what is asked of brokers about them, and what brokers say.

In:   requests that have been decided; order events and fills.   Out: the requests as outputs; positions and orders in the state.
Not:  decisions, alerts; what a correction cannot be matched with is said to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import msgspec

from barque.messages import (
    CancelOrder,
    Fill,
    Message,
    ModifyOrder,
    ModifyRejected,
    OrderModified,
    RejectReason,
    SubmitOrder,
    Topic,
)
from barque.node import Output
from router.core.breakers.rates import Rates
from router.core.lifecycle import FINAL, OrderEvent, OrderState, after, event_of
from router.core.orders import TERMS, cancel_of
from router.core.state import ZERO, OpenOrder, RouterState

Request: TypeAlias = SubmitOrder | CancelOrder | ModifyOrder
_ORDERS = Topic.ORDERS


class Desk:
    """Where orders go out and come back."""

    def __init__(self, state: RouterState, rates: Rates) -> None:
        self._state = state
        self._rates = rates

    # -- out ---------------------------------------------------------------------------------------------------------

    def send(self, requests: Iterable[Request]) -> list[Output]:
        """Let `requests` go out."""
        state, rates = self._state, self._rates
        said: list[Output] = []
        for request in requests:
            if isinstance(request, SubmitOrder):
                state.orders[request.order_id] = OpenOrder(order=request)
                state.count("orders_sent")
                rates.sent(request.strategy_id)
            else:
                if isinstance(request, ModifyOrder):
                    state.orders[request.order_id].asked = request
                    rates.sent(request.strategy_id)
                self.advance(request)
            said.append((_ORDERS, request))
        return said

    def withdraw(self, requests: Iterable[CancelOrder | ModifyOrder]) -> list[Output]:
        """Let `requests` go out, and remember that what trades of these orders all the same is not wanted."""
        asked = list(requests)
        for request in asked:
            self._state.orders[request.order_id].withdrawn = True
        return self.send(asked)

    def cancels(self, orders: Iterable[OpenOrder], cause: str, root: str, ts_ns: int, flat: bool = False) -> list[CancelOrder]:
        """Requests to cancel `orders`, newest first.

        An exit that waits for an entry of the same list is left to it: it ends with its entry, and stays where that fills before
        the cancel comes. `flat`: where the entry has filled in part its exits go too, for what they guard is closed; and orders
        that are being cancelled already are asked for again.
        """
        wanted = [each for each in orders if flat or each.state != "PENDING_CANCEL"]
        ids = {each.order.order_id for each in wanted if not (flat and each.filled > 0)}
        return [cancel_of(each.order, cause, root, ts_ns) for each in reversed(wanted) if each.order.parent_id not in ids]

    # -- in ----------------------------------------------------------------------------------------------------------

    def advance(self, message: Message) -> OpenOrder | None:
        """Follow a request or an event; the order, where it is an open one."""
        orders = self._state.orders
        open_order = orders.get(message.order_id)
        if open_order is None:
            return None
        event = event_of(message, open_order.quantity, open_order.filled)
        kind = type(message)
        if kind is OrderModified:
            if _answers(message, open_order.asked):
                open_order.asked = None
                if open_order.state is OrderState.PENDING_MODIFY:  # what is left of it is as it should be
                    open_order.withdrawn = False
            elif event is OrderEvent.MODIFIED:
                event = None
            _take_terms(open_order, message)
        elif kind is ModifyRejected:
            if message.reason is not RejectReason.UNKNOWN_ORDER:
                open_order.asked = None
            if open_order.filled >= open_order.order.quantity:  # it had filled before the change could come
                event = OrderEvent.FILLED
        if event is not None:
            open_order.state = after(open_order.state, event, open_order.filled > ZERO)
        if open_order.state in FINAL:
            del orders[message.order_id]
        return open_order

    def book(self, fill: Fill, signed: Decimal) -> OpenOrder | None:
        """A fill has changed the position by `signed` contracts; the order, where it is an open one."""
        if signed:
            self._state.move(fill.strategy_id, fill.symbol, signed)
        open_order = self._state.orders.get(fill.order_id)
        if open_order is None:
            return None
        open_order.filled += signed if open_order.order.side == "buy" else -signed
        if signed and open_order.filled > ZERO:
            self.advance(fill)
        return open_order


def _answers(modified: OrderModified, asked: ModifyOrder | None) -> bool:
    """Whether it is the answer to our request; a broker may change an order unasked too (exits that lose what others fill)."""
    if asked is None or modified.cause == asked.cause:
        return True
    return all(getattr(asked, name) in (None, getattr(modified, name)) for name in ("quantity", *TERMS))


def _take_terms(open_order: OpenOrder, modified: OrderModified) -> None:
    order = open_order.order
    open_order.order = msgspec.structs.replace(
        order,
        quantity=modified.quantity,
        limit_price=order.limit_price if modified.limit_price is None else modified.limit_price,
        stop_price=order.stop_price if modified.stop_price is None else modified.stop_price,
        trail_amount=order.trail_amount if modified.trail_amount is None else modified.trail_amount,
    )
