"""Equity computed in columns is the equity that the portfolio node marks, instant by instant, whatever was traded."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque.messages import EquityMarked, Fill
from barque_archive.columns import BarColumns, take
from barque_archive.structs import bars_of
from barque_backtest.analysis import Analysis, Capital, RatesAt
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from tests.support.builders import MINUTE, T0, a_fill, clock, eurusd, usdjpy
from tests.support.runs import STOCK, bars, fill

CRYPTO = Instrument(
    symbol="BTCUSD", asset_class="crypto", currency="USD", tick_size=Decimal("0.5"), quantity_step=Decimal("0.001")
)
INSTRUMENTS = (STOCK, usdjpy(), eurusd(), CRYPTO)
BASES = {"ACME": 50.0, "USDJPY": 91.7, "EURUSD": 1.38, "BTCUSD": 400.0}


def an_analysis(fills: list[Fill], minutes_of: list[int], cash: dict[str, str], base: str = "USD", **changes: Any) -> Analysis:
    capital = Capital(base=base, cash={currency: Decimal(amount) for currency, amount in cash.items()})
    options: dict[str, Any] = {"start_ns": T0, "strategies": ["s1"], "picture_step_ns": MINUTE, "detail_step_ns": 1}
    clocks = [T0 + minute * MINUTE for minute in minutes_of]
    return Analysis(fills, clocks, INSTRUMENTS, capital, **(options | changes))


def marked_by_portfolio(
    fills: list[Fill], minutes_of: list[int], series: list[BarColumns], cash: str, base: str
) -> dict[int, Decimal]:
    """Equity after each minute's bars, as the portfolio node says it: fills first, then the bars, then the clock asks."""
    account = AccountConfig(name="paper", currency=base, starting_cash=Decimal(cash))
    node = PortfolioNode(PortfolioConfig(equity_interval_s=1, accounts=(account,)), INSTRUMENTS)
    found: dict[int, Decimal] = {}
    equity = Decimal(cash)
    for minute in range(1, len(series[0]) + 1):
        now_ns = T0 + minute * MINUTE
        told = [each for each, at in zip(fills, minutes_of, strict=True) if at == minute]
        told += [bar for columns in series for bar in bars_of(take(columns, slice(minute - 1, minute)))]
        for message in [*told, clock(now_ns)]:
            for _, said in node.handle(message):
                equity = said.equity if type(said) is EquityMarked else equity
        found[minute] = equity
    return found


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[BarColumns], list[Fill], list[int], list[int]]:
    """Twelve minutes of four symbols (USDJPY with both sides), fills of two strategies, and where the blocks are cut."""
    minutes = 12
    series = []
    for symbol, base in BASES.items():
        steps = draw(st.lists(st.integers(-30, 30), min_size=minutes, max_size=minutes))
        tick = float(next(i.tick_size for i in INSTRUMENTS if i.symbol == symbol))
        closes = [round(round(base / tick) * tick + tick * s, 5) for s in np.cumsum(steps).tolist()]
        if symbol == "USDJPY":
            series.append(bars(closes, symbol=symbol, price="bid"))
            series.append(bars([c + 0.003 for c in closes], symbol=symbol, price="ask"))
        else:
            series.append(bars(closes, symbol=symbol))
    fills, at = [], []
    for number in range(draw(st.integers(0, 14))):
        symbol = draw(st.sampled_from(sorted(BASES)))
        instrument = next(i for i in INSTRUMENTS if i.symbol == symbol)
        minute = draw(st.integers(max(at, default=2), minutes))
        fills.append(
            a_fill(
                T0 + (minute - 1) * MINUTE,
                exec_id=f"e{number}",
                symbol=symbol,
                strategy_id=draw(st.sampled_from(["s1", "s2"])),
                side=draw(st.sampled_from(["buy", "sell"])),
                quantity=instrument.quantity_step * draw(st.integers(1, 5)),
                price=instrument.price(BASES[symbol]) + instrument.tick_size * draw(st.integers(-20, 20)),
                commission=Decimal(draw(st.integers(0, 500))) / 100,
                commission_currency=draw(st.sampled_from(["", "USD", "JPY"])),
            )
        )
        at.append(minute)
    return series, fills, at, sorted(draw(st.sets(st.integers(1, minutes - 1), max_size=3)))


@settings(max_examples=60, deadline=None)
@given(markets(), st.sampled_from(["USD", "JPY"]))
def test_equity_at_every_bar_is_what_the_portfolio_marks(market: Any, base: str) -> None:
    series, fills, at, cuts = market
    cash = "1000000"
    expected = marked_by_portfolio(fills, at, series, cash, base)
    analysis = an_analysis(fills, at, {base: cash}, base)
    edges = [0, *cuts, len(series[0])]
    for low, high in pairwise(edges):
        analysis.see([take(columns, slice(low, high)) for columns in series])
    detail = analysis.total.detail
    assert detail is not None
    found = dict(zip(((detail.ts_ns - T0) // MINUTE).tolist(), detail.equity.tolist(), strict=True))
    assert found.keys() == expected.keys()
    for minute, equity in expected.items():
        assert found[minute] == pytest.approx(float(equity), abs=2e-5), minute


@settings(max_examples=30, deadline=None)
@given(markets())
def test_profits_of_strategies_and_of_symbols_add_up_to_the_accounts(market: Any) -> None:
    series, fills, at, _ = market
    analysis = an_analysis(fills, at, {"USD": "1000000"})
    analysis.see(series)
    profit = analysis.total.last - analysis.total.start
    for parts in (analysis.strategies, analysis.symbols):
        assert sum(curve.last - curve.start for curve in parts.values()) == pytest.approx(profit, abs=1e-4)


def test_a_fill_counts_when_the_bar_that_filled_it_closes_not_at_that_bars_open() -> None:
    bought = fill(1, "10", "20.00")  # at the open of the second bar
    analysis = an_analysis([bought], [2], {"USD": "1000"})
    analysis.see([bars([10.0, 25.0, 30.0])])
    detail = analysis.total.detail
    assert detail is not None
    assert detail.equity.tolist() == [1000.0, 1050.0, 1100.0]


def test_time_in_the_market_counts_the_bars_after_which_something_was_held() -> None:
    analysis = an_analysis([fill(1, "10", "20.00"), fill(3, "-10", "20.00")], [1, 3], {"USD": "1000"})
    analysis.see([bars([20.0] * 5)])
    assert (analysis.total.held_instants, analysis.total.instants) == (2, 5)


def test_money_of_a_currency_without_a_rate_leaves_equity_unknown() -> None:
    analysis = an_analysis(
        [fill(1, "1", "91.700", symbol="USDJPY", commission=Decimal(1), commission_currency="CHF")], [1], {"USD": "1000"}
    )
    analysis.see([bars([91.7, 91.8], symbol="USDJPY")])
    assert analysis.total.instants == 0
    assert np.isnan(analysis.rates("CHF")).all()


def test_a_rate_is_the_latest_known_at_each_time_and_before_the_first_the_first() -> None:
    rates = RatesAt([5, 10, 15, 40])
    rates.see(np.array([2]), np.nan)
    assert np.isnan(rates.values).all()
    rates.see(np.array([10, 12]), np.array([1.0, 2.0]))
    rates.see(np.array([20, 30]), np.array([3.0, 4.0]))
    np.testing.assert_array_equal(rates.values, [1.0, 1.0, 2.0, 4.0])
