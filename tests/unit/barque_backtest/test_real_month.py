"""USDJPY, February 2013, both sides, two strategies, an account in USD: what the report says is what the portfolio booked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from barque.instruments import Instrument
from barque_archive.sources import open_source
from barque_backtest.blocks import blocks
from barque_backtest.engine import run_backtest
from barque_backtest.feeding import Span
from barque_backtest.results import Result, summarise
from tests.support.data import data_file

CONFIG: dict[str, Any] = {
    "book": {"name": "february", "clock": "feed"},
    "instruments": [{"symbol": "USDJPY", "currency": "JPY", "base_currency": "USD", "tick_size": "0.001"}],
    "strategies": [
        {"id": "gotobi", "strategy": "gotobi", "symbols": ["USDJPY"]},
        {"id": "sma", "strategy": "sma_cross", "symbols": ["USDJPY"], "params": {"fast": 60, "slow": 240, "quantity": "1"}},
    ],
    "paper": {"commission_fraction": "0.00002", "slippage_fraction": "0.00001"},
    "router": {"limits": {"max_position": "10", "max_notional": "200000000"}},
    "portfolio": {"accounts": [{"name": "paper", "currency": "USD", "starting_cash": "1000000"}]},
}


@pytest.fixture(scope="module")
def result() -> Result:
    files = [(data_file(f"usdjpy-fxcm-m1-{side}-2013-02.csv.gz"), side) for side in ("bid", "ask")]
    sources = [open_source(path, "USDJPY", "1m", side) for path, side in files]  # type: ignore[arg-type]
    run = run_backtest(CONFIG, sources)
    return summarise(run, blocks(sources, Span(), run.instruments))


def test_the_last_equity_is_the_portfolios_cash_and_open_profit_at_its_last_prices(result: Result) -> None:
    run = result.run
    assert len(run.fills) > 100
    assert {figures.name for figures in result.strategies} == {"gotobi", "sma"}
    price = run.prices["USDJPY"]
    open_profit = sum((price - p.average_price) * p.quantity * run.instruments[0].multiplier for p in run.open_positions)
    equity = run.cash["paper"]["USD"] + (run.cash["paper"]["JPY"] + open_profit) / price
    assert result.total.end_equity == pytest.approx(float(equity), abs=1e-4)


def test_every_mark_between_fills_is_the_equity_of_a_bar_that_had_just_closed(result: Result) -> None:
    """The portfolio hears of a bar's prices one or two bars later, because the clock asks before data and marks are throttled."""
    detail = result.curves["total"].detail
    assert detail is not None
    busy = np.array(result.run.fill_clock_ns)
    checked = 0
    for mark in result.run.equity:
        place = int(np.searchsorted(detail.ts_ns, mark.ts_event_ns))
        if place < 3 or ((busy >= detail.ts_ns[place - 3]) & (busy <= mark.ts_event_ns)).any():
            continue
        recent = detail.equity[place - 2 : place]
        assert np.abs(recent - float(mark.equity)).min() < 1e-4, mark
        checked += 1
    assert checked > 200


def test_trades_add_up_to_what_the_portfolio_realised(result: Result) -> None:
    instrument: Instrument = result.run.instruments[0]
    for strategy in ("gotobi", "sma"):
        last = [p for p in result.run.position_changes if p.strategy_id == strategy][-1]
        trips = [trip for trip in result.trips if trip.strategy_id == strategy]
        open_profit = Decimal(0)
        for trip in trips:
            if trip.exit_ns is None:
                value = (result.run.prices["USDJPY"] - last.average_price) * last.quantity * instrument.multiplier
                open_profit += value
        assert sum(trip.gross_pnl or 0 for trip in trips) == last.realised_pnl + open_profit
        assert sum(trip.commission for trip in trips) == last.commission


def test_days_are_business_days_and_ratios_those_of_their_returns(result: Result) -> None:
    assert result.total.days_per_year == 252
    assert 19 <= result.total.days <= 22  # 20 of February, and the first hour of March
    daily = (
        np.diff(np.concatenate(([1_000_000.0], result.days.equity))) / np.concatenate(([1_000_000.0], result.days.equity))[:-1]
    )
    assert result.total.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * 252**0.5)
