"""When stops, trailing stops and triggers elect their order.

Reference price: the last trade where the contract has traded, else the quote of the side at which the order would trade.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from simulators.tws.market import Lane
from simulators.tws.orders import Order


def reference(order: Order, lane: Lane) -> Decimal | None:
    """None without a quote."""
    if lane.last > 0 and not lane.listing.is_fx:
        return Decimal(repr(lane.last))
    return lane.exact(order.is_buy)


def follow(order: Order, lane: Lane, step: Decimal) -> None:
    """Where the order triggers now: a trailing stop comes after the price and never goes back."""
    terms = order.terms
    if not terms.order_type.startswith("TRAIL"):
        order.stop = terms.aux_price
        return
    price = reference(order, lane)
    if order.stop is None:
        order.stop = terms.trail_stop_price
    if price is None:
        return
    distance = terms.aux_price if terms.trailing_percent is None else price * terms.trailing_percent / 100
    if distance is None:
        return
    stop = price + distance if order.is_buy else price - distance
    stop = (stop / step).to_integral_value(ROUND_FLOOR if order.is_buy else ROUND_CEILING) * step
    if order.stop is None:
        order.stop = stop
    else:
        order.stop = min(order.stop, stop) if order.is_buy else max(order.stop, stop)


def triggers(order: Order, lane: Lane) -> bool:
    """A stop triggers when the price has gone against it, MIT and LIT when it has come as far as wished."""
    price = reference(order, lane)
    if price is None or order.stop is None:
        return False
    touched = order.terms.order_type in ("MIT", "LIT")
    return price <= order.stop if order.is_buy == touched else price >= order.stop
