"""The same SMA cross in other backtesters, as their documentation has it: event by event, one order at each crossing, no costs.

Each returns what came of a run: orders filled, and profit at the last close in the currency of the prices. All are given the
bars ready in memory, which is not timed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from benchmarks.walks import MINUTE_NS, Walk

TOLERANCE = 1e-7
UNITS = 10_000
CASH = 1_000_000_000.0


class Averages(NamedTuple):
    """Lengths of the two, in bars."""

    fast: int
    slow: int


class Outcome(NamedTuple):
    """Of one run."""

    fills: int
    profit: float


Run: TypeAlias = Callable[[], Outcome]


def frame(bars: Walk) -> Any:
    """The bars as pandas, labelled by their close as these tools expect."""
    import pandas

    columns = {name.capitalize(): bars.prices(name) for name in ("open", "high", "low", "close")}
    columns["Volume"] = np.zeros(len(bars.close))
    return pandas.DataFrame(columns, index=pandas.to_datetime(bars.ts_open_ns + MINUTE_NS))


def backtesting_py(bars: Walk, fill_at: str, averages: Averages) -> Run:
    """`backtesting.py`: indicators over the whole array beforehand, then `next` bar by bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import backtesting
    import pandas

    data = frame(bars)

    def mean(values: Any, length: int) -> Any:
        return pandas.Series(values).rolling(length).mean().to_numpy()

    class Cross(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, averages.fast)
            self.slow = self.I(mean, self.data.Close, averages.slow)
            self.side = 0

        def next(self) -> None:
            ahead = self.fast[-1] - self.slow[-1]
            if not abs(ahead) > TOLERANCE:
                return
            side = 1 if ahead > 0 else -1
            if self.side and side != self.side:
                size = UNITS if not self.position else 2 * UNITS
                (self.buy if side > 0 else self.sell)(size=size)
            self.side = side

    def run() -> Outcome:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            test = backtesting.Backtest(data, Cross, cash=CASH, margin=1, trade_on_close=fill_at == "close")
            found = test.run()
        strategy = found["_strategy"]
        return Outcome(len(strategy.closed_trades) + len(strategy.trades), float(found["Equity Final [$]"]) - CASH)

    return run


def backtrader(bars: Walk, fill_at: str, averages: Averages) -> Run:
    """`backtrader`: event by event."""
    import backtrader as bt

    data = frame(bars)

    class Cross(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.fast, self.slow = bt.ind.SMA(period=averages.fast), bt.ind.SMA(period=averages.slow)
            self.side = self.filled = 0

        def next(self) -> None:
            ahead = self.fast[0] - self.slow[0]
            if not abs(ahead) > TOLERANCE:
                return
            side = 1 if ahead > 0 else -1
            if self.side and side != self.side:
                self.order_target_size(target=side * UNITS)
            self.side = side

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                self.filled += 1

    def run() -> Outcome:
        brain = bt.Cerebro(stdstats=False)
        brain.addstrategy(Cross)
        brain.adddata(bt.feeds.PandasData(dataname=data))
        brain.broker.setcash(CASH)
        brain.broker.set_coc(fill_at == "close")
        (strategy,) = brain.run()
        return Outcome(strategy.filled, brain.broker.getvalue() - CASH)

    return run


PEERS: dict[str, Callable[[Walk, str, Averages], Run]] = {
    name: peer for name, peer in (("backtesting", backtesting_py), ("backtrader", backtrader)) if find_spec(name) is not None
}
"""Those that are installed, by the name of their package."""
