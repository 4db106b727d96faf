"""An SMA cross in a backtest against the same in whole numbers of ticks, to the last digit: every fill, and the money."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from barque_archive.columns import BarColumns
from barque_backtest.engine import run_backtest
from benchmarks.walks import walk
from tests.support.backtests import ColumnsSource, a_book
from tests.support.builders import MINUTE
from tests.support.series import series
from tests.support.sma_reference import sma_cross

CASH = Decimal(100_000_000_000)
QUANTITY = 10_000
TICKS = {"ES": "0.25", "6E": "0.00005", "BTCUSD": "0.001"}
FILLS_AT = ("next_open", "close")


def a_cross(tick: str, fill_at: str) -> dict[str, Any]:
    """A book that trades plus and minus 10,000 units of X without costs."""
    config = a_book(
        (),
        [{"id": "sma", "strategy": "sma_cross", "symbols": ["X"], "params": {"quantity": str(QUANTITY), "price": "last"}}],
        paper={"fill_at": fill_at},
        router={"limits": {"max_position": str(QUANTITY), "max_notional": "10000000000"}},
        feed_replay={"tail_s": 7_200},
        portfolio={"accounts": [{"name": "paper", "currency": "USD", "starting_cash": str(CASH)}]},
    )
    config["instruments"] = [
        {"symbol": "X", "asset_class": "future", "currency": "USD", "tick_size": tick, "contract_size": "1", "calendar": "24/7"}
    ]
    return config


def bars_of(times: Any, prices: Sequence[Any]) -> BarColumns:
    """Minute bars of X."""
    none = np.zeros(len(times))
    opened, high, low, close = prices
    return BarColumns(
        symbol="X",
        interval="1m",
        price="last",
        ts_open_ns=times,
        ts_close_ns=times + MINUTE,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=none,
        tick_count=none.astype(np.int64),
    )


def check(bars: BarColumns, tick: str, fill_at: str) -> None:
    """Compare a backtest over `bars` with the reference."""
    step = Decimal(tick)
    opens, closes = ([round(x / float(step)) for x in column.tolist()] for column in (bars.open, bars.close))
    assert all(Decimal(repr(x)) == n * step for x, n in zip(bars.close.tolist(), closes, strict=True)), "prices off the grid"
    expected = sma_cross(opens, closes, step, QUANTITY, fill_at)
    run = run_backtest(a_cross(tick, fill_at), [ColumnsSource(bars)])
    times = bars.ts_close_ns if fill_at == "close" else bars.ts_open_ns
    theirs = [(int(times[number]), signed, price * step) for number, signed, price in expected.fills]
    assert [(fill.ts_event_ns, fill.signed_quantity, fill.price) for fill in run.fills] == theirs
    assert run.equity[-1].equity - CASH == expected.profit * step
    (cash,) = run.cash["paper"].values()
    held = sum(((run.prices["X"] - each.average_price) * each.quantity for each in run.open_positions), Decimal(0))
    assert cash - CASH + held == expected.profit * step
    assert not run.rejections and not run.alerts and len(expected.fills) > 100


@pytest.mark.parametrize("fill_at", FILLS_AT)
def test_on_a_seeded_walk(fill_at: str) -> None:
    bars = walk(50_000)
    check(bars_of(bars.ts_open_ns, [bars.prices(name) for name in ("open", "high", "low", "close")]), "0.001", fill_at)


@pytest.mark.parametrize("fill_at", FILLS_AT)
@pytest.mark.parametrize("name", sorted(TICKS))
def test_on_a_recording(name: str, fill_at: str) -> None:
    found = series(name)
    check(bars_of(found.ts_open_ns, (found.open, found.high, found.low, found.close)), TICKS[name], fill_at)


def test_the_reference_by_hand() -> None:
    """Nineteen closes of 100, then 90, and from there ten by ten up to 150.

    At the 20th bar the sums are 990 of ten and 1,990 of twenty: 2 × 990 − 1,990 = −10, below, which is only remembered. At the
    21st (100): 980 + ... the ten are 8 × 100, 90, 100 = 990, the twenty 18 × 100, 90, 100 = 1,990: −10 still. At the 22nd (110)
    the ten are 1,000, the twenty 2,000: level, so the side stays. At the 23rd (120): 1,020 and 2,020: 20 above, the first change.
    """
    closes = [100] * 19 + [90, 100, 110, 120, 130, 140, 150]
    opens = [close + 1 for close in closes]
    at_close = sma_cross(opens, closes, Decimal(1), 10, "close")
    assert at_close.fills == [(22, 10, 120)]
    assert at_close.profit == 10 * (150 - 120)
    assert sma_cross(opens, closes, Decimal(1), 10, "next_open").fills == [(23, 10, 131)]
