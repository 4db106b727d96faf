"""Begin a book: its lineage in both stores, its instruments and strategies in tables for people and dashboards."""

from __future__ import annotations

import secrets

import asyncpg
import msgspec

from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig
from barque.errors import ConfigError


def new_lineage() -> str:
    """A short id for a history that begins now."""
    return secrets.token_hex(4)


async def seed(connection: asyncpg.Connection, bus: RedisBus, config: CommonConfig, anew: bool = False) -> str:
    """Begin the book where it was not begun, and bring its tables up to the configuration; returns the lineage.

    `anew`: give it another lineage, leaving the rows of the old one where they are. Only on empty streams: raises
    `ConfigError` where Redis still has another history.
    """
    book = config.book.name
    wanted = config.book.lineage or (new_lineage() if anew else "")
    in_postgres = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
    in_redis = await bus.lineage()
    if anew and in_redis is not None:
        raise ConfigError(
            f"book '{book}' still has streams of lineage {in_redis} in Redis; remove its keys first (see the runbook)"
        )
    lineage = (wanted if anew else in_postgres) or in_redis or wanted or new_lineage()
    if in_redis not in (None, lineage):
        raise ConfigError(
            f"book '{book}' has lineage {in_redis} in Redis and {lineage} in Postgres; restore one, or --new-lineage"
        )
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO books (book, lineage) VALUES ($1, $2) ON CONFLICT (book) DO UPDATE SET lineage = $2", book, lineage
        )
        await _instruments(connection, config)
        await _strategies(connection, config)
    await bus.begin(lineage)
    return lineage


async def _instruments(connection: asyncpg.Connection, config: CommonConfig) -> None:
    await connection.executemany(
        "INSERT INTO instruments"
        " (symbol, asset_class, currency, base_currency, tick_size, contract_size, quantity_step, calendar)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (symbol) DO UPDATE SET asset_class = $2, currency = $3,"
        " base_currency = $4, tick_size = $5, contract_size = $6, quantity_step = $7, calendar = $8",
        [
            (i.symbol, i.asset_class, i.currency, i.base_currency, i.tick_size, i.multiplier, i.quantity_step, i.calendar)
            for i in config.instruments
        ],
    )


async def _strategies(connection: asyncpg.Connection, config: CommonConfig) -> None:
    book = config.book.name
    await connection.execute("DELETE FROM strategies WHERE book = $1", book)
    await connection.executemany(
        'INSERT INTO strategies (book, id, strategy, symbols, "interval", params, enabled) VALUES ($1, $2, $3, $4, $5, $6, $7)',
        [
            (book, s.id, s.strategy, list(s.symbols), s.interval, msgspec.json.encode(s.params).decode(), s.enabled)
            for s in config.strategies
        ],
    )
