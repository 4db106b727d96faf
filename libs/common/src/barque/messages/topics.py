"""Topics: the streams of a book, which messages each carries, and how a batch of them is put into bytes.

One topic is one stream; its decoder knows exactly the messages that belong there. A batch that does not decode raises
`WireError` (disposition dead_letter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from barque.errors import WireError
from barque.messages.cash import CashAdjusted
from barque.messages.control import (
    AdjustCash,
    Alert,
    ClockTicked,
    DeadLetter,
    Flatten,
    Halt,
    Resume,
    SetLimit,
    StartStrategy,
    StopStrategy,
)
from barque.messages.market import Bar, BarRevised, DataStatus, FeedStatus, Mark, Quote, Trade
from barque.messages.orders import (
    AccountSnapshot,
    BreakerChanged,
    CancelOrder,
    CancelRejected,
    Fill,
    ModifyOrder,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionSnapshot,
    SignalRejected,
    SubmitOrder,
)
from barque.messages.portfolio import EquityMarked, PositionChanged, ReconciliationReport
from barque.messages.signals import CancelRequest, ModifyRequest, SetupChanged, Signal

Message: TypeAlias = Any
"""Any struct of this package; the topic says which ones may appear."""


class Topic(StrEnum):
    """A stream of a book. The order of definition is the rank in which messages of one instant are handled."""

    CONTROL = "control"
    CLOCK = "clock"
    FILLS = "fills"
    ORDERS = "orders"
    PORTFOLIO = "portfolio"
    MARKS = "marks"
    TICKS = "ticks"
    BARS = "bars"
    SIGNALS = "signals"
    ALERTS = "alerts"
    DEAD = "dead"

    @property
    def rank(self) -> int:
        """Commands first, then time, then what the broker said, then the market, then wishes."""
        return _RANKS[self]

    @property
    def is_market(self) -> bool:
        """What the market says: an entry that cannot be read is put aside everywhere, for the next one replaces it. Of an
        order or a fill there is no next one."""
        return self in (Topic.CLOCK, Topic.TICKS, Topic.BARS, Topic.MARKS)


_RANKS = {topic: rank for rank, topic in enumerate(Topic)}

MESSAGES: dict[Topic, tuple[type, ...]] = {
    Topic.CONTROL: (Halt, Resume, Flatten, StartStrategy, StopStrategy, SetLimit, AdjustCash),
    Topic.CLOCK: (ClockTicked,),
    Topic.FILLS: (
        OrderAccepted,
        OrderRejected,
        OrderCancelled,
        OrderExpired,
        OrderUnknown,
        OrderModified,
        CancelRejected,
        ModifyRejected,
        Fill,
        AccountSnapshot,
        PositionSnapshot,
        CashAdjusted,
    ),
    Topic.ORDERS: (SubmitOrder, CancelOrder, ModifyOrder, SignalRejected, BreakerChanged),
    Topic.PORTFOLIO: (PositionChanged, EquityMarked, ReconciliationReport),
    Topic.MARKS: (Mark, DataStatus),
    Topic.TICKS: (Quote, Trade, FeedStatus),
    Topic.BARS: (Bar, BarRevised),
    Topic.SIGNALS: (Signal, CancelRequest, ModifyRequest, SetupChanged),
    Topic.ALERTS: (Alert,),
    Topic.DEAD: (DeadLetter,),
}


def _decoder(kinds: tuple[type, ...]) -> msgspec.msgpack.Decoder[list[Any]]:
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return msgspec.msgpack.Decoder(list[union])


_DECODERS = {topic: _decoder(kinds) for topic, kinds in MESSAGES.items()}
_encode = msgspec.msgpack.Encoder().encode


def encode_batch(messages: Sequence[Message]) -> bytes:
    """The body of one stream entry: a packed list of messages."""
    return _encode(messages)


def decode_batch(topic: Topic, body: bytes) -> list[Message]:
    """The messages of one stream entry's body; raises `WireError` where the bytes are not such a list."""
    try:
        return _DECODERS[topic].decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise WireError(f"{topic}: {error}") from error


def id_of(message: Message) -> str:
    """The id other messages name as their `cause`; a function of the message alone."""
    name_it = _NAMED.get(type(message))
    if name_it is not None:
        named: str = name_it(message)
        return named
    key = getattr(message, "order_id", None) or time_of(message)
    return f"{key}.{type(message).__name__}"


def root_of(message: Message) -> str:
    """The id of the tick or bar that started it all: the message's own `root`, or itself."""
    return getattr(message, "root", "") or id_of(message)


def _namer(kind: type) -> Callable[[Any], str] | None:
    """What reads the id of messages of a type that have one of their own."""
    if kind is ClockTicked:
        return lambda clock: f"clock.{clock.now_ns}"
    if kind is SubmitOrder:
        return attrgetter("order_id")
    own = next((name for name in ("id", "exec_id", "signal_id", "command_id", "reference") if hasattr(kind, name)), None)
    return None if own is None else attrgetter(own)


_NAMED = {kind: name_it for kinds in MESSAGES.values() for kind in kinds if (name_it := _namer(kind)) is not None}


def time_of(message: Message) -> int:
    """Event time of any message, ns UTC; 0 where it has none (a dead letter)."""
    if isinstance(message, Bar):
        return message.ts_close_ns
    if isinstance(message, ClockTicked):
        return message.now_ns
    return int(getattr(message, "ts_event_ns", 0))
