"""Real servers for tests: embedded Valkey and Postgres on free ports under a temporary folder, one of each per session.

Every test gets a book of its own and an empty database, so tests never see one another.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.embedded.postgres import EmbeddedPostgres
from barque.embedded.valkey import EmbeddedValkey
from barque.postgres.pool import connect_one
from tests.support.clusters import TEMPLATE, cluster_in

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisConfig]:
    """A Valkey for the session."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresConfig]:
    """A Postgres for the session, with a migrated template database."""
    server = EmbeddedPostgres(cluster_in(tmp_path_factory.mktemp("servers") / "postgres"), durable=False)
    yield server.start()
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


@pytest.fixture(scope="session")
def databases(postgres: PostgresConfig) -> Databases:
    """The server's databases: migrated, empty, for one test after another."""
    return Databases(postgres)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[PostgresConfig]:
    """A migrated, empty database that no other test has at the time."""
    database = await databases.take()
    yield database
    await databases.give_back(database)


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


class Databases:
    """Copies of the migrated template. One that a test gives back is emptied for the next: three hundred files that need not be
    made and removed. Where the test has changed the schema itself, it is dropped."""

    def __init__(self, server: PostgresConfig, prefix: str = "of_tests") -> None:
        self._server, self._prefix = server, prefix
        self._numbers = itertools.count(1)
        self._empty: list[PostgresConfig] = []
        self._schema = ""

    async def take(self) -> PostgresConfig:
        """One that is empty, new where there is none."""
        if self._empty:
            return self._empty.pop()
        database = in_database(self._server, f"{self._prefix}_{next(self._numbers)}")
        await _administer(self._server, f"CREATE DATABASE {_name(database)} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        connection = await connect_one(database)
        self._schema = self._schema or await connection.fetchval(_SCHEMA)  # copies have their objects' ids and ages
        await connection.close()
        return database

    async def give_back(self, database: PostgresConfig) -> None:
        """End what is still connected to it, and leave nothing in it."""
        connection = await connect_one(database)
        await connection.execute(_EMPTY)
        as_it_was = await connection.fetchval(_SCHEMA) == self._schema
        await connection.close()
        if as_it_was:
            self._empty.append(database)
        else:
            await _administer(self._server, f"DROP DATABASE {_name(database)} WITH (FORCE)")


_EMPTY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    SET session_replication_role = replica;  -- no trigger keeps a journal from being deleted
    DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT inhrelid FROM pg_inherits
            WHERE inhparent = 'bars'::regclass AND inhrelid <> 'bars_default'::regclass LOOP
            EXECUTE format('DROP TABLE %s', name);
        END LOOP;
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            IF name <> 'migrations'::regclass THEN EXECUTE format('DELETE FROM %s', name); END IF;
        END LOOP;
        PERFORM setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
    END $$
"""
_SCHEMA = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT concat_ws(' ', 'relation', oid, xmin) FROM pg_class WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'column', attrelid, attnum, xmin) FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT concat_ws(' ', 'function', oid, xmin) FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'constraint', oid, xmin) FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'trigger', oid, xmin) FROM pg_trigger WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'migration', xmin) FROM migrations
    ) AS lines (line)
"""
"""Every object of ours and the transaction that wrote it last."""


async def _administer(config: PostgresConfig, statement: str) -> None:
    connection = await connect_one(config)
    await connection.execute(statement)
    await connection.close()


def _name(database: PostgresConfig) -> str:
    return database.url.rsplit("/", 1)[1]
