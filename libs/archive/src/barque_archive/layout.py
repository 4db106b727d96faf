"""Where the archive keeps what: folders by symbol, kind, interval and price; in them one Parquet file per day or month.

    symbol=EURUSD/kind=quotes/2014-05-01.parquet
    symbol=EURUSD/kind=bars/interval=1m/price=bid/2014-05.parquet
    symbol=BTC%2FUSD/kind=bars/interval=tick%3A100/price=last/2014-05-01.parquet

In:   a series, a time.   Out: paths; and back.
Not:  files.

Names are percent-encoded, as every reader of such trees decodes them. A file holds the UTC day of its rows (a bar's by its
open); of bars of a minute and longer, of which a day has few, the UTC month: opening a file takes as long as reading 20,000 bars.
A day with very many ticks has several files. Each but the first is named after the time it begins with
(`2014-05-01T134502.123456789.parquet`), and ends where the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, cast
from urllib.parse import quote, unquote

import numpy as np

from barque_archive.columns import AnyColumns, Integers, key_ns, take
from barque_archive.series import Series, SeriesKind, duration_ns

Unit = Literal["D", "M"]
SUFFIX = ".parquet"
MINUTE_NS = 60 * 10**9
_PART = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2})(\d{2})(\d{2})\.(\d{9})", re.ASCII)


def folder_of(root: Path, series: Series) -> Path:
    """Where the files of a series are."""
    folder = root / f"symbol={_escaped(series.symbol)}" / f"kind={series.kind}"
    if series.kind == "bars":
        folder = folder / f"interval={_escaped(series.interval)}" / f"price={_escaped(series.price)}"
    return folder


def series_under(root: Path) -> list[Series]:
    """Every series that has a folder, in order."""
    found = [*root.glob("symbol=*/kind=quotes"), *root.glob("symbol=*/kind=trades")]
    found += root.glob("symbol=*/kind=bars/interval=*/price=*")
    return sorted(_series_of(folder.relative_to(root)) for folder in found if folder.is_dir())


def unit_of(series: Series) -> Unit:
    """What one file of a series spans."""
    length = duration_ns(series.interval) if series.kind == "bars" else None
    return "M" if length is not None and length >= MINUTE_NS else "D"


def files_of(root: Path, series: Series) -> list[Path]:
    """The files of a series, oldest first."""
    folder = folder_of(root, series)
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


class Span(NamedTuple):
    """A file and the time it is for: [first, end) ns."""

    path: Path
    first_ns: int
    end_ns: int


def spans(paths: Iterable[Path], unit: Unit) -> list[Span]:
    """What each file is for, oldest first. Raises `ValueError` naming one that has no such name."""
    starts = sorted((start_of(path, unit), path) for path in paths)
    ends = [period_end(start, unit) for start, _ in starts]
    following = [start for start, _ in starts[1:]] + ends[-1:]
    return [Span(path, start, min(end, next_)) for (start, path), end, next_ in zip(starts, ends, following, strict=True)]


def start_of(path: Path, unit: Unit) -> int:
    """The time that a file begins with, by its name."""
    name = path.name.removesuffix(SUFFIX)
    part = _PART.fullmatch(name)
    try:
        if part is None:
            return bounds(name, unit)[0]
        return int(np.datetime64("{}T{}:{}:{}.{}".format(*part.groups()), "ns").astype(np.int64))
    except ValueError:
        raise ValueError(f"{path} is not named after a {'day' if unit == 'D' else 'month'} or a time") from None


def path_at(folder: Path, start_ns: int, unit: Unit) -> Path:
    """The file that begins with a time."""
    period = period_at(start_ns, unit)
    if bounds(period, unit)[0] == start_ns:
        return folder / f"{period}{SUFFIX}"
    return folder / f"{str(np.datetime64(start_ns, 'ns')).replace(':', '')}{SUFFIX}"


def older(paths: Iterable[Path], unit: Unit, before_ns: int) -> list[Path]:
    """The files whose time has ended by `before_ns`, oldest first."""
    return [span.path for span in spans(paths, unit) if span.end_ns <= before_ns]


def period_end(ts_ns: int, unit: Unit) -> int:
    """The end of the period that holds a time."""
    return bounds(period_at(ts_ns, unit), unit)[1]


def period_at(ts_ns: int, unit: Unit) -> str:
    """Name of the period that holds a time: `2014-05-01`, `2014-05`."""
    return str(np.datetime64(ts_ns, "ns").astype(f"datetime64[{unit}]"))


def bounds(period: str, unit: Unit) -> tuple[int, int]:
    """First time of a period, and of the one after it. Raises `ValueError` for what is none."""
    start = np.datetime64(period, unit)
    if str(start) != period or np.isnat(start):
        raise ValueError(f"'{period}' is no {'day' if unit == 'D' else 'month'}")
    ends = (start, start + np.timedelta64(1, unit))
    first, last = (int(end.astype("datetime64[ns]").astype(np.int64)) for end in ends)
    return first, last


def period_starts(times: Integers, unit: Unit) -> set[int]:
    """The starts of all periods that hold one of these times."""
    periods = np.unique(times.astype("datetime64[ns]").astype(f"datetime64[{unit}]"))
    return set(periods.astype("datetime64[ns]").astype(np.int64).tolist())


def by_period(columns: AnyColumns, unit: Unit) -> Iterator[tuple[str, AnyColumns]]:
    """Rows in order of time, cut where a period ends."""
    if not len(columns):
        return
    periods = key_ns(columns).astype("datetime64[ns]").astype(f"datetime64[{unit}]")
    edges = [0, *(np.flatnonzero(periods[1:] != periods[:-1]) + 1).tolist(), len(periods)]
    for start, end in pairwise(edges):
        yield str(periods[start]), take(columns, slice(start, end))


def _escaped(text: str) -> str:
    return quote(text, safe="")


def _series_of(folder: Path) -> Series:
    parts = dict(part.split("=", 1) for part in folder.parts)
    names = {name: unquote(value) for name, value in parts.items()}
    return Series(names["symbol"], cast(SeriesKind, names["kind"]), names.get("interval", ""), names.get("price", ""))
