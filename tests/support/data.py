"""Recorded market data, where this machine has it: the folder `BARQUE_DATA`, or `../shared/data` beside the repository."""

from __future__ import annotations

import csv
import gzip
import os
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def data_file(name: str) -> Path:
    """The recording of that name; skips the test that asks for one that is not there."""
    folder = Path(os.environ.get("BARQUE_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.is_file():
        pytest.skip(f"recording {name} is not here; set BARQUE_DATA to the folder that has it")
    return path


def first_rows(source: Path, rows: int, folder: Path) -> Path:
    """A shorter recording: the header and the first `rows` rows."""
    path = folder / "ticks.csv"
    with gzip.open(source, "rt") as file:
        path.write_text("".join(islice(file, rows + 1)))
    return path


def vendor_bars(path: Path) -> dict[tuple[str, int], tuple[float, ...]]:
    """(price, ts_open_ns) -> open, high, low, close, as the vendor publishes them."""
    found = {}
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            ts_open_ns = int(datetime.fromisoformat(row["timestamp"]).timestamp()) * 1_000_000_000
            for price in ("bid", "ask"):
                found[price, ts_open_ns] = tuple(float(row[f"{price}_{part}"]) for part in ("open", "high", "low", "close"))
    return found


def vendor_ticks(path: Path) -> list[tuple[int, float, float]]:
    """(ts_event_ns, bid, ask), oldest first, as the vendor recorded them."""
    with gzip.open(path, "rt", newline="") as file:
        return [(_ns(row["timestamp"]), float(row["bid"]), float(row["ask"])) for row in csv.DictReader(file)]


def _ns(text: str) -> int:
    at = datetime.fromisoformat(text)
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000_000 + at.microsecond * 1_000
