"""Seeded minute bars for backtests: the same for everybody, on a price grid, so that money can be counted in whole ticks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from barque_archive.columns import BarColumns
from barque_archive.series import Series

T0 = 1_356_998_400_000_000_000
"""2013-01-01 00:00:00 UTC."""
MINUTE_NS = 60_000_000_000
SEED = 20130101
START = 92_000
"""Of the first open, in ticks of 0.001: USDJPY at 92.000."""
PER_PRICE = 1_000
"""Ticks of one unit of price."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One-minute bars of a random walk; prices in ticks, int64[n], oldest first."""

    ts_open_ns: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]

    def prices(self, name: str) -> NDArray[np.float64]:
        """`open`, `high`, `low` or `close` as a vendor writes it: the nearest float to a whole number of ticks."""
        ticks: NDArray[np.int64] = getattr(self, name)
        return ticks / PER_PRICE


def walk(count: int, seed: int = SEED) -> Walk:
    """`count` bars. Minutes move by up to nine ticks, now and then they gap; prices are kept away from zero."""
    chance = np.random.default_rng(seed)
    moves = chance.integers(-9, 10, count)
    closes = START + np.cumsum(moves)
    closes = np.abs(closes - 10_000) + 10_000
    opens = np.concatenate(([START], closes[:-1])) + np.where(chance.random(count) < 0.05, chance.integers(-5, 6, count), 0)
    highs = np.maximum(opens, closes) + chance.integers(0, 4, count)
    lows = np.minimum(opens, closes) - chance.integers(0, 4, count)
    return Walk(T0 + np.arange(count, dtype=np.int64) * MINUTE_NS, opens, highs, lows, closes)


def write(path: Path, bars: Walk) -> Path:
    """The bars as a Parquet file that any of the tools here can read."""
    columns = {name: bars.prices(name) for name in ("open", "high", "low", "close")}
    table = pa.table({"timestamp": pa.array(bars.ts_open_ns, pa.timestamp("ns", "UTC")), **columns})
    parquet.write_table(table, path)
    return path


class StreamedWalk:
    """A source of any number of bars that are made as they are read, some at a time."""

    series = (Series("USDJPY", "bars", "1m", "last"),)
    CHUNK = 50_000

    def __init__(self, count: int) -> None:
        self._count = count
        self.fraction = 0.0

    def __iter__(self) -> Iterator[BarColumns]:
        for start in range(0, self._count, self.CHUNK):
            bars = walk(min(self.CHUNK, self._count - start), SEED + start)
            opens = bars.ts_open_ns + start * MINUTE_NS
            none = np.zeros(len(opens))
            yield BarColumns(
                symbol="USDJPY",
                interval="1m",
                price="last",
                ts_open_ns=opens,
                ts_close_ns=opens + MINUTE_NS,
                open=bars.prices("open"),
                high=bars.prices("high"),
                low=bars.prices("low"),
                close=bars.prices("close"),
                volume=none,
                tick_count=none.astype(np.int64),
            )
            self.fraction = (start + len(opens)) / self._count
