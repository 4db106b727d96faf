"""A symbol's first tick, where its feed brought bars until then (history first, for instance): ticks take over.

In:   the market just before and just after it hears that tick.   Out: the bars that end with the change.
Not:  a change back. Of a symbol that has had a tick, only bars that are named as a source count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barbuilder.core import rollups
from barbuilder.core.bars import Tick
from barbuilder.core.state import Lane, Market, Rollup, Window
from barque.messages import Bar


def is_due(market: Market) -> bool:
    """Bars were made of bars, and ticks have not taken over yet."""
    return any(rollup.part is not None or rollup.done_ns for rollup in market.rollups if not rollup.source)


def close(symbol: str, market: Market, tick: Tick) -> Sequence[Bar]:
    """Before the tick: bars made of bars that have ended by then. A tick that lies in one of them is late from now on."""
    done = []
    for rollup in market.rollups:
        if not rollup.source and rollup.part is not None and rollup.part.end_ns <= tick.ts_ns:
            done.append(rollups.finish(symbol, rollup, rollup.part, tick.root))
    for rollup, window, _ in _pairs(market):
        if not window.is_open:
            window.open_ns = max(window.open_ns, rollup.done_ns)
        rollup.done_ns = 0
    return done


def carry_over(market: Market) -> None:
    """After the tick: what bars told of the bucket that it lies in, becomes part of the window's bar."""
    for rollup, window, lane in _pairs(market):
        part = rollup.part
        if part is None or not window.is_open or window.open_ns != part.open_ns:
            continue
        rollup.part = None
        lane.open, lane.high, lane.low = part.open, max(lane.high, part.high), min(lane.low, part.low)
        window.first_ns = part.open_ns
        if lane is window.lanes[0]:
            window.count_before -= part.tick_count
        if lane.price == "last":
            window.volume += part.volume


def _pairs(market: Market) -> Iterator[tuple[Rollup, Window, Lane]]:
    """Every series that is made of ticks or, where there are none, of bars: both makers."""
    for rollup in market.rollups:
        if not rollup.source:
            for tape in (market.quotes, market.trades):
                for window in tape.windows:
                    for lane in window.lanes:
                        if (window.interval, lane.price) == (rollup.interval, rollup.price):
                            yield rollup, window, lane
