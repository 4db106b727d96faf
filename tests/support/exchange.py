"""Talks to a paper exchange in tests: requests, what it said, and a feed that holds back what the exchange sleeps through."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from barque.instruments import Instrument
from barque.messages import (
    Bar,
    BreakerChanged,
    CancelOrder,
    ClockTicked,
    Fill,
    Halt,
    Message,
    ModifyOrder,
    Quote,
    SubmitOrder,
    Topic,
    Trade,
)
from barque_paper import PaperConfig, PaperNode
from tests.support.builders import T0, an_order, eurusd, usdjpy

FREE: dict[str, Any] = {"slippage_fraction": Decimal(0), "commission_fraction": Decimal(0), "commission_min": Decimal(0)}
"""An exchange that costs nothing."""


def paper(*instruments: Instrument, **config: Any) -> PaperNode:
    """An exchange without costs, unless `config` says otherwise; for EURUSD and USDJPY, unless others are given."""
    return PaperNode(PaperConfig(**(FREE | config)), instruments or (eurusd(), usdjpy()))


def stock(**changes: Any) -> Instrument:
    """Symbol X: one unit a contract, a grid of 0.01, never closed."""
    base: dict[str, Any] = {"symbol": "X", "asset_class": "stock", "currency": "USD", "tick_size": Decimal("0.01")}
    return Instrument(**(base | {"calendar": "24/7"} | changes))


def feed(node: PaperNode, *messages: Message) -> list[Any]:
    """All that the exchange says to them."""
    return [output for message in messages for _, output in node.handle(message)]


def feed_restoring(node: PaperNode, *messages: Message) -> list[Any]:
    """As `feed`, with the exchange's state taken out and put back before each message."""
    said = []
    for message in messages:
        node.restore(node.snapshot())
        said += feed(node, message)
    return said


def feed_holding_back(node: PaperNode, *messages: Message) -> list[Any]:
    """As `feed`, without what the exchange sleeps through: of that, the newest of each key comes before anything else."""
    held: dict[tuple[Any, ...], Message] = {}
    said = []
    for message in messages:
        key = _key(message)
        if key is not None and key[1] < node.sleeps_until(key[0]):
            held[key[0].rank, *key[2:]] = message
            continue
        said += feed(node, *(held[name] for name in sorted(held)), message)
        held.clear()
    return said + feed(node, *(held[name] for name in sorted(held)))


def _key(message: Message) -> tuple[Any, ...] | None:
    """Topic, time and key of what may be held back."""
    if isinstance(message, Bar):
        return Topic.BARS, message.ts_close_ns, message.symbol, message.interval, message.price
    if isinstance(message, Quote | Trade):
        return Topic.TICKS, message.ts_event_ns, message.symbol, type(message).__name__
    return (Topic.CLOCK, message.now_ns) if isinstance(message, ClockTicked) else None


def kinds(messages: Iterable[Any]) -> list[str]:
    """What sort of messages they are."""
    return [type(message).__name__ for message in messages]


def fills(messages: Iterable[Any]) -> list[Fill]:
    """The fills among them."""
    return [message for message in messages if isinstance(message, Fill)]


def traded(messages: Iterable[Any]) -> list[tuple[str, str, str]]:
    """Order, quantity and price of each fill, as text without trailing zeros."""
    return [(fill.order_id, plain(fill.quantity), plain(fill.price)) for fill in fills(messages)]


def plain(value: Decimal) -> str:
    """A number without trailing zeros."""
    return f"{value.normalize():f}"


def told(messages: Iterable[Any]) -> list[tuple[str, str]]:
    """Kind and order of each message."""
    return [(type(message).__name__, message.order_id) for message in messages]


def a_limit(price: str, **changes: Any) -> SubmitOrder:
    """A limit order to buy one EURUSD contract."""
    return an_order(**({"order_type": "limit", "limit_price": Decimal(price)} | changes))


def a_stop(price: str, **changes: Any) -> SubmitOrder:
    """A stop order to buy one EURUSD contract."""
    return an_order(**({"order_type": "stop", "stop_price": Decimal(price)} | changes))


def a_trailing_stop(amount: str, **changes: Any) -> SubmitOrder:
    """A trailing stop to sell one EURUSD contract."""
    return an_order(**({"side": "sell", "order_type": "trailing_stop", "trail_amount": Decimal(amount)} | changes))


def a_cancel(order_id: str = "o1", at: int = T0, **changes: Any) -> CancelOrder:
    """A request to cancel an EURUSD order."""
    base: dict[str, Any] = {"cause": "c", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD"}
    return CancelOrder(**(base | {"order_id": order_id, "ts_event_ns": at} | changes))


def a_change(**changes: Any) -> ModifyOrder:
    """A request to change EURUSD order `o1`."""
    base: dict[str, Any] = {"order_id": "o1", "cause": "m", "root": "r2", "strategy_id": "s1", "account": "paper"}
    return ModifyOrder(**(base | {"symbol": "EURUSD", "ts_event_ns": T0} | changes))


def a_halt(at: int = T0) -> Halt:
    """A halt."""
    return Halt(command_id="h", ts_event_ns=at, actor="me")


def a_breaker(scope: str, **changes: Any) -> BreakerChanged:
    """A circuit breaker of a strategy, or of the book (""), has tripped, or with `status="NORMAL"` was reset."""
    base: dict[str, Any] = {"account": "paper", "breaker": "drawdown", "status": "TRIPPED", "ts_event_ns": T0, "cause": "c"}
    terms = base | {"strategy_id": scope} | changes
    return BreakerChanged(tripped=terms["status"] != "NORMAL", **terms)
