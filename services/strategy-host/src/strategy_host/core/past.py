"""Which bars of the past a new strategy is shown, and in which order.

In:   bars that a host has found, in any order, some perhaps twice; what the strategy asks for.   Out: its warm-up.
Not:  where they come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import get_args

from barque.messages import Bar
from barque.messages.market import PriceType
from barque.strategy import WarmUp

MOST_BARS = 100_000
"""Of one series; a longer past is cut at its old end."""
DAY_NS = 86_400 * 10**9
_PRICES = {price: place for place, price in enumerate(get_args(PriceType))}


def warm_up_bars(
    found: Iterable[Bar], wanted: WarmUp, symbols: Collection[str], intervals: Collection[str], before_ns: int
) -> list[Bar]:
    """What of `found` makes the warm-up of a strategy whose first message is of `before_ns`.

    In order of time; of bars that close at once the shorter first, then by symbol and interval as the strategy names them, then
    by price type and number. The same bars give the same order, however they were found.
    """
    by_series: dict[tuple[str, str, str], dict[tuple[int, int], Bar]] = {}
    for bar in found:
        if bar.symbol in symbols and bar.interval in intervals and bar.ts_close_ns >= earliest_ns(wanted, before_ns):
            by_series.setdefault((bar.symbol, bar.interval, bar.price), {})[bar.ts_open_ns, bar.seq] = bar
    most = wanted.bars or MOST_BARS
    kept = [series[key] for series in by_series.values() for key in sorted(series)[-most:]]
    symbol_places = {symbol: place for place, symbol in enumerate(symbols)}
    interval_places = {interval: place for place, interval in enumerate(intervals)}
    return sorted(
        kept,
        key=lambda bar: (
            bar.ts_close_ns,
            -bar.ts_open_ns,
            symbol_places[bar.symbol],
            interval_places[bar.interval],
            _PRICES[bar.price],
            bar.seq,
        ),
    )


def earliest_ns(wanted: WarmUp, before_ns: int) -> int:
    """When the first bar of the warm-up may close."""
    return before_ns - round(wanted.days * DAY_NS) if wanted.days else 0
