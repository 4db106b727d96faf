"""The one statement of a live sender's transaction: all of it is written, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from barque.bus.ledger_row import LedgerRow, Superseded
from barque.bus.node_shell import NodeShell
from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig
from barque.control import halt_in
from barque.errors import InvariantError
from barque.messages import CancelOrder, Halt, Message, ReconciliationReport, Resume, Topic
from barque.observability.health import Health
from barque.postgres.projector import Handled
from barque.venue import Accepted
from router.core.sending.node import SendingNode
from router.shell.senders.intents import LiveIntents
from tests.support.builders import T0, a_fill, an_order
from tests.support.driving import OPTIONS
from tests.support.sending import D, a_sender
from tests.support.servers import begin_book

ABOUT: dict[str, Any] = {
    "cause": "s1/1/0",
    "root": "r",
    "strategy_id": "s1",
    "account": "paper",
    "symbol": "EURUSD",
    "ts_event_ns": T0,
}


class Held:
    """A node whose row is held, fed by hand."""

    def __init__(self, bus: RedisBus, database: PostgresConfig) -> None:
        self.node: SendingNode = a_sender()
        self.row = LedgerRow(bus, database, NodeShell(self.node, bus, OPTIONS, Health("test"), without=Topic.CONTROL))
        self.intents = LiveIntents(self.node, lambda order_id, number, parent_id: f"{order_id}.{number}")

    async def hold(self) -> None:
        assert await self.row.acquire(asyncio.Event())
        await self.row.begin_halt_row()
        await self.intents.begin(self.row.session(), self.row.scope, self.row.state)

    async def write(self, *batch: Message, said: tuple[Message, ...] = (), gate: bool = False) -> None:
        """Feed `batch`; `said` goes along as if the node had said it."""
        handled = [Handled(message, self.node.handle(message)) for message in batch]
        handled += [Handled(message, [(Topic.PORTFOLIO, message)]) for message in said]
        cut = self.node.cut()
        self.row.state = cut.state
        await self.row.move(self.row.session(), {}, self.intents.rows(self.row.epoch, handled, cut), gate)
        await self.row.written({})


@pytest.fixture
async def held(bus: RedisBus, database: PostgresConfig, connection: asyncpg.Connection) -> AsyncIterator[Held]:
    await begin_book(bus, connection)
    held = Held(bus, database)
    await held.hold()
    yield held
    await held.row.release()


async def rows(connection: asyncpg.Connection, table: str) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await connection.fetch(f"SELECT * FROM {table}")
    return found


async def test_an_order_and_what_becomes_of_it_are_rows(held: Held, connection: asyncpg.Connection) -> None:
    order = an_order(quantity=D("2.5"), order_type="limit", limit_price=D("1.30"))
    await held.write(order)
    (row,) = await rows(connection, "intents")
    assert (row["order_id"], row["signal_id"], row["quantity"], row["limit_price"]) == ("o1", "s1/1/0", D("2.5"), D("1.30"))
    assert (row["stop_price"], row["state"], row["filled"], row["token"]) == (None, "NEW", 0, "")
    await held.write(Accepted(order_id="o1", venue_order_id="v1", ts_event_ns=T0))
    await held.write(CancelOrder(order_id="o1", **ABOUT), said=(a_fill(exec_id="x1", price=D("1.3"), commission=D("0.25")),))
    (row,) = await rows(connection, "intents")
    assert (row["state"], row["venue_order_id"], row["epoch"]) == ("ACKED", "v1", held.row.epoch)
    (booked,) = await rows(connection, "executions")
    assert (booked["exec_id"], booked["side"], booked["price"], booked["commission"]) == ("x1", "buy", D("1.3"), D("0.25"))


async def test_a_newer_epoch_refuses_the_whole_statement(held: Held, connection: asyncpg.Connection) -> None:
    await held.write(an_order())
    await connection.execute("UPDATE node_state SET epoch = epoch + 1")
    before = await rows(connection, "node_state")
    with pytest.raises(Superseded):
        await held.write(
            an_order(order_id="o2"), Accepted(order_id="o1", venue_order_id="v1", ts_event_ns=T0), said=(a_report(),)
        )
    assert [row["venue_order_id"] for row in await rows(connection, "intents")] == [""]
    assert await rows(connection, "node_state") == before
    assert await rows(connection, "reconciliations") == []


async def test_an_order_that_is_in_the_ledger_stops_the_sender_and_moves_nothing(
    held: Held, connection: asyncpg.Connection
) -> None:
    await held.write(an_order())
    seq = held.row.seq
    await held.intents.begin(held.row.session(), held.row.scope, b"")
    with pytest.raises(InvariantError, match=r"the ledger refuses a row.*o1"):
        await held.write(an_order())
    assert [row["seq"] for row in await rows(connection, "node_state")] == [seq]


async def test_orders_are_found_by_their_keys_among_many(held: Held, connection: asyncpg.Connection) -> None:
    await held.write(an_order())
    await connection.execute(
        "INSERT INTO intents SELECT (jsonb_populate_record(intents, jsonb_build_object('order_id', n::text))).*"
        " FROM intents, generate_series(1, 5000) AS n"
    )
    await connection.execute("ANALYZE intents")
    before = await scans(held.row.session())
    await held.write(Accepted(order_id="o1", venue_order_id="v1", ts_event_ns=T0))
    assert await scans(held.row.session()) == before


async def scans(session: asyncpg.Connection) -> int:
    """How often `intents` has been read from end to end."""
    await session.execute("SELECT pg_stat_force_next_flush()")
    await session.execute("SELECT pg_stat_clear_snapshot()")
    found: int = await session.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'intents'")
    return found


async def test_of_two_reports_of_one_instant_the_last_stays(held: Held, connection: asyncpg.Connection) -> None:
    await held.write(said=(a_report(), a_report("cash: 1 here, 2 there")))
    await held.write(said=(a_report("cash: 1 here, 3 there", severity="critical"),))
    (row,) = await rows(connection, "reconciliations")
    assert (row["account"], row["severity"], row["discrepancies"]) == ("paper", "critical", ["cash: 1 here, 3 there"])


async def test_the_halt_is_seen_on_the_way_and_the_gate_closes_at_once(
    held: Held, connection: asyncpg.Connection, bus: RedisBus
) -> None:
    first = held.row.halt_news()
    assert isinstance(first, Resume), "a new holder is told how it is"
    await held.write(an_order(), gate=True)
    assert not held.row.halt_seen
    halting = asyncio.create_task(halt_now(connection, bus.book))
    await asyncio.wait((halting,), timeout=0.2)
    assert not halting.done(), "a halt waits for what is being sent"
    await held.row.close_gate()
    await halting
    assert held.row.halt_news() is None, "it has not been looked at"
    await held.write(an_order(order_id="o2"), gate=True)
    assert held.row.halt_seen
    await held.row.close_gate()
    news = held.row.halt_news()
    assert isinstance(news, Halt)
    assert (news.command_id, news.actor, news.reason) == ("h1", "anna", "enough")


async def halt_now(connection: asyncpg.Connection, book: str) -> None:
    async with connection.transaction():
        await halt_in(connection, book, Halt(command_id="h1", ts_event_ns=T0, actor="anna", reason="enough"))


def a_report(*discrepancies: str, severity: str = "minor") -> ReconciliationReport:
    return ReconciliationReport(account="paper", ts_event_ns=T0, severity=severity, discrepancies=discrepancies)
