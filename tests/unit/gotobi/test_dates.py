"""Trading dates, against the calendars of the specification."""

from __future__ import annotations

from datetime import date

import holidays
import pytest

from gotobi.dates import is_trading_date, trading_dates

DAYS = (5, 10, 15, 20, 25, 30)
JAPAN = holidays.country_holidays("JP")


@pytest.mark.parametrize(
    ("year", "month", "month_end", "expected"),
    [
        (2013, 2, False, [5, 8, 15, 20, 25]),
        (2013, 2, True, [5, 8, 15, 20, 25, 28]),
        (2026, 9, False, [4, 10, 15, 18, 25, 30]),
        (2026, 9, True, [4, 10, 15, 18, 25, 30]),
        (2027, 1, False, [5, 8, 15, 20, 25, 29]),
        (2027, 1, True, [5, 8, 15, 20, 25, 29]),
    ],
)
def test_the_dates_of_the_specification(year: int, month: int, month_end: bool, expected: list[int]) -> None:
    assert [day.day for day in trading_dates(year, month, DAYS, month_end, JAPAN)] == expected


def test_a_day_in_a_week_of_holidays_rolls_into_the_month_before() -> None:
    # May 2026: 2 and 3 are a weekend, 4, 5 and 6 holidays; so the 5th is traded on Friday 1 May
    assert trading_dates(2026, 5, (5,), False, JAPAN) == (date(2026, 5, 1),)
    # May 2027: 3, 4 and 5 are holidays, 1 and 2 a weekend; so the 5th joins the 30th of April
    assert trading_dates(2027, 5, (5,), False, JAPAN) == (date(2027, 4, 30),)
    assert is_trading_date(date(2027, 4, 30), (5,), False, JAPAN)


def test_two_days_that_roll_to_one_date_are_one() -> None:
    assert trading_dates(2013, 2, (8, 9, 10, 11), False, JAPAN) == (date(2013, 2, 8),)


def test_a_rolled_date_is_traded_although_its_number_is_none() -> None:
    traded = [day for day in range(1, 29) if is_trading_date(date(2013, 2, day), DAYS, False, JAPAN)]
    assert traded == [5, 8, 15, 20, 25]


def test_an_extra_date_without_trade_rolls_back_too() -> None:
    closed = {date(2013, 2, 5), date(2013, 2, 4)}
    assert trading_dates(2013, 2, (5,), False, closed) == (date(2013, 2, 1),)
