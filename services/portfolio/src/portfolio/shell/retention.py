"""Forgets old bars: whole months, beside the books and never in their way.

In:   `portfolio.bars_keep_days`.   Out: months of `bars` that are gone from Postgres; an archive keeps what it has.
Not:  anything but bars, and nothing on a feed clock, whose past is not old.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from barque.bus.node_shell import pause_until
from barque.config import PostgresConfig
from barque.errors import BarqueError
from barque.postgres.pool import connect_one, postgres_errors

log = structlog.get_logger()
NS_PER_DAY = 86_400_000_000_000
EVERY_S = 3_600.0


async def forget_old_bars(postgres: PostgresConfig, book: str, keep_days: int, stop: asyncio.Event) -> None:
    """Now and once an hour until `stop`. What goes wrong is logged, and tried again an hour later."""
    while not stop.is_set():
        try:
            gone = await forget(postgres, book, time.time_ns() - keep_days * NS_PER_DAY)
            if gone:
                log.info("bars_forgotten", book=book, bars=gone, keep_days=keep_days)
        except BarqueError as error:
            log.warning("bars_not_forgotten", book=book, reason=str(error))
        await pause_until(stop, EVERY_S)


async def forget(postgres: PostgresConfig, book: str, before_ns: int) -> int:
    """How many bars of months that ended before that time are gone."""
    connection = await connect_one(postgres)
    try:
        async with postgres_errors(postgres):
            return int(await connection.fetchval("SELECT forget_bars($1, $2)", book, before_ns))
    finally:
        await connection.close()
