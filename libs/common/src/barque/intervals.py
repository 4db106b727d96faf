"""Bar intervals: `1s`, `5m`, `4h`, `1d` in nanoseconds, and the bucket a time falls into.

Time bars are aligned to the UTC epoch: a `4h` bar opens at 00, 04, 08 … UTC, a `1d` bar at midnight UTC.
"""

from __future__ import annotations

import re

_UNITS_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9, "d": 86_400 * 10**9}
_INTERVAL = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def parse_interval(text: str) -> int:
    """Nanoseconds of an interval; raises `ValueError` where it is none.

    >>> parse_interval("5m")
    300000000000
    """
    match = _INTERVAL.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not an interval: a whole number and s, m, h or d, such as 1s, 5m, 4h, 1d")
    return int(match[1]) * _UNITS_NS[match[2]]


def bucket_open(ts_ns: int, interval_ns: int) -> int:
    """Start of the bucket that holds `ts_ns`, inclusive; the bucket ends `interval_ns` later, exclusive.

    >>> bucket_open(61, 60)
    60
    """
    return ts_ns - ts_ns % interval_ns
