"""`barque bars`: a vendor's ticks to a file of bars."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from barque.errors import ConfigError
from barque.messages import Bar
from barque_cli.bars import Wanted, iso, write_bars
from feed_replay.shell.files import open_source
from tests.support.data import data_file

PARTS = ("open", "high", "low", "close")
TICKS = "timestamp,bid,ask\n2014-05-01T00:00:01.5Z,1.1,1.3\n2014-05-01T00:00:59Z,5.0,6.0\n2014-05-01T00:02:03Z,1.2,1.4\n"


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.csv"
    path.write_text(TICKS, encoding="utf-8")
    return path


@pytest.mark.parametrize(("day", "count"), [("2014-05-01", 1_363), ("2014-05-02", 1_222)])
@pytest.mark.parametrize("price", ["bid", "ask"])
def test_the_file_is_the_vendors_bars(day: str, count: int, price: str, tmp_path: Path) -> None:
    out = tmp_path / "bars.csv"
    wanted = Wanted("EURUSD", "1m", price)  # type: ignore[arg-type]
    assert write_bars(data_file(f"eurusd-oanda-ticks-{day}.csv.gz"), wanted, out) == count
    with gzip.open(data_file(f"eurusd-oanda-m1-{day}.csv.gz"), "rt", newline="") as file:
        vendors = [
            (
                row["timestamp"].replace(".000Z", "Z"),
                *(float(row[f"{price}_{part}"]) for part in PARTS),
            )
            for row in csv.DictReader(file)
        ]
    with out.open(newline="") as file:
        table = csv.reader(file)
        assert next(table) == ["ts_open", "open", "high", "low", "close", "tick_count"]
        assert [(row[0], *map(float, row[1:5])) for row in table] == vendors


def test_bars_go_to_standard_output_where_no_file_is_named(ticks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_bars(ticks, Wanted("XXX"), None) == 2
    assert capsys.readouterr().out == (
        "ts_open,open,high,low,close,tick_count\n"
        "2014-05-01T00:00:00Z,1.1,5.0,1.1,5.0,2\n"  # however far a price jumps, it is the vendor's
        "2014-05-01T00:02:00Z,1.2,1.2,1.2,1.2,1\n"
    )


def test_gaps_are_filled_on_request(ticks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_bars(ticks, Wanted("XXX", price="mid", fill_gaps=True), None) == 3
    assert "2014-05-01T00:01:00Z,5.5,5.5,5.5,5.5,0\n" in capsys.readouterr().out


PRINTS = (("14:29:00", 9.0), ("14:30:00", 10.0), ("14:31:00", 10.2), ("17:31:00", 10.6), ("17:59:59", 10.5), ("18:00:00", 11.0))


@pytest.fixture
def prints(tmp_path: Path) -> Path:
    """Trades of two shares on the half day after Thanksgiving 2013."""
    path = tmp_path / "prints.csv"
    path.write_text("timestamp,price,size\n" + "".join(f"2013-11-29T{at}Z,{price},2\n" for at, price in PRINTS), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"interval": "tick:4"}, ["14:29:00Z,9.0,10.6,9.0,10.6,4,8.0,2013-11-29T17:31:00Z,0"]),
        (
            {"interval": "volume:6"},
            [
                "14:29:00Z,9.0,10.2,9.0,10.2,3,6.0,2013-11-29T14:31:00Z,0",
                "17:31:00Z,10.6,11.0,10.5,11.0,3,6.0,2013-11-29T18:00:00Z,0",
            ],
        ),
        (
            {"interval": "range:2", "tick_size": "0.1"},
            [
                "14:29:00Z,9.0,9.0,9.0,9.0,1,2.0,2013-11-29T14:30:00Z,0",
                "14:30:00Z,10.0,10.2,10.0,10.2,2,4.0,2013-11-29T14:31:00Z,0",
                "17:31:00Z,10.6,10.6,10.5,10.5,2,4.0,2013-11-29T18:00:00Z,0",
            ],
        ),
        (
            {"interval": "1d", "anchor": "session", "calendar": "XNYS"},
            ["14:30:00Z,10.0,10.6,10.0,10.5,4,8.0,2013-11-29T18:00:00Z,0"],
        ),
    ],
)
def test_bars_whose_end_does_not_follow_from_their_beginning_say_when_they_end(
    wanted: dict[str, str], rows: list[str], prints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bars(prints, Wanted("XXX", price="last", **wanted), None)  # type: ignore[arg-type]
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "ts_open,open,high,low,close,tick_count,volume,ts_close,seq"
    assert lines == [f"2013-11-29T{row}" for row in rows]


def test_value_bars_count_in_currency(prints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_bars(prints, Wanted("XXX", "value:3840", "last", multiplier="100"), None) == 2, "1,800 + 2,000 + 2,040 + 2,120 …"
    assert [line.split(",")[5] for line in capsys.readouterr().out.splitlines()[1:]] == ["3", "2"]


def test_what_is_written_can_be_replayed_and_made_into_longer_bars(prints: Path, tmp_path: Path) -> None:
    ticks, minutes, hours = (tmp_path / f"{name}.csv" for name in ("ticks", "minutes", "hours"))
    write_bars(prints, Wanted("XXX", "tick:2", "last"), ticks)
    replayed = [message for row in open_source(ticks, "XXX", "tick:2") for message in row]
    assert [(bar.open, bar.close, bar.volume, bar.ts_close_ns - bar.ts_open_ns) for bar in replayed if isinstance(bar, Bar)] == [
        (9.0, 10.0, 4.0, 60 * 10**9),
        (10.2, 10.6, 4.0, 3 * 3_600 * 10**9),
        (10.5, 11.0, 4.0, 10**9),
    ]
    assert write_bars(prints, Wanted("XXX", "1m", "last"), minutes) == 6
    assert write_bars(minutes, Wanted("XXX", "1h", "last", source="1m"), hours) == 3
    assert write_bars(prints, Wanted("XXX", "1h", "last"), tmp_path / "direct.csv") == 3
    assert hours.read_text() == (tmp_path / "direct.csv").read_text()


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"interval": "1x"}, "'1x' is not an interval"),
        ({"price": "last"}, "holds quotes: bars of 'last' are made of trades"),
        ({"interval": "volume:5"}, "need traded sizes"),
        ({"interval": "renko:5"}, "measured in ticks: give --tick-size"),
        ({"interval": "renko:5", "tick_size": "-1"}, "--tick-size '-1' is no positive number"),
        ({"interval": "tick:5", "multiplier": "x"}, "--multiplier 'x' is no positive number"),
        ({"interval": "1d", "anchor": "session"}, "give --calendar"),
        ({"interval": "1d", "anchor": "session", "calendar": "XNYZ"}, "calendar 'XNYZ' is not known"),
        ({"interval": "1d", "anchor": "Mars/Olympus"}, "anchor must be utc, session or a time zone"),
        ({"interval": "5m", "source": "2m"}, "from = '2m' must divide 5m"),
        ({"interval": "5m", "source": "1m"}, "holds quotes: leave --from out"),
    ],
)
def test_what_cannot_be_built_is_said(wanted: dict[str, str], text: str, ticks: Path) -> None:
    with pytest.raises(ConfigError, match=text):
        write_bars(ticks, Wanted("XXX", **wanted), None)  # type: ignore[arg-type]


def test_a_time_shows_a_fraction_only_where_it_has_one() -> None:
    assert iso(1_398_902_400 * 10**9) == "2014-05-01T00:00:00Z"
    assert iso(1_398_902_400 * 10**9 + 1) == "2014-05-01T00:00:00.000000001Z"
