"""`barque data`: options to results, and what it says where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from barque.errors import BarqueError
from barque_cli.main import app
from tests.support.data import data_file

HEADER = "timestamp,open,high,low,close\n"
ROWS = "2014-05-01T00:00:00Z,1,2,1,1\n2014-05-01T00:01:00Z,1,2,1,1\n"
CONFIG = """
[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00001"
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, in a folder of its own with the archive `archive`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["data", *map(str, arguments)])

    return run


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refused(result: Result) -> str:
    assert isinstance(result.exception, BarqueError), result.output
    return str(result.exception)


def test_a_file_goes_in_is_listed_checked_and_comes_out(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "barque.toml").write_text(CONFIG)
    path = data_file("eurusd-oanda-m1-2014-05-01.csv.gz")
    [said] = parsed(data("import", path, "--symbol", "EURUSD", "--json"))
    assert said | {"source": ""} == {
        "source": "",
        "series": ["EURUSD bars 1m bid", "EURUSD bars 1m ask"],
        "rows": 2_726,
        "added": 2_726,
        "equal": 0,
        "conflicts": 0,
        "conflict": "",
        "from": "2014-05-01T00:00:00Z",
        "to": "2014-05-01T23:59:00Z",
        "left_out": {},
        "examples": {},
    }
    listed = parsed(data("list", "--json"))
    assert [(each["symbol"], each["interval"], each["price"], each["rows"], each["days"]) for each in listed] == [
        ("EURUSD", "1m", "ask", 1_363, 1),
        ("EURUSD", "1m", "bid", 1_363, 1),
    ]
    checked = parsed(data("check", "--json"))
    assert (checked["errors"], [each["errors"] for each in checked["series"]]) == (0, [0, 0])
    [missing] = checked["series"][0]["findings"]
    assert (missing["check"], missing["rows"]) == ("missing", 77), "against the hours of the configured instrument"
    out = data("export", "--symbol", "EURUSD", "--price", "bid", "--from", "2014-05-01T12:00", "--out", "half.parquet")
    assert out.exit_code == 0
    [again] = parsed(data("import", "half.parquet", "--symbol", "EURUSD", "--price", "bid", "--json"))
    assert (again["added"], again["equal"] > 600) == (0, True)


def test_tables_say_what_json_says(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(HEADER + ROWS + "x,1,1,1,1\n")
    imported = data("import", "b.csv", "--symbol", "EURUSD", "--price", "bid", "--skip-bad")
    assert imported.exit_code == 0
    assert "b.csv: 2 rows added; 2014-05-01T00:00:00Z to 2014-05-01T00:01:00Z; EURUSD bars 1m bid" in imported.stderr
    assert "left out 1: timestamp is no time (row 4: timestamp: timestamp 'x' is neither" in imported.stderr
    listed = data("list").stdout.splitlines()
    assert listed[0].split() == ["symbol", "kind", "interval", "price", "from", "to", "rows", "days", "size"]
    assert listed[1].split()[:8] == ["EURUSD", "bars", "1m", "bid", "2014-05-01T00:00:00Z", "2014-05-01T00:01:00Z", "2", "1"]
    assert "EURUSD bars 1m bid: 2 rows  ok" in data("check", "--calendar", "24/7").stdout
    assert "nothing" in data("list", "--archive", "elsewhere").stderr


def test_errors_in_the_archive_are_exit_code_1(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(HEADER + ROWS)
    data("import", "b.csv", "--symbol", "EURUSD", "--price", "bid")
    [path] = tmp_path.glob("archive/**/*.parquet")
    path.write_bytes(b"rubbish")
    result = data("check")
    assert result.exit_code == 1
    assert "error files: 1 × " in result.stdout
    assert data("check", "--json").exit_code == 1


def test_foreign_files_are_read_as_told(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mt.csv").write_text("D\tT\tO\tH\tL\tC\n2014.05.01\t02:05\t1\t2\t1\t1\n2014.05.01\t02:00\t1\t2\t1\t1\n")
    names = "timestamp=D+T,open=O,high=H,low=L"
    told = ("--map", names, "--map", "close=C", "--time", "%Y.%m.%d %H:%M", "--tz", "Europe/Stockholm", "--delimiter", "tab")
    bars = ("--interval", "5m", "--label", "close", "--sort", "--price", "mid")
    [said] = parsed(data("import", "mt.csv", "--symbol", "X", *told, *bars, "--json"))
    assert (said["series"], said["from"], said["to"]) == (["X bars 5m mid"], "2014-04-30T23:55:00Z", "2014-05-01T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("import", "--symbol", "X"), "nothing to import: name files, or say --database"),
        (("import", "b.csv", "--symbol", "X", "--map", "open"), "option --map: 'open' is no pair; ours=theirs"),
        (("import", "b.csv", "--symbol", "X", "--label", "opn"), "option --label: 'opn' is none; did you mean 'open'?"),
        (("import", "b.csv", "--symbol", "X", "--price", "bit"), "option --price: 'bit' is none; did you mean 'bid'?"),
        (("import", "b.csv", "--symbol", "X", "--kind", "bar"), "option --kind: 'bar' is none; did you mean 'bars'?"),
        (("import", "b.csv", "--symbol", "X", "--conflicts", "ours"), "option --conflicts: 'ours' is none"),
        (("import", "b.csv", "--symbol", "X", "--delimiter", "::"), "option --delimiter: '::' is not one character"),
        (("import", "b.csv", "--symbol", "X", "--time", "milli"), "option --time: 'milli' is no form of time"),
        (("import", "b.csv", "--symbol", "X", "--from", "2014-05-02", "--to", "2014-05-01"), "--to: 2014-05-01 is not after"),
        (("import", "b.csv", "--symbol", "X", "--from", "May"), "option --from: timestamp 'May' is neither"),
        (
            ("import", "b.csv", "--symbol", "X", "--database", "--price", "bid"),
            "option --database: with --price and without files",
        ),
        (("import", "b.csv", "--symbol", "X", "--interval", "M1"), "key 'interval': 'M1' is not an interval"),
        (("export", "--symbol", "X", "--out", "x.csv", "--archive", "none"), "there is no archive at none; `barque data import`"),
        (("check", "--symbol", "EURUS"), "archive archive has no 'EURUS'; did you mean 'EURUSD'?"),
        (("check", "--calendar", "XNYSE"), "calendar 'XNYSE' is not known; did you mean 'XNYS'?"),
        (("prune", "--before", ""), "option --before is empty"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_option(
    data: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    (tmp_path / "b.csv").write_text(HEADER + ROWS)
    assert data("import", "b.csv", "--symbol", "EURUSD").exit_code == 0
    assert text in refused(data(*arguments))


def test_a_bad_row_leaves_everything_as_it_was(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(HEADER + ROWS + "2014-05-01T00:02:00Z,1,0.5,1,1\n")
    assert refused(data("import", "b.csv", "--symbol", "X")) == "b.csv: row 4: high: 0.5 is below the low 1.0"
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_nothing_is_removed_without_a_yes(data: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(HEADER + ROWS + ROWS.replace("05-01", "06-01"))
    data("import", "b.csv", "--symbol", "EURUSD")
    asked = data("prune", "--before", "2014-06-01")
    assert "EURUSD bars 1m last: 2014-05.parquet would go" in asked.stderr
    assert len(list(tmp_path.glob("archive/**/*.parquet"))) == 2
    assert "2014-05.parquet removed" in data("prune", "--before", "2014-06-01", "--yes").stderr
    assert [path.name for path in tmp_path.glob("archive/**/*.parquet")] == ["2014-06.parquet"]
