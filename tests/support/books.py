"""Whole books for tests: real servers, every service as a process, and what they said, in an order that can be compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from barque.bus.redis_bus import RedisBus
from barque.messages import Message, Topic, time_of
from barque.postgres.pool import connect_one
from barque_cli.composition import ServiceSpec
from barque_cli.system import System, only
from tests.support.clusters import cluster_in

SERVICES = only("barbuilder", "router", "sender-paper", "portfolio", "strategy-host", "feed-replay")
LINEAGE = "replayed"


@contextmanager
def running_book(config: str, folder: Path, services: Sequence[ServiceSpec] = SERVICES) -> Iterator[System]:
    """A book of its own servers under `folder`, from start to an orderly end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "barque.toml"
    path.write_text(config, encoding="utf-8")
    system = System(path, folder, services, durable=False)
    cluster_in(folder / "postgres")
    try:
        system.start_servers()
        system.start_services()
        yield system
    finally:
        system.stop()


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.05) -> None:
    """Poll `condition`; fails naming `what` did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:.0f} s"
        time.sleep(every_s)


def wait_finished(system: System, timeout_s: float) -> None:
    """Until the replay has published everything and the book is at rest."""

    def finished() -> bool:
        given_up = [f"{c.name}: {c.last_line()}" for c in system.supervisor.children if c.given_up]
        assert not given_up, given_up
        return "replay_finished" in system.supervisor.child("feed-replay").log_path.read_text()

    wait_until(finished, timeout_s, "the end of the replay")


def on_bus(system: System, work: Callable[[RedisBus], Any]) -> Any:
    """Run an async function on the book's bus."""

    async def run() -> Any:
        bus = system.bus()
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def said(system: System, topic: Topic) -> list[Message]:
    """Every message of a topic, in the order of event time, source, sequence."""

    async def read(bus: RedisBus) -> list[Message]:
        found: list[tuple[int, str, int, int, Message]] = []
        after = "-"
        while page := await bus.range(topic, after, count=2_000):
            after = page[-1].entry_id
            for entry in page:
                header = entry.header()
                for index, message in enumerate(entry.messages()):
                    found.append((time_of(message), header.source, header.seq, index, message))
        return [row[-1] for row in sorted(found, key=lambda row: row[:-1])]

    return list(on_bus(system, read))


def rows(system: System, query: str, *arguments: Any) -> list[asyncpg.Record]:
    """What a query finds in the book's database."""

    async def run() -> list[asyncpg.Record]:
        connection = await connect_one(system.common().postgres)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    return asyncio.run(run())


TABLES = {
    "intents": "order_id",
    "executions": "account, exec_id",
    "fills": "account, exec_id",
    "positions": "account, strategy_id, symbol",
    "cash": "account, currency",
    "lots": "account, exec_id",
    "lot_closings": "account, lot_exec_id, exec_id",
    "journal": "account, entry, line",
    "days": "account, day",
    "signals": "signal_id",
    "orders": "order_id",
    "equity": "account, ts_event_ns",
    "rejections": "signal_id",
    "bars": 'symbol, "interval", price, ts_open_ns, seq',
}
"""What is compared between two runs, and in which order. `epoch` counts restarts and is left out."""


def tables(system: System) -> dict[str, list[dict[str, Any]]]:
    """Every table of the ledger."""
    return {
        name: [{k: v for k, v in row.items() if k != "epoch"} for row in rows(system, f"SELECT * FROM {name} ORDER BY {order}")]
        for name, order in TABLES.items()
    }
