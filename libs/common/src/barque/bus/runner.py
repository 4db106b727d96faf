"""Drives one node over Redis: read, handle, commit; forever, whatever dies.

In:   a node and a bus.   Out: the node's outputs, state and position, written in one atomic step each time.
Not:  effects outside Redis (see `barque.bus.ledger`), locks, retries of anything but the very same commit.

The verdict decides: OK and DUP go on; STALE means that somebody else moved this node, so what we computed is dropped and
the state loaded again; HALTED means that the batch held an order while the book is halted, so it is computed again with
the halt in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from barque.bus.reader import Reader
from barque.bus.redis_bus import Commit, Record, RedisBus, flag_of
from barque.bus.step import Poison, Position, Step, run_step
from barque.errors import BarqueError, BusUnavailable
from barque.messages import Alert, DeadLetter, Halt, Message, SubmitOrder, Topic
from barque.node import Node
from barque.observability.health import Health
from barque.observability.metrics import NodeMetrics

log = structlog.get_logger()
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
GROUP_S = 0.2
"""On a wall clock, how long batches that say nothing may wait for a common commit."""


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How time passes, and who we are."""

    service: str
    worker: str
    lockstep: bool = False
    feed_clock: bool = False
    clock_interval_ms: int = 250
    trim_window_s: int = 86_400
    wall_ns: Callable[[], int] = field(default=time.time_ns)


@dataclass(slots=True)
class Ahead:
    """What a node has been fed since its last commit. Batches that say nothing wait a moment and commit together: should the
    process die, they are read again and say nothing again. What is said is committed at once."""

    positions: dict[Topic, Position]
    state: bytes
    outputs: dict[Topic, list[Message]] = field(default_factory=dict)
    fed: list[tuple[int, dict[Topic, Position]]] = field(default_factory=list)
    since: float = 0.0
    poison: Poison | None = None

    def add(self, step: Step, state: bytes) -> None:
        """A batch has been handled; one that changed nothing at all leaves no trace."""
        self.poison = step.poison
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
        if not self.fed:
            return False
        return bool(self.outputs or self.poison) or time.monotonic() - self.since >= window_s


class RedisRunner:
    """One node, one connection, one loop."""

    def __init__(self, node: Node, bus: RedisBus, options: RunnerOptions, health: Health) -> None:
        self._node = node
        self._bus = bus
        self._options = options
        self._health = health
        self._metrics = NodeMetrics(options.service, node.name)
        self._inputs = inputs_of(node, options.feed_clock)
        self._reader = Reader(bus, node.name, self._inputs, options.lockstep, options.clock_interval_ms)
        self._record = Record(0, 0, b"", {}, {})
        self._ahead = Ahead({}, b"")
        self._window_s = 0.0 if options.lockstep else GROUP_S
        self._now_ns = 0
        self._next_upkeep = 0.0
        self._log = log.bind(node=node.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises only what ends the node for good (disposition stop)."""
        failures = 0
        loaded = False
        while not stop.is_set():
            try:
                if not loaded:
                    await self._load()
                    loaded = True
                    failures = 0
                    self._health.ready(self._node.name)
                loaded = await self._cycle(stop)
                if loaded and stop.is_set() and self._ahead.fed:
                    await self._commit(self._build(), stop)
            except BarqueError as error:
                if error.disposition != "retry":
                    self._health.not_ready(self._node.name, str(error))
                    raise
                loaded = False
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                if self._health.not_ready(self._node.name, str(error)):
                    self._log.warning("bus_unavailable", reason=str(error), retry_s=pause)
                await pause_until(stop, pause)

    async def _load(self) -> None:
        from_head = not self._options.feed_clock
        await self._bus.register(self._node.name, self._node.rank, self._inputs, from_head, self._options.worker)
        self._reader.forget()
        self._record = await self._bus.load(self._node.name)
        self._node.restore(self._record.state)
        self._ahead = Ahead(self._record.positions, self._record.state)
        self._log.info("node_loaded", seq=self._record.seq, state_bytes=len(self._record.state))

    async def _cycle(self, stop: asyncio.Event) -> bool:
        """One batch; False where the state must be loaded again."""
        entries = await self._reader.next(self._ahead.positions)
        now_ns = self._tell_time()
        await self._upkeep()
        if entries or now_ns:
            began = time.perf_counter()
            step = run_step(self._node, entries, self._ahead.positions, self._ahead.state, now_ns)
            self._ahead.add(step, self._node.snapshot())
            self._metrics.stepped(step.count, {t: len(m) for t, m in step.outputs.items()}, time.perf_counter() - began)
        if self._ahead.due(self._window_s) and not await self._commit(self._build(), stop):
            return False
        if self._ahead.poison is not None:
            await self._stop_book(self._ahead.poison, stop)
            return False
        return True

    def _build(self) -> Commit:
        record, ahead = self._record, self._ahead
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
        )

    async def _commit(self, commit: Commit, stop: asyncio.Event) -> bool:
        """Issue until the store has answered; True where the node goes on from here."""
        failures = 0
        while True:
            began = time.perf_counter()
            try:
                answer = await self._bus.commit(commit, self._reader.wait(commit.positions))
                break
            except BusUnavailable as error:
                if stop.is_set():
                    raise
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                if self._health.not_ready(self._node.name, str(error)):
                    self._log.warning("commit_unknown", seq=commit.expected_seq, reason=str(error), retry_s=pause)
                await pause_until(stop, pause)
        if failures:
            self._health.ready(self._node.name)
        self._metrics.committed(answer.verdict, time.perf_counter() - began)
        self._reader.waited(answer.waited)
        if answer.verdict in ("STALE", "HALTED"):
            self._reader.forget()
            self._log.info("commit_refused", verdict=answer.verdict, expected_seq=commit.expected_seq, stored_seq=answer.seq)
            return False
        self._record = Record(answer.seq, commit.epoch, commit.state, dict(commit.positions), answer.outs)
        self._ahead = Ahead(self._record.positions, self._record.state, poison=self._ahead.poison)
        return True

    async def _stop_book(self, poison: Poison, stop: asyncio.Event) -> None:
        """Halt the book before an entry that the order path cannot read; go past it when an operator has resumed."""
        entry = poison.entry
        command_id = f"poison/{self._node.name}/{entry.topic}/{entry.entry_id}"
        text = (
            f"{self._node.name} stopped the book: {entry.topic} {entry.entry_id} cannot be handled ({poison.reason}). "
            f"Its bytes are in `dead`. Resuming skips this entry."
        )
        self._health.not_ready(self._node.name, text)
        self._log.error("book_stopped", stream=entry.topic, entry_id=entry.entry_id, reason=poison.reason)
        now_ns = self._options.wall_ns()
        halt = Halt(command_id=command_id, ts_event_ns=now_ns, actor=self._node.name, reason=text)
        letter = DeadLetter(
            node=self._node.name, stream=entry.topic, entry_id=entry.entry_id, reason=poison.reason, raw=entry.body
        )
        alert = Alert(name="book_stopped", ts_event_ns=now_ns, severity="critical", source=self._node.name, text=text)
        outputs: dict[Topic, list[Message]] = {Topic.DEAD: [letter], Topic.ALERTS: [alert], Topic.CONTROL: [halt]}
        flag = await self._bus.halt_flag()
        known = flag is not None and flag.command_id == command_id
        if not known and not await self._commit(self._aside({}, outputs, flag_of(halt)), stop):
            return
        while not stop.is_set():
            if await self._bus.halt_flag() is None:
                before = self._record.positions.get(entry.topic, Position())
                past = {entry.topic: Position(entry.entry_id, before.count + 1)}
                await self._commit(self._aside(past, {}, ""), stop)
                self._log.warning("poison_skipped", stream=entry.topic, entry_id=entry.entry_id)
                return
            await pause_until(stop, 0.2)

    def _aside(self, moved: dict[Topic, Position], outputs: Mapping[Topic, Sequence[Message]], halt_action: str) -> Commit:
        """A commit that leaves the node's state as it is."""
        record = self._record
        return Commit(
            node=self._node.name,
            expected_seq=record.seq,
            epoch=record.epoch,
            state=record.state,
            positions={**record.positions, **moved},
            outputs=outputs,
            outs=record.outs,
            halt_action=halt_action,
        )

    def _tell_time(self) -> int:
        if self._options.feed_clock:
            return 0
        self._now_ns = max(self._now_ns + 1, self._options.wall_ns())
        return self._now_ns

    async def _upkeep(self) -> None:
        """About once a second: the lag for the metrics, the node's own counters; a trim where one is due."""
        if time.monotonic() < self._next_upkeep:
            return
        self._next_upkeep = time.monotonic() + 1.0
        self._metrics.counts(getattr(self._node, "counters", {}))
        for status in await self._bus.status():
            if status.name == self._node.name:
                self._metrics.lag(status.lag_entries)
        if not self._options.feed_clock:
            await self._bus.trim(self._options.trim_window_s)


def inputs_of(node: Node, feed_clock: bool) -> tuple[Topic, ...]:
    """What a node reads: on a wall clock the runner itself tells the time."""
    return tuple(t for t in node.inputs if feed_clock or t is not Topic.CLOCK)


async def pause_until(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
