"""The books of a run at every bar: equity of the account, of each strategy and of each symbol, in one pass over the prices.

In:   the fills of a run; blocks of market columns, each later than the one before.   Out: a `Curve` for each, rates at the
      fills.
Not:  a second portfolio. What a fill does is booked as paid and received, in full; that this gives the equity that the
      portfolio marks is an identity, and a test.

Equity at an instant: starting cash, plus for each currency (received - paid - commissions + positions at their prices) at the
rate of that instant. Fills are told by the book's clock (`BacktestRun.fill_clock_ns`): one at the open of a bar counts when
that bar closes. Sums of money are kept in Decimal; floats begin where prices enter. A curve is rounded to 12 significant
digits of the starting cash, so that what is equal does not look like a drawdown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from barque.instruments import Instrument
from barque.messages import Fill
from barque_archive.columns import Floats, Integers, MarketColumns
from barque_backtest.curves import Booleans, Curve
from barque_backtest.prices import PriceBoard

ZERO = Decimal(0)
TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capital:
    """What the accounts begin with."""

    base: str
    """Currency of every curve."""
    cash: Mapping[str, Decimal]
    """By currency."""


@dataclass(slots=True)
class _Piece:
    """What one strategy did in one symbol. Arrays have one element more than there are fills: before the first."""

    strategy_id: str
    instrument: Instrument
    clock_ns: list[int] = field(default_factory=list)
    positions: list[Decimal] = field(default_factory=lambda: [ZERO])
    money: dict[str, list[Decimal]] = field(default_factory=dict)
    """By currency: received - paid so far."""

    def book(self, fill: Fill, clock_ns: int) -> None:
        self.clock_ns.append(max(clock_ns, self.clock_ns[-1]) if self.clock_ns else clock_ns)
        self.positions.append(self.positions[-1] + fill.signed_quantity)
        currency = self.instrument.currency
        moved = {currency: -fill.signed_quantity * self.instrument.multiplier * fill.price}
        if fill.commission:
            paid_in = fill.commission_currency or currency
            moved[paid_in] = moved.get(paid_in, ZERO) - fill.commission
        for name in moved:
            if name not in self.money:
                self.money[name] = [ZERO] * (len(self.positions) - 1)
        for name, sums in self.money.items():
            sums.append(sums[-1] + moved.get(name, ZERO))


@dataclass(frozen=True, slots=True)
class _Booked:
    """A `_Piece` as arrays."""

    strategy_id: str
    instrument: Instrument
    clock_ns: Integers
    positions: Floats
    money: Mapping[str, Floats]

    def at(self, board: PriceBoard, base: str) -> tuple[Floats, Booleans]:
        """Its worth in `base` at the board's instants, and whether it held anything."""
        found = np.searchsorted(self.clock_ns, board.instants, side="right")
        position = self.positions[found]
        held = position != 0
        worth = np.zeros(len(found))
        for currency, sums in self.money.items():
            local = sums[found]
            if currency == self.instrument.currency:
                value = position * float(self.instrument.multiplier) * board.price(self.instrument.symbol)
                local = local + np.where(held, value, 0.0)
            worth = worth + _converted(local, board.rate(currency, base))
        return worth, held


class Analysis:
    """Follows a run's fills through its prices."""

    def __init__(
        self,
        fills: Sequence[Fill],
        fill_clock_ns: Sequence[int],
        instruments: Sequence[Instrument],
        capital: Capital,
        *,
        start_ns: int,
        strategies: Iterable[str],
        picture_step_ns: int,
        detail_step_ns: int | None,
    ) -> None:
        """`strategies`: those that have a curve even where they never traded. Fills of unknown symbols and corrections are
        not booked."""
        self._board = PriceBoard(instruments)
        self._capital = capital
        known = {instrument.symbol: instrument for instrument in instruments}
        booked = [(f, ns) for f, ns in zip(fills, fill_clock_ns, strict=True) if f.symbol in known and not f.corrects]
        self._pieces = _pieces(booked, known)
        start = float(capital.cash.get(capital.base, ZERO))
        self._decimals = int(np.clip(12 - math.ceil(math.log10(max(abs(start), 1.0))), 2, 10))

        def curve(detailed: bool = True) -> Curve:
            return Curve(start_ns, start, picture_step_ns, detail_step_ns if detailed else None)

        self.total = curve()
        self.strategies = {name: curve() for name in dict.fromkeys([*strategies, *(p.strategy_id for p in self._pieces)])}
        self.symbols = {symbol: curve(detailed=False) for symbol in sorted({p.instrument.symbol for p in self._pieces})}
        self._rates = {
            currency: RatesAt([f.ts_event_ns for f in fills])
            for currency in sorted({c for p in self._pieces for c in p.money} - {capital.base})
        }

    def see(self, block: Sequence[MarketColumns]) -> None:
        """Go on with later prices. Equity is not known where money cannot be converted; such points are left out."""
        board, base = self._board, self._capital.base
        board.see(block)
        if not len(board.instants):
            return
        for currency, rates in self._rates.items():
            rates.see(board.instants, board.rate(currency, base))
        curves = [*self.strategies.values(), *self.symbols.values()]
        worth = {id(curve): np.zeros(len(board.instants)) for curve in [self.total, *curves]}
        held = {key: np.zeros(len(board.instants), dtype=np.bool_) for key in worth}
        for piece in self._pieces:
            value, holds = piece.at(board, base)
            for curve in (self.total, self.strategies[piece.strategy_id], self.symbols[piece.instrument.symbol]):
                worth[id(curve)] += value
                held[id(curve)] |= holds
        for curve in curves:
            curve.add(board.instants, self._rounded(worth[id(curve)] + curve.start), held[id(curve)])
        account = worth[id(self.total)]
        for currency, amount in self._capital.cash.items():
            account += _converted(np.full(len(account), float(amount)), board.rate(currency, base))
        self.total.add(board.instants, self._rounded(account), held[id(self.total)])

    def rates(self, currency: str) -> Floats | float:
        """What one unit of `currency` was worth in the base currency at each fill; NaN where it was not known."""
        return 1.0 if currency == self._capital.base else self._rates[currency].values

    def _rounded(self, equity: Floats) -> Floats:
        return np.round(equity, self._decimals)


class RatesAt:
    """A rate at given times, from block to block: the latest known then; before the first one, the first."""

    def __init__(self, times_ns: Sequence[int]) -> None:
        self._times = np.array(times_ns, dtype=np.int64)
        self._seen_ns = -(2**63)
        self._first = np.nan
        self._known: Floats = np.full(len(self._times), np.nan)

    @property
    def values(self) -> Floats:
        """float64, one per time; NaN where there never was a rate."""
        return np.where(np.isnan(self._known), self._first, self._known)

    def see(self, instants: Integers, rate: Floats | float) -> None:
        """Go on: later times keep the newest rate until they are passed."""
        rates = np.broadcast_to(rate, len(instants))
        later = np.flatnonzero(self._times >= self._seen_ns)
        found = np.searchsorted(instants, self._times[later], side="right")
        self._known[later[found > 0]] = rates[found[found > 0] - 1]
        self._seen_ns = int(instants[-1])
        if np.isnan(self._first) and not np.isnan(rates).all():
            self._first = float(rates[~np.isnan(rates)][0])


def _pieces(booked: Iterable[tuple[Fill, int]], instruments: Mapping[str, Instrument]) -> list[_Booked]:
    pieces: dict[tuple[str, str], _Piece] = {}
    for fill, clock_ns in booked:
        key = fill.strategy_id, fill.symbol
        piece = pieces.get(key)
        if piece is None:
            piece = pieces[key] = _Piece(fill.strategy_id, instruments[fill.symbol])
        piece.book(fill, clock_ns)
    return [
        _Booked(
            piece.strategy_id,
            piece.instrument,
            np.array(piece.clock_ns, dtype=np.int64),
            _floats(piece.positions),
            {currency: _floats(sums) for currency, sums in piece.money.items()},
        )
        for piece in pieces.values()
    ]


def _floats(amounts: Sequence[Decimal]) -> Floats:
    return np.array([float(amount) for amount in amounts])


def _converted(amount: Floats, rate: Floats | float) -> Floats:
    """`amount` at `rate`; nothing is worth nothing, whatever the rate."""
    if isinstance(rate, float) and rate == 1.0:
        return amount
    return np.where(amount == 0, 0.0, amount * rate)
