"""Market data as columns: what files are read into and messages are made of.

In:   arrays.   Out: one object per series and stretch of time; cut, joined and ordered without touching a row in Python.
Not:  judging what the numbers say (`barque_archive.checks`).

All arrays of one object have the same length n, which may be 0; rows are in order of event time. Prices are float64 as the
venue gave them, times int64 nanoseconds UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from barque.messages.market import PriceType
from barque_archive.series import Series

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarColumns:
    """Bars of one series, as `barque.messages.Bar`; event time is `ts_close_ns`."""

    symbol: str
    interval: str
    price: PriceType
    ts_open_ns: Integers
    ts_close_ns: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    """0 where the source has none."""
    tick_count: Integers
    """0 where the source has none."""
    seq: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """Number among the bars that open at the same time, as `Bar.seq`; all 0 where not given."""

    def __post_init__(self) -> None:
        if len(self.seq) != len(self.ts_open_ns):
            object.__setattr__(self, "seq", np.zeros(len(self.ts_open_ns), np.int64))

    def __len__(self) -> int:
        return len(self.ts_open_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteColumns:
    """Quotes of one symbol, as `barque.messages.Quote`."""

    symbol: str
    ts_event_ns: Integers
    bid: Floats
    ask: Floats
    bid_size: Floats
    """0 where the source has none."""
    ask_size: Floats

    def __len__(self) -> int:
        return len(self.ts_event_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeColumns:
    """Trades of one symbol, as `barque.messages.Trade`."""

    symbol: str
    ts_event_ns: Integers
    price: Floats
    size: Floats

    def __len__(self) -> int:
        return len(self.ts_event_ns)


MarketColumns: TypeAlias = BarColumns | QuoteColumns | TradeColumns
AnyColumns = TypeVar("AnyColumns", bound=MarketColumns)

ARRAYS: dict[type, tuple[str, ...]] = {
    BarColumns: ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume", "tick_count", "seq"),
    QuoteColumns: ("ts_event_ns", "bid", "ask", "bid_size", "ask_size"),
    TradeColumns: ("ts_event_ns", "price", "size"),
}
"""Names of the array fields of each kind."""


def series_of(columns: MarketColumns) -> Series:
    """The series that these rows belong to."""
    if isinstance(columns, BarColumns):
        return Series(columns.symbol, "bars", columns.interval, columns.price)
    return Series(columns.symbol, "quotes" if isinstance(columns, QuoteColumns) else "trades")


def key_ns(columns: MarketColumns) -> Integers:
    """The time that rows are filed under: a bar's open, a tick's own time."""
    return columns.ts_open_ns if isinstance(columns, BarColumns) else columns.ts_event_ns


def take(columns: AnyColumns, rows: slice | Mask | Integers) -> AnyColumns:
    """Some of the rows: a slice shares the arrays, a mask or an index copies them."""
    changes: dict[str, Any] = {name: getattr(columns, name)[rows] for name in ARRAYS[type(columns)]}
    return replace(columns, **changes)


def concat(parts: Sequence[AnyColumns]) -> AnyColumns:
    """All parts of one series in one; at least one part."""
    first = parts[0]
    if len(parts) == 1:
        return first
    changes: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ARRAYS[type(first)]}
    return replace(first, **changes)


def in_order(columns: AnyColumns) -> AnyColumns:
    """The rows by time (bars by open and number); rows of one time stay as they stand."""
    if isinstance(columns, BarColumns):
        return take(columns, np.lexsort((columns.seq, columns.ts_open_ns)))
    return take(columns, np.argsort(columns.ts_event_ns, kind="stable"))


def between(columns: AnyColumns, from_ns: int | None, to_ns: int | None) -> AnyColumns:
    """The rows filed under a time in [from, to); `columns` must be in order."""
    times = key_ns(columns)
    first = 0 if from_ns is None else int(np.searchsorted(times, from_ns))
    last = len(times) if to_ns is None else int(np.searchsorted(times, to_ns))
    return columns if first == 0 and last == len(times) else take(columns, slice(first, last))


def equal_rows(one: AnyColumns, other: AnyColumns) -> Mask:
    """Per row, whether both say the same; both have n rows. NaN equals NaN."""
    same: Mask = np.ones(len(one), np.bool_)
    for name in ARRAYS[type(one)]:
        a, b = getattr(one, name), getattr(other, name)
        same &= (a == b) | ((a != a) & (b != b))
    return same


def run_index(times: Integers) -> Integers:
    """For each row of sorted times, how many rows of the same time stand before it.

    >>> run_index(np.array([5, 5, 7, 7, 7, 9])).tolist()
    [0, 1, 0, 1, 2, 0]
    """
    if not len(times):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate(([True], times[1:] != times[:-1])))
    lengths = np.diff(np.append(starts, len(times)))
    return np.arange(len(times), dtype=np.int64) - np.repeat(starts, lengths)
