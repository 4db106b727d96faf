"""What can be wrong with rows of market data, whole columns at a time.

In:   columns.   Out: faults: which rows, which field, and why, in words that name the value.
Not:  deciding what becomes of a bad row; whoever reads or checks does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, Mask, QuoteColumns
from barque_archive.kinds import OHLC


@dataclass(frozen=True, slots=True)
class Fault:
    """Some rows with the same thing wrong."""

    rows: Integers
    """Their indices, in order; at least one."""
    name: str
    """The same words for all of them: `bid is above the ask`."""
    text: Callable[[int], str]
    """What is wrong with one of them, by index: `bid: 1.3 is above the ask 1.2`."""


def faults_of(columns: MarketColumns, prefix: str = "") -> Iterator[Fault]:
    """Everything that is wrong with single rows; `prefix` goes before the names of prices (`bid_`)."""
    if isinstance(columns, BarColumns):
        yield from _prices(columns, OHLC, prefix)
        yield from _shapes(columns, prefix)
        yield from _sizes(columns, ("volume", "tick_count"))
        backwards = columns.ts_close_ns < columns.ts_open_ns
        yield from _when(backwards, "ts_close", "before the bar's open", columns.ts_close_ns, columns.ts_open_ns)
    elif isinstance(columns, QuoteColumns):
        yield from _prices(columns, ("bid", "ask"), prefix)
        yield from _when(columns.bid > columns.ask, "bid", "above the ask", columns.bid, columns.ask)
        yield from _sizes(columns, ("bid_size", "ask_size"))
    else:
        yield from _prices(columns, ("price",), prefix)
        yield from _sizes(columns, ("size",))


def not_numbers(columns: BarColumns, prefix: str = "") -> Iterator[Fault]:
    """Bars whose prices are no numbers at all; a bar builder quarantines such ticks, but nobody looks at bars again."""
    for name in OHLC:
        values: Floats = getattr(columns, name)
        yield from _when(~np.isfinite(values), prefix + name, "no number", values)


def _prices(columns: MarketColumns, names: tuple[str, ...], prefix: str) -> Iterator[Fault]:
    for name in names:
        values: Floats = getattr(columns, name)
        yield from _when(~((values > 0) & np.isfinite(values)), prefix + name, "no positive number", values)


def _sizes(columns: MarketColumns, names: tuple[str, ...]) -> Iterator[Fault]:
    for name in names:
        values: Floats | Integers = getattr(columns, name)
        yield from _when(~((values >= 0) & np.isfinite(values)), name, "no size", values)


def _shapes(columns: BarColumns, prefix: str) -> Iterator[Fault]:
    """High and low must hold open and close between them."""
    high, low = columns.high, columns.low
    for reason, name, broken, other in (
        ("below the low", "high", high < low, low),
        ("below the open", "high", (high < columns.open) & (high >= low), columns.open),
        ("below the close", "high", (high < columns.close) & (high >= low), columns.close),
        ("above the open", "low", (low > columns.open) & (high >= low), columns.open),
        ("above the close", "low", (low > columns.close) & (high >= low), columns.close),
    ):
        values: Floats = getattr(columns, name)
        yield from _when(broken, prefix + name, reason, values, other)


def _when(
    broken: Mask, field: str, reason: str, values: Floats | Integers, other: Floats | Integers | None = None
) -> Iterator[Fault]:
    def text(row: int) -> str:
        return f"{field}: {values[row]} is {reason}" + ("" if other is None else f" {other[row]}")

    if broken.any():
        yield Fault(np.flatnonzero(broken), f"{field} is {reason}", text)
