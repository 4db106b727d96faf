"""New rows among those that are there: each key once.

In:   the rows of a file, new rows, and what to do where the two contradict each other.   Out: all rows, and what was found.
Not:  files.

A bar's key is its open and number. A tick has none: it is the k-th of its time, in the order of its source. So the same rows
merged again change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from barque_archive.columns import (
    ARRAYS,
    BarColumns,
    Integers,
    MarketColumns,
    concat,
    equal_rows,
    in_order,
    key_ns,
    run_index,
    take,
)
from barque_archive.times import iso

Conflicts = Literal["refuse", "keep", "replace"]
"""Of two rows with one key and different values: neither, the one that is there, or the new one."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What merging came to."""

    columns: MarketColumns
    """All rows, in order."""
    added: int = 0
    equal: int = 0
    """New rows that were there already."""
    conflicts: int = 0
    example: str = ""
    """The first conflict, in words."""


def merge(there: MarketColumns | None, new: MarketColumns, conflicts: Conflicts, numbers: Integers | None = None) -> Merged:
    """`new` (in order, no key twice) among `there`. `numbers`: which of its time each new tick is, if not counted from 0."""
    if there is None:
        return Merged(new, added=len(new))
    old_keys, new_keys = (key_ns(there), _numbers(there)), (key_ns(new), _numbers(new) if numbers is None else numbers)
    mine, theirs = _matches(old_keys, new_keys)
    same = equal_rows(take(there, mine), take(new, theirs))
    against = np.flatnonzero(~same)
    example = _conflict(there, int(mine[against[0]]), new, int(theirs[against[0]])) if len(against) else ""
    replaced = mine[against] if conflicts == "replace" else np.zeros(0, np.int64)
    dropped = theirs[same] if conflicts == "replace" else theirs
    kept_old = np.delete(np.arange(len(there)), replaced)
    kept_new = np.delete(np.arange(len(new)), dropped)
    if not len(kept_new):
        return Merged(there, 0, int(same.sum()), len(against), example)
    times = np.concatenate([old_keys[0][kept_old], new_keys[0][kept_new]])
    order = np.lexsort((np.concatenate([old_keys[1][kept_old], new_keys[1][kept_new]]), times))
    rows = take(concat([take(there, kept_old), take(new, kept_new)]), order)
    return Merged(rows, len(kept_new) - len(replaced), int(same.sum()), len(against), example)


def first_of_each(new: MarketColumns) -> MarketColumns:
    """Bars in order, without a second one of a key."""
    if not isinstance(new, BarColumns):
        return new
    again = (new.ts_open_ns[1:] == new.ts_open_ns[:-1]) & (new.seq[1:] == new.seq[:-1])
    return take(new, np.concatenate(([True], ~again))) if again.any() else new


def append(there: MarketColumns | None, new: MarketColumns) -> Merged:
    """New ticks, in order, after those of the same time; all of them are news."""
    if there is None:
        return Merged(new, added=len(new))
    return Merged(in_order(concat([there, new])), added=len(new))


def overlap(columns: MarketColumns) -> str:
    """The first two bars that overlap, in words; empty where none do."""
    if not isinstance(columns, BarColumns):
        return ""
    rows = np.flatnonzero(columns.ts_open_ns[1:] < columns.ts_close_ns[:-1])
    rows = rows[columns.ts_open_ns[rows + 1] > columns.ts_open_ns[rows]]
    if not len(rows):
        return ""
    row = int(rows[0])
    opens, closes, follows = (int(t) for t in (columns.ts_open_ns[row], columns.ts_close_ns[row], columns.ts_open_ns[row + 1]))
    return f"the bar of {iso(opens)} closes at {iso(closes)}, and another opens at {iso(follows)}"


def _numbers(columns: MarketColumns) -> Integers:
    return columns.seq if isinstance(columns, BarColumns) else run_index(columns.ts_event_ns)


def _matches(old: tuple[Integers, Integers], new: tuple[Integers, Integers]) -> tuple[Integers, Integers]:
    """Row numbers, old and new, of the keys that both have."""
    times, numbers = np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]])
    order = np.lexsort((numbers, times))  # stable: of equal keys the old one comes first
    t, n = times[order], numbers[order]
    first = np.flatnonzero((t[1:] == t[:-1]) & (n[1:] == n[:-1]))
    return order[first], order[first + 1] - len(old[0])


def _conflict(there: MarketColumns, old: int, new: MarketColumns, row: int) -> str:
    what = {"BarColumns": "bar", "QuoteColumns": "quote", "TradeColumns": "trade"}[type(there).__name__]
    for name in ARRAYS[type(there)]:
        before, after = getattr(there, name)[old], getattr(new, name)[row]
        if before != after and not (before != before and after != after):
            return f"the {what} of {iso(int(key_ns(there)[old]))} has {name} {before}, the new one {after}"
    return ""
