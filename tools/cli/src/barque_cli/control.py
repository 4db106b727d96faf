"""Commands from the command line, straight to the stores, so that none needs a running gateway."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from barque import control
from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig, read_secret
from barque.errors import ConfigError
from barque.messages import Halt, Resume
from barque.postgres.pool import connect_pool, postgres_errors

ACTOR = "command line"
REDIS_TIMEOUT_S = 0.5
"""A person waits, and the row in Postgres, written first, has stopped the senders already."""


async def halt(common: CommonConfig, reason: str) -> bool:
    """Halt; False where Redis could not be told yet."""
    command = Halt(command_id=secrets.token_hex(8), ts_event_ns=time.time_ns(), actor=ACTOR, reason=reason)
    return await _act(common, command)


async def resume(common: CommonConfig, raw: Mapping[str, Any], token_file: Path, reason: str) -> bool:
    """Resume, if the token is the gateway's; False where Redis could not be told yet."""
    authorise(raw, token_file, "the book stays halted")
    command = Resume(command_id=secrets.token_hex(8), ts_event_ns=time.time_ns(), actor=ACTOR, reason=reason)
    return await _act(common, command)


def authorise(raw: Mapping[str, Any], token_file: Path, otherwise: str) -> None:
    """Raises `ConfigError` unless the file holds the gateway's token; `otherwise`: what follows then."""
    expected = raw.get("gateway", {}).get("token_file")
    if not expected:
        raise ConfigError("key 'gateway.token_file' is not set, so nothing can authorise this; set it first")
    given = read_secret(token_file, "--token-file")
    if not secrets.compare_digest(given.encode(), read_secret(Path(expected), "gateway.token_file").encode()):
        raise ConfigError(f"the token in {token_file} is not the gateway's; {otherwise}")


async def tell(common: CommonConfig, kind: type[Any], reason: str, /, **fields: Any) -> None:
    """Give one of the other commands; raises `BusUnavailable` where it could not be given."""
    command = kind(command_id=secrets.token_hex(8), ts_event_ns=time.time_ns(), actor=ACTOR, reason=reason, **fields)
    bus = RedisBus.open(common.redis, common.book.name)
    try:
        pool = await connect_pool(common.postgres, size=1)
        async with postgres_errors(common.postgres), pool:
            await control.tell(pool, bus, common.book.name, command)
    finally:
        await bus.close()


async def reconcile(common: CommonConfig, wait_s: float) -> list[tuple[str, tuple[str, ...]]]:
    """Have the sender compare the books; severity and discrepancies of the report that answers within `wait_s`, if one does."""
    book, asked_ns = common.book.name, time.time_ns()
    pool = await connect_pool(common.postgres, size=1)
    async with postgres_errors(common.postgres), pool:
        if not await control.ask_to_reconcile(pool, book, secrets.token_hex(8), ACTOR):
            raise ConfigError(f"book '{book}' has no sender at a broker; on paper there is nothing to compare")
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            rows = await pool.fetch(
                "SELECT severity, discrepancies FROM reconciliations JOIN books USING (book, lineage)"
                " WHERE book = $1 AND ts_event_ns >= $2 ORDER BY ts_event_ns LIMIT 1",
                book,
                asked_ns,
            )
            if rows:
                return [(row["severity"], tuple(row["discrepancies"])) for row in rows]
            await asyncio.sleep(0.2)
    return []


async def _act(common: CommonConfig, command: Halt | Resume) -> bool:
    book = common.book.name
    redis = replace(common.redis, timeout_s=min(common.redis.timeout_s, REDIS_TIMEOUT_S))
    bus = RedisBus.open(redis, book)
    try:
        pool = await connect_pool(common.postgres, size=1)
        async with postgres_errors(common.postgres), pool:
            if isinstance(command, Halt):
                return await control.halt(pool, bus, book, command)
            return await control.resume(pool, bus, book, command)
    finally:
        await bus.close()
