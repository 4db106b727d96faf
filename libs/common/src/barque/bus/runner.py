"""Drives one node over Redis: read, handle, commit; forever, whatever dies.

In:   a node and a bus.   Out: the node's outputs, state and position, written in one atomic step each time.
Not:  effects outside Redis (see `barque.bus.ledger`), locks, retries of anything but the very same commit.

The verdict decides: OK and DUP go on; STALE means that somebody else moved this node, so what we computed is dropped and
the state loaded again; HALTED means that the batch held an order while the book is halted, so it is computed again with
the halt in it. A node that says `Halt` itself sets the book's flag in the commit that says it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from barque.bus.node_shell import NodeShell, RunnerOptions, past
from barque.bus.redis_bus import Commit, Record, RedisBus, flag_of
from barque.bus.step import Poison, Position, Step
from barque.bus.wire import Entry
from barque.errors import BusUnavailable, WireError
from barque.messages import Halt, Message, SubmitOrder, Topic, time_of
from barque.node import Interruptible, Node, Output
from barque.observability.health import Health

Birth: TypeAlias = Callable[[Mapping[Topic, Position], int], Awaitable[Sequence[Output]]]
"""Gives a new node its past: told where it begins to read and the time of the first message it will be fed, ns; what it says."""


@dataclass(slots=True)
class Ahead:
    """What a node has been fed since its last commit. Batches that say nothing wait a moment and commit together: should the
    process die, they are read again and say nothing again. What is said is committed at once."""

    positions: dict[Topic, Position]
    state: bytes
    outputs: dict[Topic, list[Message]] = field(default_factory=dict)
    fed: list[tuple[int, dict[Topic, Position]]] = field(default_factory=list)
    since: float = 0.0
    given: bool = False
    """Something in it cannot be computed again."""

    def add(self, step: Step, state: bytes) -> None:
        """A batch has been handled; one that changed nothing at all leaves no trace."""
        if not step.outputs and step.positions == self.positions and state == self.state:
            return
        if not self.fed:
            self.since = time.monotonic()
        for topic, messages in step.outputs.items():
            self.outputs.setdefault(topic, []).extend(messages)
        self.fed.append((step.now_ns, step.positions))
        self.positions, self.state = step.positions, state

    def due(self, window_s: float) -> bool:
        """True where there is something to commit that must not wait any longer."""
        return bool(self.fed) and (bool(self.outputs) or time.monotonic() - self.since >= window_s)


class RedisRunner:
    """One node, one connection, one loop."""

    def __init__(self, node: Node, bus: RedisBus, options: RunnerOptions, health: Health, birth: Birth | None = None) -> None:
        """`birth` is called once in the life of the node, before its first batch; what it makes is the first commit."""
        self._node = node
        self._birth = birth
        self._shell = NodeShell(node, bus, options, health)
        self._record: Record | None = None
        self._ahead = Ahead({}, b"")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises only what ends the node for good (disposition stop)."""

        async def cycle() -> None:
            await self._cycle(stop)

        await self._shell.serve(stop, cycle, self._forget)

    async def _forget(self) -> None:
        self._record = None

    async def _load(self) -> Record:
        shell = self._shell
        await shell.register()
        shell.reader.waited(None)
        record = await shell.bus.load(self._node.name)
        self._node.restore(record.state)
        self._record, self._ahead = record, Ahead(record.positions, record.state)
        shell.ready()
        shell.log.info("node_loaded", seq=record.seq, state_bytes=len(record.state))
        return record

    async def _cycle(self, stop: asyncio.Event) -> None:
        """One batch; a runner that has forgotten its record loads it first."""
        shell = self._shell
        record, ahead = self._record or await self._load(), self._ahead
        entries = await shell.reader.next(ahead.positions)
        now_ns = shell.tell_time()
        if self._birth is not None and record.seq == 0 and (entries or now_ns):
            return await self._be_born(self._birth, record, _first_ns(entries, now_ns), stop)
        await shell.upkeep(busy=bool(entries))
        poison = None
        if entries or now_ns:
            overruns = _overruns(self._node)
            step = shell.step(entries, ahead.positions, ahead.state, now_ns)
            ahead.add(step, self._node.snapshot())
            ahead.given = ahead.given or _overruns(self._node) != overruns
            poison = step.poison
        if ahead.due(0.0 if poison or stop.is_set() else shell.window_s) and not await self._commit(self._build(record), stop):
            return
        if poison is not None:
            await self._stop_book(poison, stop)

    async def _be_born(self, birth: Birth, record: Record, first_ns: int, stop: asyncio.Event) -> None:
        """The node's first commit: it has read nothing yet, and has a past. The batch at hand is read again after it."""
        outputs: dict[Topic, list[Message]] = {}
        for topic, message in await birth(record.positions, first_ns):
            outputs.setdefault(topic, []).append(message)
        state = self._node.snapshot()
        self._shell.log.info("node_born", state_bytes=len(state), first_ns=first_ns)
        commit = Commit(
            node=self._node.name,
            expected_seq=record.seq,
            epoch=record.epoch,
            state=state,
            positions=record.positions,
            outputs=outputs,
            outs=record.outs,
            given=True,
        )
        await self._commit(commit, stop)

    def _build(self, record: Record) -> Commit:
        ahead = self._ahead
        return Commit(
            node=self._node.name,
            expected_seq=record.seq,
            epoch=record.epoch,
            state=ahead.state,
            positions=ahead.positions,
            outputs=ahead.outputs,
            outs=record.outs,
            fed=ahead.fed,
            guarded=any(isinstance(m, SubmitOrder) for m in ahead.outputs.get(Topic.ORDERS, ())),
            halt_action=next((flag_of(m) for m in ahead.outputs.get(Topic.CONTROL, ()) if isinstance(m, Halt)), ""),
            given=ahead.given,
        )

    async def _commit(self, commit: Commit, stop: asyncio.Event) -> bool:
        """Issue until the store has answered; True where the node goes on from here, False where it must load again."""
        shell, failures = self._shell, 0
        while True:
            began = time.perf_counter()
            try:
                answer = await shell.bus.commit(commit, shell.reader.wait(commit.positions))
                break
            except BusUnavailable as error:
                if stop.is_set():
                    raise
                await shell.back_off(stop, failures, f"{error}; commit {commit.expected_seq} is issued again")
                failures += 1
        if failures:
            shell.ready()
        shell.metrics.committed(answer.verdict, time.perf_counter() - began)
        if answer.verdict in ("STALE", "HALTED"):
            shell.log.info("commit_refused", verdict=answer.verdict, expected_seq=commit.expected_seq, stored_seq=answer.seq)
            self._record = None
            return False
        shell.reader.waited(answer.waited)
        self._record = Record(answer.seq, commit.epoch, commit.state, dict(commit.positions), answer.outs)
        self._ahead = Ahead(self._record.positions, self._record.state)
        return True

    async def _stop_book(self, poison: Poison, stop: asyncio.Event) -> None:
        async def say(outputs: Mapping[Topic, Sequence[Message]], halt: Halt) -> None:
            await self._aside(self._ahead.positions, stop, outputs, flag_of(halt))

        if await self._shell.stop_book(poison, stop, say):
            await self._aside(past(poison, self._ahead.positions), stop)
        self._record = None

    async def _aside(
        self,
        positions: Mapping[Topic, Position],
        stop: asyncio.Event,
        outputs: Mapping[Topic, Sequence[Message]] | None = None,
        halt_action: str = "",
    ) -> None:
        """A commit in the shell's own name, which leaves the node's state as it is and is not the node's to replay."""
        record = self._record
        if record is None:
            return
        commit = Commit(
            node=self._node.name,
            speaker=f"{self._node.name}.shell",
            expected_seq=record.seq,
            epoch=record.epoch,
            state=record.state,
            positions=positions,
            outputs=outputs or {},
            outs=record.outs,
            halt_action=halt_action,
        )
        await self._commit(commit, stop)


def _overruns(node: Node) -> int:
    return node.overruns if isinstance(node, Interruptible) else 0


def _first_ns(entries: Iterable[Entry], now_ns: int) -> int:
    """The earliest time that a batch tells of."""
    times = [now_ns]
    for entry in entries:
        try:
            times += [time_of(message) for message in entry.messages()]
        except WireError:
            continue  # the node's step puts it aside
    return min((ts_ns for ts_ns in times if ts_ns > 0), default=0)
