"""Publishes recorded files: as they happened, faster, or in lockstep with the book.

In:   steps `(event time, messages)` from `files.merge`.   Out: `ClockTicked`, ticks and bars of each step in one commit.
Not:  loss. A replay waits for Redis as long as it takes; its place in the files is committed with what it publishes, so a
killed feed goes on with the very next step.

In lockstep (`speed = "max"` on a lockstep book) the next step comes only when the book is quiescent: every reader has
committed all of its inputs. That is the order of the backtester, so the results are the same.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec
import structlog

from barque.bus.feed import PACK, FeedWriter
from barque.bus.node_shell import pause_until
from barque.errors import BusUnavailable, ConfigError
from barque.messages import Bar, ClockTicked, FeedStatus, Message, Topic
from barque.service import ServiceContext
from feed_replay.config import FeedReplayConfig

log = structlog.get_logger()
Step: TypeAlias = tuple[int, Sequence[Message]]
FEED = "feed.replay"
MAX_LAG_ENTRIES = 20_000
"""Without lockstep, a reader further behind than this makes the replay wait."""
LOOK_EVERY = 16
"""Commits between two looks at how far behind the readers are."""
WAIT_S = 0.1
NS = 1_000_000_000


class ReplayState(msgspec.Struct, frozen=True):
    """The feed's own place."""

    steps: int = 0
    """Steps published."""
    last_ns: int = 0
    finished: bool = False


class ReplayFeed:
    """One replay of one book."""

    def __init__(self, context: ServiceContext, config: FeedReplayConfig, steps: Callable[[], Iterator[Step]]) -> None:
        if context.common.book.clock != "feed":
            raise ConfigError("key 'book.clock': recorded files bring their own time; set clock = \"feed\"")
        self._context = context
        self._config = config
        self._steps = steps
        self._bus = context.bus()
        self._writer = FeedWriter(self._bus, FEED, context.service, context.health, context.stop)
        self._lockstep = context.common.book.lockstep
        self._state = ReplayState()
        self._commits = 0

    async def run(self) -> None:
        """Publish to the end, then stay until told to stop."""
        try:
            await self._run()
        finally:
            await self._bus.close()

    async def _run(self) -> None:
        stop = self._context.stop
        blob = await self._context.until_available(FEED, self._writer.load)
        if blob is None or not await self._book_complete():
            return
        self._state = msgspec.msgpack.decode(blob, type=ReplayState) if blob else ReplayState()
        log.info("replay_started", steps_done=self._state.steps, speed=self._config.speed, lockstep=self._lockstep)
        if not self._state.finished:
            await self._publish_all()
        await self._wait_for(self._at_rest)
        if not stop.is_set():
            log.info("replay_finished", steps=self._state.steps)
        await stop.wait()

    async def _publish_all(self) -> None:
        stop = self._context.stop
        remaining = itertools.islice(self._steps(), self._state.steps, None)
        pace = _Pace(self._config.speed)
        batch: list[Step] = []
        packed = 0
        for step in remaining:
            while (wait := pace.wait_s(step[0])) > 0 and not stop.is_set():
                if batch:
                    await self._publish(batch)
                    batch, packed = [], 0
                await pause_until(stop, min(wait, 0.5))
            batch.append(step)
            packed += len(step[1])
            if self._lockstep or packed >= PACK:
                await self._publish(batch)
                batch, packed = [], 0
            if stop.is_set():
                return
        if batch:
            await self._publish(batch)
        await self._finish()

    async def _publish(self, batch: Sequence[Step]) -> None:
        """One commit, when the book may have it. Readers get the clock before the rest, so it tells the first time only."""
        await self._next_may_come()
        outputs: dict[Topic, list[Message]] = {Topic.CLOCK: [ClockTicked(now_ns=batch[0][0])]}
        for _, messages in batch:
            for message in messages:
                outputs.setdefault(Topic.BARS if isinstance(message, Bar) else Topic.TICKS, []).append(message)
        await self._write(outputs, ReplayState(self._state.steps + len(batch), batch[-1][0]))

    async def _finish(self) -> None:
        await self._next_may_come()
        end_ns = self._state.last_ns + int(self._config.tail_s * NS)
        status = FeedStatus(feed=FEED, ts_event_ns=end_ns, state="finished")
        outputs: dict[Topic, list[Message]] = {Topic.CLOCK: [ClockTicked(now_ns=end_ns)], Topic.TICKS: [status]}
        await self._write(outputs, ReplayState(self._state.steps, end_ns, finished=True))

    async def _write(self, outputs: dict[Topic, list[Message]], state: ReplayState) -> None:
        if self._context.stop.is_set():
            return
        if await self._writer.write(outputs, msgspec.msgpack.encode(state), WAIT_S if self._lockstep else 0.0):
            self._state = state
        elif not self._context.stop.is_set():
            raise ConfigError(f"another process replays book '{self._bus.book}'; stop one of them")

    async def _book_complete(self) -> bool:
        """Until every configured node has registered: what nobody reads from the start would be missed."""
        expected = set(self._context.common.expected_nodes())

        async def attempt() -> bool:
            missing = sorted(expected - set(await self._bus.registered()))
            if missing:
                raise BusUnavailable(f"waiting for {', '.join(missing)}")
            return True

        return bool(await self._context.until_available("book", attempt))

    async def _next_may_come(self) -> None:
        """In lockstep until the book is at rest, else until nobody is too far behind."""
        if self._lockstep:
            if not self._writer.rested:
                await self._wait_for(self._at_rest)
        else:
            self._commits += 1
            if self._commits % LOOK_EVERY == 0:
                await self._wait_for(self._nobody_far_behind)

    async def _wait_for(self, condition: Callable[[], Awaitable[bool]]) -> None:
        stop = self._context.stop
        while not stop.is_set():
            try:
                if await condition():
                    return
                await self._bus.wait(self._bus.wait_for_turn("", WAIT_S))
            except BusUnavailable as error:
                self._context.health.not_ready(FEED, str(error))
                await pause_until(stop, WAIT_S)

    async def _at_rest(self) -> bool:
        return await self._bus.whose_turn() == ""

    async def _nobody_far_behind(self) -> bool:
        return all(lag < MAX_LAG_ENTRIES for node in await self._bus.status() for lag in node.lag_entries.values())


class _Pace:
    """When a step is due, by its event time and the speed."""

    def __init__(self, speed: object) -> None:
        self._speed = float(speed) if isinstance(speed, int | float) else 0.0
        self._origin: tuple[float, int] | None = None

    def wait_s(self, event_ns: int) -> float:
        """Seconds until a step of this event time is due."""
        if not self._speed:
            return 0.0
        if self._origin is None:
            self._origin = (time.monotonic(), event_ns)
        began, first_ns = self._origin
        return began + (event_ns - first_ns) / NS / self._speed - time.monotonic()
