"""Opening hours, against the exchanges' published hours and the calendars on the wall."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from barque.calendars import calendar, instant, local_day, zone
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
