"""The row of a node that keeps its position in Postgres: who holds it, its fence, its outbox, and its mirror in Redis.

In:   a node's name, a bus, Postgres.   Out: a held row; transactions that are fenced by seq and epoch; published outboxes.
Not:  reading inputs, feeding the node, its other rows: its runner does (`ledger`, or a sender's own).

One transaction: position and state (fenced by seq and epoch), rows, outbox. Where the rows go along as `Rows`, it is one
statement: one round trip. Then the relay publishes the outbox
with the same compare-and-set as every commit, so each message appears once; with it, or then, the positions are mirrored to
Redis, which therefore never says more than what is both durable and published.

The holder is whoever has the advisory lock of the node, on this very connection; the server ends the session of a holder
that freezes (`idle_session_timeout`), and a newer epoch refuses it should it wake.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

import asyncpg
import msgspec

from barque.bus.connection import Pending
from barque.bus.node_shell import NodeShell, past, pause_until
from barque.bus.redis_bus import Commit, RedisBus, Wait, flag_of
from barque.bus.step import Poison, Position
from barque.bus.wire import Entry, Header, id_key, link
from barque.config import PostgresConfig
from barque.errors import BarqueError, BusUnavailable, InvariantError, LineageFork
from barque.messages import Halt, Message, Resume, Topic, decode_batch, encode_batch
from barque.postgres.pool import connect_one, postgres_errors
from barque.postgres.projector import Scope

IDLE_SESSION_TIMEOUT_MS = 3_000
"""How long a frozen holder keeps its lock."""
HEARTBEAT_S = 1.0
_COLUMNS = "halted, command_id, actor, reason, at_ns"
_HALT = f"SELECT {_COLUMNS} FROM halts WHERE book = $1"  # noqa: S608
_GATED = f"SELECT {_COLUMNS} FROM open_gate($1)"  # noqa: S608
_CLOSE_GATE = "SELECT pg_advisory_unlock_shared(gate_of($1))"
_json = msgspec.json.Encoder(order="deterministic")
_positions = msgspec.json.Decoder(dict[str, tuple[str, int]])
_sources = msgspec.json.Decoder(dict[str, tuple[int, str]])
_outputs = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class Superseded(BarqueError):
    """Another process holds this node now."""

    disposition = "retry"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a node that are written in the statement that moves it."""

    expressions: str
    """Common table expressions, each of which begins with a comma and writes only where `moved` has a row."""
    parameters: Sequence[object]
    """From $11 on."""


_NO_ROWS = Rows("", ())


class LedgerRow:
    """One node's row, as this process believes it to be, and the session that holds it."""

    def __init__(self, bus: RedisBus, postgres: PostgresConfig, shell: NodeShell) -> None:
        self.seq = 0
        self.epoch = 0
        self.positions: dict[Topic, Position] = {}
        self.sources: dict[str, tuple[int, str]] = {}
        """`<topic>/<source>` -> (seq, chain) of the last entry read of it."""
        self.state = b""
        self.lineage = ""
        self._outbox_seq = 0
        self._bus = bus
        self._postgres = postgres
        self._shell = shell
        self._node = shell.node.name
        self._connection: asyncpg.Connection | None = None
        self._mirrored: dict[Topic, Position] = {}
        self._outs: dict[str, tuple[int, bytes]] = {}
        self._halt: asyncpg.Record | None = None
        """The halt's row as last seen."""
        self._told_halt: bool | None = None
        self._spoke_at = 0.0
        """When Postgres last heard of us."""
        self._seen_at = 0.0
        """When Redis did."""

    # -- holding the node -------------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """This process has, or had, the node."""
        return self._connection is not None

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Get the lock, raise the epoch, load the node, publish what a predecessor left in the outbox. False: told to stop."""
        await self._check_lineage()
        connection = await connect_one(self._postgres, IDLE_SESSION_TIMEOUT_MS)
        self._connection = connection
        async with self.errors():
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
            raise InvariantError(f"{self._node}: its row in node_state vanished")
        stored = {Topic(t): Position(*p) for t, p in _positions.decode(row["positions"]).items()}
        await self._shell.register()
        record = await self._bus.load(self._node)
        self.seq, self._outbox_seq, self.epoch, self.state = row["seq"], row["outbox_seq"], row["epoch"], row["state"]
        self.positions = {**record.positions, **stored}
        self.sources = _sources.decode(row["sources"])
        self._shell.node.restore(self.state)
        self._told_halt = None
        self._spoke_at = time.monotonic()
        self._mirrored = {}
        self._outs = record.outs
        await self._relay(record.seq)
        return True

    async def release(self) -> None:
        """Give the node up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    def session(self) -> asyncpg.Connection:
        """The connection that holds the node."""
        if self._connection is None:
            raise InvariantError(f"{self._node} works without a session")
        return self._connection

    @property
    def scope(self) -> Scope:
        """Whose rows are written."""
        return Scope(self._bus.book, self.lineage, self._node, self.epoch)

    def errors(self) -> AbstractAsyncContextManager[None]:
        """What asyncpg raises inside becomes our errors."""
        return postgres_errors(self._postgres)

    async def keep_session(self) -> None:
        """A session that says nothing for too long is ended by the server; one that the server ended shows here."""
        if time.monotonic() - self._spoke_at >= HEARTBEAT_S:
            async with self.errors():
                await self.session().execute("SELECT 1")
            self._spoke_at = time.monotonic()

    async def _check_lineage(self) -> None:
        lineage = await self._bus.lineage()
        if lineage is None:
            raise BusUnavailable(f"book '{self._bus.book}' has not been begun in Redis; run `barque seed`")
        connection = await connect_one(self._postgres)
        try:
            async with self.errors():
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
        self.lineage = lineage

    async def _check_heads(self) -> None:
        """No stream may end before what has been booked of it."""
        for topic, position in self.positions.items():
            head = await self._bus.head(topic)
            if id_key(head) < id_key(position.entry_id):
                raise LineageFork(
                    f"{self._node}: Postgres has booked {topic} up to {position.entry_id}, and the stream ends at {head}: "
                    f"one of them was replaced. Restore Redis, or begin anew with `barque seed --new-lineage`"
                )

    def _lock_key(self) -> int:
        return lock_key(*self._key())

    def _key(self) -> tuple[str, str, str]:
        return self._bus.book, self.lineage, self._node

    # -- the halt ---------------------------------------------------------------------------------------------------

    async def begin_halt_row(self) -> None:
        """Make the halt's row, so that there is one to be seen and locked, and see it."""
        session = self.session()
        async with self.errors():
            await session.execute(
                "INSERT INTO halts (book, halted, command_id, actor, reason, at_ns) VALUES ($1, false, '', '', '', 0)"
                " ON CONFLICT DO NOTHING",
                self._bus.book,
            )
        await self.look_at_halt()

    async def look_at_halt(self, share: bool = False) -> None:
        """See the halt's row as it is. With `share` a halt that is committed after this waits until the caller's transaction
        has ended."""
        async with self.errors():
            self._halt = await self.session().fetchrow(_HALT + " FOR SHARE" * share, self._bus.book)
        self._spoke_at = time.monotonic()

    @property
    def halted(self) -> bool:
        """The node has been told that the book is halted, or not yet how it is."""
        return self._told_halt is not False

    def halt_news(self) -> Halt | Resume | None:
        """What the halt's row said when it was last seen, where the node has not been told yet."""
        row = self._halt
        halted = bool(row and row["halted"])
        if row is None or halted == self._told_halt:
            return None
        self._told_halt = halted
        kind = Halt if halted else Resume
        return kind(command_id=row["command_id"], ts_event_ns=row["at_ns"], actor=row["actor"], reason=row["reason"])

    @property
    def halt_seen(self) -> bool:
        """The halt's row said so when it was last seen, whether the node has been told or not."""
        return self._halt is None or bool(self._halt["halted"])

    async def close_gate(self) -> None:
        """What was decided in a transaction with `gate` has left: a halt may come. Where this fails the session ends, and with it
        the gate."""
        async with self.errors():
            await self.session().execute(_CLOSE_GATE, self._bus.book)
        self._spoke_at = time.monotonic()

    # -- one transaction --------------------------------------------------------------------------------------------

    async def move(
        self,
        session: asyncpg.Connection,
        outputs: Mapping[Topic, Sequence[Message]],
        rows: Rows = _NO_ROWS,
        gate: bool = False,
    ) -> None:
        """Position, state, outbox and `rows`, in the caller's transaction, or in one of its own where there is none.

        The halt's row is seen on the way. With `gate` a halt that is committed after that waits for `close_gate`. Raises
        `Superseded`, `InvariantError`; in both cases nothing has been written, and the session is to be given up.
        """
        began, halt = time.perf_counter(), _GATED if gate else _HALT
        statement = f"""
            WITH moved AS (
                UPDATE node_state SET seq = seq + 1, outbox_seq = $4, outbox = $5, positions = $6, sources = $7, state = $8
                WHERE book = $1 AND lineage = $2 AND node = $3 AND seq = $9 AND epoch = $10 RETURNING 1
            ) {rows.expressions}
            SELECT (SELECT count(*) FROM moved) AS moved, halt.* FROM (SELECT 1) AS one LEFT JOIN ({halt}) AS halt ON true
        """  # noqa: S608
        async with self.refusals():
            self._halt = row = await session.fetchrow(
                statement,
                *self._key(),
                self._outbox_seq + 1 if outputs else self._outbox_seq,
                msgspec.msgpack.encode([(t, encode_batch(m)) for t, m in outputs.items()]) if outputs else b"",
                _json.encode({t: (p.entry_id, p.count) for t, p in self.positions.items()}).decode(),
                _json.encode(self.sources).decode(),
                self.state,
                self.seq,
                self.epoch,
                *rows.parameters,
            )
        moved = row is not None and row["moved"] == 1
        self._shell.metrics.committed("OK" if moved else "STALE", time.perf_counter() - began)
        if not moved:
            raise Superseded(f"{self._node}: a newer epoch holds this node")

    @asynccontextmanager
    async def refusals(self) -> AsyncIterator[None]:
        """Turns what a table refuses into an `InvariantError`."""
        try:
            yield
        except asyncpg.IntegrityConstraintViolationError as error:
            raise InvariantError(f"{self._node}: the ledger refuses a row: {' '.join(str(error).split())}") from error

    async def written(self, outputs: Mapping[Topic, Sequence[Message]], halt_action: str = "") -> None:
        """The transaction is durable: publish what was said in it."""
        self.durable(outputs)
        if outputs:
            await self._publish(self._outbox_seq, outputs, halt_action)

    def durable(self, outputs: Mapping[Topic, Sequence[Message]]) -> None:
        """The transaction in which `outputs` were said is durable."""
        self._spoke_at = time.monotonic()
        self.seq += 1
        self._outbox_seq += bool(outputs)

    async def publish(self, outputs: Mapping[Topic, Sequence[Message]], halt_action: str = "") -> None:
        """What the last transaction said, and the positions with it; as often as it takes, it appears once."""
        changed = self._unmirrored()
        await self._publish(self._outbox_seq, outputs, halt_action, changed)
        self._mirrored.update(changed)
        self._seen_at = time.monotonic()

    async def stop_book(self, poison: Poison, stop: asyncio.Event) -> bool:
        """Halt the book before an entry that cannot be handled; True where an operator has resumed it: the entry is passed."""

        async def say(outputs: Mapping[Topic, Sequence[Message]], halt: Halt) -> None:
            await self._aside(self.positions, outputs, flag_of(halt))

        if not await self._shell.stop_book(poison, stop, say, self.keep_session):
            return False
        self.sources = self.verify([poison.entry])
        await self._aside(past(poison, self.positions), {})
        return True

    async def _aside(
        self, positions: dict[Topic, Position], outputs: Mapping[Topic, Sequence[Message]], halt_action: str = ""
    ) -> None:
        """A transaction that leaves the node's state as it is, published."""
        self.positions = positions
        async with self.errors(), self.session().transaction():
            await self.move(self.session(), outputs)
        await self.written(outputs, halt_action)

    async def mirror(self, then: Wait | None = None) -> Pending | None:
        """Repeat the positions in Redis where they have changed; `then` goes out with it, and its reply to come is returned."""
        changed = self._unmirrored()
        if not changed:
            return None
        waited = await self._mirror(changed, then)
        self._mirrored.update(changed)
        return waited

    def _unmirrored(self) -> dict[Topic, Position]:
        return {t: p for t, p in self.positions.items() if self._mirrored.get(t) != p}

    async def show_life(self) -> None:
        """A holder that has had nothing to write for a second says in Redis that it is there."""
        if not self._shell.options.lockstep and time.monotonic() >= self._seen_at + HEARTBEAT_S:
            await self._mirror({}, None)

    async def _mirror(self, changed: Mapping[Topic, Position], then: Wait | None) -> Pending | None:
        current, waited = await self._bus.mirror(self._node, self.epoch, changed, then)
        if not current:
            raise Superseded(f"{self._node}: a newer epoch holds this node")
        self._seen_at = time.monotonic()
        return waited

    def verify(self, entries: Sequence[Entry]) -> dict[str, tuple[int, str]]:
        """Each source's entries must continue where we left it; a gap or another past is a fork of history."""
        sources = dict(self.sources)
        for entry in entries:
            try:
                header = entry.header()
            except BarqueError:
                continue  # the step dead-letters it or stops the book
            key = f"{entry.topic}/{header.source}"
            known = sources.get(key)
            if known is not None and (header.seq, header.chain) != (known[0] + 1, link(bytes.fromhex(known[1]), entry.body)):
                raise _fork(self._node, entry, header, known)
            sources[key] = (header.seq, header.chain.hex())
        return sources

    # -- publishing -------------------------------------------------------------------------------------------------

    async def check_past(self) -> None:
        """Redis was away: it must be the one that we know. Raises `LineageFork`; `Superseded`: the node has to be loaded anew."""
        if await self._bus.lineage() != self.lineage:
            raise Superseded(f"{self._node}: Redis came back with another history of book '{self._bus.book}'")
        await self._check_published((await self._bus.load(self._node)).seq)

    async def _check_published(self, published: int) -> None:
        last = self._outbox_seq
        if published not in (last, last - 1):
            raise LineageFork(
                f"{self._node}: Redis has {published} of its batches, Postgres {last}: one of them was replaced. "
                f"Restore it, or begin anew with `barque seed --new-lineage`"
            )
        await self._check_heads()

    async def _relay(self, published: int) -> None:
        """After a restart: publish what was written last, if Redis has not seen it."""
        last = self._outbox_seq
        await self._check_published(published)
        if published == last:
            return
        async with self.errors():
            blob = await self.session().fetchval(
                "SELECT outbox FROM node_state WHERE book = $1 AND lineage = $2 AND node = $3", *self._key()
            )
        await self._publish(last, {Topic(t): decode_batch(Topic(t), body) for t, body in _outputs.decode(blob)})

    async def _publish(
        self,
        outbox_seq: int,
        outputs: Mapping[Topic, Sequence[Message]],
        halt_action: str = "",
        positions: Mapping[Topic, Position] = MappingProxyType({}),
    ) -> None:
        answer = await self._bus.commit(
            Commit(
                node=self._node,
                expected_seq=outbox_seq - 1,
                state=b"",
                positions=positions,
                outputs=outputs,
                outs=self._outs,
                epoch=self.epoch,
                halt_action=halt_action,
            )
        )
        if answer.verdict not in ("OK", "DUP"):
            raise Superseded(f"{self._node}: Redis refused its outbox ({answer.verdict}, seq {answer.seq})")
        self._outs = answer.outs


def lock_key(book: str, lineage: str, node: str) -> int:
    """Of the advisory lock that the holder of a node has."""
    return int.from_bytes(blake2b("/".join((book, lineage, node)).encode(), digest_size=8).digest(), signed=True)


def _fork(node: str, entry: Entry, header: Header, known: tuple[int, str]) -> LineageFork:
    return LineageFork(
        f"{node}: {entry.topic} {entry.entry_id} is number {header.seq} of {header.source} and does not follow "
        f"{known[0]}, the last one booked: Redis lost or rewound history that Postgres has acted upon. Nothing more is booked. "
        f"Restore Redis, or begin anew with `barque seed --new-lineage`"
    )
