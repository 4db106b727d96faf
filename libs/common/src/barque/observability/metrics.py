"""The metrics every node has; names are `barque_<noun>_<unit>`, labels `service` and `node`."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

_LABELS = ("service", "node")
_FAST = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

HANDLED = Counter("barque_messages_handled", "Messages a node was fed.", _LABELS)
EMITTED = Counter("barque_messages_emitted", "Messages a node said, by topic.", (*_LABELS, "topic"))
COMMITS = Counter("barque_commits", "Commits by the store's verdict; stale, dup and halted are refusals.", (*_LABELS, "verdict"))
COMMIT_SECONDS = Histogram("barque_commit_seconds", "Time from issuing a commit to the verdict.", _LABELS, buckets=_FAST)
HANDLE_SECONDS = Histogram("barque_handle_seconds", "Time a node took for one batch.", _LABELS, buckets=_FAST)
LAG = Gauge("barque_lag_entries", "Entries between a stream's head and what the node has committed.", (*_LABELS, "topic"))
DEAD = Counter("barque_dead_lettered", "Entries or messages that could not be handled.", _LABELS)
COUNTS = Gauge("barque_node_count", "What a node counts itself, such as ticks quarantined by reason.", (*_LABELS, "kind"))
READY = Gauge("barque_ready", "1 while the component can work.", ("service", "component"))


class NodeMetrics:
    """The metrics of one node, labels bound once."""

    def __init__(self, service: str, node: str) -> None:
        self._labels = (service, node)
        self._handled = HANDLED.labels(*self._labels)
        self._handle_seconds = HANDLE_SECONDS.labels(*self._labels)
        self._commit_seconds = COMMIT_SECONDS.labels(*self._labels)
        self._dead = DEAD.labels(*self._labels)

    def stepped(self, handled: int, emitted: Mapping[str, int], seconds: float) -> None:
        """A batch went through the node."""
        self._handled.inc(handled)
        self._handle_seconds.observe(seconds)
        for topic, count in emitted.items():
            EMITTED.labels(*self._labels, topic).inc(count)
            if topic == "dead":
                self._dead.inc(count)

    def committed(self, verdict: str, seconds: float) -> None:
        """The store answered a commit."""
        COMMITS.labels(*self._labels, verdict.lower()).inc()
        self._commit_seconds.observe(seconds)

    def lag(self, entries: Mapping[str, int]) -> None:
        """How far behind the node is, by topic."""
        for topic, count in entries.items():
            LAG.labels(*self._labels, topic).set(count)

    def counts(self, counters: Mapping[str, int]) -> None:
        """What the node counts itself."""
        for kind, count in counters.items():
            COUNTS.labels(*self._labels, kind).set(count)
