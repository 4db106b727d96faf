"""Bars by hand for SLOB: one American session on Monday 7 October 2013, after a European range from 1680 to 1690.

That day London opens at 07:00 UTC, New York at 13:30 and closes at 20:00. Everything is written for a SHORT; `Tape("long")` turns
prices over at 1685, so that the range stays what it is and highs become lows.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from barque.config import StrategyConfig
from barque.instruments import Instrument
from barque.messages import Bar, SetupChanged, Signal
from barque.messages.signals import Side
from slob import Slob
from strategy_host.core.node import StrategyNode

MINUTE = 60_000_000_000
QUIET = (1688.0, 1688.5, 1687.5, 1688.0)
"""Open, high, low, close inside the range, without a body."""
NO_WICK = (1687.5, 1689.5, 1687.25, 1689.25)
"""Rising by 1.75 with a wick of 0.25: less than 20 %."""


def utc(text: str) -> int:
    """ns UTC of `2013-10-07 13:30`."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000_000


def es(**changes: Any) -> Instrument:
    """The E-mini future."""
    base: dict[str, Any] = {"symbol": "ES", "asset_class": "future", "currency": "USD", "tick_size": Decimal("0.25")}
    return Instrument(**(base | changes))


def a_node(**params: Any) -> StrategyNode:
    config = StrategyConfig(id="s", strategy="slob", symbols=("ES",), params=params)
    return StrategyNode(config, Slob, [es()])


class Tape:
    """One-minute bars, one after another."""

    def __init__(self, side: Side = "sell", day: str = "2013-10-07", range_at: str = "08:00", opens: str = "13:30") -> None:
        self.bars: list[Bar] = []
        self._side = side
        self.at(utc(f"{day} {range_at}")).add(1685.0, 1690.0, 1680.0, 1685.0)
        self.at(utc(f"{day} {opens}"))

    def at(self, ts_ns: int) -> Tape:
        """The next bar opens then."""
        self._next_ns = ts_ns
        return self

    def price(self, value: float) -> float:
        """As the market has it."""
        return value if self._side == "sell" else 3370.0 - value

    def add(self, open_: float, high: float, low: float, close: float) -> Tape:
        """One bar as a SHORT sees it."""
        first, last = self.price(open_), self.price(close)
        top, bottom = max(self.price(high), self.price(low)), min(self.price(high), self.price(low))
        self.bars.append(
            Bar(
                symbol="ES",
                interval="1m",
                price="last",
                ts_open_ns=self._next_ns,
                ts_close_ns=self._next_ns + MINUTE,
                open=first,
                high=top,
                low=bottom,
                close=last,
                volume=10.0,
            )
        )
        self._next_ns += MINUTE
        return self

    def quiet(self, minutes: int) -> Tape:
        """Bars in which nothing happens."""
        for _ in range(minutes):
            self.add(*QUIET)
        return self

    def sweep(self) -> Tape:
        """LIQ1: beyond the European range."""
        return self.add(1689.0, 1691.0, 1688.5, 1689.0)

    def consolidation(self) -> Tape:
        """Fourteen minutes from 1687.25 to 1689.5 (0.133 %), with a no-wick bar; the fifteenth may confirm it."""
        return self.quiet(5).add(*NO_WICK).quiet(8)

    def until_confirmed(self) -> Tape:
        """LIQ1, a consolidation, and the bar that confirms it."""
        return self.sweep().consolidation().quiet(1)

    def until_entry(self) -> Tape:
        """The same, and LIQ2 five minutes later: 1690 over a consolidation's 1689.5."""
        return self.until_confirmed().quiet(4).add(1689.5, 1690.0, 1688.5, 1688.75)


def heard(node: StrategyNode, bars: list[Bar]) -> tuple[list[SetupChanged], list[Signal]]:
    """What it says of setups, and its signals."""
    said = [message for bar in bars for _, message in node.handle(bar)]
    return [m for m in said if isinstance(m, SetupChanged)], [m for m in said if isinstance(m, Signal)]
