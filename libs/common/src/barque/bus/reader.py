"""Reads a node's inputs from Redis, in the two ways time can pass.

On a wall clock: what is there, or what comes within the wait. In lockstep: everything unread, when it is the node's turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from barque.bus.redis_bus import RedisBus
from barque.bus.step import Position, merge
from barque.bus.wire import Entry
from barque.messages import Topic

READ_COUNT = 256
"""Entries per stream and read on a wall clock; an entry may be packed."""
TAKE_COUNT = 100_000
"""In lockstep a node takes all of one instant; this only bounds a run-away."""
TURN_POLL_S = (0.0002, 0.0005, 0.001, 0.002, 0.005)


class Reader:
    """The next batch of one node, merged into the order in which it is to be fed."""

    def __init__(self, bus: RedisBus, node: str, inputs: Sequence[Topic], lockstep: bool, wait_ms: int) -> None:
        self._bus = bus
        self._node = node
        self._inputs = tuple(inputs)
        self._lockstep = lockstep
        self._wait_ms = wait_ms

    async def next(self, positions: Mapping[Topic, Position]) -> list[Entry]:
        """What to feed next; empty when the wait is over. Raises `BusUnavailable`."""
        where = {topic: positions.get(topic, Position()) for topic in self._inputs}
        if not self._lockstep:
            return merge(await self._bus.read(where, READ_COUNT, self._wait_ms), lockstep=False)
        if not await self._bus.read(where, 1, self._wait_ms):
            return []
        for pause in TURN_POLL_S:
            holder, entries = await self._bus.take(self._node, self._inputs, TAKE_COUNT)
            if holder == self._node:
                return merge(entries, lockstep=True)
            await asyncio.sleep(pause)
        return []
