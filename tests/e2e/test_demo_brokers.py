"""`barque demo --broker …`: the whole system against a broker's simulator, as a person would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("broker", ["ibkr-simulator", pytest.param("mt5-simulator", marks=pytest.mark.slow)])
def test_the_demo_trades_at_a_broker_and_leaves_nothing_behind(broker: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "barque_cli.main", "demo", "--broker", broker, "--for", "12", "--headless", "--json"]
    done = subprocess.run(
        [*command, "--port", "0", "--folder", str(tmp_path / "demo")], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures["ticks"] > 50
    assert figures["orders"] >= 1
    assert figures["orders"] - 1 <= figures["fills"] <= figures["orders"], "each market order fills once"
    assert (figures["dead_letters"], figures["alerts"], figures["restarts"]) == (0, 0, 0)
    assert all(position["quantity"].lstrip("-") in ("0", "1", "2", "3") for position in figures["positions"])
    assert "stopped; nothing is left running" in done.stderr


def test_a_broker_that_there_is_not_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "barque_cli.main", "demo", "--broker", "ibkr-simulater", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "did you mean 'ibkr-simulator'?" in done.stderr.replace("\n", " ")
