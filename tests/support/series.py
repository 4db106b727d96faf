"""Series of bars for tests of indicators, as columns: recorded ones, and a seeded one for machines that have no recordings."""

from __future__ import annotations

import csv
import gzip
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barque.messages import Bar
from tests.support.data import data_file

MINUTE = 60 * 10**9

RECORDINGS = {
    "ES": "esz3-cme-m1-2013-10.csv.gz",
    "6E": "6eh4-cme-m1-2024-01.csv.gz",
    "BTCUSD": "btcusd-perp-m1-2022-01.csv.gz",
}


@dataclass(frozen=True)
class Series:
    """One-minute bars, oldest first; each column float64[n], times int64[n] ns UTC."""

    ts_open_ns: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def bars(self) -> list[Bar]:
        """As messages of the symbol `X`."""
        columns = (self.ts_open_ns, self.open, self.high, self.low, self.close, self.volume)
        return [
            Bar(
                symbol="X",
                interval="1m",
                price="last",
                ts_open_ns=ts,
                ts_close_ns=ts + MINUTE,
                open=o,
                high=h,
                low=lo,
                close=c,
                volume=v,
            )
            for ts, o, h, lo, c, v in zip(*(column.tolist() for column in columns), strict=True)
        ]


def series(name: str) -> Series:
    """A recording by symbol (skips the test where it is not there), or `seeded`."""
    if name == "seeded":
        return seeded(20_000)
    with gzip.open(data_file(RECORDINGS[name]), "rt") as file:
        rows = list(csv.DictReader(file))
    times = np.array([(row.get("timestamp") or row["timestamp_utc"]).rstrip("Z") for row in rows], dtype="datetime64[ns]")
    columns = (np.array([float(row[key]) for row in rows]) for key in ("open", "high", "low", "close", "volume"))
    return Series(times.astype(np.int64), *columns)


def seeded(count: int, seed: int = 5, start: float = 1.38676, tick: float = 0.00001) -> Series:
    """A random walk on a price grid, with jumps, stretches without any movement, and bars without volume."""
    chance, price = random.Random(seed), round(start / tick)
    rows: list[tuple[int, ...]] = []
    for index in range(count):
        opened = price
        reach = 0 if index % 997 < 40 else chance.choice((3, 5, 8, 400 if index % 1009 == 0 else 12))
        path = [price := price + chance.randint(-reach, reach) for _ in range(4)]
        volume = 0 if reach == 0 or chance.random() < 0.05 else chance.randint(1, 5_000)
        rows.append((index * MINUTE, opened, max(opened, *path), min(opened, *path), price, volume))
    times, *prices, volumes = (np.array(column) for column in zip(*rows, strict=True))
    return Series(times, *(np.round(column * tick, 10) for column in prices), volumes.astype(np.float64))
