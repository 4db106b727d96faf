"""`barque bars`: a vendor's ticks to a file of bars."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from barque.errors import ConfigError
from barque_cli.bars import iso, write_bars
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
    assert write_bars(data_file(f"eurusd-oanda-ticks-{day}.csv.gz"), "EURUSD", "1m", price, out) == count  # type: ignore[arg-type]
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
    assert write_bars(ticks, "XXX", "1m", "bid", None) == 2
    assert capsys.readouterr().out == (
        "ts_open,open,high,low,close,tick_count\n"
        "2014-05-01T00:00:00Z,1.1,5.0,1.1,5.0,2\n"  # however far a price jumps, it is the vendor's
        "2014-05-01T00:02:00Z,1.2,1.2,1.2,1.2,1\n"
    )


def test_gaps_are_filled_on_request(ticks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_bars(ticks, "XXX", "1m", "mid", None, fill_gaps=True) == 3
    assert "2014-05-01T00:01:00Z,5.5,5.5,5.5,5.5,0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("interval", "price", "text"), [("1x", "bid", "'1x' is not an interval"), ("1m", "last", "holds quotes")]
)
def test_what_cannot_be_built_is_said(ticks: Path, interval: str, price: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        write_bars(ticks, "XXX", interval, price, None)  # type: ignore[arg-type]


def test_a_time_shows_a_fraction_only_where_it_has_one() -> None:
    assert iso(1_398_902_400 * 10**9) == "2014-05-01T00:00:00Z"
    assert iso(1_398_902_400 * 10**9 + 1) == "2014-05-01T00:00:00.000000001Z"
