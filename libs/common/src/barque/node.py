"""The one idea: a service's core is a deterministic, synchronous state machine.

In:   messages of the topics in `inputs`, one at a time.   Out: (topic, message) pairs.
Not:  clock, randomness, I/O, logging, environment. Time is a message (`ClockTicked`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from barque.messages import Message, Topic

Output: TypeAlias = tuple[Topic, Message]


class Node(Protocol):
    """A core that a runner drives; the same object runs over Redis, over Postgres and in process."""

    @property
    def name(self) -> str:
        """Unique in its book: `barbuilder`, `strategy.gotobi-usdjpy`, `sender.paper`."""
        ...

    @property
    def rank(self) -> int:
        """Its place in lockstep, where the lowest-ranked node with pending input goes first (`Rank`)."""
        ...

    @property
    def inputs(self) -> Sequence[Topic]:
        """What it reads, fixed for its lifetime."""
        ...

    @property
    def order_path(self) -> bool:
        """True: what cannot be read or handled stops the book instead of being skipped."""
        ...

    def handle(self, message: Message) -> Iterable[Output]:
        """What follows from `message`. Total: bad data gives outputs that say so, never an exception."""
        ...

    def snapshot(self) -> bytes:
        """The whole state; `restore(snapshot())` changes nothing."""
        ...

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says. Empty bytes: a new node."""
        ...


class Rank:
    """Turns of one instant in lockstep: the venue moves first, so that a fill at a bar's open is known
    before the strategy sees the bar; strategies come last, one after another by name."""

    SENDER = 10
    BARBUILDER = 20
    ROUTER = 30
    PORTFOLIO = 40
    STRATEGY = 50
