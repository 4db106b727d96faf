"""Strategies for tests that run them in services: named in a configuration as `tests.support.strategies:Heard`."""

from __future__ import annotations

from barque.messages import Bar
from barque.strategy import SMA, Strategy, StrategyParams, StrategyState


class Heard(Strategy):
    """Begins with a past, remembers the id of every bar it hears, and buys at each live bar above its average."""

    class Params(StrategyParams, frozen=True):
        past: int = 10
        length: int = 5

    class State(StrategyState):
        past: list[str] = []  # noqa: RUF012
        live: list[str] = []  # noqa: RUF012
        first_mean: float | None = None
        """Of the average when the first live bar came, before it was taken in."""

    params: Params
    state: State

    def setup(self) -> None:
        self.means = {symbol: self.indicator(SMA(self.params.length)) for symbol in self.symbols}
        self.warm_up(bars=self.params.past)

    def on_bar(self, bar: Bar) -> None:
        average = self.means[bar.symbol]
        if not self.warming and not self.state.live:
            self.state.first_mean = average.value
        (self.state.past if self.warming else self.state.live).append(bar.id)
        mean = average.update(bar.close)
        if mean is not None and bar.close > mean:
            self.target(bar.symbol, 1 if not self.position(bar.symbol) else 0)


class Stuck(Strategy):
    """Trades at each bar, until one at which it never comes to an end."""

    class Params(StrategyParams, frozen=True):
        bars: int = 3

    class State(StrategyState):
        seen: int = 0

    params: Params
    state: State

    def on_bar(self, bar: Bar) -> None:
        self.state.seen += 1
        self.target(bar.symbol, self.state.seen % 2)
        while self.state.seen == self.params.bars:
            pass


class Breaks(Strategy):
    """Buys at its first bar, and raises at a later one."""

    class Params(StrategyParams, frozen=True):
        at: int = 3

    class State(StrategyState):
        seen: int = 0

    params: Params
    state: State

    def on_bar(self, bar: Bar) -> None:
        self.state.seen += 1
        if self.state.seen == 1:
            self.buy(bar.symbol, 1)
        if self.state.seen == self.params.at:
            raise ZeroDivisionError("nothing to divide by")
