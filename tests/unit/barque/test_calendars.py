"""Opening hours, against the exchanges' published hours and the calendars on the wall."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from barque.calendars import TradingDay, calendar, instant, local_day, zone
from barque.calendars.wall_clock import stretches
from barque.errors import ConfigError


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def test_a_market_around_the_clock_never_opens_or_closes() -> None:
    always = calendar("24/7")
    assert always.is_open(at("2013-02-03T03:00:00"))
    assert always.next_open(at("2013-02-03T03:00:00")) is None
    assert always.next_close(at("2013-02-03T03:00:00")) is None


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("2013-02-03T22:00:00", "2013-02-08T22:00:00"),  # winter: 17:00 in New York is 22:00 UTC
        ("2013-07-07T21:00:00", "2013-07-12T21:00:00"),  # summer: 21:00 UTC
        ("2013-03-10T21:00:00", "2013-03-15T21:00:00"),  # clocks went forward at 02:00 of that very Sunday
        ("2013-11-03T22:00:00", "2013-11-08T22:00:00"),  # and back at 02:00 of that one
    ],
)
def test_fx_is_open_from_sunday_to_friday_17_00_in_new_york(opens: str, closes: str) -> None:
    fx = calendar("FX")
    assert not fx.is_open(at(opens) - 1)
    assert fx.is_open(at(opens))
    assert fx.is_open(at(closes) - 1)
    assert not fx.is_open(at(closes))
    assert fx.next_open(at(opens) - 1) == at(opens)
    assert fx.next_close(at(opens)) == at(closes)


def test_the_next_opening_of_fx_from_within_a_week_is_the_next_sunday() -> None:
    fx = calendar("FX")
    assert fx.next_open(at("2013-02-03T22:00:00")) == at("2013-02-10T22:00:00")
    assert fx.next_close(at("2013-02-08T22:00:00")) == at("2013-02-15T22:00:00")


def test_new_york_closes_early_on_the_day_after_thanksgiving() -> None:
    xnys = calendar("XNYS")
    assert xnys.next_open(at("2025-11-27T12:00:00")) == at("2025-11-28T14:30:00")
    assert xnys.next_close(at("2025-11-28T15:00:00")) == at("2025-11-28T18:00:00")
    assert not xnys.is_open(at("2025-11-27T15:00:00"))
    assert xnys.is_open(at("2025-11-28T17:59:59"))
    assert not xnys.is_open(at("2025-11-28T18:00:00"))


def test_hong_kong_is_closed_over_lunch() -> None:
    xhkg = calendar("XHKG")  # 09:30-12:00, 13:00-16:00, eight hours ahead of UTC
    assert xhkg.is_open(at("2025-06-04T03:59:00"))
    assert not xhkg.is_open(at("2025-06-04T04:30:00"))
    assert xhkg.next_open(at("2025-06-04T04:30:00")) == at("2025-06-04T05:00:00")


def trading_day(day: str, opens: str, closes: str) -> TradingDay:
    """From ISO texts."""
    return TradingDay(date.fromisoformat(day), at(opens), at(closes))


MONDAY_FX = trading_day("2013-03-11", "2013-03-10T21:00:00", "2013-03-11T21:00:00")
"""It begins on Sunday, on the evening of the day that has 23 hours in New York."""


def test_the_fx_day_of_a_monday_begins_on_sunday_and_lasts_24_hours_even_where_the_clock_changes() -> None:
    fx = calendar("FX")
    assert fx.trading_day_on(date(2013, 3, 11)) == MONDAY_FX
    assert fx.trading_day_on(date(2013, 3, 10)) is None
    assert fx.trading_day_from(at("2013-03-09T12:00:00")) == MONDAY_FX
    assert fx.trading_day_from(MONDAY_FX.open_ns) == fx.trading_day_from(MONDAY_FX.close_ns - 1) == MONDAY_FX
    assert fx.trading_day_from(MONDAY_FX.close_ns) != MONDAY_FX
    assert fx.trading_day_until(MONDAY_FX.open_ns) == MONDAY_FX
    assert fx.trading_day_until(MONDAY_FX.open_ns - 1) == trading_day("2013-03-08", "2013-03-07T22:00:00", "2013-03-08T22:00:00")


def test_trading_days_of_a_market_around_the_clock_are_those_of_utc() -> None:
    day = trading_day("2013-02-03", "2013-02-03T00:00:00", "2013-02-04T00:00:00")
    always = calendar("24/7")
    assert (
        always.trading_day_on(day.day)
        == always.trading_day_from(day.open_ns)
        == always.trading_day_until(day.close_ns - 1)
        == day
    )


def test_trading_days_of_an_exchange_leave_out_holidays_and_hold_lunch() -> None:
    xnys, xhkg = calendar("XNYS"), calendar("XHKG")
    half = trading_day("2013-11-29", "2013-11-29T14:30:00", "2013-11-29T18:00:00")
    assert xnys.trading_day_on(date(2013, 11, 28)) is None
    assert xnys.trading_day_from(at("2013-11-27T21:00:00")) == half
    assert xnys.trading_day_until(at("2013-12-02T14:29:59")) == half
    assert xhkg.trading_day_from(at("2025-06-04T04:30:00")) == trading_day(
        "2025-06-04", "2025-06-04T01:30:00", "2025-06-04T08:00:00"
    )


def test_globex_rests_for_an_hour_each_day() -> None:
    globex = calendar("GLOBEX")
    assert globex.next_close(at("2024-01-09T12:00:00")) == at("2024-01-09T22:00:00")  # 16:00 in Chicago
    assert not globex.is_open(at("2024-01-09T22:30:00"))
    assert globex.next_open(at("2024-01-09T22:00:00")) == at("2024-01-09T23:00:00")
    assert globex.trading_day_on(date(2024, 3, 29)) is None  # Good Friday
    assert globex.trading_day_on(date(2024, 7, 8)) == trading_day("2024-07-08", "2024-07-07T22:00:00", "2024-07-08T21:00:00")


def test_a_country_works_on_weekdays_without_its_holidays() -> None:
    japan = calendar("holidays:JP")
    assert [japan.trading_day_on(date(2013, 2, day)) is not None for day in range(8, 13)] == [True, False, False, False, True]
    assert japan.next_close(at("2013-02-08T12:00:00")) == at("2013-02-09T00:00:00")
    assert japan.next_open(at("2013-02-08T12:00:00")) == at("2013-02-12T00:00:00")
    assert not japan.is_open(at("2013-02-11T12:00:00"))
    with pytest.raises(ConfigError, match="no country 'JQ'"):
        calendar("holidays:JQ")


@pytest.mark.parametrize("name", ["24/7", "FX", "XNYS", "XHKG", "XLON", "GLOBEX", "holidays:JP"])
def test_trading_days_follow_one_another_without_overlap_and_answer_to_their_date(name: str) -> None:
    market, day = calendar(name), calendar(name).trading_day_from(at("2013-03-01T00:00:00"))
    for _ in range(280):
        assert day is not None
        assert day.open_ns < day.close_ns
        assert market.is_open(day.open_ns) and market.is_open(day.close_ns - 1)
        assert (
            market.trading_day_on(day.day)
            == market.trading_day_until(day.open_ns)
            == market.trading_day_until(day.close_ns - 1)
            == day
        )
        following = market.trading_day_from(day.close_ns)
        assert following is not None
        assert following.day > day.day and following.open_ns >= day.close_ns
        assert market.trading_day_until(following.open_ns - 1) == day
        day = following


def test_a_day_on_which_the_clock_changes_is_two_even_stretches() -> None:
    new_york = zone("America/New_York")
    change = at("2013-03-10T07:00:00") // 10**9
    spring = stretches(date(2013, 3, 10), new_york)
    assert [(part.until_s - part.from_s, part.shift_s) for part in spring] == [(2 * 3600, -5 * 3600), (21 * 3600, -4 * 3600)]
    assert spring[0].until_s == spring[1].from_s == change
    autumn = stretches(date(2013, 11, 3), new_york)
    assert [(part.until_s - part.from_s) // 3600 for part in autumn] == [2, 23]
    assert [(part.until_s - part.from_s) // 3600 for part in stretches(date(2013, 6, 1), new_york)] == [24]
    assert stretches(date(2011, 12, 30), zone("Pacific/Apia")) == ()


def test_an_unknown_calendar_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="calendar 'XNYSE' is not known; did you mean 'XNYS'"):
        calendar("XNYSE")


def test_an_exchange_does_not_answer_for_years_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="calendar 'XNYS' is known from 2000-01-01 to 2035-12-31"):
        calendar("XNYS").is_open(at("1999-12-31T15:00:00"))


def test_a_time_that_the_clock_skips_is_an_hour_later_on_it() -> None:
    new_york = zone("America/New_York")
    assert instant(date(2013, 3, 10), time(2, 30), new_york) == at("2013-03-10T07:30:00")  # 03:30 summer time


def test_of_a_time_that_the_clock_shows_twice_the_first_is_meant() -> None:
    assert instant(date(2013, 11, 3), time(1, 30), zone("America/New_York")) == at("2013-11-03T05:30:00")


def test_the_day_in_tokyo_begins_at_15_00_utc() -> None:
    tokyo = zone("Asia/Tokyo")
    assert local_day(at("2013-02-04T14:59:59"), tokyo) == date(2013, 2, 4)
    assert local_day(at("2013-02-04T15:00:00"), tokyo) == date(2013, 2, 5)


def test_an_unknown_zone_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="'Asia/Tokio' is no IANA time zone; did you mean 'Asia/Tokyo'"):
        zone("Asia/Tokio")
