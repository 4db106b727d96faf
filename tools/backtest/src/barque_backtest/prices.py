"""Prices of every symbol at every instant, and the rates between currencies: from columns, whole blocks at a time.

In:   blocks of market columns, each later than the one before.   Out: float64[n] per symbol at the block's n instants.
Not:  judgement of the data: a price that is not positive and finite counts as not there, nothing else is filtered.

The rules are those by which the portfolio values: the middle of bid and ask where both are known, else whatever is known; on
the instrument's grid, half to even; the latest price stays until the next one. So is the conversion: by the first instrument
that is the pair itself, or its inverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from barque.instruments import Instrument
from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, QuoteColumns

SIDES = ("bid", "ask", "last")


class PriceBoard:
    """The latest prices of the instruments, from block to block."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._latest: dict[tuple[str, str], float] = {}
        self._now: dict[str, Floats] = {}
        self.instants: Integers = np.empty(0, dtype=np.int64)

    def see(self, block: Sequence[MarketColumns]) -> None:
        """Move on to the instants at which `block` has a price: bars' closes, quotes, trades."""
        sides = [row for columns in block if columns.symbol in self._instruments for row in _sides_of(columns)]
        self.instants = _each_once([ts for _, ts, _ in sides])
        known: dict[tuple[str, str], Floats] = {}
        for key in sorted({key for key, _, _ in sides} | set(self._latest)):
            parts = [(ts, prices) for k, ts, prices in sides if k == key]
            known[key] = _forward(self.instants, parts, self._latest.get(key, np.nan))
            if len(self.instants):
                self._latest[key] = float(known[key][-1])
        self._now = {symbol: self._value(symbol, known) for symbol in sorted({symbol for symbol, _ in known})}

    def price(self, symbol: str) -> Floats:
        """What a position in `symbol` is valued at, float64[n]; NaN before its first price."""
        found = self._now.get(symbol)
        return np.full(len(self.instants), np.nan) if found is None else found

    def rate(self, currency: str, base: str) -> Floats | float:
        """What one unit of `currency` is worth in `base`; NaN where it is not known."""
        if currency == base:
            return 1.0
        for instrument in self._instruments.values():
            pair = (instrument.base_currency, instrument.currency)
            if pair == (currency, base):
                return self.price(instrument.symbol)
            if pair == (base, currency):
                return 1.0 / self.price(instrument.symbol)
        return np.nan

    def _value(self, symbol: str, known: Mapping[tuple[str, str], Floats]) -> Floats:
        nothing = np.full(len(self.instants), np.nan)
        bid, ask, last = (known.get((symbol, side), nothing) for side in SIDES)
        value = (bid + ask) / 2
        for other in (last, bid, ask):
            value = np.where(np.isnan(value), other, value)
        return on_grid(value, self._instruments[symbol].tick_size)


def on_grid(values: Floats, tick_size: Decimal) -> Floats:
    """`values` on the price grid, half to even, each equal to `float(instrument.price(value))`; NaN stays NaN.

    Exact below 2**53 tenths of the last decimal: a half is compared as the double nearest to the decimal half, which is what the
    shortest decimal of a double is compared with in `Instrument.price`.
    """
    _, digits, exponent = tick_size.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"tick size {tick_size} is not a number")
    tick = int("".join(map(str, digits)))
    tick, places = (tick * 10**exponent, 0) if exponent > 0 else (tick, -exponent)
    tenths = 10.0 ** (places + 1)
    below = np.floor(values * (tenths / 10 / tick))
    half = (2 * below + 1) * (5 * tick) / tenths
    odd = np.mod(below, 2)
    steps = below + np.where(values == half, odd, values > half)
    return steps * tick / 10.0**places


def _each_once(times: Sequence[Integers]) -> Integers:
    """All times in order, each once."""
    if not times:
        return np.empty(0, dtype=np.int64)
    joined = times[0] if len(times) == 1 else np.sort(np.concatenate(times), kind="stable")
    found: Integers = joined[np.diff(joined, prepend=joined[:1] - 1) != 0]
    return found


def _sides_of(columns: MarketColumns) -> list[tuple[tuple[str, str], Integers, Floats]]:
    symbol = columns.symbol
    if isinstance(columns, BarColumns):
        sides = ("bid", "ask") if columns.price == "mid" else (columns.price,)
        rows = [(side, columns.ts_close_ns, columns.close) for side in sides]
    elif isinstance(columns, QuoteColumns):
        rows = [("bid", columns.ts_event_ns, columns.bid), ("ask", columns.ts_event_ns, columns.ask)]
    else:
        rows = [("last", columns.ts_event_ns, columns.price)]
    return [((symbol, side), ts[good], prices[good]) for side, ts, prices in rows for good in [_good(prices)]]


def _good(prices: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.isfinite(prices) & (prices > 0)


def _forward(instants: Integers, parts: Sequence[tuple[Integers, Floats]], latest: float) -> Floats:
    """The latest price at each instant; of several at one instant the last given."""
    if not parts:
        return np.full(len(instants), latest)
    ts = np.concatenate([times for times, _ in parts])
    prices = np.concatenate([values for _, values in parts])
    if len(parts) > 1:
        order = np.argsort(ts, kind="stable")
        ts, prices = ts[order], prices[order]
    found = np.searchsorted(ts, instants, side="right")
    return np.where(found > 0, np.concatenate(([latest], prices))[found], latest)
