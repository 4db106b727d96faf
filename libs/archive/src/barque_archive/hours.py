"""A market's open hours over a stretch of time, as arrays: which times fall outside, how much open time lies between two.

In:   a calendar, first and last time.   Out: answers for whole columns of times.
Not:  hours of its own (`barque.calendars`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barque.calendars import Calendar
from barque_archive.columns import Integers, Mask

DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Hours:
    """Sessions, oldest first, half-open, none touching the next."""

    opens: Integers
    closes: Integers

    @classmethod
    def of(cls, calendar: Calendar, first_ns: int, last_ns: int) -> Hours:
        """The sessions of a calendar that touch the stretch, and some more at both ends."""
        start, end = first_ns - 14 * DAY_NS, last_ns + 14 * DAY_NS
        opens, closes = [], []
        at: int | None = start if calendar.is_open(start) else calendar.next_open(start)
        while at is not None and at < end:
            opens.append(at)
            closing = calendar.next_close(at)
            closes.append(end if closing is None else closing)
            at = None if closing is None else closing if calendar.is_open(closing) else calendar.next_open(closing)
        return cls(np.array(opens, np.int64), np.array(closes, np.int64))

    def outside(self, times: Integers) -> Mask:
        """Per time, whether the market is closed then."""
        closed: Mask = np.searchsorted(self.opens, times, side="right") == np.searchsorted(self.closes, times, side="right")
        return closed

    def open_time(self, times: Integers) -> Integers:
        """Per time, ns of open hours before it, counted from the first session."""
        lengths = np.concatenate(([0], np.cumsum(self.closes - self.opens)))
        last = np.searchsorted(self.opens, times, side="right")  # sessions that have opened
        begun = np.maximum(last - 1, 0)
        within = np.minimum(times, self.closes[begun]) - self.opens[begun]
        return np.where(last > 0, lengths[begun] + within, 0)
