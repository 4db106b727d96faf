"""Old records go, in small transactions beside the portfolio's own; the books stay, and who asks is told what is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from barque.bus.redis_bus import RedisBus
from barque.config import BookConfig, CommonConfig, PostgresConfig, RedisConfig
from barque.messages import CancelOrder, Message, OrderAccepted, RejectReason, SignalRejected
from barque.postgres.pool import connect_one
from barque.postgres.projector import Handled, Scope
from barque.why import why
from barque_archive.partitions import ArchiveError
from barque_archive.records import write_records
from barque_cli.main import app
from portfolio.config import AccountConfig, ArchiveConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from portfolio.shell.rebuild import Rebuild
from portfolio.shell.retention import BATCH, EVENTS, retire_once, retire_records
from tests.support.builders import NS, T0, a_fill, a_mark, a_signal, an_order, clock, eurusd
from tests.support.servers import begin_book

DAY = 86_400 * NS
NOW = T0 + 1_000 * DAY
SCOPE = Scope("main", "l1", "portfolio", 1)
ACCOUNTS = (AccountConfig(name="paper", currency="USD", starting_cash=Decimal(100_000)),)
CONFIG = PortfolioConfig(accounts=ACCOUNTS, events_keep_days=400, equity_keep_days=30)
ABOUT = {"strategy_id": "s1", "account": "paper", "symbol": "EURUSD", "root": "r"}


async def booked(connection: asyncpg.Connection, messages: Sequence[Message], scope: Scope = SCOPE) -> None:
    """As the portfolio books them."""
    node = PortfolioNode(CONFIG, [eurusd()])
    projector = PortfolioProjector(node)
    await connection.execute("INSERT INTO books VALUES ($1, $2) ON CONFLICT DO NOTHING", scope.book, scope.lineage)
    await connection.execute(
        "INSERT INTO node_state (book, lineage, node) VALUES ($1, $2, 'portfolio') ON CONFLICT DO NOTHING",
        scope.book,
        scope.lineage,
    )
    async with connection.transaction():
        told = await projector.recall(connection, scope, messages)
        if told is not None:
            node.handle(told[0])
        handled = [Handled(message, node.handle(message)) for message in messages]
        await projector.write(connection, scope, handled)


async def intent(connection: asyncpg.Connection, order_id: str, state: str) -> None:
    await connection.execute(
        "INSERT INTO intents (book, lineage, order_id, account, strategy_id, signal_id, root, symbol, side, quantity, order_type,"
        " time_in_force, state, epoch, ts_event_ns, updated_ns)"
        " VALUES ('main', 'l1', $1, 'paper', 's1', '', '', 'EURUSD', 'buy', 1, 'market', 'gtc', $2, 1, 0, 0)",
        order_id,
        state,
    )


def traded(name: str, at: int) -> list[Message]:
    """A wish, its order, two words on it and a fill."""
    names = {"cause": f"s1/{name}", "root": "r"}
    return [
        a_mark(bid=1.38, ask=1.38),
        clock(at),
        a_signal(at, id=f"s1/{name}"),
        an_order(at, order_id=name, **names),
        OrderAccepted(order_id=name, ts_event_ns=at + 1, cause=f"s1/{name}", venue_order_id="v", **ABOUT),
        CancelOrder(order_id=name, ts_event_ns=at + 2, cause=f"s1/{name}", **ABOUT),
        a_fill(at + 3, exec_id=f"{name}-1", order_id=name, **names),
    ]


def refused(name: str, at: int) -> SignalRejected:
    about = {"signal_id": name, "cause": name, "root": "r", "strategy_id": "s1", "symbol": "EURUSD", "detail": "too much"}
    return SignalRejected(ts_event_ns=at, reason=RejectReason.POSITION_LIMIT, **about)


async def ids(connection: asyncpg.Connection, table: str, column: str) -> list[str]:
    return sorted({row[0] for row in await connection.fetch(f"SELECT {column} FROM {table}")})


async def retire(database: PostgresConfig, config: PortfolioConfig = CONFIG) -> Mapping[str, int]:
    return await retire_once(database, "main", config, NOW, asyncio.Event())


async def test_old_records_of_orders_go_and_those_of_orders_at_work_and_the_books_stay(
    connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    for name, state, age in (("old", "FILLED", 401), ("resting", "ACKED", 800), ("lost", "UNKNOWN", 900), ("new", "FILLED", 399)):
        await booked(connection, [*traded(name, NOW - age * DAY), refused(f"no {name}", NOW - age * DAY)])
        await intent(connection, name, state)
    await booked(connection, traded("others", NOW - 900 * DAY), Scope("other", "l1", "portfolio", 1))
    for age in (401, 399):
        row = ("main", "l1", "paper", NOW - age * DAY, "clean", [])
        await connection.execute("INSERT INTO reconciliations VALUES ($1, $2, $3, $4, $5, $6)", *row)
    gone = await retire(database)
    counts = {"order_events": 2, "orders": 1, "signals": 1, "rejections": 3, "reconciliations": 1}
    assert {name: count for name, count in gone.items() if name != "equity"} == counts
    stay = ["lost", "new", "others", "resting"]
    assert await ids(connection, "orders", "order_id") == stay
    assert await ids(connection, "order_events", "order_id") == stay
    assert await ids(connection, "signals", "signal_id") == [f"s1/{name}" for name in stay]
    assert await ids(connection, "rejections", "signal_id") == ["no new"]
    assert await connection.fetchval("SELECT count(*) FROM fills") == 5
    assert await connection.fetchval("SELECT count(*) FROM intents") == 4
    assert not any((await retire(database)).values())
    left = await connection.fetch("SELECT name, gone FROM retired WHERE book = 'main' AND name <> 'equity'")
    assert {row["name"]: row["gone"] for row in left} == counts
    await connection.execute("UPDATE intents SET state = 'CANCELLED' WHERE order_id = 'resting'")
    assert (await retire(database))["orders"] == 1


async def test_nought_days_keep_everything(connection: asyncpg.Connection, database: PostgresConfig) -> None:
    await booked(connection, traded("old", NOW - 999 * DAY))
    assert await retire(database, PortfolioConfig(events_keep_days=0)) == {}
    assert await ids(connection, "orders", "order_id") == ["old"]


_ONE_EVENT = """
INSERT INTO order_events (book, lineage, order_id, event, ts_event_ns, said)
VALUES ('main', 'l1', 'open', 'CancelOrder', $1, '{}')
"""


async def test_the_portfolio_writes_on_while_many_old_records_go(
    connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    """A transaction of the portfolio that is open all the while neither waits nor keeps the retirement waiting."""
    await booked(connection, traded("new", NOW))
    await connection.execute(
        "INSERT INTO order_events (book, lineage, order_id, event, ts_event_ns, said)"
        " SELECT 'main', 'l1', 'o' || n, 'OrderAccepted', $1::bigint + n, '{}' FROM generate_series(1, $2::int) n",
        NOW - 500 * DAY,
        3 * BATCH + 7,
    )
    other = await connect_one(database)
    slowest_s, writes = 0.0, 0
    async with other.transaction():
        await other.execute(_ONE_EVENT, NOW)
        work = asyncio.create_task(retire_records(database, "main", EVENTS[0], NOW - 400 * DAY, None, asyncio.Event()))
        while not work.done():
            began = time.monotonic()
            await booked(connection, traded(f"n{writes}", NOW + writes))
            slowest_s, writes = max(slowest_s, time.monotonic() - began), writes + 1
    await other.close()
    assert await work == 3 * BATCH + 7
    assert writes >= 3
    assert slowest_s < 1.0
    assert await connection.fetchval("SELECT count(*) FROM order_events") == 2 + 1 + 2 * writes


async def test_with_an_archive_what_goes_is_in_files_first_and_once_though_it_ended_in_between(
    connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    await booked(connection, traded("a", NOW - 500 * DAY))
    await booked(connection, traded("b", NOW - 499 * DAY))
    stored = {table: [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for table in ("orders", "equity")}

    def write_and_end(table: str, lineage: str, rows: Sequence[Mapping[str, Any]]) -> None:
        write_records(tmp_path, table, "main", lineage, rows)
        raise ArchiveError("no space left on device")

    with pytest.raises(ArchiveError, match="no space"):
        await retire_records(database, "main", EVENTS[1], NOW - 400 * DAY, write_and_end, asyncio.Event())
    assert await ids(connection, "orders", "order_id") == ["a", "b"]
    archive = ArchiveConfig(path=tmp_path)
    await retire(database, PortfolioConfig(accounts=ACCOUNTS, events_keep_days=400, equity_keep_days=30, archive=archive))
    (path,) = (tmp_path / "retired" / "orders" / "main" / "l1").glob("*")
    assert parquet.read_table(path).to_pylist() == stored["orders"]
    (path,) = (tmp_path / "retired" / "equity" / "main" / "l1").glob("*")
    kept = parquet.read_table(path).to_pylist()
    assert [row["equity"] for row in kept] == [format(row["equity"], "f") for row in stored["equity"][:-1]]
    assert await ids(connection, "orders", "order_id") == []


async def test_why_says_what_has_been_retired(
    connection: asyncpg.Connection, database: PostgresConfig, bus: RedisBus, valkey: RedisConfig, tmp_path: Path
) -> None:
    await begin_book(bus, connection)
    scope = Scope(bus.book, "l1", "portfolio", 1)
    await booked(connection, traded("old", NOW - 500 * DAY), scope)
    await retire_once(database, bus.book, CONFIG, NOW, asyncio.Event())
    story = await why(connection, bus, bus.book, "l1", "old-1")
    assert story is not None
    assert [step.stage for step in story.steps] == ["fill"]
    assert [text for text in story.missing if "have been retired" in text] == [
        f"{name} of before 2015-09-13T00:00:00Z have been retired (portfolio.events_keep_days); "
        f"an archive, if there was one, has them in its folder retired/{name}"
        for name in ("orders", "signals")
    ]
    config = tmp_path / "barque.toml"
    config.write_text(
        f'[book]\nname = "{bus.book}"\n[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
        f'[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n'
    )
    done = await asyncio.to_thread(CliRunner().invoke, app, ["why", "s1/old", "--config", str(config)])
    assert done.exit_code != 0
    assert "signals of before 2015-09-13T00:00:00Z have been retired" in str(done.exception)


async def test_peaks_are_still_compared_from_the_first_valuation_that_is_left(
    connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    """Equity of 101,000, then 100,500 and 100,700: when the first is gone, the others still have its peak."""
    node = PortfolioNode(CONFIG, [eurusd()])
    projector = PortfolioProjector(node)
    await connection.execute("INSERT INTO books VALUES ('main', 'l1')")
    await connection.execute("INSERT INTO node_state (book, lineage, node) VALUES ('main', 'l1', 'portfolio')")
    prices = ((900, 1.39), (20, 1.385), (10, 1.387))
    messages: list[Message] = [a_mark(bid=1.38, ask=1.38), a_fill(NOW - 901 * DAY, price=Decimal("1.38"))]
    for age, price in prices:
        messages += [a_mark(bid=price, ask=price), clock(NOW - age * DAY)]
    async with connection.transaction():
        told = await projector.recall(connection, SCOPE, messages)
        assert told is not None
        node.handle(told[0])
        await projector.write(connection, SCOPE, [Handled(message, node.handle(message)) for message in messages])
    assert (await retire(database))["equity"] == 2
    query = "SELECT equity, peak FROM equity ORDER BY ts_event_ns"
    assert [tuple(row) for row in await connection.fetch(query)] == [(100_500, 101_000), (100_700, 101_000)]
    rebuild = Rebuild(connection, CommonConfig(book=BookConfig(name="main"), instruments=(eurusd(),)), CONFIG)
    checked = await rebuild.check()
    assert (checked.differences, checked.equity_since_ns) == ([], NOW - 900 * DAY + 1)
    await connection.execute("UPDATE equity SET peak = peak + 1 WHERE equity = 100700")
    assert [each.table for each in (await rebuild.check()).differences] == ["equity"]
