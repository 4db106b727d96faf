"""How much to trade, and on which side: a signal against the strategy's own position. Pure arithmetic.

enter   side as the signal says, and as much as it or the configured sizing says (`amounts`).
exit    closes what the strategy holds, `quantity` of it where that is less.
reduce  closes `quantity` of it, never more than it holds.
target  trades the difference to the position the strategy will have.

A strategy's position is the sum of its fills. Its open market orders count as filled for `target`; for `exit` and `reduce`
only those that close do, so that an exit asked twice closes once and an entry in doubt is not closed before it is there.
Resting orders (limits, stops, a bracket's exits) never count: they may never trade.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from barque.instruments import LARGEST, Instrument, sound
from barque.messages import RejectReason, Signal
from barque.messages.signals import Side
from router.core.amounts import Amounts
from router.core.exposure import open_quantities
from router.core.refusal import Refusal
from router.core.state import ZERO, RouterState


class Size(msgspec.Struct, frozen=True):
    """What to trade; zero contracts where the wish is already true."""

    side: Side
    quantity: Decimal
    closes: bool
    """It can only bring the strategy's position nearer to zero, whatever else of its own orders fills."""
    keeps: Decimal | None = None
    """Contracts of the position that stay to be guarded by brackets' exits; None: it takes none of them back."""


def size(signal: Signal, instrument: Instrument, state: RouterState, amounts: Amounts, only_closing: bool) -> Size | Refusal:
    """Side and quantity of the order that `signal` asks for, on the quantity grid.

    `only_closing`: a breaker has tripped, so of a target beyond zero only the way to zero is left.
    """
    refusal = _unclear(signal)
    if refusal is not None:
        return refusal
    if signal.action == "enter":
        return _entry(signal, instrument, state, amounts)
    if signal.action == "target":
        return _to_target(signal, instrument, state, amounts, only_closing)
    return _exit(signal, instrument, state, amounts)


def _unclear(signal: Signal) -> Refusal | None:
    """Why nobody can tell how much is meant; nearly all signals give a quantity or a target, and that is seen at once."""
    quantity, action, target = signal.quantity, signal.action, signal.target
    if signal.target_fraction is None and signal.notional is None and signal.risk_fraction is None:
        if target is None:
            if action != "target" and (quantity is None or sound(quantity)):
                return None
        elif action == "target" and quantity is None and target.is_finite() and abs(target) < LARGEST:
            return None
    return _fault(signal)


def _fault(signal: Signal) -> Refusal | None:
    quantity, action = signal.quantity, signal.action
    others = [
        (name, value)
        for name, value in (
            ("target", signal.target),
            ("target_fraction", signal.target_fraction),
            ("notional", signal.notional),
            ("risk_fraction", signal.risk_fraction),
        )
        if value is not None
    ]
    if len(others) + (quantity is not None) > 1:
        names = [*(["quantity"] if quantity is not None else []), *(name for name, _ in others)]
        return Refusal(RejectReason.QUANTITY, f"say in one way how much, not in {' and '.join(names)}")
    if (action == "target") != (bool(others) and others[0][0] in ("target", "target_fraction")):
        return Refusal(RejectReason.QUANTITY, "action target and a target or target_fraction belong together")
    if not others:
        if quantity is None or sound(quantity):
            return None
        detail = f"quantity must be a positive number, not {quantity}; less than the symbol's quantity_step is 0"
        return Refusal(RejectReason.QUANTITY, detail, actual=str(quantity))
    name, value = others[0]
    if action == "target":
        if value.is_finite() and abs(value) < LARGEST:
            return None
        return Refusal(RejectReason.QUANTITY, f"{name} must be a number", actual=str(value))
    if not sound(value):
        return Refusal(RejectReason.QUANTITY, f"{name} must be a positive number", actual=str(value))
    if action != "enter":
        return Refusal(RejectReason.QUANTITY, f"{name} belongs to action enter; {action} takes quantity")
    if name == "risk_fraction" and value > 1:
        return Refusal(RejectReason.QUANTITY, "risk_fraction is a part of equity, 0.01 for 1 %", limit="1", actual=str(value))
    return None


def _entry(signal: Signal, instrument: Instrument, state: RouterState, amounts: Amounts) -> Size | Refusal:
    side = signal.side
    if side is None:
        return Refusal(RejectReason.QUANTITY, "action enter needs a side: buy or sell")
    quantity = amounts.entry(signal, side, instrument)
    if isinstance(quantity, Refusal):
        return quantity
    refusal = _too_small(instrument, quantity)
    if refusal is not None:
        return refusal
    position = state.position(signal.strategy_id, signal.symbol)
    held = -position if side == "buy" else position
    closes = (
        quantity <= held
        and signal.take_profit is None
        and signal.stop_loss is None
        and quantity <= held - _open(state, signal, side, with_guards=True)
    )
    return Size(side, quantity, closes)


def _exit(signal: Signal, instrument: Instrument, state: RouterState, amounts: Amounts) -> Size | Refusal:
    position = state.position(signal.strategy_id, signal.symbol)
    side: Side = "sell" if position > 0 else "buy"
    held = abs(position)
    left = max(held - state.under_way(signal.strategy_id, signal.symbol, side), ZERO)
    whole = signal.action == "exit" and signal.quantity is None
    quantity = left if whole else min(left, instrument.quantity(amounts.asked(signal)))
    refusal = _too_small(instrument, quantity) if quantity < left else None
    if refusal is not None:
        return refusal
    if signal.order_type != "market":
        return Size(side, quantity, quantity <= held - _open(state, signal, side, with_guards=False))
    return Size(side, quantity, True, ZERO if whole else left - quantity)


def _to_target(
    signal: Signal, instrument: Instrument, state: RouterState, amounts: Amounts, only_closing: bool
) -> Size | Refusal:
    target = amounts.target(signal, instrument)
    if isinstance(target, Refusal):
        return target
    position = state.position(signal.strategy_id, signal.symbol)
    bought = sold = ZERO
    if state.orders:
        bought = state.under_way(signal.strategy_id, signal.symbol, "buy")
        sold = state.under_way(signal.strategy_id, signal.symbol, "sell")
    difference = instrument.quantity(target - position - bought + sold)
    if difference > ZERO:
        side: Side = "buy"
        quantity, held, under_way = difference, -position, bought
    else:
        side, quantity, held, under_way = "sell", -difference, position, sold
    left = held - under_way
    if only_closing and quantity > left > ZERO:
        quantity = left
    resting = signal.order_type != "market"
    room = held - _open(state, signal, side, with_guards=False) if resting else left
    if quantity and quantity != room:
        refusal = _too_small(instrument, quantity)
        if refusal is not None:
            return refusal if signal.target is not None else Size(side, ZERO, False)
    keeps = None if resting or not (left > ZERO or not target) else max(left - quantity, ZERO)
    return Size(side, quantity, ZERO < quantity <= room, keeps)


def _open(state: RouterState, signal: Signal, side: Side, with_guards: bool) -> Decimal:
    """Contracts of the strategy's open orders of `side`, of any type."""
    if not state.orders:
        return ZERO
    mine = signal.strategy_id
    return open_quantities(state, signal.symbol, side, "" if with_guards else mine).get(mine, ZERO)


def _too_small(instrument: Instrument, quantity: Decimal) -> Refusal | None:
    least = instrument.min_quantity or instrument.quantity_step
    if quantity >= least:
        return None
    detail = f"{quantity} is smaller than {instrument.symbol}'s least order, {least}"
    return Refusal(RejectReason.QUANTITY, detail, limit=str(least), actual=str(quantity))
