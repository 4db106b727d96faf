"""Schedules: named moments at which a strategy is called, in event time.

In:   the time, as `ClockTicked` brings it.   Out: which runs are due, which were missed and what becomes of them.
Not:  a timer. A schedule knows when it is due; it is persisted, so a restart neither repeats a run nor forgets one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Literal, TypedDict

import msgspec

from barque.errors import ConfigError
from barque.strategy.rules import Rule

MissedPolicy = Literal["run_once", "run_all", "skip"]
"""What becomes of runs that nobody was there for: one run for all of them, each by itself in order, or none."""

Strike = Literal["run", "skip", "drop"]
"""A run; missed ones that the policy skips; missed ones that are too many for `run_all`."""

CATCH_UP = 1_000
"""Of runs that were missed under `run_all`, the newest so many are made up for."""

NOTICES: Mapping[Strike, str] = {
    "skip": "was missed and is skipped, as its policy says",
    "drop": f"has missed more than {CATCH_UP:,} runs; only the newest {CATCH_UP:,} are made up for",
}
"""What a person is told of the strikes that are no runs."""

NEVER = 2**63 - 1
"""Due then: its rule knows of no further run."""

_SECOND_NS = 1_000_000_000


class Policy(TypedDict, total=False):
    """What every declaration of a schedule takes as keywords."""

    missed: MissedPolicy
    grace_s: int
    """Under `skip`, a run that comes at most this late is not a missed one; 60 unless given."""


class Schedule(msgspec.Struct, array_like=True):
    """A rule, when it is due next, and which run was the last."""

    rule: Rule
    due_ns: int | None = None
    """None: it has not heard the time yet. What lies before that moment is not missed, it never was."""
    ran_ns: int | None = None
    """When its newest run was scheduled for, however late it came."""
    missed: MissedPolicy = "run_once"
    grace_s: int = 60

    def __post_init__(self) -> None:
        if self.missed not in ("run_once", "run_all", "skip"):
            raise ConfigError(f"missed is '{self.missed}'; it must be run_once, run_all or skip")
        if self.grace_s < 0:
            raise ConfigError(f"grace_s is {self.grace_s}; it cannot be negative")

    def recall(self, was: Schedule) -> None:
        """Go on where `was` stopped, unless it had another rule. A new policy holds for what was missed before, too."""
        if was.rule == self.rule:
            self.due_ns, self.ran_ns = was.due_ns, was.ran_ns

    def _is_due(self, now_ns: int) -> bool:
        if self.due_ns is None:
            self._wait_from(now_ns)
        return self.due_ns is not None and self.due_ns <= now_ns

    def _moment(self, now_ns: int) -> int:
        """The scheduled time of the run that is due: the oldest under `run_all`, else the newest."""
        due_ns = self.due_ns if self.due_ns is not None else now_ns
        if self.missed == "run_all":
            return due_ns
        newest_ns = self.rule.last_until(now_ns)
        return due_ns if newest_ns is None else max(due_ns, newest_ns)

    def _take(self, moment_ns: int, now_ns: int) -> Strike:
        self._wait_from(moment_ns + 1)
        if self.missed == "skip" and now_ns - moment_ns > self.grace_s * _SECOND_NS:
            return "skip"
        self.ran_ns = moment_ns
        return "run"

    def _wait_from(self, ts_ns: int) -> None:
        run = self.rule.first_from(ts_ns)
        self.due_ns = NEVER if run is None else run

    def _drop_oldest(self, now_ns: int) -> bool:
        """Under `run_all`, forget all but the newest `CATCH_UP` runs; whether there were more."""
        due_ns = self.due_ns
        if self.missed != "run_all" or due_ns is None:
            return False
        following = self.rule.first_from(due_ns + 1)
        if following is None or following > now_ns:
            return False
        oldest = self.rule.last_until(now_ns)
        for _ in range(CATCH_UP - 1):
            if oldest is None or oldest <= due_ns:
                return False
            oldest = self.rule.last_until(oldest - 1)
        if oldest is None or oldest <= due_ns:
            return False
        self.due_ns = oldest
        return True


def due_runs(schedules: Mapping[str, Schedule], now_ns: int) -> Iterator[tuple[str, Strike]]:
    """Every run that is due by `now_ns`, of all schedules together in the order of their scheduled times, then of declaration.

    `Schedule.ran_ns` tells which run it is, until the next is asked for. What is not asked for stays due.
    """
    waiting: list[tuple[int, int, str]] = []
    for index, (name, schedule) in enumerate(schedules.items()):
        if schedule._is_due(now_ns):
            if schedule._drop_oldest(now_ns):
                yield name, "drop"
            waiting.append((schedule._moment(now_ns), index, name))
    heapify(waiting)
    while waiting:
        moment_ns, index, name = heappop(waiting)
        schedule = schedules[name]
        yield name, schedule._take(moment_ns, now_ns)
        if schedule._is_due(now_ns):
            heappush(waiting, (schedule._moment(now_ns), index, name))
