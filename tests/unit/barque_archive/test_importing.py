"""Files into the archive and out again: all of them or nothing, and what comes out is what went in."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barque.errors import BarqueError, ConfigError
from barque.messages import Message
from barque_archive.archive import Archive
from barque_archive.audit import Expectations, audit
from barque_archive.columns import BarColumns, MarketColumns, QuoteColumns, TradeColumns, take
from barque_archive.exporting import export
from barque_archive.files import FileSource, Reading
from barque_archive.importing import import_into
from barque_archive.layout import files_of
from barque_archive.partitions import ArchiveError
from barque_archive.series import Series
from barque_archive.sources import open_source
from barque_archive.structs import messages_of
from tests.support.builders import T0
from tests.support.columns import some_bars, some_quotes, some_trades
from tests.support.data import data_file
from tests.support.recordings import RECORDINGS, rows_of

BARS = Series("EURUSD", "bars", "1m", "bid")
HEADER = "timestamp,open,high,low,close\n"


def bar(minute: int, close: float = 1.0) -> str:
    return f"{T0 // 10**9 + 60 * minute},1,{max(close, 1)},{min(close, 1)},{close}\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def _write(text: str) -> Path:
        path = tmp_path / "new.csv"
        path.write_text(text)
        return path

    return _write


def source(path: Path, **reading: Any) -> FileSource:
    return FileSource(path, "EURUSD", "1m", "bid", Reading(**reading))


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a folder, but for locks."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}


def rows(root: Path, series: Series) -> list[Message]:
    return [message for columns in Archive(root).read(series) for message in messages_of(columns)]


class InMemory:
    """Columns that somebody has already."""

    def __init__(self, *parts: MarketColumns) -> None:
        self.parts = parts
        self.series = (Series("EURUSD", "quotes"),) if isinstance(parts[0], QuoteColumns) else (BARS,)
        if not isinstance(parts[0], BarColumns | QuoteColumns):
            self.series = (Series("EURUSD", "trades"),)
        self.fraction = 0.5

    def __iter__(self) -> Any:
        return iter(self.parts)


@pytest.mark.parametrize(("name", "kind", "count"), RECORDINGS[:-1])
def test_every_recording_goes_in_and_comes_out_as_it_is(name: str, kind: str, count: int, tmp_path: Path) -> None:
    expected = list(rows_of(data_file(name), "X"))
    result = import_into(tmp_path, FileSource(data_file(name), "X"))
    sides = len(expected[0])
    assert (result.rows, result.added, result.equal) == (count * sides, count * sides, 0)
    for side, series in enumerate(result.series):
        assert rows(tmp_path, series) == [row[side] for row in expected]
    before = tree(tmp_path)
    again = import_into(tmp_path, FileSource(data_file(name), "X"))
    assert (again.rows, again.added, again.equal) == (count * sides, 0, count * sides)
    assert tree(tmp_path) == before


BAD = {
    "a bad row at the end": HEADER + "".join(map(bar, range(20_000))) + "1398902400,x,1,1,1\n",
    "rows out of order": HEADER + bar(50_000) + bar(1),
    "a second bar of a time": HEADER + bar(1) + bar(1, 2.0),
    "no rows": HEADER,
    "bars that are wider than they say": HEADER + f"{T0},1,1,1,1\n{T0 + 30 * 10**9},1,1,1,1\n",
    "bars that contradict the archive": HEADER + bar(60_000) + bar(60_001, 9.0),
    "bars that cross those of the archive": HEADER + f"{T0 + 60_000 * 60 * 10**9 + 10**9},1,1,1,1\n",
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_cannot_be_taken_wholly_leaves_no_trace(
    what: str, there: bool, write: Callable[[str], Path], tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    archived = HEADER + bar(60_000) + bar(60_001)
    if there or "archive" in what:
        import_into(root, source(write(archived)))
    before = tree(tmp_path)
    path = write(BAD[what])
    with pytest.raises(BarqueError):
        import_into(root, source(path))
    path.write_text(archived)
    assert tree(tmp_path) == before | {"new.csv": archived.encode()}
    assert there or "archive" in what or not root.exists()


def test_a_zipped_file_cut_short_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "b.csv.gz"
    whole = gzip.compress((HEADER + "".join(map(bar, range(100_000)))).encode())
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(BarqueError, match="Compressed file ended"):
        import_into(tmp_path / "archive", source(path))
    assert not (tmp_path / "archive").exists()


def test_both_sides_of_a_file_go_in_together_or_not_at_all(tmp_path: Path) -> None:
    sides = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    path = tmp_path / "b.csv"
    path.write_text(f"timestamp,{','.join(sides)}\n{T0},1,1,1,1,2,2,2,2\n")
    ask_only = FileSource(path, "EURUSD", "1m", "ask")
    import_into(tmp_path / "archive", ask_only)
    path.write_text(f"timestamp,{','.join(sides)}\n{T0},1,1,1,1,3,3,3,3\n")
    with pytest.raises(ArchiveError, match="EURUSD bars 1m ask contradicts what is there: the bar of"):
        import_into(tmp_path / "archive", FileSource(path, "EURUSD"))
    assert Archive(tmp_path / "archive").series() == [Series("EURUSD", "bars", "1m", "ask")]


def test_a_contradiction_is_refused_with_what_to_do_or_decided(write: Callable[[str], Path], tmp_path: Path) -> None:
    root = tmp_path / "archive"
    import_into(root, source(write(HEADER + bar(1) + bar(2))))
    path = write(HEADER + bar(2, 9.0) + bar(3))
    said = "the bar of 2014-05-01T00:02:00Z has high 1.0, the new one 9.0; say with --conflicts which is to stay: keep or replace"
    with pytest.raises(ArchiveError, match=said):
        import_into(root, source(path))
    kept = import_into(root, source(path), "keep")
    assert (kept.added, kept.conflicts, [m.close for m in rows(root, BARS)]) == (1, 1, [1.0, 1.0, 1.0])
    replaced = import_into(root, source(path), "replace")
    assert (replaced.added, replaced.equal, [m.close for m in rows(root, BARS)]) == (0, 1, [1.0, 9.0, 1.0])


def test_files_that_overlap_add_up(write: Callable[[str], Path], tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for first, last in ((100, 200), (150, 250), (0, 120)):
        import_into(root, source(write(HEADER + "".join(map(bar, range(first, last))))))
    assert [m.ts_open_ns for m in rows(root, BARS)] == [T0 + n * 60 * 10**9 for n in range(250)]


def test_sorted_and_thinned_out_on_request(write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write(HEADER + "".join(map(bar, [90_000, 3, 1, 2, 2])) + "x,1,1,1,1\n")
    chosen = source(path, order="sort", twins="drop", bad="skip")
    result = import_into(tmp_path / "archive", chosen)
    assert (result.rows, len(rows(tmp_path / "archive", BARS))) == (4, 4)
    assert chosen.tally.left_out == {"timestamp is no time": 1, "duplicate": 1}


@settings(deadline=None, max_examples=40)
@given(
    minutes=st.lists(st.integers(0, 90 * 1_440), min_size=1, max_size=60, unique=True).map(sorted),
    cuts=st.lists(st.integers(1, 59), max_size=4, unique=True).map(sorted),
    data=st.data(),
)
def test_however_a_source_is_cut_the_archive_is_the_same(
    minutes: list[int], cuts: list[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In one import of several stretches, or in several imports in any order."""
    whole = some_bars(minutes, tick_count=np.array(minutes))
    edges = [0, *(cut for cut in cuts if cut < len(minutes)), len(minutes)]
    parts = [take(whole, slice(a, b)) for a, b in pairwise(edges)]
    at_once, one_by_one = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    import_into(at_once, InMemory(*parts))
    for part in data.draw(st.permutations(parts)):
        import_into(one_by_one, InMemory(part))
    assert tree(at_once) == tree(one_by_one)
    assert rows(at_once, BARS) == messages_of(whole)


def test_a_day_of_very_many_ticks_is_several_files_and_reads_as_one(tmp_path: Path) -> None:
    ticks = some_trades([n // 3 for n in range(1_000)])
    parts = [take(ticks, slice(start, start + 70)) for start in range(0, 1_000, 70)]
    result = import_into(tmp_path, InMemory(*parts), full_rows=100)
    [series] = result.series
    files = files_of(tmp_path, series)
    assert 5 < len(files) <= 10
    assert files[0].name == "2014-05-01.parquet"
    assert files[1].name.startswith("2014-05-01T000000.0000000")
    assert rows(tmp_path, series) == messages_of(ticks)
    facts = Archive(tmp_path).facts(series)
    assert (facts.rows, facts.days, facts.files) == (1_000, 1, len(files))
    before = tree(tmp_path)
    for full in (100, 10**6):
        assert import_into(tmp_path, InMemory(ticks), full_rows=full).equal == 1_000
        assert tree(tmp_path) == before
    between = list(Archive(tmp_path).read(series, T0 + 100, T0 + 200))
    assert np.concatenate([p.ts_event_ns for p in between if isinstance(p, TradeColumns)]).tolist() == [
        T0 + n // 3 for n in range(300, 600)
    ]
    assert audit(Archive(tmp_path), series, Expectations()).findings == []


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[float] = []
    import_into(tmp_path, InMemory(some_bars([1]), some_bars([2])), progress=told.append)
    assert told == [0.5, 0.5]


# -- export ----------------------------------------------------------------------------------------------------------------

SERIES: list[tuple[MarketColumns, dict[str, str]]] = [
    (some_bars([0, 1, 5_000], volume=np.array([0.1, 1e-9, 1e17])), {}),
    (some_quotes([0, 1, 999], [1 / 3, 1e-5, 123456.789]), {"kind": "quotes"}),
    (some_trades([0, 0, 10**9]), {"kind": "trades"}),
]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize(("columns", "names"), SERIES)
def test_what_is_exported_is_read_back_to_the_last_digit(
    columns: MarketColumns, names: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    import_into(tmp_path / "archive", InMemory(columns))
    out = tmp_path / f"out{suffix}"
    assert export(open_source(tmp_path / "archive", "EURUSD", **names), out) == len(columns)
    found = [m for part in FileSource(out, "EURUSD", "1m", None if names else "bid") for m in messages_of(part)]
    assert found == messages_of(columns)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", out.name]


def test_bars_that_are_not_made_of_time_keep_their_numbers(tmp_path: Path) -> None:
    series = Series("EURUSD", "bars", "tick:2", "bid")
    ticks = some_bars([1, 1, 2], interval="tick:2", seq=np.array([0, 1, 0]), ts_close_ns=T0 + np.array([60, 61, 125]) * 10**9)
    bars = InMemory(ticks)
    bars.series = (series,)
    import_into(tmp_path / "archive", bars)
    export(open_source(tmp_path / "archive", "EURUSD", "tick:2"), tmp_path / "t.csv")
    [found] = list(FileSource(tmp_path / "t.csv", "EURUSD", "tick:2", "bid"))
    assert isinstance(found, BarColumns)
    assert (found.seq.tolist(), found.ts_close_ns.tolist()) == ([0, 1, 0], ticks.ts_close_ns.tolist())


def test_times_are_written_with_the_digits_they_need(tmp_path: Path) -> None:
    import_into(tmp_path / "a", InMemory(some_bars([1])))
    export(open_source(tmp_path / "a", "EURUSD"), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines() == [
        "ts_open,ts_close,open,high,low,close,volume,tick_count",
        "2014-05-01T00:01:00Z,2014-05-01T00:02:00Z,1.001,1.001,1.001,1.001,1,0",
    ]


@pytest.mark.parametrize(
    ("name", "span", "said"),
    [
        ("x.txt", (None, None), "name ends in '.txt'; expected .csv, .csv.gz, .parquet"),
        ("x.csv", (T0 + 10**18, None), "nothing to export: EURUSD bars 1m bid has no rows in this range"),
        ("no/x.csv", (None, None), "x.csv cannot be written: No such file or directory"),
    ],
)
def test_an_export_that_cannot_be_leaves_no_file(
    name: str, span: tuple[int | None, int | None], said: str, tmp_path: Path
) -> None:
    import_into(tmp_path / "a", InMemory(some_bars([1])))
    with pytest.raises(ConfigError, match=said):
        export(open_source(tmp_path / "a", "EURUSD", from_ns=span[0], to_ns=span[1]), tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_two_series_do_not_go_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text("timestamp," + ",".join(f"{s}_{p}" for s in ("bid", "ask") for p in ("open", "high", "low", "close")) + "\n")
    with pytest.raises(ConfigError, match="one file holds one series, not EURUSD bars 1m bid and EURUSD bars 1m ask"):
        export(FileSource(path, "EURUSD"), tmp_path / "c.csv")
