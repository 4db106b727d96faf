"""What is the same around every node, whatever store its position is in: waiting, time, health, metrics, and how it stops.

In:   a node, a bus, who we are.   Out: the loop that survives a store's absence; the words for an entry that cannot be read.
Not:  commits; each runner has its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from barque.bus.reader import Reader
from barque.bus.redis_bus import RedisBus
from barque.bus.step import Poison, Position, Step, run_step
from barque.bus.wire import Entry
from barque.errors import BarqueError
from barque.messages import Alert, DeadLetter, Halt, Message, Topic
from barque.node import Node
from barque.observability.health import Health
from barque.observability.metrics import NodeMetrics

log = structlog.get_logger()
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
GROUP_S = 0.2
"""On a wall clock, how long batches that say nothing may wait for a common commit."""
UPKEEP_S = 1.0
BUSY_S = 4.0


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


class NodeShell:
    """The surroundings of one node."""

    def __init__(self, node: Node, bus: RedisBus, options: RunnerOptions, health: Health, without: Topic | None = None) -> None:
        """`without`: an input that this runner brings itself."""
        self.node = node
        self.bus = bus
        self.options = options
        self.log = log.bind(node=node.name)
        self.metrics = NodeMetrics(options.service, node.name)
        self.inputs = tuple(t for t in node.inputs if t is not without and (options.feed_clock or t is not Topic.CLOCK))
        self.reader = Reader(bus, node.name, self.inputs, options.lockstep, options.clock_interval_ms)
        self.window_s = 0.0 if options.lockstep else GROUP_S
        self._health = health
        self._now_ns = 0
        self._next_upkeep = 0.0

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def serve(
        self, stop: asyncio.Event, cycle: Callable[[], Awaitable[None]], abandon: Callable[[], Awaitable[None]]
    ) -> None:
        """Call `cycle` until `stop`; when a store is away, `abandon` what was held and try again with backoff.

        Raises only what ends the node for good.
        """
        failures = 0
        while not stop.is_set():
            try:
                await cycle()
                failures = 0
            except BarqueError as error:
                await abandon()
                if error.disposition != "retry":
                    self._health.not_ready(self.node.name, str(error))
                    raise
                await self.back_off(stop, failures, str(error))
                failures += 1

    async def back_off(self, stop: asyncio.Event, failures: int, reason: str) -> None:
        """Not ready because of `reason`; wait, longer after each failure. One log line per new reason."""
        pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
        if self._health.not_ready(self.node.name, reason):
            self.log.warning("store_unavailable", reason=reason, retry_s=pause)
        await pause_until(stop, pause)

    def ready(self) -> None:
        """The node works."""
        self._health.ready(self.node.name)

    def not_ready(self, reason: str) -> bool:
        """The node does not work; True where the reason is news."""
        return self._health.not_ready(self.node.name, reason)

    async def register(self) -> None:
        """Make the node known to the book. On a wall clock a strategy that is new to the book begins with the present: what
        went before is not to be traded on. The order path reads everything there is."""
        node, options = self.node, self.options
        from_head = not options.feed_clock and not node.order_path
        await self.bus.register(node.name, node.rank, self.inputs, from_head, options.worker)

    # -- one batch ----------------------------------------------------------------------------------------------------

    def tell_time(self) -> int:
        """What to tell the node: on a wall clock a time later than any before, on a feed clock nothing (0)."""
        if self.options.feed_clock:
            return 0
        self._now_ns = max(self._now_ns + 1, self.options.wall_ns())
        return self._now_ns

    def step(
        self,
        entries: Sequence[Entry],
        positions: Mapping[Topic, Position],
        state: bytes,
        now_ns: int,
        keep_handled: bool = False,
        events: Sequence[Any] = (),
        closing: Any = None,
    ) -> Step:
        """Feed a batch, and count it."""
        began = time.perf_counter()
        step = run_step(self.node, entries, positions, state, now_ns, keep_handled, events, closing)
        self.metrics.stepped(step.count, {t: len(m) for t, m in step.outputs.items()}, time.perf_counter() - began)
        return step

    async def upkeep(self, busy: bool) -> None:
        """About once a second: the lag and the node's own counters for the metrics; a trim where one is due.

        A busy node first does what it has to; only when it has been busy for long the upkeep comes in between.
        """
        if time.monotonic() < self._next_upkeep + (BUSY_S if busy else 0.0):
            return
        self._next_upkeep = time.monotonic() + UPKEEP_S
        self.metrics.counts(getattr(self.node, "counters", {}))
        for status in await self.bus.status():
            if status.name == self.node.name:
                self.metrics.lag(status.lag_entries)
        if not self.options.feed_clock:
            await self.bus.trim(self.options.trim_window_s)

    # -- an entry that cannot be handled ------------------------------------------------------------------------------

    async def stop_book(
        self,
        poison: Poison,
        stop: asyncio.Event,
        say: Callable[[Mapping[Topic, Sequence[Message]], Halt], Awaitable[None]],
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Halt the book before `poison`, and wait for an operator's resume; True where the entry is then to be passed.

        `say(outputs, halt)` publishes; it is not called again for an entry that has halted the book already. `meanwhile` is
        called several times a second while waiting.
        """
        entry, node = poison.entry, self.node.name
        text = (
            f"{node} stopped the book: {entry.topic} {entry.entry_id} cannot be handled ({poison.reason}). "
            f"Its bytes are in `dead`. Resuming skips this entry."
        )
        self.not_ready(text)
        self.log.error("book_stopped", stream=entry.topic, entry_id=entry.entry_id, reason=poison.reason)
        now_ns = self.options.wall_ns()
        halt = Halt(command_id=f"poison/{node}/{entry.topic}/{entry.entry_id}", ts_event_ns=now_ns, actor=node, reason=text)
        flag = await self.bus.halt_flag()
        if flag is None or flag.command_id != halt.command_id:
            letter = DeadLetter(node=node, stream=entry.topic, entry_id=entry.entry_id, reason=poison.reason, raw=entry.body)
            alert = Alert(name="book_stopped", ts_event_ns=now_ns, severity="critical", source=node, text=text)
            await say({Topic.DEAD: [letter], Topic.ALERTS: [alert], Topic.CONTROL: [halt]}, halt)
        while not stop.is_set():
            if await self.bus.halt_flag() is None:
                self.log.warning("poison_skipped", stream=entry.topic, entry_id=entry.entry_id)
                return True
            if meanwhile is not None:
                await meanwhile()
            await pause_until(stop, 0.2)
        return False


def past(poison: Poison, positions: Mapping[Topic, Position]) -> dict[Topic, Position]:
    """`positions` moved past the entry."""
    entry = poison.entry
    before = positions.get(entry.topic, Position())
    return {**positions, entry.topic: Position(entry.entry_id, before.count + 1)}


async def pause_until(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
