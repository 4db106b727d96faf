"""Bars by month and how they go; a role that reads and does nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as changed

from barque.config import PostgresConfig
from barque.errors import ConfigError
from barque.messages import Bar
from barque.postgres.migrate import migrate, migrations
from barque.postgres.pool import connect_one
from barque.postgres.projector import Handled, Scope
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from portfolio.shell.retention import forget
from tests.support.builders import a_bar

SCOPE = Scope("main", "l1", "portfolio", 1)
_BAR = "INSERT INTO bars VALUES ($1, 'l1', 'EURUSD', '1m', 'bid', $2, $2, 1, 1, 1, 1, 0, 1, 0)"


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[arg-type, misc]


async def book(connection: asyncpg.Connection, bars: Sequence[Bar], scope: Scope = SCOPE) -> None:
    node = PortfolioNode(PortfolioConfig(), [])
    async with connection.transaction():
        await PortfolioProjector(node).write(connection, scope, [Handled(bar, node.handle(bar)) for bar in bars])


async def where(connection: asyncpg.Connection) -> dict[str, int]:
    """Bars by table."""
    rows = await connection.fetch("SELECT tableoid::regclass::text AS name, count(*) AS n FROM bars GROUP BY 1 ORDER BY 1")
    return {row["name"]: row["n"] for row in rows}


async def test_bars_go_into_the_table_of_their_month(connection: asyncpg.Connection) -> None:
    last = at(2014, 4, 30, 23, 59)
    await book(connection, [a_bar(last), a_bar(last + 60_000_000_000), a_bar(at(2014, 12, 31)), a_bar(at(2015, 1, 1))])
    assert await where(connection) == {"bars_2014_04": 1, "bars_2014_05": 1, "bars_2014_12": 1, "bars_2015_01": 1}


async def test_a_bar_without_a_month_is_kept_and_moves_when_its_month_comes(connection: asyncpg.Connection) -> None:
    await connection.execute(_BAR, "main", at(2014, 4, 2))
    assert await where(connection) == {"bars_default": 1}
    await book(connection, [a_bar(at(2014, 4, 3))])
    assert await where(connection) == {"bars_2014_04": 2}


async def test_old_months_of_a_book_are_forgotten_and_others_bars_stay(
    connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    await book(connection, [a_bar(at(2014, month, 15)) for month in (1, 2, 3, 4)])
    await book(connection, [a_bar(at(2014, 2, 15))], replace(SCOPE, book="other"))
    await connection.execute(_BAR, "main", at(2013, 6, 1))
    assert await forget(database, "main", at(2014, 3, 20)) == 3
    assert await where(connection) == {"bars_2014_02": 1, "bars_2014_03": 1, "bars_2014_04": 1}
    assert await connection.fetchval("SELECT to_regclass('bars_2014_01')") is None
    await book(connection, [a_bar(at(2014, 1, 15))])  # a month may come again
    assert (await where(connection))["bars_2014_01"] == 1


async def test_a_database_of_before_keeps_its_bars_fills_and_equity(postgres: PostgresConfig, book: str) -> None:
    """The migrations up to the live sender's, rows, then the rest."""
    outer = await connect_one(postgres)
    await outer.execute(f'CREATE DATABASE "{book}_old"')
    await outer.close()
    old = await connect_one(changed(postgres, url=postgres.url.rsplit("/", 1)[0] + f"/{book}_old"))
    for migration in migrations():
        if migration.number in (1, 2):
            await old.execute(migration.sql)
    await old.execute(_BAR, "main", at(2014, 4, 2))
    trade = "'o', 's', 'r', 's1', 'EURUSD', 'buy', 1, 1.1, 0, 'USD', 0, 'USD'"
    fill = f"INSERT INTO fills VALUES ('main', 'l1', 'paper', $1, {trade}, $2)"
    await old.execute(fill, "x2", 20)
    await old.execute(fill, "x1", 10)
    for ts_ns, equity in ((1, 100), (2, 120), (3, 90)):
        await old.execute("INSERT INTO equity VALUES ('main', 'l1', 'paper', $1, 'USD', 1, $2, 0, 0)", ts_ns, equity)
    await old.execute(
        "CREATE TABLE migrations (number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " at timestamptz NOT NULL DEFAULT now())"
    )
    await old.executemany(
        "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)",
        [(each.number, each.name, each.checksum) for each in migrations() if each.number in (1, 2)],
    )
    await migrate(old)
    assert await where(old) == {"bars_2014_04": 1}
    places = await old.fetch("SELECT exec_id, booked_seq, place_ns FROM fills ORDER BY booked_seq")
    assert [tuple(row) for row in places] == [("x1", 1, 10), ("x2", 2, 20)]
    assert [row[0] for row in await old.fetch("SELECT drawdown FROM equity ORDER BY ts_event_ns")] == [0, 0, 30]
    assert await old.fetchval("SELECT largest_drawdown FROM days") == 30
    await old.close()


@pytest.fixture
async def reader(connection: asyncpg.Connection, database: PostgresConfig, book: str, tmp_path: Path) -> Any:
    """A dashboard's own login, made as the guide says."""
    name = f"grafana_{book}"
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a-secret-of-your-own' IN ROLE barque_reader")
    secret = tmp_path / "password"
    secret.write_text("a-secret-of-your-own")
    reading = await connect_one(changed(database, url=database.url.replace("barque@", f"{name}@"), password_file=secret))
    yield reading
    await reading.close()


async def test_a_dashboard_reads_every_table_and_changes_none(connection: asyncpg.Connection, reader: asyncpg.Connection) -> None:
    await book(connection, [a_bar(at(2014, 1, 15))])
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    tables = [row[0] for row in await connection.fetch(query)]
    assert {"fills", "journal", "daily_statistics", "bars_2014_01", "reconciliations"} <= set(tables)
    for table in tables:
        if table == "node_state":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.fetch(f"SELECT * FROM {table}")
        else:
            await reader.fetch(f"SELECT * FROM {table} LIMIT 1")
    for statement in ("DELETE FROM fills", "INSERT INTO halts VALUES ('main', false, '', '', '', 0)", "CREATE TABLE x (a int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)


async def test_the_role_itself_cannot_log_in_and_has_no_password(
    connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    row = await connection.fetchrow(
        "SELECT rolcanlogin, rolpassword IS NULL AS bare FROM pg_authid WHERE rolname = 'barque_reader'"
    )
    assert (row["rolcanlogin"], row["bare"]) == (False, True)
    with pytest.raises(ConfigError):
        await connect_one(changed(database, url=database.url.replace("barque@", "barque_reader@")))
