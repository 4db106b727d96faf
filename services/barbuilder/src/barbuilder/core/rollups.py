"""The arithmetic of bars made of shorter bars.

In:   bars of one series in time order, each wholly inside or outside of a bucket.   Out: Bar, once per bucket that has any.
Not:  repairing history: a bar that opens before the end of the last one is late. Filling gaps.

What comes out is, number for number, what the ticks themselves would have made, as long as no tick is late and the sums of
volumes are exact (whole numbers below 2**53 are). The bar that ends with the bucket completes it at once; where that one is
missing, the next one or the clock does.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal

from barbuilder.core.grids import is_in_session, span_of
from barbuilder.core.state import Part, Rollup
from barque.intervals import WEEK_NS
from barque.messages import Bar

NONE: tuple[Bar, ...] = ()
Verdict = Literal["", "late_bars", "outside", "refused_bars"]


def is_sound(bar: Bar) -> bool:
    """Its numbers are such as a bar made of ticks can have."""
    return (
        0 <= bar.ts_open_ns < bar.ts_close_ns
        and 0 < bar.low <= bar.open <= bar.high < inf
        and bar.low <= bar.close <= bar.high
        and 0 <= bar.volume < inf
        and bar.tick_count >= 0
    )


def listens(rollup: Rollup, length_ns: int) -> bool:
    """Whether it is made of the feed's bars of this length.

    That is the first length heard of those that divide its own; a shorter one replaces it where no bar is open.
    """
    heard_ns = rollup.heard_ns
    if length_ns != heard_ns and (not heard_ns or (length_ns < heard_ns and rollup.part is None)):
        rollup.heard_ns = length_ns
    return rollup.heard_ns == length_ns


def take(symbol: str, rollup: Rollup, bar: Bar) -> tuple[Sequence[Bar], Verdict]:
    """Feed one sound bar: the bars it completes, and why it is in none, where it is in none."""
    if bar.ts_open_ns < rollup.until_ns:
        return NONE, "late_bars"
    if rollup.interval_ns == WEEK_NS and not is_in_session(bar.ts_open_ns, bar.ts_close_ns, rollup.days):
        return NONE, "outside"
    done, part = NONE, rollup.part
    if part is not None and bar.ts_open_ns >= part.end_ns:
        done = (finish(symbol, rollup, part, bar.root or bar.id),)
        part = None
    if part is None:
        span = span_of(bar.ts_open_ns, rollup.interval_ns, rollup.days)
        if span is None:
            return done, "outside"
        if bar.ts_close_ns > span.end_ns:
            return done, "refused_bars"
        part = rollup.part = Part(*span, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.tick_count)
    elif bar.ts_close_ns > part.end_ns:
        return done, "refused_bars"
    else:
        _extend(part, bar)
    rollup.until_ns = bar.ts_close_ns
    if bar.ts_close_ns == part.end_ns:
        done = (*done, finish(symbol, rollup, part, bar.root or bar.id))
    return done, ""


def finish(symbol: str, rollup: Rollup, part: Part, root: str) -> Bar:
    """Close the open bar; `root` is what did it, empty where the clock did."""
    rollup.part = None
    rollup.until_ns = rollup.done_ns = part.end_ns
    return Bar(
        symbol=symbol,
        interval=rollup.interval,
        price=rollup.price,
        ts_open_ns=part.open_ns,
        ts_close_ns=part.end_ns,
        open=part.open,
        high=part.high,
        low=part.low,
        close=part.close,
        volume=part.volume,
        tick_count=part.tick_count,
        root=root,
    )


def hear_echo(rollup: Rollup, bar: Bar) -> None:
    """One of its own bars has come back. Of a bar that comes back twice, one is the feed's."""
    if bar.ts_close_ns <= rollup.echo_ns:
        yield_to(rollup, bar)
    rollup.echo_ns = bar.ts_close_ns


def yield_to(rollup: Rollup, bar: Bar) -> None:
    """The feed brings this very series itself: its bars take the place of ours, for good."""
    rollup.part, rollup.yielded = None, True
    rollup.until_ns = rollup.done_ns = max(rollup.done_ns, bar.ts_close_ns)


def _extend(part: Part, bar: Bar) -> None:
    if bar.high > part.high:
        part.high = bar.high
    if bar.low < part.low:
        part.low = bar.low
    part.close = bar.close
    part.volume += bar.volume
    part.tick_count += bar.tick_count
