"""Schedules: named moments of a strategy's day, by a wall clock, in event time.

In:   the time, as `ClockTicked` brings it.   Out: "run", "skip" or "wait".
Not:  a timer. A schedule knows when it is due; it is persisted, so a restart neither repeats a run nor forgets one.
"""

from __future__ import annotations

from datetime import time, timedelta
from typing import Literal

import msgspec

from barque.calendars import instant, local_day, zone

MissedPolicy = Literal["run_once", "skip"]
"""What becomes of runs that nobody was there for: one run, late, for all of them, or none."""

Strike = Literal["run", "skip", "wait"]


class Daily(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Every day at `at` by the clocks of `tz`, through changes to and from summer time (`barque.calendars.instant`)."""

    at: time
    tz: str
    missed: MissedPolicy = "run_once"
    grace_s: int = 60
    """Under `skip`, a run that comes at most this late is not a missed one."""

    def __post_init__(self) -> None:
        zone(self.tz)

    def first_from(self, ts_ns: int) -> int:
        """The first run at or after `ts_ns`."""
        return next(run for run in self._around(ts_ns) if run >= ts_ns)

    def last_until(self, ts_ns: int) -> int:
        """The last run at or before `ts_ns`."""
        return next(run for run in reversed(self._around(ts_ns)) if run <= ts_ns)

    def _around(self, ts_ns: int) -> list[int]:
        where = zone(self.tz)
        today = local_day(ts_ns, where)
        return [instant(today + timedelta(days=n), self.at, where) for n in range(-2, 3)]


class Schedule(msgspec.Struct, array_like=True):
    """A rule and when it is due next."""

    rule: Daily
    due_ns: int | None = None
    """None: it has not heard the time yet. What lies before that moment is not missed, it never was."""

    def strike(self, now_ns: int) -> Strike:
        """Whether it is to run now; at most one run a call, however many were missed."""
        if self.due_ns is None:
            self.due_ns = self.rule.first_from(now_ns)
        if now_ns < self.due_ns:
            return "wait"
        late_ns = now_ns - self.rule.last_until(now_ns)
        self.due_ns = self.rule.first_from(now_ns + 1)
        return "run" if self.rule.missed == "run_once" or late_ns <= self.rule.grace_s * 1_000_000_000 else "skip"
