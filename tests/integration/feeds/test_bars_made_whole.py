"""A connection is lost for longer than a bar: strategies see each bar once, and the record ends up as the broker has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.bus.ledger import LedgerRunner
from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.messages import BarRevised, Topic
from barque.observability.health import Health
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from simulators.tws import TwsSimulator
from tests.support.builders import eurusd
from tests.support.driving import running
from tests.support.feeds import RunningFeed
from tests.support.ibkr_feed import Start
from tests.support.servers import begin_book
from tests.support.tws import connected

NS = 10**9
LENGTH_NS = 5 * NS
OPTIONS = RunnerOptions(service="test", worker="w1", clock_interval_ms=50)


@asynccontextmanager
async def recording(bus: RedisBus, database: PostgresConfig) -> AsyncIterator[None]:
    """Bar builder and portfolio, for bid bars of five seconds."""
    instrument = eurusd(calendar="24/7")
    builder = BarBuilderNode(
        BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",), interval="5s", prices=("bid",)),)), [instrument]
    )
    node = PortfolioNode(
        PortfolioConfig(accounts=(AccountConfig(name="p", currency="USD", starting_cash=Decimal(1)),)), [instrument]
    )
    stop, own = asyncio.Event(), bus.another()
    portfolio = LedgerRunner(node, PortfolioProjector(node), own, database, OPTIONS, Health("portfolio"))
    task = asyncio.create_task(portfolio.run(stop))
    try:
        async with running(bus, builder, OPTIONS):
            yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await own.close()


@pytest.mark.slow
@pytest.mark.parametrize("filled_with", ["quotes", "bars"])
async def test_the_record_is_whole_and_no_bar_is_published_twice(
    filled_with: str,
    tws: TwsSimulator,
    start: Start,
    bus: RedisBus,
    connection: asyncpg.Connection,
    database: PostgresConfig,
) -> None:
    await begin_book(bus, connection)
    ibkr = {"reconnect_min_s": 0.05, "reconnect_max_s": 0.2}
    config = {"backfill_intervals": ["5s"], "revise_after_s": 1.0, "backfill_ticks_s": 180.0 if filled_with == "quotes" else 0.0}
    async with recording(bus, database), start("EURUSD", ibkr=ibkr, **config) as feed:
        await feed.until_live("EURUSD")
        walking = asyncio.create_task(_walk(tws))
        try:
            await _until_second(3)
            tws.mishaps.drop_sockets()
            await tws.refuse()
            lost_ns = time.time_ns()
            await _until_second(1)  # of the next bar: while nobody listens, one price above all others
            tws.quote("EURUSD", 1.12, 1.1201)
            await asyncio.sleep(5.5)  # into the bar after it
            await tws.listen()
            back_ns = time.time_ns()
            first_ns, end_ns = lost_ns // LENGTH_NS * LENGTH_NS, -(-back_ns // LENGTH_NS) * LENGTH_NS
            await feed.until(lambda: _revised(feed, first_ns), "the first revision", 30)
            await asyncio.sleep(max(end_ns / NS + 4.0 - time.time(), 0.5))
        finally:
            walking.cancel()
        said = await feed.bars()
        record = await _recorded(connection, first_ns, end_ns)
        theirs = await _at_the_broker(tws, first_ns, end_ns)
        assert len({bar.id for bar in said}) == len(said), "each bar once, for those who act on it"
        assert (end_ns - first_ns) // LENGTH_NS >= 3
        assert [row[:5] for row in record] == theirs, "every bar of the gap as the broker has it"
        assert record[0][5] > 0, "and the one that had been incomplete says so"
        assert max(row[2] for row in record) == 1.12
        partial = next((bar for bar in said if bar.ts_open_ns == first_ns), None)
        assert partial is not None, "it was not held back"


async def _walk(tws: TwsSimulator) -> None:
    for number in range(10_000):
        bid = round(1.1 + number % 40 * 0.0001, 5)
        tws.quote("EURUSD", bid, round(bid + 0.0001, 5))
        await asyncio.sleep(0.05)


async def _until_second(second: int) -> None:
    """Of a bar of five seconds; always the next one."""
    now = time.time()
    wait = (second - now) % 5
    await asyncio.sleep(wait if wait > 0.05 else 5.0)


async def _revised(feed: RunningFeed, first_ns: int) -> bool:
    said = [m for m in await feed.said(Topic.BARS) if isinstance(m, BarRevised)]
    return any(each.bar.ts_open_ns == first_ns for each in said)


async def _recorded(connection: asyncpg.Connection, from_ns: int, to_ns: int) -> Sequence[tuple[Any, ...]]:
    query = (
        "SELECT ts_open_ns, open, high, low, close, revised_ns FROM bars WHERE price = 'bid' AND \"interval\" = '5s' "
        "AND ts_open_ns >= $1 AND ts_open_ns < $2 ORDER BY ts_open_ns"
    )
    return [tuple(row) for row in await connection.fetch(query, from_ns, to_ns)]


async def _at_the_broker(tws: TwsSimulator, from_ns: int, to_ns: int) -> list[tuple[Any, ...]]:
    """Asked for by another client."""
    async with connected(tws, 77) as ib:
        from ib_async import Forex

        (contract,) = await ib.qualifyContractsAsync(Forex("EURUSD"))
        end = datetime.fromtimestamp(to_ns // NS, UTC)
        found = await ib.reqHistoricalDataAsync(contract, end, "60 S", "5 secs", "BID", False, 2)
    rows = [(round(bar.date.timestamp()) * NS, bar.open, bar.high, bar.low, bar.close) for bar in found]  # type: ignore[union-attr]
    return [row for row in rows if from_ns <= row[0] < to_ns]
