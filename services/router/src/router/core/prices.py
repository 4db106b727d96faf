"""Prices as the router knows them: the latest marks on their grids, and money in the account's base currency.

In:   `RouterState.marks` and `RouterState.equity`.   Out: Decimals, or `MissingPrice`.
Not:  the age of a mark; `checks.market` looks at that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from barque.instruments import LARGEST, Instrument
from barque.messages import Mark
from barque.messages.signals import Side
from barque.money import Exchange, MissingPrice
from router.core.state import RouterState

_LARGEST = float(LARGEST)


class Prices:
    """The market and the account's currency, over one state."""

    def __init__(self, instruments: Mapping[str, Instrument], state: RouterState) -> None:
        self._instruments = instruments
        self._state = state
        self._exchange = Exchange(instruments, self.price)
        self._seen: dict[str, tuple[Mark, Decimal]] = {}

    def price(self, symbol: str) -> Decimal:
        """The latest mark; raises `MissingPrice`."""
        mark = self._state.marks.get(symbol)
        if mark is None:
            raise MissingPrice(symbol)
        known = self._seen.get(symbol)
        if known is not None and known[0] is mark:
            return known[1]
        value = mark.price
        if not 0 < value < _LARGEST:
            raise MissingPrice(symbol)
        price = self._instruments[symbol].price(value)
        self._seen[symbol] = (mark, price)
        return price

    def find(self, symbol: str) -> Decimal | None:
        """The latest mark; None where nothing usable has been seen."""
        known = self._seen.get(symbol)
        if known is not None and known[0] is self._state.marks.get(symbol):
            return known[1]
        try:
            return self.price(symbol)
        except MissingPrice:
            return None

    def touch(self, symbol: str, side: Side) -> Decimal:
        """What an order of `side` would trade at: ask for a buy, bid for a sell, else the mark; raises `MissingPrice`."""
        mark = self._state.marks.get(symbol)
        if mark is not None:
            value = mark.ask if side == "buy" else mark.bid
            if 0 < value < _LARGEST:
                return self._instruments[symbol].price(value)
        return self.price(symbol)

    @property
    def base(self) -> str:
        """The account's base currency; empty before its first valuation."""
        equity = self._state.equity
        return equity.currency if equity is not None else ""

    def to_base(self, amount: Decimal, currency: str) -> Decimal:
        """`amount` in the base currency; raises `MissingPrice`."""
        return self._exchange.convert(amount, currency, self.base)

    def from_base(self, amount: Decimal, currency: str) -> Decimal:
        """`amount` of the base currency in `currency`; raises `MissingPrice`."""
        return self._exchange.convert(amount, self.base, currency)

    def value(self, symbol: str, quantity: Decimal) -> Decimal:
        """`quantity` contracts at the latest mark, with the sign of `quantity`, in the base currency; raises `MissingPrice`, also
        for what somebody trades there that is not configured."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise MissingPrice(symbol)
        return self.to_base(quantity * instrument.multiplier * self.price(symbol), instrument.currency)
