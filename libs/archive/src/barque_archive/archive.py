"""The archive: market data on disk, by series and period, that several processes may read and write.

In:   a folder.   Out: its series, rows of a range, the last rows before a time.
Not:  writing (`barque_archive.edits`). Readers take no lock: a file is replaced by a rename, so they see it as it was or is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from barque_archive import layout, partitions
from barque_archive.columns import BarColumns, MarketColumns, concat, take
from barque_archive.layout import files_of
from barque_archive.partitions import ArchiveError
from barque_archive.series import Series
from barque_archive.structs import event_times

DAY_NS = 86_400 * 10**9
WEEK_NS = 7 * DAY_NS
"""No bar is longer."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the archive has of one series."""

    series: Series
    rows: int
    days: int
    """UTC days that have rows."""
    first_ns: int
    """Times of the first and the last row; a bar's open."""
    last_ns: int
    files: int
    size_bytes: int


class Archive:
    """One archive folder; one that does not exist has no series."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def series(self) -> list[Series]:
        """Every series that has rows, in order."""
        return [series for series in layout.series_under(self.root) if files_of(self.root, series)]

    def facts(self, series: Series) -> SeriesFacts:
        """Rows, days and size of a series; raises `ArchiveError` where it has none or a file cannot be read."""
        paths = files_of(self.root, series)
        found = [partitions.about(path, series) for path in paths]
        if not found:
            raise ArchiveError(f"{self.root} has nothing of {series}")
        size = sum(path.stat().st_size for path in paths)
        rows, days = sum(each.rows for each in found), sum(each.days for each in found)
        days -= sum(a.last_ns // DAY_NS == b.first_ns // DAY_NS for a, b in pairwise(found))
        return SeriesFacts(series, rows, days, found[0].first_ns, found[-1].last_ns, len(paths), size)

    def read(self, series: Series, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[MarketColumns]:
        """Rows whose time (a bar's open) is in [from, to), oldest first, at most `partitions.ROW_GROUP` at once."""
        for path in self.files(series, from_ns, to_ns):
            yield from partitions.chunks(path, series, from_ns, to_ns)

    def last(self, series: Series, rows: int, before_ns: int) -> MarketColumns | None:
        """The last `rows` rows known at `before_ns`: ticks before it, bars closed by then. Fewer where there are no more."""
        parts: list[MarketColumns] = []
        for path in reversed(self.files(series, None, before_ns)):
            if rows <= 0:
                break
            columns = partitions.read(path, series).columns
            known = take(columns, known_at(columns, before_ns))
            parts.insert(0, take(known, slice(-rows, None)))
            rows -= len(parts[0])
        return concat(parts) if any(len(part) for part in parts) else None

    def since(self, series: Series, from_ns: int, before_ns: int) -> MarketColumns | None:
        """The rows that became known from `from_ns` on and are known at `before_ns`; None where there are none."""
        parts = []
        for columns in self.read(series, from_ns - WEEK_NS, before_ns):
            known = take(columns, known_at(columns, before_ns))
            parts.append(take(known, event_times(known) >= from_ns))
        return concat(parts) if any(len(part) for part in parts) else None

    def files(self, series: Series, from_ns: int | None = None, to_ns: int | None = None) -> list[Path]:
        """The files whose time touches [from, to), oldest first; raises `ArchiveError` for one whose name says none."""
        try:
            found = layout.spans(files_of(self.root, series), layout.unit_of(series))
        except ValueError as error:
            raise ArchiveError(f"{error}; move it away") from None
        return [
            span.path for span in found if (to_ns is None or span.first_ns < to_ns) and (from_ns is None or span.end_ns > from_ns)
        ]

    def older(self, series: Series, before_ns: int) -> list[Path]:
        """The files whose time has ended by then."""
        return layout.older(files_of(self.root, series), layout.unit_of(series), before_ns)


def known_at(columns: MarketColumns, ts_ns: int) -> slice:
    """The rows that are known at a time: ticks before it, bars closed by then."""
    times = event_times(columns)
    if isinstance(columns, BarColumns):
        return slice(0, int(np.searchsorted(times, ts_ns, side="right")))
    return slice(0, int(np.searchsorted(times, ts_ns)))
