"""Whether an order may go out: the worst position that can come of it, against the limits. Pure arithmetic.

Every limit looks at the worst case: the position with all open orders of the same side filled, UNKNOWN ones too, and the
new one on top. Orders that exclude each other (an OCO group) count once; a bracket's exits count only when their entry has
filled, for before that they cannot trade. An order that only closes is never refused for its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from barque.instruments import LARGEST, Instrument
from barque.messages import Mark, RejectReason, SubmitOrder
from router.core.sizing import Refusal
from router.core.state import ZERO, RouterState


def limit_of(name: str, symbol: str, layers: Sequence[Mapping[str, Decimal | None]]) -> Decimal | None:
    """The limit in force: the symbol's before the general one, an earlier layer's before a later one's."""
    for key in (f"{name}|{symbol}", f"{name}|"):
        for layer in layers:
            if key in layer:
                return layer[key]
    return None


def refusal_of(
    order: SubmitOrder, instrument: Instrument, state: RouterState, layers: Sequence[Mapping[str, Decimal | None]]
) -> Refusal | None:
    """Why `order`, which may open or grow a position, must not go out; None where it may."""
    most = limit_of("max_order_quantity", order.symbol, layers)
    if most is not None and order.quantity > most:
        return Refusal(
            RejectReason.ORDER_SIZE_LIMIT,
            f"an order of {order.quantity} {order.symbol} is larger than max_order_quantity",
            limit=str(most),
            actual=str(order.quantity),
        )
    worst = worst_position(order, state)
    most = limit_of("max_position", order.symbol, layers)
    if most is not None and worst > most:
        return Refusal(
            RejectReason.POSITION_LIMIT,
            f"with all open orders filled {order.symbol} would pass max_position; cancel orders or trade less",
            limit=str(most),
            actual=str(worst),
        )
    most = limit_of("max_notional", order.symbol, layers)
    return None if most is None else _notional_refusal(order, instrument, state, worst, most)


def worst_position(order: SubmitOrder, state: RouterState) -> Decimal:
    """Contracts on `order`'s side if it and every open order of that side fill; negative: still on the other side."""
    net = state.net_position(order.symbol)
    return (net if order.side == "buy" else -net) + _open_quantity(order, state) + order.quantity


def _open_quantity(order: SubmitOrder, state: RouterState) -> Decimal:
    groups: dict[str, Decimal] = {}
    for order_id, open_order in state.orders.items():
        other = open_order.order
        if (other.symbol, other.side) == (order.symbol, order.side) and other.parent_id not in state.orders:
            group = other.oco_group or order_id
            groups[group] = max(groups.get(group, ZERO), open_order.remaining)
    return sum(groups.values(), ZERO)


def _notional_refusal(
    order: SubmitOrder, instrument: Instrument, state: RouterState, worst: Decimal, most: Decimal
) -> Refusal | None:
    price = mark_price(state.marks.get(order.symbol), instrument) or order.limit_price
    if price is None:
        return Refusal(
            RejectReason.NO_PRICE,
            f"max_notional is set and {order.symbol} has no mark yet; wait for its feed or give a limit_price",
            limit=str(most),
        )
    notional = instrument.notional(price, max(worst, ZERO))
    if notional <= most:
        return None
    return Refusal(
        RejectReason.NOTIONAL_LIMIT,
        f"with all open orders filled {order.symbol} would pass max_notional; cancel orders or trade less",
        limit=str(most),
        actual=str(notional),
    )


def mark_price(mark: Mark | None, instrument: Instrument) -> Decimal | None:
    """The mark on the price grid; None where nothing usable has been seen."""
    if mark is None or not 0 < mark.price < LARGEST:
        return None
    return instrument.price(mark.price)
