"""A small book over seeded minute bars in a file, for tests of sweeps: opened the same in every process."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from barque_archive.sources import open_source
from barque_backtest.feeding import Source
from barque_backtest.sweep import Opener
from tests.support.builders import MINUTE, T0


def write_bars(path: Path, minutes: int, seed: int = 7) -> Path:
    """A random walk of EURUSD, bid bars."""
    chance = random.Random(seed)
    price = 138_000
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("timestamp", "open", "high", "low", "close"))
        for minute in range(minutes):
            opened = price
            price += chance.randint(-12, 12)
            low, high = sorted((opened, price))
            table.writerow((T0 + minute * MINUTE, *(p / 100_000 for p in (opened, high, low, price))))
    return path


def opener(path: Path) -> Opener:
    """Opens the file in any process."""
    return partial(_open, path)


def _open(path: Path, config: Mapping[str, Any]) -> Sequence[Source]:
    return [open_source(path, "EURUSD", "1m", "bid")]


def a_config(fast: int = 3, slow: int = 9) -> dict[str, Any]:
    """An SMA cross of one contract on EURUSD, without costs."""
    return {
        "book": {"name": "sweep", "clock": "feed"},
        "instruments": [{"symbol": "EURUSD", "currency": "USD", "base_currency": "EUR", "tick_size": "0.00001"}],
        "strategies": [
            {
                "id": "sma",
                "strategy": "sma_cross",
                "symbols": ["EURUSD"],
                "params": {"fast": fast, "slow": slow, "quantity": "1", "price": "bid"},
            }
        ],
        "paper": {"slippage_fraction": "0", "commission_fraction": "0"},
        "router": {"limits": {"max_position": "5"}},
        "portfolio": {"accounts": [{"name": "paper", "currency": "USD", "starting_cash": "100000"}]},
    }
