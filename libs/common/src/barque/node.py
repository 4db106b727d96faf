"""The one idea: a service's core is a deterministic, synchronous state machine.

In:   messages of the topics in `inputs`, one at a time.   Out: (topic, message) pairs.
Not:  clock, randomness, I/O, logging, environment. Time is a message (`ClockTicked`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

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


AWAKE, ASLEEP = 0, 2**63
"""Answers of `sleeps_until`: every message counts; none does, until something else comes."""


@runtime_checkable
class Sleeper(Protocol):
    """What a node may tell a runner in memory, so that a backtest need not tell it what changes nothing yet.

    A runner may hold back messages of a topic on which the node sleeps. Before it feeds the node anything else, and when event
    time reaches the answer for `Topic.CLOCK`, it first feeds it the newest held back message of each key (symbol, interval and
    price of a bar; symbol of a mark; the clock has one), in the order of topics. The node promises that this leads to the same
    state as having heard them all, but for counters and times of messages, and to no other orders, fills or positions.
    """

    def sleeps_until(self, topic: Topic) -> int:
        """Event time, ns, before which messages of `topic` do nothing but overwrite the last of their key: `AWAKE`, `ASLEEP` or
        a time between. Asked again after each message that the node is fed; of marks once, `AWAKE` or not."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A `Sleeper` whose answer for `Topic.CLOCK` can be read, which costs less than asking: it is needed at every bar."""

    @property
    def due_ns(self) -> int:
        """Event time, ns, before which the clock changes nothing."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A node that says what it makes of which messages. A runner in memory need not feed it the others."""

    @property
    def handlers(self) -> Mapping[type, Callable[[Any], Sequence[Output]]]:
        """What `handle` does, by type of message; a type that is not there changes nothing and leads to nothing. One mapping for
        the node's lifetime; `restore` may change what is in it."""
        ...


@runtime_checkable
class Heedless(Protocol):
    """A node that handles some messages the same whatever prices it knows."""

    @property
    def heedless(self) -> frozenset[type]:
        """Types of message before which a runner in memory need not bring home marks and market data that it holds back; the
        time it does."""
        ...


@runtime_checkable
class Chronicler(Protocol):
    """A node of the order path that reads some topics for the record only."""

    @property
    def for_the_record(self) -> frozenset[Topic]:
        """Topics of which an entry that cannot be read is put aside and does not stop the book: nothing is decided on it here."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """A node that runs a user's code, which the outside may stop. What came of such a batch is not a function of the batch: it is
    committed as it is, and a replay takes it from the journal."""

    @property
    def overruns(self) -> int:
        """How often it was stopped since the object was made; no part of its state."""
        ...


class Rank:
    """Turns of one instant in lockstep: the venue moves first, so that a fill at a bar's open is known
    before the strategy sees the bar; strategies come last, one after another by name."""

    SENDER = 10
    BARBUILDER = 20
    ROUTER = 30
    PORTFOLIO = 40
    STRATEGY = 50
