"""A broker for laws about the router: takes requests in their order, and trades what and when a test says.

In:   SubmitOrder, CancelOrder, ModifyOrder.   Out: order events and fills; the positions that they come to.
Not:  prices, time. Its books are its own: nothing here is computed by code under test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from barque.messages import CancelOrder, Fill, Message, ModifyOrder, RejectReason, SubmitOrder
from tests.support.routing import (
    accepted,
    cancel_rejected,
    cancelled,
    filled,
    modified,
    modify_rejected,
)

ZERO = Decimal(0)


@dataclass
class Venue:
    """Orders at work and what has traded. Of an exit only what its entry has filled may trade; what one exit of a group fills,
    the others lose; when an entry ends, its exits lose what it did not fill."""

    late: bool = False
    """True: a cancel waits until the test lets it happen (`settle`); the order may trade before."""
    orders: dict[str, SubmitOrder] = field(default_factory=dict)
    traded: dict[str, Decimal] = field(default_factory=dict)
    released: dict[str, Decimal] = field(default_factory=dict)
    """Of exits whose entry is at work: what of it has filled."""
    leaving: list[str] = field(default_factory=list)
    """Orders whose cancel has come and waits."""
    positions: dict[str, Decimal] = field(default_factory=dict)
    """By strategy."""
    executions: int = 0

    def take(self, requests: Iterable[Message]) -> list[Message]:
        """Handle what the router says; what there is to say to it."""
        said: list[Message] = []
        for request in requests:
            if isinstance(request, SubmitOrder):
                said += self._submit(request)
            elif isinstance(request, CancelOrder):
                said += self._cancel(request)
            elif isinstance(request, ModifyOrder):
                said += self._modify(request)
        return said

    def at_work(self) -> list[SubmitOrder]:
        """Orders that may trade, oldest first."""
        return [order for order_id, order in self.orders.items() if self._room(order_id) > 0]

    def trade(self, order: SubmitOrder, quantity: Decimal) -> list[Message]:
        """So much of `order` trades, or what is left of it."""
        order_id = order.order_id
        order, quantity = self.orders[order_id], min(quantity, self._room(order_id))
        self.executions += 1
        fill = filled(order, quantity, n=self.executions)
        self.traded[order_id] += quantity
        self._book(fill)
        for child in self._children(order_id):
            self.released[child] += quantity
        said: list[Message] = [fill]
        for other in [key for key, each in self.orders.items() if order.oco_group and each.oco_group == order.oco_group]:
            if other != order_id:
                if other in self.released:
                    self.released[other] -= quantity
                said += self._lose(other, quantity)
        if self.traded[order_id] == order.quantity:
            self._forget(order_id)
        return said

    def settle(self, order_id: str) -> list[Message]:
        """A cancel that has waited happens, if the order is still there."""
        self.leaving.remove(order_id)
        return self._end(order_id) if order_id in self.orders else []

    def _submit(self, order: SubmitOrder) -> list[Message]:
        self.orders[order.order_id] = order
        self.traded[order.order_id] = ZERO
        if order.parent_id in self.orders:
            self.released[order.order_id] = ZERO
        return [accepted(order)]

    def _cancel(self, request: CancelOrder) -> list[Message]:
        if request.order_id not in self.orders:
            return [cancel_rejected(request, RejectReason.UNKNOWN_ORDER)]
        if self.late:
            if request.order_id not in self.leaving:
                self.leaving.append(request.order_id)
            return []
        return self._end(request.order_id)

    def _modify(self, request: ModifyOrder) -> list[Message]:
        order = self.orders.get(request.order_id)
        if order is None:
            return [modify_rejected(request, RejectReason.UNKNOWN_ORDER)]
        names = ("quantity", "limit_price", "stop_price", "trail_amount")
        terms = {name: getattr(request, name) for name in names if getattr(request, name) is not None}
        if terms.get("quantity", order.quantity) <= self.traded[order.order_id]:
            return [modify_rejected(request)]
        order = self.orders[order.order_id] = replace(order, **terms)
        return [modified(order, cause=request.cause)]

    def _room(self, order_id: str) -> Decimal:
        """Contracts that may trade now."""
        left = self.orders[order_id].quantity - self.traded[order_id]
        return min(left, self.released[order_id] - self.traded[order_id]) if order_id in self.released else left

    def _lose(self, order_id: str, quantity: Decimal) -> list[Message]:
        order = self.orders[order_id]
        if order.quantity - quantity <= self.traded[order_id]:
            return self._end(order_id)
        order = self.orders[order_id] = replace(order, quantity=order.quantity - quantity)
        return [modified(order)]

    def _end(self, order_id: str) -> list[Message]:
        order, unfilled = self.orders[order_id], self.orders[order_id].quantity - self.traded[order_id]
        children = self._children(order_id)
        self._forget(order_id)
        said: list[Message] = [cancelled(order)]
        for child in children:
            if child in self.orders:
                said += self._lose(child, unfilled)
        return said

    def _children(self, order_id: str) -> list[str]:
        return [key for key, each in self.orders.items() if each.parent_id == order_id]

    def _forget(self, order_id: str) -> None:
        for child in self._children(order_id):
            self.released.pop(child, None)
        del self.orders[order_id]
        self.released.pop(order_id, None)

    def _book(self, fill: Fill) -> None:
        signed = fill.quantity if fill.side == "buy" else -fill.quantity
        self.positions[fill.strategy_id] = self.positions.get(fill.strategy_id, ZERO) + signed
