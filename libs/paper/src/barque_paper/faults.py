"""What the exchange cannot take, and why. Pure.

In:   an order, or the terms that a working one is to have.   Out: a reason and a sentence for people, or None.
"""

from __future__ import annotations

from decimal import Decimal

from barque.calendars import calendar
from barque.errors import ConfigError
from barque.instruments import Instrument, sound
from barque.messages import RejectReason, SubmitOrder
from barque_paper.config import PaperConfig
from barque_paper.state import WorkingOrder

Fault = tuple[RejectReason, str]

_PRICES = {"limit": ("limit_price",), "stop": ("stop_price",), "stop_limit": ("limit_price", "stop_price")}


def fault_of_order(order: SubmitOrder, instrument: Instrument | None, config: PaperConfig, now_ns: int) -> Fault | None:
    """Why a new order cannot be taken."""
    if instrument is None:
        return RejectReason.UNKNOWN_SYMBOL, f"symbol {order.symbol} has no [[instruments]] entry; add one"
    if instrument.inverts:
        return RejectReason.NOT_TRADABLE, f"{order.symbol} is made of {instrument.inverts}; trade that one"
    if order.time_in_force == "gtd" and order.valid_until_ns is None:
        return RejectReason.UNSUPPORTED, "time_in_force gtd needs valid_until_ns"
    if config.trade_only_in_session:
        try:
            if not calendar(instrument.calendar).is_open(now_ns):
                return RejectReason.MARKET_CLOSED, f"{order.symbol} is closed ({instrument.calendar}); send it in the session"
        except ConfigError as error:
            return RejectReason.UNSUPPORTED, str(error)
    return fault_of_terms(order, instrument, config)


def fault_of_terms(order: SubmitOrder, instrument: Instrument, config: PaperConfig) -> Fault | None:
    """Why an order cannot have this quantity and these prices."""
    quantity = order.quantity
    if not sound(quantity):
        return RejectReason.QUANTITY, f"quantity {quantity} is not a positive number"
    if quantity % instrument.quantity_step:
        return RejectReason.QUANTITY, f"quantity {quantity} is not a multiple of {instrument.quantity_step}"
    if config.max_order_quantity is not None and quantity > config.max_order_quantity:
        return RejectReason.ORDER_SIZE_LIMIT, f"quantity {quantity} is above the exchange's {config.max_order_quantity}"
    return _price_fault(order, instrument)


def fault_of_change(working: WorkingOrder, order: SubmitOrder, instrument: Instrument, config: PaperConfig) -> Fault | None:
    """Why `working` cannot go on with the terms of `order`."""
    was = working.order
    if order.quantity < working.filled:
        return RejectReason.QUANTITY, f"quantity {order.quantity} is below the {working.filled} that have filled"
    if working.triggered and (order.stop_price, order.trail_amount) != (was.stop_price, was.trail_amount):
        return RejectReason.PRICE, "its stop has been touched; there is no stop left to move"
    return fault_of_terms(order, instrument, config)


def _price_fault(order: SubmitOrder, instrument: Instrument) -> Fault | None:
    kind = order.order_type
    if kind == "market":
        return None
    if kind == "trailing_stop":
        if not sound(order.trail_amount) or order.trail_amount < instrument.tick_size:
            return RejectReason.PRICE, f"a trailing_stop needs a trail_amount of at least a tick, not {order.trail_amount}"
        return None if order.stop_price is None else _off_grid("stop_price", order.stop_price, kind, instrument)
    for name in _PRICES[kind]:
        fault = _off_grid(name, getattr(order, name), kind, instrument)
        if fault is not None:
            return fault
    return None


def _off_grid(name: str, value: Decimal | None, kind: str, instrument: Instrument) -> Fault | None:
    if not sound(value):
        return RejectReason.PRICE, f"a {kind} order needs a positive {name}, not {value}"
    if value % instrument.tick_size:
        return RejectReason.PRICE, f"{name} {value} is not a multiple of the tick, {instrument.tick_size}"
    return None
