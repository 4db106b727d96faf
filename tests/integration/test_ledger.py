"""The ledger runner against real servers: what is in Postgres is said once, by one holder, on one history."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace as changed

from barque import control
from barque.bus.feed import FeedWriter
from barque.bus.ledger import LedgerRunner
from barque.bus.memory import MemoryRunner
from barque.bus.redis_bus import RedisBus
from barque.bus.step import Position
from barque.config import PostgresConfig, RedisConfig
from barque.embedded.postgres import EmbeddedPostgres
from barque.errors import LineageFork
from barque.messages import Message, Resume, Topic
from barque.node import Node
from barque.observability.health import Health
from barque.postgres.migrate import migrate
from barque.postgres.pool import connect_one
from tests.support.builders import NS, T0, a_quote, an_order
from tests.support.clusters import cluster_in
from tests.support.data import ROOT
from tests.support.driving import OPTIONS, at_rest, publish, said, until, writer
from tests.support.nodes import AcceptingNode, NoRows, TallyNode
from tests.support.proxy import Proxy
from tests.support.servers import begin_book

QUOTES = [[a_quote(T0 + i * NS, bid=1.0 + i)] for i in range(12)]


@asynccontextmanager
async def holding(
    bus: RedisBus,
    database: PostgresConfig,
    node: Node | None = None,
    health: Health | None = None,
    worker: str = "w1",
    follow_halts: bool = False,
) -> AsyncIterator[asyncio.Task[None]]:
    """A ledger runner for the time of the block; what ends it for good is raised at the end. A cancelled one just ends."""
    stop, own = asyncio.Event(), bus.another(lockstep=True)
    options = replace(OPTIONS, worker=worker)
    runner = LedgerRunner(node or TallyNode(), NoRows(), own, database, options, health or Health("test"), follow_halts)
    task = asyncio.create_task(runner.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait((task,), timeout=10)
        await own.close()
        if not task.cancelled():
            task.result()


async def kill(task: asyncio.Task[None]) -> None:
    """The process dies: nothing more is written or sent."""
    task.cancel()
    await asyncio.wait((task,), timeout=5)


def in_memory(batches: Sequence[Sequence[Message]]) -> list[Message]:
    heard: list[Message] = []
    runner = MemoryRunner([TallyNode()], lambda source, topic, m: heard.append(m) if topic is not Topic.TICKS else None)
    for batch in batches:
        runner.publish("feed.test", [(Topic.TICKS, m) for m in batch])
    return heard


async def marks(bus: RedisBus) -> list[Message]:
    return await said(bus, Topic.MARKS)


async def stored(connection: asyncpg.Connection, column: str, node: str = "tally") -> int:
    return await connection.fetchval(f"SELECT {column} FROM node_state WHERE node = $1", node) or 0


async def until_said(bus: RedisBus, count: int, timeout_s: float = 10.0) -> None:
    async def enough() -> bool:
        return len(await marks(bus)) >= count

    await until(enough, timeout_s)


async def until_reason(health: Health, text: str) -> None:
    async def told() -> bool:
        return any(text in reason for reason in health.reasons().values())

    await until(told)


@pytest.fixture
async def begun(bus: RedisBus, connection: asyncpg.Connection) -> RedisBus:
    await begin_book(bus, connection)
    return bus


@pytest.fixture
async def proxied(valkey: RedisConfig, begun: RedisBus) -> AsyncIterator[tuple[Proxy, RedisBus]]:
    """A proxy to Valkey, and a bus through it."""
    async with Proxy(int(valkey.url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        config = changed(valkey, url=f"redis://127.0.0.1:{proxy.port}/0", timeout_s=0.5)
        far = RedisBus.open(config, begun.book)
        yield proxy, far
        await far.close()


# -- between the transaction and the publication ----------------------------------------------------------------------------


async def test_what_was_written_and_not_published_is_published_once_by_the_next_holder(
    begun: RedisBus, proxied: tuple[Proxy, RedisBus], database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    proxy, far = proxied
    async with holding(far, database) as task:
        await publish(begun, Topic.TICKS, QUOTES[:3])
        await at_rest(begun, "tally")
        written = await stored(connection, "outbox_seq")
        proxy.lose_request, proxy.refusing = b"barque_commit", True
        await publish(begun, Topic.TICKS, QUOTES[3:4])
        await until(lambda: _true(proxy.losses == 1))
        await kill(task)
    assert await stored(connection, "outbox_seq") == written + 1
    assert len(await marks(begun)) == 3, "written, and nobody knows yet"
    async with holding(begun, database):
        await until_said(begun, 4)
        await publish(begun, Topic.TICKS, QUOTES[4:])
        await at_rest(begun, "tally")
    assert await marks(begun) == in_memory(QUOTES)


async def _true(value: bool) -> bool:
    return value


async def test_what_was_published_before_the_death_is_not_published_again(
    begun: RedisBus, proxied: tuple[Proxy, RedisBus], database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    proxy, far = proxied
    async with holding(far, database) as task:
        await publish(begun, Topic.TICKS, QUOTES[:3])
        await at_rest(begun, "tally")
        proxy.lose_reply = b"barque_commit"
        await publish(begun, Topic.TICKS, QUOTES[3:4])
        await until_said(begun, 4)
        proxy.refusing = True
        await kill(task)
    async with holding(begun, database):
        await publish(begun, Topic.TICKS, QUOTES[4:])
        await at_rest(begun, "tally")
    assert await marks(begun) == in_memory(QUOTES)


async def test_a_holder_that_loses_replies_and_requests_recovers_by_itself(
    begun: RedisBus, proxied: tuple[Proxy, RedisBus], database: PostgresConfig
) -> None:
    proxy, far = proxied
    health = Health("test")
    async with holding(far, database, health=health):
        for number, batch in enumerate(QUOTES):
            if number % 2:
                proxy.lose_reply = b"barque_commit"
            else:
                proxy.lose_request = b"barque_mirror" if number % 4 else b"barque_commit"
            await publish(begun, Topic.TICKS, [batch])
            await until_said(begun, number + 1)
        await at_rest(begun, "tally")
        await until(lambda: _true(not health.reasons()))
    assert proxy.losses >= len(QUOTES) - 1
    assert await marks(begun) == in_memory(QUOTES)


# -- one holder ------------------------------------------------------------------------------------------------------------


async def test_a_second_holder_stands_by_and_takes_over_when_the_first_stops(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    first, second = Health("first"), Health("second")
    async with holding(begun, database, health=first):
        await publish(begun, Topic.TICKS, QUOTES[:4])
        await at_rest(begun, "tally")
        waiting = holding(begun, database, health=second, worker="w2")
        await waiting.__aenter__()
        await until_reason(second, "another process holds this node; standing by")
        await publish(begun, Topic.TICKS, QUOTES[4:8])
        await at_rest(begun, "tally")
        assert first.reasons() == {}
    left = time.monotonic()
    await until(lambda: _true(not second.reasons()))
    assert time.monotonic() - left < 2
    feeding = await writer(begun)
    for batch in QUOTES[8:]:
        assert await feeding.write({Topic.TICKS: batch}, b"")
    await at_rest(begun, "tally")
    assert await stored(connection, "epoch") == 2
    (status,) = await begun.status()
    assert status.worker == "w2"
    await waiting.__aexit__(None, None, None)
    assert await marks(begun) == in_memory(QUOTES)


async def test_a_holder_of_an_older_epoch_is_refused_and_loads_again(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    async with holding(begun, database):
        await publish(begun, Topic.TICKS, QUOTES[:4])
        await at_rest(begun, "tally")
        await connection.execute("UPDATE node_state SET epoch = 10")
        seq = await stored(connection, "seq")
        await publish(begun, Topic.TICKS, QUOTES[4:5])
        await until_said(begun, 5)
        assert await stored(connection, "epoch") == 11, "refused with epoch 1, it came back with a new one"
        assert await stored(connection, "seq") == seq + 1
        await publish(begun, Topic.TICKS, QUOTES[5:])
        await at_rest(begun, "tally")
    assert await marks(begun) == in_memory(QUOTES)


async def test_positions_of_an_older_epoch_are_never_mirrored(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    async with holding(begun, database):
        await publish(begun, Topic.TICKS, QUOTES[:1])
        await at_rest(begun, "tally")
    before = (await begun.load("tally")).positions
    wait = begun.wait_for_turn("nobody", 0.01)
    assert (await begun.mirror("tally", 0, {Topic.TICKS: Position("9-9", 99)}, wait))[0] is False
    assert (await begun.load("tally")).positions == before
    assert (await begun.mirror("tally", 1, {Topic.TICKS: Position("9-9", 99)}, wait))[0] is True


@contextmanager
def another_process(folder: Path, bus: RedisBus, valkey: RedisConfig, database: PostgresConfig) -> Iterator[int]:
    """A holder of the node `tally` in a process of its own; its id."""
    config = folder / "barque.toml"
    config.write_text(
        f'[book]\nname = "{bus.book}"\nclock = "feed"\nlockstep = true\n'
        f'[redis]\nurl = "{valkey.url}"\npassword_file = "{valkey.password_file}"\n'
        f'[postgres]\nurl = "{database.url}"\npassword_file = "{database.password_file}"\n'
    )
    command = [sys.executable, "-m", "tests.support.lone_runner", "--config", str(config), "--instance", "frozen"]
    environment = {**os.environ, "LONE_NODE": "tally", "LONE_SLOW_S": "0.05", "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(timeout=10)
    assert b"forked" not in (folder / "log").read_bytes()


async def test_a_frozen_holder_is_replaced_and_writes_nothing_when_it_wakes(
    begun: RedisBus, valkey: RedisConfig, database: PostgresConfig, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    with another_process(tmp_path, begun, valkey, database) as pid:
        feeding = await writer(begun)
        await feeding.write({Topic.TICKS: QUOTES[0]}, b"")
        await until_said(begun, 1)
        await feeding.write({Topic.TICKS: QUOTES[1]}, b"")
        await asyncio.sleep(0.02)  # it thinks 50 ms over each message: now it has this one in its hands
        os.kill(pid, signal.SIGSTOP)
        frozen = time.monotonic()
        async with holding(begun, database, worker="w2"):
            await until_said(begun, 2)
            assert time.monotonic() - frozen < 6, "the server lets a frozen session go after 3 s"
            for batch in QUOTES[2:6]:
                await feeding.write({Topic.TICKS: batch}, b"")
            await until_said(begun, 6)
            epoch = await stored(connection, "epoch")
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.4)
            assert await stored(connection, "epoch") == epoch, "it stands by"
            for batch in QUOTES[6:9]:
                await feeding.write({Topic.TICKS: batch}, b"")
            await until_said(begun, 9)
        for batch in QUOTES[9:]:
            await feeding.write({Topic.TICKS: batch}, b"")
        await until_said(begun, 12)
        assert await stored(connection, "epoch") == epoch + 1, "and takes over when the other has stopped"
        assert (await begun.status())[0].worker == "frozen"
    assert await marks(begun) == in_memory(QUOTES)


# -- one history -----------------------------------------------------------------------------------------------------------


async def ends_with_a_fork(bus: RedisBus, database: PostgresConfig, match: str) -> str:
    """A holder that starts now ends for good; its message."""
    health = Health("test")
    with pytest.raises(LineageFork, match=match) as caught:
        async with holding(bus, database, health=health) as task:
            await asyncio.wait((task,), timeout=3)
    assert health.reasons() == {"tally": str(caught.value)}
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.fixture
async def booked(begun: RedisBus, database: PostgresConfig) -> FeedWriter:
    """Three entries are booked and said, and their holder is gone; the feed that wrote them."""
    feeding = await writer(begun)
    async with holding(begun, database):
        for number, batch in enumerate(QUOTES[:3]):
            await feeding.write({Topic.TICKS: batch}, b"")
            await until_said(begun, number + 1)
        await at_rest(begun, "tally")
    return feeding


async def test_an_entry_that_was_lost_before_it_was_read_stops_the_book_keeper(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection, booked: FeedWriter
) -> None:
    for batch in QUOTES[3:5]:
        await booked.write({Topic.TICKS: batch}, b"")
    *_, lost, _ = await begun.range(Topic.TICKS)
    await begun.call("XDEL", begun.stream(Topic.TICKS), lost.entry_id)
    text = await ends_with_a_fork(begun, database, r"is number 5 of feed\.test and does not follow 3, the last one booked")
    assert "barque seed --new-lineage" in text
    assert await stored(connection, "seq") == 3, "nothing more is booked"
    assert len(await marks(begun)) == 3


async def test_an_entry_whose_bytes_were_changed_stops_the_book_keeper(
    begun: RedisBus, database: PostgresConfig, booked: FeedWriter
) -> None:
    await booked.write({Topic.TICKS: QUOTES[3]}, b"")
    entry = (await begun.range(Topic.TICKS))[-1]
    await begun.call("XDEL", begun.stream(Topic.TICKS), entry.entry_id)
    forged = entry.body.replace(b"EURUSD", b"EURUSQ")
    assert forged != entry.body
    await begun.call("XADD", begun.stream(Topic.TICKS), "*", "e", entry.envelope, "m", forged)
    await ends_with_a_fork(begun, database, r"is number 4 of feed\.test and does not follow 3")


async def test_a_rewound_feed_that_writes_another_history_stops_the_book_keeper(
    begun: RedisBus, database: PostgresConfig, booked: FeedWriter
) -> None:
    """A failover to a copy that is one entry behind: the feed loads its older place and goes on from there."""
    *_, last = await begun.range(Topic.TICKS)
    dump = await begun.call("DUMP", begun.node_key("feed.test"))
    assert dump
    await begun.call("DEL", begun.node_key("feed.test"))
    again = await writer(begun)
    for batch in QUOTES[6:8]:  # entries 1 and 2 of its second history
        await again.write({Topic.TICKS: batch}, b"")
    await ends_with_a_fork(begun, database, r"is number 1 of feed\.test and does not follow 3")
    assert last.header().seq == 3


async def test_a_redis_that_lost_what_we_said_stops_the_book_keeper(
    begun: RedisBus, database: PostgresConfig, booked: FeedWriter
) -> None:
    await empty(begun)
    await begun.begin("l1")
    await ends_with_a_fork(begun, database, r"tally: Redis has 0 of its batches, Postgres 3: one of them was replaced")
    assert await marks(begun) == []


async def test_two_lineages_in_two_stores_stop_the_book_keeper(
    begun: RedisBus, database: PostgresConfig, booked: FeedWriter
) -> None:
    await empty(begun)
    await begun.begin("l2")
    await ends_with_a_fork(begun, database, f"book '{begun.book}' has lineage l2 in Redis and l1 in Postgres")


async def test_a_book_that_was_not_begun_is_waited_for(
    bus: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    health = Health("test")
    async with holding(bus, database, health=health):
        await until_reason(health, f"book '{bus.book}' has not been begun in Redis; run `barque seed`")
        await bus.begin("l1")
        await until_reason(health, f"book '{bus.book}' has not been begun in Postgres; run `barque seed`")
        await connection.execute("INSERT INTO books (book, lineage) VALUES ($1, 'l1')", bus.book)
        await until(lambda: _true(not health.reasons()))


async def empty(bus: RedisBus) -> None:
    """Redis has lost the book."""
    keys = await bus.call("KEYS", bus.prefix.replace("{", "\\{") + "*")
    await bus.call("DEL", *keys)


# -- Postgres goes and comes -----------------------------------------------------------------------------------------------


async def test_a_holder_survives_a_crash_of_postgres_and_says_everything_once(bus: RedisBus, tmp_path: Path) -> None:
    server = EmbeddedPostgres(cluster_in(tmp_path / "postgres"), durable=False)
    config = await asyncio.to_thread(server.start)
    try:
        connection = await connect_one(config)
        await migrate(connection)
        await begin_book(bus, connection)
        health = Health("test")
        async with holding(bus, config, health=health):
            await publish(bus, Topic.TICKS, QUOTES[:6])
            await at_rest(bus, "tally")
            server.process.kill()
            await publish(bus, Topic.TICKS, QUOTES[6:8])
            await until_reason(health, f"Postgres at {config.url}")
            assert len(await marks(bus)) == 6
            await asyncio.to_thread(server.start)
            await publish(bus, Topic.TICKS, QUOTES[8:])
            await at_rest(bus, "tally")
            await until(lambda: _true(not health.reasons()))
        assert await marks(bus) == in_memory(QUOTES)
        connection.terminate()
    finally:
        await asyncio.to_thread(server.stop)


# -- the halt row ----------------------------------------------------------------------------------------------------------


async def set_row(connection: asyncpg.Connection, book: str, halted: bool) -> None:
    await connection.execute(
        "INSERT INTO halts VALUES ($1, $2, 'c1', 'anna', 'why', 1) ON CONFLICT (book) DO UPDATE SET halted = $2", book, halted
    )


async def verdicts(bus: RedisBus) -> list[tuple[str, str]]:
    return [(m.order_id, type(m).__name__) for m in await said(bus, Topic.FILLS)]


async def order(bus: RedisBus, order_id: str) -> None:
    await publish(bus, Topic.ORDERS, [[an_order(order_id=order_id)]])


async def test_a_halt_row_alone_stops_the_very_next_order_and_its_resume_lets_them_go_on(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    async with holding(begun, database, AcceptingNode(), follow_halts=True):
        for order_id, halted in (("o1", None), ("o2", True), ("o3", True), ("o4", False)):
            if halted is not None:
                await set_row(connection, begun.book, halted)
            await order(begun, order_id)
            await at_rest(begun, "accepting")
    assert await verdicts(begun) == [
        ("o1", "OrderAccepted"),
        ("o2", "OrderRejected"),
        ("o3", "OrderRejected"),
        ("o4", "OrderAccepted"),
    ]


async def test_a_halt_that_holds_the_row_is_waited_for_and_obeyed(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    await set_row(connection, begun.book, False)
    async with holding(begun, database, AcceptingNode(), follow_halts=True):
        await order(begun, "before")
        await at_rest(begun, "accepting")
        async with connection.transaction():
            await set_row(connection, begun.book, True)
            await order(begun, "during")
            await asyncio.sleep(0.3)
            assert await verdicts(begun) == [("before", "OrderAccepted")]
        await at_rest(begun, "accepting")
    assert await verdicts(begun) == [("before", "OrderAccepted"), ("during", "OrderRejected")]


async def test_a_holder_that_starts_on_a_halted_book_sends_nothing(
    begun: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    async with holding(begun, database, AcceptingNode(), follow_halts=True):
        await order(begun, "o1")
        await at_rest(begun, "accepting")
    await set_row(connection, begun.book, True)
    await order(begun, "o2")
    for order_id in ("o3", "o4"):
        async with holding(begun, database, AcceptingNode(), follow_halts=True):
            await order(begun, order_id)
            await at_rest(begun, "accepting")
    assert [verdict for _, verdict in await verdicts(begun)] == ["OrderAccepted"] + 3 * ["OrderRejected"]


async def test_what_follows_poison_in_its_batch_is_handled_after_a_resume_and_is_no_fork(
    bus: RedisBus, database: PostgresConfig, connection: asyncpg.Connection
) -> None:
    await begin_book(bus, connection)
    await publish(bus, Topic.TICKS, [[a_quote(T0 + i, bid=bid)] for i, bid in enumerate((1.0, -13.0, 2.0))])
    stop = asyncio.Event()
    own = bus.another(True)
    runner = LedgerRunner(TallyNode(order_path=True), NoRows(), own, database, OPTIONS, Health("test"))
    task = asyncio.create_task(runner.run(stop))

    async def halted() -> bool:
        return await bus.halt_flag() is not None

    try:
        await until(halted)
        await control.send(bus, Resume(command_id="r", ts_event_ns=1, actor="test"), "resume")
        await at_rest(bus, "tally")
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await own.close()
    assert [mark.ask for mark in await said(bus, Topic.MARKS)] == [1.0, 3.0]
