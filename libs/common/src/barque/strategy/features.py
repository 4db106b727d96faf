"""Features of prices and bars that strategies share.

In:   prices, bars.   Out: numbers, in units of the price unless said otherwise.
Not:  memory. What needs the past takes it as an argument, or is an indicator (`barque.strategy.indicators`).
"""

from __future__ import annotations

from math import log

from barque.messages import Bar


def simple_return(before: float, now: float) -> float:
    """Growth from `before` to `now` as a fraction; 0.01 is 1 %."""
    return now / before - 1


def log_return(before: float, now: float) -> float:
    """Logarithm of the growth; those of a series add up."""
    return log(now / before)


def typical_price(high: float, low: float, close: float) -> float:
    """Mean of high, low and close."""
    return (high + low + close) / 3


def true_range(high: float, low: float, close_before: float) -> float:
    """Range of a bar, a gap from the close before included (Wilder).

    >>> true_range(12.0, 11.0, 10.0)
    2.0
    """
    return max(high, close_before) - min(low, close_before)


def bar_range(bar: Bar) -> float:
    """High minus low."""
    return bar.high - bar.low


def body(bar: Bar) -> float:
    """Distance of open and close, never negative."""
    return abs(bar.close - bar.open)


def upper_wick(bar: Bar) -> float:
    """What the bar reached above its body."""
    return bar.high - max(bar.open, bar.close)


def lower_wick(bar: Bar) -> float:
    """What the bar reached below its body."""
    return min(bar.open, bar.close) - bar.low


def direction(bar: Bar) -> int:
    """1: it closed above its open; -1: below; 0: a bar without body."""
    return (bar.close > bar.open) - (bar.close < bar.open)


def close_location(bar: Bar) -> float:
    """Where the close lies in the bar's range, 0 (low) to 1 (high); 0.5 in a bar without range."""
    return (bar.close - bar.low) / (bar.high - bar.low) if bar.high > bar.low else 0.5


def gap(close_before: float, bar: Bar) -> float:
    """How far the bar opened above (negative: below) the close before."""
    return bar.open - close_before
