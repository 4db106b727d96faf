"""Migrations against a real Postgres: each file once, in order, and never another content under the same number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from barque.config import PostgresConfig
from barque.errors import ConfigError
from barque.postgres.migrate import migrate, migrations
from barque.postgres.pool import connect_one
from tests.support.servers import in_database


@pytest.fixture
async def empty(postgres: PostgresConfig, book: str) -> AsyncIterator[PostgresConfig]:
    """A database with nothing in it."""
    server = await connect_one(postgres)
    await server.execute(f'CREATE DATABASE "{book}"')
    yield in_database(postgres, book)
    await server.close()


@pytest.fixture
async def fresh(empty: PostgresConfig) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_one(empty)
    yield connection
    await connection.close()


async def test_every_file_runs_once(fresh: asyncpg.Connection) -> None:
    names = [migration.name for migration in migrations()]
    assert names == sorted(names)
    assert names[0] == "0001_spine.sql"
    assert await migrate(fresh) == names
    assert await migrate(fresh) == []
    assert [row["name"] for row in await fresh.fetch("SELECT name FROM migrations ORDER BY number")] == names
    assert await fresh.fetchval("SELECT count(*) FROM intents") == 0


async def test_two_that_migrate_at_once_run_every_file_once(empty: PostgresConfig) -> None:
    both = [await connect_one(empty), await connect_one(empty)]
    ran = await asyncio.gather(*(migrate(connection) for connection in both))
    assert sorted(ran[0] + ran[1]) == [migration.name for migration in migrations()]
    assert [] in ran
    for connection in both:
        await connection.close()


async def test_a_file_that_ran_with_another_content_is_named_and_nothing_else_runs(fresh: asyncpg.Connection) -> None:
    await migrate(fresh)
    await fresh.execute("UPDATE migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(ConfigError, match=r"migration 0001_spine\.sql ran here with another content; restore it"):
        await migrate(fresh)


async def test_a_database_of_a_newer_version_is_left_alone(fresh: asyncpg.Connection) -> None:
    await migrate(fresh)
    await fresh.execute("INSERT INTO migrations (number, name, checksum) VALUES (9000, '9000_later.sql', 'x')")
    with pytest.raises(ConfigError, match="has migration 9000, which this version does not know; use a newer version"):
        await migrate(fresh)


async def test_after_an_error_the_lock_is_free_again(fresh: asyncpg.Connection, empty: PostgresConfig) -> None:
    await migrate(fresh)
    await fresh.execute("UPDATE migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(ConfigError):
        await migrate(fresh)
    other = await connect_one(empty)
    with pytest.raises(ConfigError):
        await asyncio.wait_for(migrate(other), 3)
    await other.close()
