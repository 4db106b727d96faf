"""A strategy that does nothing but trade, so that there is something to time. Named in a book as `benchmarks.strategies:Flip`."""

from __future__ import annotations

from decimal import Decimal

from barque.messages import Bar
from barque.strategy import Strategy


class Flip(Strategy):
    """Turns its position around at every bar: bar → signal → order → fill, every time."""

    def on_bar(self, bar: Bar) -> None:
        """Long at the close of one bar, short at the next."""
        side = -1 if bar.ts_open_ns // (bar.ts_close_ns - bar.ts_open_ns) % 2 else 1
        self.target(bar.symbol, Decimal(side))
