"""One connection to Redis: commands out, replies in, in order. Small because the bus needs no more, fast because it must be.

In:   a URL (`redis://`, `rediss://`, `unix://`) and commands.   Out: raw replies as hiredis decodes them (bytes, int, list).
Not:  retries, pools, decoding. A call that times out or loses the connection raises `ConnectionLost`: whether the server
carried it out is unknown. The next call connects anew.

Source of the protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

Command: TypeAlias = tuple[Any, ...]
"""Name and arguments; each str, bytes, int or float."""
Pending: TypeAlias = "asyncio.Future[Any]"
"""A reply to come."""


class ConnectionLost(Exception):
    """No connection, or none any more; what was under way has an unknown outcome."""


class ReplyError(Exception):
    """The server answered with an error: `CODE text`."""

    @property
    def code(self) -> str:
        """Its first word: `WRONGPASS`, `OOM`, `MOVED` …"""
        return str(self).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL points."""

    host: str
    port: int
    path: str
    username: str
    password: str
    database: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """Parse a URL; raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"'{parts.scheme}://' is no Redis URL; use redis://, rediss:// or unix://")
        unix = parts.scheme == "unix"
        number = parse_qs(parts.query).get("db", ["0"])[0] if unix else parts.path.strip("/") or "0"
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            path=parts.path if unix else "",
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=int(number),
            tls=parts.scheme == "rediss",
        )


class Connection:
    """Connects on first use; calls from several tasks share it, a blocking command holds them all up."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._wire: _Wire | None = None
        self._connecting = asyncio.Lock()

    def another(self) -> Connection:
        """One more to the same server."""
        return Connection(self._address, self._timeout_s)

    async def call(self, *command: Any) -> Any:
        """One command's reply; raises `ReplyError`, `ConnectionLost`."""
        (pending,) = await self.send(command)
        return settled(await pending)

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """The replies of several commands sent in one write; an error reply stands in its place as a `ReplyError`."""
        replies = [await pending for pending in await self.send(*commands)]
        for reply in replies:
            if isinstance(reply, ConnectionLost):
                raise reply
        return replies

    async def send(self, *commands: Command) -> list[Pending]:
        """Send commands in one write; each of the replies to come resolves to a reply, a `ReplyError` or a `ConnectionLost`."""
        wire = self._wire
        if wire is None or wire.closed:
            wire = await self._connect()
        return wire.send(commands)

    async def close(self) -> None:
        """Drop the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.drop("closed")

    async def _connect(self) -> _Wire:
        async with self._connecting:
            if self._wire is not None and not self._wire.closed:
                return self._wire
            address, loop = self._address, asyncio.get_running_loop()
            wire = _Wire(loop, self._timeout_s)
            try:
                async with asyncio.timeout(self._timeout_s):
                    if address.path:
                        await loop.create_unix_connection(lambda: wire, address.path)
                    else:
                        context = ssl.create_default_context() if address.tls else None
                        await loop.create_connection(lambda: wire, address.host, address.port, ssl=context)
                    await self._greet(wire)
            except BaseException as error:
                wire.drop("not connected")
                if isinstance(error, OSError | TimeoutError):
                    raise ConnectionLost(f"cannot connect: {error or type(error).__name__}") from error
                raise
            self._wire = wire
            return wire

    async def _greet(self, wire: _Wire) -> None:
        address = self._address
        commands: list[Command] = []
        if address.password:
            user = (address.username,) if address.username else ()
            commands.append(("AUTH", *user, address.password))
        if address.database:
            commands.append(("SELECT", address.database))
        for pending in wire.send(commands) if commands else ():
            reply = await pending
            if isinstance(reply, ReplyError | ConnectionLost):
                wire.drop(str(reply))
                raise reply


def settled(reply: Any) -> Any:
    """A reply that came; raises it where it is an error."""
    if isinstance(reply, ReplyError | ConnectionLost):
        raise reply
    return reply


class _Wire(asyncio.Protocol):
    """One socket: replies belong to calls in the order of the calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader(replyError=ReplyError)
        self._waiting: deque[Pending] = deque()
        self._transport: asyncio.Transport | None = None
        self.closed = False

    def send(self, commands: Sequence[Command]) -> list[Pending]:
        """Send; a reply whose reader has been cancelled is read all the same, and dropped."""
        pending: list[Pending] = [self._loop.create_future() for _ in commands]
        if self._transport is None or self.closed:
            for future in pending:
                future.set_result(ConnectionLost("connection lost"))
            return pending
        deadline = self._loop.call_later(self._timeout_s, self.drop, f"no answer within {self._timeout_s:g} s")
        pending[-1].add_done_callback(lambda _: deadline.cancel())
        self._waiting.extend(pending)
        self._transport.write(b"".join([hiredis.pack_command(command) for command in commands]))
        return pending

    def drop(self, reason: str) -> None:
        """Close the socket; every reply still to come is a `ConnectionLost`."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(ConnectionLost(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                future = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.drop(f"not the Redis protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(str(exc or "the server closed the connection"))
