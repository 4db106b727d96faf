"""What a strategy is written with: `from barque.strategy import SMA, Strategy, StrategyParams, StrategyState`.

A strategy sees bars, ticks, order events and its schedules, and says what it wishes. It sees no bus, no clock, no I/O;
that is why the same class runs in a backtest, on paper and live, and survives a restart at any message.
"""

from barque.strategy.base import Strategy, StrategyParams, StrategyState
from barque.strategy.desk import Desk, Wish
from barque.strategy.history import BarHistory, WarmUp
from barque.strategy.indicators import (
    ADX,
    ATR,
    EMA,
    MACD,
    ROC,
    RSI,
    SMA,
    VWAP,
    WMA,
    BarIndicator,
    Bollinger,
    Donchian,
    Highest,
    Indicator,
    Lowest,
    RollingVWAP,
    ScalarIndicator,
    SessionRange,
    StdDev,
    Stochastic,
)
from barque.strategy.memory import StrategyMemory, due_schedules, next_due_ns, recall, remember
from barque.strategy.orders import EntryOptions, OpenOrder, OrderEvent, OrderOptions
from barque.strategy.params import ParamDescription, describe_params
from barque.strategy.rules import Cron, Every, PeriodEnd, Rule, SessionEdge
from barque.strategy.schedules import MissedPolicy, Schedule
from barque.strategy.signals import Breakout, Cross, Threshold, crossed_above, crossed_below

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
    "BarHistory",
    "BarIndicator",
    "Bollinger",
    "Breakout",
    "Cron",
    "Cross",
    "Desk",
    "Donchian",
    "EntryOptions",
    "Every",
    "Highest",
    "Indicator",
    "Lowest",
    "MissedPolicy",
    "OpenOrder",
    "OrderEvent",
    "OrderOptions",
    "ParamDescription",
    "PeriodEnd",
    "RollingVWAP",
    "Rule",
    "ScalarIndicator",
    "Schedule",
    "SessionEdge",
    "SessionRange",
    "StdDev",
    "Stochastic",
    "Strategy",
    "StrategyMemory",
    "StrategyParams",
    "StrategyState",
    "Threshold",
    "WarmUp",
    "Wish",
    "crossed_above",
    "crossed_below",
    "describe_params",
    "due_schedules",
    "next_due_ns",
    "recall",
    "remember",
]
