"""Writing to the archive: changes to one series that happen wholly or not at all.

In:   rows of an import, or of a stream that may be brought again.   Out: files replaced by renames, through to the disk.
Not:  reading (`barque_archive.archive`); deciding which of two contradicting rows is right.

A writer takes the lock of a series (`.lock` in its folder, an advisory lock that ends with its process), so an import and an
archiver may work on one series at the same time. On network file systems that do not keep such locks, use one writer.
"""

from __future__ import annotations

import fcntl
import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from barque.bus.wire import id_key
from barque_archive import merging, partitions
from barque_archive.columns import BarColumns, Integers, MarketColumns, in_order, key_ns, run_index, take
from barque_archive.layout import files_of, folder_of, older, path_at, period_end, period_starts, start_of, unit_of
from barque_archive.merging import Conflicts, Merged
from barque_archive.partitions import About, ArchiveError, Mark, Writing
from barque_archive.series import Series

LOCK, TEMPORARY = ".lock", ".tmp"
LOCK_S = 30.0
"""How long a writer waits for another."""
FULL_ROWS = 1_000_000
"""A file with so many rows is full: later ones begin another. It bounds what one change reads and writes, some 100 MB."""
NEVER = 2**63 - 1


@dataclass(slots=True)
class Changed:
    """What was prepared, over all files."""

    added: int = 0
    equal: int = 0
    """Rows that were there already."""
    conflicts: int = 0
    """Rows that were there with other values."""
    example: str = ""
    """The first of these, in words."""
    crossing: str = ""
    """The first bars that overlap, in words."""

    def note(self, merged: Merged) -> None:
        """One file more."""
        self.added, self.equal = self.added + merged.added, self.equal + merged.equal
        self.conflicts += merged.conflicts
        self.example = self.example or merged.example
        self.crossing = self.crossing or merging.overlap(merged.columns)


class Edit:
    """Changes to one series, under its lock: prepared one by one beside the files, then put in place together.

    What is not published by the end of the block is as if it had never been. A process that dies between two renames of one
    publication leaves whole files, some old and some new; the same import or flush again completes it.
    """

    def __init__(self, root: Path, series: Series, lock_s: float = LOCK_S, full_rows: int = FULL_ROWS) -> None:
        """`root`: the archive's folder; it need not exist yet."""
        self._root, self._series, self._lock_s, self._full_rows = root, series, lock_s, full_rows
        self._folder, self._unit = folder_of(root, series), unit_of(series)
        self._prepared: dict[Path, Path] = {}

    def __enter__(self) -> Self:
        self._made_root = not self._root.exists()
        self._lock = self._take_lock()
        for left_over in self._folder.glob(f".*{TEMPORARY}"):  # of a writer that died: it had the lock
            left_over.unlink()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for prepared in self._prepared.values():
            prepared.unlink(missing_ok=True)
        if not files_of(self._root, self._series):
            self._remove_folders()
        self._lock.close()

    def merge(self, new: MarketColumns, conflicts: Conflicts) -> Changed:
        """Prepare `new` rows, in order, among those that are there; see `barque_archive.merging.merge`."""
        change = Changed()
        for path, rows in self._places(key_ns(new)):
            about, there = self._there(path)
            merged = merging.merge(there, take(new, rows), conflicts)
            change.note(merged)
            if merged.columns is not there:
                self._prepare(path, merged.columns, _writing(about))
        return change

    def append(self, new: MarketColumns, stream: Passage) -> Changed:
        """Prepare what a writer's stream brought, in the order of the stream: each row once, however often its entry is brought.

        A bar that is there already stays as it is. Ticks of one time stay in their order; in a file that another source began,
        the k-th tick of a time here is the k-th there, and where they differ the file's stays.
        """
        change = Changed()
        for path, rows in self._places(key_ns(new)):
            change.note(self._append(path, take(new, rows), stream.of(rows)))
        return change

    def _append(self, path: Path, new: MarketColumns, stream: Passage) -> Merged:
        about, there = self._there(path)
        if isinstance(new, BarColumns):
            merged = merging.merge(there, merging.first_of_each(in_order(new)), "keep")
            if merged.columns is not there:
                self._prepare(path, merged.columns, _writing(about, stream.writer))
            return merged
        mark = about.marks.get(stream.writer) if about else None
        ticks = in_order(take(new, slice(stream.passed(mark), None)))
        if not len(ticks):
            return Merged(new if there is None else there)
        if about is None or about.begun_by == stream.writer:
            merged = merging.append(there, ticks)
        else:
            merged = merging.merge(there, ticks, "keep", _numbers(ticks, mark))
        writing = _writing(about, stream.writer)
        marks = {**writing.marks, stream.writer: _mark(stream.entry_ids[-1], ticks, mark)}
        self._prepare(path, merged.columns, Writing(writing.begun_by, marks))
        return merged

    def publish(self) -> None:
        """Put everything prepared in place, and through to the disk."""
        with _disk_errors(self._folder):
            for path, prepared in self._prepared.items():
                prepared.replace(path)
            if self._prepared:
                _sync(self._folder)
        self._prepared.clear()

    def prune(self, before_ns: int) -> list[Path]:
        """Remove, at once, the files whose whole time is before `before_ns`; returns them."""
        old = older(files_of(self._root, self._series), self._unit, before_ns)
        with _disk_errors(self._folder):
            for path in old:
                path.unlink()
        return old

    def _places(self, times: Integers) -> Iterator[tuple[Path, Integers]]:
        """The file of each row: (file, indices of its rows), files in order of time. A full file, the last of its period, is
        followed by a new one that begins with the first row after its last."""
        paths = {*files_of(self._root, self._series), *self._prepared}
        begun = {start_of(path, self._unit) for path in paths}
        starts = np.array(sorted(begun | period_starts(times, self._unit)), np.int64)
        places = np.searchsorted(starts, times, side="right") - 1
        for place in np.unique(places).tolist():
            rows, path = np.flatnonzero(places == place), path_at(self._folder, int(starts[place]), self._unit)
            ends = period_end(int(starts[place]), self._unit)
            is_last = place + 1 == len(starts) or int(starts[place + 1]) >= ends
            later = times[rows] > self._full_until(path) if is_last else np.zeros(len(rows), np.bool_)
            if not later.all():
                yield path, rows[~later]
            if later.any():
                yield path_at(self._folder, int(times[rows[later]].min()), self._unit), rows[later]

    def _full_until(self, path: Path) -> int:
        """The time of the last row of a full file; otherwise a time that never comes."""
        current = self._prepared.get(path, path)
        if not current.exists():
            return NEVER
        about = partitions.about(current, self._series)
        return about.last_ns if about.rows >= self._full_rows else NEVER

    def _there(self, path: Path) -> tuple[About | None, MarketColumns | None]:
        current = self._prepared.get(path, path)
        if not current.exists():
            return None, None
        found = partitions.read(current, self._series)
        return found.about, found.columns

    def _prepare(self, path: Path, columns: MarketColumns, writing: Writing) -> None:
        prepared = path.with_name(f".{path.name}{TEMPORARY}")
        self._prepared[path] = prepared
        with _disk_errors(self._folder):
            partitions.write(prepared, self._series, columns, writing)

    def _take_lock(self) -> IO[bytes]:
        path, deadline = self._folder / LOCK, time.monotonic() + self._lock_s
        while True:
            with _disk_errors(self._folder):
                try:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    lock = path.open("wb")
                except (FileNotFoundError, FileExistsError):  # its last holder is just removing the empty folders
                    if self._folder.is_file():
                        raise
                    continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                    return lock
            except FileNotFoundError:  # so the lock is that of a file which is gone
                pass
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    lock.close()
                    text = f"another process has been writing {self._series} for {self._lock_s:g} s; try again"
                    raise ArchiveError(f"{self._root}: {text}") from None
                time.sleep(0.02)
            lock.close()

    def _remove_folders(self) -> None:
        """Leave no empty folder behind; whoever waits for the lock in it makes it anew."""
        (self._folder / LOCK).unlink(missing_ok=True)
        for folder in (self._folder, *self._folder.parents):
            if folder == self._root and not self._made_root:
                return
            try:
                folder.rmdir()
            except OSError:  # there is something else in it
                return
            if folder == self._root:
                return


@dataclass(frozen=True, slots=True)
class Passage:
    """Where rows come from: entries of a stream, and which of them each row was in."""

    writer: str
    entry_ids: Sequence[str]
    """In the order of the stream."""
    entries: Integers
    """Per row the index of its entry, never falling."""

    def of(self, rows: Integers) -> Passage:
        """Where some of the rows come from."""
        return Passage(self.writer, self.entry_ids, self.entries[rows])

    def passed(self, mark: Mark | None) -> int:
        """How many of the rows are in a file with this mark already."""
        if mark is None:
            return 0
        first_news = bisect_right(self.entry_ids, id_key(mark.entry_id), key=id_key)
        return int(self.entries.searchsorted(first_news))


def _writing(about: About | None, writer: str = "") -> Writing:
    return Writing(writer) if about is None else Writing(about.begun_by, about.marks)


def _mark(entry_id: str, ticks: MarketColumns, mark: Mark | None) -> Mark:
    """The mark after `ticks`, in order and at least one: the newest time, and how many ticks of the stream have it."""
    times = key_ns(ticks)
    newest = max(int(times[-1]), mark.ts_ns if mark else int(times[-1]))
    before = mark.count if mark and mark.ts_ns == newest else 0
    return Mark(entry_id, newest, before + int((times == newest).sum()))


def _numbers(ticks: MarketColumns, mark: Mark | None) -> Integers:
    """Which of its time each tick of the stream is; those of the mark's time go on counting."""
    times = key_ns(ticks)
    return run_index(times) + (np.where(times == mark.ts_ns, mark.count, 0) if mark else 0)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"archive folder {folder} cannot be written: {error.strerror or error}") from error
