"""Answers a strategy's wishes as a router and an exchange would on their simplest day; for tests of strategies.

In:   wishes of one strategy, bars.   Out: order events and fills.
Not:  a model of trading: no costs, no limits, no partial fills, no triggers. A market order is filled whole at the open of the
      next bar of its symbol; any other order works until it is cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from barque.messages import (
    Bar,
    CancelRequest,
    Fill,
    Message,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderModified,
    Signal,
    SubmitOrder,
)
from barque.messages.signals import Side

ZERO, ONE = Decimal(0), Decimal(1)
TERMS = ("quantity", "limit_price", "stop_price", "trail_amount")


class AnsweringVenue:
    """One account of one strategy."""

    def __init__(self) -> None:
        self._positions: dict[str, Decimal] = {}
        self._orders: dict[str, SubmitOrder] = {}
        self._sent = 0

    def answer(self, wish: Message) -> Sequence[Message]:
        """What the strategy hears of a wish at once."""
        if isinstance(wish, Signal):
            return self._submit(wish)
        if isinstance(wish, CancelRequest):
            ids = [o.order_id for o in self._orders.values() if o.symbol == wish.symbol and wish.order_id in (None, o.order_id)]
            return [OrderCancelled(**_about(self._orders.pop(each), wish.ts_event_ns)) for each in ids]
        if isinstance(wish, ModifyRequest) and wish.order_id in self._orders:
            terms = {name: getattr(wish, name) for name in TERMS if getattr(wish, name) is not None}
            order = self._orders[wish.order_id] = msgspec.structs.replace(self._orders[wish.order_id], **terms)
            return [OrderModified(**_about(order, wish.ts_event_ns), **{name: getattr(order, name) for name in TERMS})]
        return []

    def hear(self, message: Message) -> Sequence[Message]:
        """What the strategy hears before `message`: fills, where it is a bar."""
        if not isinstance(message, Bar):
            return []
        due = [o for o in self._orders.values() if o.symbol == message.symbol and o.order_type == "market"]
        return [self._fill(order, message) for order in due if order.ts_event_ns <= message.ts_open_ns]

    def _submit(self, signal: Signal) -> list[Message]:
        signed = self._contracts(signal)
        if not signed:
            return []
        self._sent += 1
        order = SubmitOrder(
            order_id=f"order-{self._sent}",
            cause=signal.id,
            root=signal.root,
            strategy_id=signal.strategy_id,
            account="test",
            symbol=signal.symbol,
            ts_event_ns=signal.ts_event_ns,
            side="buy" if signed > 0 else "sell",
            quantity=abs(signed),
            order_type=signal.order_type,
            limit_price=signal.limit_price,
            stop_price=signal.stop_price,
            trail_amount=signal.trail_amount,
            time_in_force=signal.time_in_force,
            tag=signal.tag,
        )
        self._orders[order.order_id] = order
        return [order, OrderAccepted(**_about(order, order.ts_event_ns))]

    def _contracts(self, signal: Signal) -> Decimal:
        """Signed contracts to trade; an entry or target that does not say how many is for one."""
        held = self._positions.get(signal.symbol, ZERO)
        if signal.action == "enter":
            wanted = ONE if signal.quantity is None else signal.quantity
            return wanted if signal.side == "buy" else -wanted
        if signal.action == "target":
            part = signal.target_fraction or ZERO
            aim = signal.target if signal.target is not None else ONE.copy_sign(part) if part else ZERO
            return aim - held
        closed = abs(held) if signal.quantity is None else min(abs(held), signal.quantity)
        return closed.copy_sign(-held) if held else ZERO

    def _fill(self, order: SubmitOrder, bar: Bar) -> Fill:
        del self._orders[order.order_id]
        side: Side = order.side
        signed = order.quantity if side == "buy" else -order.quantity
        self._positions[order.symbol] = self._positions.get(order.symbol, ZERO) + signed
        about = _about(order, bar.ts_open_ns)
        return Fill(exec_id=f"{order.order_id}-1", side=side, quantity=order.quantity, price=Decimal(repr(bar.open)), **about)


def _about(order: SubmitOrder, ts_event_ns: int) -> dict[str, Any]:
    names = ("order_id", "cause", "root", "strategy_id", "account", "symbol")
    return {"ts_event_ns": ts_event_ns, **{name: getattr(order, name) for name in names}}
