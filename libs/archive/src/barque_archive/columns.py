"""Market data as columns: what files are read into and messages are made of.

All arrays of one object have the same length n, which may be 0; rows are in order of event time. Prices are float64 as the
venue gave them, times int64 nanoseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from barque.messages.market import PriceType

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


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
