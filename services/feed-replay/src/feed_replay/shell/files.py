"""Recorded files, and series of an archive, as messages, row by row.

In:   CSV or Parquet, plain or .gz, or an archive's folder.   Out: the messages of one row at a time, in bounded memory.
Not:  judging rows. Late rows stay late and impossible ticks stay in: others deal with them, as they would live.

A recording that is missing or lacks columns raises `ConfigError` when it is opened, before anything is published; a row that
cannot be read raises `WireError` naming file and row, once what precedes it has been given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from barque.errors import ConfigError
from barque.messages import Message
from barque.messages.market import PriceType
from barque_archive.archive import Archive
from barque_archive.files import AS_RECORDED, FileSource
from barque_archive.kinds import FileKind
from barque_archive.series import SeriesKind
from barque_archive.sources import ArchiveSource, find
from barque_archive.structs import in_chunks, messages_of
from barque_archive.times import time_ns
from feed_replay.config import FileConfig
from feed_replay.core.steps import Step, merge

CHUNK_ROWS = 2_048
"""Rows that are messages at one time."""
Span = tuple[int | None, int | None]


class Recording:
    """One file or series that has been looked at. Each iteration reads it from its start: the messages of one row at a time."""

    def __init__(self, source: FileSource | ArchiveSource) -> None:
        self.source = source
        """The same as columns."""
        self.kind: FileKind = source.kind if isinstance(source, FileSource) else source.series[0].kind

    def __iter__(self) -> Iterator[list[Message]]:
        source = self.source
        groups = source.groups() if isinstance(source, FileSource) else ((columns,) for columns in source)
        for group in groups:
            for parts in zip(*(in_chunks(columns, CHUNK_ROWS) for columns in group), strict=True):
                yield from map(list, zip(*map(messages_of, parts), strict=True))


def open_source(
    path: Path,
    symbol: str,
    interval: str = "1m",
    price: PriceType = "last",
    kind: SeriesKind = "bars",
    span: Span = (None, None),
) -> Recording:
    """A recorded file of `symbol`, or where `path` is a folder its series of an archive.

    `interval` and `price` say what its bars are, where it holds bars; a file of bid and ask bars says its prices itself.
    `kind` is of archives alone. `span`: rows with times (a bar's open) in [from, to) ns UTC. Raises `ConfigError` where
    the recording is missing, its columns are not known, or `interval` is none.
    """
    if path.is_dir():
        archive = Archive(path)
        return Recording(ArchiveSource(archive, find(archive, symbol, kind, interval, price), *span))
    source = FileSource(path, symbol, interval, None, AS_RECORDED, span)
    return Recording(FileSource(path, symbol, interval, price, AS_RECORDED, span) if source.kind == "bars" else source)


def recording_of(file: FileConfig) -> Recording:
    """What one `[[feed_replay.files]]` says; raises `ConfigError`."""
    span = _time("from_utc", file.from_utc), _time("to_utc", file.to_utc)
    return open_source(file.path, file.symbol, file.interval, file.price, file.kind, span)


def _time(key: str, text: str) -> int | None:
    try:
        return time_ns(text) if text else None
    except ValueError as error:
        raise ConfigError(f"key 'feed_replay.files.{key}': {error}") from None


__all__ = ["Recording", "Step", "merge", "open_source", "recording_of"]
