"""A symbol's tape made ready for the quick way: its lanes by price, and the bounds within which nothing can happen.

In:   an instrument and its part of the state.   Out: a `Channel`.
Not:  state of its own. All of it follows from the state and is made anew on restore; bounds that are too narrow cost time,
nothing else.
"""

from __future__ import annotations

from math import inf

from barbuilder.core import bars, kinds, quality
from barbuilder.core.bars import Tick
from barbuilder.core.state import NEVER_NS, Market, Tape
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.messages import Bar

FOREVER_NS = 2**63


class Channel:
    """The quotes, or the trades, of one symbol."""

    __slots__ = ("calm_until_ns", "ceiling", "floor", "fraction", "highs", "lows", "market", "mids", "runs", "symbol", "tape")

    def __init__(self, instrument: Instrument, market: Market, tape: Tape) -> None:
        self.symbol = instrument.symbol
        self.fraction = inf if instrument.inverts else instrument.max_spike_fraction
        """A derived tick is as good as its source."""
        self.market = market
        self.tape = tape
        self.runs = [(run, kinds.rule_of(interval_of(run.interval), instrument)) for run in tape.runs]
        lanes = [lane for window in tape.windows for lane in window.lanes]
        self.lows = tuple(lane for lane in lanes if lane.price in ("bid", "last"))
        self.highs = tuple(lane for lane in lanes if lane.price == "ask")
        self.mids = tuple(lane for lane in lanes if lane.price == "mid")
        self.calm_until_ns = NEVER_NS
        self.floor, self.ceiling = inf, -inf

    def take(self, tick: Tick, max_gap_ns: int) -> bars.Taken:
        """Feed a good tick to everything that is made of this tape, and make it the newest if it is."""
        tape = self.tape
        taken = bars.take(self.symbol, tape, tick, max_gap_ns)
        overtaken = tick.ts_ns < tape.ts_ns
        tape.count += 1
        if overtaken:
            return taken._replace(late=taken.late or bool(self.runs))
        tape.ts_ns, tape.low, tape.high = tick.ts_ns, tick.low, tick.high
        if not self.runs:
            return taken
        done: list[Bar] = [bar for run, rule in self.runs for bar in rule.take(run, tick)]
        return taken._replace(bars=taken.bars + done)

    def settle(self, grace_ns: int) -> int:
        """Draw the bounds anew; returns the first time at which the clock has something to do here."""
        market, tape = self.market, self.tape
        self.floor, self.ceiling = quality.calm_band(tape, self.fraction)
        pending = market.news != market.marked
        if pending and not self.runs and not tape.suspects and all(window.is_open for window in tape.windows):
            self.calm_until_ns = min([market.mark_due_ns, *(window.end_ns for window in tape.windows)])
        else:
            self.calm_until_ns = NEVER_NS
        due_ns = market.mark_due_ns if pending else FOREVER_NS
        return min([due_ns, *(window.end_ns + grace_ns for window in tape.windows if window.is_open)])
