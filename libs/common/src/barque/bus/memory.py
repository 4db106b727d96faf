"""Drives a whole graph of nodes in one process, in the order of lockstep: the engine of backtests and of parity tests.

In:   nodes; then `publish` for each instant.   Out: every message said, by topic, and what each node was fed.
Not:  threads, clocks, I/O.

After each publication the lowest-ranked node with unread input takes all of it, merged by topic rank and position, until
nobody has any: the very order that `barque.bus.reader` enforces between processes on a feed clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from barque.errors import InvariantError
from barque.messages import DeadLetter, Message, Topic
from barque.node import Node, Output

MAX_TURNS = 10_000
"""Turns that one publication may cause; more is two nodes answering each other for ever."""


class MemoryRunner:
    """A book in memory."""

    def __init__(self, nodes: Iterable[Node], observe: Callable[[str, Topic, Message], None] | None = None) -> None:
        """`observe(source, topic, message)` is told every message published, as it is published."""
        self._nodes = sorted(nodes, key=lambda n: (n.rank, n.name))
        names = [node.name for node in self._nodes]
        if len(set(names)) != len(names):
            raise InvariantError(f"two nodes of one name among {names}")
        self._observe = observe
        self._pending: list[dict[Topic, list[Message]]] = [{} for _ in self._nodes]
        self._readers: dict[Topic, list[int]] = {topic: [] for topic in Topic}
        for index, node in enumerate(self._nodes):
            for topic in node.inputs:
                self._readers[topic].append(index)

    def publish(self, source: str, outputs: Iterable[Output]) -> None:
        """Put one instant's messages on their topics and let the book come to rest."""
        self._put(source, outputs)
        for _ in range(MAX_TURNS):
            index = next((i for i, pending in enumerate(self._pending) if pending), None)
            if index is None:
                return
            self._turn(index)
        raise InvariantError(f"the book did not come to rest within {MAX_TURNS} turns")

    def _put(self, source: str, outputs: Iterable[Output]) -> None:
        for topic, message in outputs:
            if self._observe is not None:
                self._observe(source, topic, message)
            for index in self._readers[topic]:
                self._pending[index].setdefault(topic, []).append(message)

    def _turn(self, index: int) -> None:
        node, pending = self._nodes[index], self._pending[index]
        self._pending[index] = {}
        said: list[Output] = []
        for topic in sorted(pending, key=lambda t: t.rank):
            for message in pending[topic]:
                said.extend(self._handle(node, topic, message))
        self._put(node.name, said)

    def _handle(self, node: Node, topic: Topic, message: Message) -> Sequence[Output]:
        try:
            return tuple(node.handle(message))
        except Exception as error:
            if node.order_path:
                raise InvariantError(f"{node.name} failed on {topic} {message}: {error}") from error
            letter = DeadLetter(node=node.name, stream=topic, entry_id="", reason=f"{type(error).__name__}: {error}", raw=b"")
            return ((Topic.DEAD, letter),)
