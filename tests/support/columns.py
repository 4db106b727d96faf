"""Columns for tests of the archive: bars and ticks with values that a row number gives away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from barque_archive.columns import BarColumns, QuoteColumns, TradeColumns
from tests.support.builders import MINUTE, T0


def some_bars(minutes: Sequence[int], shift: float = 0.0, **changes: Any) -> BarColumns:
    """One-minute EURUSD bid bars that open so many minutes after `T0`; each closes at 1 + its minute / 1,000 + `shift`."""
    at = np.array(minutes, np.int64)
    close = 1.0 + at / 1_000 + shift
    base: dict[str, Any] = {
        "symbol": "EURUSD",
        "interval": "1m",
        "price": "bid",
        "ts_open_ns": T0 + at * MINUTE,
        "ts_close_ns": T0 + (at + 1) * MINUTE,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": np.ones(len(at)),
        "tick_count": np.arange(len(at)),
    }
    return BarColumns(**(base | changes))


def some_quotes(times: Sequence[int], bids: Sequence[float] = (), **changes: Any) -> QuoteColumns:
    """EURUSD quotes so many ns after `T0`."""
    at = np.array(times, np.int64)
    bid = np.array(bids if len(bids) else 1.0 + np.arange(len(at)) / 1_000, np.float64)
    base: dict[str, Any] = {"symbol": "EURUSD", "ts_event_ns": T0 + at, "bid": bid, "ask": bid + 0.5}
    base |= {"bid_size": np.zeros(len(at)), "ask_size": np.zeros(len(at))}
    return QuoteColumns(**(base | changes))


def some_trades(times: Sequence[int], prices: Sequence[float] = (), **changes: Any) -> TradeColumns:
    """EURUSD trades so many ns after `T0`."""
    at = np.array(times, np.int64)
    price = np.array(prices if len(prices) else 1.0 + np.arange(len(at)) / 1_000, np.float64)
    base: dict[str, Any] = {"symbol": "EURUSD", "ts_event_ns": T0 + at, "price": price, "size": np.ones(len(at))}
    return TradeColumns(**(base | changes))
