"""What the router tells people."""

from __future__ import annotations

from barque.messages import Alert, Topic
from barque.messages.control import Severity
from barque.node import Output

SOURCE = "router"


def alert(name: str, severity: Severity, ts_event_ns: int, text: str) -> Output:
    """`name` has a page in `docs/runbooks/`."""
    return Topic.ALERTS, Alert(name=name, ts_event_ns=ts_event_ns, severity=severity, source=SOURCE, text=text)
