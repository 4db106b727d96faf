"""Stream entries: a packed batch of messages in an envelope, each linked to the one before by a rolling hash.

An entry has two fields: `e`, the envelope `[source, seq, schema, ts_pub_ns, chain]`, and `m`, the packed list of messages.
`seq` counts a source's entries on one stream from 1; `chain` is blake2b-64 of the source's previous chain and this body,
so that a reader that keeps its position elsewhere notices lost or rewound history.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from barque.errors import WireError
from barque.messages import Message, Topic, decode_batch

SCHEMA = 1
GENESIS = b"\x00" * 8
_encode = msgspec.msgpack.Encoder().encode


def link(chain: bytes, body: bytes) -> bytes:
    """The chain value of the entry that carries `body` after one whose chain value was `chain`."""
    return blake2b(body, digest_size=8, key=chain).digest()


def pack_envelope(source: str, seq: int, ts_pub_ns: int, chain: bytes) -> bytes:
    """The `e` field of an entry."""
    return _encode(Header(source, seq, SCHEMA, ts_pub_ns, chain))


class Header(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An envelope."""

    source: str
    seq: int
    schema: int
    ts_pub_ns: int
    chain: bytes


_header = msgspec.msgpack.Decoder(Header).decode


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One stream entry as read; `envelope` and `body` are bytes until somebody needs them."""

    topic: Topic
    entry_id: str
    envelope: bytes
    body: bytes

    def header(self) -> Header:
        """Decode the envelope; raises `WireError`."""
        try:
            header = _header(self.envelope)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise WireError(f"{self.topic} {self.entry_id}: bad envelope: {error}") from error
        if header.schema != SCHEMA:
            raise WireError(f"{self.topic} {self.entry_id}: schema {header.schema}, this version reads {SCHEMA}")
        return header

    def messages(self) -> list[Message]:
        """Decode the batch; raises `WireError`."""
        self.header()
        return decode_batch(self.topic, self.body)


def entry_from_fields(topic: Topic, entry_id: bytes, fields: Sequence[bytes]) -> Entry:
    """An `Entry` of a raw reply; whatever fields it has, so that a foreign entry can be dead-lettered with its bytes."""
    if len(fields) == 4 and fields[0] == b"e" and fields[2] == b"m":
        return Entry(topic, entry_id.decode(), fields[1], fields[3])
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    body = pairs.get(b"m")
    if body is None:
        body = _encode(list(pairs.items()))
    return Entry(topic, entry_id.decode(), pairs.get(b"e", b""), body)


def id_key(entry_id: str) -> tuple[int, int]:
    """A stream id in the order of time."""
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq)
