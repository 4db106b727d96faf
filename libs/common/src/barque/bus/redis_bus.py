"""Everything we say to Redis, in one place: the commit, reading, turns, leases, status.

In:   a `RedisConfig` and a book's name.   Out: typed replies.
Not:  retries. A call that times out or loses its connection raises `BusUnavailable`; whether a write happened is then
unknown, and the caller issues the same commit again: the function in the store answers OK or DUP.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Literal, TypeAlias, cast

import msgspec

from barque.bus.connection import Address, Command, Connection, ConnectionLost, Pending, ReplyError, settled
from barque.bus.step import Position
from barque.bus.wire import GENESIS, Entry, entry_from_fields, link, pack_envelope
from barque.config import RedisConfig, masked
from barque.errors import BusUnavailable, ConfigError, InvariantError, WireError
from barque.messages import Halt, Message, Topic, encode_batch

LIBRARY = files("barque.bus").joinpath("functions.lua").read_text(encoding="utf-8")
Verdict = Literal["OK", "DUP", "STALE", "HALTED"]
Wait: TypeAlias = Command
"""A blocking command, ready to go out."""
_AWAY = ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
"""Error replies of a server that cannot serve now, but may later."""
_REFUSED = ("NOAUTH", "NOPERM", "WRONGPASS")
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_journal_decoder = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, dict[str, tuple[str, int]]]]])
_origin = msgspec.json.Decoder(tuple[str, int])
_outs_decoder = msgspec.msgpack.Decoder(dict[str, tuple[int, bytes]])
SNAPSHOT_EVERY = 1_000
"""Every so many commits the journal record carries the state, so that a replay can begin there."""


class _Snapshot(msgspec.Struct, array_like=True, omit_defaults=True):
    """What a journal record may carry: state and output chains after the commit."""

    state: bytes
    outs: dict[str, tuple[int, bytes]]
    given: bool = False


_snapshot = msgspec.msgpack.Decoder(_Snapshot)


@dataclass(frozen=True, slots=True)
class Record:
    """A node as the store knows it."""

    seq: int
    epoch: int
    state: bytes
    positions: dict[Topic, Position]
    outs: dict[str, tuple[int, bytes]]
    """Per output topic (`<speaker>/<topic>` where the shell speaks): entries written, and the chain value of the last."""
    origin: dict[Topic, Position] = field(default_factory=dict)
    """Where the node began to read."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit writes. Built from a step; the same bytes each time it is issued."""

    node: str
    expected_seq: int
    state: bytes
    positions: Mapping[Topic, Position]
    outputs: Mapping[Topic, Sequence[Message]]
    outs: Mapping[str, tuple[int, bytes]]
    fed: Sequence[tuple[int, Mapping[Topic, Position]]] = ()
    """For the journal: per batch since the last commit, the time it was told and the positions after it. Empty: no record."""
    epoch: int = 0
    guarded: bool = False
    halt_action: str = ""
    """`resume`, or the text of a halt flag to set, together with the outputs."""
    speaker: str = ""
    """Source of the outputs where it is not the node itself but its shell."""
    given: bool = False
    """The state is not a function of what was fed: the journal has a record that carries it, and a replay takes it from there."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The store's answer."""

    verdict: Verdict
    seq: int
    outs: dict[str, tuple[int, bytes]]
    waited: Pending | None = None
    """The reply to come of the wait that went out with the commit."""


def flag_of(halt: Halt) -> str:
    """Text of the halt flag: which command set it, who and why."""
    return msgspec.json.encode(halt).decode()


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One commit of a node, as replay needs it."""

    entry_id: str
    seq: int
    """The commit's `expected_seq`: 0 for a node's first."""
    fed: list[tuple[int, dict[Topic, Position]]]
    """Per batch: the time it was told (0: none) and all positions after it."""
    snapshot: tuple[bytes, dict[str, tuple[int, bytes]]] | None
    """State and output chains after the commit, in every so many records."""
    given: bool = False
    """What was committed cannot be computed again: take it from `snapshot`. Nothing fed: the state it was born with."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How one node is doing, for people and metrics."""

    name: str
    rank: int
    seq: int
    worker: str
    last_seen_ms: int
    """Age of its last commit or registration."""
    lag_entries: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """Commits that the store refused, by verdict (`stale`, `dup`, `halted`)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store is."""

    version: str
    appendonly: bool
    maxmemory_policy: str
    now_ms: int


class RedisBus:
    """One connection to one book's streams. One per consumer: a wait holds the connection."""

    def __init__(self, connection: Connection, book: str, where: str, lockstep: bool = False) -> None:
        self._connection = connection
        self._where = where
        self.book = book
        self.prefix = f"barque:{{{book}}}:"
        self._turns = self.prefix if lockstep else ""

    @classmethod
    def open(cls, config: RedisConfig, book: str, lockstep: bool = False) -> RedisBus:
        """A bus that connects on first use; in `lockstep` every commit hands the turn on. Raises `ConfigError` for a bad URL."""
        try:
            address = Address.of(config.dsn())
        except ValueError as error:
            raise ConfigError(f"key 'redis.url': {error}") from None
        return cls(Connection(address, config.timeout_s), book, masked(config.url), lockstep)

    @classmethod
    async def connect(cls, config: RedisConfig, book: str, lockstep: bool = False) -> RedisBus:
        """A bus that has answered once and has our functions loaded; raises `BusUnavailable`."""
        bus = cls.open(config, book, lockstep)
        try:
            await bus.load_functions()
        except BaseException:
            await bus.close()
            raise
        return bus

    def another(self, lockstep: bool = False) -> RedisBus:
        """One more connection to the same book."""
        return RedisBus(self._connection.another(), self.book, self._where, lockstep)

    async def close(self) -> None:
        """Drop the connection."""
        await self._connection.close()

    async def load_functions(self) -> None:
        """Put the function library into the store; harmless when it is there."""
        await self.call("FUNCTION", "LOAD", "REPLACE", LIBRARY)

    async def call(self, *command: Any) -> Any:
        """Any command's raw reply; raises `BusUnavailable`, `ConfigError` for refused credentials, `InvariantError` else."""
        with self._errors():
            return await self._connection.call(*command)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ConnectionLost as error:
            raise BusUnavailable(f"Redis at {self._where}: {error}") from error
        except ReplyError as error:
            if error.code in _REFUSED or "unauthenticated" in str(error):  # so a long command without a password is refused
                raise ConfigError(f"Redis at {self._where} refuses our credentials: {error}; check redis.password_file") from None
            if error.code in _AWAY:
                raise BusUnavailable(f"Redis at {self._where}: {error}") from error
            raise InvariantError(f"Redis at {self._where}: {error}") from error

    async def _call(self, name: str, keys: Sequence[str], *args: Any) -> Any:
        return (await self._call_then(None, name, keys, *args))[0]

    async def _call_then(self, then: Wait | None, name: str, keys: Sequence[str], *args: Any) -> tuple[Any, Pending | None]:
        """A function's reply, and the reply to come of the wait that went out in the same write."""
        command: Command = ("FCALL", name, len(keys), *keys, *args)
        with self._errors():
            sent = await self._connection.send(*((command,) if then is None else (command, then)))
            reply = await sent[0]
            if isinstance(reply, ReplyError) and "unction not found" in str(reply):
                await self._connection.call("FUNCTION", "LOAD", "REPLACE", LIBRARY)
                reply = await self._connection.call(*command)
            return settled(reply), sent[1] if then is not None else None

    async def settle(self, pending: Pending) -> Any:
        """What came of a wait; raises as `call`."""
        with self._errors():
            return settled(await pending)

    # -- keys -------------------------------------------------------------------------------------------------------

    def stream(self, topic: Topic) -> str:
        """Key of a topic's stream."""
        return self.prefix + topic

    def node_key(self, node: str) -> str:
        """Key of a node's record."""
        return f"{self.prefix}node:{node}"

    def journal_key(self, node: str) -> str:
        """Key of a node's journal."""
        return f"{self.prefix}journal:{node}"

    @property
    def halt_key(self) -> str:
        """Key of the halt flag; it exists while the book is halted."""
        return self.prefix + "halt"

    @property
    def _registry(self) -> str:
        return self.prefix + "nodes"

    # -- the book ---------------------------------------------------------------------------------------------------

    async def begin(self, lineage: str) -> str:
        """Give the book a lineage if it has none; returns the one it has."""
        await self.call("HSETNX", self.prefix + "book", "lineage", lineage)
        return await self.lineage() or lineage

    async def lineage(self) -> str | None:
        """The book's lineage; None where it was never begun (or Redis lost it)."""
        value = await self.call("HGET", self.prefix + "book", "lineage")
        return value.decode() if value else None

    async def halt_flag(self) -> Halt | None:
        """The halt in force; None where the book may trade."""
        value = await self.call("GET", self.halt_key)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=Halt)
        except msgspec.MsgspecError:
            return Halt(command_id="unreadable", ts_event_ns=0, actor="?", reason=repr(value))

    # -- nodes ------------------------------------------------------------------------------------------------------

    async def register(self, name: str, rank: int, inputs: Sequence[Topic], from_head: bool, worker: str) -> None:
        """Make a node known to turns, lag and trimming. A new node begins at the streams' beginning, or at the present."""
        keys = [self._registry, self.node_key(name), *(self.stream(t) for t in inputs)]
        await self._call("barque_register", keys, name, rank, int(from_head), worker, *inputs)

    async def registered(self) -> list[str]:
        """Names of the nodes that have registered."""
        return sorted(name.decode() for name in await self.call("HKEYS", self._registry))

    async def unregister(self, name: str) -> None:
        """Lag, turns and trimming no longer ask about a node that is not to come back; its record stays."""
        await self.call("HDEL", self._registry, name)

    async def load(self, node: str) -> Record:
        """A node's record; an empty one where it never committed."""
        raw = _pairs(await self.call("HGETALL", self.node_key(node)))
        positions = {
            Topic(key[4:].decode()): Position(value.decode(), int(raw.get(b"n:" + key[4:], b"0")))
            for key, value in raw.items()
            if key.startswith(b"pos:")
        }
        outs = _outs_decoder.decode(raw[b"outs"]) if raw.get(b"outs") else {}
        origin = {Topic(k[5:].decode()): Position(*_origin.decode(v)) for k, v in raw.items() if k.startswith(b"from:")}
        return Record(int(raw.get(b"seq", 0)), int(raw.get(b"epoch", 0)), raw.get(b"state", b""), positions, outs, origin)

    async def commit(self, commit: Commit, then: Wait | None = None) -> Committed:
        """Write outputs, state and positions if the node is still where `commit` expects it; safe to issue again.

        `then` (of `wait_to_read` or `wait_for_turn`) goes out in the same write; its reply is in `Committed.waited`.
        """
        topics = [topic for topic in commit.outputs if commit.outputs[topic]]
        outs = dict(commit.outs)
        entries: list[Any] = []
        digest = blake2b(digest_size=16)
        digest.update(_encode((commit.node, commit.expected_seq, commit.state, _flat(commit.positions), commit.halt_action)))
        ts_pub_ns = time.time_ns()
        for index, topic in enumerate(topics):
            body = encode_batch(commit.outputs[topic])
            digest.update(body)
            thread = f"{commit.speaker}/{topic}" if commit.speaker else str(topic)
            seq, chain = outs.get(thread, (0, GENESIS))
            outs[thread] = (seq + 1, link(chain, body))
            entries += [index + 4, pack_envelope(commit.speaker or commit.node, seq + 1, ts_pub_ns, outs[thread][1]), body]
        positions = [part for topic, p in commit.positions.items() for part in (topic, p.entry_id, p.count)]
        journaled = bool(commit.fed) or commit.given
        record = _encode((commit.expected_seq, [(now_ns, _flat(p)) for now_ns, p in commit.fed])) if journaled else b""
        keeps_state = commit.given or (journaled and (commit.expected_seq + 1) % SNAPSHOT_EVERY == 0)
        snapshot = _encode(_Snapshot(commit.state, outs, commit.given)) if keeps_state else b""
        keys = [self.node_key(commit.node), self.journal_key(commit.node), self.halt_key, *(self.stream(t) for t in topics)]
        arguments = (
            commit.expected_seq,
            digest.digest(),
            commit.epoch,
            int(commit.guarded),
            commit.state,
            _encode(outs),
            record,
            snapshot,
            commit.halt_action,
            self._turns,
            len(commit.positions),
            *positions,
            *entries,
        )
        if then is None:
            reply, waited = await self._call("barque_commit", keys, *arguments), None
        else:
            reply, waited = await self._call_then(then, "barque_commit", keys, *arguments)
        return Committed(cast(Verdict, reply[0].decode()), int(reply[1]), outs, waited)

    async def mirror(
        self, node: str, epoch: int, positions: Mapping[Topic, Position], then: Wait | None
    ) -> tuple[bool, Pending | None]:
        """Repeat the positions of a node that keeps them in Postgres: False where a newer epoch has done so; and `then`."""
        flat = [part for topic, p in positions.items() for part in (topic, p.entry_id, p.count)]
        reply, waited = await self._call_then(then, "barque_mirror", [self.node_key(node)], epoch, self._turns, *flat)
        return reply == b"OK", waited

    # -- reading ----------------------------------------------------------------------------------------------------

    def wait_to_read(self, positions: Mapping[Topic, Position], count: int, block_ms: int) -> Wait:
        """At most `count` entries per stream after `positions`, waiting up to `block_ms` for the first."""
        keys = [self.stream(topic) for topic in positions]
        ids = [p.entry_id for p in positions.values()]
        return ("XREAD", "COUNT", count, "BLOCK", max(block_ms, 1), "STREAMS", *keys, *ids)

    def wait_for_turn(self, node: str, timeout_s: float) -> Wait:
        """In lockstep: until the turn may be `node`'s (empty: until the book is at rest), at most `timeout_s`."""
        return ("BLPOP", f"{self.prefix}turn:{node}", timeout_s)

    async def wait(self, wait: Wait) -> Any:
        """Do a wait by itself; its raw reply."""
        return await self.call(*wait)

    def entries(self, reply: Any) -> list[Entry]:
        """The entries of a `wait_to_read`'s raw reply."""
        found: list[Entry] = []
        for key, entries in reply or ():
            topic = Topic(key[len(self.prefix) :].decode())
            found += [entry_from_fields(topic, entry_id, fields) for entry_id, fields in entries]
        return found

    async def take(self, node: str, inputs: Sequence[Topic], count: int) -> tuple[str, list[Entry]]:
        """In lockstep: (holder of the turn, everything unread of `node` if the turn is its)."""
        keys = [self._registry, *(self.stream(t) for t in inputs)]
        reply = await self._call("barque_take", keys, self.prefix, node, count, *inputs)
        entries = [
            entry_from_fields(topic, entry_id, fields)
            for topic, part in zip(inputs, reply[1:], strict=False)
            for entry_id, fields in part
        ]
        return reply[0].decode(), entries

    async def whose_turn(self) -> str:
        """Lowest-ranked node with unread input; empty where the book is quiescent."""
        return str((await self._call("barque_turn", [self._registry], self.prefix)).decode())

    async def range(self, topic: Topic, after: str = "-", until: str = "+", count: int | None = None) -> list[Entry]:
        """Entries of a stream after `after` (exclusive, `-`: from the start) up to `until` (inclusive)."""
        reply = await self._range(self.stream(topic), after, until, count)
        return [entry_from_fields(topic, entry_id, fields) for entry_id, fields in reply]

    async def last(self, topic: Topic, count: int, until: str = "+") -> list[Entry]:
        """The newest `count` entries up to `until` (inclusive), oldest first."""
        reply = await self.call("XREVRANGE", self.stream(topic), until, "-", "COUNT", count)
        return [entry_from_fields(topic, entry_id, fields) for entry_id, fields in reversed(reply)]

    async def head(self, topic: Topic) -> str:
        """Id of the newest entry that a stream has ever had, trimmed or not."""
        if not await self.call("EXISTS", self.stream(topic)):
            return "0-0"
        facts = _pairs(await self.call("XINFO", "STREAM", self.stream(topic)))
        return cast(bytes, facts[b"last-generated-id"]).decode()

    async def length(self, topic: Topic) -> int:
        """Entries now on a stream."""
        return int(await self.call("XLEN", self.stream(topic)))

    async def _range(self, key: str, after: str, until: str, count: int | None) -> Any:
        start = after if after == "-" else f"({after}"
        limit = () if count is None else ("COUNT", count)
        return await self.call("XRANGE", key, start, until, *limit)

    async def journal(self, node: str, after: str = "-", count: int = 1_000) -> list[JournalRecord]:
        """A node's commits in order, after a journal entry id."""
        records = []
        for entry_id, flat in await self._range(self.journal_key(node), after, "+", count):
            fields = _pairs(flat)
            try:
                seq, fed = _journal_decoder.decode(fields[b"r"])
            except (KeyError, msgspec.DecodeError, msgspec.ValidationError) as error:
                raise WireError(f"journal of {node}, entry {entry_id.decode()}: {error}") from error
            batches = [(now_ns, {Topic(t): Position(*p) for t, p in positions.items()}) for now_ns, positions in fed]
            kept = _snapshot.decode(fields[b"s"]) if b"s" in fields else None
            snapshot = None if kept is None else (kept.state, kept.outs)
            records.append(JournalRecord(entry_id.decode(), seq, batches, snapshot, kept is not None and kept.given))
        return records

    # -- upkeep -----------------------------------------------------------------------------------------------------

    async def lease(self, name: str, owner: str, ttl_ms: int) -> str:
        """Hold `name` for `ttl_ms` (0: give it up); returns who holds it. For liveness only, never for correctness."""
        return str((await self._call("barque_lease", [f"{self.prefix}lease:{name}"], owner, ttl_ms)).decode())

    async def worker_beat(self, worker: str, ttl_ms: int) -> list[str]:
        """Say that a strategy worker lives; returns all that do, sorted."""
        key = self.prefix + "workers"
        now_ms = await self.time_ms()
        await self.call("ZADD", key, now_ms + ttl_ms, worker)
        await self.call("ZREMRANGEBYSCORE", key, "-inf", now_ms)
        return sorted(name.decode() for name in await self.call("ZRANGE", key, 0, -1))

    async def worker_leave(self, worker: str) -> None:
        """Say that a strategy worker ends, so that others need not wait for its leases."""
        await self.call("ZREM", self.prefix + "workers", worker)

    async def time_ms(self) -> int:
        """The store's clock."""
        seconds, micros = await self.call("TIME")
        return int(seconds) * 1_000 + int(micros) // 1_000

    async def trim(self, window_s: int) -> int:
        """Drop entries that every reader has passed and that are older than the window; returns how many went."""
        guard = self.prefix + "trimmed"
        return int(await self._call("barque_trim", [self._registry, guard], self.prefix, window_s * 1000, *Topic))

    async def facts(self) -> Facts:
        """Version and durability of the store."""
        text = (await self.call("INFO")).decode()
        info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return Facts(
            version=info.get("valkey_version") or info["redis_version"],
            appendonly=info["aof_enabled"] == "1",
            maxmemory_policy=info["maxmemory_policy"],
            now_ms=await self.time_ms(),
        )

    async def status(self) -> list[NodeStatus]:
        """Every registered node with its lag, by rank and name."""
        registry = _pairs(await self.call("HGETALL", self._registry))
        commands: list[Command] = [("XINFO", "STREAM", self.stream(topic)) for topic in Topic]
        commands += [("HGETALL", self.node_key(name.decode())) for name in registry]
        with self._errors():
            (seconds, micros), *replies = await self._connection.call_all([("TIME",), *commands])
        now_ms = int(seconds) * 1_000 + int(micros) // 1_000
        infos, records = replies[: len(Topic)], [_pairs(reply) for reply in replies[len(Topic) :]]
        added = {
            topic: 0 if isinstance(info, ReplyError) else int(_pairs(info)[b"entries-added"])
            for topic, info in zip(Topic, infos, strict=True)
        }
        found = []
        for (name, spec), raw in zip(registry.items(), records, strict=True):
            rank, _, topics = spec.decode().partition("|")
            found.append(
                NodeStatus(
                    name=name.decode(),
                    rank=int(rank),
                    seq=int(raw.get(b"seq", 0)),
                    worker=raw.get(b"worker", b"").decode(),
                    last_seen_ms=now_ms - int(raw.get(b"seen", 0)),
                    lag_entries={t: added[Topic(t)] - int(raw.get(b"n:" + t.encode(), 0)) for t in topics.split(",") if t},
                    refused={k[8:].decode(): int(v) for k, v in sorted(raw.items()) if k.startswith(b"refused:")},
                )
            )
        return sorted(found, key=lambda s: (s.rank, s.name))


def _pairs(flat: Sequence[Any]) -> dict[Any, Any]:
    """A RESP2 map: keys and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _flat(positions: Mapping[Topic, Position]) -> dict[str, tuple[str, int]]:
    return {str(topic): (p.entry_id, p.count) for topic, p in sorted(positions.items())}
