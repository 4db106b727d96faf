"""Rows that leave the ledger, as Parquet files beside the market data: what was wished, ordered and said.

    retired/orders/main/l1/1398902400000000000-1398988799000000000-5c0d9a11.parquet

In:   rows of one table.   Out: one file that is whole or not there.
Not:  which rows may go. The same rows make the same file, so a batch that is written again after a crash is there once.

Amounts are written as text, so that no digit is lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyarrow import parquet

from barque_archive.partitions import ArchiveError


def write_records(root: Path, table: str, book: str, lineage: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write `rows`, at least one, oldest first, each with its `ts_event_ns`, through to the disk. Raises `ArchiveError`."""
    columns = {name: [_plain(row[name]) for row in rows] for name in rows[0]}
    digest = blake2b(repr(columns).encode(), digest_size=4).hexdigest()
    folder = root / "retired" / quote(table, safe="") / quote(book, safe="") / quote(lineage, safe="")
    path = folder / f"{rows[0]['ts_event_ns']}-{rows[-1]['ts_event_ns']}-{digest}.parquet"
    half = path.with_name(f".{path.name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            parquet.write_table(pa.table(columns), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
