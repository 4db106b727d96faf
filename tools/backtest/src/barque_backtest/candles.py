"""Candles for a chart: as many as a screen can use, of however many bars there were. And how far trades went meanwhile.

In:   blocks of market columns, each later than the one before.   Out: `Candles` per symbol; excursions of round trips.
Not:  bars to trade on; those are barbuilder's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from barque.instruments import Instrument
from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, QuoteColumns
from barque_backtest.curves import bucket_of, bucket_open
from barque_backtest.trades import RoundTrip

_CHART_SIDES = ("last", "mid", "bid", "ask")
"""Which price is drawn, where a symbol has several."""
_EXIT_SIDES = {"long": ("bid", "last", "mid", "ask"), "short": ("ask", "last", "mid", "bid")}
"""At which price a position could have been left."""
_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Candles:
    """Columns of equal length, oldest first; times are opens."""

    ts_ns: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats

    def __len__(self) -> int:
        return len(self.ts_ns)


class CandleChart:
    """Resamples every series that it sees to one interval."""

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self._parts: dict[tuple[str, str, str], list[Candles]] = {}

    def see(self, block: Sequence[MarketColumns]) -> None:
        """Go on with later prices."""
        for columns in block:
            interval, side, candles = _as_candles(columns)
            if len(candles):
                self._parts.setdefault((columns.symbol, side, interval), []).append(_resampled(candles, self.step_ns))

    def candles(self) -> dict[str, tuple[str, Candles]]:
        """By symbol: which price it is, and its candles. Of several series of one price the one with the most candles."""
        found: dict[str, tuple[str, Candles]] = {}
        for symbol in sorted({symbol for symbol, _, _ in self._parts}):
            side = next(s for s in _CHART_SIDES if any(key[:2] == (symbol, s) for key in self._parts))
            choices = [
                _resampled(_joined(self._parts[key]), self.step_ns) for key in sorted(self._parts) if key[:2] == (symbol, side)
            ]
            found[symbol] = side, max(choices, key=len)
        return found


class Excursions:
    """The worst and the best that each round trip could have been left at, bar by bar.

    Bars count that lie wholly between the first and the last fill, of the side at which the position could have been left,
    and the exit itself. Money is for the whole quantity at the average entry price.
    """

    def __init__(self, trips: Sequence[RoundTrip], instruments: Mapping[str, Instrument]) -> None:
        self._trips = trips
        self._instruments = instruments
        self._entries = np.array([trip.entry_ns for trip in trips], dtype=np.int64)
        self._exits = np.array([2**62 if trip.exit_ns is None else trip.exit_ns for trip in trips], dtype=np.int64)
        self._lowest = np.full(len(trips), _INFINITE)
        self._highest = np.full(len(trips), -_INFINITE)
        kinds: dict[tuple[str, str, str], list[int]] = {}
        for index, trip in enumerate(trips):
            kinds.setdefault((trip.strategy_id, trip.symbol, trip.direction), []).append(index)
        self._groups = [(symbol, direction, np.array(indices)) for (_, symbol, direction), indices in kinds.items()]
        self._sides: dict[str, set[str]] = {}

    def see(self, block: Sequence[MarketColumns]) -> None:
        """Go on with later bars."""
        bars = [columns for columns in block if isinstance(columns, BarColumns) and len(columns)]
        for columns in bars:
            self._sides.setdefault(columns.symbol, set()).add(columns.price)
        for symbol, direction, indices in self._groups:
            side = next((s for s in _EXIT_SIDES[direction] if s in self._sides.get(symbol, ())), None)
            for columns in bars:
                if columns.symbol == symbol and columns.price == side:
                    self._widen(columns, indices)

    def of(self, place: int) -> tuple[float | None, float | None]:
        """Worst and best profit of the round trip at `place`; None where it is open and its symbol has no price."""
        trip = self._trips[place]
        if trip.exit_price is None:
            return None, None
        entry, end = float(trip.entry_price), float(trip.exit_price)
        down = min(float(self._lowest[place]), end, entry) - entry
        up = max(float(self._highest[place]), end, entry) - entry
        size = float(trip.quantity * self._instruments[trip.symbol].multiplier)
        worst, best = (down, up) if trip.direction == "long" else (-up, -down)
        return round(worst * size, 8) + 0.0, round(best * size, 8) + 0.0

    def _widen(self, bars: BarColumns, indices: Integers) -> None:
        first = np.searchsorted(bars.ts_open_ns, self._entries[indices], side="left")
        last = np.searchsorted(bars.ts_close_ns, self._exits[indices], side="right")
        some = last > first
        if not some.any():
            return
        edges = np.stack((first[some], last[some]), axis=1).ravel()
        which = indices[some]
        lows = np.fmin.reduceat(np.append(bars.low, _INFINITE), edges)[::2]
        highs = np.fmax.reduceat(np.append(bars.high, -_INFINITE), edges)[::2]
        self._lowest[which] = np.minimum(self._lowest[which], lows)
        self._highest[which] = np.maximum(self._highest[which], highs)


def _as_candles(columns: MarketColumns) -> tuple[str, str, Candles]:
    if isinstance(columns, BarColumns):
        candles = Candles(columns.ts_open_ns, columns.open, columns.high, columns.low, columns.close)
        return columns.interval, columns.price, candles
    side, prices = ("bid", columns.bid) if isinstance(columns, QuoteColumns) else ("last", columns.price)
    return "", side, Candles(columns.ts_event_ns, prices, prices, prices, prices)


def _resampled(candles: Candles, step_ns: int) -> Candles:
    bucket = bucket_of(candles.ts_ns, step_ns)
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    last = np.append(first[1:], len(bucket)) - 1
    return Candles(
        bucket_open(bucket[first], step_ns),
        candles.open[first],
        np.fmax.reduceat(candles.high, first),
        np.fmin.reduceat(candles.low, first),
        candles.close[last],
    )


def _joined(parts: Sequence[Candles]) -> Candles:
    return Candles(*(np.concatenate([getattr(part, name) for part in parts]) for name in Candles.__slots__))
