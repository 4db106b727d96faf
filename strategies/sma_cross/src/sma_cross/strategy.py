"""Reverses a position each time the fast average of closes crosses the slow one.

In:   bars of one price type.   Out: a target of plus or minus `quantity` at each crossing, at market.
Not:  a trade on the first direction that is seen: nobody knows how old it is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from barque.messages import Bar
from barque.messages.market import PriceType
from barque.strategy import SMA, Cross, Strategy, StrategyParams


class SmaCross(Strategy):
    """One position per symbol, in the direction of the faster average."""

    class Params(StrategyParams, frozen=True):
        fast: Annotated[int, Meta(ge=1, description="Bars of the faster average.")] = 10
        slow: Annotated[int, Meta(ge=2, description="Bars of the slower average; more than `fast`.")] = 20
        quantity: Annotated[Decimal, Meta(description="Contracts held in either direction, positive.")] = Decimal(1)
        price: Annotated[PriceType, Meta(description="Which of the bars of a minute count.")] = "bid"
        warm_up: Annotated[bool, Meta(description="Begin with averages of the past, as far as the host knows it.")] = False

        def __post_init__(self) -> None:
            if self.fast >= self.slow:
                raise ValueError(f"fast is {self.fast} and slow {self.slow}; slow must be more than fast")
            if self.quantity <= 0:
                raise ValueError(f"quantity is {self.quantity}; it must be positive")

    params: Params

    def setup(self) -> None:
        """Two averages per symbol, and what tells of their crossings."""
        params = self.params
        self.price = params.price
        averages = {s: (self.indicator(SMA(params.fast)), self.indicator(SMA(params.slow))) for s in self.symbols}
        self.series = {s: (*averages[s], self.indicator(Cross())) for s in self.symbols}
        if params.warm_up:
            self.warm_up(bars=params.slow)

    def on_bar(self, bar: Bar) -> None:
        """Follow a crossing."""
        if bar.price != self.price:
            return
        fast, slow, cross = self.series[bar.symbol]
        close = bar.close
        direction = cross.update(fast.update(close), slow.update(close))
        if direction:
            crossing = "above" if direction > 0 else "below"
            self.target(bar.symbol, direction * self.params.quantity, reason=f"fast average {crossing} slow")
