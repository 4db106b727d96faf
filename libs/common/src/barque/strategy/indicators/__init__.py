"""Indicators: fed one number or one bar at a time, they remember what they need and nothing else.

An indicator is a `msgspec.Struct`: what its constructor takes are its parameters, its other fields are its memory. That is all
it takes to survive a restart, for one of your own too. `value` is None until enough has come.

| fed with `update(x)` | value |
|---|---|
| `SMA`, `EMA`, `WMA` | moving averages: simple, exponential, weighted |
| `RSI`, `ROC` | relative strength index 0 to 100, rate of change in percent |
| `MACD` | `macd`, `signal`, `histogram` |
| `StdDev`, `Bollinger` | standard deviation; `lower`, `middle`, `upper` |
| `Highest`, `Lowest` | extremes of a window |

| fed with `update(high, low, close)` | value |
|---|---|
| `ATR`, `ADX` | average true range; `adx`, `plus_di`, `minus_di` |
| `Stochastic` | `k`, `d` |
| `Donchian` | `lower`, `middle`, `upper` |
| `VWAP`, `RollingVWAP` (with `volume`) | average price by volume: of a trading day so far, of a window |
| `SessionRange` (with `update_bar` alone) | `high` and `low` of the trading day so far |

`update_bar(bar)` feeds any of them with what it needs of a bar. What they start from, and what they say of a flat market, is as
in TA-Lib; each says so where it matters. They are fed finite numbers: a NaN stays in most of them.
"""

from barque.strategy.indicators.averages import EMA, SMA, WMA
from barque.strategy.indicators.base import BarIndicator, Indicator, ScalarIndicator
from barque.strategy.indicators.extremes import Channel, Donchian, Highest, Lowest, SessionRange
from barque.strategy.indicators.momentum import MACD, ROC, RSI, MACDValue, Stochastic, StochasticValue
from barque.strategy.indicators.trend import ADX, ADXValue
from barque.strategy.indicators.volatility import ATR, Bollinger, StdDev
from barque.strategy.indicators.volume import VWAP, RollingVWAP

__all__ = [
    "ADX",
    "ATR",
    "EMA",
    "MACD",
    "ROC",
    "RSI",
    "SMA",
    "VWAP",
    "WMA",
    "ADXValue",
    "BarIndicator",
    "Bollinger",
    "Channel",
    "Donchian",
    "Highest",
    "Indicator",
    "Lowest",
    "MACDValue",
    "RollingVWAP",
    "ScalarIndicator",
    "SessionRange",
    "StdDev",
    "Stochastic",
    "StochasticValue",
]
