"""Times of day on the clocks of a zone, as instants.

In:   which dates, which times of day, an instant.   Out: the first run from it on, the last until it.
Not:  how dates and times are written (`barque.strategy.cron`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from barque.calendars.wall_clock import DAY_S, SECOND_NS, Stretch, instant, local_day, midnight_s, stretches
from barque.errors import ConfigError

HORIZON_DAYS = 15_000
"""So far is looked for a date: 29 February falls on a given weekday at least once in 40 years."""


class WallTimes:
    """Runs at `times_s` (seconds since midnight, sorted) of each date that `works`.

    `elapsed`: times follow the time that passes, else each runs once a date; see `barque.strategy.rules`.
    """

    def __init__(self, times_s: tuple[int, ...], elapsed: bool, works: Callable[[date], bool], where: ZoneInfo) -> None:
        self._times_s, self._elapsed, self._works, self._where = times_s, elapsed, works, where
        self._uneven: dict[date, Sequence[int]] = {}

    def first_from(self, ts_ns: int) -> int | None:
        """The first run at or after `ts_ns`; None: none is known."""
        from_s = -(-ts_ns // SECOND_NS)
        runs = self._days(ts_ns, 1, lambda times, base: _at(times, bisect_left(times, from_s - base), base))
        return min(runs) * SECOND_NS if runs else None

    def last_until(self, ts_ns: int) -> int | None:
        """The last run at or before `ts_ns`; None: none is known."""
        until_s = ts_ns // SECOND_NS
        runs = self._days(ts_ns, -1, lambda times, base: _at(times, bisect_right(times, until_s - base) - 1, base))
        return max(runs) * SECOND_NS if runs else None

    def _days(self, ts_ns: int, step: int, pick: Callable[[Sequence[int], int], int | None]) -> list[int]:
        """What `pick` finds on the nearest date that has something, and on the one after it: where a clock is put forward over
        midnight, a run of one date comes after the first ones of the next."""
        today = local_day(ts_ns, self._where)
        self._works(today)  # raises where a calendar does not know the present
        for ahead in range(-1, HORIZON_DAYS):
            day = today + timedelta(days=ahead * step)
            run = pick(*self._runs_of(day))
            if run is not None:
                following = pick(*self._runs_of(day + timedelta(days=step)))
                return [run] if following is None else [run, following]
        return []

    def _runs_of(self, day: date) -> tuple[Sequence[int], int]:
        """(times, base): the runs of `day` are at base + each of the times, seconds since 1970 UTC."""
        try:
            if not self._works(day):
                return (), 0
        except ConfigError:  # beyond what a calendar knows
            return (), 0
        parts = stretches(day, self._where)
        if len(parts) == 1 and parts[0].until_s - parts[0].from_s == DAY_S:
            return self._times_s, parts[0].from_s
        if day not in self._uneven:
            self._uneven[day] = self._elapsing(day, parts) if self._elapsed else self._named(day)
        return self._uneven[day], 0

    def _named(self, day: date) -> Sequence[int]:
        return sorted({instant(day, _time_of(t), self._where) // SECOND_NS for t in self._times_s})

    def _elapsing(self, day: date, parts: Sequence[Stretch]) -> Sequence[int]:
        midnight = midnight_s(day)
        return [
            run
            for part in parts
            for run in (midnight + t - part.shift_s for t in self._times_s)
            if part.from_s <= run < part.until_s
        ]


def _at(times: Sequence[int], index: int, base: int) -> int | None:
    return base + times[index] if 0 <= index < len(times) else None


def _time_of(seconds: int) -> time:
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)
