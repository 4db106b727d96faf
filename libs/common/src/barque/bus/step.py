"""One step of a node, the same in every runner: entries in, outputs and new positions out. Pure.

Order inside a batch: commands first, then (on a wall clock) the time, then everything else by stream id and topic rank;
in lockstep by topic rank and stream id, because there stream ids carry no meaning beyond their own stream. Where its commands
leave the book halted, halts and resumes are told before the others: an order that one of these led to (a flatten before a halt)
would be refused by the store for as long as the halt is in force, and the node would read no further.
What cannot be read or handled is dead-lettered. On the order path the step ends before it and says so, unless it is only an
unreadable entry of market data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from barque.bus.wire import Entry, id_key
from barque.errors import InvariantError, WireError
from barque.messages import ClockTicked, DeadLetter, Halt, Message, Resume, Topic
from barque.node import Chronicler, Node, Output


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far a node has read one stream: the last entry's id, and how many entries that were."""

    entry_id: str = "0-0"
    count: int = 0


@dataclass(frozen=True, slots=True)
class Poison:
    """An entry that stops a node of the order path."""

    entry: Entry
    reason: str


@dataclass(slots=True)
class Step:
    """What a batch led to."""

    outputs: dict[Topic, list[Message]] = field(default_factory=dict)
    positions: dict[Topic, Position] = field(default_factory=dict)
    handled: list[tuple[Message, Sequence[Output]]] = field(default_factory=list)
    count: int = 0
    now_ns: int = 0
    poison: Poison | None = None


def merge(entries: Iterable[Entry], lockstep: bool) -> list[Entry]:
    """The order in which a batch is fed."""
    if lockstep:
        return sorted(entries, key=lambda e: (e.topic.rank, id_key(e.entry_id)))
    return sorted(entries, key=lambda e: (e.topic is not Topic.CONTROL, id_key(e.entry_id), e.topic.rank))


def as_told(entries: Sequence[Entry], until: Entry | None = None) -> Sequence[Entry]:
    """`entries` (merged) as they are told. Commands from `until` on, or from one that cannot be read, stay where they are."""
    words: list[type | None] = []
    for entry in entries:
        if entry.topic is not Topic.CONTROL or entry is until:
            break
        try:
            said = [type(message) for message in entry.messages() if isinstance(message, Halt | Resume)]
        except WireError:
            break
        words.append(said[-1] if said else None)
    if next(filter(None, reversed(words)), None) is not Halt:
        return entries
    commands = list(zip(entries, words, strict=False))
    first = [entry for entry, word in commands if word is not None]
    return [*first, *(entry for entry, word in commands if word is None), *entries[len(words) :]]


def run_step(
    node: Node,
    entries: Sequence[Entry],
    positions: Mapping[Topic, Position],
    start: bytes,
    now_ns: int = 0,
    keep_handled: bool = False,
    events: Sequence[Any] = (),
    closing: Any = None,
) -> Step:
    """Feed `entries` (already merged) to `node`. A shell with a world of its own has `events` to feed first, and `closing` last.

    `start` is the node's state as it is now; where a message raises, the step begins again from it without that message.
    `now_ns` > 0 feeds the time after the commands. `keep_handled` keeps each message with its outputs (for projectors).
    Raises `InvariantError` where a node of the order path fails on time itself, or any node fails without a cause to skip.
    """
    skip: dict[tuple[Entry | None, int], str] = {}
    barrier: Poison | None = None
    while True:
        attempt = _Attempt(node, Step(positions=dict(positions), now_ns=now_ns), skip, barrier, keep_handled)
        try:
            return attempt.run(entries, now_ns, events, closing)
        except _Failed as failure:
            node.restore(start)
            if (failure.entry, failure.index) in skip or (node.order_path and failure.entry is None):
                raise InvariantError(f"{node.name} failed on {failure.place}: {failure.reason}") from failure.__cause__
            skip[failure.entry, failure.index] = failure.reason
            if node.order_path and failure.entry is not None:
                barrier = Poison(failure.entry, failure.reason)


@dataclass(slots=True)
class _Attempt:
    node: Node
    step: Step
    skip: Mapping[tuple[Entry | None, int], str]
    barrier: Poison | None
    keep: bool

    def run(self, entries: Sequence[Entry], now_ns: int, events: Sequence[Any], closing: Any) -> Step:
        read: dict[Topic, tuple[str, int]] = {}
        for event in events:
            self._feed(event, None, 0)
        clock_due = now_ns > 0
        for entry in as_told(entries, self.barrier.entry if self.barrier is not None else None):
            topic = entry.topic
            if clock_due and topic is not Topic.CONTROL:
                self._feed(ClockTicked(now_ns=now_ns), None, 0)
                clock_due = False
            if self.barrier is not None and entry is self.barrier.entry:
                self.step.poison = self.barrier
                break
            if not self._feed_entry(entry):
                break
            last, count = read.get(topic, ("0-0", 0))
            read[topic] = max(last, entry.entry_id, key=id_key), count + 1
        else:
            if clock_due:
                self._feed(ClockTicked(now_ns=now_ns), None, 0)
        if closing is not None:
            self._feed(closing, None, 0)
        for topic, (entry_id, count) in read.items():
            self.step.positions[topic] = Position(entry_id, self.step.positions.get(topic, Position()).count + count)
        return self.step

    def _feed_entry(self, entry: Entry) -> bool:
        """False where the entry stops a node of the order path."""
        try:
            messages = entry.messages()
        except WireError as error:
            if self.node.order_path and not entry.topic.is_market and not _for_the_record(self.node, entry.topic):
                self.step.poison = Poison(entry, str(error))
                return False
            self._bury(entry, -1, str(error))
            return True
        if self.skip or self.keep:
            for index, message in enumerate(messages):
                self._feed(message, entry, index)
        else:
            self._feed_all(messages, entry)
        return True

    def _feed_all(self, messages: list[Message], entry: Entry) -> None:
        """The hot path of `_feed`: nothing to skip, nothing to keep."""
        handle, outputs, index = self.node.handle, self.step.outputs, 0
        try:
            for index, message in enumerate(messages):  # noqa: B007 (which one failed)
                for topic, output in handle(message):
                    outputs.setdefault(topic, []).append(output)
        except Exception as error:
            raise _Failed(entry, index, f"{type(error).__name__}: {error}") from error
        self.step.count += len(messages)

    def _feed(self, message: Message, entry: Entry | None, index: int) -> None:
        if self.skip and (entry, index) in self.skip:
            self._bury(entry, index, self.skip[entry, index])
            return
        try:
            said = self.node.handle(message)
            outputs = said if isinstance(said, tuple | list) else tuple(said)
        except Exception as error:
            raise _Failed(entry, index, f"{type(error).__name__}: {error}") from error
        step = self.step
        step.count += 1
        for topic, output in outputs:
            step.outputs.setdefault(topic, []).append(output)
        if self.keep:
            step.handled.append((message, outputs))

    def _bury(self, entry: Entry | None, index: int, reason: str) -> None:
        self.step.outputs.setdefault(Topic.DEAD, []).append(
            DeadLetter(
                node=self.node.name,
                stream=entry.topic if entry else "wall clock",
                entry_id=entry.entry_id if entry else str(self.step.now_ns),
                reason=reason,
                raw=entry.body if entry else b"",
                index=index,
            )
        )


def _for_the_record(node: Node, topic: Topic) -> bool:
    return isinstance(node, Chronicler) and topic in node.for_the_record


class _Failed(Exception):
    def __init__(self, entry: Entry | None, index: int, reason: str) -> None:
        super().__init__(reason)
        self.entry, self.index, self.reason = entry, index, reason

    @property
    def place(self) -> str:
        return (
            f"{self.entry.topic} {self.entry.entry_id} message {self.index}"
            if self.entry
            else "the clock or an event of its shell"
        )
