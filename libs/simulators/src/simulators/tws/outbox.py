"""The sending side of one connection: frames in order, together where they are said together, or in pieces and late.

In:   frames.   Out: writes on the transport, in the order of the frames, whatever the noise does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque

from simulators.market.chance import Chance
from simulators.tws.noise import Noise, pieces

MAX_UNSENT = 64 * 1024 * 1024
"""Bytes that a client that does not read may leave with us; then it is cut off, as a Gateway does."""


class Outbox:
    """One connection's."""

    def __init__(self, transport: asyncio.Transport, noise: Noise, chance: Chance) -> None:
        self._transport = transport
        self._noise = noise
        self._chance = chance
        self._said: list[bytes] = []
        self._chunks: deque[bytes] = deque()
        self._timer: asyncio.Handle | None = None
        self.stalled = False
        """Nothing leaves any more, and the socket stays open: half of a connection that is dead."""

    def put(self, data: bytes) -> None:
        self._said.append(data)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            if self._noise.delay_s:
                self._timer = loop.call_later(self._noise.delay_s * self._chance.uniform(), self.flush)
            else:
                self._timer = loop.call_soon(self.flush)

    def flush(self) -> None:
        """Give everything to the transport, or begin to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stalled or self._transport.is_closing():
            self._said.clear()
            return
        data = b"".join(self._said)
        self._said.clear()
        if self._noise.pieces == "whole" and not self._chunks:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > MAX_UNSENT:
                self._transport.abort()
            return
        self._chunks.extend(pieces(data, self._noise.pieces, self._chance))
        self._next()

    def _next(self) -> None:
        """One chunk per turn of the loop, so that each is a read of its own on the other side."""
        if self._chunks and not self._transport.is_closing() and not self.stalled:
            self._transport.write(self._chunks.popleft())
            self._timer = asyncio.get_running_loop().call_soon(self._next)
            return
        self._timer = None
        if self._said:
            self.flush()

    def write_part(self, data: bytes) -> None:
        """What was said so far, and this, now."""
        self._said.append(data)
        joined = b"".join([*self._chunks, *self._said])
        self._chunks.clear()
        self._said.clear()
        self._transport.write(joined)

    def drop(self, reset: bool = True) -> None:
        """The connection breaks. `reset`: with a reset, which may overtake what was sent; else what was sent arrives."""
        sock = self._transport.get_extra_info("socket")
        if reset and sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._said.clear()
        self._chunks.clear()
        self._transport.abort()

    def close(self) -> None:
        """The connection ends in order, after what was said."""
        self.flush()
        self._transport.close()
