"""A curve of equity followed block by block: its drawdowns, its days, and a bounded picture of it.

In:   blocks of (instants, equity, held), each later than the one before.   Out: `Drawdown`, rows per day, rows per interval.
Not:  ratios; `barque_backtest.statistics` makes them of the days.

A point belongs to the interval that ends with it: the close at midnight is the day before's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from barque_archive.columns import Floats, Integers

Booleans: TypeAlias = NDArray[np.bool_]

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
_MONDAY_NS = 4 * DAY_NS
"""1970-01-05: intervals of whole weeks begin on Mondays."""
_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 28_800, 43_200),
    *(86_400, 604_800, 4 * 604_800, 52 * 604_800),
)


def step_for(span_ns: int, most: int) -> int:
    """The shortest usual interval (1 s, 1 m, 5 m, … 1 d, 1 w …), ns, of which at most `most` cover `span_ns`."""
    for step_s in _STEPS_S:
        if span_ns <= (most - 1) * step_s * SECOND_NS:
            return step_s * SECOND_NS
    return max(1, -(-span_ns // most))


def interval_text(step_ns: int) -> str:
    """`1m`, `4h`, `1d`, `1w`."""
    seconds = step_ns // SECOND_NS
    for unit, length in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def bucket_of(ts_ns: Integers, step_ns: int) -> Integers:
    """Number of the interval that holds each time."""
    return (ts_ns - _MONDAY_NS) // step_ns


def bucket_open(bucket: Integers, step_ns: int) -> Integers:
    """When each interval begins, ns."""
    return bucket * step_ns + _MONDAY_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """How far and how long equity was below its highest so far."""

    fraction: float = 0.0
    """Deepest, as a part of the peak before it; 0..1, more where equity went below zero."""
    money: float = 0.0
    """Deepest in money; it need not be the same one."""
    peak_ns: int = 0
    """When the deepest (by fraction) began; 0: there is none."""
    trough_ns: int = 0
    recovered_ns: int | None = None
    """When equity was back at that peak; None: never."""
    longest_ns: int = 0
    """The longest time from a peak until equity was back at it, or to the end."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The last point of each interval: float64[n] and int64[n], oldest first."""

    ts_ns: Integers
    equity: Floats
    underwater: Floats
    """The lowest in the interval of equity / peak so far - 1; 0 at a peak, negative below."""

    def __len__(self) -> int:
        return len(self.ts_ns)


class Thinned:
    """Keeps the last point of each interval."""

    def __init__(self, step_ns: int) -> None:
        self._step_ns = step_ns
        self._parts: list[Rows] = []

    def add(self, rows: Rows) -> None:
        """Go on with later points."""
        if len(rows):
            self._parts.append(self._thin(rows))

    def rows(self) -> Rows:
        """What has been kept."""
        if not self._parts:
            return Rows(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
        joined = (np.concatenate([getattr(part, name) for part in self._parts]) for name in Rows.__slots__)
        return self._thin(Rows(*joined))

    def _thin(self, rows: Rows) -> Rows:
        bucket = bucket_of(rows.ts_ns - 1, self._step_ns)
        first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
        last = np.append(first[1:], len(bucket)) - 1
        return Rows(rows.ts_ns[last], rows.equity[last], np.minimum.reduceat(rows.underwater, first))


class Curve:
    """One curve and what is known of it so far."""

    def __init__(self, start_ns: int, start: float, picture_step_ns: int, detail_step_ns: int | None) -> None:
        """`start`: equity before anything happened, at `start_ns`. `detail_step_ns` None: no detail is kept."""
        self.start = start
        self.last = start
        self.instants = 0
        """Points seen."""
        self.ends_known = True
        """False: equity is not known at the last instant, and `last` is older."""
        self.held_instants = 0
        """Of these, points at which a position was held."""
        self._days = Thinned(DAY_NS)
        self._picture = Thinned(picture_step_ns)
        self._detail = None if detail_step_ns is None else Thinned(detail_step_ns)
        self._peak = start
        self._peak_ns = start_ns
        self._end_ns = start_ns
        self._deepest = Drawdown()
        self._is_open = False
        """The deepest drawdown has not recovered."""

    def add(self, instants: Integers, equity: Floats, held: Booleans) -> None:
        """Go on with a block. Points whose equity is not known (NaN) are left out."""
        known = ~np.isnan(equity)
        if len(known):
            self.ends_known = bool(known[-1])
        if not known.all():
            instants, equity, held = instants[known], equity[known], held[known]
        if not len(instants):
            return
        self.instants += len(instants)
        self.held_instants += int(np.count_nonzero(held))
        peaks = np.maximum(np.maximum.accumulate(equity), self._peak)
        lost = peaks - equity
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = np.where(peaks > 0, lost / peaks, 0.0)
        self._follow(instants, equity, lost, fraction)
        rows = Rows(instants, equity, -fraction)
        for kept in (self._days, self._picture, self._detail):
            if kept is not None:
                kept.add(rows)
        self._peak, self.last, self._end_ns = float(peaks[-1]), float(equity[-1]), int(instants[-1])

    @property
    def days(self) -> Rows:
        """The last point of each UTC day."""
        return self._days.rows()

    @property
    def picture(self) -> Rows:
        """A bounded number of points, for charts."""
        return self._picture.rows()

    @property
    def detail(self) -> Rows | None:
        """Every point, or as many as fit."""
        return None if self._detail is None else self._detail.rows()

    @property
    def drawdown(self) -> Drawdown:
        """The drawdowns up to the last point."""
        under_way = self._end_ns - self._peak_ns if self.last < self._peak else 0
        return replace(self._deepest, longest_ns=max(self._deepest.longest_ns, under_way))

    def _follow(self, instants: Integers, equity: Floats, lost: Floats, fraction: Floats) -> None:
        """Drawdowns of a block; `_peak_ns` is when equity last was at its peak."""
        at_peak = np.flatnonzero(lost == 0)
        known = self._deepest
        if self._is_open and len(at_peak):
            known = replace(known, recovered_ns=int(instants[at_peak[0]]))
            self._is_open = False
        deepest = int(np.argmax(fraction))
        if fraction[deepest] > known.fraction:
            before, after = at_peak[at_peak < deepest], at_peak[at_peak > deepest]
            self._is_open = not len(after)
            known = replace(
                known,
                fraction=float(fraction[deepest]),
                peak_ns=int(instants[before[-1]]) if len(before) else self._peak_ns,
                trough_ns=int(instants[deepest]),
                recovered_ns=int(instants[after[0]]) if len(after) else None,
            )
        longest = known.longest_ns
        if len(at_peak):
            below_first = at_peak[0] > 0 or self.last < self._peak
            gaps = np.where(np.diff(at_peak) > 1, np.diff(instants[at_peak]), 0)
            longest = max(longest, int(instants[at_peak[0]]) - self._peak_ns if below_first else 0, int(gaps.max(initial=0)))
            self._peak_ns = int(instants[at_peak[-1]])
        self._deepest = replace(known, money=max(known.money, float(lost.max())), longest_ns=longest)
