"""A live sender and the portfolio in this process, over real Valkey and Postgres, at a broker's simulator.

In:   a broker, orders and requests as the router would write them.   Out: what was said, the rows, the broker's books.
Not:  the router: orders come from the test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import asyncpg

from barque.bus.feed import FeedWriter
from barque.bus.ledger import LedgerRunner
from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, convert
from barque.control import ask_to_reconcile
from barque.messages import Alert, CancelOrder, Fill, Message, ModifyOrder, ReconciliationReport, SubmitOrder, Topic
from barque.observability.health import Health
from barque.postgres.pool import connect_pool
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from router.core.sending.config import SendingConfig
from router.core.sending.node import SendingNode
from router.shell.senders.live import LiveSender
from tests.support.brokers import Broker
from tests.support.servers import begin_book

D = Decimal
OPTIONS = RunnerOptions(service="test", worker="test", clock_interval_ms=50)


class LiveBook:
    """One account's sender, started and killed at will."""

    def __init__(
        self, broker: Broker, sections: Mapping[str, Any], bus: RedisBus, database: PostgresConfig, **sender: Any
    ) -> None:
        self.broker = broker
        self.bus = bus
        self.database = database
        self.health = Health("test")
        self._sections = dict(sections)
        keys = {"account": broker.account, "venue": broker.venue, "quiet_s": broker.quiet_s, "ack_timeout_s": 1.0}
        keys["alert_after_s"] = 1.0
        self.config = convert({**keys, "max_requests_per_s": 200, "burst": 50, **sender}, SendingConfig, "sender")
        self._node: SendingNode | None = None
        self._buses: list[RedisBus] = []
        self._stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._writer = FeedWriter(self._bus(), "router", "test", Health("router"), self._stop)
        self._said_after = "-"
        self.said: list[Message] = []
        """Everything on `fills` so far."""
        self._numbers = 0

    # -- life ---------------------------------------------------------------------------------------------------------

    def _bus(self) -> RedisBus:
        self._buses.append(self.bus.another())
        return self._buses[-1]

    async def begin(self, ready: bool = True) -> None:
        """Portfolio and sender start, and the first comparison of the books is clean; not waited for unless `ready`."""
        await self._writer.load()
        account = AccountConfig(name=self.broker.account, currency=self.broker.instrument.currency, starting_cash=D(100_000))
        node = PortfolioNode(PortfolioConfig(accounts=(account,)), [self.broker.instrument])
        portfolio = LedgerRunner(node, PortfolioProjector(node), self._bus(), self.database, OPTIONS, Health("portfolio"))
        self._tasks["portfolio"] = asyncio.create_task(portfolio.run(self._stop))
        self.start()
        if ready:
            await self.until_ready()

    def start(self) -> None:
        """A sender's process begins."""
        opener = {point.name: point for point in entry_points(group="barque.venues")}[self.broker.venue].load()
        venue = opener(self._sections, [self.broker.instrument], self.broker.account)
        node = self._node = SendingNode(self.config, venue.capabilities, self.config.venue, [self.broker.instrument.symbol])
        self.health = Health("test")
        sender = LiveSender(node, venue, self.config, self._bus(), self.database, OPTIONS, self.health, [self.broker.instrument])
        self._tasks["sender"] = asyncio.create_task(sender.run(self._stop))

    async def kill(self) -> None:
        """The sender's process dies where it stands; its connections close."""
        task = self._tasks.pop("sender")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop_portfolio(self) -> None:
        """The portfolio's process ends."""
        task = self._tasks.pop("portfolio")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def alive(self) -> None:
        """Raises what the sender has ended with, if it has."""
        sender = self._tasks.get("sender")
        if sender is not None and sender.done():
            await sender

    async def restart(self) -> None:
        """Dies, and another begins."""
        await self.kill()
        self.start()
        await self.until_ready()

    async def end(self) -> None:
        """Everything stops; raises what a part of it ended with."""
        self._stop.set()
        results = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for bus in self._buses:
            await bus.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def why_not(self) -> str:
        """Why orders may not leave."""
        return str(self.health.reasons())

    def ready(self) -> bool:
        """Orders may leave."""
        return self._node is not None and self._node.ready and not self.health.reasons()

    async def until_ready(self) -> None:
        await self.until(self.ready, "the sender to be ready")

    async def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> None:
        """Wait for a condition on what has been said and on the broker's books, awaited where need be."""
        deadline = time.monotonic() + timeout_s
        while True:
            await self._read()
            await self.alive()
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if time.monotonic() >= deadline:
                raise AssertionError(
                    f"waited in vain for {what}; said: {self.summary()}; {self.why_not()}; {await self.reports()}"
                )
            await asyncio.sleep(0.02)

    # -- orders -------------------------------------------------------------------------------------------------------

    async def order(self, order_id: str = "", **terms: Any) -> str:
        """The router sends an order to buy one contract at market, or what `terms` say; its id."""
        await self.orders(order := self.an_order(order_id, **terms))
        return order.order_id

    def an_order(self, order_id: str = "", **terms: Any) -> SubmitOrder:
        """An order that has not been sent."""
        self._numbers += 1
        base: dict[str, Any] = {
            "order_id": order_id or f"{self._numbers:020x}",
            "cause": f"s1/{self._numbers}/0",
            "root": "r",
            "strategy_id": "s1",
            "account": self.broker.account,
            "symbol": self.broker.instrument.symbol,
            "ts_event_ns": time.time_ns(),
            "side": "buy",
            "quantity": D(1),
        }
        return SubmitOrder(**(base | terms))

    async def orders(self, *requests: Message) -> None:
        """The router says these in one commit."""
        await self._writer.write({Topic.ORDERS: list(requests)}, b"")

    async def cancel(self, order_id: str) -> None:
        await self.orders(CancelOrder(**self._about(order_id)))

    async def modify(self, order_id: str, **terms: Any) -> None:
        await self.orders(ModifyOrder(**self._about(order_id), **terms))

    def _about(self, order_id: str) -> dict[str, Any]:
        about = {"order_id": order_id, "cause": f"k{order_id}", "root": "r", "strategy_id": "s1", "account": self.broker.account}
        return {**about, "symbol": self.broker.instrument.symbol, "ts_event_ns": time.time_ns()}

    # -- what came of it ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        for entry in await self.bus.range(Topic.FILLS, self._said_after):
            self._said_after = entry.entry_id
            self.said += entry.messages()

    async def reports(self) -> list[tuple[str, tuple[str, ...]]]:
        """Severity and discrepancies of every report of reconciliation."""
        messages = [m for entry in await self.bus.range(Topic.PORTFOLIO) for m in entry.messages()]
        return [(m.severity, m.discrepancies) for m in messages if isinstance(m, ReconciliationReport)]

    async def alerts(self, prefix: str) -> list[str]:
        """Severities of the alerts whose names begin so."""
        messages = [m for entry in await self.bus.range(Topic.ALERTS) for m in entry.messages()]
        return [m.severity for m in messages if isinstance(m, Alert) and m.name.startswith(prefix)]

    async def reconcile(self) -> list[tuple[str, tuple[str, ...]]]:
        """Ask for a comparison of the books, and wait for its report."""
        before = len(await self.reports())
        pool = await connect_pool(self.database, size=1)
        self._numbers += 1
        assert await ask_to_reconcile(pool, self.bus.book, f"reconcile{self._numbers}", "test")
        await pool.close()
        found: list[tuple[str, tuple[str, ...]]] = []

        async def reported() -> bool:
            found[:] = (await self.reports())[before:]
            return bool(found)

        await self.until(reported, "the report")
        return found

    def about(self, order_id: str) -> list[str]:
        """Kinds of what was said of an order."""
        return [type(m).__name__ for m in self.said if getattr(m, "order_id", "") == order_id]

    def fills(self) -> list[Fill]:
        return [m for m in self.said if isinstance(m, Fill)]

    def position(self) -> Decimal:
        """Of all fills, corrections taken for what they replace."""
        fills = {fill.exec_id: fill for fill in self.fills()}
        standing = set(fills) - {fill.corrects for fill in fills.values()}
        return sum((fills[name].signed_quantity for name in standing), D(0))

    def summary(self) -> list[str]:
        return [f"{type(m).__name__} {getattr(m, 'order_id', '')[-4:]} {getattr(m, 'detail', '')}" for m in self.said]

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database.dsn())
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def states(self) -> dict[str, str]:
        """State of every intent."""
        return {row["order_id"]: row["state"] for row in await self.rows("SELECT order_id, state FROM intents")}

    async def settled(self) -> None:
        """Nothing is open or unknown on our side but what is open at the broker, and all books agree."""

        async def agree() -> bool:
            states = await self.states()
            known = {order_id for order_id, state in states.items() if state in ("ACKED", "PARTIALLY_FILLED")}
            loose = {
                order_id: s for order_id, s in states.items() if s in ("SENDING", "UNKNOWN", "PENDING_CANCEL", "PENDING_MODIFY")
            }
            booked = await self.rows("SELECT coalesce(sum(quantity), 0) FROM positions")
            return (
                not loose
                and self.broker.open_ids() <= known
                and self.position() == self.broker.position() == booked[0][0]
                and len(self.standing()) == len(self.broker.executions())
            )

        deadline = time.monotonic() + 30
        while True:
            await self._read()
            if await agree():
                return
            assert time.monotonic() < deadline, f"{await self.states()}; {self.summary()}; {self.broker.executions()}"
            await asyncio.sleep(0.05)

    def standing(self) -> list[Fill]:
        """Fills that no other has replaced, busts left out."""
        replaced = {fill.corrects for fill in self.fills()}
        return [fill for fill in self.fills() if fill.exec_id not in replaced and fill.quantity]

    def sent_once(self, *order_ids: str) -> None:
        """The broker's books have each of these exactly once, and no other order more than once."""
        submissions = self.broker.submissions()
        assert all(count == 1 for count in submissions.values()), dict(submissions)
        assert set(order_ids) <= set(submissions), dict(submissions)


@asynccontextmanager
async def live_book(
    broker: Broker, folder: Path, bus: RedisBus, connection: asyncpg.Connection, database: PostgresConfig, **sender: Any
) -> AsyncIterator[LiveBook]:
    """A book that has begun, from its first clean comparison to an orderly end."""
    await begin_book(bus, connection)
    sections = await broker.start(folder)
    book = LiveBook(broker, sections, bus, database, **sender)
    try:
        await book.begin()
        yield book
    finally:
        try:
            await book.end()
        finally:
            await broker.stop()


def kinds(messages: Iterable[Message]) -> list[str]:
    """Names of their classes."""
    return [type(message).__name__ for message in messages]
