"""Positions and cash: what a fill does to them. Pure arithmetic on Decimals.

Average cost. A position carries its exact cost; a fill that grows it adds quantity × multiplier × price. A fill that closes
part of it releases that part of the cost, rounded half to even to 1e-8 of the currency, and the rest stays: nothing is
lost, and a position that is closed whole releases exactly what is left. One fill through zero closes, then opens.
The average price that we show is cost / (quantity × multiplier), rounded half to even to a thousandth of a tick.

Cash. On margin (FX, futures, CFDs) a trade moves its realised profit and loss, elsewhere its whole value; commissions are
paid in their own currency.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from barque.instruments import Instrument
from barque.messages import Fill

ZERO = Decimal(0)
GRAIN = Decimal("1E-8")
"""What a division of money is rounded to."""


class Position(msgspec.Struct, kw_only=True):
    """What one strategy holds in one symbol, money in the instrument's currency."""

    quantity: Decimal = ZERO
    """Signed contracts."""
    cost: Decimal = ZERO
    """What it was bought (or, negative, sold) for."""
    realised: Decimal = ZERO
    """Since the book began, before commissions."""
    commission: Decimal = ZERO
    """Since the book began; commissions in another currency are in cash alone."""

    def average_price(self, instrument: Instrument) -> Decimal:
        """Cost per unit; 0 when flat."""
        if not self.quantity:
            return ZERO
        exact = self.cost / (self.quantity * instrument.multiplier)
        return exact.quantize(instrument.tick_size / 1000, rounding=ROUND_HALF_EVEN)

    def trade(self, instrument: Instrument, signed: Decimal, price: Decimal) -> Decimal:
        """Book `signed` contracts at `price`; returns the profit or loss that this realises."""
        unit = instrument.multiplier * price
        held = self.quantity
        if not held or (signed > ZERO) == (held > ZERO):
            self.quantity = held + signed
            self.cost += signed * unit
            return ZERO
        left = held + signed
        if left and (left > ZERO) == (held > ZERO):
            released = (self.cost * -signed / held).quantize(GRAIN, rounding=ROUND_HALF_EVEN)
            realised = -signed * unit - released
            self.cost -= released
        else:  # closed whole, and opened anew by what is left
            realised = held * unit - self.cost
            self.cost = left * unit
        self.quantity = left
        self.realised += realised
        return realised


class Account(msgspec.Struct, kw_only=True):
    """The books of one account."""

    cash: dict[str, Decimal] = {}
    """By currency."""
    positions: dict[str, dict[str, Position]] = {}
    """By strategy, then symbol."""

    def book(self, instrument: Instrument, fill: Fill) -> Position:
        """Book `fill`: the position it changed, cash moved."""
        held = self.positions.setdefault(fill.strategy_id, {})
        position = held.get(fill.symbol)
        if position is None:
            position = held[fill.symbol] = Position()
        signed = fill.signed_quantity
        realised = position.trade(instrument, signed, fill.price)
        if not instrument.on_margin:
            self.pay(instrument.currency, -signed * instrument.multiplier * fill.price)
        elif realised:
            self.pay(instrument.currency, realised)
        currency = fill.commission_currency or instrument.currency
        if fill.commission:
            self.pay(currency, -fill.commission)
        if currency == instrument.currency:
            position.commission += fill.commission
        return position

    def pay(self, currency: str, amount: Decimal) -> None:
        """Cash changes by `amount`."""
        self.cash[currency] = self.cash.get(currency, ZERO) + amount
