"""What a run came to: round trips, curves of equity, statistics, and candles to draw.

In:   a `BacktestRun`, and its prices again, in blocks of columns.   Out: `Result`; `to_json` of it.
Not:  files (`barque_backtest.folder`), pictures (`barque_backtest.report`).

The prices are gone through once, block by block, so memory does not grow with their number: what is kept is bounded
(`PICTURE_POINTS`, `DETAIL_POINTS`, candles), or grows with fills and days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import numpy as np

from barque.instruments import Instrument
from barque.messages import Alert, Fill
from barque_archive.columns import Floats, MarketColumns
from barque_archive.times import iso
from barque_backtest.analysis import TOTAL, Analysis, Capital
from barque_backtest.candles import CandleChart, Candles, Excursions
from barque_backtest.curves import Curve, Rows, interval_text, step_for
from barque_backtest.hearing import deaf
from barque_backtest.run import BacktestRun
from barque_backtest.statistics import Activity, Statistics, business_days, finite, months, statistics
from barque_backtest.trades import RoundTrip, round_trips

FORMAT = "barque-backtest-1"
PICTURE_POINTS = 2_000
"""Of each curve in a chart."""
DETAIL_POINTS = 1_000_000
"""Of the equity that is written to a file: every price where there are no more, else the last of each interval."""
CANDLES = 2_000
"""Of each symbol at first sight."""
FINE_CANDLES = 20_000
"""Of all symbols together, for zooming in."""


class Follower(Protocol):
    """Whoever goes through the prices."""

    def see(self, block: Sequence[MarketColumns]) -> None:
        """Go on with later prices."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One symbol's candles, far and near."""

    symbol: str
    price: str
    """Which price: last, mid, bid or ask."""
    far: Candles
    far_interval: str
    near: Candles
    near_interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One judged run."""

    run: BacktestRun
    currency: str
    """The account's base currency; that of every figure."""
    trips: list[RoundTrip]
    total: Statistics
    strategies: list[Statistics]
    symbols: list[Statistics]
    months: list[tuple[int, int, float]]
    """Year, month, return of the account."""
    activity: Activity
    """Of the account: value traded and costs of each fill, in the base currency."""
    curves: Mapping[str, Curve]
    """`total` and each strategy by id."""
    days: Rows
    """The account at the end of each day that counts."""
    notes: list[str]
    """What a reader must know: what stopped the run, what could not be valued."""
    detail_interval: str = ""
    """Of the detail of `curves`; empty: every price."""
    pictures: list[Picture] = field(default_factory=list)


def summarise(run: BacktestRun, prices: Iterable[Sequence[MarketColumns]], *, charts: bool = True, detail: bool = True) -> Result:
    """Judge a run. `prices`: the columns that it was fed, in blocks, each later than the one before; all of a symbol's series.

    `charts=False`: no candles. `detail=False`: no equity at every price, for sweeps.
    """
    instruments = {instrument.symbol: instrument for instrument in run.instruments}
    facts = run.facts
    span_ns = max(facts.last_ns - facts.first_ns, 1)
    capital = _capital(run)
    detail_ns = 1 if facts.bars + facts.ticks <= DETAIL_POINTS else step_for(span_ns, DETAIL_POINTS)
    analysis = Analysis(
        run.fills,
        run.fill_clock_ns or [fill.ts_event_ns for fill in run.fills],
        run.instruments,
        capital,
        start_ns=facts.first_ns,
        strategies=[strategy.id for strategy in run.strategies],
        picture_step_ns=step_for(span_ns, PICTURE_POINTS),
        detail_step_ns=detail_ns if detail else None,
    )
    orders = {order.order_id: order for order in run.orders}
    trips = round_trips(run.fills, instruments, orders, run.prices)
    excursions = Excursions(trips, instruments)
    seen = len({strategy_symbol for strategy in run.strategies for strategy_symbol in strategy.symbols}) or 1
    far = CandleChart(step_for(span_ns, CANDLES))
    near = CandleChart(step_for(span_ns, max(FINE_CANDLES // seen, CANDLES)))
    followers: list[Follower] = [analysis, excursions, *((far, near) if charts else ())]
    for block in prices:
        for follower in followers:
            follower.see(block)
    money = _Money(run.fills, analysis, instruments)
    trips = [money.of_trip(trip, *excursions.of(place)) for place, trip in enumerate(trips)]
    result = _judged(run, capital.base, analysis, trips, money)
    return replace(result, pictures=_pictures(far, near), detail_interval="" if detail_ns == 1 else interval_text(detail_ns))


def to_json(result: Result) -> dict[str, Any]:
    """The result as JSON-compatible values: facts, counts, statistics. Money that is exact is text."""
    run, facts = result.run, result.run.facts
    return {
        "format": FORMAT,
        "config_digest": run.config_digest,
        "data": {
            "bars": facts.bars,
            "ticks": facts.ticks,
            "warm_up_bars": facts.warm_up_bars,
            "first_ns": facts.first_ns,
            "last_ns": facts.last_ns,
            "end_ns": facts.end_ns,
            "symbols": [instrument.symbol for instrument in run.instruments],
        },
        "interrupted": facts.interrupted,
        "wall_s": facts.wall_s,
        "notes": result.notes,
        "currency": result.currency,
        "counts": {
            "signals": len(run.signals),
            "orders": len(run.orders),
            "rejections": len(run.rejections),
            "fills": len(run.fills),
            "round_trips": len(result.trips),
            "alerts": len(run.alerts),
            "dead_letters": len(run.dead_letters),
        },
        "statistics": {
            TOTAL: msgspec.to_builtins(result.total),
            "strategies": [msgspec.to_builtins(figures) for figures in result.strategies],
            "symbols": [msgspec.to_builtins(figures) for figures in result.symbols],
        },
        "months": [{"year": year, "month": month, "return": finite(change)} for year, month, change in result.months],
        "open_positions": [
            {
                "account": position.account,
                "strategy_id": position.strategy_id,
                "symbol": position.symbol,
                "quantity": str(position.quantity),
                "average_price": str(position.average_price),
            }
            for position in run.open_positions
        ],
        "cash": {account: {c: str(amount) for c, amount in by_currency.items()} for account, by_currency in run.cash.items()},
    }


def _capital(run: BacktestRun) -> Capital:
    """Starting cash of the accounts that traded; of the first one where none did."""
    traded = {fill.account for fill in run.fills}
    accounts = [account for account in run.accounts if account.name in traded] or list(run.accounts[:1])
    if not accounts:
        first = next((i.currency for f in run.fills for i in run.instruments if i.symbol == f.symbol), "")
        return Capital(base=first or next((i.currency for i in run.instruments), ""), cash={})
    cash: dict[str, Decimal] = {}
    for account in accounts:
        cash[account.currency] = cash.get(account.currency, Decimal(0)) + account.starting_cash
    return Capital(base=accounts[0].currency, cash=cash)


class _Money:
    """Amounts of fills and round trips in the base currency; NaN where there was no rate."""

    def __init__(self, fills: Sequence[Fill], analysis: Analysis, instruments: Mapping[str, Instrument]) -> None:
        self._analysis, self._count = analysis, len(fills)
        self._rates: dict[str, list[float]] = {}
        self.notional: Floats = np.zeros(len(fills))
        """Value traded by each fill; 0 where it is not booked."""
        self.costs: Floats = np.zeros(len(fills))
        """Its commission."""
        for place, fill in enumerate(fills):
            instrument = instruments.get(fill.symbol)
            if instrument is None or fill.corrects:
                continue
            value = float(instrument.notional(fill.price, fill.quantity))
            self.notional[place] = value * self._rate(instrument.currency, place)
            if fill.commission:
                self.costs[place] = float(fill.commission) * self._rate(fill.commission_currency or instrument.currency, place)

    def of_trip(self, trip: RoundTrip, worst: float | None, best: float | None) -> RoundTrip:
        """The round trip with its excursions and its profit in the base currency."""
        rate = self._rate(trip.currency, trip.last_fill)
        net = None
        if trip.net_pnl is not None:
            others = sum(float(a) * self._rate(c, trip.last_fill) for c, a in trip.other_commissions.items())
            net = float(trip.net_pnl) * rate - others
        return msgspec.structs.replace(trip, worst_pnl=worst, best_pnl=best, rate=finite(rate), net_base=finite(net))

    def _rate(self, currency: str, fill: int) -> float:
        known = self._rates.get(currency)
        if known is None:
            known = np.broadcast_to(self._analysis.rates(currency), self._count).tolist()
            self._rates[currency] = known
        return known[fill]


def _judged(run: BacktestRun, base: str, analysis: Analysis, trips: list[RoundTrip], money: _Money) -> Result:
    strategies = np.array([fill.strategy_id for fill in run.fills], dtype=object)
    symbols = np.array([fill.symbol for fill in run.fills], dtype=object)

    def figures(name: str, curve: Curve, of: list[RoundTrip], which: Any) -> Statistics:
        activity = Activity(trips=of, notional=money.notional[which], costs=money.costs[which])
        return statistics(name, base, curve, activity, run.facts.first_ns, run.facts.last_ns)

    everything = Activity(trips=trips, notional=money.notional, costs=money.costs)
    total = statistics(TOTAL, base, analysis.total, everything, run.facts.first_ns, run.facts.last_ns)
    days, _ = business_days(analysis.total.days)
    return Result(
        run=run,
        currency=base,
        trips=trips,
        total=total,
        strategies=[
            figures(name, curve, [t for t in trips if t.strategy_id == name], strategies == name)
            for name, curve in analysis.strategies.items()
        ],
        symbols=[
            figures(name, curve, [t for t in trips if t.symbol == name], symbols == name)
            for name, curve in analysis.symbols.items()
        ],
        months=months(analysis.total.start, days) if analysis.total.ends_known else [],
        activity=everything,
        curves={TOTAL: analysis.total, **analysis.strategies},
        days=days,
        notes=_notes(run, total),
    )


def _pictures(far: CandleChart, near: CandleChart) -> list[Picture]:
    nearer = near.candles()
    return [
        Picture(
            symbol=symbol,
            price=price,
            far=candles,
            far_interval=interval_text(far.step_ns),
            near=nearer[symbol][1],
            near_interval=interval_text(near.step_ns),
        )
        for symbol, (price, candles) in far.candles().items()
    ]


def _notes(run: BacktestRun, total: Statistics) -> list[str]:
    notes = []
    if run.facts.interrupted:
        notes.append("stopped before the data ended; everything up to then is as in a full run")
    if not run.strategies:
        notes.append("no [[strategies]] entry is enabled: nobody traded")
    unvalued = sorted({fill.account for fill in run.fills} - {account.name for account in run.accounts})
    if not run.accounts:
        notes.append("no [[portfolio.accounts]] entry: returns and ratios need starting cash; add one")
    elif unvalued:
        notes.append(
            f"account {', '.join(unvalued)} traded and has no [[portfolio.accounts]] entry: it is not valued and no breaker sees "
            f"its losses; the figures begin with the cash of {run.accounts[0].name}"
        )
    if total.end_equity is None:
        pairs = sorted({i.currency for i in run.instruments} - {total.currency})
        notes.append(
            f"{', '.join(pairs)} cannot be valued in {total.currency}: add the pair's [[instruments]] entry and its data"
        )
    if run.dead_letters:
        first = run.dead_letters[0]
        notes.append(f"{len(run.dead_letters)} messages could not be handled; the first by {first.node}: {first.reason}")
    if total.start_equity > 0 and total.max_drawdown is not None and total.max_drawdown >= 1:
        notes.append("equity came to zero or below: here nobody calls for margin, a broker would have closed the positions")
    return [*notes, *_alarms(run), *deaf(run)]


def _alarms(run: BacktestRun) -> list[str]:
    """Critical alerts, the first of each kind and source: strategies that failed, breakers that tripped."""
    found: dict[tuple[str, str], list[Alert]] = {}
    for alert in run.alerts:
        if alert.severity == "critical":
            found.setdefault((alert.name, alert.source), []).append(alert)
    return [
        f"{iso(first.ts_event_ns)}: {first.text}{f' ({len(others):,} more like it)' if others else ''}"
        for first, *others in found.values()
    ]
