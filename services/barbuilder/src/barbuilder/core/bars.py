"""The arithmetic of bars: what one good tick does to the open bars of its tape.

In:   ticks as (low, high), already judged good.   Out: Bar, once per window and lane, in time order.
Not:  repairing history. A tick older than the open bar is late: counted, never applied.
"""

from __future__ import annotations

from typing import NamedTuple

from barbuilder.core.state import NEVER_NS, Tape, Window
from barque.intervals import bucket_open
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


def take(symbol: str, tape: Tape, tick: Tick, max_gap_ns: int) -> tuple[list[Bar], bool]:
    """Feed a tick to every window of the tape: the bars it completed, and whether it came late for any of them.

    A silence of up to `max_gap_ns` between two ticks is filled with flat bars.
    """
    bars: list[Bar] = []
    late = False
    for window in tape.windows:
        if tick.ts_ns < window.open_ns:
            window.count_before += 1
            late = True
        elif tick.ts_ns < window.end_ns:
            amend(window, tick)
        else:
            if window.is_open:
                bars += finish(symbol, tape, window, tick.root)
            if window.end_ns != NEVER_NS and tick.ts_ns - tape.ts_ns <= max_gap_ns:
                bars += fill(symbol, window, tick.ts_ns, tick.root)
            begin(tape, window, tick)
    tape.count += 1
    if tick.ts_ns >= tape.ts_ns:
        tape.ts_ns, tape.low, tape.high = tick.ts_ns, tick.low, tick.high
    return bars, late


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
    """Flat bars at the previous close, from the last bar's end to the bucket that holds `until_ns`."""
    return [
        Bar(
            symbol=symbol,
            interval=window.interval,
            price=lane.price,
            ts_open_ns=start_ns,
            ts_close_ns=start_ns + window.interval_ns,
            open=lane.close,
            high=lane.close,
            low=lane.close,
            close=lane.close,
            root=root,
        )
        for start_ns in range(window.end_ns, bucket_open(until_ns, window.interval_ns), window.interval_ns)
        for lane in window.lanes
    ]


def begin(tape: Tape, window: Window, tick: Tick) -> None:
    """Open the bar whose bucket holds the tick."""
    window.is_open = True
    window.open_ns = bucket_open(tick.ts_ns, window.interval_ns)
    window.end_ns = window.open_ns + window.interval_ns
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
