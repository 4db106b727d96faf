"""A file into the archive: all of it, or nothing.

In:   a source, an archive.   Out: files of the archive with the source's rows among theirs, and what came of it.
Not:  a bad row, a contradiction or a full disk half-way: everything is prepared beside the files and put in place at the end.

The same rows again change nothing, not even a file's date. In memory are at most `FULL_ROWS` rows of a series, what one of its
files holds, and a stretch of the source.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from barque.errors import ConfigError
from barque_archive.columns import MarketColumns, concat, key_ns, series_of, take
from barque_archive.edits import FULL_ROWS, Changed, Edit
from barque_archive.layout import by_period, unit_of
from barque_archive.merging import Conflicts
from barque_archive.partitions import ArchiveError
from barque_archive.series import Series
from barque_archive.sources import Source


@dataclass(slots=True)
class Imported:
    """What an import came to."""

    rows: int = 0
    """Read, of all series."""
    added: int = 0
    equal: int = 0
    """There already."""
    conflicts: int = 0
    """There with other values; with `keep` the archive's stayed, with `replace` the new ones came in."""
    example: str = ""
    """The first conflict, in words."""
    first_ns: int = 0
    last_ns: int = 0
    series: list[Series] = field(default_factory=list)


def import_into(
    root: Path,
    source: Source,
    conflicts: Conflicts = "refuse",
    progress: Callable[[float], None] = lambda _: None,
    full_rows: int = FULL_ROWS,
) -> Imported:
    """Read all of `source` into the archive at `root`; `progress` is told the fraction done.

    Raises `BadRow` for a row that is none, `ArchiveError` where rows contradict those that are there and `conflicts` is `refuse`,
    `ConfigError` where there are no rows. Then nothing has changed.
    """
    result = Imported(series=list(source.series))
    with ExitStack() as stack:
        edits = {series: stack.enter_context(Edit(root, series, full_rows=full_rows)) for series in sorted(source.series)}
        pending: dict[Series, _Pending] = {series: _Pending() for series in edits}

        def merge(series: Series, whole_times: bool = False) -> None:
            rows = pending[series].taken(whole_times)
            if rows is not None:
                _note(root, series, edits[series].merge(rows, conflicts), conflicts, result)

        for columns in source:
            series = series_of(columns)
            _count(result, columns)
            for period, part in by_period(columns, unit_of(series)):
                if pending[series].period != period:
                    merge(series)
                elif pending[series].rows >= full_rows:
                    merge(series, whole_times=True)
                pending[series].add(period, part)
            progress(source.fraction)
        for series in edits:
            merge(series)
        if not result.rows:
            raise ConfigError(f"nothing to import: {getattr(source, 'path', 'the source')} has no rows")
        for edit in edits.values():
            edit.publish()
    return result


@dataclass(slots=True)
class _Pending:
    """Rows of one period that go into the archive together."""

    period: str = ""
    rows: int = 0
    parts: list[MarketColumns] = field(default_factory=list)

    def add(self, period: str, part: MarketColumns) -> None:
        self.period, self.rows = period, self.rows + len(part)
        self.parts.append(part)

    def taken(self, whole_times: bool) -> MarketColumns | None:
        """All rows, and none are left; with `whole_times` those of the last time stay, for more of them may come."""
        if not self.parts:
            return None
        rows = concat(self.parts)
        cut = int(np.searchsorted(key_ns(rows), key_ns(rows)[-1])) if whole_times else len(rows)
        rest = take(rows, slice(cut, None))
        self.parts, self.rows = [rest] if len(rest) else [], len(rest)
        return take(rows, slice(0, cut)) if cut else None


def _note(root: Path, series: Series, change: Changed, conflicts: Conflicts, result: Imported) -> None:
    result.added, result.equal = result.added + change.added, result.equal + change.equal
    result.conflicts += change.conflicts
    result.example = result.example or change.example
    if conflicts == "refuse" and change.conflicts:
        text = f"{change.example}; say with --conflicts which is to stay: keep or replace"
        raise ArchiveError(f"{root}: {series} contradicts what is there: {text}")
    if conflicts == "refuse" and change.crossing:
        raise ArchiveError(f"{root}: {series} does not fit what is there: {change.crossing}")


def _count(result: Imported, columns: MarketColumns) -> None:
    times = key_ns(columns)
    result.first_ns = int(times[0]) if not result.rows else min(result.first_ns, int(times[0]))
    result.last_ns = max(result.last_ns, int(times[-1])) if result.rows else int(times[-1])
    result.rows += len(columns)
