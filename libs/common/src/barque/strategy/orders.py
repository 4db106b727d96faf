"""Orders as a strategy sees them: what it may ask for, what is open, what was said of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias, TypedDict

import msgspec

from barque.messages import OrderAccepted, OrderCancelled, OrderExpired, OrderRejected, OrderUnknown, SubmitOrder
from barque.messages.signals import OrderType, Side, TimeInForce

OrderEvent: TypeAlias = SubmitOrder | OrderAccepted | OrderRejected | OrderCancelled | OrderExpired | OrderUnknown
"""A step in the life of one of the strategy's orders. `SubmitOrder`: the router made an order of its signal."""


class OrderOptions(TypedDict, total=False):
    """How an order is to be worked; keywords of `buy`, `sell`, `target` and `close`. Prices are put on the instrument's grid."""

    order_type: OrderType
    limit_price: float | Decimal | None
    stop_price: float | Decimal | None
    take_profit: float | Decimal | None
    stop_loss: float | Decimal | None
    time_in_force: TimeInForce
    valid_until_ns: int | None
    tag: str
    reason: str


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order of the strategy that may still trade."""

    order_id: str
    signal_id: str
    """What the verb that asked for it returned."""
    symbol: str
    side: Side
    quantity: Decimal
    leaves_quantity: Decimal
    """Contracts that have not traded yet."""
    order_type: OrderType = "market"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tag: str = ""
    status: Literal["submitted", "working", "unknown"] = "submitted"
    """`working`: the broker holds it; `unknown`: nobody knows yet, so it counts as open."""
