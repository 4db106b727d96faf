"""Whether an order trades over a span of prices, at what price and when. Pure arithmetic.

In:   an order at work and a `Span` (a bar, or a tick as a bar of one instant).   Out: `Match` or None.
Not:  partial fills: an order trades whole; slippage and commission, which the node adds.

Sells are computed as buys at negated prices, so each rule is written once. A bar's open comes before everything inside
it. What happened inside in which order is unknown, so we take the worse: a stop before a limit (`turn`), and a stop_limit
whose limit lies beyond its stop waits for the next bar.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

from barque.instruments import Instrument, sound
from barque.messages import RejectReason, SubmitOrder
from barque_paper.state import Span, WorkingOrder


class Turn(IntEnum):
    """Who trades first inside one bar."""

    OPEN = 0
    STOP = 1
    LIMIT = 2


class Match(NamedTuple):
    """A trade at `price`; or, with None, only the touching of a stop_limit's stop."""

    price: Decimal | None
    ts_ns: int
    turn: Turn


def match(working: WorkingOrder, span: Span, instrument: Instrument) -> Match | None:
    """How `working`, which may trade, meets `span`.

    A fill at the open happens at `from_ns`; one inside is known, and so happens, at `until_ns`.
    """
    order = working.order
    sign = 1 if order.side == "buy" else -1
    opened = sign * instrument.price(span.open)
    best, worst = sorted((sign * instrument.price(span.low), sign * instrument.price(span.high)))
    if working.is_past(span.until_ns - 1):
        best = worst = opened
    limit = sign * (order.limit_price or Decimal(0))
    stop = sign * (order.stop_price or Decimal(0))

    def at_open() -> Match:
        return Match(sign * opened, span.from_ns, Turn.OPEN)

    def inside(price: Decimal | None, turn: Turn) -> Match:
        return Match(price if price is None else sign * price, span.until_ns, turn)

    def as_limit() -> Match | None:
        if opened <= limit:
            return at_open()
        return inside(limit, Turn.LIMIT) if best <= limit else None

    match "limit" if working.triggered else order.order_type:
        case "market":
            return at_open()
        case "limit":
            return as_limit()
        case "stop" if opened >= stop:
            return at_open()
        case "stop" if worst >= stop:
            return inside(stop, Turn.STOP)
        case "stop_limit" if opened >= stop:
            return as_limit() or inside(None, Turn.STOP)
        case "stop_limit" if worst >= stop:
            return inside(stop if stop <= limit else None, Turn.STOP)
    return None


def with_slippage(order: SubmitOrder, price: Decimal, fraction: Decimal, instrument: Instrument) -> Decimal:
    """`price` made worse by `fraction` of it, on the price grid, never past the order's limit."""
    buys = order.side == "buy"
    slipped = instrument.price(price * (1 + fraction if buys else 1 - fraction))
    if order.limit_price is None or order.order_type not in ("limit", "stop_limit"):
        return slipped
    return min(slipped, order.limit_price) if buys else max(slipped, order.limit_price)


def fault_of(order: SubmitOrder, known: bool) -> tuple[RejectReason, str] | None:
    """Why this exchange cannot take `order`; None where it can. `known`: its symbol has an instrument."""
    if not known:
        return RejectReason.UNKNOWN_SYMBOL, f"symbol {order.symbol} has no [[instruments]] entry; add one"
    if order.order_type == "trailing_stop":
        return RejectReason.UNSUPPORTED, "the paper exchange has no trailing_stop; use stop and move it"
    if not sound(order.quantity):
        return RejectReason.QUANTITY, f"quantity {order.quantity} is not a positive number"
    if order.order_type in ("limit", "stop_limit") and not sound(order.limit_price):
        return RejectReason.PRICE, f"a {order.order_type} order needs a positive limit_price, not {order.limit_price}"
    if order.order_type in ("stop", "stop_limit") and not sound(order.stop_price):
        return RejectReason.PRICE, f"a {order.order_type} order needs a positive stop_price, not {order.stop_price}"
    if order.time_in_force == "gtd" and order.valid_until_ns is None:
        return RejectReason.UNSUPPORTED, "time_in_force gtd needs valid_until_ns"
    return None
