"""Bars that open at one instant: kept apart in the archive, read in order, followed by a chart without loss or repetition."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from barque.config import PostgresConfig
from barque.messages import Bar
from barque.postgres.projector import Handled
from barque.postgres.projector import Scope as Writer
from gateway.live import Chart
from gateway.models import Series
from gateway.queries import Ledger, Scope
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from tests.support.builders import NS, T0, a_bar, eurusd

SCOPE = Scope("main", "l1")
BRICKS = Series(symbol="EURUSD", interval="renko:10", price="bid")


@pytest.fixture
async def ledger(connection: asyncpg.Connection, database: PostgresConfig) -> AsyncIterator[Ledger]:
    """What the gateway reads with."""
    async with asyncpg.create_pool(database.dsn(), min_size=1, max_size=2) as pool:
        yield Ledger(pool, database)


async def archive(connection: asyncpg.Connection, *bars: Bar) -> None:
    node = PortfolioNode(PortfolioConfig(), [eurusd()])
    async with connection.transaction():
        handled = [Handled(bar, list(node.handle(bar))) for bar in bars]
        await PortfolioProjector(node).write(connection, Writer(book="main", lineage="l1", node="n", epoch=1), handled)


def brick(at_s: int, seq: int) -> Bar:
    at = T0 + at_s * NS
    return a_bar(at, 0, interval="renko:10", seq=seq, open=1.0 + seq, high=2.0 + seq, low=1.0 + seq, close=2.0 + seq)


def places(bars: list[Bar]) -> list[tuple[int, int]]:
    return [((bar.ts_open_ns - T0) // NS, bar.seq) for bar in bars]


async def test_bars_of_one_instant_are_archived_apart_and_once(connection: asyncpg.Connection, ledger: Ledger) -> None:
    bricks = [brick(0, 0), brick(0, 1), brick(0, 2), brick(1, 0)]
    await archive(connection, *bricks)
    await archive(connection, *bricks[1:])
    read = await ledger.bars(SCOPE, BRICKS, 10)
    assert [(bar.ts_open_ns, bar.seq, bar.open, bar.close) for bar in read] == [
        (bar.ts_open_ns, bar.seq, bar.open, bar.close) for bar in bricks
    ]
    assert places(await ledger.bars(SCOPE, BRICKS, 2)) == [(0, 2), (1, 0)], "the newest"  # type: ignore[arg-type]
    assert places(await ledger.bars(SCOPE, BRICKS, 9, from_ns=T0, from_seq=1, to_ns=T0 + NS)) == [(0, 1), (0, 2)]  # type: ignore[arg-type]


async def test_a_chart_follows_bars_of_one_instant(connection: asyncpg.Connection, ledger: Ledger) -> None:
    chart = Chart(SCOPE, BRICKS)
    for bricks in ([brick(0, 0), brick(0, 1)], [], [brick(0, 2)], [brick(0, 3), brick(1, 0)], [brick(1, 1)]):
        await archive(connection, *bricks)
        await chart.refresh(ledger)
    assert places(chart.bars.items) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]  # type: ignore[arg-type]
