"""The figures of a run: for the account, for each strategy, for each symbol.

In:   a curve of equity, its days, the round trips and fills behind it.   Out: `Statistics`; None where a figure has no
      meaning.
Not:  NaN or infinity: every figure is a finite number or None.

Conventions.
- Money is in the account's base currency. A strategy or symbol is measured against the whole starting cash, so that their
  profits add up to the account's.
- Days are UTC days with data, valued at their last price. Where no Saturday has data, Sunday evening counts to Monday and a
  year has 252 days; otherwise it has 365. The first day's return is measured from the starting cash.
- Sharpe ratio (Sharpe, "The Sharpe Ratio", J. Portfolio Management 1994, risk-free rate 0): mean of daily returns / their
  sample standard deviation (n - 1) × √days per year.
- Sortino ratio (Sortino & Price, "Performance Measurement in a Downside Risk Framework", J. Investing 1994, target 0): mean /
  √(mean of squared negative returns, over all days) × √days per year.
- Compound annual growth rate: (end / start) ^ (365.25 days / time from first to last data) - 1, of at least 30 days. Calmar
  ratio (Young 1991): that / maximum drawdown.
- Drawdown at every price, not once a day: (peak - equity) / peak.
- Trades are closed round trips (`barque_backtest.trades`), after commissions. Profit factor: sum of profits / sum of losses.
  Expectancy (Tharp): average trade / average loss. A trade that ends at exactly 0 neither wins nor loses, and counts in the
  win rate's divisor.
- Exposure: the part of all instants with a price at which a position was held.
- Turnover: value traded, both ways; per year and as a multiple of average daily equity. Costs are commissions; spread and
  slippage are inside the prices of fills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from barque_archive.columns import Floats
from barque_backtest.curves import DAY_NS, SECOND_NS, Curve, Rows
from barque_backtest.trades import RoundTrip

YEAR_S = 365.25 * 86_400
SHORTEST_S = 30 * 86_400
"""Growth in less time is not told a year: it would be chance to a high power."""
_SATURDAY, _SUNDAY = 5, 6


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. Fractions are parts of 1; lengths are seconds; times are ns UTC."""

    name: str
    """`total`, a strategy's id or a symbol."""
    currency: str
    start_equity: float
    end_equity: float | None
    """None: it cannot be told, because money could not be converted."""
    net_profit: float | None
    total_return: float | None = None
    cagr: float | None = None
    volatility: float | None = None
    """Annualised standard deviation of daily returns."""
    sharpe: float | None = None
    sortino: float | None = None
    calmar: float | None = None
    max_drawdown: float | None = None
    max_drawdown_money: float | None = None
    max_drawdown_peak_ns: int | None = None
    max_drawdown_trough_ns: int | None = None
    max_drawdown_recovered_ns: int | None = None
    """None: never, or there is no drawdown."""
    max_drawdown_s: float | None = None
    """From its peak until equity was back, or to the end."""
    longest_drawdown_s: float | None = None
    exposure: float | None = None
    fills: int = 0
    trades: int = 0
    open_trades: int = 0
    wins: int = 0
    losses: int = 0
    win_rate: float | None = None
    profit_factor: float | None = None
    """None where nothing was lost."""
    expectancy: float | None = None
    average_trade: float | None = None
    average_win: float | None = None
    average_loss: float | None = None
    """Negative."""
    best_trade: float | None = None
    worst_trade: float | None = None
    average_trade_s: float | None = None
    """How long a trade lasted."""
    turnover: float | None = None
    turnover_per_year: float | None = None
    """Multiple of average equity."""
    costs: float | None = None
    days: int = 0
    """Daily returns behind the ratios."""
    days_per_year: int = 252


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What was done on a curve; float64 per fill, in the base currency."""

    trips: Sequence[RoundTrip]
    notional: Floats
    costs: Floats


def statistics(name: str, currency: str, curve: Curve, activity: Activity, first_ns: int, last_ns: int) -> Statistics:
    """The figures of one curve; `first_ns` to `last_ns` is the time that data covers."""
    years = (last_ns - first_ns) / SECOND_NS / YEAR_S
    figures: dict[str, Any] = {
        "end_equity": None,
        "net_profit": None,
        **trade_figures(activity.trips),
        **_turnover_figures(activity, curve, years),
    }
    if curve.ends_known:
        figures |= _equity_figures(curve, years, last_ns)
    return Statistics(
        name=name,
        currency=currency,
        start_equity=curve.start,
        fills=len(activity.notional),
        **{key: finite(value) for key, value in figures.items()},
    )


def finite(value: Any) -> Any:
    """`value`, or None where it is no finite number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def business_days(days: Rows) -> tuple[Rows, int]:
    """The days that count, and how many a year has (see the module's conventions)."""
    number = (days.ts_ns - 1) // DAY_NS
    weekday = (number + 3) % 7  # 1970-01-01 was a Thursday
    if (weekday == _SATURDAY).any():
        return days, 365
    followed = np.append(np.diff(number) == 1, False)
    kept = ~((weekday == _SUNDAY) & followed)
    return Rows(days.ts_ns[kept], days.equity[kept], days.underwater[kept]), 252


def returns(start: float, equity: Floats) -> Floats:
    """Day by day, float64[n]; from the first day on which there was nothing left there are none."""
    path = np.concatenate(([start], equity))
    ruined = np.flatnonzero(path <= 0)
    if len(ruined):
        path = path[: ruined[0] + 1]
    return path[1:] / path[:-1] - 1 if len(path) > 1 and path[0] > 0 else np.empty(0)


def ratios(daily: Floats, days_per_year: int) -> dict[str, Any]:
    """Volatility, Sharpe and Sortino; None with fewer than two days, or where nothing varied."""
    found: dict[str, Any] = {
        "days": len(daily),
        "days_per_year": days_per_year,
        "volatility": None,
        "sharpe": None,
        "sortino": None,
    }
    if len(daily) < 2:
        return found
    year = math.sqrt(days_per_year)
    mean, spread = float(np.mean(daily)), float(np.std(daily, ddof=1))
    down = math.sqrt(float(np.mean(np.minimum(daily, 0.0) ** 2)))
    found["volatility"] = spread * year
    if spread > 1e-15:
        found["sharpe"] = mean / spread * year
    if down > 1e-15:
        found["sortino"] = mean / down * year
    return found


def annual_growth(start: float, end: float, years: float) -> float | None:
    """Compound annual growth rate; None of less than `SHORTEST_S`, without capital, or where it is beyond a float."""
    if not (years * YEAR_S >= SHORTEST_S and start > 0 and end > 0):
        return None
    try:
        return float((end / start) ** (1 / years)) - 1
    except OverflowError:
        return None


def trade_figures(trips: Sequence[RoundTrip]) -> dict[str, Any]:
    """Figures of closed round trips; those whose money could not be converted are counted and not summed."""
    closed = [trip for trip in trips if trip.exit_ns is not None]
    net = np.array([trip.net_base for trip in closed if trip.net_base is not None])
    wins, losses = net[net > 0], net[net < 0]
    loss = float(np.mean(losses)) if len(losses) else None
    average = float(np.mean(net)) if len(net) else None
    held_s = [trip.duration_ns / SECOND_NS for trip in closed if trip.duration_ns is not None]
    return {
        "trades": len(closed),
        "open_trades": len(trips) - len(closed),
        "wins": len(wins),
        "losses": len(losses),
        "win_rate": len(wins) / len(net) if len(net) else None,
        "profit_factor": float(np.sum(wins) / -np.sum(losses)) if len(losses) else None,
        "expectancy": average / -loss if average is not None and loss is not None else None,
        "average_trade": average,
        "average_win": float(np.mean(wins)) if len(wins) else None,
        "average_loss": loss,
        "best_trade": float(np.max(net)) if len(net) else None,
        "worst_trade": float(np.min(net)) if len(net) else None,
        "average_trade_s": sum(held_s) / len(held_s) if held_s else None,
    }


def months(start: float, days: Rows) -> list[tuple[int, int, float]]:
    """(year, month, return) of each month with data, the first from `start`; months after a ruin are left out."""
    month = (days.ts_ns - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(month)), len(month) - 1) if len(month) else np.empty(0, dtype=np.int64)
    changes = returns(start, days.equity[last])
    return [(1970 + int(m) // 12, int(m) % 12 + 1, float(r)) for m, r in zip(month[last], changes, strict=False)]


def _equity_figures(curve: Curve, years: float, last_ns: int) -> dict[str, Any]:
    days, days_per_year = business_days(curve.days)
    growth = annual_growth(curve.start, curve.last, years)
    deepest = curve.drawdown.fraction
    return {
        "end_equity": curve.last,
        "net_profit": curve.last - curve.start,
        "total_return": (curve.last / curve.start - 1) if curve.start > 0 else None,
        "cagr": growth,
        "calmar": growth / deepest if growth is not None and deepest > 0 else None,
        "exposure": curve.held_instants / curve.instants if curve.instants else None,
        **ratios(returns(curve.start, days.equity), days_per_year),
        **_drawdown_figures(curve, last_ns),
    }


def _drawdown_figures(curve: Curve, last_ns: int) -> dict[str, Any]:
    drawdown = curve.drawdown
    some = drawdown.fraction > 0
    until_ns = drawdown.recovered_ns if drawdown.recovered_ns is not None else last_ns
    return {
        "max_drawdown": drawdown.fraction,
        "max_drawdown_money": drawdown.money,
        "max_drawdown_peak_ns": drawdown.peak_ns if some else None,
        "max_drawdown_trough_ns": drawdown.trough_ns if some else None,
        "max_drawdown_recovered_ns": drawdown.recovered_ns,
        "max_drawdown_s": (until_ns - drawdown.peak_ns) / SECOND_NS if some else 0.0,
        "longest_drawdown_s": drawdown.longest_ns / SECOND_NS,
    }


def _turnover_figures(activity: Activity, curve: Curve, years: float) -> dict[str, Any]:
    traded = float(np.sum(activity.notional))
    days = curve.days
    average = float(np.mean(days.equity)) if len(days) else curve.start
    return {
        "turnover": traded,
        "turnover_per_year": traded / average / years if average > 0 and years > 0 else None,
        "costs": float(np.sum(activity.costs)),
    }
