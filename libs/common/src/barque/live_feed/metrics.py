"""The metrics of a live feed, beside those of every node."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LABELS = ("service", "feed")
_DELAYS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

HEARD = Counter("barque_feed_messages_heard", "Market messages heard, by kind.", (*_LABELS, "kind"))
REPEATED = Counter("barque_feed_messages_repeated", "Market messages that the venue said again; dropped.", _LABELS)
DROPPED = Gauge("barque_feed_ticks_dropped", "Ticks lost since the start, because the bus was away for too long.", _LABELS)
LAG = Gauge(
    "barque_feed_lag_seconds", "From the venue's event time to our hearing of it, newest message with a venue's time.", _LABELS
)
PUBLISH = Histogram(
    "barque_feed_publish_seconds", "From hearing of the oldest message of a batch to its commit.", _LABELS, buckets=_DELAYS
)
RECONNECTS = Gauge("barque_feed_reconnects", "Times that a lost session came back, since the start.", _LABELS)
CONNECTED = Gauge("barque_feed_connected", "1 while there is a session with data.", _LABELS)
STALE = Gauge("barque_feed_stale_symbols", "Symbols that are not fit to be traded on.", _LABELS)


class FeedMetrics:
    """Labels bound once."""

    def __init__(self, service: str, feed: str) -> None:
        labels = (service, feed)
        self._heard = {kind: HEARD.labels(*labels, kind) for kind in ("quotes", "trades", "bars")}
        self.repeated = REPEATED.labels(*labels)
        self.dropped = DROPPED.labels(*labels)
        self.lag = LAG.labels(*labels)
        self.publish = PUBLISH.labels(*labels)
        self.reconnects = RECONNECTS.labels(*labels)
        self.connected = CONNECTED.labels(*labels)
        self.stale = STALE.labels(*labels)

    def heard(self, kind: str) -> None:
        """One more message of a kind."""
        self._heard[kind].inc()
