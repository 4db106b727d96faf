"""What a strategy is written with: `from barque.strategy import SMA, Strategy, StrategyParams, StrategyState`.

A strategy sees bars, ticks, order events and its schedules, and says what it wishes. It sees no bus, no clock, no I/O;
that is why the same class runs in a backtest, on paper and live, and survives a restart at any message.
"""

from barque.strategy.base import Desk, Strategy, StrategyParams, StrategyState
from barque.strategy.indicators import EMA, SMA, Indicator
from barque.strategy.memory import StrategyMemory, due_schedules, recall, remember
from barque.strategy.orders import OpenOrder, OrderEvent, OrderOptions
from barque.strategy.schedules import Daily, MissedPolicy, Schedule

__all__ = [
    "EMA",
    "SMA",
    "Daily",
    "Desk",
    "Indicator",
    "MissedPolicy",
    "OpenOrder",
    "OrderEvent",
    "OrderOptions",
    "Schedule",
    "Strategy",
    "StrategyMemory",
    "StrategyParams",
    "StrategyState",
    "due_schedules",
    "recall",
    "remember",
]
