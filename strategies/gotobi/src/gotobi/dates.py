"""Which dates are traded.

In:   a month, the gotobi day numbers, what is a holiday.   Out: dates.
Not:  times of day or time zones.

A gotobi day that falls on a weekend or a holiday is traded on the last business day before it, whose own number need not be
a gotobi number, and which may lie in the month before.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Container, Iterable
from datetime import date, timedelta

SATURDAY = 5


def trading_dates(year: int, month: int, days: Iterable[int], month_end: bool, holidays: Container[date]) -> tuple[date, ...]:
    """The dates that the gotobi days of this month are traded on, sorted, each once. Days that the month lacks give nothing.

    >>> [d.day for d in trading_dates(2013, 2, (5, 10, 15, 20, 25, 30), True, {date(2013, 2, 11)})]
    [5, 8, 15, 20, 25, 28]
    """
    length = monthrange(year, month)[1]
    numbers = {day for day in days if day <= length} | ({length} if month_end else set())
    return tuple(sorted({_business_day(date(year, month, number), holidays) for number in numbers}))


def is_trading_date(day: date, days: Iterable[int], month_end: bool, holidays: Container[date]) -> bool:
    """Whether a gotobi day of this month, or of the next, is traded on `day`."""
    days = tuple(days)
    following = day.replace(day=1) + timedelta(days=31)
    return any(day in trading_dates(month.year, month.month, days, month_end, holidays) for month in (day, following))


def _business_day(day: date, holidays: Container[date]) -> date:
    """`day`, or the last business day before it."""
    while day.weekday() >= SATURDAY or day in holidays:
        day -= timedelta(days=1)
    return day
