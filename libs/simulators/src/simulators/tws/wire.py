"""Bytes of the TWS socket protocol: frames, and the fields inside them.

In:   chunks of a socket, cut anywhere; values to say.   Out: whole messages as tuples of text; frames.
Not:  what a message means (`requests`, `replies`).

A message is a 4-byte big-endian length and that many bytes: fields of UTF-8 text, each ended by NUL, the last one too. Only the
first four bytes of a connection, `API` and NUL, stand outside a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | Decimal | None
Fields: TypeAlias = tuple[str, ...]

GREETING = b"API\0"
UNSET = "1.7976931348623157E308"
"""The largest double: how TWS says that it has no number."""
MAX_FRAME = 0xFFFFFF
"""TWS refuses longer ones with error 507."""


class BadFrame(ValueError):
    """Not this protocol; the connection cannot be read on."""


class BadField(ValueError):
    """A message that does not have the fields of its kind."""


def text(value: Value) -> str:
    """A value as the wire has it: nothing for None, 1 or 0 for a truth, the largest double for what is not a number.

    >>> [text(v) for v in (None, True, 7, 1.085, Decimal("150.00"), float("nan"))]
    ['', '1', '7', '1.085', '150.00', '1.7976931348623157E308']
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else UNSET
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def frame(values: tuple[Value, ...]) -> bytes:
    """One message, ready to send."""
    body = ("\0".join(map(text, values)) + "\0").encode()
    return len(body).to_bytes(4, "big") + body


class Unframer:
    """Puts messages together again, however the stream was cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The bodies that are whole now. Raises `BadFrame` for a length that no message has."""
        self._data += chunk
        at = 0
        try:
            while len(self._data) - at >= 4:
                length = int.from_bytes(self._data[at : at + 4], "big")
                if not 0 < length <= MAX_FRAME:
                    raise BadFrame(f"a frame of {length} bytes")
                if len(self._data) - at < 4 + length:
                    break
                at += 4 + length
                yield bytes(self._data[at - length : at])
        finally:
            del self._data[:at]


def split(body: bytes) -> Fields:
    """The fields of a message."""
    return tuple(body.decode(errors="backslashreplace").split("\0")[:-1])


class Reader:
    """Takes the fields of one message in order; each has to be there and to be what it is taken for."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._at = 0

    def string(self) -> str:
        if self._at >= len(self._fields):
            raise BadField(f"it ends after {len(self._fields)} fields")
        self._at += 1
        return self._fields[self._at - 1]

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.string()

    def integer(self) -> int:
        """Nothing is 0."""
        field = self.string()
        try:
            return int(field or 0)
        except ValueError:
            raise BadField(f"field {self._at} should be an integer, it is {field!r}") from None

    def boolean(self) -> bool:
        field = self.string()
        if field not in ("", "0", "1"):
            raise BadField(f"field {self._at} should be 0 or 1, it is {field!r}")
        return field == "1"

    def decimal(self) -> Decimal | None:
        """Nothing is None."""
        field = self.string()
        if not field:
            return None
        try:
            value = Decimal(field)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            raise BadField(f"field {self._at} should be a number, it is {field!r}")
        return value

    def end(self) -> None:
        """Raises where fields are left over."""
        if self._at != len(self._fields):
            raise BadField(f"{len(self._fields)} fields, {self._at} expected")
