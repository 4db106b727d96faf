"""A router to talk to: wishes go in, orders and refusals come out, brokers' reports follow from the orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from barque.config import Clock, load_section
from barque.instruments import Instrument
from barque.messages import (
    CancelRejected,
    CancelRequest,
    EquityMarked,
    Fill,
    Message,
    ModifyOrder,
    ModifyRejected,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderModified,
    OrderRejected,
    RejectReason,
    SignalRejected,
    SubmitOrder,
)
from router.config import RouterConfig
from router.core.node import RouterNode
from tests.support.builders import T0, a_fill, a_signal, eurusd, usdjpy

T = TypeVar("T")
D = Decimal


def a_router(instruments: Iterable[Instrument] = (), clock: Clock = "feed", **section: Any) -> RouterNode:
    """A router of strategies `s1` and `s2` with the keys of `[router]`; EURUSD and USDJPY unless told otherwise."""
    config = load_section({"router": section}, "router", RouterConfig)
    return RouterNode(config, list(instruments) or [eurusd(), usdjpy()], ["s1", "s2"], clock)


def feed(node: RouterNode, *messages: Message) -> list[Message]:
    """All that the router says to `messages`."""
    return [output for message in messages for _, output in node.handle(message)]


def of_kind(kind: type[T], messages: Iterable[Message]) -> list[T]:
    """The messages of one kind."""
    return [message for message in messages if isinstance(message, kind)]


def order_of(node: RouterNode, *messages: Message) -> SubmitOrder:
    """The one order, and nothing else, that `messages` lead to."""
    (order,) = feed(node, *messages)
    assert isinstance(order, SubmitOrder), order
    return order


def refusal_of(node: RouterNode, *messages: Message) -> SignalRejected:
    """The one refusal, and nothing else, that `messages` lead to."""
    (rejection,) = feed(node, *messages)
    assert isinstance(rejection, SignalRejected), rejection
    return rejection


def a_wish(name: str, at: int = T0, **changes: Any) -> Any:
    """A wish of `s1` to buy one EURUSD at market."""
    return a_signal(at, **({"id": name} | changes))


def wish_to(action: str, name: str = "w", at: int = T0, **changes: Any) -> Any:
    """A wish that is no entry."""
    return a_wish(name, at, **({"action": action, "side": None, "quantity": None} | changes))


def a_change(name: str, order_id: str, at: int = T0, **changes: Any) -> ModifyRequest:
    """A wish of `s1` to change an order in EURUSD."""
    base: dict[str, Any] = {"strategy_id": "s1", "symbol": "EURUSD", "cause": "c", "root": "r"}
    return ModifyRequest(id=name, ts_event_ns=at, order_id=order_id, **(base | changes))


def a_cancel(name: str = "k", order_id: str | None = None, strategy_id: str = "s1") -> CancelRequest:
    """A wish to cancel in EURUSD."""
    origin = {"cause": "c", "root": "r", "symbol": "EURUSD"}
    return CancelRequest(id=name, ts_event_ns=T0, strategy_id=strategy_id, order_id=order_id, **origin)


def command(kind: type, name: str = "c1", **fields: Any) -> Any:
    """Somebody commands."""
    return kind(**({"command_id": name, "ts_event_ns": T0, "actor": "me"} | fields))


def equity(amount: str, at: int = T0, currency: str = "USD", **changes: Any) -> EquityMarked:
    """The account is worth so much."""
    worth = D(amount)
    base: dict[str, Any] = {"account": "paper", "currency": currency, "cash": worth, "equity": worth}
    zero = {"unrealised_pnl": D(0), "realised_pnl": D(0)}
    return EquityMarked(ts_event_ns=at, **(base | zero | changes))


def _about(order: SubmitOrder | ModifyOrder, at: int) -> dict[str, Any]:
    names = ("order_id", "cause", "root", "strategy_id", "account", "symbol")
    return {name: getattr(order, name) for name in names} | {"ts_event_ns": at}


def filled(order: SubmitOrder, quantity: Decimal | int | None = None, n: int = 1, at: int = T0, **changes: Any) -> Fill:
    """`order` trades, whole unless told otherwise."""
    contracts = order.quantity if quantity is None else D(quantity)
    about = _about(order, at) | {"side": order.side, "exec_id": f"{order.order_id}-{n}", "quantity": contracts}
    return a_fill(at, **(about | changes))


def accepted(order: SubmitOrder, at: int = T0) -> OrderAccepted:
    """The broker holds `order`."""
    return OrderAccepted(**_about(order, at))


def cancelled(order: SubmitOrder, at: int = T0) -> OrderCancelled:
    """The rest of `order` is withdrawn."""
    return OrderCancelled(**_about(order, at))


def rejected(order: SubmitOrder, at: int = T0, reason: RejectReason = RejectReason.VENUE) -> OrderRejected:
    """The broker refuses `order`."""
    return OrderRejected(**_about(order, at), reason=reason)


def modified(order: SubmitOrder, at: int = T0, **changes: Any) -> OrderModified:
    """`order` works on with other terms; unasked, unless `cause` is a request's."""
    fields = {name: getattr(order, name) for name in ("quantity", "limit_price", "stop_price", "trail_amount")}
    return OrderModified(**(_about(order, at) | fields | changes))


def cancel_rejected(order: SubmitOrder, reason: RejectReason = RejectReason.VENUE, at: int = T0) -> CancelRejected:
    """The broker does not cancel."""
    return CancelRejected(**_about(order, at), reason=reason)


def modify_rejected(order: SubmitOrder, reason: RejectReason = RejectReason.VENUE, at: int = T0) -> ModifyRejected:
    """The broker does not change."""
    return ModifyRejected(**_about(order, at), reason=reason)


def working(node: RouterNode, *messages: Message) -> SubmitOrder:
    """The one order that `messages` lead to, accepted by the broker."""
    order = order_of(node, *messages)
    assert feed(node, accepted(order)) == []
    return order


def holding(node: RouterNode, quantity: int, strategy_id: str = "s1", symbol: str = "EURUSD") -> RouterNode:
    """`node`, with a position."""
    side = "buy" if quantity > 0 else "sell"
    about: dict[str, Any] = {"exec_id": f"x{strategy_id}{symbol}", "order_id": "?", "strategy_id": strategy_id, "symbol": symbol}
    assert feed(node, a_fill(side=side, quantity=D(abs(quantity)), **about)) == []
    return node


def position(node: RouterNode, strategy_id: str = "s1", symbol: str = "EURUSD") -> Decimal:
    """What the router believes a strategy to hold."""
    positions = msgspec.msgpack.decode(node.snapshot())["positions"]
    return D(positions.get(strategy_id, {}).get(symbol, "0"))


def state_of(node: RouterNode, order_id: str) -> str:
    """How far the router believes an open order to have come; empty for one that is not open."""
    order = msgspec.msgpack.decode(node.snapshot())["orders"].get(order_id)
    return order["state"] if order is not None else ""


def check_restores(make: Any, messages: Sequence[Message]) -> list[Message]:
    """A router that is made anew from its snapshot after each message does what one that lives on does; what they say."""
    living, reborn = make(), make()
    said: list[Message] = []
    for index, message in enumerate(messages):
        expected = feed(living, message)
        assert feed(reborn, message) == expected, (index, message)
        blob = living.snapshot()
        assert reborn.snapshot() == blob, (index, message)
        reborn = make()
        reborn.restore(blob)
        assert reborn.snapshot() == blob, (index, message)
        said += expected
    return said
