"""Whether rows follow one another as they should.

In:   stretches of rows of one file.   Out: those that may pass, and the first that may not.
Not:  rows by themselves (`barque_archive.checks`).

Bars open later one by one and none opens before the one before it has closed. Ticks may share a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

import numpy as np

from barque_archive.checks import Fault
from barque_archive.columns import BarColumns, Integers, MarketColumns, Mask, concat, equal_rows, key_ns, run_index, take
from barque_archive.rows import Group
from barque_archive.times import iso

Twins = Literal["refuse", "drop", "keep"]


class Sequencer:
    """Remembers the last row of what passed, from one stretch to the next."""

    def __init__(self, strict: bool, twins: Twins, numbered: bool) -> None:
        """`strict`: late and overlapping rows do not pass. `numbered`: bars bring the number among those of their open."""
        self._strict, self._twins, self._numbered = strict, twins, numbered
        self._last: Group = ()
        self._run = (0, 0)
        self.dropped = 0
        """Twins dropped so far."""

    def admit(self, group: Group) -> tuple[Group, Fault | None]:
        """The rows that may pass, up to the first that may not; and that one's fault, by its index in `group`."""
        if not len(group[0]):
            return group, None
        if not self._numbered:
            group = self._number(group)
        if not self._strict and self._twins == "keep":
            return group, None
        pairs = zip(self._last, group, strict=True) if self._last else ()
        joined = tuple(concat([last, new]) for last, new in pairs) or group
        offset = len(joined[0]) - len(group[0])
        late, twins, overlapping = _relations(joined)
        drop = twins & _same(joined) if self._twins == "drop" else np.zeros_like(twins)
        faults = []
        if self._strict:
            faults += [(late, _late), (overlapping, _overlap)]
        if self._twins != "keep" and isinstance(group[0], BarColumns):
            faults.append((twins & ~drop, _twin))
        wrong = [(int(np.argmax(mask)), text) for mask, text in faults if mask.any()]
        end, fault = len(joined[0]), None
        if wrong:
            place, text = min(wrong, key=lambda each: each[0])
            end, said = place + 1, text(joined[0], place + 1)
            fault = Fault(np.array([end - offset]), text.__name__.strip("_"), lambda _: said)
        keep = np.concatenate(([True], ~drop))[offset:end]
        self.dropped += int((~keep).sum())
        passed = tuple(take(columns, slice(0, end - offset)) for columns in group) if fault else group
        if not keep.all():
            passed = tuple(take(columns, keep) for columns in passed)
        self._last = tuple(take(columns, slice(-1, None)) for columns in group)
        return passed, fault

    def _number(self, group: Group) -> Group:
        """Bars of one open get the numbers 0, 1, 2 …, in their order."""
        first = group[0]
        if not isinstance(first, BarColumns):
            return group
        times, (run_ns, run_length) = first.ts_open_ns, self._run
        seq = run_index(times)
        if run_length:
            seq = np.where(np.logical_and.accumulate(times == run_ns), seq + run_length, seq)
        self._run = int(times[-1]), int(seq[-1]) + 1
        return tuple(replace(cast(BarColumns, columns), seq=seq) for columns in group)


def _relations(group: Group) -> tuple[Mask, Mask, Mask]:
    """Of each row but the first: it comes before, it has the key of, it overlaps the one before it."""
    first = group[0]
    steps = np.diff(key_ns(first))
    late, same = steps < 0, steps == 0
    if not isinstance(first, BarColumns):
        return late, same, np.zeros_like(same)
    numbers = np.diff(first.seq)
    overlapping = (steps > 0) & (first.ts_open_ns[1:] < first.ts_close_ns[:-1])
    return late | (same & (numbers < 0)), same & (numbers == 0), overlapping


def _same(group: Group) -> Mask:
    same: Mask = np.ones(len(group[0]) - 1, np.bool_)
    for columns in group:
        same &= equal_rows(take(columns, slice(1, None)), take(columns, slice(0, -1)))
    return same


def _late(columns: MarketColumns, row: int) -> str:
    at, before = _times(columns, row)
    return f"timestamp: {at} comes after {before}: rows are not in order of time; --sort sorts them"


def _twin(columns: MarketColumns, row: int) -> str:
    at, _ = _times(columns, row)
    return f"timestamp: a second bar of {at}; --drop-duplicates drops those that say the same as the one before"


def _overlap(columns: MarketColumns, row: int) -> str:
    bars = cast(BarColumns, columns)
    at, before = _times(columns, row)
    closes = iso(int(bars.ts_close_ns[row - 1]))
    return f"timestamp: a bar opens at {at}, and the one of {before} closes at {closes}: is their interval {bars.interval}?"


def _times(columns: MarketColumns, row: int) -> tuple[str, str]:
    times: Integers = key_ns(columns)
    return iso(int(times[row])), iso(int(times[row - 1]))
