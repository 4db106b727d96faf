"""Whether an order trades over a bar, at what price and when. Pure arithmetic.

In:   an order at work and a bar (a tick is its `tick:1` bar).   Out: `Match` or None; how a trailing stop has followed.
Not:  how much of the order trades, slippage and commission: they come after.

Sells are computed as buys at negated prices, so each rule is written once: `best` is then the bar's lowest price and
`worst` its highest. A bar's open comes before everything inside it. What happened inside in which order is unknown, so we
take the worse: a stop before a limit (`Turn`), a stop_limit whose limit lies beyond its stop waits for the next bar, and a
trailing stop is pulled along by the bar's best price before the worst one comes.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

import msgspec

from barque.messages import Bar
from barque_paper.costs import Costs
from barque_paper.state import WorkingOrder

_INFINITY = float("inf")


class Turn(IntEnum):
    """Who trades first inside one bar."""

    OPEN = 0
    STOP = 1
    LIMIT = 2


_OPEN = Turn.OPEN


class Match(msgspec.Struct, frozen=True, gc=False):
    """A trade at `price`; or, with None, only the touching of a stop_limit's stop."""

    price: Decimal | None
    ts_ns: int
    turn: Turn


class Prices(NamedTuple):
    """What a bar offers an order, in the terms of a buy: sells have every price negated."""

    sign: int
    opened: Decimal
    best: Decimal
    worst: Decimal


def match(working: WorkingOrder, bar: Bar, costs: Costs) -> Match | None:
    """How `working`, which may trade, meets `bar`.

    A fill at the open happens at `ts_open_ns`; one inside is known, and so happens, at `ts_close_ns`.
    """
    kind = working.kind
    if kind == "market":
        return Match(costs.price(working.order.side, bar, bar.open), bar.ts_open_ns, _OPEN)
    prices = _prices(working, bar, costs)
    if kind == "limit":
        return _limit(working, prices, bar)
    if kind == "stop_limit":
        return _stop_limit(working, prices, bar)
    return _trailing(working, prices, bar, costs) if kind == "trailing_stop" else _stop(working, prices, bar)


def calm(working: WorkingOrder, costs: Costs) -> tuple[float, float] | None:
    """A bar above the first and below the second price cannot touch a resting order, whatever the rounding and the spread;
    None: there is no such range."""
    order, kind = working.order, working.kind
    if kind in ("market", "trailing_stop"):
        return None
    level = order.limit_price if kind == "limit" else order.stop_price
    below = (order.side == "buy") == (kind == "limit")
    price, margin = float(level or 0), costs.margin
    return (price + margin, _INFINITY) if below else (-_INFINITY, price - margin)


def followed(working: WorkingOrder, bar: Bar, costs: Costs) -> Decimal:
    """The best price that a trailing stop has seen once `bar` is over."""
    prices = _prices(working, bar, costs)
    best = prices.best if working.best is None else min(prices.best, prices.sign * working.best)
    return prices.sign * best


def remainder(bar: Bar, working: WorkingOrder, costs: Costs) -> Bar:
    """What is left of a bar for an order whose parent filled inside it at `entry_price`: from there only the worse way,
    because nobody knows what came before the entry and what after."""
    entry = float(costs.recorded("buy" if working.order.side == "sell" else "sell", bar, working.entry_price or Decimal(0)))
    start = min(max(entry, bar.low), bar.high)
    low, high = (bar.low, start) if working.order.side == "sell" else (start, bar.high)
    return Bar(
        symbol=bar.symbol,
        interval=bar.interval,
        price=bar.price,
        ts_open_ns=bar.ts_close_ns,
        ts_close_ns=bar.ts_close_ns,
        open=start,
        high=high,
        low=low,
        close=bar.close,
        volume=bar.volume,
    )


def _prices(working: WorkingOrder, bar: Bar, costs: Costs) -> Prices:
    order = working.order
    sign = 1 if order.side == "buy" else -1
    opened = sign * costs.price(order.side, bar, bar.open)
    if order.valid_until_ns is not None and order.valid_until_ns < bar.ts_close_ns - 1:
        return Prices(sign, opened, opened, opened)
    low, high = sign * costs.price(order.side, bar, bar.low), sign * costs.price(order.side, bar, bar.high)
    return Prices(sign, opened, min(low, high), max(low, high))


def _at_open(prices: Prices, bar: Bar) -> Match:
    return Match(prices.sign * prices.opened, bar.ts_open_ns, _OPEN)


def _inside(price: Decimal, turn: Turn, prices: Prices, bar: Bar) -> Match:
    return Match(prices.sign * price, bar.ts_close_ns, turn)


def _limit(working: WorkingOrder, prices: Prices, bar: Bar) -> Match | None:
    limit = prices.sign * (working.order.limit_price or Decimal(0))
    if prices.opened <= limit:
        return _at_open(prices, bar)
    return _inside(limit, Turn.LIMIT, prices, bar) if prices.best <= limit else None


def _stop(working: WorkingOrder, prices: Prices, bar: Bar) -> Match | None:
    stop = prices.sign * (working.order.stop_price or Decimal(0))
    if prices.opened >= stop:
        return _at_open(prices, bar)
    return _inside(stop, Turn.STOP, prices, bar) if prices.worst >= stop else None


def _stop_limit(working: WorkingOrder, prices: Prices, bar: Bar) -> Match | None:
    order = working.order
    stop, limit = prices.sign * (order.stop_price or Decimal(0)), prices.sign * (order.limit_price or Decimal(0))
    touched = Match(None, bar.ts_close_ns, Turn.STOP)
    if prices.opened >= stop:
        return _limit(working, prices, bar) or touched
    if prices.worst < stop:
        return None
    return _inside(stop, Turn.STOP, prices, bar) if stop <= limit else touched


def _trailing(working: WorkingOrder, prices: Prices, bar: Bar, costs: Costs) -> Match | None:
    """The stop in force comes first, then where the open pulls it, then where the best price pulls it."""
    order, sign = working.order, prices.sign
    trail = order.trail_amount or Decimal(0)
    fixed = None if order.stop_price is None else sign * order.stop_price
    best = None if working.best is None else sign * working.best

    def stop_at(seen: Decimal) -> Decimal:
        pulled = costs.instrument.price(seen + trail)
        return pulled if fixed is None else min(fixed, pulled)

    in_force = fixed if best is None else stop_at(best)
    if in_force is not None and prices.opened >= in_force:
        return _at_open(prices, bar)
    for seen in (prices.opened, prices.best):
        best = seen if best is None else min(best, seen)
        stop = stop_at(best)
        if prices.worst >= stop:
            return _inside(stop, Turn.STOP, prices, bar)
    return None
