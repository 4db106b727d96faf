"""A TCP proxy between a client and a real server that slows, cuts, freezes, and loses what a test tells it to.

In:   the server's port.   Out: `proxy.port`, and faults by attribute.
Not:  knowledge of any protocol. It works on what one read brings, which on loopback is what one write sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards bytes both ways until told otherwise."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay_s = 0.0
        """Each piece waits so long, both ways."""
        self.frozen = False
        """Half open: connections are taken and stay, nothing passes."""
        self.refusing = False
        """New connections are closed at once."""
        self.lose_request = b""
        """The next request with these bytes is not forwarded, and the connection cut."""
        self.lose_reply = b""
        """The next request with these bytes is forwarded, its reply is not, and the connection cut."""
        self.losses = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """Clients that are connected now."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _take(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.refusing:
            return client_out.transport.abort()
        server_in, server_out = await asyncio.open_connection("127.0.0.1", self._upstream)
        losing = asyncio.Event()
        self._writers |= {client_out, server_out}
        ways = (self._requests(client_in, server_out, losing), self._replies(server_in, client_out, losing))
        try:
            await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for writer in (client_out, server_out):
                writer.transport.abort()
            self._writers -= {client_out, server_out}

    async def _requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        async for data in self._pieces(source):
            if self.lose_request and self.lose_request in data:
                self.lose_request = b""
                self.losses += 1
                break
            if self.lose_reply and self.lose_reply in data:
                self.lose_reply = b""
                losing.set()
            target.write(data)

    async def _replies(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        async for data in self._pieces(source):
            if losing.is_set():
                self.losses += 1
                break
            target.write(data)

    async def _pieces(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        with suppress(ConnectionError):
            while data := await source.read(1 << 20):
                await asyncio.sleep(self.delay_s)
                if not self.frozen:
                    yield data
