"""Recorded files as columns: every recording against a reader of the standard library, and everything that can be wrong."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from barque.errors import ConfigError, WireError
from barque.messages import Message
from barque_archive.columns import BarColumns, MarketColumns, concat
from barque_archive.files import AS_RECORDED, FileSource, Reading
from barque_archive.series import Series
from barque_archive.structs import messages_of
from barque_archive.tables import BATCH_ROWS, BadRow
from barque_archive.times import TimeFormat
from feed_replay.shell.files import open_source
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade
from tests.support.data import data_file
from tests.support.recordings import RECORDINGS, rows_of

Write = Callable[..., Path]
DAY = "2014-05-01T00:0"
QUOTES = f"timestamp,bid,ask\n{DAY}1:00Z,1.1,1.2\n{DAY}2:00Z,1.3,1.4\n"
BARS = f"timestamp,open,high,low,close\n{DAY}1:00Z,1.2,1.4,1.1,1.3\n{DAY}2:00Z,1.3,1.5,1.2,1.4\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file of that name and content."""

    def _write(text: str, name: str = "f.csv") -> Path:
        path = tmp_path / name
        data = text.encode("utf-8", "surrogateescape")
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return _write


def messages(source: FileSource) -> list[Message]:
    return [message for columns in source for message in messages_of(columns)]


def all_of(path: Path, symbol: str = "EURUSD", **reading: Any) -> list[Message]:
    return messages(FileSource(path, symbol, reading=Reading(**reading)))


def refusal(path: Path, interval: str = "1m", **reading: Any) -> str:
    """What reading the file to its end says against it."""
    with pytest.raises((BadRow, ConfigError)) as error:
        list(FileSource(path, "EURUSD", interval, reading=Reading(**reading)))
    return str(error.value).replace(str(path.parent) + "/", "")


# -- recordings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind", "rows"), RECORDINGS)
def test_every_recording_is_read_and_handed_on_as_the_standard_library_reads_it(name: str, kind: str, rows: int) -> None:
    path = data_file(name)
    expected = list(rows_of(path, "X"))
    assert len(expected) == rows
    source = FileSource(path, "X")
    assert source.kind == kind
    sides = len(expected[0])
    found = [list(zip(*map(messages_of, group), strict=True)) for group in source.groups()]
    assert list(map(list, chain.from_iterable(found))) == expected
    assert source.tally.rows == rows
    assert len(source.series) == sides
    assert list(open_source(path, "X")) == expected, "the feed"


def test_a_source_can_be_read_again_and_says_how_far_it_is(write: Write) -> None:
    source = FileSource(write(QUOTES, "q.csv.gz"), "EURUSD")
    assert (
        messages(source)
        == messages(source)
        == [a_quote(T0 + n * MINUTE, bid=b, ask=a) for n, b, a in ((1, 1.1, 1.2), (2, 1.3, 1.4))]
    )
    assert source.fraction == 1.0


# -- what files look like --------------------------------------------------------------------------------------------------


def test_zipped_files_marks_of_byte_order_and_blank_lines_make_no_difference(write: Write) -> None:
    plain = all_of(write(QUOTES))
    assert all_of(write(QUOTES, "q.csv.gz")) == plain
    assert all_of(write("\ufeff" + QUOTES.replace("\n", "\r\n\r\n"))) == plain
    assert all_of(write(QUOTES.replace(",", ";")), delimiter=";") == plain
    assert all_of(write(QUOTES.replace(",", "\t ")), delimiter="\t") == plain, "spaces around numbers are none of theirs"


def test_columns_may_come_in_any_order_with_sizes_or_with_more_than_is_needed(write: Write) -> None:
    path = write(f"venue,ask_size,ask,bid,bid_size,timestamp_utc,venue\nX,3,1.2,1.1,4.5,{DAY}0,Y\n")
    assert all_of(path) == [a_quote(bid=1.1, ask=1.2, bid_size=4.5, ask_size=3.0)]


def test_what_a_file_could_be_is_decided_by_its_columns_unless_somebody_says(write: Write) -> None:
    path = write(f"timestamp,bid,ask,price,size\n{DAY}0,1.1,1.2,1.15,7\n")
    assert all_of(path) == [a_quote(bid=1.1, ask=1.2)]
    assert all_of(path, kind="trades") == [a_trade(price=1.15, size=7.0)]
    assert "missing open, high, low, close for bars" in refusal(path, kind="bars")


def test_foreign_columns_are_read_by_their_names(write: Write) -> None:
    path = write("Date;Time;O;H;L;C;V\n20140501;000100;1.2;1.4;1.1;1.3;9\n")
    names = {"timestamp": "Date+Time", "open": "O", "high": "H", "low": "L", "close": "C", "volume": "V"}
    time = TimeFormat(form="%Y%m%d %H%M%S", tz="Europe/Stockholm")
    [bar] = messages(FileSource(path, "EURUSD", "5m", "mid", Reading(columns=names, time=time, delimiter=";")))
    at = T0 + MINUTE - 7_200 * NS
    assert bar == a_bar(
        at, 5 * MINUTE, interval="5m", price="mid", open=1.2, high=1.4, low=1.1, close=1.3, volume=9.0, tick_count=0
    )


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"timestamp": "Time"}, "option --map timestamp=Time: the file has no column 'Time'; did you mean 'time'?"),
        ({"opn": "time"}, "option --map opn=time: 'opn' is not a column of ours; did you mean 'open'?"),
        ({"timestamp": "time+day"}, "the file has no column 'day'"),
    ],
)
def test_a_mapping_that_fits_nothing_is_refused_with_the_nearest_name(write: Write, names: dict[str, str], text: str) -> None:
    assert text in refusal(write("time,bid,ask\n"), columns=names)


def test_bars_may_be_labelled_by_their_close(write: Write) -> None:
    opened, closed = (all_of(write(BARS), label=label) for label in ("open", "close"))
    assert [bar.ts_open_ns for bar in opened] == [T0 + MINUTE, T0 + 2 * MINUTE]
    assert [bar.ts_open_ns for bar in closed] == [T0, T0 + MINUTE]
    assert [bar.ts_close_ns - bar.ts_open_ns for bar in (*opened, *closed)] == [MINUTE] * 4


def test_bars_that_say_when_they_closed_are_as_long_as_they_say(write: Write) -> None:
    path = write(f"ts_open,ts_close,open,high,low,close,tick_count\n{DAY}0,{DAY}7,1,1,1,1,3\n")
    for interval in ("1m", "tick:3"):
        [bar] = messages(FileSource(path, "EURUSD", interval, "bid"))
        one = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
        assert bar == a_bar(T0, 7 * MINUTE, interval=interval, tick_count=3, **one)


def test_bars_that_are_not_made_of_time_and_open_together_are_numbered(write: Write) -> None:
    times = [0, 0, 0, 1, 1, 2]
    rows = "".join(f"{DAY}{t}:00,{DAY}{t}:00,1,1,1,1\n" for t in times)
    source = FileSource(write("ts_open,ts_close,open,high,low,close\n" + rows), "EURUSD", "tick:1")
    assert [bars.seq.tolist() for bars in source if isinstance(bars, BarColumns)] == [[0, 1, 2, 0, 1, 0]]
    twins = FileSource(source.path, "EURUSD", "1m", reading=Reading(twins="keep"))
    assert [bars.seq.tolist() for bars in twins if isinstance(bars, BarColumns)] == [[0] * 6]


def test_of_a_file_of_both_sides_one_may_be_taken(write: Write) -> None:
    sides = [f"{side}_{part}" for side in ("ask", "bid") for part in ("open", "high", "low", "close")]
    path = write(f"timestamp,{','.join(sides)},volume\n{DAY}0,5,8,4,7,1,4,0.5,3,2\n")
    bid, ask = all_of(path)
    assert (bid.price, bid.open, bid.high, bid.low, bid.close, bid.volume) == ("bid", 1.0, 4.0, 0.5, 3.0, 2.0)
    assert (ask.price, ask.open, ask.high, ask.low, ask.close, ask.volume) == ("ask", 5.0, 8.0, 4.0, 7.0, 2.0)
    for price, bar in (("bid", bid), ("ask", ask)):
        source = FileSource(path, "EURUSD", "1m", price)  # type: ignore[arg-type]
        assert (source.series, messages(source)) == ((Series("EURUSD", "bars", "1m", price),), [bar])
    with pytest.raises(ConfigError, match="bars of bid and of ask, none of 'mid'"):
        FileSource(path, "EURUSD", "1m", "mid")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_only_what_is_within_a_span_is_given(suffix: str, tmp_path: Path) -> None:
    rows = list(range(0, 100_000))
    path = tmp_path / f"f.{suffix}"
    if suffix == "csv":
        path.write_text("timestamp,price,size\n" + "".join(f"{T0 + n},1,1\n" for n in rows))
    else:
        parquet.write_table(pa.table({"timestamp": [T0 + n for n in rows], "price": [1.0] * len(rows), "size": rows}), path)
    for first, end in ((10, 20), (0, 1), (99_990, None), (None, 7), (40_000, 70_000)):
        span = (None if first is None else T0 + first, None if end is None else T0 + end)
        for reading in (Reading(), AS_RECORDED, Reading(order="sort")):
            source = FileSource(path, "X", reading=reading, span=span)
            found = np.concatenate([columns.ts_event_ns for columns in source if not isinstance(columns, BarColumns)])
            assert (found - T0).tolist() == rows[first:end]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("stamp", "offset"),
    [
        (pa.array([T0 + 1, T0 + NS], pa.timestamp("ns")), 1),
        (pa.array([T0 + 1, T0 + NS], pa.timestamp("ns", "Europe/Stockholm")), 1),
        (pa.array([T0 // 10**6, T0 // 10**6 + 1_000], pa.timestamp("ms", "UTC")), 0),
        (pa.array(["2014-05-01T00:00:00.000000001Z", "2014-05-01T00:00:01Z"]), 1),
        (pa.array(["2014-05-01T00:00:00.000000001Z", "2014-05-01T00:00:01Z"]).dictionary_encode(), 1),
        (pa.array([T0 + 1, T0 + NS], pa.int64()), 1),
    ],
)
def test_parquet_is_read_to_the_nanosecond(stamp: pa.Array, offset: int, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    bid = pa.array([Decimal("1.1"), Decimal("1.3")], pa.decimal128(10, 5))
    parquet.write_table(pa.table({"timestamp": stamp, "bid": bid, "ask": pa.array(["1.2", "1.4"])}), path)
    if zipped:
        path = path.rename(tmp_path / "q.parquet.gz")
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert all_of(path) == [a_quote(T0 + offset, bid=1.1, ask=1.2), a_quote(T0 + NS, bid=1.3, ask=1.4)]


# -- what is refused before a row is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("q.txt", QUOTES, "f.txt: name ends in '.txt'; expected .csv or .parquet, plain or .gz"),
        (
            "q.csv",
            "time,bid,ask\n",
            "columns time, bid, ask: missing timestamp for quotes; expected one of: quotes: timestamp, bid",
        ),
        ("q.csv", "timestamp,bid\n", "missing ask for quotes"),
        (
            "q.csv",
            "Date,Time,Open,High,Low,Close,Volume\n",
            "; try `barque data import --map timestamp=Date+Time,open=Open,high=High,low=Low,close=Close,volume=Volume`",
        ),
        ("q.csv", "timestamp;open;high;low;close\n", "; all is in one column: `barque data import` takes --delimiter"),
        ("q.csv", "timestamp,open,high,close\n", "missing low for bars"),
        ("q.csv", "timestamp,bid_open,bid_high,bid_low,bid_close\n", "missing ask_open, ask_high, ask_low, ask_close"),
        ("q.csv", "", "columns (none): missing timestamp"),
        ("q.parquet", QUOTES, "q.parquet cannot be read: "),
        ("q.csv.gz", "plain", "q.csv.gz cannot be read: Not a gzipped file"),
        ("q.csv", "timestamp,bid,bid,ask\n1,2,3,4\n", "column 'bid' is there 2 times"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert said.replace("f.txt", name) in refusal(path)


def test_a_missing_file_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recorded file .*nowhere\.csv does not exist"):
        FileSource(tmp_path / "nowhere.csv", "X")


def test_an_interval_that_is_none_or_has_no_length_is_a_matter_of_configuration(write: Write) -> None:
    assert "key 'interval': '5min' is not an interval" in refusal(write(BARS), "5min")
    assert "bars of tick:100 end when something has happened; the file needs a column ts_close" in refusal(
        write(BARS), "tick:100"
    )


def test_columns_that_hold_no_numbers_at_all_are_named_with_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(pa.table({"timestamp": [T0], "bid": [True], "ask": [1.2]}), path)
    assert "column 'bid' holds bool: numbers expected" in refusal(path)


# -- bad rows --------------------------------------------------------------------------------------------------------------

BAD_QUOTES = [
    (f"{DAY}3:00Z,abc,1.2", "bid: 'abc' is no number", "bid is no number"),
    (f"{DAY}3:00Z,,1.2", "bid: '' is no number", "bid is no number"),
    (f"{DAY}3:00Z,1_1,1.2", "bid: '1_1' is no number", "bid is no number"),
    (f"{DAY}3:00Z,1.1,\udcff", "ask: '\ufffd' is no number", "ask is no number"),
    (f"{DAY}3:00Z,nan,1.2", "bid: nan is no positive number", "bid is no positive number"),
    (f"{DAY}3:00Z,1.1,inf", "ask: inf is no positive number", "ask is no positive number"),
    (f"{DAY}3:00Z,-1.1,1.2", "bid: -1.1 is no positive number", "bid is no positive number"),
    (f"{DAY}3:00Z,0,1.2", "bid: 0.0 is no positive number", "bid is no positive number"),
    (f"{DAY}3:00Z,1.3,1.2", "bid: 1.3 is above the ask 1.2", "bid is above the ask"),
    ("once,1.1,1.2", "timestamp: timestamp 'once' is neither ISO 8601", "timestamp is no time"),
    (f"{DAY}3:00,1.1,1.2", "does not name its zone, the others do: mixed zones", "timestamp is no time"),
    (f"{DAY}3:00Z,1.1", "2 values, 3 expected", "values are too many or too few"),
    (f"{DAY}3:00Z,1.1,1.2,1.3", "4 values, 3 expected", "values are too many or too few"),
]


@pytest.mark.parametrize(("row", "said", "name"), BAD_QUOTES)
def test_a_bad_row_is_named_by_file_row_and_field_once_what_precedes_it_has_been_given(
    write: Write, row: str, said: str, name: str
) -> None:
    path = write(QUOTES + "\n" + row + f"\n{DAY}4:00Z,1.3,1.4\n")
    given: list[MarketColumns] = []
    with pytest.raises(BadRow) as error:
        given.extend(FileSource(path, "EURUSD"))
    assert sum(map(len, given)) == 2
    assert str(error.value).startswith(f"{path}: row 5: ")
    assert said in str(error.value)


@pytest.mark.parametrize(("row", "said", "name"), BAD_QUOTES)
def test_bad_rows_are_left_out_on_request_and_counted(write: Write, row: str, said: str, name: str) -> None:
    source = FileSource(write(QUOTES + f"{row}\n{row}\n{DAY}4:00Z,1.3,1.4\n"), "EURUSD", reading=Reading(bad="skip"))
    assert [quote.ts_event_ns for quote in messages(source)] == [T0 + n * MINUTE for n in (1, 2, 4)]
    assert source.tally.left_out == {name: 2}
    assert source.tally.examples[name].startswith("row 4: ")
    assert said in source.tally.examples[name]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1.2,1.0,1.1,1.3", "high: 1.0 is below the low 1.1"),
        ("1.5,1.4,1.1,1.3", "high: 1.4 is below the open 1.5"),
        ("1.2,1.4,1.1,1.5", "high: 1.4 is below the close 1.5"),
        ("1.2,1.4,1.25,1.3", "low: 1.25 is above the open 1.2"),
        ("1.3,1.4,1.25,1.2", "low: 1.25 is above the close 1.2"),
        ("1.3,nan,1.25,1.2", "high: nan is no positive number"),
        ("-1,1,-1,-1", "open: -1.0 is no positive number"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(write: Write, row: str, said: str) -> None:
    assert refusal(write(BARS + f"{DAY}3:00Z,{row}\n")) == f"f.csv: row 4: {said}"


@pytest.mark.parametrize(("column", "value"), [("volume", "-1"), ("volume", "nan"), ("tick_count", "1.5"), ("seq", "x")])
def test_the_other_numbers_of_a_bar_must_be_what_they_are(write: Write, column: str, value: str) -> None:
    assert f"row 2: {column}: " in refusal(write(f"timestamp,open,high,low,close,{column}\n{DAY}1,1,1,1,1,{value}\n"))


def test_in_a_file_of_both_sides_the_side_is_named(write: Write) -> None:
    sides = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    assert (
        refusal(write(f"timestamp,{','.join(sides)}\n{DAY}0,1,1,1,1,2,2,3,2\n"))
        == "f.csv: row 2: ask_high: 2.0 is below the low 3.0"
    )


def test_a_feed_hands_impossible_ticks_on_and_no_impossible_bars(write: Write) -> None:
    rows = "".join(f"{DAY}3:00Z,{row}\n" for row in ("nan,1.2", "1.4,1.2", "-1,1"))
    [bids] = [columns.bid.tolist() for columns in FileSource(write(QUOTES + rows), "X", reading=AS_RECORDED)]  # type: ignore[union-attr]
    assert bids[3:] == [1.4, -1.0]
    for field, row in (("high", "1.2,nan,1.1,1.3"), ("open", "x,1,1,1")):
        path = write(BARS + f"{DAY}3:00Z,{row}\n")
        with pytest.raises(WireError, match=f"row 4: {field}: "):
            list(FileSource(path, "X", reading=AS_RECORDED))


def test_a_missing_value_in_parquet_is_named_by_file_row_and_field(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    parquet.write_table(pa.table({"timestamp": [T0, T0 + 1, None], "bid": [1.1, None, 1.1], "ask": [1.2, 1.2, 1.2]}), path)
    assert refusal(path) == "q.parquet: row 2: bid: the value is missing"
    source = FileSource(path, "X", reading=Reading(bad="skip"))
    assert len(messages(source)) == 1
    assert source.tally.left_out == {"bid is no number": 1, "timestamp is no time": 1}


def test_rows_are_counted_as_an_editor_counts_lines(write: Write) -> None:
    path = write('timestamp,bid,ask,note\n\n2014-05-01,1.1,1.2,"of\ntwo lines"\n2014-05-01\n\n2014-05-02,1.1,x,\n')
    assert refusal(path) == "f.csv: row 5: 1 values, 4 expected"
    source = FileSource(path, "X", reading=Reading(bad="skip"))
    assert len(messages(source)) == 1
    assert source.tally.examples["ask is no number"] == "row 7: ask: 'x' is no number"


def test_bad_rows_far_from_one_another_are_each_found(tmp_path: Path) -> None:
    """Over several blocks of the file, with torn rows between, places stay right."""
    bad = {5_000: "x", 60_001: "torn", 60_002: "y", 149_999: "torn", 150_000: "z"}
    path = tmp_path / "q.csv"
    with path.open("w") as file:
        file.write("timestamp,price,size\n")
        for line in range(2, 150_001):
            kind = bad.get(line)
            file.write("1\n" if kind == "torn" else f"{T0 + line},{kind or '1.25'},1\n")
    source = FileSource(path, "X", reading=Reading(bad="skip"))
    assert sum(map(len, source)) == 150_000 - 1 - len(bad)
    assert source.tally.left_out == {"price is no number": 3, "values are too many or too few": 2}
    assert source.tally.examples == {
        "price is no number": "row 5000: price: 'x' is no number",
        "values are too many or too few": "row 60001: 1 values, 3 expected",
    }
    for number, (line, kind) in enumerate(bad.items()):
        rest = path.read_text().splitlines()
        for other in list(bad)[:number]:
            rest[other - 1] = f"{T0 + other},1.25,1"
        (tmp_path / "r.csv").write_text("\n".join(rest) + "\n")
        said = "1 values" if kind == "torn" else f"price: '{kind}'"
        assert f"r.csv: row {line}: {said}" in refusal(tmp_path / "r.csv")


def test_a_file_cut_short_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "q.csv.gz"
    whole = gzip.compress((QUOTES + "".join(f"{DAY}3:{n % 60:02d}Z,1.{n},9\n" for n in range(60))).encode())
    path.write_bytes(whole[: len(whole) - 20])
    assert "Compressed file ended before the end-of-stream marker" in refusal(path, order="as_is")
    broken = bytearray(gzip.compress((QUOTES * 50).encode()))
    broken[-6] ^= 0xFF
    path.write_bytes(broken)
    assert "CRC check failed" in refusal(path, order="as_is")


# -- order -----------------------------------------------------------------------------------------------------------------


def trades_at(*times: int) -> str:
    return "timestamp,price,size\n" + "".join(f"{T0 + at},1.{at},1\n" for at in times)


def test_rows_out_of_order_are_refused_or_sorted_or_left(write: Write) -> None:
    path = write(trades_at(1, 3, 2, 5))
    said = "f.csv: row 4: timestamp: 2014-05-01T00:00:00.000000002Z comes after 2014-05-01T00:00:00.000000003Z"
    assert refusal(path).startswith(said)
    assert [trade.ts_event_ns - T0 for trade in all_of(path, order="sort")] == [1, 2, 3, 5]
    assert [trade.ts_event_ns - T0 for trade in all_of(path, order="as_is")] == [1, 3, 2, 5]


def test_rows_out_of_order_are_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("timestamp,price,size\n" + "".join(f"{T0 + (0 if n == 90_000 else n)},1.25,1\n" for n in range(100_000)))
    assert "t.csv: row 90002: timestamp: 2014-05-01T00:00:00Z comes after" in refusal(path)


@pytest.mark.parametrize(
    ("next_minute", "said"),
    [(BATCH_ROWS - 1, "a second bar of"), (BATCH_ROWS - 2, "rows are not in order"), (BATCH_ROWS - 0.5, "is their interval 1m?")],
)
def test_what_does_not_follow_is_found_where_one_batch_ends_and_the_next_begins(
    next_minute: float, said: str, tmp_path: Path
) -> None:
    path, ones = tmp_path / "b.parquet", [1.0] * (BATCH_ROWS + 1)
    times = [T0 + int(at * MINUTE) for at in (*range(BATCH_ROWS), next_minute)]
    parquet.write_table(pa.table({"timestamp": times, "open": ones, "high": ones, "low": ones, "close": ones}), path)
    assert said in refusal(path)
    assert f"b.parquet: row {BATCH_ROWS + 1}: " in refusal(path)
    dropping = FileSource(path, "EURUSD", reading=Reading(twins="drop"))
    if "second" in said:
        assert sum(map(len, dropping)) == BATCH_ROWS


def test_bars_that_open_together_go_on_counting_in_the_next_batch(tmp_path: Path) -> None:
    path, ones = tmp_path / "b.parquet", [1.0] * (BATCH_ROWS + 2)
    times = [T0 + at for at in (*range(BATCH_ROWS), BATCH_ROWS - 1, BATCH_ROWS - 1)]
    columns = {"ts_open": times, "ts_close": times, "open": ones, "high": ones, "low": ones, "close": ones}
    parquet.write_table(pa.table(columns), path)
    numbers = concat(list(FileSource(path, "EURUSD", "tick:1"))).seq  # type: ignore[union-attr]
    assert numbers.tolist() == [0] * BATCH_ROWS + [1, 2]


def test_a_second_bar_of_one_time_is_refused_or_dropped_where_it_says_the_same(write: Write) -> None:
    again = BARS + f"{DAY}2:00Z,1.3,1.5,1.2,1.4\n{DAY}3:00Z,1.3,1.5,1.2,1.4\n"
    said = "f.csv: row 4: timestamp: a second bar of 2014-05-01T00:02:00Z; --drop-duplicates"
    assert refusal(write(again)).startswith(said)
    source = FileSource(write(again), "EURUSD", reading=Reading(twins="drop"))
    assert [bar.ts_open_ns for bar in messages(source)] == [T0 + n * MINUTE for n in (1, 2, 3)]
    assert source.tally.left_out == {"duplicate": 1}
    other = BARS + f"{DAY}2:00Z,1.3,1.5,1.2,1.45\n"
    assert refusal(write(other), twins="drop").startswith(said)


def test_equal_ticks_are_news_unless_somebody_says_otherwise(write: Write) -> None:
    path = write(trades_at(1, 2, 2, 2) + f"{T0 + 2},7,1\n")
    assert len(all_of(path)) == 5
    assert [trade.price for trade in all_of(path, twins="drop")] == [1.1, 1.2, 7.0]


def test_bars_that_overlap_are_not_of_the_interval_that_somebody_says(write: Write) -> None:
    said = "f.csv: row 3: timestamp: a bar opens at 2014-05-01T00:02:00Z, and the one of 2014-05-01T00:01:00Z closes at "
    assert refusal(write(BARS), "5m").startswith(said + "2014-05-01T00:06:00Z")
    assert refusal(write(BARS), "5m").endswith("is their interval 5m?")


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 40), max_size=30),
    order=st.sampled_from(["strict", "sort"]),
    twins=st.sampled_from(["refuse", "drop"]),
    block=st.integers(1, 8),
)
def test_what_passes_is_in_order_and_what_does_not_is_said(
    times: list[int], order: Any, twins: Any, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bars in Parquet, read in row groups of any size: equal to sorting and dropping in plain Python."""
    path = tmp_path_factory.mktemp("rows") / "b.parquet"
    prices = [float(at + 1) for at in times]
    table = {"timestamp": pa.array([T0 + at * MINUTE for at in times], pa.int64())}
    table |= {name: pa.array(prices, pa.float64()) for name in ("open", "high", "low", "close")}
    parquet.write_table(pa.table(table), path, row_group_size=block)
    expected = sorted(times) if order == "sort" else times
    if twins == "drop":
        expected = [at for n, at in enumerate(expected) if n == 0 or at != expected[n - 1]]
    source = FileSource(path, "EURUSD", reading=Reading(order=order, twins=twins))
    if expected != sorted(set(expected)):
        with pytest.raises(BadRow, match=r"not in order|a second bar"):
            list(source)
    else:
        parts = list(source)
        opens = concat(parts).ts_open_ns.tolist() if parts else []  # type: ignore[union-attr]
        assert [(at - T0) // MINUTE for at in opens] == expected
        assert source.tally.left_out.get("duplicate", 0) == len(times) - len(expected)


# -- memory ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_three_times_the_rows_take_no_more_memory(suffix: str, tmp_path: Path) -> None:
    short, long = (_peak_bytes(tmp_path / f"q.{suffix}", rows) for rows in (400_000, 1_200_000))
    assert long < 2 * short + READ_AHEAD


READ_AHEAD = 6_000_000
"""Bytes by which two readings of a file may differ: Arrow's threads read ahead. The longer one has six times that."""


def _peak_bytes(path: Path, count: int) -> int:
    """Of reading so many quotes: what Python and Arrow hold at the worst moment."""
    if path.suffix == ".parquet":
        table = pa.table({"timestamp": range(T0, T0 + count), "bid": [1.1] * count, "ask": [1.2] * count})
        parquet.write_table(table, path, row_group_size=20_000)
        del table
    else:
        text = "timestamp,bid,ask\n" + "".join(f"{T0 + n},1.1,1.2\n" for n in range(count))
        path.write_bytes(gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode())
    before, arrow = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    for columns in FileSource(path, "X"):
        count -= len(columns)
        arrow = max(arrow, pa.total_allocated_bytes() - before)
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 0
    return traced + arrow


def test_sorting_says_that_it_holds_the_file(write: Write) -> None:
    source = FileSource(write(trades_at(*range(50, 0, -1))), "X", reading=Reading(order="sort"))
    parts: Sequence[MarketColumns] = list(source)
    assert len(parts) == 1
