"""What a strategy node knows: the strategy's orders and position, and whether it may trade.

In:   what the router and the broker said of this strategy's orders.   Out: open orders, virtual positions.
Not:  the account's position; other strategies and the trader's own hand trade there too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from barque.messages import Bar, EquityMarked, Fill, OrderModified, SubmitOrder
from barque.strategy import OpenOrder, StrategyMemory

KEPT_ORDERS = 64
"""Ids of finished orders that are kept, because on a merged input a fill may come before the order that it fills."""
KEPT_EXECUTIONS = 64
"""Executions that a repeat is recognised by and a correction is booked against."""
KEPT_CAUSES = 16
"""Causes whose signals are counted, because two ticks of one timestamp share an id."""

ZERO = Decimal(0)
Booked = Literal["booked", "repeated", "orphaned"]


class Execution(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a fill."""

    quantity: Decimal
    """Signed contracts."""
    price: Decimal


class StrategyNodeState(msgspec.Struct, kw_only=True):
    """The node's whole state. A symbol without a position has no entry in `positions` and `average_prices`."""

    started: bool = False
    """`on_start` has run."""
    stopped: bool = False
    halted: bool = False
    failure: str = ""
    """What the strategy raised; not empty: it is paused."""
    now_ns: int = 0
    positions: dict[str, Decimal] = {}
    """Signed contracts."""
    average_prices: dict[str, Decimal] = {}
    orders: dict[str, OpenOrder] = {}
    gone: dict[str, None] = {}
    """Orders that will not trade any more, the latest last."""
    accepted: dict[str, None] = {}
    """Orders that a broker has taken before the router's word of them came, as in lockstep, where senders come first."""
    executions: dict[str, Execution] = {}
    causes: dict[str, int] = {}
    """How many signals each of the latest causes has led to."""
    account: EquityMarked | None = None
    """Figures of the account that it watches."""
    warmed: dict[str, tuple[int, int]] = {}
    """By series, `ts_open_ns` and `seq` of the last bar of a warm-up, until a newer one comes."""
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

    # ---- bars of a warm-up

    def warm(self, bar: Bar) -> None:
        """A bar of the past has been heard."""
        self.warmed[_series(bar)] = (bar.ts_open_ns, bar.seq)

    def is_warmed(self, bar: Bar) -> bool:
        """True where the bar was heard in the warm-up already; the first one that was not ends the asking for its series."""
        last = self.warmed.get(_series(bar))
        if last is None:
            return False
        if (bar.ts_open_ns, bar.seq) <= last:
            return True
        del self.warmed[_series(bar)]
        return False

    # ---- orders

    def open(self, order: SubmitOrder) -> None:
        """The router has made an order."""
        is_accepted = order.order_id in self.accepted
        if is_accepted:
            del self.accepted[order.order_id]
        if order.order_id in self.gone or order.order_id in self.orders:
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
            trail_amount=order.trail_amount,
            tag=order.tag,
            parent_id=order.parent_id,
            status="working" if is_accepted else "submitted",
        )

    def mark(self, order_id: str, status: Literal["working", "unknown"]) -> None:
        """The broker holds the order, or nobody knows."""
        order = self.orders.get(order_id)
        if order is not None:
            self.orders[order_id] = msgspec.structs.replace(order, status=status)
        elif status == "working":
            self.accepted[order_id] = None
            if len(self.accepted) > KEPT_ORDERS:
                del self.accepted[next(iter(self.accepted))]

    def amend(self, event: OrderModified) -> None:
        """The order works on with new terms; a price that the event does not name is as it was. Where as much has filled as it
        is for now, it is done."""
        order = self.orders.get(event.order_id)
        if order is None:
            return
        leaves = event.quantity - (order.quantity - order.leaves_quantity)
        if leaves <= 0:
            self.finish(event.order_id)
            return
        self.orders[event.order_id] = msgspec.structs.replace(
            order,
            quantity=event.quantity,
            leaves_quantity=leaves,
            limit_price=order.limit_price if event.limit_price is None else event.limit_price,
            stop_price=order.stop_price if event.stop_price is None else event.stop_price,
            trail_amount=order.trail_amount if event.trail_amount is None else event.trail_amount,
            status="working",
        )

    def finish(self, order_id: str) -> None:
        """The order will not trade any more."""
        self.orders.pop(order_id, None)
        if order_id not in self.gone:
            self.gone[order_id] = None
            if len(self.gone) > KEPT_ORDERS:
                del self.gone[next(iter(self.gone))]

    # ---- positions

    def book(self, fill: Fill) -> Booked:
        """Add an execution to the position once, or replace the one it corrects. `orphaned`: that one is not known any
        more; the position stays as it was."""
        executions = self.executions
        if fill.exec_id in executions:
            return "repeated"
        execution = Execution(fill.signed_quantity, fill.price)
        if not fill.corrects:
            self._trade(fill.symbol, execution)
            self._reduce(fill)
        elif fill.corrects in executions:
            self._correct(fill.symbol, executions[fill.corrects], execution)
        else:
            return "orphaned"
        executions[fill.exec_id] = execution
        if len(executions) > KEPT_EXECUTIONS:
            del executions[next(iter(executions))]
        return "booked"

    def _trade(self, symbol: str, execution: Execution) -> None:
        """Average price: what grows a position is averaged in, what shrinks it leaves it, what turns it around begins anew."""
        quantity, price = execution.quantity, execution.price
        held = self.positions.get(symbol)
        if held is None:
            self.positions[symbol], self.average_prices[symbol] = quantity, price
            return
        position = held + quantity
        if not position:
            del self.positions[symbol], self.average_prices[symbol]
            return
        self.positions[symbol] = position
        if (quantity > ZERO) == (held > ZERO):
            self.average_prices[symbol] = (self.average_prices[symbol] * held + price * quantity) / position
        elif (position > ZERO) != (held > ZERO):
            self.average_prices[symbol] = price

    def _correct(self, symbol: str, was: Execution, now: Execution) -> None:
        """As if the execution had been `now`. Its price counts where it is on the side of the position, which it then entered."""
        held, average = self.positions.pop(symbol, ZERO), self.average_prices.pop(symbol, ZERO)
        position = held - was.quantity + now.quantity
        if not position:
            return
        self.positions[symbol] = position
        if held and (position > 0) == (held > 0) == (was.quantity > 0):
            average = (average * held - was.price * was.quantity + now.price * now.quantity) / position
        elif not held or (position > ZERO) != (held > ZERO):
            average = now.price
        self.average_prices[symbol] = average

    def _reduce(self, fill: Fill) -> None:
        if not fill.leaves_quantity:
            self.finish(fill.order_id)
        elif fill.order_id in self.orders:
            order = self.orders[fill.order_id]
            self.orders[fill.order_id] = msgspec.structs.replace(order, leaves_quantity=fill.leaves_quantity, status="working")


def _series(bar: Bar) -> str:
    return f"{bar.symbol}.{bar.interval}.{bar.price}"
