"""Stream entries: the envelope, the chain that shows lost history, and what is not ours."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.bus.wire import GENESIS, SCHEMA, Entry, Header, entry_from_fields, id_key, link, pack_envelope
from barque.errors import WireError
from barque.messages import Topic, encode_batch
from tests.support.builders import a_bar, a_quote, a_signal, clock

QUOTES = [a_quote(bid=1.0), a_quote(bid=2.0)]


def an_entry(topic: Topic = Topic.TICKS, envelope: bytes | None = None, body: bytes | None = None) -> Entry:
    body = encode_batch(QUOTES) if body is None else body
    return Entry(topic, "5-1", pack_envelope("feed.x", 3, 99, b"chainval") if envelope is None else envelope, body)


def test_an_entry_gives_back_what_was_packed() -> None:
    entry = an_entry()
    assert entry.messages() == QUOTES
    assert entry.header() == Header(source="feed.x", seq=3, schema=1, ts_pub_ns=99, chain=b"chainval")


def test_the_envelope_is_five_plain_values_that_any_messagepack_reader_can_read() -> None:
    assert msgspec.msgpack.decode(pack_envelope("feed.x", 3, 99, b"chainval")) == ["feed.x", 3, SCHEMA, 99, b"chainval"]


# -- the chain -------------------------------------------------------------------------------------------------------------


def test_a_link_is_blake2b_of_the_body_keyed_with_the_link_before() -> None:
    assert link(GENESIS, b"first") == blake2b(b"first", digest_size=8, key=bytes(8)).digest()


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8), st.data())
def test_the_chain_changes_with_any_body_that_is_lost_altered_or_swapped(bodies: list[bytes], data: st.DataObject) -> None:
    def walk(parts: list[bytes]) -> bytes:
        chain = GENESIS
        for part in parts:
            chain = link(chain, part)
        return chain

    place = data.draw(st.integers(0, len(bodies) - 1))
    lost = bodies[:place] + bodies[place + 1 :]
    altered = [*bodies[:place], bodies[place] + b"!", *bodies[place + 1 :]]
    swapped = bodies[:place] + bodies[place:][::-1]
    for other in (lost, altered, swapped):
        if other != bodies:
            assert walk(other) != walk(bodies)


# -- what cannot be read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", [b"", b"\xc1", b"\x93\x01\x02\x03", b"rubbish"])
def test_a_bad_envelope_names_the_stream_and_the_place(envelope: bytes) -> None:
    with pytest.raises(WireError, match="ticks 5-1: bad envelope") as caught:
        an_entry(envelope=envelope).messages()
    assert caught.value.disposition == "dead_letter"


def test_another_schema_is_refused_before_the_body_is_looked_at() -> None:
    envelope = msgspec.msgpack.encode(("feed.x", 3, SCHEMA + 1, 99, b"chainval"))
    with pytest.raises(WireError, match=f"ticks 5-1: schema {SCHEMA + 1}, this version reads {SCHEMA}"):
        an_entry(envelope=envelope, body=b"\xc1").messages()


@pytest.mark.parametrize("body", [b"", b"\xc1", b"rubbish", msgspec.msgpack.encode({"a": 1}), encode_batch(QUOTES)[:-1]])
def test_a_body_that_is_no_batch_is_a_wire_error(body: bytes) -> None:
    with pytest.raises(WireError, match="ticks"):
        an_entry(body=body).messages()


def test_a_message_of_another_topic_does_not_belong() -> None:
    with pytest.raises(WireError, match="ticks"):
        an_entry(body=encode_batch([a_bar()])).messages()
    with pytest.raises(WireError, match="bars"):
        an_entry(Topic.BARS, body=encode_batch([a_signal()])).messages()


def test_an_entry_somebody_else_put_there_keeps_its_bytes() -> None:
    foreign = entry_from_fields(Topic.TICKS, b"7-0", [b"price", b"1.23", b"who", b"\xff"])
    with pytest.raises(WireError, match="ticks 7-0: bad envelope"):
        foreign.messages()
    assert msgspec.msgpack.decode(foreign.body) == [[b"price", b"1.23"], [b"who", b"\xff"]]


def test_an_entry_without_an_envelope_keeps_its_body() -> None:
    entry = entry_from_fields(Topic.TICKS, b"7-0", [b"m", b"rubbish"])
    assert (entry.entry_id, entry.envelope, entry.body) == ("7-0", b"", b"rubbish")


def test_further_fields_of_an_entry_are_no_fault() -> None:
    envelope, body = pack_envelope("s", 1, 2, GENESIS), encode_batch([clock(5)])
    entry = entry_from_fields(Topic.CLOCK, b"7-0", [b"trace", b"abc", b"e", envelope, b"m", body])
    assert entry.messages() == [clock(5)]


# -- the order of time -----------------------------------------------------------------------------------------------------


@given(st.tuples(st.integers(0, 10**13), st.integers(0, 10**6)), st.tuples(st.integers(0, 10**13), st.integers(0, 10**6)))
def test_ids_order_as_numbers_never_as_text(one: tuple[int, int], other: tuple[int, int]) -> None:
    keys = [id_key(f"{ms}-{seq}") for ms, seq in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)


def test_an_id_without_a_part_after_the_dash_cannot_pass_for_one() -> None:
    with pytest.raises(ValueError):
        id_key("5")
