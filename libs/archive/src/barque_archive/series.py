"""What a series is: one symbol's quotes, trades, or bars of one interval and price.

In:   names.   Out: a key that files, queries and messages share.
Not:  data.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from barque.intervals import interval_of

SeriesKind = Literal["quotes", "trades", "bars"]


class Series(NamedTuple):
    """The name of one series. Quotes and trades have neither interval nor price."""

    symbol: str
    kind: SeriesKind
    interval: str = ""
    price: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


def duration_ns(interval: str) -> int | None:
    """Length of a time interval; None for bars that are not made of time (`tick:100`). Raises `ValueError` for no interval."""
    measure = interval_of(interval)
    return measure.interval_ns if measure.is_time else None
