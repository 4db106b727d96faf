"""What an account is worth in its base currency, at the latest marks. Pure arithmetic.

Prices are marks on the instrument's grid. Money of another currency is converted by the first instrument that is the pair
itself, or its inverse; a converted amount is rounded half to even to 1e-8, one that needs no conversion is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from barque.instruments import LARGEST, Instrument
from barque.messages import Mark
from portfolio.core.books import GRAIN, ZERO, Account


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """Money of an account in its base currency."""

    cash: Decimal
    equity: Decimal
    unrealised: Decimal
    realised: Decimal


class MissingPrice(Exception):
    """An account cannot be valued: `what` has no price yet."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Prices:
    """Marks of the configured instruments, on their grids."""

    def __init__(self, instruments: Mapping[str, Instrument], marks: Mapping[str, Mark], bar_marks: Mapping[str, Mark]) -> None:
        self._instruments = instruments
        self._marks = marks
        self._bar_marks = bar_marks

    def price(self, symbol: str) -> Decimal:
        """The latest mark, or the latest bars' closes where a symbol has no marks; raises `MissingPrice`."""
        mark = self._marks.get(symbol) or self._bar_marks.get(symbol)
        if mark is None or not 0 < mark.price < LARGEST:
            raise MissingPrice(symbol)
        return self._instruments[symbol].price(mark.price)

    def convert(self, amount: Decimal, currency: str, base: str) -> Decimal:
        """`amount` of `currency` in `base`; raises `MissingPrice`."""
        if currency == base or not amount:
            return amount
        for instrument in self._instruments.values():
            pair = (instrument.base_currency, instrument.currency)
            if pair == (currency, base):
                return _rounded(amount * self.price(instrument.symbol))
            if pair == (base, currency):
                return _rounded(amount / self.price(instrument.symbol))
        raise MissingPrice(f"{currency} in {base}")

    def value(self, account: Account, base: str) -> Valuation:
        """The account in `base`; raises `MissingPrice`."""
        cash = sum((self.convert(amount, currency, base) for currency, amount in account.cash.items()), ZERO)
        equity, unrealised, realised = cash, ZERO, ZERO
        for symbol, position in account.all_positions():
            instrument = self._instruments[symbol]
            realised += self.convert(position.realised, instrument.currency, base)
            if not position.quantity:
                continue
            value = position.quantity * instrument.multiplier * self.price(symbol)
            open_profit = self.convert(value - position.cost, instrument.currency, base)
            unrealised += open_profit
            equity += open_profit if instrument.on_margin else self.convert(value, instrument.currency, base)
        return Valuation(cash=cash, equity=equity, unrealised=unrealised, realised=realised)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(GRAIN, rounding=ROUND_HALF_EVEN)
