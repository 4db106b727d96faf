"""Drives one node whose position lives in Postgres, in the same transaction as its rows: the paper sender, the portfolio.

In:   a node, its projector, a bus, Postgres.   Out: rows, and through the outbox the node's outputs on their streams.
Not:  calls to a broker (a live sender has a wire between two transactions), a second holder of the same node.

What one transaction holds, and who may write it: `ledger_row`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from barque.bus.ledger_row import LedgerRow
from barque.bus.node_shell import NodeShell, RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.step import Poison, Step
from barque.bus.wire import Entry
from barque.config import PostgresConfig
from barque.errors import WireError
from barque.messages import Message, Topic
from barque.node import Node
from barque.observability.health import Health
from barque.postgres.projector import Handled, Projector, Remembering

MAX_GROUP = 5_000
"""Messages that may wait for a common transaction."""


@dataclass(frozen=True, slots=True)
class _Batch:
    entries: list[Entry]
    sources: dict[str, tuple[int, str]]
    now_ns: int


@dataclass(slots=True)
class _Group:
    """What was handled since the last transaction. Batches that say nothing wait a moment and are written together: should
    the process die, they are read again and say nothing again. What is said is written and published at once."""

    handled: list[Handled] = field(default_factory=list)
    outputs: dict[Topic, list[Message]] = field(default_factory=dict)
    poison: Poison | None = None
    touched: bool = False
    since: float = 0.0

    def add(self, step: Step) -> None:
        """A batch has been handled."""
        if not self.touched:
            self.since = time.monotonic()
        self.touched = True
        self.handled += [Handled(message, outputs) for message, outputs in step.handled]
        for topic, messages in step.outputs.items():
            self.outputs.setdefault(topic, []).extend(messages)

    def due(self, window_s: float) -> bool:
        """True where there is something to write that must not wait any longer."""
        if self.outputs or self.poison is not None:
            return True
        return self.touched and (len(self.handled) >= MAX_GROUP or time.monotonic() - self.since >= window_s)


class LedgerRunner:
    """One node, one Postgres session, one loop."""

    def __init__(
        self,
        node: Node,
        projector: Projector,
        bus: RedisBus,
        postgres: PostgresConfig,
        options: RunnerOptions,
        health: Health,
        follow_halts: bool = False,
    ) -> None:
        """`follow_halts`: take halts from their row, in each transaction with orders, and not from the stream (senders)."""
        self._node = node
        self._projector = projector
        self._follow_halts = follow_halts
        self._shell = NodeShell(node, bus, options, health, without=Topic.CONTROL if follow_halts else None)
        self._row = LedgerRow(bus, postgres, self._shell)
        self._memory = projector if isinstance(projector, Remembering) else None
        self._group = _Group()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises only what ends the node for good (disposition stop)."""

        async def cycle() -> None:
            if self._row.held or await self._acquire(stop):
                await self._cycle(stop)

        try:
            await self._shell.serve(stop, cycle, self._row.release)
        finally:
            await self._row.release()

    async def _acquire(self, stop: asyncio.Event) -> bool:
        if not await self._row.acquire(stop):
            return False
        if self._follow_halts:
            await self._row.begin_halt_row()
        self._group = _Group()
        self._shell.reader.waited(None)
        await self._mirror()
        self._shell.ready()
        row = self._row
        self._shell.log.info("node_loaded", seq=row.seq, epoch=row.epoch, state_bytes=len(row.state))
        return True

    # -- one batch --------------------------------------------------------------------------------------------------

    async def _cycle(self, stop: asyncio.Event) -> None:
        row = self._row
        entries = await self._shell.reader.next(row.positions)
        now_ns = self._shell.tell_time()
        await self._shell.upkeep(busy=bool(entries))
        batch = _Batch(entries, row.verify(entries), now_ns)
        commands_an_order = self._follow_halts and any(entry.topic is Topic.ORDERS for entry in entries)
        needs_memory = self._memory is not None and any(entry.topic in self._memory.remembers for entry in entries)
        if not commands_an_order and not needs_memory:
            self._feed(batch)
            if not self._group.due(self._shell.window_s):
                await row.show_life()
                return await row.keep_session()
        session = row.session()
        async with row.errors(), session.transaction():
            if self._follow_halts:
                await self._obey_halt_row()
            if needs_memory:
                await self._feed_with_memory(session, batch)
            elif commands_an_order:
                self._feed(batch)
            await row.move(session, self._group.outputs)
            async with row.refusals():
                await self._projector.write(session, row.scope, self._group.handled)
        await self._written(stop)

    async def _obey_halt_row(self) -> None:
        """Tell the node what the halt row says, before any order of this transaction; a halt from now on waits for it."""
        await self._row.look_at_halt(share=True)
        command = self._row.halt_news()
        if command is not None:
            list(self._node.handle(command))
            self._row.state = self._node.snapshot()
            self._group.touched = True

    async def _feed_with_memory(self, session: asyncpg.Connection, batch: _Batch) -> None:
        """Handle a batch, between what the tables remember of it and that this may be forgotten again."""
        told = await self._memory.recall(session, self._row.scope, _readable(batch.entries)) if self._memory is not None else None
        if told is None:
            return self._feed(batch)
        list(self._node.handle(told[0]))
        self._row.state = self._node.snapshot()
        self._feed(batch, told[1])

    def _feed(self, batch: _Batch, afterwards: Message | None = None) -> None:
        """Handle a batch; nothing is durable yet."""
        if not batch.entries and not batch.now_ns:
            return
        row, group = self._row, self._group
        step = self._shell.step(batch.entries, row.positions, row.state, batch.now_ns, keep_handled=True)
        if afterwards is not None:
            list(self._node.handle(afterwards))
        state = self._node.snapshot()
        if step.outputs or step.positions != row.positions or state != row.state:
            group.add(step)
        group.poison = step.poison
        sources = batch.sources
        if step.poison is not None:  # what comes after it will be read again
            sources = row.verify(batch.entries[: batch.entries.index(step.poison.entry)])
        row.positions, row.sources, row.state = step.positions, sources, state

    async def _written(self, stop: asyncio.Event) -> None:
        """The transaction is durable: publish, mirror, and stop the book where the group ended before poison."""
        group, self._group = self._group, _Group()
        await self._row.written(group.outputs)
        await self._mirror()
        if group.poison is not None:
            if await self._row.stop_book(group.poison, stop):
                self._shell.ready()
            await self._mirror()

    async def _mirror(self) -> None:
        """Repeat the positions in Redis, and wait for what comes after them in the same write."""
        reader = self._shell.reader
        reader.waited(await self._row.mirror(reader.wait(self._row.positions)))


def _readable(entries: Sequence[Entry]) -> list[Message]:
    """The messages of `entries`; what cannot be read is met, and dealt with, when it is fed."""
    messages: list[Message] = []
    for entry in entries:
        with suppress(WireError):
            messages += entry.messages()
    return messages
