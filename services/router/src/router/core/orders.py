"""Builds what goes out: orders with ids that follow from their cause, a bracket's legs, changes, cancels. Pure.

An order's id is a digest of the signal (or command) and the leg, so the same decision has the same id in a backtest, live
and after any restart.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from itertools import permutations

import msgspec

from barque.instruments import Instrument, sound
from barque.messages import CancelOrder, ModifyOrder, ModifyRequest, RejectReason, Signal, SubmitOrder
from barque.messages.signals import Side
from router.core.refusal import Refusal
from router.core.sizing import Size
from router.core.state import OpenOrder

_NEEDS = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail_amount",),
}
TERMS = ("limit_price", "stop_price", "trail_amount")
"""Prices of an order at work."""
_RUNG = {"stop_loss": 0, "limit_price": 1, "stop_price": 1, "take_profit": 2}
"""Prices of a bracket from its worst to its best."""
_DIGEST = blake2b(digest_size=10)
"""To be copied: that is cheaper than making one."""


def order_id_of(cause: str, leg: str) -> str:
    """20 hexadecimal digits that stand for `leg` of `cause`.

    >>> order_id_of("s1/EURUSD.1m.bid.0/0", "entry")
    'b058df693640750e3d45'
    """
    digest = _DIGEST.copy()
    digest.update(f"{cause}|{leg}".encode())
    return digest.hexdigest()


def entry_order(
    signal: Signal, order_id: str, size: Size, account: str, instrument: Instrument, checks: tuple[str, ...] = ()
) -> SubmitOrder | Refusal:
    """The order that `signal` asks for, prices on the grid; a bracket's entry where it has exits. It passes `checks`."""
    prices: dict[str, Decimal] = {}
    brackets = signal.take_profit is not None or signal.stop_loss is not None
    if brackets or signal.order_type != "market":
        for name in _prices_of(signal):
            value = getattr(signal, name)
            if not sound(value) or not (rounded := instrument.price(value)):
                return Refusal(RejectReason.PRICE, _no_price(name, instrument), actual=str(value))
            prices[name] = rounded
    if signal.time_in_force == "gtd" and signal.valid_until_ns is None:
        return Refusal(RejectReason.UNSUPPORTED, "time_in_force gtd needs valid_until_ns")
    entry = SubmitOrder(
        order_id=order_id,
        cause=signal.id,
        root=signal.root,
        strategy_id=signal.strategy_id,
        account=account,
        symbol=signal.symbol,
        ts_event_ns=signal.ts_event_ns,
        side=size.side,
        quantity=size.quantity,
        order_type=signal.order_type,
        time_in_force=signal.time_in_force,
        valid_until_ns=signal.valid_until_ns,
        tag=signal.tag,
        reason=signal.reason,
        closes=size.closes,
        checks=checks,
    )
    if prices:
        entry = msgspec.structs.replace(entry, **{name: price for name, price in prices.items() if name in TERMS})
    return (_bracket_fault(signal, entry, prices) if brackets else None) or entry


def exit_orders(signal: Signal, entry: SubmitOrder, instrument: Instrument) -> list[SubmitOrder]:
    """The bracket's legs: held by the broker until `entry` fills, and each cancels the other."""
    legs = [name for name in ("take_profit", "stop_loss") if getattr(signal, name) is not None]
    return [
        SubmitOrder(
            order_id=order_id_of(signal.id, leg),
            cause=signal.id,
            root=signal.root,
            strategy_id=signal.strategy_id,
            account=entry.account,
            symbol=entry.symbol,
            ts_event_ns=entry.ts_event_ns,
            side=opposite(entry.side),
            quantity=entry.quantity,
            order_type="limit" if leg == "take_profit" else "stop",
            limit_price=instrument.price(getattr(signal, leg)) if leg == "take_profit" else None,
            stop_price=instrument.price(getattr(signal, leg)) if leg == "stop_loss" else None,
            parent_id=entry.order_id,
            oco_group=entry.order_id if len(legs) == 2 else None,
            tag=entry.tag,
            reason=f"{leg} of {entry.order_id}",
            closes=True,
        )
        for leg in legs
    ]


def changed_order(request: ModifyRequest, open_order: OpenOrder, instrument: Instrument) -> SubmitOrder | Refusal:
    """The order as `request` wants it, on the grids."""
    order = open_order.order
    terms: dict[str, Decimal] = {}
    for name in TERMS:
        value = getattr(request, name)
        if value is None:
            continue
        if getattr(order, name) is None:
            return Refusal(RejectReason.UNSUPPORTED, f"order {order.order_id} is a {order.order_type} order: it has no {name}")
        if not sound(value) or not (rounded := instrument.price(value)):
            return Refusal(RejectReason.PRICE, _no_price(name, instrument), actual=str(value))
        terms[name] = rounded
    if request.quantity is not None:
        least = instrument.min_quantity or instrument.quantity_step
        quantity = instrument.quantity(request.quantity) if sound(request.quantity) else Decimal(0)
        if quantity < least:
            detail = f"smaller than {instrument.symbol}'s least order"
            return Refusal(RejectReason.QUANTITY, detail, limit=str(least), actual=str(request.quantity))
        if quantity <= open_order.filled:
            detail = f"{open_order.filled} of order {order.order_id} have filled; cancel the rest instead"
            return Refusal(RejectReason.QUANTITY, detail, limit=str(open_order.filled), actual=str(quantity))
        terms["quantity"] = quantity
    return msgspec.structs.replace(order, **terms)


def modify_of(old: SubmitOrder, new: SubmitOrder, cause: str, root: str, ts_event_ns: int) -> ModifyOrder:
    """The request to make `new` of `old`, because of `cause`; what stays as it is is not in it."""
    return ModifyOrder(
        order_id=old.order_id,
        cause=cause,
        root=root,
        strategy_id=old.strategy_id,
        account=old.account,
        symbol=old.symbol,
        ts_event_ns=ts_event_ns,
        quantity=new.quantity if new.quantity != old.quantity else None,
        limit_price=new.limit_price if new.limit_price != old.limit_price else None,
        stop_price=new.stop_price if new.stop_price != old.stop_price else None,
        trail_amount=new.trail_amount if new.trail_amount != old.trail_amount else None,
    )


def cancel_of(order: SubmitOrder, cause: str, root: str, ts_event_ns: int) -> CancelOrder:
    """The request to cancel `order`, because of `cause`."""
    return CancelOrder(
        order_id=order.order_id,
        cause=cause,
        root=root,
        strategy_id=order.strategy_id,
        account=order.account,
        symbol=order.symbol,
        ts_event_ns=ts_event_ns,
    )


def opposite(side: Side) -> Side:
    """The other side."""
    return "sell" if side == "buy" else "buy"


def _prices_of(signal: Signal) -> list[str]:
    """The prices that `signal` must have."""
    names = list(_NEEDS[signal.order_type])
    if signal.order_type == "trailing_stop" and signal.stop_price is not None:
        names.append("stop_price")
    return names + [name for name in ("take_profit", "stop_loss") if getattr(signal, name) is not None]


def _no_price(name: str, instrument: Instrument) -> str:
    return f"{name} must be a positive price on the grid of {instrument.tick_size}"


def _bracket_fault(signal: Signal, entry: SubmitOrder, prices: dict[str, Decimal]) -> Refusal | None:
    if signal.action != "enter":
        return Refusal(RejectReason.UNSUPPORTED, f"take_profit and stop_loss belong to action enter, not {signal.action}")
    rungs = [(_RUNG[name], price, name) for name, price in prices.items() if name in _RUNG]
    for (low_rung, low, low_name), (high_rung, high, high_name) in permutations(rungs, 2):
        if low_rung < high_rung and not (low < high if entry.side == "buy" else low > high):
            word = "below" if entry.side == "buy" else "above"
            return Refusal(RejectReason.PRICE, f"to {entry.side}, {low_name} {low} must be {word} {high_name} {high}")
    return None
