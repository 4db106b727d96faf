"""Files on disk to steps: the recordings, hand-made files, Parquet, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from barque.errors import ConfigError, WireError
from barque.messages import Message, time_of
from barque_archive.files import FileSource
from barque_archive.importing import import_into
from feed_replay.config import FileConfig
from feed_replay.shell.files import merge, open_source, recording_of
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade
from tests.support.data import data_file

QUOTES = "timestamp,bid,ask\n2014-05-01T00:00:01Z,1.1,1.2\n2014-05-01T00:00:02Z,1.3,1.4\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """A file of that name and content."""

    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        data = text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return _write


def messages_of(path: Path, **labels: Any) -> list[Message]:
    return list(chain.from_iterable(open_source(path, "X", **labels)))


@pytest.mark.parametrize(
    ("name", "kind", "messages", "first_ns", "last_ns"),
    [
        ("eurusd-oanda-ticks-2014-05-01.csv.gz", "quotes", 24_179, T0 + 292 * 10**6, 1_398_988_771_310 * 10**6),
        ("eurusd-oanda-ticks-2014-05-02.csv.gz", "quotes", 49_341, T0 + 86_400 * NS + 277 * 10**6, 1_399_064_398_557 * 10**6),
        ("eurusd-oanda-m1-2014-05-01.csv.gz", "bid_ask_bars", 2 * 1_363, T0 + MINUTE, T0 + 1_440 * MINUTE),
        ("eurusd-oanda-m1-2014-05-02.csv.gz", "bid_ask_bars", 2 * 1_222, T0 + 1_441 * MINUTE, 1_399_064_400 * NS),
        ("usdjpy-fxcm-m1-bid-2013-02.csv.gz", "bars", 28_761, 1_359_676_860 * NS, 1_362_096_060 * NS),
        ("usdjpy-fxcm-m1-ask-2013-02.csv.gz", "bars", 28_761, 1_359_676_860 * NS, 1_362_096_060 * NS),
        ("usdjpy-truefx-ticks-2013-01-01.csv", "quotes", 1_000, 1_357_077_600_295 * 10**6, 1_357_079_713_494 * 10**6),
        ("esz3-cme-m1-2013-10.csv.gz", "bars", 6_826, 1_381_096_860 * NS, 1_381_526_100 * NS),
        ("6eh4-cme-m1-2024-01.csv.gz", "bars", 29_996, 1_704_150_120 * NS, 1_706_745_600 * NS),
        ("btcusd-perp-m1-2022-01.csv.gz", "bars", 45_031, 1_640_991_720 * NS, 1_643_693_520 * NS),
        ("spy-trades-2013-10-07.csv.gz", "trades", 250_601, 1_381_132_800_464 * 10**6, 1_381_190_399_536 * 10**6),
    ],
)
def test_every_recording_is_read_to_its_last_row(name: str, kind: str, messages: int, first_ns: int, last_ns: int) -> None:
    source = open_source(data_file(name), "X")
    read = list(chain.from_iterable(source))
    assert (source.kind, len(read), time_of(read[0]), time_of(read[-1])) == (kind, messages, first_ns, last_ns)


def test_a_source_can_be_read_again(write: Callable[[str, str], Path]) -> None:
    source = open_source(write("q.csv", QUOTES), "X")
    assert list(source) == list(source)


def test_zipped_files_marks_of_byte_order_and_blank_lines_make_no_difference(write: Callable[[str, str], Path]) -> None:
    plain = messages_of(write("a.csv", QUOTES))
    assert len(plain) == 2
    assert messages_of(write("b.csv.gz", QUOTES)) == plain
    assert messages_of(write("c.csv", "\ufeff" + QUOTES.replace("\n", "\r\n\r\n"))) == plain


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("stamp", "offset"),
    [
        (pa.array([T0 + 1, T0 + NS], pa.timestamp("ns")), 1),
        (pa.array([T0 + 1, T0 + NS], pa.timestamp("ns", "Europe/Stockholm")), 1),
        (pa.array([T0 // 10**6, T0 // 10**6 + 1_000], pa.timestamp("ms", "UTC")), 0),
        (pa.array(["2014-05-01T00:00:00.000000001Z", "2014-05-01T00:00:01Z"]), 1),
        (pa.array([T0 + 1, T0 + NS], pa.int64()), 1),
    ],
)
def test_parquet_is_read_to_the_nanosecond(stamp: pa.Array, offset: int, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(pa.table({"timestamp": stamp, "bid": [1.1, 1.3], "ask": [1.2, 1.4]}), path)
    if zipped:
        path = path.rename(tmp_path / "q.parquet.gz")
        path.write_bytes(gzip.compress(path.read_bytes()))
    at = T0 + offset
    assert messages_of(path) == [a_quote(at, symbol="X", bid=1.1, ask=1.2), a_quote(T0 + NS, symbol="X", bid=1.3, ask=1.4)]


def test_a_missing_file_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recorded file .*nowhere\.csv does not exist"):
        open_source(tmp_path / "nowhere.csv", "X")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("q.txt", QUOTES, r"q\.txt: name ends in '\.txt'; expected \.csv or \.parquet"),
        ("q.csv", "timestamp,bid\n", r"q\.csv: columns timestamp, bid: missing ask for quotes; expected one of: quotes: "),
        ("q.csv", "", r"q\.csv: columns \(none\): missing timestamp"),
        ("q.parquet", QUOTES, r"q\.parquet cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_before_a_row_is_read(
    write: Callable[[str, str], Path], name: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        open_source(write(name, text), "X")


def test_a_zipped_file_that_is_not_zipped_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "q.csv.gz"
    path.write_text(QUOTES, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"q\.csv\.gz cannot be read: Not a gzipped file"):
        open_source(path, "X")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2014-05-01T00:00:03Z,abc,1.2", "bid: 'abc' is no number"),
        ("2014-05-01T00:00:03Z,,1.2", "bid: '' is no number"),
        ("once,1.1,1.2", "timestamp: timestamp 'once' is neither"),
        ("2014-05-01T00:00:03Z,1.1", "2 values, 3 expected"),
        ("2014-05-01T00:00:03Z,1.1,1.2,1.3", "4 values, 3 expected"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(write: Callable[[str, str], Path], row: str, said: str) -> None:
    source = iter(open_source(write("q.csv", QUOTES + row + "\n"), "X"))
    assert len([next(source), next(source)]) == 2
    with pytest.raises(WireError, match=rf"q\.csv: row 4: .*{said}"):
        next(source)


def test_a_file_cut_short_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "q.csv.gz"
    whole = gzip.compress((QUOTES + "".join(f"{T0 + n},1.{n},2\n" for n in range(5_000))).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WireError, match=r"q\.csv\.gz: row \d+: Compressed file ended"):
        list(open_source(path, "X"))


def test_a_missing_value_in_parquet_is_named_by_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(pa.table({"timestamp": [T0, T0 + 1], "bid": [1.1, None], "ask": [1.2, 1.2]}), path)
    with pytest.raises(WireError, match=r"q\.parquet: row 2: "):
        list(open_source(path, "X"))


def test_bid_and_ask_files_step_together_bid_first_whatever_their_order() -> None:
    bid = open_source(data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), "USDJPY", "1m", "bid")
    ask = open_source(data_file("usdjpy-fxcm-m1-ask-2013-02.csv.gz"), "USDJPY", "1m", "ask")
    steps = list(merge([ask, bid]))
    assert steps == list(merge([bid, ask]))
    assert [[bar.price for bar in bars] for _, bars in steps] == [["bid", "ask"]] * 28_761
    assert all(bar.ts_close_ns == at for at, bars in steps for bar in bars)
    assert all(before < after for (before, _), (after, _) in pairwise(steps))


def test_a_step_holds_the_messages_of_one_time_by_file_and_row() -> None:
    first = [[a_quote(T0, bid=1.0)], [a_quote(T0, bid=1.1)], [a_quote(T0 + 2, bid=1.2)]]
    second = [[a_trade(T0)], [a_trade(T0 + 1)], [a_bar(T0 + 2 - MINUTE)]]
    assert list(merge([second, first])) == [
        (T0, [a_trade(T0), a_quote(T0, bid=1.0), a_quote(T0, bid=1.1)]),
        (T0 + 1, [a_trade(T0 + 1)]),
        (T0 + 2, [a_bar(T0 + 2 - MINUTE), a_quote(T0 + 2, bid=1.2)]),
    ]


def test_a_row_that_was_late_when_recorded_is_late_again() -> None:
    rows = [[a_quote(T0 + 5)], [a_quote(T0 + 3)], [a_quote(T0 + 6)]]
    assert list(merge([rows])) == [(T0 + 5, [a_quote(T0 + 5), a_quote(T0 + 3)]), (T0 + 6, [a_quote(T0 + 6)])]


def test_nothing_merged_is_nothing() -> None:
    assert list(merge([])) == []


@given(st.lists(st.lists(st.integers(-3, 20), max_size=20), max_size=4))
def test_steps_lose_nothing_repeat_nothing_and_rise(files: list[list[int]]) -> None:
    sources = [[[a_quote(T0 + at, symbol=str(n))] for at in times] for n, times in enumerate(files)]
    steps = list(merge(sources))
    assert all(before < after for (before, _), (after, _) in pairwise(steps))
    for n, times in enumerate(files):
        assert [m.ts_event_ns - T0 for _, messages in steps for m in messages if m.symbol == str(n)] == times


def test_a_series_of_an_archive_is_a_recording_too(tmp_path: Path) -> None:
    path = data_file("eurusd-oanda-ticks-2014-05-01.csv.gz")
    import_into(tmp_path, FileSource(path, "EURUSD"))
    import_into(tmp_path, FileSource(data_file("eurusd-oanda-m1-2014-05-01.csv.gz"), "EURUSD"))
    quotes = FileConfig(path=tmp_path, symbol="EURUSD", kind="quotes")
    assert list(recording_of(quotes)) == list(open_source(path, "EURUSD"))
    hour = FileConfig(path=tmp_path, symbol="EURUSD", price="ask", from_utc="2014-05-01T01:00", to_utc="2014-05-01T02")
    bars = list(chain.from_iterable(recording_of(hour)))
    assert {bar.price for bar in bars} == {"ask"}
    assert (bars[0].ts_open_ns, bars[-1].ts_close_ns) == (T0 + 60 * MINUTE, T0 + 120 * MINUTE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": "GBPUSD"}, "has no GBPUSD bars 1m last; it has no series at all"),
        ({"from_utc": "yesterday"}, "key 'feed_replay.files.from_utc': timestamp 'yesterday' is neither"),
    ],
)
def test_a_recording_that_is_not_there_is_a_matter_of_configuration(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    config = FileConfig(**({"path": tmp_path, "symbol": "EURUSD"} | changes))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said):
        recording_of(config)


def test_a_span_of_a_file_is_what_is_within_it(write: Callable[[str, str], Path]) -> None:
    path = write("q.csv", QUOTES)
    late = FileConfig(path=path, symbol="X", from_utc="2014-05-01T00:00:02Z")
    assert [m.ts_event_ns for m in chain.from_iterable(recording_of(late))] == [T0 + 2 * NS]


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
def test_a_long_file_stays_in_bounded_memory(suffix: str, tmp_path: Path) -> None:
    path, count = tmp_path / f"q.{suffix}", 100_000
    if suffix == "parquet":
        table = pa.table({"timestamp": range(T0, T0 + count), "bid": [1.1] * count, "ask": [1.2] * count})
        parquet.write_table(table, path, row_group_size=10_000)
    else:
        with gzip.open(path, "wt") as file:
            file.write("timestamp,bid,ask\n")
            file.writelines(f"{T0 + n},1.1,1.2\n" for n in range(count))
    steps = merge([open_source(path, "X")])
    for _ in range(20_000):
        next(steps)
    tracemalloc.start()
    assert sum(1 for _ in steps) == count - 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
