"""Bars of a book's database as a source: all of them, in order, page by page, and into the archive."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from barque.config import PostgresConfig
from barque.errors import BusUnavailable, ConfigError
from barque.messages import Bar
from barque.postgres.projector import Handled, Scope
from barque_archive.archive import Archive
from barque_archive.database import DatabaseSource, database_series
from barque_archive.importing import import_into
from barque_archive.series import Series
from barque_archive.structs import messages_of
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from tests.support.builders import MINUTE, T0, a_bar

BARS = Series("EURUSD", "bars", "1m", "bid")


async def booked(connection: asyncpg.Connection, bars: list[Bar], lineage: str = "l1") -> None:
    """What the portfolio writes of bars."""
    node = PortfolioNode(PortfolioConfig(), [])
    await connection.execute("INSERT INTO books (book, lineage) VALUES ('main', $1) ON CONFLICT DO NOTHING", "l1")
    scope = Scope(book="main", lineage=lineage, node="portfolio", epoch=1)
    await PortfolioProjector(node).write(connection, scope, [Handled(bar, ()) for bar in bars])


def read(source: DatabaseSource) -> list[Any]:
    return [message for columns in source for message in messages_of(columns)]


async def test_bars_come_page_by_page_as_they_were_booked(
    connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    bars = [a_bar(T0 + n * MINUTE, close=1.3867 + n / 1e6, volume=n / 3) for n in range(50)]
    others = [a_bar(T0, price="ask"), a_bar(T0, symbol="GBPUSD"), a_bar(T0, interval="5m")]
    await booked(connection, [*bars, *others])
    await booked(connection, [a_bar(T0 - MINUTE)], "an earlier history")
    source = DatabaseSource(database, "main", BARS, page_rows=7)
    assert await asyncio.to_thread(read, source) == bars
    assert source.fraction == 1.0
    span = (T0 + 10 * MINUTE, T0 + 20 * MINUTE)
    assert await asyncio.to_thread(read, DatabaseSource(database, "main", BARS, span)) == bars[10:20]
    assert await asyncio.to_thread(read, DatabaseSource(database, "main", BARS, lineage="an earlier history")) == [
        a_bar(T0 - MINUTE)
    ]
    assert await database_series(database, "main") == [
        BARS._replace(price="ask"),
        BARS,
        BARS._replace(interval="5m"),
        BARS._replace(symbol="GBPUSD"),
    ]
    result = await asyncio.to_thread(import_into, tmp_path, source)
    assert (result.added, Archive(tmp_path).series()) == (50, [BARS])


async def test_bars_that_open_together_are_all_there(connection: asyncpg.Connection, database: PostgresConfig) -> None:
    await booked(connection, [a_bar(T0, 0, interval="tick:1", seq=n) for n in range(5)])
    source = DatabaseSource(database, "main", BARS._replace(interval="tick:1"), page_rows=2)
    parts = await asyncio.to_thread(list, source)
    assert [number for part in parts for number in part.seq.tolist()] == list(range(5))


async def test_what_is_not_there_is_said_with_what_is(connection: asyncpg.Connection, database: PostgresConfig) -> None:
    await booked(connection, [a_bar()])
    for series, text in ((BARS._replace(symbol="EURUS"), "did you mean 'EURUSD bars 1m bid'?"),):
        with pytest.raises(ConfigError, match="the database has no EURUS bars 1m bid of book 'main'") as error:
            await asyncio.to_thread(read, DatabaseSource(database, "main", series))
        assert text in str(error.value)
    with pytest.raises(ConfigError, match="does not know book 'other'"):
        await asyncio.to_thread(read, DatabaseSource(database, "other", BARS))
    away = PostgresConfig(url="postgresql://nobody@127.0.0.1:1/none", timeout_s=0.5)
    with pytest.raises(BusUnavailable):
        await asyncio.to_thread(read, DatabaseSource(away, "main", BARS))
