"""The real ib_async client against the TWS simulator: connecting, waiting, and what it heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ib_async import IB

from simulators.tws import TwsSimulator


@asynccontextmanager
async def connected(tws: TwsSimulator, client_id: int = 7, **options: Any) -> AsyncIterator[IB]:
    """A client that is in sync; disconnected at the end, where it still is connected."""
    ib = IB()
    options = {"timeout": 10, "raiseSyncErrors": True} | options
    await ib.connectAsync(tws.host, tws.port, clientId=client_id, **options)
    try:
        yield ib
    finally:
        ib.disconnect()
        await asyncio.sleep(0)


async def until(holds: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until this holds. Fails with a time-out."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"not within {within_s} s")
        await asyncio.sleep(0.005)


def errors(ib: IB) -> list[tuple[int, int, str]]:
    """A list that fills with the errors and notices of this client: request, code, text."""
    heard: list[tuple[int, int, str]] = []
    ib.errorEvent += lambda req_id, code, text, contract: heard.append((req_id, code, text))
    return heard
