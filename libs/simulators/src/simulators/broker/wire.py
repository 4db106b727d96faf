"""What passes between the simulated broker and its adapter: frames of MessagePack, each with its length before it.

In:   requests of one side, reports of the other.   Out: bytes.
Not:  security. The broker listens on loopback alone.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TypeAlias

import msgspec

from barque.errors import VenueUnavailable
from barque.messages import CancelOrder, ModifyOrder, SubmitOrder
from barque.venue import VenueAccount, VenueEvent, VenueExecution, VenueOrder, VenuePosition

_LENGTH = struct.Struct(">I")
MAX_FRAME = 1 << 24
Parts: TypeAlias = "list[VenueOrder] | list[VenueExecution] | list[VenuePosition] | VenueAccount"


class Hello(msgspec.Struct, tag=True, kw_only=True):
    """First frame of a session, adapter to broker: which account it wants."""

    account: str


class Welcome(msgspec.Struct, tag=True, kw_only=True):
    """Its answer; `refused` says why there will be no session."""

    account: VenueAccount | None = None
    refused: str = ""


class Submit(msgspec.Struct, tag=True, kw_only=True):
    """New orders with their tokens, in one frame."""

    orders: list[tuple[SubmitOrder, str]]


class Cancel(msgspec.Struct, tag=True, kw_only=True):
    """Withdraw the order that a token names."""

    request: CancelOrder
    token: str


class Modify(msgspec.Struct, tag=True, kw_only=True):
    """Change it."""

    request: ModifyOrder
    token: str


class Ask(msgspec.Struct, tag=True, kw_only=True):
    """A question to the broker's books: `open_orders`, `executions`, `positions`, `account`."""

    number: int
    what: str
    since_ns: int = 0


class Answer(msgspec.Struct, tag=True, kw_only=True):
    """What the books say, packed as the question's own kind."""

    number: int
    body: bytes


class Report(msgspec.Struct, tag=True, kw_only=True):
    """A `VenueEvent`, by the name of its class."""

    kind: str
    body: bytes


Frame: TypeAlias = Hello | Welcome | Submit | Cancel | Modify | Ask | Answer | Report
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
KINDS: dict[str, type[VenueEvent]] = {kind.__name__: kind for kind in VenueEvent.__args__}


def pack(frame: Frame) -> bytes:
    """A frame's bytes, length included."""
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


def report_of(event: VenueEvent) -> Report:
    """The frame that carries an event."""
    return Report(kind=type(event).__name__, body=_encoder.encode(event))


def event_of(report: Report) -> VenueEvent:
    """The event that a frame carries."""
    return msgspec.msgpack.decode(report.body, type=KINDS[report.kind])


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame; raises `VenueUnavailable` where the session has ended or what came is none."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME:
            raise VenueUnavailable(f"a frame of {length} bytes; the other side does not speak our protocol")
        return _decoder.decode(await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError) as error:
        raise VenueUnavailable(f"the connection ended: {error or type(error).__name__}") from None
    except msgspec.DecodeError as error:
        raise VenueUnavailable(f"a frame that cannot be read: {error}") from None
