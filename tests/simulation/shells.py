"""The streams of a book and what drives a node over them, with the commit semantics of the real shells and none of their servers.

In:   a node, streams.   Out: commits that happen whole or not at all; a journal that is replayed as it is written.
Not:  chance. Who runs when, and what fails, is decided elsewhere.

The law that a node's output is a function of its journal (I1) is checked here, at every commit: a second node, made fresh at the
beginning and never restarted, is fed what was committed and nothing else, and has to say the same and come to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

from barque.bus.step import as_told, merge
from barque.messages import ClockTicked, Message, SubmitOrder, Topic
from barque.node import Output
from router.core.sending.effects import Effect
from router.core.sending.node import SendingNode
from tests.support.sending import Kept


@dataclass(frozen=True)
class Entry:
    """One entry of a stream: what one commit said on one topic."""

    topic: Topic
    number: int
    said: tuple[Message, ...]

    @property
    def entry_id(self) -> str:
        """As a stream numbers its entries."""
        return f"{self.number}-0"

    def messages(self) -> list[Message]:
        """What it holds."""
        return list(self.said)


@dataclass
class Streams:
    """All streams of a book, and the halt flag that every commit looks at."""

    entries: dict[Topic, list[Entry]] = field(default_factory=lambda: {topic: [] for topic in Topic})
    flag: bool = False
    heard: Callable[[Topic, Message], None] = lambda topic, message: None
    """Told of each message as it is published."""
    count: int = 0

    def publish(self, outputs: Iterable[Output]) -> None:
        """Append what one commit says."""
        by_topic: dict[Topic, list[Message]] = {}
        for topic, message in outputs:
            by_topic.setdefault(topic, []).append(message)
        for topic, messages in by_topic.items():
            self.count += 1
            self.entries[topic].append(Entry(topic, self.count, tuple(messages)))
            for message in messages:
                self.heard(topic, message)


@dataclass(frozen=True)
class Handled:
    """A message that a node was told, and what it said to it."""

    message: Any
    said: tuple[Output, ...]


@dataclass
class Turn:
    """A batch that a node has handled and not committed."""

    now_ns: int
    handled: list[Handled]
    effects: list[Effect]
    positions: dict[Topic, int]

    @property
    def outputs(self) -> list[Output]:
        """All that it said."""
        return [output for each in self.handled for output in each.said]


class Shell:
    """A node, its committed state, and where it stands on its streams."""

    def __init__(self, make: Callable[[], Any], topics: Sequence[Topic], streams: Streams) -> None:
        self._make = make
        self._streams = streams
        self.node = make()
        self._replay = make()
        self._begun = False
        self.blob = b""
        self._kept = Kept() if isinstance(self.node, SendingNode) else None
        self.positions = dict.fromkeys(topics, 0)
        self.outbox: list[Output] = []
        """Committed and not published yet; nothing else is written before."""
        self.commits = 0

    def unread(self) -> list[Entry]:
        """What it has not read, in the order of the streams."""
        entries = self._streams.entries
        found = [entry for topic, position in self.positions.items() for entry in entries[topic][position:]]
        return sorted(found, key=lambda entry: entry.number)

    def turn(self, now_ns: int, entries: Sequence[Entry], before: Sequence[Any] = (), after: Sequence[Any] = ()) -> Turn:
        """Feed a batch: `before`, commands, the time, the rest, `after`."""
        merged = as_told(merge(cast(Any, entries), lockstep=False))
        commands = [message for entry in merged if entry.topic is Topic.CONTROL for message in entry.messages()]
        others = [message for entry in merged if entry.topic is not Topic.CONTROL for message in entry.messages()]
        own = [deepcopy(message) for message in before]  # what a node is given to keep is not what its replay is given
        told = [*own, *commands, ClockTicked(now_ns=now_ns), *others, *after]
        kept = [*before, *told[len(before) :]]
        handled = [Handled(message, tuple(self.node.handle(given))) for given, message in zip(told, kept, strict=True)]
        positions = dict(self.positions)
        for entry in entries:
            positions[entry.topic] += 1
        return Turn(now_ns, handled, _effects(self.node), positions)

    def commit(self, turn: Turn, guarded: bool) -> bool:
        """Write position, state and outputs, all or nothing. `guarded`: no order while the book is halted."""
        if guarded and self._streams.flag and any(isinstance(message, SubmitOrder) for _, message in turn.outputs):
            self.restart()
            return False
        blob = self.node.snapshot()
        self._check_replay(turn, blob)
        self.blob, self.positions = blob, turn.positions
        if self._kept is not None:
            self._kept.add(self.node.cut())
        self.outbox = turn.outputs
        self.commits += 1
        return True

    def publish(self) -> None:
        """Let the streams have what was committed."""
        said, self.outbox = self.outbox, []
        self._streams.publish(said)

    def restart(self) -> None:
        """The process dies, or drops what it computed: what was not committed has never been."""
        self.node = self._make()
        if self._kept is not None:
            self._kept.reborn(self.node)
        else:
            self.node.restore(self.blob)

    def _check_replay(self, turn: Turn, blob: bytes) -> None:
        if not self._begun:
            self._replay.restore(b"")
            self._begun = True
        for each in turn.handled:
            assert tuple(self._replay.handle(each.message)) == each.said, f"I1: a replay says something else to {each.message}"
        assert _effects(self._replay) == turn.effects, "I1: a replay wants something else done"
        assert self._replay.snapshot() == blob, "I1: a replay comes to another state"


def _effects(node: Any) -> list[Effect]:
    take = getattr(node, "take_effects", None)
    return list(take()) if take is not None else []
