"""A series to one file that others read: CSV or Parquet.

In:   a source of one series.   Out: a file that is whole or not there.
Not:  other people's formats. Columns have our names and times are UTC, so that `FileSource` reads back what was written.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from barque.errors import ConfigError
from barque_archive.columns import MarketColumns
from barque_archive.partitions import FIELDS, TIME, TIMES, table_of
from barque_archive.series import duration_ns
from barque_archive.sources import Source

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def export(source: Source, out: Path, progress: Callable[[float], None] = lambda _: None) -> int:
    """Write the rows of `source`, one series, to `out`, by the ending of its name; how many they are.

    Raises `ConfigError` for an ending that is none, several series, or no rows; then there is no file.
    """
    if not out.name.endswith(SUFFIXES):
        raise ConfigError(f"{out}: name ends in '{''.join(out.suffixes)}'; expected {', '.join(SUFFIXES)}")
    if len(source.series) > 1:
        raise ConfigError(f"{out}: one file holds one series, not {' and '.join(map(str, source.series))}; choose a price")
    (series,) = source.series
    names = [name for name in FIELDS[series.kind] if name != "seq" or duration_ns(series.interval) is None]
    rows = 0
    with _put_in_place(out) as file, _writer(file, out, names) as write:
        for columns in source:
            write(columns)
            rows += len(columns)
            progress(source.fraction)
        if not rows:
            raise ConfigError(f"nothing to export: {series} has no rows in this range")
    return rows


@contextmanager
def _writer(file: IO[bytes], out: Path, names: list[str]) -> Iterator[Callable[[MarketColumns], None]]:
    text = not out.name.endswith(".parquet")
    kinds = {name: pa.int64() if name in ("tick_count", "seq") else pa.float64() for name in names}
    kinds |= {name: pa.string() if text else TIME for name in names if name in TIMES}
    schema = pa.schema([(TIMES.get(name, name), kind) for name, kind in kinds.items()])
    if text:
        options = arrow_csv.WriteOptions(quoting_style="none", quoting_header="none")
        sink: Any = arrow_csv.CSVWriter(file, schema, write_options=options)
    else:
        sink = parquet.ParquetWriter(file, schema, compression="zstd")

    def write(columns: MarketColumns) -> None:
        table = table_of(columns, names)
        sink.write_table(_with_text(table) if text else table)

    with sink:
        yield write


def _with_text(table: pa.Table) -> pa.Table:
    """Times as `2014-05-01T00:00:00Z`, with as many digits of a second as the rows need."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            times = table.column(index).combine_chunks().cast(pa.timestamp("ns"))
            table = table.set_column(index, field.name, pc.strftime(_coarsest(times), "%Y-%m-%dT%H:%M:%SZ"))
    return table


def _coarsest(times: pa.Array) -> pa.Array:
    for unit in ("s", "ms", "us"):
        try:
            return times.cast(pa.timestamp(unit))
        except pa.ArrowInvalid:  # it would lose something
            continue
    return times


@contextmanager
def _put_in_place(out: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when the block ends without an error."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as raw:
                if out.suffix == ".gz":
                    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as file:
                        yield cast(IO[bytes], file)
                else:
                    yield raw
                raw.flush()
                os.fsync(raw.fileno())
            temporary.replace(out)
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
