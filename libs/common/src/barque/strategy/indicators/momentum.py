"""How fast and whereto a price moves: RSI, MACD, rate of change, stochastic oscillator.

In:   one number, or one bar, at a time.   Out: the measure; percentages run from 0 to 100.
Not:  signals; what to make of a level or a crossing is `barque.strategy.signals`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from barque.strategy.indicators.averages import EMA, SMA
from barque.strategy.indicators.base import BarIndicator, ScalarIndicator, check_length, room
from barque.strategy.indicators.extremes import Highest, Lowest


class RSI(ScalarIndicator):
    """Relative strength index by Wilder: the share of gains in all movement, 0 to 100.

    Means of the first `length` gains and losses to begin with, then each new one counts 1 / `length`. The first value comes with
    number `length` + 1. A market that has never moved is at 0, as in TA-Lib.
    """

    length: int = 14
    value: float | None = None
    before: float | None = None
    gain: float = 0.0
    loss: float = 0.0
    """Means; sums of what has come, until there are `length` changes."""
    seen: int = 0

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        before, self.before = self.before, x
        if before is None:
            return None
        change, length = x - before, self.length
        gain, loss = (change, 0.0) if change > 0 else (0.0, -change)
        if self.seen == length:
            self.gain += (gain - self.gain) / length
            self.loss += (loss - self.loss) / length
        else:
            self.seen += 1
            self.gain += gain
            self.loss += loss
            if self.seen < length:
                return None
            self.gain /= length
            self.loss /= length
        moved = self.gain + self.loss
        self.value = 100 * self.gain / moved if moved > 0 else 0.0
        return self.value


class ROC(ScalarIndicator):
    """Rate of change: how many percent `x` is above the number `length` before it. 0 where that one was 0, as in TA-Lib."""

    length: int = 10
    value: float | None = None
    window: list[float] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        window, length = self.window, self.length
        window.append(x)
        if len(window) > length:
            before = window[~length]
            self.value = (x / before - 1) * 100 if before else 0.0
            if len(window) > room(length):
                del window[:-length]
        return self.value


class MACDValue(NamedTuple):
    """The difference of two averages, its own average, and the difference of these two."""

    macd: float
    signal: float
    histogram: float


class MACD(ScalarIndicator):
    """Moving average convergence/divergence of three EMAs: `fast` minus `slow`, averaged over `signal`.

    All begin as in TA-Lib: the fast average, too, has its first value with number `slow`, from the mean of the last `fast`
    numbers until then; the signal from the mean of the first `signal` differences. The first value comes with number
    `slow` + `signal` - 1.
    """

    fast: int = 12
    slow: int = 26
    signal: int = 9
    value: MACDValue | None = None
    seen: int = 0
    fast_average: EMA = msgspec.field(default_factory=lambda: EMA(1))
    slow_average: EMA = msgspec.field(default_factory=lambda: EMA(1))
    signal_average: EMA = msgspec.field(default_factory=lambda: EMA(1))

    def __post_init__(self) -> None:
        check_length(self.fast, "fast")
        check_length(self.slow, "slow", self.fast + 1)
        if not self.seen:
            self.fast_average, self.slow_average, self.signal_average = EMA(self.fast), EMA(self.slow), EMA(self.signal)

    def update(self, x: float) -> MACDValue | None:
        """Take in `x`; the new value."""
        self.seen += 1
        slow = self.slow_average.update(x)
        fast = self.fast_average.update(x) if self.seen > self.slow - self.fast else None
        if fast is None or slow is None:
            return None
        macd = fast - slow
        signal = self.signal_average.update(macd)
        if signal is not None:
            self.value = MACDValue(macd, signal, macd - signal)
        return self.value


class StochasticValue(NamedTuple):
    """The smoothed place of the close in its range, and its average."""

    k: float
    d: float


class Stochastic(BarIndicator):
    """Where the close lies between the lowest low (0) and the highest high (100) of the last `length` bars.

    `k` is the simple average of `smooth_k` such places, `d` that of `smooth_d` values of `k`. A range without extent gives 0,
    as in TA-Lib.
    """

    length: int = 5
    smooth_k: int = 3
    smooth_d: int = 3
    value: StochasticValue | None = None
    seen: int = 0
    highs: Highest = msgspec.field(default_factory=lambda: Highest(1))
    lows: Lowest = msgspec.field(default_factory=lambda: Lowest(1))
    average_k: SMA = msgspec.field(default_factory=lambda: SMA(1))
    average_d: SMA = msgspec.field(default_factory=lambda: SMA(1))

    def __post_init__(self) -> None:
        if not self.seen:
            self.highs, self.lows = Highest(self.length), Lowest(self.length)
            self.average_k, self.average_d = SMA(self.smooth_k), SMA(self.smooth_d)

    def update(self, high: float, low: float, close: float) -> StochasticValue | None:
        """Take in a bar; the new value."""
        self.seen += 1
        upper, lower = self.highs.update(high), self.lows.update(low)
        if upper is None or lower is None:
            return None
        k = self.average_k.update((close - lower) / (upper - lower) * 100 if upper > lower else 0.0)
        d = None if k is None else self.average_d.update(k)
        if k is not None and d is not None:
            self.value = StochasticValue(k, d)
        return self.value
