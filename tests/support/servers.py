"""Real servers for tests: embedded Valkey and Postgres on free ports under a temporary folder, one of each per session.

Every test gets a book of its own and an empty database, so tests never see one another.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.embedded.postgres import EmbeddedPostgres
from barque.embedded.valkey import EmbeddedValkey
from barque.postgres.migrate import migrate
from barque.postgres.pool import connect_one

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisConfig]:
    """A Valkey for the session."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresConfig]:
    """A Postgres for the session, with a migrated template database `barque_template`."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    config = server.start()
    asyncio.run(_make_template(config))
    yield config
    server.stop()


@pytest.fixture
def book() -> str:
    """A book that no other test uses."""
    return f"test{next(_numbers)}"


@pytest.fixture
async def bus(valkey: RedisConfig, book: str) -> AsyncIterator[RedisBus]:
    """A bus on a book of its own."""
    bus = await RedisBus.connect(valkey, book)
    yield bus
    await bus.close()


@pytest.fixture
async def database(postgres: PostgresConfig, book: str) -> AsyncIterator[PostgresConfig]:
    """A migrated, empty database of its own, gone after the test: three hundred files that nobody has to write or clear away.

    Where no disk is waited for, to copy them takes less than half of what it takes to write them to the log.
    """
    await _administer(postgres, f'CREATE DATABASE "{book}" TEMPLATE barque_template STRATEGY FILE_COPY')
    yield in_database(postgres, book)
    await _administer(postgres, f'DROP DATABASE "{book}" WITH (FORCE)')


@pytest.fixture
async def connection(database: PostgresConfig) -> AsyncIterator[asyncpg.Connection]:
    """A connection to that database."""
    connection = await connect_one(database)
    yield connection
    await connection.close()


def in_database(config: PostgresConfig, name: str) -> PostgresConfig:
    """The same server, another database."""
    return PostgresConfig(url=config.url.rsplit("/", 1)[0] + f"/{name}", password_file=config.password_file)


async def begin_book(bus: RedisBus, connection: asyncpg.Connection, lineage: str = "l1") -> None:
    """Begin the bus's book in both stores."""
    await bus.begin(lineage)
    await connection.execute("INSERT INTO books (book, lineage) VALUES ($1, $2)", bus.book, lineage)


async def _administer(config: PostgresConfig, statement: str) -> None:
    connection = await connect_one(config)
    await connection.execute(statement)
    await connection.close()


async def _make_template(config: PostgresConfig) -> None:
    await _administer(config, "CREATE DATABASE barque_template")
    template = await connect_one(in_database(config, "barque_template"))
    await migrate(template)
    await template.close()
