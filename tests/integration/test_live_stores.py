"""A live sender while its stores stop, slow down, fill up, or come back with an older past: nothing lost, nothing sent twice.

Each test has servers of its own. The broker's books are compared with the rows and with the portfolio.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import asyncpg
import psutil
import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.control import halt, resume
from barque.embedded.postgres import EmbeddedPostgres
from barque.embedded.valkey import EmbeddedValkey
from barque.messages import Halt, Resume
from barque.postgres.migrate import migrate
from barque.postgres.pool import connect_one, connect_pool
from tests.support.brokers import Simulated
from tests.support.clusters import cluster_in
from tests.support.live_process import LiveProcess, live_process

D = Decimal


@dataclass
class Stores:
    """A live book and the servers under it."""

    live: LiveProcess
    valkey: EmbeddedValkey
    postgres: EmbeddedPostgres
    folder: Path


async def begun(folder: Path, bus_of: EmbeddedValkey, database: PostgresConfig) -> AsyncIterator[LiveProcess]:
    redis = bus_of.start()
    connection = await connect_one(database)
    await migrate(connection)
    bus = await RedisBus.connect(redis, "main")
    try:
        async with live_process(Simulated(), folder, bus, connection, database, redis) as live:
            yield live
    finally:
        await bus.close()
        await connection.close(timeout=1)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    valkey, postgres = EmbeddedValkey(tmp_path / "valkey"), EmbeddedPostgres(cluster_in(tmp_path / "postgres"), durable=False)
    database = postgres.start()
    try:
        async for live in begun(tmp_path, valkey, database):
            yield Stores(live, valkey, postgres, tmp_path)
    finally:
        await asyncio.to_thread(valkey.stop)
        await asyncio.to_thread(postgres.stop)


async def some_orders(live: LiveProcess, count: int = 5) -> list[str]:
    orders = [live.an_order() for _ in range(count)]
    await live.orders(*orders)
    return [order.order_id for order in orders]


async def all_filled(live: LiveProcess, order_ids: list[str]) -> None:
    await live.until(lambda: all("Fill" in live.about(each) for each in order_ids), "every fill", timeout_s=45)
    await live.settled()
    live.sent_once(*order_ids)


async def test_a_postgres_that_dies_and_comes_back_loses_no_order(stores: Stores) -> None:
    live = stores.live
    before = await some_orders(live)
    os.kill(stores.postgres.process.pid, signal.SIGQUIT)  # an immediate shutdown: as if the machine had lost its power
    meanwhile = await some_orders(live)
    await asyncio.sleep(1.0)
    assert not await live.is_ready()
    await asyncio.to_thread(stores.postgres.stop)
    sent = set(live.broker.submissions())
    await asyncio.to_thread(stores.postgres.start)
    await live.until_ready()
    ends = {"Fill", "OrderRejected"}
    await live.until(lambda: all(ends & set(live.about(each)) for each in (*before, *meanwhile)), "the end of every order", 45)
    await live.settled()
    live.sent_once(*meanwhile)
    filled = {each for each in before if "Fill" in live.about(each)}
    assert filled == {each for each in before if live.broker.submissions().get(each)}, (
        "what was sent is filled, the rest never left"
    )
    rows = await live.rows("SELECT order_id FROM intents")
    assert sent <= {row["order_id"] for row in rows}, "an order was sent without a row"


async def test_a_postgres_that_stands_still_holds_orders_back_and_then_lets_them_go(stores: Stores) -> None:
    live = stores.live
    server = psutil.Process(stores.postgres.process.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    order_ids = await some_orders(live)
    await asyncio.sleep(1.5)
    assert not live.broker.submissions(), "an order left without an intent"
    for process in processes:
        process.resume()
    await all_filled(live, order_ids)


async def test_a_valkey_that_dies_and_comes_back_loses_no_fill(stores: Stores) -> None:
    live = stores.live
    waiting = await live.order(order_type="limit", limit_price=D("1.20000"), quantity=D(4))
    await live.until(
        lambda: "OrderAccepted" in live.about(waiting), "the acceptance"
    )  # with Valkey dead one more thing is booked
    sessions = live.simulator.sessions
    os.kill(stores.valkey.process.pid, signal.SIGKILL)
    live.broker.quote(1.1998, 1.1999)
    live.broker.quote(1.3, 1.3001)
    await asyncio.sleep(3.0)
    booked = await live.rows("SELECT quantity FROM executions WHERE order_id = $1", waiting)
    assert [row["quantity"] for row in booked] == [4], "what the broker says is booked while Valkey is dead"
    await asyncio.to_thread(stores.valkey.stop)
    await asyncio.to_thread(stores.valkey.start)
    later = await some_orders(live)
    await all_filled(live, [waiting, *later])
    assert live.simulator.sessions == sessions, "the broker's session has nothing to do with it"


async def test_a_sender_without_work_is_seen_to_live(stores: Stores) -> None:
    await asyncio.sleep(4.0)
    status = {node.name: node for node in await stores.live.bus.status()}
    assert status["sender.simulated"].last_seen_ms < 3_000


async def test_a_connection_to_valkey_that_breaks_does_not_end_the_session_with_the_broker(stores: Stores) -> None:
    live = stores.live
    await all_filled(live, await some_orders(live))
    sessions, epochs = live.simulator.sessions, await live.rows("SELECT node, epoch FROM node_state WHERE node LIKE 'sender.%'")
    for _ in range(5):
        await live.bus.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await all_filled(live, await some_orders(live))
    assert live.simulator.sessions == sessions
    assert await live.rows("SELECT node, epoch FROM node_state WHERE node LIKE 'sender.%'") == epochs


async def test_a_halt_while_valkey_is_dead_holds_at_once_and_when_it_is_back(stores: Stores) -> None:
    live = stores.live
    pool = await connect_pool(live.database)
    await all_filled(live, await some_orders(live))
    os.kill(stores.valkey.process.pid, signal.SIGKILL)
    began = time.monotonic()
    command = Halt(command_id="h1", ts_event_ns=time.time_ns(), actor="test", reason="Valkey is dead")
    assert not await halt(pool, live.bus, "main", command), "Redis cannot have been told"
    assert time.monotonic() - began < 1.0
    await asyncio.to_thread(stores.valkey.stop)
    await asyncio.to_thread(stores.valkey.start)
    held = await some_orders(live)
    await live.until(lambda: all("OrderRejected" in live.about(each) for each in held), "the refusal of every order")
    assert not set(held) & set(live.broker.submissions())
    resumed = Resume(command_id="r1", ts_event_ns=time.time_ns(), actor="test", reason="")
    await resume(pool, live.bus, "main", resumed)
    await all_filled(live, await some_orders(live))
    await pool.close()


async def test_an_older_past_of_valkey_ends_the_sender_and_the_runbook_brings_it_back(stores: Stores) -> None:
    """Orders were sent after the copy was made: to go on from it would send them again under the same ids."""
    live = stores.live
    await all_filled(live, await some_orders(live))
    aof = stores.folder / "valkey" / "appendonlydir"
    shutil.copytree(aof, stores.folder / "older")
    await all_filled(live, await some_orders(live))
    await live.stop_portfolio()
    await live.kill()
    await asyncio.to_thread(stores.valkey.stop)
    shutil.rmtree(aof)
    shutil.copytree(stores.folder / "older", aof)
    await asyncio.to_thread(stores.valkey.start)

    live.start()

    async def ended_or_ready() -> bool:
        return live.running().poll() is not None or await live.is_ready()

    await live.until(ended_or_ready, "the end of the sender")
    assert live.running().poll() == 4, live.log()[-2000:]
    assert "one of them was replaced" in live.log() and "barque seed --new-lineage" in live.log()

    positions, sent = live.broker.position(), dict(live.broker.submissions())
    await begin_anew(stores)
    await live.start_and_wait()
    assert live.broker.submissions() == sent, "nothing is sent again"
    rows = await live.rows("SELECT exec_id, quantity FROM executions WHERE lineage = 'l2'")
    assert [(row["exec_id"], row["quantity"]) for row in rows] == [("opening/EURUSD", positions)]


async def begin_anew(stores: Stores) -> None:
    """docs/runbooks/lineage_fork.md, "Begin anew"."""
    bus, connection = stores.live.bus, await asyncpg.connect(stores.live.database.dsn())
    for key in await bus.call("KEYS", "barque:{main}:*"):
        await bus.call("DEL", key)
    await bus.begin("l2")
    await connection.execute("UPDATE books SET lineage = 'l2' WHERE book = 'main'")
    await connection.close()


def small_disk(folder: Path) -> bool:
    """A file system of its own with little room; False where this machine does not allow one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
async def test_a_postgres_without_room_holds_orders_back_until_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not small_disk(disk):
        pytest.skip("this machine does not let us mount a small file system")
    valkey, postgres = EmbeddedValkey(tmp_path / "valkey"), EmbeddedPostgres(disk / "postgres")
    try:
        disk.chmod(0o755)
        database = postgres.start()
        async for live in begun(tmp_path, valkey, database):
            await all_filled(live, await some_orders(live))
            filler = disk / "filler"
            with filler.open("wb") as file:
                try:
                    while True:
                        file.write(b"\0" * 65_536)
                        file.flush()
                except OSError:
                    pass
            order_ids = [order_id for _ in range(30) for order_id in await some_orders(live)]
            await asyncio.sleep(3.0)
            rows = (
                {row["order_id"] for row in await live.rows("SELECT order_id FROM intents")}
                if postgres.process.running()
                else set()
            )
            assert not rows or set(live.broker.submissions()) <= rows, "an order was sent without a row"
            filler.unlink()
            if not postgres.process.running():
                await asyncio.to_thread(postgres.start)
            await all_filled(live, order_ids)
    finally:
        await asyncio.to_thread(valkey.stop)
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(subprocess.run, ["umount", "-l", str(disk)], check=False)
