"""Calendars that follow a rule: around the clock, FX, and a country's days of business.

In:   instants, dates.   Out: hours and trading days.
Not:  exchanges, which publish their sessions (`barque.calendars.exchanges`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from barque.calendars.base import TradingDay
from barque.calendars.wall_clock import SECOND_NS, UTC_ZONE, instant, local_day

DAY = timedelta(days=1)
_LONGEST_REST = 31
"""Days in which every calendar of this module trades at least once."""


class DailyRule:
    """Trading days of a market that works on `works(date)`, from `opens_ns(date)` until `opens_ns(date + 1)`.

    For calendars whose days touch: each of them is as long as its date.
    """

    def __init__(self, works: Callable[[date], bool], opens_ns: Callable[[date], int], date_of: Callable[[int], date]) -> None:
        """`date_of`: the date in whose span an instant lies, whether or not it works then."""
        self._works, self._opens_ns, self._date_of = works, opens_ns, date_of

    def trading_day_on(self, day: date) -> TradingDay | None:
        return TradingDay(day, self._opens_ns(day), self._opens_ns(day + DAY)) if self._works(day) else None

    def trading_day_from(self, ts_ns: int) -> TradingDay | None:
        return self._search(ts_ns, DAY)

    def trading_day_until(self, ts_ns: int) -> TradingDay | None:
        return self._search(ts_ns, -DAY)

    def _search(self, ts_ns: int, step: timedelta) -> TradingDay | None:
        day = self._date_of(ts_ns)
        for _ in range(_LONGEST_REST):
            if found := self.trading_day_on(day):
                return found
            day += step
        return None


class AlwaysOpen(DailyRule):
    """`24/7`."""

    def __init__(self) -> None:
        super().__init__(lambda _: True, _utc_midnight, _utc_date)

    def is_open(self, ts_ns: int) -> bool:
        return True

    def next_open(self, ts_ns: int) -> int | None:
        return None

    def next_close(self, ts_ns: int) -> int | None:
        return None


class ForeignExchange(DailyRule):
    """`FX`: one session a week, by the clocks of New York, in five trading days from 17:00 to 17:00."""

    _zone = ZoneInfo("America/New_York")
    _turn = time(17)

    def __init__(self) -> None:
        super().__init__(lambda day: day.isoweekday() <= 5, self._opens, self._date)

    def is_open(self, ts_ns: int) -> bool:
        return self._date(ts_ns).isoweekday() <= 5

    def next_open(self, ts_ns: int) -> int | None:
        opens, _ = self._week(ts_ns, 0)
        return opens if opens > ts_ns else self._week(ts_ns, 1)[0]

    def next_close(self, ts_ns: int) -> int | None:
        _, closes = self._week(ts_ns, 0)
        return closes if closes > ts_ns else self._week(ts_ns, 1)[1]

    def _opens(self, day: date) -> int:
        return instant(day - DAY, self._turn, self._zone)

    def _date(self, ts_ns: int) -> date:
        day = local_day(ts_ns, self._zone)
        return day + DAY if ts_ns >= instant(day, self._turn, self._zone) else day

    def _week(self, ts_ns: int, weeks_on: int) -> tuple[int, int]:
        """Opening and closing of the session that begins on the Sunday on or before `ts_ns`, or of a later one."""
        day = local_day(ts_ns, self._zone)
        sunday = day - timedelta(days=day.isoweekday() % 7) + timedelta(weeks=weeks_on)
        return instant(sunday, self._turn, self._zone), instant(sunday + timedelta(days=5), self._turn, self._zone)


class BusinessDays(DailyRule):
    """`holidays:JP`: every date on which the country works. Adjoining days are one opening and one closing."""

    def __init__(self, works: Callable[[date], bool]) -> None:
        super().__init__(works, _utc_midnight, _utc_date)

    def is_open(self, ts_ns: int) -> bool:
        return self._works(_utc_date(ts_ns))

    def next_open(self, ts_ns: int) -> int | None:
        return self._next(_utc_date(ts_ns), True)

    def next_close(self, ts_ns: int) -> int | None:
        return self._next(_utc_date(ts_ns), False)

    def _next(self, day: date, opening: bool) -> int | None:
        for _ in range(_LONGEST_REST * 12):
            before, day = day, day + DAY
            if self._works(day) == opening and self._works(before) != opening:
                return _utc_midnight(day)
        return None


def _utc_midnight(day: date) -> int:
    return instant(day, time(0), UTC_ZONE)


def _utc_date(ts_ns: int) -> date:
    return datetime.fromtimestamp(ts_ns // SECOND_NS, UTC_ZONE).date()
