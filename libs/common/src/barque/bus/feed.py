"""How a feed reaches the bus: every batch of messages in one fenced commit, with the feed's own position in it.

In:   messages from a venue or a file.   Out: packed entries on `ticks`, `bars`, `clock`, in order, each once.
Not:  silent loss. A live feed that cannot reach Redis keeps its newest ticks (10,000 of them, 60 s); what it drops it
counts, and says so in a `FeedStatus(gap)` before the next tick. A replay never drops: it waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence

import structlog

from barque.bus.connection import Pending
from barque.bus.node_shell import BACKOFF_S, pause_until
from barque.bus.redis_bus import Commit, Record, RedisBus
from barque.errors import BusUnavailable, InvariantError
from barque.messages import FeedStatus, Message, Topic
from barque.observability.health import Health
from barque.observability.metrics import NodeMetrics

log = structlog.get_logger()
BUFFER_TICKS = 10_000
BUFFER_S = 60.0
PACK = 1_000
"""Ticks in one entry at most."""


class FeedWriter:
    """The one writer of a feed: position and outputs in one commit, issued until the store has answered."""

    def __init__(self, bus: RedisBus, feed: str, service: str, health: Health, stop: asyncio.Event) -> None:
        self.feed = feed
        self._bus = bus
        self._health = health
        self._stop = stop
        self._record: Record | None = None
        self.rested = False
        """True where the last write's wait saw the book come to rest."""
        self._metrics = NodeMetrics(service, feed)

    async def load(self) -> bytes:
        """The feed's own state as last committed; raises `BusUnavailable`."""
        self._record = await self._bus.load(self.feed)
        return self._record.state

    async def write(self, outputs: Mapping[Topic, Sequence[Message]], state: bytes, until_rest_s: float = 0.0) -> bool:
        """Commit, and in lockstep wait up to `until_rest_s` for the book to come to rest (`rested`).

        False where the service is told to stop before the store has answered, or another writer was faster.
        """
        record = self._record
        if record is None:
            raise InvariantError(f"{self.feed} writes before it has loaded")
        commit = Commit(node=self.feed, expected_seq=record.seq, state=state, positions={}, outputs=outputs, outs=record.outs)
        failures = 0
        while not self._stop.is_set():
            began = time.perf_counter()
            try:
                answer = await self._bus.commit(commit, self._bus.wait_for_turn("", until_rest_s) if until_rest_s else None)
            except BusUnavailable as error:
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                if self._health.not_ready(self.feed, str(error)):
                    log.warning("bus_unavailable", feed=self.feed, reason=str(error), retry_s=pause)
                await pause_until(self._stop, pause)
                continue
            self._metrics.committed(answer.verdict, time.perf_counter() - began)
            self._health.ready(self.feed)
            if answer.verdict not in ("OK", "DUP"):
                log.warning("commit_refused", feed=self.feed, verdict=answer.verdict, stored_seq=answer.seq)
                return False
            self.rested = answer.waited is not None and await self._came_to_rest(answer.waited)
            self._record = Record(answer.seq, 0, state, {}, answer.outs)
            self._metrics.stepped(0, {t: len(m) for t, m in outputs.items()}, 0.0)
            return True
        return False

    async def _came_to_rest(self, waited: Pending) -> bool:
        try:
            return await self._bus.settle(waited) is not None
        except BusUnavailable:
            return False


class TickBuffer:
    """The edge of a live feed: bounded, oldest out first, every loss counted."""

    def __init__(self, feed: str, capacity: int = BUFFER_TICKS, ttl_s: float = BUFFER_S) -> None:
        self._feed = feed
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._ticks: deque[tuple[float, Message, bool]] = deque()
        self._lost = 0
        self._spans: dict[tuple[type, str], tuple[int, int]] = {}
        self.dropped = 0
        """Ticks lost since the start."""

    def __len__(self) -> int:
        return len(self._ticks)

    @property
    def room(self) -> int:
        """How many more it takes before the oldest are dropped."""
        return self._capacity - len(self._ticks)

    def offer(self, ticks: Sequence[Message], now_s: float, whole: bool = False) -> None:
        """Take ticks in; `now_s` is a monotonic time. `whole`: they are published in one entry."""
        self._ticks.extend((now_s, tick, whole and index > 0) for index, tick in enumerate(ticks))
        while self._ticks and (len(self._ticks) > self._capacity or now_s - self._ticks[0][0] > self._ttl_s):
            self._lose(self._ticks.popleft()[1])

    def take(self, now_ns: int) -> list[Message]:
        """What to publish next, about `PACK` ticks; a gap is announced before the tick that follows it."""
        batch: list[Message] = []
        if self._lost:
            detail = f"{self._lost} ticks lost while the bus could not be reached"
            batch.append(FeedStatus(feed=self._feed, ts_event_ns=now_ns, state="gap", dropped=self._lost, detail=detail))
            self._lost = 0
        while self._ticks and (len(batch) < PACK or self._ticks[0][2]):
            batch.append(self._ticks.popleft()[1])
        return batch

    def take_lost(self) -> dict[tuple[type, str], tuple[int, int]]:
        """Event times of the first and the last that was lost since the last call, by kind and symbol."""
        spans, self._spans = self._spans, {}
        return spans

    def _lose(self, tick: Message) -> None:
        self._lost += 1
        self.dropped += 1
        if not isinstance(tick, FeedStatus):
            name = (type(tick), tick.symbol)
            first_ns, last_ns = self._spans.get(name, (tick.ts_event_ns, tick.ts_event_ns))
            self._spans[name] = (min(first_ns, tick.ts_event_ns), max(last_ns, tick.ts_event_ns))
