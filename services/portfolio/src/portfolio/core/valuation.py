"""What an account is worth in its base currency, at the latest marks. Pure arithmetic.

Prices are marks on the instrument's grid. Money of another currency is converted as `barque.money` says; a converted amount is
rounded half to even to 1e-8, one that needs no conversion is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from barque.instruments import LARGEST, Instrument
from barque.messages import Mark
from barque.money import Exchange, MissingPrice
from portfolio.core.books import GRAIN, ZERO, Account, Position

_LARGEST = float(LARGEST)
_NAN = float("nan")


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """Money of an account in its base currency."""

    cash: Decimal
    equity: Decimal
    unrealised: Decimal
    realised: Decimal


class PositionValue(msgspec.Struct, frozen=True, kw_only=True):
    """One position at the latest marks."""

    strategy_id: str
    symbol: str
    quantity: Decimal
    price: Decimal
    """0 where the position is flat."""
    currency: str
    unrealised: Decimal
    unrealised_base: Decimal
    realised_base: Decimal


class Prices:
    """Marks of the configured instruments, on their grids."""

    def __init__(self, instruments: Mapping[str, Instrument], marks: Mapping[str, Mark], bar_marks: Mapping[str, Mark]) -> None:
        self._instruments = instruments
        self._marks = marks
        self._bar_marks = bar_marks
        self._exchange = Exchange(instruments, self.price)

    def price(self, symbol: str) -> Decimal:
        """The latest mark, or the latest bars' closes where a symbol has no marks; raises `MissingPrice`."""
        mark = self._marks.get(symbol) or self._bar_marks.get(symbol)
        price = _NAN if mark is None else mark.price
        if not 0 < price < _LARGEST:
            raise MissingPrice(symbol)
        return self._instruments[symbol].price(price)

    def convert(self, amount: Decimal, currency: str, base: str) -> Decimal:
        """`amount` of `currency` in `base`; raises `MissingPrice`."""
        if currency == base or not amount:
            return amount
        return self._exchange.convert(amount, currency, base).quantize(GRAIN, rounding=ROUND_HALF_EVEN)

    def value(self, account: Account, base: str) -> Valuation:
        """The account in `base`; raises `MissingPrice`."""
        cash, unrealised, realised, held = ZERO, ZERO, ZERO, ZERO
        for currency, amount in account.cash.items():
            cash += amount if currency == base else self.convert(amount, currency, base)
        for by_symbol in account.positions.values():
            for symbol, position in by_symbol.items():
                instrument = self._instruments[symbol]
                currency = instrument.currency
                realised += position.realised if currency == base else self.convert(position.realised, currency, base)
                if not position.quantity:
                    continue
                value = position.quantity * instrument.multiplier * self.price(symbol)
                profit = value - position.cost
                if currency != base:
                    profit = self.convert(profit, currency, base)
                unrealised += profit
                held += profit if instrument.on_margin else self.convert(value, currency, base)
        return Valuation(cash=cash, equity=cash + held, unrealised=unrealised, realised=realised)

    def positions(self, account: Account, base: str) -> list[PositionValue]:
        """Every position of the account, flat ones too; raises `MissingPrice`."""
        return [
            self._position(strategy_id, self._instruments[symbol], position, base)
            for strategy_id, by_symbol in account.positions.items()
            for symbol, position in by_symbol.items()
        ]

    def _position(self, strategy_id: str, instrument: Instrument, position: Position, base: str) -> PositionValue:
        currency = instrument.currency
        price = self.price(instrument.symbol) if position.quantity else ZERO
        unrealised = position.quantity * instrument.multiplier * price - position.cost
        return PositionValue(
            strategy_id=strategy_id,
            symbol=instrument.symbol,
            quantity=position.quantity,
            price=price,
            currency=currency,
            unrealised=unrealised,
            unrealised_base=self.convert(unrealised, currency, base),
            realised_base=self.convert(position.realised, currency, base),
        )
