"""Small nodes for tests of the bus itself; real nodes have suites of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from barque.messages import (
    Alert,
    Halt,
    Mark,
    Message,
    OrderAccepted,
    OrderRejected,
    Quote,
    RejectReason,
    Resume,
    Signal,
    SubmitOrder,
    Topic,
)
from barque.node import Output
from barque.postgres.projector import Handled, Scope
from tests.support.builders import an_order


class TallyState(msgspec.Struct):
    """How many quotes, and the sum of their bids."""

    count: int = 0
    total: float = 0.0


class TallyNode:
    """Says a mark for every quote: the count and the sum so far. Raises on a bid of −13."""

    rank = 20
    inputs = (Topic.CONTROL, Topic.TICKS)

    def __init__(self, name: str = "tally", order_path: bool = False) -> None:
        self.name = name
        self.order_path = order_path
        self.state = TallyState()

    def handle(self, message: Message) -> Iterable[Output]:
        if not isinstance(message, Quote):
            return ()
        if message.bid == -13.0:
            raise ZeroDivisionError("thirteen")
        self.state.count += 1
        self.state.total += message.bid
        mark = Mark(
            symbol=message.symbol, ts_event_ns=message.ts_event_ns, bid=float(self.state.count), ask=self.state.total, last=0.0
        )
        return ((Topic.MARKS, mark),)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.state)

    def restore(self, blob: bytes) -> None:
        self.state = msgspec.msgpack.decode(blob, type=TallyState) if blob else TallyState()


class OrderingNode:
    """An order for every signal, unless halted."""

    name = "ordering"
    rank = 30
    inputs = (Topic.CONTROL, Topic.SIGNALS)
    order_path = True

    def __init__(self) -> None:
        self.halted = False
        self.refused = 0

    def handle(self, message: Message) -> Iterable[Output]:
        if isinstance(message, Halt | Resume):
            self.halted = isinstance(message, Halt)
        elif isinstance(message, Signal):
            if self.halted:
                self.refused += 1
                text = f"{message.id} refused"
                yield Topic.ALERTS, Alert(name="refused", ts_event_ns=message.ts_event_ns, severity="info", source="t", text=text)
            else:
                yield Topic.ORDERS, an_order(order_id=message.id)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.halted, self.refused))

    def restore(self, blob: bytes) -> None:
        self.halted, self.refused = msgspec.msgpack.decode(blob, type=tuple[bool, int]) if blob else (False, 0)


class AcceptingNode:
    """A sender without an exchange: accepts every order, unless halted."""

    name = "accepting"
    rank = 10
    inputs = (Topic.CONTROL, Topic.ORDERS)
    order_path = True

    def __init__(self) -> None:
        self.halted = False

    def handle(self, message: Message) -> Iterable[Output]:
        if isinstance(message, Halt | Resume):
            self.halted = isinstance(message, Halt)
        elif isinstance(message, SubmitOrder):
            said = {name: getattr(message, name) for name in OrderAccepted.__struct_fields__ if hasattr(message, name)}
            refusal = OrderRejected(**said, reason=RejectReason.HALTED)
            yield Topic.FILLS, refusal if self.halted else OrderAccepted(**said)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.halted)

    def restore(self, blob: bytes) -> None:
        self.halted = bool(blob) and msgspec.msgpack.decode(blob, type=bool)


class NoRows:
    """A projector of a node without rows."""

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """Nothing to write."""


__all__ = ["AcceptingNode", "NoRows", "OrderingNode", "TallyNode", "TallyState"]
