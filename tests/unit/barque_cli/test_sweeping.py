"""`barque sweep` and `barque compare` as a person runs them."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from barque.errors import ConfigError
from barque_backtest.compare import compare, load
from barque_backtest.folder import write_folder
from barque_backtest.results import summarise
from barque_cli import result_view, sweeping
from barque_cli.sweeping import Found, Sweep
from tests.support.builders import a_signal
from tests.support.runs import a_run, bars, fill
from tests.support.sweeps import a_config, write_bars

GRIDS = ("strategies.sma.params.fast=2,30", "strategies.sma.params.slow=9,20")


def swept(place: Path, **changes: Any) -> Found:
    data = place / "bars.csv"
    if not data.exists():
        write_bars(data, 400)
    base: dict[str, Any] = {
        "config": a_config(),
        "grids": GRIDS,
        "metric": "net_profit",
        "processes": 1,
        "folder": None,
        "walk_forward": "",
        "data": [f"EURUSD:1m:bid={data}"],
        "from_utc": "",
        "to_utc": "",
    }
    return sweeping.run(Console(file=io.StringIO()), Sweep(**(base | changes)))


def printed(found: Found) -> str:
    console = Console(file=io.StringIO(), width=80)
    found.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_sweep_is_shown_best_first_with_what_was_refused(tmp_path: Path) -> None:
    found = swept(tmp_path)
    lines = printed(found).splitlines()
    profits = [record.metric("net_profit") or 0.0 for record in found.records[:2]]
    assert lines[0].split()[:4] == ["sma.fast", "sma.slow", "net", "profit"]
    assert [line.split()[2] for line in lines[1:3]] == [f"{p:,.2f}" for p in sorted(profits, reverse=True)]
    assert "2 refused, the first with sma.fast=30, sma.slow=9" in lines[4]
    assert max(map(len, lines[:3])) <= 80


def test_a_walk_forward_is_shown_window_by_window_and_together(tmp_path: Path) -> None:
    found = swept(tmp_path, grids=GRIDS[1:], walk_forward="2h/1h", folder=tmp_path / "out")
    text = printed(found)
    assert text.count("2014-05-01 0") == 5
    assert "out of sample: net profit" in text
    stored = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert len(stored["walk_forward"]["folds"]) == 5
    assert json.loads(json.dumps(found.as_json())) == stored


def test_only_the_wanted_time_is_swept(tmp_path: Path) -> None:
    whole = swept(tmp_path).records[0].statistics
    part = swept(tmp_path, from_utc="2014-05-01T01:00", to_utc="2014-05-01T03:00").records[0].statistics
    assert whole is not None
    assert part is not None
    assert 0 < part.fills < whole.fills


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"metric": "sharp"}, "did you mean 'sharpe'"),
        ({"grids": ()}, "at least one --grid"),
        ({"grids": ["strategies.smaa.params.fast=1"]}, "did you mean 'sma'"),
        ({"grids": ["strategies.sma.params.quick=1"]}, "unknown key .*quick"),
        ({"data": ["EURUSD=nowhere.csv"]}, "nowhere.csv does not exist"),
        ({"processes": -1}, "--processes"),
        ({"walk_forward": "30d"}, "30d/10d"),
        ({"walk_forward": "9d/1d"}, "shorter"),
        ({"from_utc": "2015-01-01", "walk_forward": "1h/1h"}, "no data"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_is_written(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        swept(tmp_path, **changes)


def test_ctrl_c_ends_every_process_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.csv", 2_000)
    config = tmp_path / "barque.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "barque_cli.main", "sweep", str(config), "--data", f"EURUSD:1m:bid={tmp_path / 'bars.csv'}"]
    command += ["--grid", "strategies.sma.params.fast=2:25", "--processes", "2", "--out", str(tmp_path / "out"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    runs = tmp_path / "out" / "runs"
    try:
        until = time.monotonic() + 60
        while not (runs.is_dir() and any(runs.iterdir())) and time.monotonic() < until:
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == sweeping.STOPPED
    assert "the same command goes on" in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    finished = len(list(runs.glob("*.json")))
    assert 0 < finished < 24
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert len(json.loads(again.stdout)["runs"]) == 24
    assert len(list(runs.glob("*.json"))) == 24


CONFIG = """
[book]
name = "sweep"
[[instruments]]
symbol = "EURUSD"
currency = "USD"
tick_size = "0.00001"
[[strategies]]
id = "sma"
strategy = "sma_cross"
symbols = ["EURUSD"]
params = { fast = 2, slow = 90, quantity = "1", price = "bid" }
[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "100000"
"""


def test_a_comparison_shows_counts_and_the_first_difference(tmp_path: Path) -> None:
    for name, price in (("a", "10.00"), ("b", "10.01")):
        run = a_run([fill(1, "1", price), fill(2, "-1", "10.00")], 6, wishes=[a_signal(symbol="ACME")])
        run.fills[0] = fill(1, "1", price, exec_id="e1")
        write_folder(summarise(run, [[bars([10.0] * 6)]]), tmp_path / name)
    console = Console(file=io.StringIO(), width=120)
    result_view.show_comparison(console, compare(load(tmp_path / "a"), load(tmp_path / "b")))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "first difference at 2014-05-01T00:01:00.000000000Z: fills, number 1: Fill e1" in text
    assert "price: A 10.00   B 10.01" in text
    assert ["fills", "2", "2", "1", "1", "0", "0"] in [line.split() for line in text.splitlines()]
    assert "equal\n" not in text
