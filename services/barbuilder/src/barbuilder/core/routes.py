"""Where a bar goes that comes in, or that has just been made: which longer bars are made of it, and whose it is.

In:   the markets, with the series that are to be built.   Out: one `Route` per series of bars, found once.
Not:  state. A route holds parts of the state and is made anew on restore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from barbuilder.core.inverses import OTHER_SIDE
from barbuilder.core.rollups import listens
from barbuilder.core.state import Market, Rollup
from barque.intervals import interval_of
from barque.messages import Bar
from barque.messages.market import PriceType

Key: TypeAlias = tuple[str, str, PriceType]
"""Symbol, interval, price."""


class Route:
    """What bars of one series lead to."""

    __slots__ = (
        "_automatic",
        "_chained",
        "_derived",
        "_from_ticks",
        "_length_ns",
        "inverse",
        "market",
        "needs_sound_bars",
        "own",
        "symbol",
    )

    def __init__(self, market: Market, key: Key, derived: bool, inverse: Route | None) -> None:
        """Raises `ValueError` where the interval is none."""
        self.symbol, interval, price = key
        length_ns = self._length_ns = interval_of(interval).interval_ns
        same_price = [rollup for rollup in market.rollups if rollup.price == price]
        self.market = market
        self.inverse = inverse
        """Where the reciprocal of the bar goes."""
        self.own = next((rollup for rollup in same_price if rollup.interval == interval), None)
        """What makes this very series of other bars, where the feed does not bring it."""
        self._derived = derived
        self._chained = chained(market, interval, price)
        self._automatic = [
            r for r in same_price if not r.source and 0 < length_ns < r.interval_ns and not r.interval_ns % length_ns
        ]
        self._from_ticks = (interval, price) in _made_of_ticks(market)
        self.needs_sound_bars = bool(self._chained or self._automatic or inverse)
        """Something is made of them besides the mark."""

    def is_echo(self, bar: Bar) -> bool:
        """It is our own, or nothing is made of it because its symbol has ticks."""
        if self._derived:
            return True
        if self.market.ticked and (self._from_ticks or not self._chained):
            return True
        return self.own is not None and bar.ts_close_ns <= self.own.done_ns

    def listeners(self) -> Sequence[Rollup]:
        """Every longer bar that is made of bars of this series."""
        found = [rollup for rollup in self._chained if not rollup.yielded]
        if self._automatic and not self.market.ticked:
            found += [rollup for rollup in self._automatic if not rollup.yielded and listens(rollup, self._length_ns)]
        return found


class Routes:
    """All of them; `inverses` are sources with their inverses."""

    def __init__(self, markets: Mapping[str, Market], inverses: Mapping[str, str]) -> None:
        self._markets, self._inverses = markets, inverses
        self._derived = frozenset(inverses.values())
        self._known: dict[Key, Route] = {}
        self.chained = {
            (symbol, rollup.source, rollup.price): chained(market, rollup.source, rollup.price)
            for symbol, market in markets.items()
            for rollup in market.rollups
            if rollup.source
        }
        """Of the series that are named as a source: what is made of them, whoever makes them."""
        self._rollups = [rollup for market in markets.values() for rollup in market.rollups]

    @property
    def lead_to_bars(self) -> bool:
        """Some bar of a feed may lead to more than a mark."""
        return bool(self._inverses or (self._rollups and not all(rollup.yielded for rollup in self._rollups)))

    def of(self, bar: Bar) -> Route | None:
        """Where `bar` goes; None: its symbol has no instrument, or its interval is none."""
        key = (bar.symbol, bar.interval, bar.price)
        route = self._known.get(key)
        if route is None:
            route = self._find(key)
            if route is not None:
                self._known[key] = route
        return route

    def _find(self, key: Key) -> Route | None:
        symbol, interval, price = key
        market = self._markets.get(symbol)
        if market is None:
            return None
        other = self._inverses.get(symbol)
        try:
            inverse = self._find((other, interval, OTHER_SIDE[price])) if other and interval_of(interval).is_time else None
            return Route(market, key, symbol in self._derived, inverse)
        except ValueError:
            return None


def chained(market: Market, interval: str, price: PriceType) -> Sequence[Rollup]:
    """What is to be made of these bars by name."""
    return [rollup for rollup in market.rollups if rollup.source == interval and rollup.price == price]


def _made_of_ticks(market: Market) -> set[tuple[str, PriceType]]:
    tapes = (market.quotes, market.trades)
    windows = {(window.interval, lane.price) for tape in tapes for window in tape.windows for lane in window.lanes}
    return windows | {(run.interval, run.price) for tape in tapes for run in tape.runs}
