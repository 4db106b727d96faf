"""Where a node sits in a runner in memory: what it has to read, what it answers, what it has heard of what was held back.

In:   a node, its place.   Out: what it says to messages.
Not:  order; the runner decides whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from barque.errors import InvariantError
from barque.messages import ClockTicked, DeadLetter, Message, Topic
from barque.messages.topics import MESSAGES
from barque.node import ASLEEP, AWAKE, Heedless, Node, Output, Selective, Sleeper, Timed

K = TypeVar("K", int, str)
Ranked: TypeAlias = tuple[int, Message]
"""A message behind the rank of its topic."""
Handle: TypeAlias = Callable[[Message], Sequence[Output]]

TOPIC_OF: Mapping[type, Topic] = {kind: topic for topic, kinds in MESSAGES.items() for kind in kinds}


class Seat:
    """A node at its place in the order of turns."""

    __slots__ = (
        "asleep",
        "awake",
        "bit",
        "fed",
        "handlers",
        "hears_marks",
        "hears_rows",
        "heedless",
        "marks",
        "marks_until_ns",
        "name",
        "news",
        "node",
        "queue",
        "reads",
        "rows",
        "sleeps_until",
        "timer",
        "told_ns",
        "until_ns",
    )

    def __init__(self, node: Node, bit: int) -> None:
        self.node, self.name, self.bit = node, node.name, bit
        """`bit` is 1 << its place."""
        self.handlers = node.handlers if isinstance(node, Selective) else _Whatever(node.handle)
        self.heedless = node.heedless if isinstance(node, Heedless) else frozenset()
        self.reads = frozenset(node.inputs)
        self.hears_marks, self.hears_rows = Topic.MARKS in self.reads, Topic.BARS in self.reads
        """`hears_rows`: of what is played."""
        self.queue: list[Ranked] = []
        """What it has to read."""
        # -- its answers
        self.sleeps_until = node.sleeps_until if isinstance(node, Sleeper) else _never_sleeps
        self.timer = _timer(node) if Topic.CLOCK in self.reads else _Fixed(ASLEEP)
        self.fed = True
        """It has heard something since it was asked."""
        self.until_ns = AWAKE
        """When it wants to hear of what is held back from it, whatever else happens; `AWAKE`: nothing may be."""
        self.awake = False
        """It wants to hear of every row."""
        self.asleep = False
        """Rows are held back from it."""
        sleeps_on_marks = not self.hears_marks or self.sleeps_until(Topic.MARKS) > AWAKE
        self.marks_until_ns = ASLEEP if sleeps_on_marks else AWAKE
        # -- what it has heard of what was held back
        self.told_ns = AWAKE if Topic.CLOCK in self.reads and self.handlers.get(ClockTicked) else ASLEEP
        """The time that it knows."""
        self.news = 0
        """The `news` of the runner."""
        self.rows: dict[int, Message] = {}
        """By slot."""
        self.marks: dict[str, Message] = {}
        """By symbol."""

    def hear(self, messages: Iterable[Message]) -> Sequence[Output]:
        """What the node says to messages."""
        handlers, self.fed = self.handlers, True
        said: Sequence[Output] = ()
        for message in messages:
            handle = handlers.get(type(message))
            if handle is not None:
                try:
                    outputs = handle(message)
                except Exception as error:
                    outputs = (self.failed(message, error),)
                if outputs:
                    said = (*said, *outputs) if said else outputs
        return said

    def failed(self, message: Message, error: Exception) -> Output:
        """A node of the order path ends the run; of any other, the message is put aside."""
        topic = TOPIC_OF[type(message)]
        if self.node.order_path:
            raise InvariantError(f"{self.name} failed on {topic} {message}: {error}") from error
        reason = f"{type(error).__name__}: {error}"
        return Topic.DEAD, DeadLetter(node=self.name, stream=topic, entry_id="", reason=reason, raw=b"")

    def ask(self, topic: Topic, at_ns: int) -> int:
        """Whether it is awake on rows of `topic`, and until when it is not to be told the time. Of a node that is awake that is
        asked at every instant."""
        until_ns = self.sleeps_until(topic) if self.hears_rows else ASLEEP
        if until_ns <= at_ns:
            self.fed, self.awake, self.until_ns = False, True, self.marks_until_ns
            return self.marks_until_ns
        due_ns = self.timer.due_ns
        if due_ns < until_ns:
            until_ns = due_ns if due_ns > AWAKE else AWAKE
        if self.marks_until_ns < until_ns:
            until_ns = self.marks_until_ns
        self.fed, self.awake, self.until_ns = False, False, until_ns
        return until_ns


class Route(NamedTuple):
    """Where messages of one type go."""

    topic: Topic
    rank: int
    kept: list[Message] | None
    queues: Sequence[list[Ranked]]
    bits: int


class Instant:
    """What an instant under way brings. A node may know of it only when its turn has come."""

    __slots__ = ("marks", "rows", "slots")

    def __init__(self, rows: Sequence[Message], slots: Sequence[int]) -> None:
        self.rows, self.slots = rows, slots
        self.marks: dict[str, Message] = {}
        """The newest of each symbol, the newest of all last."""


class _Whatever(dict[type, Handle]):
    """The handlers of a node that does not name them: one for messages of any type."""

    def __init__(self, handle: Callable[[Message], Iterable[Output]]) -> None:
        super().__init__()
        self._handle: Handle = lambda message: tuple(handle(message))

    def get(self, kind: type, default: object = None) -> Handle:
        return self._handle

    def __missing__(self, kind: type) -> Handle:
        return self._handle


def renew(newest: dict[K, Message], key: K, message: Message) -> None:
    """Put `message` last."""
    newest.pop(key, None)
    newest[key] = message


def news(newest: dict[K, Message], heard: dict[K, Message]) -> list[Message]:
    """What somebody has not heard of yet, oldest first; now he has. What he has not heard is always the last of `newest`."""
    found: list[Message] = []
    for key in reversed(newest):
        message = newest[key]
        if heard.get(key) is message:
            break
        heard[key] = message
        found.append(message)
    if len(found) > 1:
        found.reverse()
    return found


def _never_sleeps(topic: Topic) -> int:
    return AWAKE


class _Fixed:
    """The clock of a node that answers always the same."""

    __slots__ = ("due_ns",)

    def __init__(self, due_ns: int) -> None:
        self.due_ns = due_ns


class _Asked:
    """The clock of a node that has to be asked."""

    __slots__ = ("_sleeps_until",)

    def __init__(self, node: Sleeper) -> None:
        self._sleeps_until = node.sleeps_until

    @property
    def due_ns(self) -> int:
        return self._sleeps_until(Topic.CLOCK)


def _timer(node: Node) -> Timed:
    if isinstance(node, Timed):
        return node
    return _Asked(node) if isinstance(node, Sleeper) else _Fixed(AWAKE)
