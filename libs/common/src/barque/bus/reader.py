"""Reads a node's inputs from Redis, in the two ways time can pass.

On a wall clock: what is there, or what comes within the wait. In lockstep: everything unread, when it is the node's turn.
A runner sends the wait for the next batch in the same write as its commit, and hands the reply back here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from barque.bus.connection import Pending
from barque.bus.redis_bus import RedisBus, Wait
from barque.bus.step import Position, merge
from barque.bus.wire import Entry
from barque.messages import Topic

READ_COUNT = 1_024
"""Entries per stream and read on a wall clock; an entry may be packed."""
TAKE_COUNT = 100_000
"""In lockstep a node takes all of one instant; this only bounds a run-away."""


class Reader:
    """The next batch of one node, merged into the order in which it is to be fed."""

    def __init__(self, bus: RedisBus, node: str, inputs: Sequence[Topic], lockstep: bool, wait_ms: int) -> None:
        self._bus = bus
        self._node = node
        self._inputs = tuple(inputs)
        self._lockstep = lockstep
        self._wait_ms = wait_ms
        self._waited: Pending | None = None

    def wait(self, positions: Mapping[Topic, Position]) -> Wait:
        """The command that waits for what comes after `positions`."""
        if self._lockstep:
            return self._bus.wait_for_turn(self._node, self._wait_ms / 1_000)
        where = {topic: positions.get(topic, Position()) for topic in self._inputs}
        return self._bus.wait_to_read(where, READ_COUNT, self._wait_ms)

    def waited(self, pending: Pending | None) -> None:
        """The wait has gone out already: this is what will come of it. None: what was read ahead is not to be used."""
        self._waited = pending

    async def next(self, positions: Mapping[Topic, Position]) -> list[Entry]:
        """What to feed next; empty when the wait is over. Raises `BusUnavailable`."""
        reply = None
        if self._waited is not None:
            pending, self._waited = self._waited, None
            reply = await self._bus.settle(pending)
        elif not self._lockstep:
            reply = await self._bus.wait(self.wait(positions))
        if self._lockstep:
            return await self._take(positions)
        entries = self._bus.entries(reply)
        return entries if reply is None or len(reply) == 1 else merge(entries, lockstep=False)

    async def _take(self, positions: Mapping[Topic, Position]) -> list[Entry]:
        holder, entries = await self._bus.take(self._node, self._inputs, TAKE_COUNT)
        if holder == self._node:
            return merge(entries, lockstep=True)
        await self._bus.wait(self.wait(positions))
        return []
