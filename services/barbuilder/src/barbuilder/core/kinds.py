"""The arithmetic of bars that are not made of time: what one good tick does to the open bar of one price.

In:   ticks in order of event time, already judged good.   Out: Bar, in time order, numbered where several open at one time.
Not:  splitting ticks, inventing prices (but for bricks), ending with a day. An open bar waits for its next tick for ever.

| kind | the bar ends |
|---|---|
| tick:N | with its N-th tick |
| volume:N | with the trade that brings its traded size to N contracts or beyond |
| value:N | with the trade that brings its value, the sum of price x size x multiplier, to N or beyond |
| range:N | with the tick that makes it N ticks high; before a tick that would make it higher, which begins the next bar |
| renko:N | a brick is there when the price has moved through all of it |

Renko. Bricks are N ticks high and lie on whole multiples of that, so that they do not depend on the first price seen. Say
the last brick goes from `bottom` to `top`. The next one is above it once the price is at `top` + N, or below it once the price
is at `bottom` - N: to turn round, the price goes two bricks back from the last brick's end. A jump over several bricks makes
all of them at once; the first has the ticks and the volume, the others have none.

Definitions: range bars after V. Nicolellis (1995), who lets a jump close bars at prices that nobody traded at; here it leaves
a gap. Renko as in S. Nison, "Beyond Candlesticks" (1994), at every tick instead of every closing price.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor
from typing import Protocol

from barbuilder.core.bars import Tick, value
from barbuilder.core.state import Run
from barque.instruments import Instrument
from barque.intervals import Interval
from barque.messages import Bar

MAX_BRICKS = 1_000
"""A jump over more bricks than this makes none: the grid of bricks is entered anew where it ends."""

NONE: tuple[Bar, ...] = ()
_ENOUGH = 1 - 1e-9
"""Sums of floats reach their size a little early rather than a tick late."""
_SLACK = 1e-3
"""Part of a tick: prices are equal if they differ by less."""


class Rule(Protocol):
    """What ends a bar of one kind and size."""

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        """Feed a tick that is no older than the one before it; the bars it completes."""
        ...


def rule_of(interval: Interval, instrument: Instrument) -> Rule:
    """The rule of an interval that is none of time."""
    match interval.kind:
        case "range":
            return _Range(instrument, interval.size)
        case "renko":
            return _Renko(instrument, interval.size)
        case "value":
            return _Value(instrument, interval.size)
        case "volume":
            return _Volume(instrument.symbol, interval.size)
    return _Ticks(instrument.symbol, interval.size)


class _Ticks:
    def __init__(self, symbol: str, size: int) -> None:
        self._symbol, self._size = symbol, size

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        extend(run, tick)
        return NONE if run.tick_count < self._size else (finish(self._symbol, run, tick),)


class _Volume:
    def __init__(self, symbol: str, size: int) -> None:
        self._symbol, self._size = symbol, size * _ENOUGH

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        extend(run, tick)
        return NONE if run.volume < self._size else (finish(self._symbol, run, tick),)


class _Value:
    def __init__(self, instrument: Instrument, size: int) -> None:
        self._symbol, self._size = instrument.symbol, size * _ENOUGH
        self._multiplier = float(instrument.multiplier)

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        extend(run, tick)
        run.value += tick.low * tick.size * self._multiplier
        return NONE if run.value < self._size else (finish(self._symbol, run, tick),)


class _Range:
    def __init__(self, instrument: Instrument, size: int) -> None:
        tick_size = float(instrument.tick_size)
        self._symbol = instrument.symbol
        self._least, self._most = (size - _SLACK) * tick_size, (size + _SLACK) * tick_size

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        price = value(run.price, tick.low, tick.high)
        done = NONE
        if run.is_open and max(run.high, price) - min(run.low, price) > self._most:
            done = (finish(self._symbol, run, tick),)
        extend(run, tick)
        return done if run.high - run.low < self._least else (*done, finish(self._symbol, run, tick))


class _Renko:
    def __init__(self, instrument: Instrument, size: int) -> None:
        self._symbol = instrument.symbol
        self._exact = instrument.tick_size * size
        self._height = float(self._exact)
        self._slack = _SLACK / size

    def take(self, run: Run, tick: Tick) -> Sequence[Bar]:
        extend(run, tick)
        at = value(run.price, tick.low, tick.high) / self._height
        under, over = floor(at + self._slack), ceil(at - self._slack)
        if run.brick is None:
            run.brick = (under, over)
        bottom, top = run.brick
        if under > top:
            ends = range(top, under + 1)
        elif over < bottom:
            ends = range(bottom, over - 1, -1)
        else:
            return NONE
        if len(ends) > MAX_BRICKS + 1:
            run.brick = (under, over)
            run.restarts += 1
            return NONE
        run.brick = min(ends[-2:]), max(ends[-2:])
        return [self._brick(run, tick, begin, end) for begin, end in pairwise(ends)]

    def _brick(self, run: Run, tick: Tick, begin: int, end: int) -> Bar:
        if not run.is_open:
            _open(run, tick.ts_ns)
        run.open, run.close = float(self._exact * begin), float(self._exact * end)
        run.low, run.high = min(run.open, run.close), max(run.open, run.close)
        return finish(self._symbol, run, tick)


def extend(run: Run, tick: Tick) -> None:
    """Let the open bar have a tick, or open a bar with it."""
    price = value(run.price, tick.low, tick.high)
    if not run.is_open:
        _open(run, tick.ts_ns)
        run.open = run.high = run.low = price
    elif price > run.high:
        run.high = price
    elif price < run.low:
        run.low = price
    run.close = price
    run.volume += tick.size
    run.tick_count += 1


def finish(symbol: str, run: Run, tick: Tick) -> Bar:
    """Close the open bar at the time of the tick that ends it, whether or not that tick is inside."""
    bar = Bar(
        symbol=symbol,
        interval=run.interval,
        price=run.price,
        ts_open_ns=run.open_ns,
        ts_close_ns=tick.ts_ns,
        open=run.open,
        high=run.high,
        low=run.low,
        close=run.close,
        volume=run.volume,
        tick_count=run.tick_count,
        root=tick.root,
        seq=run.seq,
    )
    run.is_open = False
    run.volume, run.value, run.tick_count = 0.0, 0.0, 0
    return bar


def _open(run: Run, ts_ns: int) -> None:
    run.seq = run.seq + 1 if ts_ns == run.open_ns else 0
    run.is_open, run.open_ns = True, ts_ns
