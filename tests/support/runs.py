"""Finished backtests for tests of what is made of them: fills by hand, bars from lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from barque.config import StrategyConfig
from barque.instruments import Instrument
from barque.messages import Fill, SubmitOrder
from barque_archive.columns import BarColumns
from barque_backtest.run import BacktestRun, RunFacts
from portfolio.config import AccountConfig
from tests.support.builders import MINUTE, T0, a_fill, an_order, usdjpy

STOCK = Instrument(symbol="ACME", asset_class="stock", currency="USD", tick_size=Decimal("0.01"))


def bars(closes: Sequence[float], symbol: str = "ACME", start_ns: int = T0, step_ns: int = MINUTE, **changes: Any) -> BarColumns:
    """Bars one after another whose open, high and low are their close, unless given."""
    close = np.array(closes, dtype=np.float64)
    opens = start_ns + step_ns * np.arange(len(close), dtype=np.int64)
    base: dict[str, Any] = {
        "symbol": symbol,
        "interval": "1m",
        "price": "last",
        "ts_open_ns": opens,
        "ts_close_ns": opens + step_ns,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": np.zeros(len(close)),
        "tick_count": np.zeros(len(close), dtype=np.int64),
    }
    return BarColumns(**(base | changes))


def fill(minute: float, quantity: str, price: str, **changes: Any) -> Fill:
    """A fill of ACME so many minutes after T0; negative quantities are sold."""
    amount = Decimal(quantity)
    at = T0 + int(minute * MINUTE)
    base: dict[str, Any] = {
        "symbol": "ACME",
        "exec_id": f"{minute}/{quantity}/{price}/{changes.get('strategy_id', '')}{changes.get('symbol', '')}",
        "side": "buy" if amount > 0 else "sell",
        "quantity": abs(amount),
        "price": Decimal(price),
        "commission_currency": "",
    }
    return a_fill(at, **(base | changes))


def order(order_id: str, **changes: Any) -> SubmitOrder:
    """An order for tags and reasons."""
    return an_order(order_id=order_id, **changes)


def a_run(fills: Iterable[Fill], minutes: int, **changes: Any) -> BacktestRun:
    """A run of strategy `s1` over `minutes` bars of ACME, begun with 10,000 USD."""
    made = list(fills)
    base: dict[str, Any] = {
        "config": {"book": {"name": "test"}},
        "config_digest": "0123456789abcdef",
        "facts": facts(minutes),
        "instruments": (STOCK, usdjpy()),
        "strategies": (StrategyConfig(id="s1", strategy="sma_cross", symbols=("ACME",)),),
        "accounts": (AccountConfig(name="paper", currency="USD", starting_cash=Decimal(10_000)),),
        "fills": made,
        "fill_clock_ns": [each.ts_event_ns for each in made],
    }
    return BacktestRun(**(base | changes))


def facts(minutes: int, **changes: Any) -> RunFacts:
    """So many bars of a minute."""
    base: dict[str, Any] = {
        "bars": minutes,
        "ticks": 0,
        "warm_up_bars": 0,
        "first_ns": T0 + MINUTE,
        "last_ns": T0 + minutes * MINUTE,
        "end_ns": T0 + minutes * MINUTE,
        "wall_s": 0.1,
    }
    return RunFacts(**(base | changes))
