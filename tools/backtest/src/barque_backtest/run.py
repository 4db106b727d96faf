"""What a backtest hands back: everything that was said, in the order of saying, and the facts of the run.

In:   the messages of a run, by topic.   Out: one list per kind of message.
Not:  judgement. Trades, drawdowns and ratios are computed from this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from barque.config import StrategyConfig
from barque.instruments import Instrument
from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    CancelRejected,
    CancelRequest,
    DeadLetter,
    EquityMarked,
    Fill,
    Message,
    ModifyOrder,
    ModifyRejected,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
    SetupChanged,
    Signal,
    SignalRejected,
    SubmitOrder,
)
from barque_archive.series import Series
from portfolio.config import AccountConfig

Wish: TypeAlias = Signal | CancelRequest | ModifyRequest
Request: TypeAlias = SubmitOrder | CancelOrder | ModifyOrder
OrderEvent: TypeAlias = (
    OrderAccepted | OrderRejected | OrderCancelled | OrderExpired | OrderModified | OrderUnknown | CancelRejected | ModifyRejected
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """How a run went."""

    bars: int
    """Bars fed, all symbols and prices; bars that the book built of ticks are not among them."""
    ticks: int
    """Quotes and trades fed."""
    warm_up_bars: int
    """Bars from before the beginning that strategies were given as history."""
    first_ns: int
    """Event time of the first data fed, UTC; 0 where there was none."""
    last_ns: int
    """Event time of the last data fed."""
    end_ns: int
    """When the book's clock stopped: `last_ns` and the tail."""
    wall_s: float
    """How long it took."""
    interrupted: bool = False
    """True: stopped from outside before the data ended; everything up to `last_ns` is as in a full run."""
    series: tuple[Series, ...] = ()
    """What the sources held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRun:
    """One run. Lists are in the order of saying, which is that of event time but for fills inside a bar."""

    config: Mapping[str, Any]
    """The configuration as it was run, secrets and services' addresses left out."""
    config_digest: str
    """16 hexadecimal digits: equal where `config` is equal."""
    facts: RunFacts
    instruments: Sequence[Instrument]
    strategies: Sequence[StrategyConfig]
    """The enabled ones."""
    accounts: Sequence[AccountConfig]

    wishes: list[Wish] = field(default_factory=list)
    setups: list[SetupChanged] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    rejections: list[SignalRejected] = field(default_factory=list)
    breaker_changes: list[BreakerChanged] = field(default_factory=list)
    order_events: list[OrderEvent] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    fill_clock_ns: list[int] = field(default_factory=list)
    """For each fill, what the book's clock showed when it was said: the close of the bar that filled it, where `ts_event_ns`
    may be that bar's open. Prices of that instant come after the fill, prices of earlier ones before it."""
    position_changes: list[PositionChanged] = field(default_factory=list)
    equity: list[EquityMarked] = field(default_factory=list)
    """After each fill and once per `portfolio.equity_interval_s`, where something changed."""
    alerts: list[Alert] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Messages on which a node failed: our bugs, or a strategy package's."""

    cash: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    """At the end: by account, then currency."""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """At the end: the price that values a position, by symbol; a symbol that never had a price is not there."""

    @property
    def signals(self) -> list[Signal]:
        """The wishes to trade, without requests to cancel or change."""
        return [wish for wish in self.wishes if type(wish) is Signal]

    @property
    def orders(self) -> list[SubmitOrder]:
        """The orders sent, without requests to cancel or change."""
        return [request for request in self.requests if type(request) is SubmitOrder]

    @property
    def failures(self) -> list[Alert]:
        """Strategies that raised or ran too long: from then on they did nothing more."""
        return [alert for alert in self.alerts if alert.name == "strategy_failed"]

    @property
    def open_positions(self) -> list[PositionChanged]:
        """The last word on each position that is not flat, in order of its first fill."""
        last = {(p.account, p.strategy_id, p.symbol): p for p in self.position_changes}
        return [position for position in last.values() if position.quantity]


def clocks_of(fills: Sequence[Fill], said_by_portfolio: Iterable[Message]) -> list[int]:
    """`BacktestRun.fill_clock_ns`: the time of the valuation that follows each fill's PositionChanged; the fill's own time
    where the account could not be valued."""
    clocks: dict[str, int] = {}
    waiting = ""
    for message in said_by_portfolio:
        if type(message) is PositionChanged:
            waiting = message.cause
        elif type(message) is EquityMarked and waiting:
            clocks[waiting] = message.ts_event_ns
            waiting = ""
    return [clocks.get(fill.exec_id, fill.ts_event_ns) for fill in fills]
