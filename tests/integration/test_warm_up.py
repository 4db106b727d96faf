"""A new strategy and its past: out of Postgres, an archive and the stream; committed once, restarted and replayed to the byte."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import numpy as np
import pytest

from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.replay import LiveSource, RecordedSource, record, replay
from barque.bus.runner import RedisRunner
from barque.config import PostgresConfig, StrategyConfig
from barque.messages import Bar, Topic
from barque.observability.health import Health
from barque_archive.columns import BarColumns, MarketColumns, series_of
from barque_archive.importing import import_into
from barque_archive.series import Series
from strategy_host.core.node import StrategyNode
from strategy_host.shell.past import Past
from tests.support.builders import MINUTE, T0, a_bar, clock, eurusd
from tests.support.driving import publish, said, until
from tests.support.servers import begin_book
from tests.support.strategies import Heard

WALL = RunnerOptions(service="test", worker="w1", clock_interval_ms=20, wall_ns=lambda: T0 + 10_000 * MINUTE)
FEED = RunnerOptions(service="test", worker="w1", feed_clock=True, clock_interval_ms=20)
NODE = "strategy.h"
_BAR = "INSERT INTO bars VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


def minute(number: int, **changes: object) -> Bar:
    """The bar of that minute; each closes above the one before."""
    return a_bar(T0 + number * MINUTE, close=1.3 + number / 1_000, **changes)


def ids(numbers: Sequence[int]) -> list[str]:
    return [minute(number).id for number in numbers]


def a_node(**params: int) -> StrategyNode:
    config = StrategyConfig(id="h", strategy="t", symbols=("EURUSD",), params=params)
    return StrategyNode(config, Heard, [eurusd()])


async def book_bars(connection: asyncpg.Connection, book: str, bars: Sequence[Bar], lineage: str = "l1") -> None:
    """As the portfolio books them."""
    for b in bars:
        prices = (b.open, b.high, b.low, b.close, b.volume, b.tick_count)
        await connection.execute(_BAR, book, lineage, b.symbol, b.interval, b.price, b.ts_open_ns, b.ts_close_ns, *prices)


def archive_bars(root: Path, bars: Sequence[Bar]) -> None:
    """Into a Parquet archive."""

    class Source:
        series = (Series("EURUSD", "bars", "1m", "bid"),)
        fraction = 1.0

        def __iter__(self) -> Iterator[MarketColumns]:
            names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume", "tick_count")
            arrays = {name: np.array([getattr(bar, name) for bar in bars]) for name in names}
            columns = BarColumns(symbol="EURUSD", interval="1m", price="bid", **arrays)
            assert series_of(columns) == self.series[0]
            yield columns

    import_into(root, Source())


def spoil(root: Path) -> None:
    """Make the only file of an archive unreadable."""
    (file,) = root.rglob("*.parquet")
    file.write_bytes(b"not parquet")


@asynccontextmanager
async def hosting(
    bus: RedisBus, database: PostgresConfig, options: RunnerOptions = WALL, archive: Path | None = None, **params: int
) -> AsyncIterator[Health]:
    """The node in a runner, as a worker starts it."""
    stop, own, health, node = asyncio.Event(), bus.another(), Health("test"), a_node(**params)
    past = Past(own, database, archive)
    task = asyncio.create_task(RedisRunner(node, own, options, health, past.birth_of(node)).run(stop))
    try:
        yield health
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await own.close()


async def state_of(bus: RedisBus) -> Heard.State:
    """What the strategy remembers, as committed."""
    node = a_node()
    node.restore((await bus.load(NODE)).state)
    strategy = node._strategy
    assert isinstance(strategy, Heard)
    return strategy.state


async def heard(bus: RedisBus, count: int) -> Heard.State:
    """Once it has heard so many live bars."""

    async def there() -> bool:
        return (await bus.load(NODE)).seq > 0 and len((await state_of(bus)).live) >= count

    await until(there)
    return await state_of(bus)


async def born(bus: RedisBus) -> Heard.State:
    return await heard(bus, 0)


async def test_a_new_strategy_is_born_with_what_was_booked_and_what_was_said_since(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    await begin_book(bus, connection)
    await book_bars(connection, bus.book, [minute(n) for n in range(8)])
    await book_bars(connection, bus.book, [minute(n) for n in range(20, 30)], lineage="another")
    await publish(bus, Topic.BARS, [[minute(n), minute(n, price="ask")] for n in range(6, 9)])
    async with hosting(bus, database, past=6):
        state = await born(bus)
        assert [i for i in state.past if ".bid." in i] == ids(range(3, 9))
        assert [i for i in state.past if ".ask." in i] == [minute(n, price="ask").id for n in range(6, 9)]
        await publish(bus, Topic.BARS, [[minute(9)], [minute(10)]])
        state = await heard(bus, 2)
    assert (state.live, state.first_mean) == (ids((9, 10)), pytest.approx(1.3 + 7.2 / 1_000))
    assert [s.cause for s in await said(bus, Topic.SIGNALS)] == ids((9, 10))


async def test_the_birth_is_the_first_commit_and_a_restart_and_a_replay_go_on_from_it(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    await begin_book(bus, connection)
    await book_bars(connection, bus.book, [minute(n) for n in range(8)])
    async with hosting(bus, database):
        await born(bus)
    first, *_ = await bus.journal(NODE)
    assert (first.seq, first.given, first.fed) == (0, True, [])
    await book_bars(connection, bus.book, [minute(n) for n in range(8, 12)])
    for numbers in ((12, 13), (14, 15)):
        async with hosting(bus, database):
            await publish(bus, Topic.BARS, [[minute(n)] for n in numbers])
            state = await heard(bus, numbers[1] - 11)
    assert state.past == ids(range(8)), "a node that is known to the book is not given its past again"
    assert state.live == ids(range(12, 16))
    report = await replay(LiveSource(bus), a_node(), lockstep=False)
    assert (report.identical, report.given, report.entries_out) == (True, 1, await bus.length(Topic.SIGNALS))
    assert [s.cause for s in await said(bus, Topic.SIGNALS)] == ids(range(12, 16))
    await record(bus, tmp_path / "day.barque")
    again = await replay(RecordedSource(tmp_path / "day.barque"), a_node(), lockstep=False)
    assert again == report


async def test_a_replay_notices_that_the_past_is_another_one(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    """With an empty past the averages are not filled, and the first signals do not come."""
    await begin_book(bus, connection)
    await book_bars(connection, bus.book, [minute(n) for n in range(8)])
    async with hosting(bus, database):
        await born(bus)
        await publish(bus, Topic.BARS, [[minute(n)] for n in range(8, 15)])
        await heard(bus, 7)
    path = tmp_path / "day.barque"
    await record(bus, path)
    data = msgspec.msgpack.decode(gzip.decompress(path.read_bytes()))
    birth = data["journals"][NODE][0]
    assert birth[3][0] == (await bus.journal(NODE))[0].snapshot[0]  # type: ignore[index]
    birth[3][0] = a_node().snapshot()
    path.write_bytes(gzip.compress(msgspec.msgpack.encode(data)))
    report = await replay(RecordedSource(path), a_node(), lockstep=False)
    assert not report.identical
    assert ": signals " in report.difference


async def test_an_archive_knows_what_is_older_than_the_book(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    await begin_book(bus, connection)
    archive_bars(tmp_path / "archive", [minute(n) for n in range(-5, 2)])
    await book_bars(connection, bus.book, [minute(n) for n in range(4)])
    async with hosting(bus, database, archive=tmp_path / "archive", past=8):
        state = await born(bus)
    assert state.past == ids(range(-4, 4))


async def test_on_a_feed_clock_the_past_ends_before_the_first_message(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig
) -> None:
    """A replay of a day that Postgres has already: what the feed will say is not told beforehand, and nothing is told twice."""
    await begin_book(bus, connection)
    await book_bars(connection, bus.book, [minute(n) for n in range(20)])
    async with hosting(bus, database, FEED):
        await asyncio.sleep(0.1)
        assert (await bus.load(NODE)).seq == 0, "it waits for its first message to know where its past ends"
        await publish(bus, Topic.CLOCK, [[clock(minute(10).ts_close_ns)]], feed="feed.clock")
        await publish(bus, Topic.BARS, [[minute(n)] for n in range(10, 14)])
        state = await heard(bus, 4)
    assert (state.past, state.live) == (ids(range(10)), ids(range(10, 14)))
    report = await replay(LiveSource(bus), a_node(), lockstep=False)
    assert (report.identical, report.given) == (True, 1)


async def test_a_strategy_waits_for_its_past_where_postgres_is_away(bus: RedisBus, database: PostgresConfig) -> None:
    await bus.begin("l1")
    away = PostgresConfig(url="postgresql://barque@127.0.0.1:9/barque", timeout_s=0.5)
    async with hosting(bus, away) as health:

        async def told() -> bool:
            return "Postgres at" in health.reasons().get(NODE, "")

        await until(told)
        assert (await bus.load(NODE)).seq == 0


async def test_an_archive_that_cannot_be_read_stops_this_strategy_alone(
    bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, tmp_path: Path
) -> None:
    await begin_book(bus, connection)
    archive_bars(tmp_path, [minute(n) for n in range(3)])
    spoil(tmp_path)
    node, own = a_node(), bus.another()
    runner = RedisRunner(node, own, WALL, Health("test"), Past(own, database, tmp_path).birth_of(node))
    with pytest.raises(Exception, match=r"the past of node 'strategy\.h' cannot be read") as caught:
        await runner.run(asyncio.Event())
    await own.close()
    assert getattr(caught.value, "disposition", "") == "isolate"


async def test_a_strategy_that_asks_for_no_past_is_not_born_but_begins(bus: RedisBus, database: PostgresConfig) -> None:
    class Plain(Heard):
        def setup(self) -> None:
            self.means = {}

    config = StrategyConfig(id="p", strategy="t", symbols=("EURUSD",))
    assert Past(bus, database, None).birth_of(StrategyNode(config, Plain, [eurusd()])) is None
