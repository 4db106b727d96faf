"""A seeded market of several symbols, for demos and tests.

In:   a seed, first prices, and the time to advance to.   Out: quotes up to that time, oldest first.
Not:  a clock, and not a claim about real markets. However the calls are cut, the quotes are the same.

Each symbol walks on its own, from its own random numbers: waiting times are exponential, the mid is a random walk whose
volatility comes in clusters, the spread returns to its mean and widens with volatility. Prices lie on the tick grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heapreplace
from math import exp, sqrt

import msgspec

from barque.instruments import Instrument
from barque.messages import Quote
from simulators.market.chance import Chance, seeded

NS_PER_S = 10**9
MAX_QUOTES = 100_000
"""Of one `advance`; what is left comes with the next."""

VOLATILITY_PER_SQRT_S = 2.5e-5
"""Of the mid, as a fraction, in a calm market: 0.7 % a day."""
CLUSTER_MEMORY = 0.98
"""How much of the log volatility a quote inherits from the one before."""
CLUSTER_NOISE = 0.12
SPREAD_FRACTION = 8e-5
"""Mean spread, as a fraction of the mid; at least one tick."""
SPREAD_RETURN = 0.15
"""How much of its distance to the mean the spread loses with a quote."""
SPREAD_NOISE = 0.12
"""Of the mean spread."""
SIZES = 10
"""Bid and ask sizes are 1 to 10 contracts."""


class _Walk(msgspec.Struct, array_like=True):
    """One symbol's state."""

    chance: Chance
    mid: float
    next_ns: int
    """Time of its next quote."""
    wait_ns: int
    """Between its last quote and its next."""
    spread: float = 0.0
    log_volatility: float = 0.0


class Market:
    """Quotes of all symbols in time order; of one nanosecond, in the order of `first_prices`."""

    def __init__(
        self,
        seed: int,
        ticks_per_s: float | Mapping[str, float],
        first_prices: Mapping[str, float],
        instruments: Mapping[str, Instrument],
        start_ns: int,
    ) -> None:
        """`ticks_per_s`: mean number of quotes, of every symbol or by symbol; `first_prices`: mids to begin at."""
        self._symbols = tuple(first_prices)
        self._ticks = tuple(instruments[symbol].tick_size for symbol in self._symbols)
        rates = [ticks_per_s if isinstance(ticks_per_s, int | float) else ticks_per_s[s] for s in self._symbols]
        for symbol, tick, rate in zip(self._symbols, self._ticks, rates, strict=True):
            if first_prices[symbol] < tick or rate <= 0:
                raise ValueError(f"{symbol}: its first price must be at least a tick, its ticks_per_s positive")
        self._mean_wait_ns = tuple(NS_PER_S / rate for rate in rates)
        walks = [_Walk(seeded(seed, symbol), float(first_prices[symbol]), start_ns, 0) for symbol in self._symbols]
        for walk, mean_ns in zip(walks, self._mean_wait_ns, strict=True):
            _wait(walk, mean_ns)
        self._begin(walks)

    def advance(self, now_ns: int) -> list[Quote]:
        """The quotes since the last call up to `now_ns`, inclusive, at most `MAX_QUOTES` of them."""
        quotes: list[Quote] = []
        while self._queue and self._queue[0][0] <= now_ns and len(quotes) < MAX_QUOTES:
            index = self._queue[0][1]
            quotes.append(self._quote(index))
            heapreplace(self._queue, (self._walks[index].next_ns, index))
        return quotes

    def snapshot(self) -> bytes:
        """The whole state, a few dozen bytes per symbol."""
        return msgspec.msgpack.encode(self._walks)

    def restore(self, blob: bytes) -> None:
        """Go on from where a market of the same symbols was."""
        walks = msgspec.msgpack.decode(blob, type=list[_Walk])
        if len(walks) != len(self._symbols):
            raise ValueError(f"a snapshot of {len(walks)} symbols, {len(self._symbols)} expected")
        self._begin(walks)

    def _begin(self, walks: list[_Walk]) -> None:
        self._walks = walks
        self._queue = [(walk.next_ns, index) for index, walk in enumerate(walks)]
        heapify(self._queue)

    def _quote(self, index: int) -> Quote:
        walk, tick = self._walks[index], self._ticks[index]
        _move(walk, float(tick))
        bid = max(1, round((walk.mid - walk.spread / 2) / float(tick)))
        ask = max(bid + 1, round((walk.mid + walk.spread / 2) / float(tick)))
        quote = Quote(
            symbol=self._symbols[index],
            ts_event_ns=walk.next_ns,
            ts_recv_ns=walk.next_ns,
            bid=float(bid * tick),
            ask=float(ask * tick),
            bid_size=float(1 + int(SIZES * walk.chance.uniform())),
            ask_size=float(1 + int(SIZES * walk.chance.uniform())),
        )
        _wait(walk, self._mean_wait_ns[index])
        return quote


def _wait(walk: _Walk, mean_ns: float) -> None:
    walk.wait_ns = max(1, round(mean_ns * walk.chance.exponential()))
    walk.next_ns += walk.wait_ns


def _move(walk: _Walk, tick: float) -> None:
    """Volatility, mid and spread after the wait that led to this quote."""
    chance = walk.chance
    walk.log_volatility = CLUSTER_MEMORY * walk.log_volatility + CLUSTER_NOISE * chance.normal()
    deviation = VOLATILITY_PER_SQRT_S * exp(walk.log_volatility) * sqrt(walk.wait_ns / NS_PER_S)
    walk.mid = max(tick, walk.mid * exp(deviation * chance.normal()))
    mean = max(tick, SPREAD_FRACTION * walk.mid) * exp(walk.log_volatility / 2)
    if not walk.spread:
        walk.spread = mean
    pull = SPREAD_RETURN * (mean - walk.spread)
    walk.spread = max(tick, walk.spread + pull + SPREAD_NOISE * mean * chance.normal())
