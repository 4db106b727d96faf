"""Recorded files as messages, row by row, and several of them as one sequence of steps.

In:   CSV or Parquet, plain or .gz.   Out: (event time, messages), oldest first, in bounded memory.
Not:  pace. Whoever publishes decides how fast.

A file that is missing or lacks columns raises `ConfigError` when it is opened, before anything is published; a row that
cannot be read raises `WireError` naming file and row (its line in a CSV file, header included; its number in Parquet).
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge as merge_sorted
from io import TextIOWrapper
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any, TypeAlias, cast

from barque.errors import ConfigError, WireError
from barque.messages import Bar, Message, time_of
from barque.messages.market import PriceType
from feed_replay.core.decode import TIMESTAMPS, Clock, Kind, Labels, Row, kind_of, row_decoder

Step: TypeAlias = tuple[int, list[Message]]
"""All messages of one event time."""

PARQUET_BATCH_ROWS = 8_192


class Recording:
    """One file whose columns have been checked. Each iteration reads it from its start: the messages of one row at a time."""

    def __init__(self, path: Path, labels: Labels) -> None:
        self._path, self._labels = path, labels
        with _opened(path) as table:
            try:
                row_decoder(table.columns, labels)
                self.kind: Kind = kind_of(table.columns)
            except ConfigError as error:
                raise ConfigError(f"recorded file {path}: {error}") from None

    def __iter__(self) -> Iterator[list[Message]]:
        path = self._path
        with _opened(path) as table:
            decode = row_decoder(table.columns, self._labels, table.clock)
            for number, row in table.rows:
                try:
                    messages = decode(row)
                except (ValueError, TypeError) as error:
                    raise _bad_row(path, number, error) from None
                yield messages


def open_source(path: Path, symbol: str, interval: str = "1m", price: PriceType = "last") -> Recording:
    """A recorded file of `symbol`; `interval` and `price` say what its bars are, where it holds bars.

    Raises `ConfigError` where the file is missing, its columns are not known, or `interval` is none.
    """
    return Recording(path, Labels(symbol, interval, price))


def merge(sources: Sequence[Iterable[Sequence[Message]]]) -> Iterator[Step]:
    """The rows of all sources as steps of strictly increasing event time; the order of `sources` decides inside a step.

    Ask bars come last in theirs, so a bid bar is never behind the ask bar of its time. A row older than the row before it
    stays behind it, in that row's step: a late tick is late again.
    """
    rows = merge_sorted(*(_timed(source) for source in sources), key=itemgetter(0))
    for ts_ns, group in groupby(rows, key=itemgetter(0)):
        messages = [message for _, row in group for message in row]
        if len(messages) > 1:
            messages.sort(key=_is_ask_bar)
        yield ts_ns, messages


def _timed(source: Iterable[Sequence[Message]]) -> Iterator[tuple[int, Sequence[Message]]]:
    newest_ns = -(2**63)
    for row in source:
        newest_ns = max(newest_ns, time_of(row[0]))
        yield newest_ns, row


def _is_ask_bar(message: Message) -> bool:
    return isinstance(message, Bar) and message.price == "ask"


class _Table:
    """An open file: its columns, its rows with their numbers, and how its timestamps are read where their type says it."""

    def __init__(self, columns: Sequence[str], rows: Iterator[tuple[int, Row]], clock: Clock | None = None) -> None:
        self.columns, self.rows, self.clock = columns, rows, clock


@contextmanager
def _opened(path: Path) -> Iterator[_Table]:
    zipped = path.suffix == ".gz"
    suffix = Path(path.stem).suffix if zipped else path.suffix
    readers: dict[str, Callable[[Path, IO[bytes], ExitStack], _Table]] = {".csv": _csv, ".parquet": _parquet}
    if suffix not in readers:
        raise ConfigError(f"recorded file {path}: name ends in '{suffix}'; expected .csv or .parquet, plain or .gz")
    with ExitStack() as stack:
        try:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            if zipped:
                unzipped = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=file)))
                file = unzipped
                if suffix == ".parquet":  # read from its end: unpacked to disk first, never into memory
                    file = stack.enter_context(TemporaryFile())
                    copyfileobj(unzipped, file)
            table = readers[suffix](path, file, stack)
        except FileNotFoundError:
            raise ConfigError(f"recorded file {path} does not exist") from None
        except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
            raise ConfigError(f"recorded file {path} cannot be read: {error}") from None
        yield table


def _csv(path: Path, file: IO[bytes], stack: ExitStack) -> _Table:
    reader = csv.reader(stack.enter_context(TextIOWrapper(file, encoding="utf-8-sig", newline="")))
    columns = [name.strip() for name in next(reader, [])]
    return _Table(columns, _csv_rows(path, reader, len(columns)))


def _csv_rows(path: Path, reader: Any, width: int) -> Iterator[tuple[int, Row]]:
    try:
        for row in reader:
            if len(row) != width:
                if not row:
                    continue
                raise ValueError(f"{len(row)} values, {width} expected")
            yield reader.line_num, row
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise _bad_row(path, reader.line_num, error) from None


def _parquet(path: Path, file: IO[bytes], stack: ExitStack) -> _Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{path}: reading Parquet needs pyarrow; install feed-replay[parquet]") from None
    source = stack.enter_context(parquet.ParquetFile(file))
    names = source.schema_arrow.names
    stamp = next((name for name in TIMESTAMPS if name in names), "")
    if not stamp or not pa.types.is_temporal(source.schema_arrow.field(stamp).type):
        return _Table(names, _parquet_rows(path, source, ""))
    return _Table(names, _parquet_rows(path, source, stamp), int)


def _parquet_rows(path: Path, source: Any, stamp: str) -> Iterator[tuple[int, Row]]:
    """`stamp`: the column of Arrow timestamps, if there is one; handed on as exact ns."""
    import pyarrow as pa

    number = 0
    try:
        for batch in source.iter_batches(batch_size=PARQUET_BATCH_ROWS):
            columns = []
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if name == stamp:
                    zone = getattr(column.type, "tz", None)
                    column = column.cast(pa.timestamp("ns", zone)).cast(pa.int64())
                columns.append(column.to_pylist())
            for row in zip(*columns, strict=True):
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise _bad_row(path, number + 1, error) from None


def _bad_row(path: Path, number: int, error: Exception) -> WireError:
    return WireError(f"{path}: row {number}: {error}")
