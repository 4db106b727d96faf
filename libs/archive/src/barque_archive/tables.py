"""Files of rows, CSV or Parquet, plain or `.gz`, as Arrow batches in bounded memory.

In:   a path and the columns that are wanted.   Out: batches, each with the place of its rows in the file.
Not:  meaning. CSV values are text; who reads them says what they are.

A file that cannot be opened raises `ConfigError`; one that breaks off or does not parse, `BadRow` with the row it happened at.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from barque.errors import ConfigError, WireError
from barque_archive.columns import Integers

BLOCK_BYTES = 2**18
"""Of a CSV file in one batch; a line that is longer is none. Arrow reads 32 of them ahead."""
BATCH_ROWS = 16_384
"""Of a Parquet file in one batch."""
HEADER_BYTES = 2**16
_BROKEN = (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, csv.Error)


class BadRow(WireError):
    """A row of a file is not what it should be. The text names file, row, field and value."""

    def __init__(self, path: Path, row: int, reason: str) -> None:
        super().__init__(f"{path}: row {row}: {reason}")
        self.row, self.reason = row, reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: `arrays` by column name, `places` their place among the rows of the file, from 0."""

    arrays: dict[str, pa.Array]
    places: Integers


@dataclass(slots=True)
class Table:
    """An open file. `torn` fills while `batches` are read: rows with too many or too few values, by place."""

    columns: list[str]
    batches: Iterator[Batch]
    torn: dict[int, str] = field(default_factory=dict)
    fraction: float = 0.0
    """How much of the file has been read."""


@contextmanager
def opened(path: Path, wanted: Sequence[str] | None = None, delimiter: str = ",") -> Iterator[Table]:
    """The file, for as long as the block runs; of its columns the batches have `wanted` (None: all)."""
    zipped = path.suffix == ".gz"
    suffix = Path(path.stem).suffix if zipped else path.suffix
    if suffix not in (".csv", ".parquet"):
        raise ConfigError(f"recorded file {path}: name ends in '{suffix}'; expected .csv or .parquet, plain or .gz")
    with ExitStack() as stack:
        try:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            raw = file
            if zipped:
                file = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw)))
            if suffix == ".csv":
                table = _csv(path, raw, file, wanted, delimiter)
            else:
                table = _parquet(path, _seekable(file, stack) if zipped else file, wanted, stack)
        except FileNotFoundError:
            raise ConfigError(f"recorded file {path} does not exist") from None
        except _BROKEN as error:
            raise ConfigError(f"recorded file {path} cannot be read: {_said(error)}") from None
        yield table


def row_number(path: Path, place: int, delimiter: str = ",") -> int:
    """What people call the row at `place`: its line in a CSV file, header included; its number, from 1, in Parquet."""
    if ".csv" not in path.suffixes[-2:]:
        return place + 1
    line = 1
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            reader = csv.reader(TextIOWrapper(cast(IO[bytes], file), encoding="utf-8", errors="replace"), delimiter=delimiter)
            next(reader, None)
            for row in reader:
                line = reader.line_num
                if row:
                    if not place:
                        break
                    place -= 1
    except _BROKEN:
        return line
    return line


# -- CSV -----------------------------------------------------------------------------------------------------------------


def _csv(path: Path, raw: IO[bytes], file: IO[bytes], wanted: Sequence[str] | None, delimiter: str) -> Table:
    header = file.readline(HEADER_BYTES).decode("utf-8-sig")
    columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    table = Table(columns, iter(()))
    chosen = columns if wanted is None else [name for name in columns if name in wanted]
    _refuse_twins(chosen)
    table.batches = _csv_batches(path, raw, file, table, chosen, delimiter)
    return table


def _csv_batches(
    path: Path, raw: IO[bytes], file: IO[bytes], table: Table, chosen: Sequence[str], delimiter: str
) -> Iterator[Batch]:
    size = path.stat().st_size

    def torn(row: Any) -> str:
        table.torn[row.number - 1] = f"{row.actual_columns} values, {row.expected_columns} expected"
        return "skip"

    done = 0
    try:
        reader = arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=table.columns),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=torn),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(chosen, pa.string()), include_columns=list(chosen), check_utf8=False
            ),
        )
        for batch in reader:
            if batch.num_rows:
                arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
                yield Batch(arrays, _places(done, batch.num_rows, table.torn))
            done += batch.num_rows
            table.fraction = min(raw.tell() / size, 1.0) if size else 1.0
    except pa.ArrowInvalid as error:
        if str(error) == "Empty CSV file":
            return
        raise BadRow(path, row_number(path, done + len(table.torn), delimiter), _said(error)) from None
    except _BROKEN as error:
        raise BadRow(path, row_number(path, done + len(table.torn), delimiter), _said(error)) from None


def _places(done: int, count: int, torn: dict[int, str]) -> Integers:
    """The places of `count` whole rows that come after `done` others, with the torn ones among them counted in."""
    whole = np.arange(done, done + count, dtype=np.int64)
    if not torn:
        return whole
    before = np.array(sorted(torn), np.int64) - np.arange(len(torn))  # whole rows before each torn one
    return whole + np.searchsorted(before, whole, side="right")


# -- Parquet -------------------------------------------------------------------------------------------------------------


def _seekable(file: IO[bytes], stack: ExitStack) -> IO[bytes]:
    """Parquet is read from its end: unpacked to disk first, never into memory."""
    unpacked = stack.enter_context(TemporaryFile())  # noqa: SIM115 (the stack closes it)
    copyfileobj(file, unpacked)
    return unpacked


def _parquet(path: Path, file: IO[bytes], wanted: Sequence[str] | None, stack: ExitStack) -> Table:
    source = stack.enter_context(parquet.ParquetFile(file, pre_buffer=False))
    columns = list(source.schema_arrow.names)
    table = Table(columns, iter(()))
    chosen = columns if wanted is None else [name for name in columns if name in wanted]
    _refuse_twins(chosen)
    table.batches = _parquet_batches(path, source, table, chosen)
    return table


def _parquet_batches(path: Path, source: Any, table: Table, chosen: Sequence[str]) -> Iterator[Batch]:
    done, rows = 0, source.metadata.num_rows
    try:
        for batch in source.iter_batches(batch_size=BATCH_ROWS, columns=list(chosen)):
            arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield Batch(arrays, np.arange(done, done + batch.num_rows, dtype=np.int64))
            done += batch.num_rows
            table.fraction = done / rows if rows else 1.0
    except (pa.ArrowException, OSError) as error:
        raise BadRow(path, done + 1, _said(error)) from None


def _refuse_twins(columns: Sequence[str]) -> None:
    twins = sorted({name for name in columns if columns.count(name) > 1})
    if twins:
        raise ValueError(f"column '{twins[0]}' is there {columns.count(twins[0])} times")


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
