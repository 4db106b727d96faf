"""The archive on disk: ranges, last rows, edits that happen wholly or not at all, several writers, and broken files."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import dataset, parquet

from barque_archive import partitions
from barque_archive.archive import Archive, known_at
from barque_archive.columns import BarColumns, MarketColumns, concat, key_ns
from barque_archive.edits import LOCK, Edit, Passage
from barque_archive.files import FileSource
from barque_archive.layout import files_of, folder_of
from barque_archive.partitions import ArchiveError, Mark
from barque_archive.series import Series
from barque_archive.sources import find, open_source
from barque_archive.structs import messages_of
from tests.support.builders import MINUTE, T0
from tests.support.columns import some_bars, some_quotes, some_trades

BARS = Series("EURUSD", "bars", "1m", "bid")
QUOTES = Series("EURUSD", "quotes")
TRADES = Series("EURUSD", "trades")
DAY = 1_440
DAY_NS = DAY * MINUTE


def put(root: Path, series: Series, columns: MarketColumns) -> None:
    with Edit(root, series) as edit:
        assert not edit.merge(columns, "refuse").conflicts
        edit.publish()


def minutes(columns: MarketColumns | None) -> list[int]:
    return [] if columns is None else ((key_ns(columns) - T0) // MINUTE).tolist()


def read(root: Path, series: Series, *span: int | None) -> list[int]:
    parts = list(Archive(root).read(series, *span))
    return minutes(concat(parts)) if parts else []


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """Bars of every 7th minute over 40 days, two files; quotes of a day."""
    put(tmp_path, BARS, some_bars(range(0, 40 * DAY, 7)))
    put(tmp_path, QUOTES, some_quotes(range(0, 100)))
    return tmp_path


# -- reading ---------------------------------------------------------------------------------------------------------------


def test_what_was_put_in_comes_out_value_by_value(tmp_path: Path) -> None:
    many = some_bars(range(100_000), volume=np.arange(100_000) / 3, tick_count=np.arange(100_000), seq=np.arange(100_000) % 3)
    odd = some_quotes([0, 1], [float("nan"), 1e-300])
    for series, columns in ((BARS, many), (QUOTES, odd), (TRADES, some_trades([5, 5, 5], [1.0, 2.0, 1.0]))):
        put(tmp_path, series, columns)
        assert repr(messages_of(concat(list(Archive(tmp_path).read(series))))) == repr(messages_of(columns))
    assert Archive(tmp_path).series() == sorted([BARS, QUOTES, TRADES])


def test_facts_are_those_of_the_rows(month: Path) -> None:
    facts = Archive(month).facts(BARS)
    assert (facts.rows, facts.days, facts.files) == (len(range(0, 40 * DAY, 7)), 40, 2)
    assert (facts.first_ns, facts.last_ns) == (T0, T0 + (40 * DAY - 1) // 7 * 7 * MINUTE)
    assert facts.size_bytes == sum(path.stat().st_size for path in files_of(month, BARS))
    with pytest.raises(ArchiveError, match="has nothing of EURUSD trades"):
        Archive(month).facts(TRADES)


@settings(deadline=None)
@given(first=st.one_of(st.none(), st.integers(-5, 60_000)), length=st.one_of(st.none(), st.integers(0, 60_000)))
def test_a_range_is_what_opens_within_it(first: int | None, length: int | None, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = _shared(tmp_path_factory)
    end = None if length is None else (first or 0) + length
    span = [None if at is None else T0 + at * MINUTE for at in (first, end)]
    expected = [at for at in range(0, 40 * DAY, 7) if (first is None or at >= first) and (end is None or at < end)]
    assert read(root, BARS, *span) == expected


def _shared(factory: pytest.TempPathFactory) -> Path:
    root = factory.getbasetemp() / "shared-archive"
    if not root.exists():
        put(root, BARS, some_bars(range(0, 40 * DAY, 7)))
    return root


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(-10, 41 * DAY))
def test_the_last_bars_before_a_time_have_closed_by_then(
    tmp_path_factory: pytest.TempPathFactory, rows: int, before: int
) -> None:
    root = _shared(tmp_path_factory)
    found = Archive(root).last(BARS, rows, T0 + before * MINUTE)
    closed = [at for at in range(0, 40 * DAY, 7) if at + 1 <= before]
    assert minutes(found) == (closed[-rows:] if rows else [])


def test_ticks_are_known_when_they_have_happened_and_not_at_their_very_time(month: Path) -> None:
    assert key_ns(Archive(month).last(QUOTES, 3, T0 + 50)).tolist() == [T0 + 47, T0 + 48, T0 + 49]  # type: ignore[arg-type]
    bars = some_bars([0, 1, 2])
    assert known_at(bars, T0 + 2 * MINUTE) == slice(0, 2)
    assert known_at(bars, T0 + 2 * MINUTE - 1) == slice(0, 1)


def test_what_became_known_since_a_time_is_told_by_closes(month: Path) -> None:
    at, archive = T0 + 35 * DAY_NS, Archive(month)
    closed = [n for n in range(0, 40 * DAY, 7) if 34.5 * DAY <= n + 1 <= 35 * DAY]
    assert minutes(archive.since(BARS, at - DAY_NS // 2, at)) == closed
    long = some_bars([0, 6 * DAY], interval="1w", ts_close_ns=T0 + np.array([7, 13]) * DAY_NS)
    put(month, BARS._replace(interval="1w"), long)
    assert minutes(archive.since(BARS._replace(interval="1w"), T0 + 7 * DAY_NS, T0 + 8 * DAY_NS)) == [0], "it opened long before"
    assert archive.since(BARS, T0 - DAY_NS, T0) is None
    assert archive.last(BARS, 3, T0) is None


def test_a_source_of_the_archive_gives_the_range_and_says_how_far_it_is(month: Path) -> None:
    source = open_source(month, "EURUSD", from_ns=T0 + DAY * MINUTE, to_ns=T0 + 2 * DAY * MINUTE)
    assert source.series == (BARS,)
    assert [at for columns in source for at in minutes(columns)] == [n for n in range(0, 40 * DAY, 7) if DAY <= n < 2 * DAY]
    assert source.fraction == 1.0
    assert sum(map(len, open_source(month, "EURUSD", kind="quotes"))) == 100


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"symbol": "EURUS"}, "has no EURUS bars 1m; did you mean 'EURUSD bars 1m bid'?"),
        ({"symbol": "EURUSD", "interval": "5m"}, "has no EURUSD bars 5m"),
        ({"symbol": "EURUSD", "kind": "trades"}, "has no EURUSD trades"),
        ({"symbol": "EURUSD", "price": "last"}, "has no EURUSD bars 1m last"),
        ({"symbol": "EURUSD"}, "has EURUSD bars 1m of ask, bid; say which price"),
    ],
)
def test_a_series_that_is_not_there_or_not_clear_is_said_with_what_is(month: Path, names: dict[str, Any], text: str) -> None:
    if text.endswith("which price"):
        put(month, BARS._replace(price="ask"), some_bars([1], price="ask"))
    with pytest.raises(Exception, match=text.replace("?", r"\?")):
        find(Archive(month), **names)


def test_an_archive_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "nowhere")
    assert archive.series() == []
    with pytest.raises(Exception, match="it has no series at all"):
        find(archive, "EURUSD")


# -- other tools -----------------------------------------------------------------------------------------------------------


def test_other_tools_read_the_tree_with_its_names(tmp_path: Path) -> None:
    series = Series("BTC/USD", "bars", "tick:100", "last")
    put(tmp_path, series, some_bars([1, 2], symbol="BTC/USD", interval="tick:100", price="last"))
    files = [str(path) for path in files_of(tmp_path, series)]
    table = dataset.dataset(files, partitioning="hive", partition_base_dir=str(tmp_path)).to_table()
    assert {name: set(table.column(name).to_pylist()) for name in ("symbol", "interval", "price", "kind")} == {
        "symbol": {"BTC/USD"},
        "interval": {"tick:100"},
        "price": {"last"},
        "kind": {"bars"},
    }
    frame = pd.read_parquet(files[0])
    assert frame["ts_open"].tolist() == [pd.Timestamp("2014-05-01 00:01", tz="UTC"), pd.Timestamp("2014-05-01 00:02", tz="UTC")]
    assert frame["close"].tolist() == [1.001, 1.002]


@pytest.mark.parametrize(("series", "rows"), [(BARS, some_bars([1, 2, 9])), (QUOTES, some_quotes([0, 0, 5]))])
def test_a_file_of_the_archive_is_read_as_a_recording_too(series: Series, rows: MarketColumns, tmp_path: Path) -> None:
    put(tmp_path, series, rows)
    (path,) = files_of(tmp_path, series)
    source = FileSource(path, "EURUSD", "1m", "bid")
    assert [m for columns in source for m in messages_of(columns)] == messages_of(rows)


# -- edits -----------------------------------------------------------------------------------------------------------------


def test_the_same_rows_again_do_not_touch_the_file(tmp_path: Path) -> None:
    rows = some_bars(range(50))
    put(tmp_path, BARS, rows)
    (path,) = files_of(tmp_path, BARS)
    before = (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
    put(tmp_path, BARS, rows)
    assert (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) == before
    other = tmp_path / "other"
    for part in (some_bars(range(30, 50), tick_count=np.arange(30, 50)), some_bars(range(40))):
        put(other, BARS, part)
    assert files_of(other, BARS)[0].read_bytes() == path.read_bytes(), "the same rows are the same file, however they came"


def test_what_is_not_published_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    with Edit(tmp_path / "archive", BARS) as edit:
        edit.merge(some_bars([1]), "refuse")
    assert list(tmp_path.iterdir()) == [], "not even the folder"
    put(tmp_path, BARS, some_bars([1]))
    with pytest.raises(ZeroDivisionError), Edit(tmp_path, BARS) as edit:
        edit.merge(some_bars([2]), "refuse")
        raise ZeroDivisionError
    assert read(tmp_path, BARS) == [1]
    assert sorted(path.name for path in folder_of(tmp_path, BARS).iterdir()) == [LOCK, "2014-05.parquet"]


def test_a_folder_that_somebody_made_stays(tmp_path: Path) -> None:
    with Edit(tmp_path, BARS):
        pass
    assert tmp_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_that_died_left_behind_goes_with_the_next_one(tmp_path: Path) -> None:
    put(tmp_path, BARS, some_bars([1]))
    left = folder_of(tmp_path, BARS) / ".2014-05.parquet.tmp"
    left.write_bytes(b"half")
    put(tmp_path, BARS, some_bars([2], tick_count=np.array([1])))
    assert not left.exists()
    assert read(tmp_path, BARS) == [1, 2]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """While a writer replaces a file again and again, every read is one of its versions."""
    put(tmp_path, BARS, some_bars(range(1_000)))
    done, seen = threading.Event(), []

    def reading() -> None:
        while not done.is_set():
            seen.append(len(read(tmp_path, BARS)))

    reader = threading.Thread(target=reading)
    reader.start()
    for end in range(1_100, 2_100, 100):
        put(tmp_path, BARS, some_bars(range(end)))
    done.set()
    reader.join()
    assert set(seen) <= set(range(1_000, 2_100, 100))
    assert seen == sorted(seen)


def test_several_writers_of_one_series_lose_nothing_though_others_come_and_go(tmp_path: Path) -> None:
    """Who leaves without a row removes the empty folder, lock and all, under the feet of those who wait."""
    root = tmp_path / "archive"

    def add(first: int) -> None:
        for at in range(first, 40, 4):
            put(root, BARS, some_bars([at], tick_count=np.array([at])))

    def come_and_go() -> None:
        for _ in range(40):
            with Edit(root, BARS):
                pass

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(come_and_go) for _ in range(4)] + [pool.submit(add, first) for first in range(4)]
        for each in work:
            each.result(60)
    assert read(root, BARS) == list(range(40))


def test_a_writer_does_not_wait_for_ever(tmp_path: Path) -> None:
    with Edit(tmp_path, BARS):
        began = time.monotonic()
        with pytest.raises(ArchiveError, match=r"another process has been writing EURUSD bars 1m bid for 0\.1 s; try again"):
            Edit(tmp_path, BARS, lock_s=0.1).__enter__()
        assert 0.1 <= time.monotonic() - began < 5
        with Edit(tmp_path, QUOTES):
            pass  # another series is free


def test_old_files_go_whole(month: Path) -> None:
    with Edit(month, BARS) as edit:
        assert edit.prune(T0 + 31 * DAY_NS - 1) == []
        assert [path.name for path in edit.prune(T0 + 31 * DAY_NS)] == ["2014-05.parquet"]
    assert read(month, BARS)[0] == -(-31 * DAY // 7) * 7
    with Edit(month, QUOTES) as edit:
        edit.prune(T0 + 2 * DAY_NS)
    assert not (month / "symbol=EURUSD" / "kind=quotes").exists()


# -- streams ---------------------------------------------------------------------------------------------------------------


def stream(root: Path, ticks: MarketColumns, first_entry: int, writer: str = "main/l1") -> tuple[int, int, int]:
    """One tick per entry; (added, equal, contradicting)."""
    ids = [f"{first_entry + n}-0" for n in range(len(ticks))]
    with Edit(root, TRADES) as edit:
        merged = edit.append(ticks, Passage(writer, ids, np.arange(len(ticks))))
        edit.publish()
    return merged.added, merged.equal, merged.conflicts


def trades_in(root: Path) -> list[tuple[int, float]]:
    columns: Any = concat(list(Archive(root).read(TRADES)))
    return list(zip((columns.ts_event_ns - T0).tolist(), columns.price.tolist(), strict=True))


def test_entries_that_come_again_bring_nothing(tmp_path: Path) -> None:
    assert stream(tmp_path, some_trades([1, 1, 2], [1, 1, 1]), 10) == (3, 0, 0)
    assert stream(tmp_path, some_trades([1, 1, 2], [1, 1, 1]), 10) == (0, 0, 0)
    assert stream(tmp_path, some_trades([1, 2, 2, 3], [1, 1, 1, 1]), 11) == (2, 0, 0), "12-0 was the last"
    assert trades_in(tmp_path) == [(1, 1.0), (1, 1.0), (2, 1.0), (2, 1.0), (3, 1.0)]


def test_equal_ticks_of_later_entries_and_late_ones_are_all_there(tmp_path: Path) -> None:
    stream(tmp_path, some_trades([5, 5], [1, 1]), 10)
    assert stream(tmp_path, some_trades([5, 3, 5], [1, 9, 2]), 12) == (3, 0, 0)
    assert trades_in(tmp_path) == [(3, 9.0), (5, 1.0), (5, 1.0), (5, 1.0), (5, 2.0)]


def test_ids_of_entries_are_compared_as_numbers(tmp_path: Path) -> None:
    stream(tmp_path, some_trades([1]), 9)
    assert stream(tmp_path, some_trades([2]), 10) == (1, 0, 0), "10-0 comes after 9-0"


def test_what_another_source_began_is_compared_tick_by_tick_over_entries(tmp_path: Path) -> None:
    """An import has 3 ticks of one time; the stream brings them in two parts, and then one that is news."""
    put(tmp_path, TRADES, some_trades([5, 5, 5], [1, 2, 3]))
    assert stream(tmp_path, some_trades([5, 5], [1, 2]), 10) == (0, 2, 0)
    assert stream(tmp_path, some_trades([5, 5, 6], [3, 4, 1]), 12) == (2, 1, 0)
    assert trades_in(tmp_path) == [(5, 1.0), (5, 2.0), (5, 3.0), (5, 4.0), (6, 1.0)]
    assert stream(tmp_path, some_trades([5], [9]), 1, "main/l2") == (0, 0, 1)
    assert (5, 9.0) not in trades_in(tmp_path), "the file's stays"


def test_marks_stay_when_somebody_else_adds_rows(tmp_path: Path) -> None:
    stream(tmp_path, some_trades([1, 2]), 10)
    put(tmp_path, TRADES, some_trades([9], [7.0]))
    (path,) = files_of(tmp_path, TRADES)
    about = partitions.about(path, TRADES)
    assert about.marks == {"main/l1": Mark("11-0", T0 + 2, 1)}
    assert about.begun_by == "main/l1"


ARRIVALS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 1, 2, 40]), st.integers(1, 3)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(
    arrivals=ARRIVALS, flushes=st.lists(st.integers(1, 9), min_size=1, max_size=8), again=st.lists(st.integers(0, 6), min_size=8)
)
def test_full_files_late_ticks_and_entries_brought_again_leave_the_stream_as_it_was(
    arrivals: list[tuple[int, int]], flushes: list[int], again: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Files are full at 5 rows; each flush may begin some entries before where the last one ended; some ticks are 40 ns late."""
    root, now, ticks = tmp_path_factory.mktemp("stream"), 100, []
    for step, price in arrivals:
        now += step if step < 40 else 0
        ticks.append((now - 40 if step == 40 else now, float(price)))
    done, flush = 0, 0
    while done < len(ticks):
        start, end = max(done - again[flush % len(again)], 0), min(done + flushes[flush % len(flushes)], len(ticks))
        part = ticks[start:end]
        columns = some_trades([at for at, _ in part], [price for _, price in part])
        with Edit(root, TRADES, full_rows=5) as edit:
            edit.append(columns, Passage("main/l1", [f"{n + 7}-0" for n in range(start, end)], np.arange(len(part))))
            edit.publish()
        done, flush = end, flush + 1
    assert trades_in(root) == sorted(ticks, key=lambda tick: tick[0])
    assert all(partitions.about(path, TRADES).rows <= 5 + 60 for path in files_of(root, TRADES))


def test_when_the_first_file_of_a_day_is_gone_late_ticks_begin_another(tmp_path: Path) -> None:
    for number in range(3):
        with Edit(tmp_path, TRADES, full_rows=2) as edit:
            edit.append(some_trades([10 * number, 10 * number + 1]), Passage("w", [f"{number + 1}-0"], np.zeros(2, np.int64)))
            edit.publish()
    assert len(files_of(tmp_path, TRADES)) == 3
    with Edit(tmp_path, TRADES) as edit:
        assert [path.name for path in edit.prune(T0 + 20)] == ["2014-05-01.parquet", "2014-05-01T000000.000000010.parquet"]
    assert stream(tmp_path, some_trades([5]), 9, "w") == (1, 0, 0)
    assert [at for at, _ in trades_in(tmp_path)] == [5, 20, 21]


# -- files that are not what they say --------------------------------------------------------------------------------------


def test_a_file_of_another_series_is_not_read_as_ones_own(month: Path) -> None:
    (there,) = files_of(month, QUOTES)
    other = Series("GBPUSD", "quotes")
    folder_of(month, other).mkdir(parents=True)
    there.rename(folder_of(month, other) / there.name)
    with pytest.raises(ArchiveError, match="holds EURUSD quotes, and stands where GBPUSD quotes belongs"):
        list(Archive(month).read(other))


def test_a_file_that_cannot_be_read_is_named(month: Path) -> None:
    path = files_of(month, BARS)[0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArchiveError, match=r"2014-05\.parquet cannot be read: .*; see `barque data check`"):
        list(Archive(month).read(BARS))
    parquet.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ArchiveError, match="is no file of an archive"):
        Archive(month).facts(BARS)


def test_a_file_of_a_newer_version_is_left_alone(month: Path) -> None:
    path = files_of(month, BARS)[0]
    table = parquet.read_table(path)
    about = table.schema.metadata[b"barque"].replace(b'"schema":1', b'"schema":2')
    parquet.write_table(table.replace_schema_metadata({"barque": about}), path)
    with pytest.raises(ArchiveError, match=r"has schema 2, this version reads 1; use a newer version"):
        list(Archive(month).read(BARS))


def test_a_file_with_a_name_that_is_no_period_is_said(month: Path) -> None:
    path = files_of(month, BARS)[0]
    path.rename(path.with_name("may.parquet"))
    with pytest.raises(ArchiveError, match=r"may\.parquet is not named after a month or a time; move it away"):
        list(Archive(month).read(BARS))


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(ArchiveError, match=r"archive folder .* cannot be written: "):
        put(tmp_path / "archive", BARS, some_bars([1]))


def test_bars_keep_their_own_kind(month: Path) -> None:
    assert all(isinstance(columns, BarColumns) for columns in Archive(month).read(BARS))
