"""Frames and fields."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.tws.wire import MAX_FRAME, BadField, BadFrame, Reader, Unframer, frame, split, text

MESSAGES = st.lists(st.lists(st.text("aé7. €", max_size=8), min_size=1, max_size=8).map(tuple), max_size=6)


@given(MESSAGES, st.lists(st.integers(1, 40), max_size=30))
def test_messages_come_out_as_they_went_in_however_the_stream_is_cut(messages: list[tuple[str, ...]], cuts: list[int]) -> None:
    stream, unframer, heard = b"".join(map(frame, messages)), Unframer(), []
    for size in (*cuts, len(stream)):
        chunk, stream = stream[:size], stream[size:]
        heard += [split(body) for body in unframer.feed(chunk)]
    assert heard == messages


def test_a_frame_is_its_length_and_fields_that_end_in_nul() -> None:
    assert frame((49, 1, "é")) == b"\0\0\0\x08" + b"49\x001\x00\xc3\xa9\x00"


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1])
def test_a_length_that_no_message_has_is_refused(length: int) -> None:
    with pytest.raises(BadFrame):
        list(Unframer().feed(length.to_bytes(4, "big") + b"x"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (7, "7"),
        (1.0850, "1.085"),
        (1e-5, "1e-05"),
        (Decimal("150.00"), "150.00"),
        (Decimal("1E+5"), "100000"),
        (float("inf"), "1.7976931348623157E308"),
        ("SPY", "SPY"),
    ],
)
def test_values_are_said_as_the_wire_has_them(value: object, said: str) -> None:
    assert text(value) == said  # type: ignore[arg-type]


def test_a_reader_takes_fields_in_order_and_wants_them_all() -> None:
    reader = Reader(("7", "", "1", "1.5", "", "x"))
    assert (reader.integer(), reader.integer(), reader.boolean()) == (7, 0, True)
    assert (reader.decimal(), reader.decimal()) == (Decimal("1.5"), None)
    with pytest.raises(BadField, match="6 fields, 5 expected"):
        reader.end()
    assert reader.string() == "x"
    reader.end()
    with pytest.raises(BadField, match="ends after 6"):
        reader.string()


@pytest.mark.parametrize(("method", "field"), [("integer", "x"), ("boolean", "2"), ("decimal", "inf"), ("decimal", "1,5")])
def test_a_field_of_another_kind_is_not_taken(method: str, field: str) -> None:
    with pytest.raises(BadField, match="field 1"):
        getattr(Reader((field,)), method)()
