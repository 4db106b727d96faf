"""`barque backtest`: figures, JSON and a folder from one command; what it says where it cannot; and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from barque.errors import BarqueError
from barque_backtest.folder import read_messages, read_result
from barque_cli.main import app
from benchmarks.walks import walk, write

CONFIG = """
[book]
name = "test"
clock = "feed"

[[instruments]]
symbol = "USDJPY"
currency = "JPY"
base_currency = "USD"
tick_size = "0.001"
contract_size = "1"

[[strategies]]
id = "sma"
strategy = "sma_cross"
symbols = ["USDJPY"]
params = { quantity = "1000", price = "last" }

[[portfolio.accounts]]
name = "paper"
currency = "JPY"
starting_cash = "1000000"
"""


@pytest.fixture
def backtest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, in a folder with `barque.toml` and a file of 2,000 bars from the 1st of January 2013 on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "barque.toml").write_text(CONFIG)
    write(tmp_path / "bars.parquet", walk(2_000))

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["backtest", *map(str, arguments)])

    return run


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refused(result: Result) -> str:
    assert isinstance(result.exception, BarqueError), (result.output, result.exception)
    return str(result.exception)


def test_figures_as_json_and_as_a_table(backtest: Callable[..., Result]) -> None:
    found = parsed(backtest("--data", "USDJPY=bars.parquet", "--json"))
    assert (found["data"]["bars"], found["interrupted"]) == (2_000, False)
    assert found["counts"]["fills"] > 80
    shown = backtest("barque.toml", "--data", "USDJPY=bars.parquet")
    assert shown.exit_code == 0
    assert "Sharpe" in shown.output
    assert "2,000 bars, 0 ticks in " in shown.output


def test_a_part_of_the_data(backtest: Callable[..., Result]) -> None:
    span = ("--from", "2013-01-01T10:00", "--to", "2013-01-01T12:00:00Z")
    assert parsed(backtest("--data", "USDJPY=bars.parquet", "--json", *span))["data"]["bars"] == 120
    text = refused(backtest("--data", "USDJPY=bars.parquet", "--from", "2020-01-01"))
    assert text.startswith("there is nothing to play between --from and --to")


def test_the_folder_holds_what_was_said(backtest: Callable[..., Result], tmp_path: Path) -> None:
    found = parsed(backtest("--data", "USDJPY=bars.parquet", "--json", "--report", "out"))
    assert read_result(tmp_path / "out")["counts"] == found["counts"]
    assert len(read_messages(tmp_path / "out", "fills")) == found["counts"]["fills"]
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_what_is_wrong_is_one_line_and_nothing_is_written(backtest: Callable[..., Result], tmp_path: Path) -> None:
    assert "there is nothing to play: give --data" in refused(backtest())
    assert "no.toml does not exist" in refused(backtest("no.toml"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    assert "taken holds something" in refused(backtest("--data", "USDJPY=bars.parquet", "--report", "taken"))
    (tmp_path / "bad.csv").write_text("timestamp,open,high,low,close\n2014-05-01,1,2,1,1\n2014-04-01,1,2,1,1\n")
    text = refused(backtest("--data", "USDJPY=bad.csv", "--report", "out"))
    assert "bad.csv" in text
    assert "row 3" in text
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_the_run_in_order_with_what_there_is(backtest: Callable[..., Result], tmp_path: Path) -> None:
    write(tmp_path / "long.parquet", walk(2_000_000))
    before = signal.getsignal(signal.SIGINT)

    def press() -> None:
        """Once the run listens for it."""
        while signal.getsignal(signal.SIGINT) is before:
            time.sleep(0.01)
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    stopped = backtest("--data", "USDJPY=long.parquet", "--json")
    assert stopped.exit_code == 130, (stopped.output, stopped.exception)
    found = json.loads(stopped.stdout)
    assert found["interrupted"]
    assert 0 < found["data"]["bars"] < 2_000_000
    assert signal.getsignal(signal.SIGINT) is before
