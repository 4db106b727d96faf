"""Moving averages: simple, exponential, weighted.

In:   one number at a time.   Out: the average of the last `length` of them, or of all with fading weights.
Not:  averages of time; a gap in the series is not seen.

A window is a list that grows at its end and is cut back from time to time. At every cut the average is computed afresh from the
window (`math.fsum`), so that rounding errors never pile up.
"""

from __future__ import annotations

from math import fsum

import msgspec

from barque.strategy.indicators.base import ScalarIndicator, check_length, room


class SMA(ScalarIndicator):
    """Simple moving average of the last `length` numbers.

    >>> sma = SMA(2)
    >>> [sma.update(x) for x in (1.0, 2.0, 4.0)]
    [None, 1.5, 3.0]
    """

    length: int
    value: float | None = None
    window: list[float] = msgspec.field(default_factory=list)
    full: int = 0
    """The list is cut back when it is this long; 0 until it has `length` numbers."""

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        window, length = self.window, self.length
        window.append(x)
        if len(window) < self.full:
            self.value = value = self.value + (x - window[~length]) / length  # type: ignore[operator]
            return value
        return self._renew()

    def _renew(self) -> float | None:
        length, window = self.length, self.window
        if len(window) >= length:
            del window[:-length]
            self.full = room(length)
            self.value = fsum(window) / length
        return self.value


class EMA(ScalarIndicator):
    """Exponential moving average with weight 2 / (`length` + 1), which starts from the mean of the first `length` numbers.

    >>> ema = EMA(3)
    >>> [ema.update(x) for x in (1.0, 2.0, 3.0, 4.0)]
    [None, None, 2.0, 3.0]
    """

    length: int
    value: float | None = None
    seen: int = 0
    total: float = 0.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        check_length(self.length)
        self.weight = 2 / (self.length + 1)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        value = self.value
        if value is not None:
            self.value = value = value + (x - value) * self.weight
            return value
        self.seen += 1
        self.total += x
        if self.seen == self.length:
            self.value = self.total / self.length
        return self.value


class WMA(ScalarIndicator):
    """Average of the last `length` numbers, weighted 1 (oldest) to `length` (newest).

    >>> wma = WMA(2)
    >>> [wma.update(x) for x in (1.0, 4.0, 7.0)]
    [None, 3.0, 6.0]
    """

    length: int
    value: float | None = None
    window: list[float] = msgspec.field(default_factory=list)
    mean: float = 0.0
    """Simple average of the window."""
    full: int = 0

    def __post_init__(self) -> None:
        check_length(self.length)

    def update(self, x: float) -> float | None:
        """Take in `x`; the new value."""
        window, length = self.window, self.length
        window.append(x)
        if len(window) < self.full:
            self.value = value = self.value + (x - self.mean) * 2 / (length + 1)  # type: ignore[operator]
            self.mean += (x - window[~length]) / length
            return value
        return self._renew()

    def _renew(self) -> float | None:
        length, window = self.length, self.window
        if len(window) >= length:
            del window[:-length]
            self.full = room(length)
            self.mean = fsum(window) / length
            self.value = fsum(weight * x for weight, x in enumerate(window, 1)) * 2 / (length * (length + 1))
        return self.value
