"""Reverses a position each time the fast average of closes crosses the slow one.

In:   bars of one price type.   Out: a target of plus or minus `quantity` at each crossing, at market.
Not:  a trade on the first direction that is seen: nobody knows how old it is.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import field

from barque.messages import Bar
from barque.messages.market import PriceType
from barque.strategy import SMA, Strategy, StrategyParams, StrategyState

TOLERANCE = 1e-7
"""Averages this close to one another are equal; the direction stays what it was."""


class SmaCross(Strategy):
    """One position per symbol, in the direction of the faster average."""

    class Params(StrategyParams, frozen=True):
        fast: int = 10
        """Bars."""
        slow: int = 20
        """Bars; more than `fast`."""
        quantity: Decimal = Decimal(1)
        """Contracts, positive."""
        price: PriceType = "bid"
        """Which of the bars of a minute count."""

        def __post_init__(self) -> None:
            if not 1 <= self.fast < self.slow:
                raise ValueError(f"fast is {self.fast} and slow {self.slow}; fast must be at least 1, slow more than fast")
            if self.quantity <= 0:
                raise ValueError(f"quantity is {self.quantity}; it must be positive")

    class State(StrategyState):
        directions: dict[str, int] = field(default_factory=dict)
        """By symbol: 1 while the fast average is above, -1 while below."""

    params: Params
    state: State

    def setup(self) -> None:
        """Two averages per symbol."""
        params = self.params
        self.averages = {s: (self.indicator(SMA(params.fast)), self.indicator(SMA(params.slow))) for s in self.symbols}

    def on_bar(self, bar: Bar) -> None:
        """Follow a change of direction."""
        if bar.price != self.params.price:
            return
        fast, slow = (average.update(bar.close) for average in self.averages[bar.symbol])
        if fast is None or slow is None or abs(fast - slow) <= TOLERANCE:
            return
        direction = 1 if fast > slow else -1
        before = self.state.directions.get(bar.symbol, direction)
        self.state.directions[bar.symbol] = direction
        if direction != before:
            crossing = "above" if direction > 0 else "below"
            self.target(bar.symbol, direction * self.params.quantity, reason=f"fast average {crossing} slow")
