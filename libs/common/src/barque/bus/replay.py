"""Runs a node again over a recorded period and compares every byte it says with what it said then.

In:   a source of streams and journals (the live Redis, or a recording), a fresh node.   Out: a report.
Not:  writes. The journal gives each batch's time and positions; the streams give the inputs and the outputs of the day.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from barque.bus.redis_bus import JournalRecord, RedisBus
from barque.bus.step import Position, merge, run_step
from barque.bus.wire import Entry, id_key, link
from barque.errors import BarqueError, ConfigError, WireError
from barque.messages import Message, Topic, decode_batch, encode_batch
from barque.node import Node

PAGE = 1_000
Outs = dict[str, tuple[int, bytes]]


class Source(Protocol):
    """Where streams and journals come from."""

    async def range(self, topic: Topic, after: str = "-", until: str = "+", count: int | None = None) -> list[Entry]:
        """Entries after `after` (exclusive) up to `until` (inclusive)."""
        ...

    async def journal(self, node: str, after: str = "-", count: int = PAGE) -> list[JournalRecord]:
        """Commits of a node in order."""
        ...

    async def origin(self, node: str) -> dict[Topic, Position]:
        """Where the node began to read."""
        ...


@dataclass(slots=True)
class Report:
    """What a replay found."""

    node: str
    commits: int = 0
    messages_in: int = 0
    entries_out: int = 0
    bytes_out: int = 0
    given: int = 0
    """Commits that were taken as they were: a past that the node was born with, a batch in which a hook was stopped."""
    from_seq: int = 0
    altered_inputs: list[str] = field(default_factory=list)
    """Input entries whose bytes do not fit their chain: changed since they were written."""
    difference: str = ""
    """The first output that is not the same; empty where all are."""

    @property
    def identical(self) -> bool:
        """True where every output entry was compared and is equal to the byte, and no input was changed."""
        return not self.difference and not self.altered_inputs


async def replay(source: Source, node: Node, lockstep: bool) -> Report:
    """Replay everything the journal of `node` still holds; stops at the first difference. Raises `ConfigError` if nothing."""
    run = _Replay(source, node, lockstep)
    async for record in _journal(source, node.name):
        if not await run.begin(record):
            continue
        if await run.again(record):
            break
    if not run.report.commits and not run.report.given:
        raise ConfigError(f"no journal of node '{node.name}' in this book; nodes with one: those that commit to Redis")
    return run.report


async def _journal(source: Source, node: str) -> AsyncIterator[JournalRecord]:
    after = "-"
    while page := await source.journal(node, after, PAGE):
        for record in page:
            yield record
        after = page[-1].entry_id


class _Replay:
    def __init__(self, source: Source, node: Node, lockstep: bool) -> None:
        self._source = source
        self._node = node
        self._lockstep = lockstep
        self._state = b""
        self._positions: dict[Topic, Position] | None = None
        self._outs: Outs = {}
        self._said: dict[Topic, _Said] = {}
        self._chains: dict[tuple[Topic, str], tuple[int, bytes]] = {}
        self.report = Report(node.name)

    async def begin(self, record: JournalRecord) -> bool:
        """Whether to compute the record again: from the node's first commit on, or the first record that carries the state. What
        was given then is given again."""
        if record.given and record.snapshot is not None:
            await self._be_given(record, record.snapshot)
            return False
        if self._positions is not None:
            return True
        if record.seq == 0:
            self._positions = await self._source.origin(self._node.name)
            self._node.restore(b"")
            return True
        if record.snapshot is not None:
            self._state, self._outs = record.snapshot
            self._positions = dict(record.fed[-1][1])
            self._node.restore(self._state)
            self.report.from_seq = record.seq + 1
        return False

    async def _be_given(self, record: JournalRecord, snapshot: tuple[bytes, Outs]) -> None:
        self._state, self._outs = snapshot
        self._positions = dict(record.fed[-1][1]) if record.fed else await self._source.origin(self._node.name)
        self._node.restore(self._state)
        for topic, said in self._said.items():
            said.skip = self._outs.get(topic, (0, b""))[0]
        self.report.given += 1

    async def again(self, record: JournalRecord) -> bool:
        """One commit, batch by batch; True where it came out differently."""
        report = self.report
        report.commits += 1
        outputs: dict[Topic, list[Message]] = {}
        for now_ns, positions in record.fed:
            before = self._positions or {}
            entries = [e for topic, to in positions.items() for e in await self._between(topic, before.get(topic), to)]
            batch = merge(entries, self._lockstep)
            while True:
                step = run_step(self._node, batch, before, self._state, now_ns)
                report.messages_in += step.count
                for topic, messages in step.outputs.items():
                    outputs.setdefault(topic, []).extend(messages)
                self._state = self._node.snapshot()
                if step.poison is None:
                    break
                batch, now_ns = batch[batch.index(step.poison.entry) + 1 :], 0  # then, an operator resumed past it
            self._positions = positions
        for topic, messages in outputs.items():
            if messages and (difference := await self._compare(topic, messages)):
                report.difference = f"commit {record.seq}: {difference}"
                return True
        if record.snapshot is not None and record.snapshot[0] != self._state:
            report.difference = f"commit {record.seq}: the state is another one than was committed"
            return True
        return False

    async def _between(self, topic: Topic, after: Position | None, until: Position) -> list[Entry]:
        start = after or Position()
        if start == until:
            return []
        entries = await self._source.range(topic, start.entry_id, until.entry_id)
        if len(entries) != until.count - start.count:
            raise ConfigError(
                f"{until.count - start.count} entries of {topic} after {start.entry_id} were read then, {len(entries)} are left: "
                f"the streams have been trimmed; replay a recording (`barque record`)"
            )
        for entry in entries:
            self._check(entry)
        return entries

    def _check(self, entry: Entry) -> None:
        try:
            header = entry.header()
        except WireError:
            return
        key = entry.topic, header.source
        known = self._chains.get(key)
        if known is not None and header.seq == known[0] + 1 and link(known[1], entry.body) != header.chain:
            self.report.altered_inputs.append(f"{entry.topic} {entry.entry_id} of {header.source}")
        self._chains[key] = header.seq, header.chain

    async def _compare(self, topic: Topic, messages: list[Message]) -> str:
        said = self._said.setdefault(topic, _Said(self._source, topic, self._node.name, self._outs.get(topic, (0, b""))[0]))
        body = encode_batch(messages)
        entry = await said.next()
        if entry is None:
            return f"{topic}: says {messages[0]}, then it said nothing"
        self.report.entries_out += 1
        self.report.bytes_out += len(body)
        if entry.body == body:
            return ""
        return f"{topic} {entry.entry_id}: {_first_difference(topic, entry.body, messages)}"


class _Said:
    """The entries of one source on one topic, in order."""

    def __init__(self, source: Source, topic: Topic, node: str, skip: int) -> None:
        self._source, self._topic, self._node, self.skip = source, topic, node, skip
        self._after = "-"
        self._page: list[Entry] = []

    async def next(self) -> Entry | None:
        while True:
            while self._page:
                entry = self._page.pop(0)
                header = entry.header()
                if header.source == self._node and header.seq > self.skip:
                    return entry
            self._page = await self._source.range(self._topic, self._after, count=PAGE)
            if not self._page:
                return None
            self._after = self._page[-1].entry_id


def _first_difference(topic: Topic, then: bytes, now: list[Message]) -> str:
    try:
        recorded = decode_batch(topic, then)
    except BarqueError as error:
        return f"the recorded entry does not decode: {error}"
    for index, (old, new) in enumerate(zip(recorded, now, strict=False)):
        if old != new:
            return f"message {index}: then {old}, now {new}"
    return f"{len(recorded)} messages then, {len(now)} now"


# -- recordings -----------------------------------------------------------------------------------------------------------


class LiveSource:
    """The streams as they are in Redis now."""

    def __init__(self, bus: RedisBus) -> None:
        self._bus = bus
        self.range = bus.range
        self.journal = bus.journal

    async def origin(self, node: str) -> dict[Topic, Position]:
        """Where the node began to read."""
        return (await self._bus.load(node)).origin


class _RecordedCommit(msgspec.Struct, array_like=True):
    entry_id: str
    seq: int
    fed: list[tuple[int, dict[str, tuple[str, int]]]]
    snapshot: tuple[bytes, Outs] | None
    given: bool = False


class _Recording(msgspec.Struct):
    book: str
    streams: dict[str, list[tuple[str, bytes, bytes]]]
    journals: dict[str, list[_RecordedCommit]]
    origins: dict[str, dict[str, tuple[str, int]]]


async def record(bus: RedisBus, path: Path) -> Mapping[str, int]:
    """Write all streams and journals of a book to one compressed file; returns entries per stream.

    Journals first: on a running book the streams then hold all that the journals speak of, and a little more.
    """
    journals: dict[str, list[_RecordedCommit]] = {}
    origins: dict[str, Any] = {}
    for node in await bus.registered():
        origins[node] = _flat((await bus.load(node)).origin)
        journals[node] = [
            _RecordedCommit(r.entry_id, r.seq, [(now_ns, _flat(to)) for now_ns, to in r.fed], r.snapshot, r.given)
            async for r in _journal(LiveSource(bus), node)
        ]
    streams: dict[str, list[tuple[str, bytes, bytes]]] = {}
    for topic in Topic:
        streams[topic] = []
        after = "-"
        while page := await bus.range(topic, after, count=PAGE):
            streams[topic] += [(e.entry_id, e.envelope, e.body) for e in page]
            after = page[-1].entry_id
    blob = msgspec.msgpack.encode(_Recording(bus.book, streams, journals, origins))
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(gzip.compress(blob, compresslevel=6, mtime=0))
    temporary.replace(path)
    return {topic: len(entries) for topic, entries in streams.items()}


class RecordedSource:
    """The streams as a recording has them."""

    def __init__(self, path: Path) -> None:
        try:
            self._data = msgspec.msgpack.decode(gzip.decompress(path.read_bytes()), type=_Recording)
        except FileNotFoundError:
            raise ConfigError(f"recording {path} does not exist") from None
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise ConfigError(f"{path} is not a recording: {error}") from None
        self._streams = {
            topic: [Entry(Topic(topic), entry_id, envelope, body) for entry_id, envelope, body in entries]
            for topic, entries in self._data.streams.items()
        }

    async def range(self, topic: Topic, after: str = "-", until: str = "+", count: int | None = None) -> list[Entry]:
        """Entries after `after` (exclusive) up to `until` (inclusive)."""
        low = (-1, -1) if after == "-" else id_key(after)
        high = (1 << 63, 0) if until == "+" else id_key(until)
        entries = self._streams.get(topic, [])
        first = _bisect(entries, lambda e: id_key(e.entry_id) > low)
        last = _bisect(entries, lambda e: id_key(e.entry_id) > high)
        return entries[first : last if count is None else min(last, first + count)]

    async def journal(self, node: str, after: str = "-", count: int = PAGE) -> list[JournalRecord]:
        """Commits of a node in order."""
        low = (-1, -1) if after == "-" else id_key(after)
        found = [r for r in self._data.journals.get(node, []) if id_key(r.entry_id) > low][:count]
        return [
            JournalRecord(r.entry_id, r.seq, [(now_ns, _positions(to)) for now_ns, to in r.fed], r.snapshot, r.given)
            for r in found
        ]

    async def origin(self, node: str) -> dict[Topic, Position]:
        """Where the node began to read."""
        return _positions(self._data.origins.get(node, {}))


def _flat(positions: Mapping[Topic, Position]) -> dict[str, tuple[str, int]]:
    return {str(topic): (p.entry_id, p.count) for topic, p in positions.items()}


def _positions(flat: Mapping[str, tuple[str, int]]) -> dict[Topic, Position]:
    return {Topic(topic): Position(*p) for topic, p in flat.items()}


def _bisect(entries: list[Entry], beyond: Callable[[Entry], bool]) -> int:
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if beyond(entries[middle]):
            high = middle
        else:
            low = middle + 1
    return low
