"""Drives one node whose position lives in Postgres, in the same transaction as its rows: the paper sender, the portfolio.

In:   a node, its projector, a bus, Postgres.   Out: rows, and through the outbox the node's outputs on their streams.
Not:  calls to a broker (a live sender has a wire between two transactions), a second holder of the same node.

One transaction: position and state (fenced by seq and epoch), rows, outbox. Then the relay publishes the outbox
with the same compare-and-set as every commit, so each message appears once; then the positions are mirrored to Redis, which
therefore never says more than what is both durable and published.

The holder is whoever has the advisory lock of the node, on this very connection; the server ends the session of a holder
that freezes (`idle_session_timeout`), and a newer epoch refuses it should it wake.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import asyncpg
import msgspec

from barque.bus.node_shell import NodeShell, RunnerOptions, past, pause_until
from barque.bus.redis_bus import Commit, RedisBus, flag_of
from barque.bus.step import Poison, Position, Step
from barque.bus.wire import Entry, Header, link
from barque.config import PostgresConfig
from barque.errors import BarqueError, BusUnavailable, InvariantError, LineageFork
from barque.messages import Halt, Message, Resume, Topic, decode_batch, encode_batch
from barque.node import Node
from barque.observability.health import Health
from barque.postgres.pool import connect_one, postgres_errors
from barque.postgres.projector import Handled, Projector, Scope

IDLE_SESSION_TIMEOUT_MS = 3_000
"""How long a frozen holder keeps its lock."""
HEARTBEAT_S = 1.0
MAX_GROUP = 5_000
"""Messages that may wait for a common transaction."""
_json = msgspec.json.Encoder(order="deterministic")
_positions = msgspec.json.Decoder(dict[str, tuple[str, int]])
_sources = msgspec.json.Decoder(dict[str, tuple[int, str]])
_outputs = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


@dataclass(slots=True)
class _Ledger:
    """The node's row, as this process believes it to be."""

    seq: int = 0
    outbox_seq: int = 0
    epoch: int = 0
    positions: dict[Topic, Position] = field(default_factory=dict)
    sources: dict[str, tuple[int, str]] = field(default_factory=dict)
    """`<topic>/<source>` -> (seq, chain) of the last entry read of it."""
    state: bytes = b""


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


class _Superseded(BarqueError):
    """Another process holds this node now."""

    disposition = "retry"


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
        self._bus = bus
        self._postgres = postgres
        self._follow_halts = follow_halts
        self._shell = NodeShell(node, bus, options, health, without=Topic.CONTROL if follow_halts else None)
        self._connection: asyncpg.Connection | None = None
        self._lineage = ""
        self._ledger = _Ledger()
        self._mirrored: dict[Topic, Position] = {}
        self._outs: dict[str, tuple[int, bytes]] = {}
        self._told_halt: bool | None = None
        self._group = _Group()
        self._wrote_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises only what ends the node for good (disposition stop)."""

        async def cycle() -> None:
            if self._connection is not None or await self._acquire(stop):
                await self._cycle(stop)

        try:
            await self._shell.serve(stop, cycle, self._release)
        finally:
            await self._release()

    # -- holding the node -------------------------------------------------------------------------------------------

    async def _acquire(self, stop: asyncio.Event) -> bool:
        """Get the lock, raise the epoch, load the node, publish what a predecessor left in the outbox."""
        await self._check_lineage()
        connection = await connect_one(self._postgres, IDLE_SESSION_TIMEOUT_MS)
        self._connection = connection
        async with postgres_errors(self._postgres):
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock_key()):
                if self._shell.not_ready("another process holds this node; standing by"):
                    self._shell.log.info("standing_by")
                await pause_until(stop, 0.1)
                if stop.is_set():
                    return False
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO node_state (book, lineage, node) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", *self._key()
                )
                row = await connection.fetchrow(
                    "UPDATE node_state SET epoch = epoch + 1 WHERE book = $1 AND lineage = $2 AND node = $3"
                    " RETURNING seq, outbox_seq, epoch, positions, sources, state",
                    *self._key(),
                )
        if row is None:
            raise InvariantError(f"{self._node.name}: its row in node_state vanished")
        stored = {Topic(t): Position(*p) for t, p in _positions.decode(row["positions"]).items()}
        await self._shell.register()
        record = await self._bus.load(self._node.name)
        self._ledger = _Ledger(
            row["seq"],
            row["outbox_seq"],
            row["epoch"],
            {**record.positions, **stored},
            _sources.decode(row["sources"]),
            row["state"],
        )
        self._node.restore(self._ledger.state)
        self._told_halt = None
        self._group = _Group()
        self._wrote_at = time.monotonic()
        self._mirrored = {}
        self._shell.reader.waited(None)
        self._outs = record.outs
        await self._relay(record.seq)
        await self._mirror()
        self._shell.ready()
        ledger = self._ledger
        self._shell.log.info("node_loaded", seq=ledger.seq, epoch=ledger.epoch, state_bytes=len(ledger.state))
        return True

    async def _check_lineage(self) -> None:
        lineage = await self._bus.lineage()
        if lineage is None:
            raise BusUnavailable(f"book '{self._bus.book}' has not been begun in Redis; run `barque seed`")
        connection = await connect_one(self._postgres)
        try:
            async with postgres_errors(self._postgres):
                known = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", self._bus.book)
        finally:
            await connection.close(timeout=1)
        if known is None:
            raise BusUnavailable(f"book '{self._bus.book}' has not been begun in Postgres; run `barque seed`")
        if known != lineage:
            raise LineageFork(
                f"book '{self._bus.book}' has lineage {lineage} in Redis and {known} in Postgres: one of them was replaced. "
                f"Restore the other, or begin anew with `barque seed --new-lineage`"
            )
        self._lineage = lineage

    def _lock_key(self) -> int:
        text = "/".join((self._bus.book, self._lineage, self._node.name))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)

    def _key(self) -> tuple[str, str, str]:
        return self._bus.book, self._lineage, self._node.name

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    # -- one batch --------------------------------------------------------------------------------------------------

    async def _cycle(self, stop: asyncio.Event) -> None:
        entries = await self._shell.reader.next(self._ledger.positions)
        now_ns = self._shell.tell_time()
        await self._shell.upkeep(busy=bool(entries))
        batch = _Batch(entries, self._verify(entries), now_ns)
        commands_an_order = self._follow_halts and any(entry.topic is Topic.ORDERS for entry in entries)
        if not commands_an_order:
            self._feed(batch)
            if not self._group.due(self._shell.window_s):
                return await self._keep_session()
        session = self._session()
        async with postgres_errors(self._postgres), session.transaction():
            if self._follow_halts:
                await self._obey_halt_row(session)
            if commands_an_order:
                self._feed(batch)
            await self._write(session)
        await self._written(stop)

    def _session(self) -> asyncpg.Connection:
        if self._connection is None:
            raise InvariantError(f"{self._node.name} works without a session")
        return self._connection

    async def _obey_halt_row(self, session: asyncpg.Connection) -> None:
        """Tell the node what the halt row says, before any order of this transaction.

        The share lock makes a halt that is committed after this wait until our transaction has ended.
        """
        row = await session.fetchrow(
            "SELECT halted, command_id, actor, reason, at_ns FROM halts WHERE book = $1 FOR SHARE", self._bus.book
        )
        halted = bool(row and row["halted"])
        if row is None or halted == self._told_halt:
            return
        self._told_halt = halted
        kind = Halt if halted else Resume
        command = kind(command_id=row["command_id"], ts_event_ns=row["at_ns"], actor=row["actor"], reason=row["reason"])
        list(self._node.handle(command))
        self._ledger.state = self._node.snapshot()
        self._group.touched = True

    def _feed(self, batch: _Batch) -> None:
        """Handle a batch; nothing is durable yet."""
        if not batch.entries and not batch.now_ns:
            return
        ledger, group = self._ledger, self._group
        step = self._shell.step(batch.entries, ledger.positions, ledger.state, batch.now_ns, keep_handled=True)
        state = self._node.snapshot()
        if step.outputs or step.positions != ledger.positions or state != ledger.state:
            group.add(step)
        group.poison = step.poison
        sources = batch.sources
        if step.poison is not None:  # what comes after it will be read again
            sources = self._verify(batch.entries[: batch.entries.index(step.poison.entry)])
        ledger.positions, ledger.sources, ledger.state = step.positions, sources, state

    async def _write(self, session: asyncpg.Connection) -> None:
        """Position, state, rows and outbox of the group, in the caller's transaction."""
        began = time.perf_counter()
        ledger, group = self._ledger, self._group
        outbox_seq = ledger.outbox_seq + 1 if group.outputs else ledger.outbox_seq
        status = await session.execute(
            "UPDATE node_state SET seq = seq + 1, outbox_seq = $4, outbox = $5, positions = $6, sources = $7, state = $8"
            " WHERE book = $1 AND lineage = $2 AND node = $3 AND seq = $9 AND epoch = $10",
            *self._key(),
            outbox_seq,
            msgspec.msgpack.encode([(t, encode_batch(m)) for t, m in group.outputs.items()]) if group.outputs else b"",
            _json.encode({t: (p.entry_id, p.count) for t, p in ledger.positions.items()}).decode(),
            _json.encode(ledger.sources).decode(),
            ledger.state,
            ledger.seq,
            ledger.epoch,
        )
        if status != "UPDATE 1":
            self._shell.metrics.committed("STALE", time.perf_counter() - began)
            raise _Superseded(f"{self._node.name}: a newer epoch holds this node")
        scope = Scope(self._bus.book, self._lineage, self._node.name, ledger.epoch)
        try:
            await self._projector.write(session, scope, group.handled)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise InvariantError(f"{self._node.name}: the ledger refuses a row: {error}; {error.detail or ''}") from error
        self._shell.metrics.committed("OK", time.perf_counter() - began)

    async def _written(self, stop: asyncio.Event) -> None:
        """The transaction is durable: publish, mirror, and stop the book where the group ended before poison."""
        ledger, group = self._ledger, self._group
        self._group = _Group()
        self._wrote_at = time.monotonic()
        ledger.seq += 1
        if group.outputs:
            ledger.outbox_seq += 1
            await self._publish(ledger.outbox_seq, group.outputs)
        await self._mirror()
        if group.poison is not None:
            await self._stop_book(group.poison, stop)

    async def _keep_session(self) -> None:
        """A session that says nothing for too long is ended by the server; one that the server ended shows here."""
        if time.monotonic() - self._wrote_at >= HEARTBEAT_S:
            async with postgres_errors(self._postgres):
                await self._session().execute("SELECT 1")
            self._wrote_at = time.monotonic()

    def _verify(self, entries: Sequence[Entry]) -> dict[str, tuple[int, str]]:
        """Each source's entries must continue where we left it; a gap or another past is a fork of history."""
        sources = dict(self._ledger.sources)
        for entry in entries:
            try:
                header = entry.header()
            except BarqueError:
                continue  # the step dead-letters it or stops the book
            key = f"{entry.topic}/{header.source}"
            known = sources.get(key)
            if known is not None and (header.seq, header.chain) != (known[0] + 1, link(bytes.fromhex(known[1]), entry.body)):
                raise _fork(self._node.name, entry, header, known)
            sources[key] = (header.seq, header.chain.hex())
        return sources

    # -- publishing -------------------------------------------------------------------------------------------------

    async def _relay(self, published: int) -> None:
        """After a restart: publish what was written last, if Redis has not seen it."""
        last = self._ledger.outbox_seq
        if published == last:
            return
        if published != last - 1:
            raise LineageFork(
                f"{self._node.name}: Redis has {published} of its batches, Postgres {last}: one of them was replaced. "
                f"Restore it, or begin anew with `barque seed --new-lineage`"
            )
        async with postgres_errors(self._postgres):
            blob = await self._session().fetchval(
                "SELECT outbox FROM node_state WHERE book = $1 AND lineage = $2 AND node = $3", *self._key()
            )
        outputs = {Topic(t): decode_batch(Topic(t), body) for t, body in _outputs.decode(blob)}
        await self._publish(last, outputs)

    async def _publish(self, outbox_seq: int, outputs: Mapping[Topic, Sequence[Message]], halt_action: str = "") -> None:
        answer = await self._bus.commit(
            Commit(
                node=self._node.name,
                expected_seq=outbox_seq - 1,
                state=b"",
                positions={},
                outputs=outputs,
                outs=self._outs,
                epoch=self._ledger.epoch,
                halt_action=halt_action,
            )
        )
        if answer.verdict not in ("OK", "DUP"):
            raise _Superseded(f"{self._node.name}: Redis refused its outbox ({answer.verdict}, seq {answer.seq})")
        self._outs = answer.outs

    async def _mirror(self) -> None:
        changed = {t: p for t, p in self._ledger.positions.items() if self._mirrored.get(t) != p}
        if changed:
            wait = self._shell.reader.wait(self._ledger.positions)
            current, waited = await self._bus.mirror(self._node.name, self._ledger.epoch, changed, wait)
            if not current:
                raise _Superseded(f"{self._node.name}: a newer epoch holds this node")
            self._mirrored.update(changed)
            self._shell.reader.waited(waited)

    # -- an entry that cannot be handled ------------------------------------------------------------------------------

    async def _stop_book(self, poison: Poison, stop: asyncio.Event) -> None:
        async def say(outputs: Mapping[Topic, Sequence[Message]], halt: Halt) -> None:
            await self._aside(self._ledger.positions, outputs, flag_of(halt))

        if await self._shell.stop_book(poison, stop, say, self._keep_session):
            self._ledger.sources = self._verify([poison.entry])
            await self._aside(past(poison, self._ledger.positions), {})
            self._shell.ready()

    async def _aside(
        self, positions: dict[Topic, Position], outputs: Mapping[Topic, Sequence[Message]], halt_action: str = ""
    ) -> None:
        """A transaction that leaves the node's state as it is."""
        ledger = self._ledger
        ledger.positions = positions
        self._group = _Group(outputs={t: list(m) for t, m in outputs.items()})
        async with postgres_errors(self._postgres), self._session().transaction():
            await self._write(self._session())
        ledger.seq += 1
        if outputs:
            ledger.outbox_seq += 1
            await self._publish(ledger.outbox_seq, outputs, halt_action)
        self._group = _Group()
        await self._mirror()


def _fork(node: str, entry: Entry, header: Header, known: tuple[int, str]) -> LineageFork:
    return LineageFork(
        f"{node}: {entry.topic} {entry.entry_id} is number {header.seq} of {header.source} and does not follow "
        f"{known[0]}, the last one booked: Redis lost or rewound history that Postgres has acted upon. Nothing more is booked. "
        f"Restore Redis, or begin anew with `barque seed --new-lineage`"
    )
