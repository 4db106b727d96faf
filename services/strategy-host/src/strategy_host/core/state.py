"""What a strategy node knows: the strategy's orders and position, and whether it may trade.

In:   what the router and the broker said of this strategy's orders.   Out: open orders, virtual positions.
Not:  the account's position; other strategies and the trader's own hand trade there too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from barque.messages import Fill, SubmitOrder
from barque.strategy import OpenOrder, StrategyMemory

KEPT_ORDERS = 64
"""Ids of finished orders that are kept, because on a merged input a fill may come before the order that it fills."""
KEPT_EXECUTIONS = 64
"""Executions that a repeat is recognised by and a correction is booked against."""
KEPT_CAUSES = 16
"""Causes whose signals are counted, because two ticks of one timestamp share an id."""

Booked = Literal["booked", "repeated", "orphaned"]


class StrategyNodeState(msgspec.Struct, kw_only=True):
    """The node's whole state. Positions and executions are signed contracts; a symbol without a position has no entry."""

    started: bool = False
    """`on_start` has run."""
    stopped: bool = False
    halted: bool = False
    failure: str = ""
    """What the strategy raised; not empty: it is paused."""
    now_ns: int = 0
    positions: dict[str, Decimal] = {}
    orders: dict[str, OpenOrder] = {}
    finished: list[str] = []
    executions: dict[str, Decimal] = {}
    causes: dict[str, int] = {}
    """How many signals each of the latest causes has led to."""
    memory: StrategyMemory | None = None
    """The strategy's own; filled in for a snapshot."""

    @property
    def trading(self) -> bool:
        """Whether what the strategy wishes is sent."""
        return not (self.stopped or self.halted or self.failure)

    def next_index(self, cause: str) -> int:
        """The number of the next signal of `cause`."""
        index = self.causes.pop(cause, 0)
        self.causes[cause] = index + 1
        if len(self.causes) > KEPT_CAUSES:
            del self.causes[next(iter(self.causes))]
        return index

    def open(self, order: SubmitOrder) -> None:
        """The router has made an order."""
        if order.order_id in self.finished or order.order_id in self.orders:
            return
        self.orders[order.order_id] = OpenOrder(
            order_id=order.order_id,
            signal_id=order.cause,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            leaves_quantity=order.quantity,
            order_type=order.order_type,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            tag=order.tag,
        )

    def mark(self, order_id: str, status: Literal["working", "unknown"]) -> None:
        """The broker holds the order, or nobody knows."""
        if order_id in self.orders:
            self.orders[order_id] = msgspec.structs.replace(self.orders[order_id], status=status)

    def finish(self, order_id: str) -> None:
        """The order will not trade any more."""
        self.orders.pop(order_id, None)
        if order_id not in self.finished:
            self.finished.append(order_id)
            del self.finished[:-KEPT_ORDERS]

    def book(self, fill: Fill) -> Booked:
        """Add an execution to the position once, or replace the one it corrects. `orphaned`: that one is not known any
        more; the position stays as it was."""
        if fill.exec_id in self.executions:
            return "repeated"
        if fill.corrects and fill.corrects not in self.executions:
            return "orphaned"
        change = fill.signed_quantity - self.executions.get(fill.corrects, Decimal(0))
        self.executions[fill.exec_id] = fill.signed_quantity
        if len(self.executions) > KEPT_EXECUTIONS:
            del self.executions[next(iter(self.executions))]
        position = self.positions.pop(fill.symbol, Decimal(0)) + change
        if position:
            self.positions[fill.symbol] = position
        if not fill.corrects:
            self._reduce(fill)
        return "booked"

    def _reduce(self, fill: Fill) -> None:
        if fill.leaves_quantity == 0:
            self.finish(fill.order_id)
        elif fill.order_id in self.orders:
            order = self.orders[fill.order_id]
            self.orders[fill.order_id] = msgspec.structs.replace(order, leaves_quantity=fill.leaves_quantity, status="working")
