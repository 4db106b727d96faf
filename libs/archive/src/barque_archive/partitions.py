"""One file of the archive: rows of one series and period, sorted, in Parquet.

In:   columns, or a path.   Out: a file that is whole or not there; columns, or what the file says of itself.
Not:  which file (`barque_archive.layout`), who may write (`barque_archive.archive`).

Columns: `timestamp`, of bars `ts_open` and `ts_close`, and values under the names of the messages, so that any tool
that reads Parquet reads them, and `FileSource` too. Metadata `barque`: JSON, see `About`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from barque.errors import BarqueError
from barque.messages.market import PriceType
from barque_archive.arrow import array_of, values_of
from barque_archive.columns import BarColumns, MarketColumns, QuoteColumns, TradeColumns, between, key_ns
from barque_archive.series import Series, SeriesKind

SCHEMA = 1
ROW_GROUP = 32_768
_NS_PER_DAY = 86_400 * 10**9
TIME = pa.timestamp("ns", "UTC")
TIMES: Mapping[str, str] = {"ts_open_ns": "ts_open", "ts_event_ns": "timestamp", "ts_close_ns": "ts_close"}
FIELDS: Mapping[SeriesKind, tuple[str, ...]] = {
    "bars": ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume", "tick_count", "seq"),
    "quotes": ("ts_event_ns", "bid", "ask", "bid_size", "ask_size"),
    "trades": ("ts_event_ns", "price", "size"),
}
_KINDS: Mapping[SeriesKind, Any] = {"bars": BarColumns, "quotes": QuoteColumns, "trades": TradeColumns}


class ArchiveError(BarqueError):
    """The archive cannot be used as asked; the text names the file or series."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far one writer's stream has come in a file."""

    entry_id: str
    ts_ns: int
    """Time of the last row."""
    count: int
    """Rows of that time so far."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself."""

    schema: int = SCHEMA
    symbol: str
    kind: SeriesKind
    interval: str = ""
    price: str = ""
    rows: int
    first_ns: int
    """Times of the first and the last row; a bar's open."""
    last_ns: int
    days: int
    """UTC days that have rows."""
    begun_by: str = ""
    """The writer whose stream began the file; empty: an import."""
    marks: dict[str, Mark] = {}

    @property
    def series(self) -> Series:
        """Whose rows these are."""
        return Series(self.symbol, self.kind, self.interval, self.price)


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(About).decode


@dataclass(frozen=True, slots=True)
class Partition:
    """A file as it is: what it says of itself, and its rows."""

    about: About
    columns: MarketColumns


@dataclass(frozen=True, slots=True)
class Writing:
    """Who writes a partition, beside its rows."""

    begun_by: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)


def write(path: Path, series: Series, columns: MarketColumns, writing: Writing) -> None:
    """Write rows, in order, to a new file and through to the disk. At least one row."""
    times = key_ns(columns)
    about = About(
        symbol=series.symbol,
        kind=series.kind,
        interval=series.interval,
        price=series.price,
        rows=len(columns),
        first_ns=int(times[0]),
        last_ns=int(times[-1]),
        days=len(np.unique(times // _NS_PER_DAY)),
        begun_by=writing.begun_by,
        marks=dict(writing.marks),
    )
    table = table_of(columns, FIELDS[series.kind]).replace_schema_metadata({"barque": _encode(about)})
    with path.open("wb") as file:
        parquet.write_table(
            table,
            file,
            compression="zstd",
            row_group_size=ROW_GROUP,
            use_dictionary=False,
            column_encoding={column.name: _encoding(column.type) for column in table.schema},
        )
        file.flush()
        os.fsync(file.fileno())


def table_of(columns: MarketColumns, names: Sequence[str]) -> pa.Table:
    """Some of the arrays of `columns` as a table, times as times."""
    arrays = [array_of(getattr(columns, name)) for name in names]
    typed = [array.cast(TIME) if name in TIMES else array for name, array in zip(names, arrays, strict=True)]
    return pa.Table.from_arrays(typed, names=[TIMES.get(name, name) for name in names])


def about(path: Path, series: Series) -> About:
    """What a file says of itself; raises `ArchiveError` where it cannot be read or is another series'."""
    with _opened(path, series) as (_, found):
        return found


def read(path: Path, series: Series) -> Partition:
    """A whole file; raises `ArchiveError`."""
    with _opened(path, series) as (file, found):
        return Partition(found, _columns(series, file.read()))


def chunks(path: Path, series: Series, from_ns: int | None, to_ns: int | None) -> Iterator[MarketColumns]:
    """The rows of a file in [from, to), a row group at a time; groups outside are not read."""
    with _opened(path, series) as (file, _):
        for index in range(file.metadata.num_row_groups):
            first, last = _span(file.metadata.row_group(index))
            if (to_ns is not None and first >= to_ns) or (from_ns is not None and last < from_ns):
                continue
            columns = between(_columns(series, file.read_row_group(index)), from_ns, to_ns)
            if len(columns):
                yield columns


class _opened:
    """A Parquet file of a series with its metadata, closed at the end of the block."""

    def __init__(self, path: Path, series: Series) -> None:
        self._path, self._series = path, series

    def __enter__(self) -> tuple[Any, About]:
        try:
            self._file = parquet.ParquetFile(self._path, pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(
                f"{self._path} cannot be read: {str(error).partition(chr(10))[0]}; see `barque data check`"
            ) from None
        try:
            return self._file, self._about()
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _about(self) -> About:
        metadata = self._file.schema_arrow.metadata or {}
        try:
            found = _decode(metadata[b"barque"])
        except (KeyError, msgspec.MsgspecError):
            raise ArchiveError(f"{self._path} is no file of an archive: it does not say what it holds; import it") from None
        if found.schema > SCHEMA:
            raise ArchiveError(f"{self._path} has schema {found.schema}, this version reads {SCHEMA}; use a newer version")
        if found.series != self._series:
            raise ArchiveError(f"{self._path} holds {found.series}, and stands where {self._series} belongs; move it away")
        return found


def _columns(series: Series, table: Any) -> MarketColumns:
    values: dict[str, Any] = {}
    for name in FIELDS[series.kind]:
        column = table.column(TIMES.get(name, name)).combine_chunks()
        values[name] = values_of(column.cast(pa.int64()) if name in TIMES else column)
    if series.kind == "bars":
        values |= {"interval": series.interval, "price": cast(PriceType, series.price)}
    return cast(MarketColumns, _KINDS[series.kind](symbol=series.symbol, **values))


def _encoding(kind: pa.DataType) -> str:
    return "BYTE_STREAM_SPLIT" if pa.types.is_floating(kind) else "DELTA_BINARY_PACKED"


def _span(group: Any) -> tuple[int, int]:
    """First and last time of a row group, which is its first column."""
    statistics = group.column(0).statistics
    return int(statistics.min_raw), int(statistics.max_raw)
