"""Strategies that act on schedules alone, for tests."""

from __future__ import annotations

from decimal import Decimal

from barque.messages import Bar
from barque.strategy import Strategy, StrategyParams, StrategyState


class Rebalance(Strategy):
    """Ten minutes before the close of its first symbol's market, holds of each symbol what its weight in `capital` buys."""

    class Params(StrategyParams, frozen=True):
        capital: Decimal
        weights: dict[str, Decimal]

    class State(StrategyState):
        closes: dict[str, float] = {}  # noqa: RUF012

    params: Params
    state: State

    def setup(self) -> None:
        self.at_close("rebalance", self.symbols[0], offset_s=-600)

    def on_bar(self, bar: Bar) -> None:
        self.state.closes[bar.symbol] = bar.close

    def on_schedule(self, name: str) -> None:
        for symbol, weight in self.params.weights.items():
            if symbol in self.state.closes:
                self.target(symbol, self.params.capital * weight / Decimal(repr(self.state.closes[symbol])), reason=name)


class Beeper(Strategy):
    """Tells at each second which run it is."""

    def setup(self) -> None:
        self.cron("every second", "* * * * * *", tz="Europe/Stockholm")

    def on_schedule(self, name: str) -> None:
        self.notify(str(self.scheduled_for(name)))
