"""A database that a test gives back is for the next as if it were new."""

from __future__ import annotations

import pytest

from barque.config import PostgresConfig
from barque.postgres.pool import connect_one
from tests.support.servers import Databases


@pytest.fixture
def own(postgres: PostgresConfig, book: str) -> Databases:
    return Databases(postgres, book)


async def test_it_is_empty_and_begins_to_count_anew(own: Databases) -> None:
    database = await own.take()
    connection = await connect_one(database)
    await connection.execute("INSERT INTO books (book, lineage) VALUES ('b', 'l')")
    await connection.execute("SELECT ensure_bars_of_month(1388534400000000000)")
    number = "SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S' ORDER BY relname LIMIT 1"
    first = await connection.fetchval(number)
    assert await connection.fetchval("SELECT to_regclass('bars_2014_01')") is not None
    await own.give_back(database)  # while somebody is still connected
    assert connection.is_closed()

    assert await own.take() == database
    connection = await connect_one(database)
    assert await connection.fetchval("SELECT count(*) FROM books") == 0
    assert await connection.fetchval("SELECT to_regclass('bars_2014_01')") is None
    assert await connection.fetchval(number) == first
    await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE extra (id integer)",
        "ALTER TABLE fills ALTER COLUMN price DROP NOT NULL",
        "ALTER TABLE journal DISABLE TRIGGER journal_balances",
        "CREATE OR REPLACE FUNCTION day_of(ts_ns bigint) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT current_date $$",
        "UPDATE migrations SET checksum = '' WHERE number = 1",
    ],
    ids=lambda statement: statement.split(" ", 2)[1].lower(),
)
async def test_with_another_schema_it_is_not_used_again(own: Databases, change: str) -> None:
    database = await own.take()
    connection = await connect_one(database)
    await connection.execute(change)
    await connection.close()
    await own.give_back(database)
    assert await own.take() != database
