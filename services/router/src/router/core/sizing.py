"""How much to trade, and on which side: a signal against the strategy's own position. Pure arithmetic.

enter   side and quantity as the signal says; the configured quantity where it does not.
exit    closes what the strategy holds, `quantity` of it where that is less.
reduce  closes `quantity` of it, never more than it holds.
target  trades the difference to the position the strategy will have.

A strategy's position is the sum of its fills. Its open market orders count as filled for `target`; for `exit` and `reduce`
only those that close do, so that an exit asked twice closes once and an entry in doubt is not closed before it is there.
Resting orders (limits, stops, a bracket's exits) never count: they may never trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from barque.instruments import Instrument, sound
from barque.messages import RejectReason, Signal
from barque.messages.signals import Side
from router.core.state import RouterState


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a signal becomes no order."""

    reason: RejectReason
    detail: str
    limit: str = ""
    actual: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """What to trade; zero contracts where the wish is already true."""

    side: Side
    quantity: Decimal
    closes: bool
    """It can only bring the strategy's position nearer to zero."""


def size(signal: Signal, instrument: Instrument, state: RouterState, default: Decimal) -> Size | Refusal:
    """Side and quantity of the order that `signal` asks for, on the quantity grid."""
    refusal = _unclear(signal)
    if refusal is not None:
        return refusal
    asked = default if signal.quantity is None else signal.quantity
    if signal.action == "enter":
        return _entry(signal, instrument, asked)
    position = state.position(signal.strategy_id, signal.symbol)
    if signal.action == "target":
        return _to_target(signal, instrument, state, position)
    side: Side = "sell" if position > 0 else "buy"
    left = max(abs(position) - state.under_way(signal.strategy_id, signal.symbol, side), Decimal(0))
    if signal.action == "reduce" or signal.quantity is not None:
        left = min(left, instrument.quantity(asked))
    return Size(side, left, closes=True)


def _unclear(signal: Signal) -> Refusal | None:
    given = [name for name in ("quantity", "target", "risk_fraction") if getattr(signal, name) is not None]
    if len(given) > 1:
        return Refusal(RejectReason.QUANTITY, f"give one of quantity, target, risk_fraction, not {' and '.join(given)}")
    if signal.risk_fraction is not None:
        return Refusal(
            RejectReason.UNSUPPORTED, "risk_fraction needs the account's equity, which the router lacks; give quantity"
        )
    if signal.quantity is not None and not sound(signal.quantity):
        return Refusal(RejectReason.QUANTITY, "quantity must be a positive number", actual=str(signal.quantity))
    if (signal.action == "target") != (signal.target is not None):
        return Refusal(RejectReason.QUANTITY, "action target and a target belong together")
    if signal.target is not None and signal.target and not sound(signal.target.copy_abs()):
        return Refusal(RejectReason.QUANTITY, "target must be a number", actual=str(signal.target))
    return None


def _entry(signal: Signal, instrument: Instrument, asked: Decimal) -> Size | Refusal:
    if signal.side is None:
        return Refusal(RejectReason.QUANTITY, "action enter needs a side: buy or sell")
    quantity = instrument.quantity(asked)
    return _too_small(instrument, quantity) or Size(signal.side, quantity, closes=False)


def _to_target(signal: Signal, instrument: Instrument, state: RouterState, position: Decimal) -> Size | Refusal:
    bought = state.under_way(signal.strategy_id, signal.symbol, "buy")
    sold = state.under_way(signal.strategy_id, signal.symbol, "sell")
    expected = position + bought - sold
    difference = instrument.quantity((signal.target or Decimal(0)) - expected)
    side: Side = "buy" if difference > 0 else "sell"
    closes = bool(expected) and (difference > 0) != (expected > 0) and abs(difference) <= abs(expected)
    refusal = _too_small(instrument, abs(difference)) if difference and not closes else None
    return refusal or Size(side, abs(difference), closes)


def _too_small(instrument: Instrument, quantity: Decimal) -> Refusal | None:
    least = instrument.min_quantity or instrument.quantity_step
    if quantity >= least:
        return None
    return Refusal(
        RejectReason.QUANTITY, f"smaller than {instrument.symbol}'s least order", limit=str(least), actual=str(quantity)
    )
