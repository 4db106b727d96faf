"""Named points at which a process can be made to end as `kill -9` would end it, so that recovery can be tested there.

In:   `CRASH_AT=<point>` or `CRASH_AT=<point>:<n>` in a service's environment (the n-th time that point is reached).
Out:  the process ends with exit code 137, nothing flushed, nothing closed.
Not:  anything at all where `CRASH_AT` is not set.
"""

from __future__ import annotations

import os

from barque.errors import ConfigError, nearest

POINTS = (
    "request_before_commit",
    "request_after_commit",
    "before_send",
    "after_send",
    "request_before_publish",
    "request_after_publish",
    "event_before_commit",
    "event_after_commit",
    "event_before_publish",
    "event_after_publish",
)
"""Of a live sender. A transaction that sends requests passes the first six in this order: before its commit; after it; right
before a request is given to the adapter; right after; before the outbox is published; after. One that only books what the broker
said of orders passes the last four."""
EXIT_CODE = 137
_left: dict[str, int] = {}


def arm(spec: str) -> None:
    """Take `CRASH_AT`'s value; raises `ConfigError` for a point that there is not."""
    point, _, times = spec.partition(":")
    if point not in POINTS:
        raise ConfigError(f"CRASH_AT={spec}: there is no point '{point}'; {nearest(point, list(POINTS))}")
    if times and not times.isdigit():
        raise ConfigError(f"CRASH_AT={spec}: '{times}' is not a number of times")
    _left[point] = int(times or 1)


def reach(point: str) -> None:
    """The process is at `point`."""
    if point in _left:
        _left[point] -= 1
        if _left[point] <= 0:
            os._exit(EXIT_CODE)
