"""Retires what is old: months of bars, records of orders, valuations; beside the books and never in their way.

In:   `portfolio.bars_keep_days`, `events_keep_days`, `equity_keep_days`.
Out:  old rows that are gone from Postgres, in small transactions; records in files first, where there is an archive; what has
      been retired, for those who ask for it later (`retired`).
Not:  the books (fills, changes of cash, journal, lots, positions) and the sender's orders and executions, which stay for ever;
      the records of an order that may still be at work; anything on a feed clock, whose past is not old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from barque.bus.node_shell import pause_until
from barque.config import PostgresConfig
from barque.errors import BarqueError
from barque.postgres.pool import connect_one, postgres_errors
from portfolio.config import PortfolioConfig

log = structlog.get_logger()
NS_PER_DAY = 86_400_000_000_000
EVERY_S = 3_600.0
BATCH = 2_000
"""Rows of one transaction."""
PAUSE_S = 0.1
"""Between two of them."""
Keep = Callable[[str, str, Sequence[Mapping[str, Any]]], object]
"""Called with table, lineage and rows before they are gone for good; what it raises keeps them."""

_AT_WORK = """EXISTS (SELECT 1 FROM intents i WHERE i.book = t.book AND i.lineage = t.lineage AND i.order_id = t.order_id
    AND i.state NOT IN ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED'))"""
_HAS_ORDER = "EXISTS (SELECT 1 FROM orders o WHERE o.book = t.book AND o.lineage = t.lineage AND o.cause = t.signal_id)"
_IS_LATEST = """t.ts_event_ns = (SELECT max(ts_event_ns) FROM equity e
    WHERE e.book = t.book AND e.lineage = t.lineage AND e.account = t.account)"""


@dataclass(frozen=True, slots=True)
class Records:
    """A table whose old rows may go."""

    name: str
    key: str
    """What orders rows of one time."""
    stays: str
    """SQL: whether a row `t` stays, however old."""


EVENTS = (
    Records("order_events", "id", _AT_WORK),
    Records("orders", "order_id", _AT_WORK),
    Records("signals", "signal_id", _HAS_ORDER),
    Records("rejections", "signal_id", "false"),
    Records("reconciliations", "account", "false"),
)
"""In this order: a wish stays as long as an order that came of it."""
EQUITY = (Records("equity", "account", _IS_LATEST),)


async def retire(postgres: PostgresConfig, book: str, config: PortfolioConfig, stop: asyncio.Event) -> None:
    """Now and once an hour until `stop`. What goes wrong is logged, and tried again an hour later."""
    while not stop.is_set():
        try:
            gone = await retire_once(postgres, book, config, time.time_ns(), stop)
            if any(gone.values()):
                log.info("records_retired", book=book, **{name: count for name, count in gone.items() if count})
        except BarqueError as error:
            log.warning("records_not_retired", book=book, reason=str(error))
        await pause_until(stop, EVERY_S)


async def retire_once(
    postgres: PostgresConfig, book: str, config: PortfolioConfig, now_ns: int, stop: asyncio.Event
) -> dict[str, int]:
    """How many rows of which table are gone."""
    gone: dict[str, int] = {}
    if config.bars_keep_days:
        gone["bars"] = await forget(postgres, book, now_ns - config.bars_keep_days * NS_PER_DAY)
    keep = _archiving(config, book)
    for days, tables in ((config.events_keep_days, EVENTS), (config.equity_keep_days, EQUITY)):
        for records in tables if days else ():
            gone[records.name] = await retire_records(postgres, book, records, now_ns - days * NS_PER_DAY, keep, stop)
    return gone


async def forget(postgres: PostgresConfig, book: str, before_ns: int) -> int:
    """How many bars of months that ended before that time are gone."""
    connection = await connect_one(postgres)
    try:
        async with postgres_errors(postgres):
            return int(await connection.fetchval("SELECT forget_bars($1, $2)", book, before_ns))
    finally:
        await connection.close()


async def retire_records(
    postgres: PostgresConfig, book: str, records: Records, before_ns: int, keep: Keep | None, stop: asyncio.Event
) -> int:
    """How many rows of before that time are gone, of every history of the book."""
    connection = await connect_one(postgres)
    gone = 0
    try:
        async with postgres_errors(postgres):
            for row in await connection.fetch("SELECT DISTINCT lineage FROM node_state WHERE book = $1 ORDER BY lineage", book):
                while not stop.is_set():
                    count = await _retire_batch(connection, (book, row["lineage"]), records, before_ns, keep)
                    gone += count
                    if count < BATCH:
                        break
                    await pause_until(stop, PAUSE_S)
    finally:
        await connection.close()
    return gone


async def _retire_batch(
    connection: asyncpg.Connection, here: tuple[str, str], records: Records, before_ns: int, keep: Keep | None
) -> int:
    """The oldest rows, in a transaction of their own. Nobody else writes to them."""
    async with connection.transaction():
        rows = await connection.fetch(_DELETE.format(table=records.name, key=records.key, stays=records.stays), *here, before_ns)
        if not rows:
            return 0
        rows.sort(key=lambda row: (row["ts_event_ns"], row[records.key]))
        if keep is not None:
            await asyncio.to_thread(keep, records.name, here[1], [dict(row) for row in rows])
        await connection.execute(_RETIRED, *here, records.name, rows[-1]["ts_event_ns"] + 1, len(rows))
    return len(rows)


_DELETE = f"""
DELETE FROM {{table}} WHERE ctid IN (
    SELECT ctid FROM {{table}} t WHERE book = $1 AND lineage = $2 AND ts_event_ns < $3 AND NOT {{stays}}
    ORDER BY ts_event_ns, {{key}} LIMIT {BATCH} FOR UPDATE SKIP LOCKED
) RETURNING *
"""  # noqa: S608 (names of tables)
_RETIRED = """
INSERT INTO retired (book, lineage, name, before_ns, gone) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, lineage, name) DO UPDATE SET before_ns = greatest(retired.before_ns, excluded.before_ns),
    gone = retired.gone + excluded.gone
"""


def _archiving(config: PortfolioConfig, book: str) -> Keep | None:
    """What puts rows into files; None where there is no archive."""
    if config.archive is None:
        return None
    from barque_archive.records import write_records

    root = config.archive.path
    return lambda table, lineage, rows: write_records(root, table, book, lineage, rows)
