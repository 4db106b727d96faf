"""Figures, against pandas formulas written here and cases small enough to work out by hand."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque_backtest.curves import DAY_NS, Curve, Rows
from barque_backtest.statistics import (
    Activity,
    Statistics,
    annual_growth,
    business_days,
    months,
    ratios,
    returns,
    statistics,
    trade_figures,
)
from barque_backtest.trades import RoundTrip, round_trips
from tests.support.builders import MINUTE, NS, T0
from tests.support.runs import STOCK, fill

MONDAY = pd.Timestamp("2014-05-05").value
SATURDAY = MONDAY + 5 * DAY_NS


def days(equity: list[float], first_ns: int = MONDAY, at: list[int] | None = None) -> Rows:
    """Closes at noon of one day after another."""
    numbers = np.array(at if at is not None else range(len(equity)), dtype=np.int64)
    return Rows(first_ns + DAY_NS // 2 + DAY_NS * numbers, np.array(equity), np.zeros(len(equity)))


def trips(*profits: float, still_open: int = 0) -> list[RoundTrip]:
    """One-minute trades of given net profits, then open ones."""
    fills = [f for i in range(len(profits)) for f in (fill(2 * i, "1", "10.00"), fill(2 * i + 1, "-1", "10.00"))]
    fills += [fill(100 + i, "1", "10.00", strategy_id=f"open-{i}") for i in range(still_open)]
    made = round_trips(fills, {"ACME": STOCK}, {}, {})
    return [msgspec.structs.replace(trip, net_base=profits[i] if i < len(profits) else None) for i, trip in enumerate(made)]


def figures(equity: list[float], *, start: float = 1000.0, trades: list[RoundTrip] | None = None, **amounts: Any) -> Statistics:
    curve = Curve(MONDAY, start, MINUTE, None)
    points = days(equity)
    curve.add(points.ts_ns, points.equity, np.arange(len(equity)) % 2 == 0)
    activity = Activity(
        trips=trades or [], notional=np.array(amounts.get("notional", [])), costs=np.array(amounts.get("costs", []))
    )
    last_ns = int(points.ts_ns[-1]) if len(points) else MONDAY
    return statistics("total", "USD", curve, activity, MONDAY, last_ns)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=40), st.sampled_from([252, 365]))
def test_ratios_are_those_of_pandas(daily: list[float], per_year: int) -> None:
    series = pd.Series(daily)
    found = ratios(series.to_numpy(), per_year)
    spread, down = series.std(), math.sqrt((series.clip(upper=0) ** 2).mean())
    assert found["volatility"] == pytest.approx(spread * per_year**0.5, abs=1e-12)
    if spread > 1e-9:
        assert found["sharpe"] == pytest.approx(series.mean() / spread * per_year**0.5, rel=1e-9, abs=1e-9)
    if down > 1e-9:
        assert found["sortino"] == pytest.approx(series.mean() / down * per_year**0.5, rel=1e-9, abs=1e-9)


def test_sharpe_and_sortino_of_a_case_worked_out_by_hand() -> None:
    found = ratios(np.array([0.01, -0.02, 0.03, 0.0]), 252)
    # mean 0.005; sample variance 0.0013 / 3; downside variance 0.0004 / 4
    assert found["sharpe"] == pytest.approx(0.005 / math.sqrt(0.0013 / 3) * math.sqrt(252))
    assert found["sortino"] == pytest.approx(0.005 / 0.01 * math.sqrt(252))


@pytest.mark.parametrize("daily", [[], [0.01], [0.01, 0.01, 0.01]])
def test_without_variation_there_is_no_sharpe_ratio(daily: list[float]) -> None:
    found = ratios(np.array(daily), 252)
    assert (found["sharpe"], found["sortino"]) == (None, None)


def test_growth_is_compounded_over_the_calendar() -> None:
    assert annual_growth(100.0, 121.0, 2.0) == pytest.approx(0.1)
    assert annual_growth(100.0, 110.0, 0.5) == pytest.approx(0.21)
    assert annual_growth(100.0, 0.0, 1.0) is None
    assert annual_growth(100.0, 110.0, 0.0) is None
    assert annual_growth(100.0, 110.0, 29 / 365.25) is None  # of so little time nothing is said
    assert annual_growth(1e-150, 1e150, 0.1) is None  # beyond a float


def test_a_week_without_saturdays_has_five_days_and_sunday_evening_counts_to_monday() -> None:
    friday_sunday_monday, per_year = business_days(days([1.0, 2.0, 3.0], at=[4, 6, 7]))
    assert (friday_sunday_monday.equity.tolist(), per_year) == ([1.0, 3.0], 252)


def test_a_sunday_at_the_end_of_the_data_stays_a_day() -> None:
    kept, _ = business_days(days([1.0, 2.0], at=[4, 6]))
    assert kept.equity.tolist() == [1.0, 2.0]


def test_where_saturdays_have_data_every_day_counts_and_a_year_has_365() -> None:
    kept, per_year = business_days(days([1.0, 2.0, 3.0, 4.0], SATURDAY - DAY_NS))
    assert (len(kept), per_year) == (4, 365)


def test_returns_begin_with_the_starting_cash_and_end_with_ruin() -> None:
    np.testing.assert_allclose(returns(100.0, np.array([110.0, 99.0, -5.0, 50.0])), [0.1, -0.1, -104 / 99])
    assert len(returns(0.0, np.array([1.0]))) == 0


def test_months_chain_to_the_whole_return() -> None:
    equity = [100.0 + i for i in range(70)]
    found = months(99.0, days(equity))
    assert [(year, month) for year, month, _ in found] == [(2014, 5), (2014, 6), (2014, 7)]
    assert found[0][2] == pytest.approx(126 / 99 - 1)  # 27 days of May
    assert math.prod(1 + change for _, _, change in found) == pytest.approx(169 / 99)


def test_trade_figures_of_a_case_worked_out_by_hand() -> None:
    found = trade_figures(trips(30.0, -10.0, 0.0, 20.0, -15.0, still_open=1))
    assert (found["trades"], found["open_trades"], found["wins"], found["losses"]) == (5, 1, 2, 2)
    assert found["win_rate"] == 0.4
    assert found["profit_factor"] == 2.0
    assert found["average_trade"] == 5.0
    assert (found["average_win"], found["average_loss"]) == (25.0, -12.5)
    assert found["expectancy"] == 0.4
    assert (found["best_trade"], found["worst_trade"]) == (30.0, -15.0)
    assert found["average_trade_s"] == 60.0


def test_where_nothing_was_lost_there_is_no_profit_factor() -> None:
    found = trade_figures(trips(30.0))
    assert (found["win_rate"], found["profit_factor"], found["expectancy"]) == (1.0, None, None)


def test_a_whole_curve_of_a_case_worked_out_by_hand() -> None:
    found = figures([1010.0, 990.0, 1020.0, 1000.0], trades=trips(20.0, -20.0), notional=[500.0, 1500.0], costs=[1.0, 2.0])
    assert (found.start_equity, found.end_equity, found.net_profit, found.total_return) == (1000.0, 1000.0, 0.0, 0.0)
    assert found.max_drawdown == pytest.approx(20 / 1010)
    assert found.max_drawdown_money == 20.0
    assert found.max_drawdown_peak_ns == MONDAY + DAY_NS // 2
    assert found.max_drawdown_s == 2 * 86_400
    assert found.longest_drawdown_s == 2 * 86_400
    assert (found.exposure, found.costs, found.turnover) == (0.5, 3.0, 2000.0)
    years = 3.5 / 365.25
    assert found.turnover_per_year == pytest.approx(2000.0 / 1005.0 / years)
    assert (found.days, found.days_per_year, found.fills) == (4, 252, 2)
    assert (found.cagr, found.calmar) == (None, None)  # four days


def test_growth_over_drawdown_is_the_calmar_ratio() -> None:
    found = figures([1000.0, 1100.0, 1045.0, *[1100.0] * 40])
    assert found.cagr == pytest.approx(1.1 ** (365.25 / 42.5) - 1)
    assert found.calmar == pytest.approx(found.cagr / 0.05)


@pytest.mark.parametrize(
    "found",
    [figures([]), figures([1000.0]), figures([1000.0] * 5), figures([-5.0, 10.0]), figures([1.0, 2.0], start=0.0)],
    ids=["no data", "one day", "flat", "ruin", "no capital"],
)
def test_a_figure_without_a_meaning_is_none_and_never_nan(found: Statistics) -> None:
    values = msgspec.to_builtins(found)
    assert all(math.isfinite(v) for v in values.values() if isinstance(v, float))
    assert (found.sharpe, found.win_rate, found.profit_factor, found.average_trade) == (None, None, None, None)


def test_a_curve_whose_equity_is_not_known_at_the_end_has_no_end() -> None:
    found = figures([1001.0, float("nan")])
    assert (found.end_equity, found.net_profit, found.total_return, found.max_drawdown) == (None, None, None, None)


def test_money_that_could_not_be_converted_is_none() -> None:
    found = figures([1000.0], notional=[float("nan")], costs=[float("nan")])
    assert (found.turnover, found.costs) == (None, None)


def test_time_in_minutes_gives_the_same_drawdown_as_the_curve() -> None:
    curve = Curve(T0, 100.0, MINUTE, None)
    curve.add(T0 + MINUTE * np.arange(1, 4), np.array([120.0, 90.0, 130.0]), np.zeros(3, dtype=bool))
    found = statistics("s", "USD", curve, Activity(trips=[], notional=np.empty(0), costs=np.empty(0)), T0, T0 + 3 * MINUTE)
    assert (found.max_drawdown, found.max_drawdown_s) == (0.25, 2 * MINUTE / NS)
    assert found.max_drawdown_recovered_ns == T0 + 3 * MINUTE
