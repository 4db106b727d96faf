"""Market data from wherever it is, as one kind of thing: series, and columns in order of time.

In:   a file, or an archive's folder; which series of it, and which time.   Out: a `Source`.
Not:  several series in one order; whoever needs that merges sources by event time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from barque.errors import ConfigError, nearest
from barque.messages.market import PriceType
from barque_archive.archive import Archive
from barque_archive.columns import MarketColumns, key_ns
from barque_archive.files import FileSource, Reading
from barque_archive.series import Series, SeriesKind


class Source(Protocol):
    """One or more series that are read together."""

    @property
    def series(self) -> tuple[Series, ...]:
        """What it holds: one series, or of a file of bid and ask bars both, bid first."""
        ...

    @property
    def fraction(self) -> float:
        """How much of it the iteration under way has read, 0 to 1."""
        ...

    def __iter__(self) -> Iterator[MarketColumns]:
        """Its rows from the start, some thousands at a time, oldest first; where there are two series, each stretch of the
        one is followed by the same stretch of the other."""
        ...


class ArchiveSource:
    """One series of an archive."""

    def __init__(self, archive: Archive, series: Series, from_ns: int | None = None, to_ns: int | None = None) -> None:
        self.series = (series,)
        self.fraction = 0.0
        self._archive, self._span = archive, (from_ns, to_ns)

    def __iter__(self) -> Iterator[MarketColumns]:
        """Its rows, a file's row group at a time."""
        (series,) = self.series
        facts = self._archive.facts(series)
        first_ns = max(self._span[0] or facts.first_ns, facts.first_ns)
        length = max(min(self._span[1] or facts.last_ns, facts.last_ns) - first_ns, 1)
        for columns in self._archive.read(series, *self._span):
            yield columns
            self.fraction = min((int(key_ns(columns)[-1]) - first_ns) / length, 1.0)
        self.fraction = 1.0


def open_source(
    place: Path,
    symbol: str,
    interval: str = "1m",
    price: PriceType | None = None,
    *,
    kind: SeriesKind | None = None,
    from_ns: int | None = None,
    to_ns: int | None = None,
    reading: Reading | None = None,
) -> Source:
    """A recorded file, or one series of an archive (a folder), rows with times (a bar's open) in [from, to).

    `price`: of an archive which bars (None: the only ones there are); of a file of plain bars what they are made of (None:
    `last`), of bid and ask bars which to give (None: both). `kind`: None is what a file's columns say, and bars in an archive.
    `reading` is of files alone. Raises `ConfigError` where the place or the series is not there.
    """
    if not place.is_dir():
        return FileSource(place, symbol, interval, price, reading, (from_ns, to_ns))
    archive = Archive(place)
    return ArchiveSource(archive, find(archive, symbol, kind or "bars", interval, price), from_ns, to_ns)


def find(archive: Archive, symbol: str, kind: SeriesKind = "bars", interval: str = "1m", price: str | None = None) -> Series:
    """The one series of these names; raises `ConfigError` saying what there is where it is none or several."""
    known = archive.series()
    found = [s for s in known if s.symbol == symbol and s.kind == kind and (kind != "bars" or s.interval == interval)]
    matching = [s for s in found if kind != "bars" or price in (None, s.price)]
    if len(matching) == 1:
        return matching[0]
    wanted = Series(symbol, kind, interval, price or "") if kind == "bars" else Series(symbol, kind)
    if matching:
        raise ConfigError(f"archive {archive.root} has {wanted} of {', '.join(s.price for s in matching)}; say which price")
    hint = nearest(str(wanted), [str(series) for series in known]) if known else "it has no series at all"
    raise ConfigError(f"archive {archive.root} has no {wanted}; {hint}")
