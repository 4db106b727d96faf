"""Recorded market data, where this machine has it: the folder `BARQUE_DATA`, or `../shared/data` beside the repository."""

from __future__ import annotations

import gzip
import os
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
