"""A strategy in its node, fed by hand: what it says, by topic."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from barque.config import StrategyConfig
from barque.instruments import Instrument
from barque.messages import Alert, EquityMarked, Message, Topic
from barque.node import Node, Output
from barque.strategy import Strategy
from strategy_host.core.node import StrategyNode
from tests.support.builders import T0, eurusd, usdjpy


def hosted(
    cls: type[Strategy],
    symbols: tuple[str, ...] = ("EURUSD",),
    interval: str = "1m",
    intervals: tuple[str, ...] = (),
    **params: Any,
) -> StrategyNode:
    """Strategy `s1`; EURUSD and USDJPY are instruments."""
    config = StrategyConfig(id="s1", strategy="test", symbols=symbols, interval=interval, intervals=intervals, params=params)
    known: Sequence[Instrument] = (eurusd(), usdjpy())
    return StrategyNode(config, cls, known)


def feed(node: Node, *messages: Message) -> list[Output]:
    """All that it says."""
    return [output for message in messages for output in node.handle(message)]


def signals(outputs: list[Output]) -> list[Any]:
    """Its wishes."""
    return [message for topic, message in outputs if topic is Topic.SIGNALS]


def alerts(outputs: list[Output]) -> list[Alert]:
    """What it tells people."""
    return [message for topic, message in outputs if topic is Topic.ALERTS]


def command(kind: type, at: int = T0, **changes: Any) -> Any:
    """A command of an operator."""
    return kind(command_id="c1", ts_event_ns=at, actor="test", **changes)


def order_event(kind: type, **changes: Any) -> Any:
    """Something about order `o1` of strategy `s1`."""
    base = {"order_id": "o1", "cause": "s1/1/0", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD"}
    return kind(**(base | {"ts_event_ns": T0} | changes))


def equity(at: int = T0, account: str = "paper", value: str = "100000") -> EquityMarked:
    """An account without positions."""
    worth = Decimal(value)
    return EquityMarked(
        account=account,
        ts_event_ns=at,
        currency="USD",
        cash=worth,
        equity=worth,
        unrealised_pnl=Decimal(0),
        realised_pnl=Decimal(0),
    )
