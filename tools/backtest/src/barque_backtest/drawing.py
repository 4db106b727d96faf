"""What a report draws, as JSON for `assets/report.js`.

In:   a `Result`.   Out: one object: curves, candles, trades, as columns.
Not:  pictures.

Candles travel as small integers: steps of time since the last one, and open, high, low, close as differences in quanta of price.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from barque_backtest.analysis import TOTAL
from barque_backtest.candles import Candles
from barque_backtest.curves import SECOND_NS, Curve
from barque_backtest.results import Picture, Result
from barque_backtest.trades import RoundTrip

MOST_TRADES = 20_000
"""Shown, the largest by profit or loss where there were more."""
_MS = 1_000_000


def shown_trades(trips: Sequence[RoundTrip]) -> list[RoundTrip]:
    """All round trips, or the largest `MOST_TRADES` of them in their order."""
    if len(trips) <= MOST_TRADES:
        return list(trips)
    largest = sorted(range(len(trips)), key=lambda i: (-abs(trips[i].net_base or 0.0), i))[:MOST_TRADES]
    return [trips[i] for i in sorted(largest)]


def data_of(result: Result, shown: Sequence[RoundTrip]) -> dict[str, Any]:
    """Everything that the page draws; `shown`: the trades of its table."""
    run, facts = result.run, result.run.facts
    symbols = [picture.symbol for picture in result.pictures]
    symbols += sorted({trip.symbol for trip in shown} - set(symbols))
    strategies = sorted({trip.strategy_id for trip in shown})
    places = {i.symbol: _places(i.tick_size) for i in run.instruments}
    money = 2 if max(abs(result.total.start_equity), abs(result.total.net_profit or 0)) >= 100 else 6
    ticks = {i.symbol: i.tick_size for i in run.instruments}
    return {
        "start": facts.first_ns / _MS,
        "end": max(facts.last_ns, facts.first_ns + SECOND_NS) / _MS,
        "currency": result.currency,
        "places": money,
        "symbols": symbols,
        "strategies": strategies,
        "pricePlaces": [places.get(symbol, 5) for symbol in symbols],
        "curves": [_curve("account" if name == TOTAL else name, curve, money) for name, curve in result.curves.items()],
        "pictures": [_picture(i, picture, ticks[picture.symbol]) for i, picture in enumerate(result.pictures)],
        "trades": _trades(shown, strategies, symbols),
    }


def _curve(name: str, curve: Curve, money: int) -> dict[str, Any]:
    rows = curve.picture
    return {
        "name": name,
        "t": (rows.ts_ns // _MS).tolist(),
        "v": np.round(rows.equity, money).tolist(),
        "d": np.round(rows.underwater, 6).tolist(),
    }


def _picture(index: int, picture: Picture, tick: Decimal) -> dict[str, Any]:
    quantum = tick / 10 if picture.price == "mid" else tick
    nearer = len(picture.near) > len(picture.far)
    return {
        "symbol": index,
        "price": picture.price,
        "places": _places(quantum),
        "farInterval": picture.far_interval,
        "nearInterval": picture.near_interval,
        "far": pack_candles(picture.far, float(quantum)),
        "near": pack_candles(picture.near, float(quantum)) if nearer else None,
    }


def pack_candles(candles: Candles, quantum: float) -> dict[str, Any]:
    """Candles as whole numbers, five a row: steps since the last, open since the last close; high, low and close since the
    open, the low downwards."""
    if not len(candles):
        return {"start": 0, "step": 1, "quantum": quantum, "rows": []}
    times = candles.ts_ns // _MS
    moves = np.diff(times, prepend=times[0])
    step = max(1, int(np.gcd.reduce(moves)))
    opened, high, low, closed = (
        np.rint(column / quantum).astype(np.int64) for column in (candles.open, candles.high, candles.low, candles.close)
    )
    before = np.concatenate(([0], closed[:-1]))
    rows = np.stack((moves // step, opened - before, high - opened, opened - low, closed - opened), axis=1)
    return {"start": int(times[0]), "step": step, "quantum": quantum, "rows": rows.ravel().tolist()}


def _trades(trips: Sequence[RoundTrip], strategies: Sequence[str], symbols: Sequence[str]) -> dict[str, list[Any]]:
    strategy = {name: index for index, name in enumerate(strategies)}
    symbol = {name: index for index, name in enumerate(symbols)}
    return {
        "strategy": [strategy[t.strategy_id] for t in trips],
        "symbol": [symbol[t.symbol] for t in trips],
        "long": [t.direction == "long" for t in trips],
        "entry": [t.entry_ns // _MS for t in trips],
        "exit": [None if t.exit_ns is None else t.exit_ns // _MS for t in trips],
        "quantity": [_short(t.quantity) for t in trips],
        "entryPrice": [float(t.entry_price) for t in trips],
        "exitPrice": [None if t.exit_price is None else float(t.exit_price) for t in trips],
        "net": [_cents(t.net_base) for t in trips],
        "worst": [_cents(t.worst_pnl, t.rate) for t in trips],
        "best": [_cents(t.best_pnl, t.rate) for t in trips],
        "reason": [t.tag or t.reason for t in trips],
    }


def _short(quantity: Decimal) -> float | int:
    return int(quantity) if quantity == quantity.to_integral_value() else float(quantity)


def _cents(amount: float | None, rate: float | None = 1.0) -> float | None:
    return None if amount is None or rate is None else round(amount * rate, 6)


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 5
