"""How strong a trend is: the average directional index.

In:   one bar at a time.   Out: `adx` and the two directional indicators, 0 to 100.
Not:  a direction by itself; that is which of `plus_di` and `minus_di` is greater.
"""

from __future__ import annotations

from typing import NamedTuple

from barque.strategy.features import true_range
from barque.strategy.indicators.base import BarIndicator, check_length


class ADXValue(NamedTuple):
    """Strength of the trend, and the shares of upward and downward movement in the true range."""

    adx: float
    plus_di: float
    minus_di: float


class ADX(BarIndicator):
    """Average directional index by Wilder, with his sums: each is the one before less its `length`-th part, plus the new one.

    The sums begin with the first `length` - 1 movements, the index with the mean of the next `length` directional indices, so
    the first value comes with bar 2 `length`. While neither direction has moved at all, the index stays what it is. All as in
    TA-Lib.
    """

    length: int = 14
    value: ADXValue | None = None
    bars: int = 0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    """Of the bar before."""
    plus: float = 0.0
    minus: float = 0.0
    reach: float = 0.0
    """Sums of upward and downward movement and of true ranges."""
    adx: float = 0.0
    """The sum of directional indices, until there are `length` of them."""

    def __post_init__(self) -> None:
        check_length(self.length, least=2)

    def update(self, high: float, low: float, close: float) -> ADXValue | None:
        """Take in a bar; the new value."""
        self.bars += 1
        up, down, reach = high - self.high, self.low - low, true_range(high, low, self.close)
        self.high, self.low, self.close = high, low, close
        if self.bars == 1:
            return None
        fading = 1 / self.length if self.bars > self.length else 0.0
        self.plus += (up if up > down and up > 0 else 0.0) - self.plus * fading
        self.minus += (down if down > up and down > 0 else 0.0) - self.minus * fading
        self.reach += reach - self.reach * fading
        if self.bars <= self.length:
            return None
        return self._index()

    def _index(self) -> ADXValue | None:
        length = self.length
        plus_di = 100 * self.plus / self.reach if self.reach > 0 else 0.0
        minus_di = 100 * self.minus / self.reach if self.reach > 0 else 0.0
        moved = plus_di + minus_di
        if moved > 0:
            index = 100 * abs(plus_di - minus_di) / moved
            self.adx += index if self.bars <= 2 * length else (index - self.adx) / length
        if self.bars == 2 * length:
            self.adx /= length
        if self.bars >= 2 * length:
            self.value = ADXValue(self.adx, plus_di, minus_di)
        return self.value
