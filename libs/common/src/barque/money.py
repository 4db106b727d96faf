"""Money of one currency in another, at the latest prices.

In:   instruments, and what gives their prices.   Out: amounts, exact but for the division by an inverse pair (28 digits).
Not:  rounding, which is the caller's; prices themselves.

The way leads over the fewest pairs, each taken as it is or inverted; of several, over those configured first: JPY becomes USD
by USDJPY, and by EURJPY and EURUSD where there is no USDJPY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from barque.instruments import Instrument


class MissingPrice(Exception):
    """An amount cannot be valued: `what` has no price yet, or no pair leads there."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Leg(NamedTuple):
    """One step from a currency to another: times the pair's price, or divided by it."""

    symbol: str
    inverse: bool
    to: str


class Exchange:
    """Converts money between the currencies of the configured instruments."""

    def __init__(self, instruments: Mapping[str, Instrument], price: Callable[[str], Decimal]) -> None:
        """`price(symbol)` is the latest one, positive, or raises `MissingPrice`."""
        self._instruments = instruments
        self._price = price
        self._ways: dict[tuple[str, str], tuple[Leg, ...] | None] = {}

    def convert(self, amount: Decimal, currency: str, base: str) -> Decimal:
        """`amount` of `currency` in `base`; raises `MissingPrice`."""
        if currency == base or not amount:
            return amount
        way = self._way(currency, base)
        if way is None:
            raise MissingPrice(f"{currency} in {base}")
        for leg in way:
            price = self._price(leg.symbol)
            amount = amount / price if leg.inverse else amount * price
        return amount

    def _way(self, currency: str, base: str) -> tuple[Leg, ...] | None:
        key = (currency, base)
        if key not in self._ways:
            self._ways[key] = self._search(currency, base)
        return self._ways[key]

    def _search(self, currency: str, base: str) -> tuple[Leg, ...] | None:
        """Breadth first, in the order of configuration."""
        reached: dict[str, tuple[Leg, ...]] = {currency: ()}
        frontier = [currency]
        while frontier:
            further: list[str] = []
            for at in frontier:
                for leg in self._legs(at):
                    if leg.to == base:
                        return (*reached[at], leg)
                    if leg.to not in reached:
                        reached[leg.to] = (*reached[at], leg)
                        further.append(leg.to)
            frontier = further
        return None

    def _legs(self, currency: str) -> Iterator[Leg]:
        for instrument in self._instruments.values():
            if not instrument.base_currency or instrument.inverts:
                continue
            if instrument.base_currency == currency:
                yield Leg(instrument.symbol, False, instrument.currency)
            elif instrument.currency == currency:
                yield Leg(instrument.symbol, True, instrument.base_currency)
