"""The recent past of one series of bars, and how much of it a new strategy asks for.

In:   bars of one symbol, interval and price type, in time order.   Out: the last of them, newest last.
Not:  the long past: a window is part of the strategy's snapshot, so it is bounded and should be small (hundreds of bars).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from barque.errors import StrategyError
from barque.messages import Bar
from barque.messages.market import PriceType
from barque.strategy.indicators import Indicator


class WarmUp(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the past a new strategy is shown before its first message. One of the two is 0."""

    bars: int = 0
    """So many of each series: symbol, interval and price type."""
    days: float = 0.0
    """All of each series that closed at most this long before, days of 24 hours."""


class BarHistory(Indicator, kw_only=True):
    """A window on the last `length` bars of one series, declared with `self.history(...)` and filled by the host before `on_bar`.

    `window[-1]` is the newest bar, `window[0]` the oldest; the columns are lists in the same order.
    """

    symbol: str
    interval: str
    price: PriceType | None = None
    """None: whichever the series has, as long as it has only one."""
    length: int
    bars: list[Bar] = msgspec.field(default_factory=list)

    def push(self, bar: Bar) -> None:
        """Take in a bar of its symbol and interval; raises `StrategyError` where nobody said which price type counts."""
        bars = self.bars
        if self.price is None:
            if bars and bars[-1].price != bar.price:
                raise StrategyError(
                    f"{self.symbol} has {bars[-1].price} and {bar.price} bars of {self.interval}; say which belong into the "
                    f"history: self.history('{self.symbol}', {self.length}, price='{bar.price}')"
                )
        elif bar.price != self.price:
            return
        bars.append(bar)
        if len(bars) > self.length:
            del bars[0]

    def __len__(self) -> int:
        return len(self.bars)

    def __getitem__(self, index: int) -> Bar:
        return self.bars[index]

    def __iter__(self) -> Iterator[Bar]:
        return iter(self.bars)

    @property
    def full(self) -> bool:
        """True once it has `length` bars."""
        return len(self.bars) == self.length

    @property
    def opens(self) -> list[float]:
        """Opening prices, oldest first."""
        return [bar.open for bar in self.bars]

    @property
    def highs(self) -> list[float]:
        """Highs, oldest first."""
        return [bar.high for bar in self.bars]

    @property
    def lows(self) -> list[float]:
        """Lows, oldest first."""
        return [bar.low for bar in self.bars]

    @property
    def closes(self) -> list[float]:
        """Closing prices, oldest first."""
        return [bar.close for bar in self.bars]

    @property
    def volumes(self) -> list[float]:
        """Traded sizes, oldest first; 0 where the bars are made of quotes."""
        return [bar.volume for bar in self.bars]
