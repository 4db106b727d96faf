"""What a live feed commits with each batch: how far each subscription has been published, and by which ticks it is known.

In:   messages as they are published.   Out: bytes of some hundred per subscription.
Not:  what is still on its way to the bus; after a crash it is asked for again, or is a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from barque.live_feed.source import DataKind, MarketMessage, Place
from barque.messages import Bar, Message, Quote, Trade

KEPT = 32
"""Ticks of the newest time that are remembered."""

Key: TypeAlias = tuple[int, float, float, float, float]
"""A tick as the venue may say it again: event time, and its numbers."""


class Published(msgspec.Struct, array_like=True):
    """Of one subscription."""

    ts_event_ns: int = 0
    repeats: int = 0
    """Messages of that time, whether or not they are among `keys`."""
    keys: list[Key] = []
    """The newest of that time."""

    @property
    def place(self) -> Place:
        """How far it has come."""
        return Place(ts_event_ns=self.ts_event_ns, repeats=self.repeats)


class FeedPlaces(msgspec.Struct, array_like=True):
    """The state of a feed in the store, by the subscription's key."""

    published: dict[str, Published] = {}

    def advance(self, messages: Sequence[Message]) -> None:
        """These go out."""
        for message in messages:
            kind = kind_of(message)
            if kind is None:
                continue
            name, at_ns = key_of(message, kind), event_ns(message)
            known = self.published.get(name)
            if known is None or at_ns > known.ts_event_ns:
                self.published[name] = Published(at_ns, 1, [tick_key(message)])
            elif at_ns == known.ts_event_ns:
                known.repeats += 1
                known.keys = [*known.keys[-KEPT + 1 :], tick_key(message)]

    def encode(self) -> bytes:
        """For the store."""
        return _encode(self)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(FeedPlaces)


def decode(blob: bytes) -> FeedPlaces:
    """What was committed; a new feed has published nothing."""
    return _decoder.decode(blob) if blob else FeedPlaces()


def kind_of(message: Message) -> DataKind | None:
    """Which kind of market data it is; None: something else."""
    return _KINDS.get(type(message))


_KINDS: dict[type, DataKind] = {Quote: "quotes", Trade: "trades", Bar: "bars"}


def key_of(message: MarketMessage, kind: DataKind) -> str:
    """Key of the subscription that it belongs to."""
    if isinstance(message, Bar):
        return f"{message.symbol}.bars.{message.interval}.{message.price}"
    return f"{message.symbol}.{kind}"


def event_ns(message: MarketMessage) -> int:
    """When it happened; of a bar, when it opened, since by that it is known."""
    return message.ts_open_ns if isinstance(message, Bar) else message.ts_event_ns


def tick_key(message: MarketMessage) -> Key:
    """By what it is known when the venue says it again."""
    if isinstance(message, Quote):
        return message.ts_event_ns, message.bid, message.ask, message.bid_size, message.ask_size
    if isinstance(message, Trade):
        return message.ts_event_ns, message.price, message.size, 0.0, 0.0
    return message.ts_open_ns, 0.0, 0.0, 0.0, 0.0
