"""Rules of schedules: which instants they name.

In:   an instant.   Out: the first run from it on, the last until it; None where none is known.
Not:  whether a run was missed (`barque.strategy.schedules`). A rule is a value: it has no memory and no clock.

How a rule meets a change of the clock:
- A time of day that is named (`09:30`, or cron with hours of its own) runs once on its date. What the clock skips in spring runs
  as if it had not been put forward (02:30 at 03:30); of what it shows twice in autumn, the first is meant. Two times that fall on
  one instant that way are one run.
- Cron with every hour (`*`) follows the time that passes: the doubled hour runs twice, the skipped one does not.
- `Every` counts seconds since 1970 UTC, and sessions are instants: neither knows of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from barque.calendars import Calendar, TradingDay, calendar, instant, local_day, zone
from barque.calendars.exchanges import EXTENDED_HOURS
from barque.calendars.wall_clock import DAY_S, SECOND_NS, UTC_ZONE
from barque.errors import ConfigError
from barque.strategy.cron import parse_cron
from barque.strategy.wall_times import WallTimes

HORIZON_SESSIONS = 1_000
LONGEST_OFFSET_S = 7 * DAY_S
REFERENCE_NS = 1_704_067_200 * SECOND_NS
"""2024-01-01 UTC. A rule that has no run from then on is refused when it is made."""

Edge = Literal["open", "close"]


class Cron(msgspec.Struct, frozen=True, tag=True):
    """Times of day by the clocks of `tz`: six fields, see `barque.strategy.cron`."""

    expression: str
    tz: str
    calendar: str = ""
    """Only on the dates of this calendar's trading days; empty: on all."""

    def __post_init__(self) -> None:
        _wall(self.expression, self.tz, self.calendar)

    def first_from(self, ts_ns: int) -> int | None:
        """The first run at or after `ts_ns`."""
        return _wall(self.expression, self.tz, self.calendar).first_from(ts_ns)

    def last_until(self, ts_ns: int) -> int | None:
        """The last run at or before `ts_ns`."""
        return _wall(self.expression, self.tz, self.calendar).last_until(ts_ns)


class Every(msgspec.Struct, frozen=True, tag=True):
    """Every `seconds`, aligned as bars are: to 1970-01-01 00:00 UTC."""

    seconds: int
    calendar: str = ""
    """Only while it is open; empty: always."""

    def __post_init__(self) -> None:
        if self.seconds < 1:
            raise ConfigError(f"every {self.seconds} s: the time between two runs must be at least a second")
        _check_possible(f"every {self.seconds} s while {self.calendar} is open", self.first_from)

    def first_from(self, ts_ns: int) -> int | None:
        """The first run at or after `ts_ns`."""
        step_ns = self.seconds * SECOND_NS
        run = _ceiling(ts_ns, step_ns)
        if not self.calendar:
            return run
        market = calendar(self.calendar)
        for _ in range(HORIZON_SESSIONS):
            if market.is_open(run):
                return run
            opens = market.next_open(run)
            if opens is None:
                return None
            run = _ceiling(opens, step_ns)
        return None

    def last_until(self, ts_ns: int) -> int | None:
        """The last run at or before `ts_ns`."""
        step_ns = self.seconds * SECOND_NS
        run = ts_ns // step_ns * step_ns
        if not self.calendar:
            return run
        market = calendar(self.calendar)
        while not market.is_open(run):
            day = market.trading_day_until(run)
            if day is None:
                return None
            run = (min(run, day.close_ns) - 1) // step_ns * step_ns  # within the day only where it is at lunch
        return run


class SessionEdge(msgspec.Struct, frozen=True, tag=True):
    """When a calendar's market opens or closes, `offset_s` later (negative: earlier).

    Trading days that touch are one opening and one closing: FX opens on Sunday and closes on Friday. A lunch break is neither.
    """

    calendar: str
    edge: Edge
    offset_s: int = 0

    def __post_init__(self) -> None:
        _check_offset(self.offset_s)
        if calendar(self.calendar).next_open(REFERENCE_NS) is None:
            raise ConfigError(f"calendar '{self.calendar}' has no {self.edge}: it trades around the clock; name a time of day")

    def first_from(self, ts_ns: int) -> int | None:
        """The first run at or after `ts_ns`."""
        market, sought_ns = calendar(self.calendar), ts_ns - self.offset_s * SECOND_NS
        day = market.trading_day_from(sought_ns - 1)
        while day is not None:
            edge_ns = self._edge_ns(market, day)
            if edge_ns is not None and edge_ns >= sought_ns:
                return edge_ns + self.offset_s * SECOND_NS
            day = market.trading_day_from(day.close_ns)
        return None

    def last_until(self, ts_ns: int) -> int | None:
        """The last run at or before `ts_ns`."""
        market, sought_ns = calendar(self.calendar), ts_ns - self.offset_s * SECOND_NS
        day = market.trading_day_until(sought_ns)
        while day is not None:
            edge_ns = self._edge_ns(market, day)
            if edge_ns is not None and edge_ns <= sought_ns:
                return edge_ns + self.offset_s * SECOND_NS
            day = _day_before(market, day)
        return None

    def _edge_ns(self, market: Calendar, day: TradingDay) -> int | None:
        """The edge of `day`, unless it touches its neighbour there."""
        if self.edge == "open":
            before = _day_before(market, day)
            return day.open_ns if before is None or before.close_ns < day.open_ns else None
        after = market.trading_day_from(day.close_ns)
        return day.close_ns if after is None or after.open_ns > day.close_ns else None


class PeriodEnd(msgspec.Struct, frozen=True, tag=True):
    """The last trading day of each month, or of each quarter (March, June, September, December), as the calendar dates them.

    At `at` by the clocks of `tz` on that date; without `at`, `offset_s` after that day's close (negative: before).
    """

    calendar: str
    months: Literal[1, 3] = 1
    days_before: int = 0
    """So many trading days before the last one."""
    at: time | None = None
    tz: str = ""
    offset_s: int = 0

    def __post_init__(self) -> None:
        calendar(self.calendar)
        _check_offset(self.offset_s)
        if not 0 <= self.days_before <= 10:
            raise ConfigError(f"days_before is {self.days_before}; it is a number of trading days from 0 to 10")
        if self.at is None and self.tz:
            raise ConfigError(f"tz '{self.tz}' is given without at; give both, or offset_s from the day's close")
        if self.at is not None:
            zone(self.tz)
            if self.offset_s:
                raise ConfigError(
                    "at and offset_s are both given; a run is at a time of day or at an offset from the day's close"
                )

    def first_from(self, ts_ns: int) -> int | None:
        """The first run at or after `ts_ns`."""
        return next((run for run in self._runs(ts_ns, 1) if run >= ts_ns), None)

    def last_until(self, ts_ns: int) -> int | None:
        """The last run at or before `ts_ns`."""
        return next((run for run in self._runs(ts_ns, -1) if run <= ts_ns), None)

    def _runs(self, ts_ns: int, step: Literal[1, -1]) -> Iterator[int]:
        """Runs around `ts_ns` in the order of `step`, beginning with a period that lies on its near side."""
        market, today = calendar(self.calendar), local_day(ts_ns, UTC_ZONE)
        market.trading_day_on(today)  # raises where the calendar does not know the present
        period = (today.year * 12 + today.month - 1) // self.months - step
        for number in range(period, period + 4 * step, step):
            day = self._day_of(market, number)
            if day is None:
                continue
            yield day.close_ns + self.offset_s * SECOND_NS if self.at is None else instant(day.day, self.at, zone(self.tz))

    def _day_of(self, market: Calendar, period: int) -> TradingDay | None:
        """The trading day that is meant in the period of that number, counted from year 0."""
        year, month = divmod((period + 1) * self.months, 12)
        day, left = date(year, month + 1, 1), self.days_before
        try:
            for _ in range(31):
                day -= timedelta(days=1)
                found = market.trading_day_on(day)
                if found is not None and left == 0:
                    return found
                left -= found is not None
        except ConfigError:  # the calendar does not know the end of this period
            pass
        return None


Rule: TypeAlias = Cron | Every | SessionEdge | PeriodEnd


def daily(at: time | str, tz: str, days: str = "*", calendar: str = "") -> Cron:
    """Every day at `at` ("01:30:00", whole seconds) by the clocks of `tz`; `days` is a weekday field of cron (`MON-FRI`)."""
    moment = time_of_day(at)
    return Cron(f"{moment.second} {moment.minute} {moment.hour} * * {days}", tz, calendar)


def time_of_day(at: time | str) -> time:
    """`at`, read; raises `ConfigError` where it is no time of day in whole seconds."""
    try:
        moment = time.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        raise ConfigError(f"at: '{at}' is no time of day, such as '09:30' or '01:30:00'") from None
    if moment.microsecond or moment.tzinfo is not None:
        raise ConfigError(f"at: {moment} is not in whole seconds, or has a zone of its own; the zone is tz")
    return moment


def pre_market(market: str) -> Cron:
    """The beginning of pre-market trading on a calendar's trading days; raises `ConfigError` where it is not known."""
    if market not in EXTENDED_HOURS:
        known = ", ".join(EXTENDED_HOURS)
        raise ConfigError(
            f"calendar '{market}' has no known pre-market hours (known: {known}); give before_s, seconds before the open"
        )
    tz, at = EXTENDED_HOURS[market]
    return daily(at, tz, calendar=market)


def _day_before(market: Calendar, day: TradingDay) -> TradingDay | None:
    try:
        return market.trading_day_until(day.open_ns - 1)
    except ConfigError:  # the first day that is known
        return None


def _ceiling(ts_ns: int, step_ns: int) -> int:
    return -(-ts_ns // step_ns) * step_ns


def _check_offset(offset_s: int) -> None:
    if abs(offset_s) > LONGEST_OFFSET_S:
        raise ConfigError(f"offset_s is {offset_s}; at most a week ({LONGEST_OFFSET_S}) either way")


@lru_cache(maxsize=256)
def _wall(expression: str, tz: str, market: str) -> WallTimes:
    cron = parse_cron(expression)
    where, open_days = zone(tz), calendar(market) if market else None

    def works(day: date) -> bool:
        return cron.falls_on(day) and (open_days is None or open_days.trading_day_on(day) is not None)

    times = WallTimes(cron.times_s, cron.every_hour, works, where)
    if open_days is not None:
        _check_possible(f"cron '{expression}' on trading days of {market}", times.first_from)
    return times


def _check_possible(what: str, first_from: Callable[[int], int | None]) -> None:
    if first_from(REFERENCE_NS) is None:
        raise ConfigError(f"{what} never runs; the two never meet")
