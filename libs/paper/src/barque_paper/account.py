"""The exchange's own books of its account: cash, positions, the last executions. Pure arithmetic on Decimals.

They are what a broker would show us, kept apart from the portfolio's, so that the two can be compared. Positions are kept
per strategy, as an account that hedges keeps them, and shown net. Average cost: what a closing fill releases of it is
rounded half to even to 1e-8 of the currency. On margin (FX, futures, CFDs) a trade moves its realised profit and loss in
cash, elsewhere its whole value; commissions are paid at once.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from barque.messages import Fill

EXECUTIONS_KEPT = 32
"""At least so many executions are remembered; all of them are in the sender's table."""

ZERO = Decimal(0)
_GRAIN = Decimal("1E-8")


class Holding(msgspec.Struct, array_like=True):
    """What one strategy holds of one symbol."""

    quantity: Decimal = ZERO
    """Signed contracts."""
    cost: Decimal = ZERO
    """What they were bought (or, negative, sold) for."""

    def trade(self, signed: Decimal, unit: Decimal) -> Decimal:
        """Book `signed` contracts at `unit` each; returns the profit or loss that this realises."""
        held = self.quantity
        if not held or (signed > ZERO) == (held > ZERO):
            self.quantity = held + signed
            self.cost += signed * unit
            return ZERO
        left = held + signed
        if not left or (left > ZERO) != (held > ZERO):
            realised = held * unit - self.cost
            self.quantity, self.cost = left, left * unit
            return realised
        released = (-signed * self.cost / held).quantize(_GRAIN, rounding=ROUND_HALF_EVEN)
        self.quantity, self.cost = left, self.cost - released
        return -signed * unit - released


class Account(msgspec.Struct, kw_only=True):
    """The books of one account."""

    cash: dict[str, Decimal] = {}
    """By currency."""
    holdings: dict[str, dict[str, Holding]] = {}
    """By symbol, then strategy; flat ones too."""
    executions: list[Fill] = []
    """The last ones, oldest first."""

    def book(self, fill: Fill, multiplier: Decimal, on_margin: bool) -> None:
        """Book one execution of an instrument."""
        signed = fill.quantity if fill.side == "buy" else -fill.quantity
        unit, currency = multiplier * fill.price, fill.commission_currency
        of_symbol = self.holdings.get(fill.symbol)
        if of_symbol is None:
            of_symbol = self.holdings[fill.symbol] = {}
        holding = of_symbol.get(fill.strategy_id)
        if holding is None:
            holding = of_symbol[fill.strategy_id] = Holding()
        realised = holding.trade(signed, unit)
        moved = realised if on_margin else -signed * unit
        self.cash[currency] = self.cash.get(currency, ZERO) + moved - fill.commission
        executions = self.executions
        executions.append(fill)
        if len(executions) >= 2 * EXECUTIONS_KEPT:
            del executions[:EXECUTIONS_KEPT]
