"""The arithmetic of time bars: what one good tick does to the open bars of its tape.

In:   ticks as (low, high), already judged good.   Out: Bar, once per window and lane, in time order.
Not:  repairing history. A tick older than the open bar is late: counted, never applied. Other kinds (`kinds`).
"""

from __future__ import annotations

from typing import NamedTuple

from barbuilder.core.grids import Span, span_of
from barbuilder.core.state import NEVER_NS, Tape, Window
from barque.messages import Bar
from barque.messages.market import PriceType


class Tick(NamedTuple):
    """A good tick, on its way into bars."""

    ts_ns: int
    low: float
    high: float
    size: float
    root: str
    """Its id."""


class Taken(NamedTuple):
    """What became of a tick."""

    bars: list[Bar]
    """Completed by it."""
    late: bool
    """It is older than the open bar of some window."""
    outside: bool
    """It lies between the trading days of some window."""


def take(symbol: str, tape: Tape, tick: Tick, max_gap_ns: int) -> Taken:
    """Feed a tick to every window of the tape. A silence of up to `max_gap_ns` between two ticks is filled with flat bars."""
    bars: list[Bar] = []
    late = outside = False
    for window in tape.windows:
        if tick.ts_ns < window.open_ns:
            window.count_before += 1
            late = True
        elif tick.ts_ns < window.end_ns:
            amend(window, tick)
        else:
            if window.is_open:
                bars += finish(symbol, tape, window, tick.root)
            span = span_of(tick.ts_ns, window.interval_ns, window.days)
            if span is None:
                outside = True
                continue
            if window.end_ns != NEVER_NS and tick.ts_ns - tape.ts_ns <= max_gap_ns:
                bars += fill(symbol, window, span.open_ns, tick.root)
            begin(tape, window, tick, span)
    return Taken(bars, late, outside)


def value(price: PriceType, low: float, high: float) -> float:
    """The price of a lane in a tick."""
    if price == "ask":
        return high
    return (low + high) / 2 if price == "mid" else low


def finish(symbol: str, tape: Tape, window: Window, root: str) -> list[Bar]:
    """Close the open bar; `root` is the tick that did it, empty where the clock did."""
    window.is_open = False
    start_ns, window.open_ns = window.open_ns, window.end_ns
    bars = []
    for lane in window.lanes:
        lane.close = value(lane.price, tape.low, tape.high)
        bars.append(
            Bar(
                symbol=symbol,
                interval=window.interval,
                price=lane.price,
                ts_open_ns=start_ns,
                ts_close_ns=window.end_ns,
                open=lane.open,
                high=lane.high,
                low=lane.low,
                close=lane.close,
                volume=window.volume,
                tick_count=tape.count - window.count_before,
                root=root,
            )
        )
    return bars


def fill(symbol: str, window: Window, until_ns: int, root: str) -> list[Bar]:
    """Flat bars at the previous close, from the last bar's end to `until_ns`, or to the end of the trading day before it."""
    bars = []
    end_ns = window.end_ns
    while end_ns < until_ns and (span := span_of(end_ns, window.interval_ns, window.days)) is not None:
        end_ns = span.end_ns
        bars += [
            Bar(
                symbol=symbol,
                interval=window.interval,
                price=lane.price,
                ts_open_ns=span.open_ns,
                ts_close_ns=span.end_ns,
                open=lane.close,
                high=lane.close,
                low=lane.close,
                close=lane.close,
                root=root,
            )
            for lane in window.lanes
        ]
    return bars


def begin(tape: Tape, window: Window, tick: Tick, span: Span) -> None:
    """Open the bar whose bucket holds the tick."""
    window.is_open = True
    window.open_ns, window.end_ns = span
    window.first_ns = tick.ts_ns
    window.count_before = tape.count
    window.volume = tick.size
    for lane in window.lanes:
        lane.open = lane.high = lane.low = value(lane.price, tick.low, tick.high)


def amend(window: Window, tick: Tick) -> None:
    """Let a tick of the open bar raise its high, lower its low, or become its open where it is the earliest."""
    earliest = tick.ts_ns < window.first_ns
    if earliest:
        window.first_ns = tick.ts_ns
    window.volume += tick.size
    for lane in window.lanes:
        price = value(lane.price, tick.low, tick.high)
        if price > lane.high:
            lane.high = price
        elif price < lane.low:
            lane.low = price
        if earliest:
            lane.open = price
