"""Rules of schedules: changes of the clock, trading days, half days, ends of months, against calendars on the wall."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError
from barque.strategy import Cron, Every, PeriodEnd, Rule, SessionEdge
from barque.strategy.rules import daily, pre_market
from barque.strategy.wall_times import WallTimes

NS = 10**9
HOUR = 3_600 * NS


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def shown(ts_ns: int | None) -> str:
    """The other way."""
    assert ts_ns is not None
    return datetime.fromtimestamp(ts_ns / NS, UTC).replace(tzinfo=None).isoformat()


def runs(rule: Rule, start: str, end: str) -> list[str]:
    """Every run from `start` until before `end`, forwards; checked to be the same backwards."""
    found, moment = [], rule.first_from(at(start))
    while moment is not None and moment < at(end):
        found.append(moment)
        moment = rule.first_from(moment + 1)
    back, moment = [], rule.last_until(at(end) - 1)
    while moment is not None and moment >= at(start):
        back.append(moment)
        moment = rule.last_until(moment - 1)
    assert back[::-1] == found
    assert found == [rule.first_from(run) for run in found] == [rule.last_until(run) for run in found]
    return [shown(run) for run in found]


# ---- changes of the clock


SPRING = [("Europe/Stockholm", "2013-03-31"), ("America/New_York", "2013-03-10")]
AUTUMN = [("Europe/Stockholm", "2013-10-27"), ("America/New_York", "2013-11-03")]


def test_half_past_nine_in_new_york_keeps_to_the_wall() -> None:
    rule = daily("09:30", "America/New_York")
    assert runs(rule, "2013-03-09T00:00:00", "2013-03-12T00:00:00") == [
        "2013-03-09T14:30:00",
        "2013-03-10T13:30:00",
        "2013-03-11T13:30:00",
    ]


@pytest.mark.parametrize(
    ("tz", "day", "expected"),
    [
        ("Europe/Stockholm", "2013-03-31", "2013-03-31T01:30:00"),  # 02:30 is not shown; it runs when the clock shows 03:30
        ("America/New_York", "2013-03-10", "2013-03-10T07:30:00"),
    ],
)
def test_a_named_time_that_the_clock_skips_runs_as_if_it_had_not(tz: str, day: str, expected: str) -> None:
    rule = Cron("0 30 2 * * *", tz)
    assert [run for run in runs(rule, f"{day}T00:00:00", f"{day}T23:00:00") if run.startswith(day)] == [expected]


@pytest.mark.parametrize(
    ("tz", "day", "hour", "expected"),
    [
        ("Europe/Stockholm", "2013-10-27", 2, "2013-10-27T00:30:00"),  # still in summer time
        ("America/New_York", "2013-11-03", 1, "2013-11-03T05:30:00"),
    ],
)
def test_a_named_time_that_the_clock_shows_twice_runs_the_first_time(tz: str, day: str, hour: int, expected: str) -> None:
    rule = Cron(f"0 30 {hour} * * *", tz)
    assert runs(rule, f"{day}T00:00:00", f"{day}T23:00:00") == [expected]


def test_two_named_times_that_fall_on_one_instant_are_one_run() -> None:
    rule = Cron("0 30 2,3 * * *", "Europe/Stockholm")
    assert runs(rule, "2013-03-30T12:00:00", "2013-04-01T00:00:00") == ["2013-03-31T01:30:00"]
    assert len(runs(rule, "2013-03-31T12:00:00", "2013-04-02T00:00:00")) == 2


@pytest.mark.parametrize(("changes", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_every_hour_runs_as_often_as_the_day_has_hours(changes: list[tuple[str, str]], hours: int) -> None:
    for tz, day in changes:
        begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(tz))
        span = [moment.astimezone(UTC).replace(tzinfo=None).isoformat() for moment in (begin, begin + timedelta(days=1))]
        found = runs(Cron("0 0 * * * *", tz), *span)
        assert len(found) == hours
        assert {at(b) - at(a) for a, b in pairwise(found)} == {HOUR}


@pytest.mark.parametrize(("changes", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_from_midnight_to_midnight_it_is_23_or_25_hours_on_the_day_of_a_change(
    changes: list[tuple[str, str]], hours: int
) -> None:
    for tz, day in changes:
        begin = at(f"{day}T12:00:00")
        found = runs(daily("00:00", tz), shown(begin - 44 * HOUR), shown(begin + 48 * HOUR))
        assert [(at(b) - at(a)) // HOUR for a, b in pairwise(found)] == [24, hours, 24]


def test_tokyo_knows_no_change() -> None:
    rule = Cron("0 30 9 * * MON-FRI", "Asia/Tokyo")
    found = [at(run) for run in runs(rule, "2013-01-01T00:00:00", "2014-01-01T00:00:00")]
    assert len(found) == 261
    assert all(run % (24 * HOUR) == HOUR // 2 for run in found)


def test_midnight_that_a_clock_skips_is_one_o_clock() -> None:
    rule = Cron("0 0,30 0 * * *", "Asia/Beirut")  # 2013-03-31: from 24:00 on to 01:00, at 22:00 UTC
    assert runs(rule, "2013-03-30T12:00:00", "2013-03-31T12:00:00") == ["2013-03-30T22:00:00", "2013-03-30T22:30:00"]


def test_times_that_are_skipped_at_the_end_of_a_date_run_among_those_of_the_next() -> None:
    times = WallTimes((600, 84_600), False, lambda _: True, ZoneInfo("America/Nuuk"))  # 00:10 and 23:30
    late = at("2024-03-31T01:30:00")  # 2024-03-30: from 23:00 on to midnight, at 01:00 UTC, so 23:30 is half an hour later
    assert times.first_from(at("2024-03-31T00:00:00")) == at("2024-03-31T01:10:00")
    assert times.first_from(at("2024-03-31T01:10:01")) == late
    assert times.last_until(late + HOUR) == times.last_until(late) == late
    assert times.last_until(late - 1) == at("2024-03-31T01:10:00")


def test_a_date_that_a_zone_has_left_out_falls_on_the_next() -> None:
    rule = daily("09:00", "Pacific/Apia")  # after 29 December 2011 came the 31st
    assert runs(rule, "2011-12-29T00:00:00", "2012-01-01T12:00:00") == [
        "2011-12-29T19:00:00",
        "2011-12-30T19:00:00",
        "2011-12-31T19:00:00",
    ]


ZONES = [
    "Europe/Stockholm",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "America/Havana",
    "Africa/Casablanca",
    "UTC",
]


@given(
    st.sampled_from(ZONES), st.integers(at("2000-01-01T00:00:00") // NS, at("2030-01-01T00:00:00") // NS), st.integers(0, 1439)
)
def test_a_named_minute_comes_once_on_each_date_in_any_zone(tz: str, from_s: int, minute: int) -> None:
    rule = daily(time(minute // 60, minute % 60), tz)
    first = rule.first_from(from_s * NS)
    dates = []
    for _ in range(400):
        assert first is not None
        dates.append(datetime.fromtimestamp(first / NS, ZoneInfo(tz)).date())
        first = rule.first_from(first + 1)
    assert dates == [dates[0] + timedelta(days=n) for n in range(400)]


@given(st.sampled_from(ZONES), st.integers(at("2013-01-01T00:00:00") // NS, at("2014-01-01T00:00:00") // NS))
def test_a_quarter_of_every_hour_comes_whenever_the_clock_shows_it(tz: str, from_s: int) -> None:
    rule, step = Cron("0 */15 * * * *", tz), 900
    run = rule.first_from(from_s * NS)
    moment = -(-from_s // step) * step
    for _ in range(150):
        assert run == moment * NS
        run, moment = rule.first_from(run + 1), moment + step


# ---- days


def test_weekdays_are_those_of_the_zone() -> None:
    rule = daily("08:00", "Asia/Tokyo", "MON-FRI")  # Monday in Tokyo is Sunday in UTC
    assert runs(rule, "2013-02-01T00:00:00", "2013-02-05T12:00:00") == ["2013-02-03T23:00:00", "2013-02-04T23:00:00"]


def test_holidays_of_an_exchange_are_left_out() -> None:
    rule = Cron("0 30 9 * * MON-FRI", "America/New_York", "XNYS")
    assert runs(rule, "2013-11-27T00:00:00", "2013-12-03T00:00:00") == [
        "2013-11-27T14:30:00",  # Thanksgiving is on the 28th
        "2013-11-29T14:30:00",
        "2013-12-02T14:30:00",
    ]


def test_holidays_of_a_country_are_left_out() -> None:
    rule = daily("09:00", "Asia/Tokyo", calendar="holidays:JP")
    days = [run[8:10] for run in runs(rule, "2013-02-07T12:00:00", "2013-02-13T12:00:00")]
    assert days == ["08", "12", "13"]  # the 9th and 10th are a weekend, the 11th is National Foundation Day


def test_rules_that_can_never_run_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cron '0 0 9 \* \* SUN' on trading days of XNYS never runs"):
        Cron("0 0 9 * * SUN", "America/New_York", "XNYS")
    with pytest.raises(ConfigError, match="every 86400 s while XNYS is open never runs"):
        Every(86_400, "XNYS")


# ---- sessions


def test_new_york_opens_and_closes_with_its_half_day_and_holiday() -> None:
    assert runs(SessionEdge("XNYS", "open", -300), "2013-11-27T00:00:00", "2013-12-03T00:00:00") == [
        "2013-11-27T14:25:00",
        "2013-11-29T14:25:00",
        "2013-12-02T14:25:00",
    ]
    assert runs(SessionEdge("XNYS", "close", -600), "2013-11-27T00:00:00", "2013-12-03T00:00:00") == [
        "2013-11-27T20:50:00",
        "2013-11-29T17:50:00",  # the half day closes at 13:00
        "2013-12-02T20:50:00",
    ]


def test_london_closes_at_half_past_twelve_on_christmas_eve() -> None:
    assert runs(SessionEdge("XLON", "close"), "2013-12-23T00:00:00", "2013-12-28T00:00:00") == [
        "2013-12-23T16:30:00",
        "2013-12-24T12:30:00",
        "2013-12-27T16:30:00",
    ]


def test_a_session_follows_its_own_summer_time() -> None:
    opens = runs(SessionEdge("XNYS", "open"), "2013-10-25T00:00:00", "2013-11-06T00:00:00")
    assert [run[5:16] for run in opens if "T14" in run] == ["11-04T14:30", "11-05T14:30"]
    assert opens[0] == "2013-10-25T13:30:00"


def test_a_lunch_break_is_neither_an_opening_nor_a_closing() -> None:
    assert runs(SessionEdge("XHKG", "open"), "2025-06-04T00:00:00", "2025-06-05T00:00:00") == ["2025-06-04T01:30:00"]
    assert runs(SessionEdge("XHKG", "close"), "2025-06-04T00:00:00", "2025-06-05T00:00:00") == ["2025-06-04T08:00:00"]


def test_fx_opens_once_a_week_167_or_169_hours_apart_where_the_clock_changes_between() -> None:
    opens = runs(SessionEdge("FX", "open"), "2013-02-25T00:00:00", "2013-03-20T00:00:00")
    assert opens == ["2013-03-03T22:00:00", "2013-03-10T21:00:00", "2013-03-17T21:00:00"]
    closes = runs(SessionEdge("FX", "close", -60), "2013-10-28T00:00:00", "2013-11-12T00:00:00")
    assert closes == ["2013-11-01T20:59:00", "2013-11-08T21:59:00"]
    apart = [at(b) - at(a) for a, b in pairwise(runs(SessionEdge("FX", "open"), "2013-10-25T00:00:00", "2013-11-12T00:00:00"))]
    assert apart == [169 * HOUR, 168 * HOUR]


def test_globex_opens_and_closes_every_day_and_early_on_thanksgiving() -> None:
    assert runs(SessionEdge("GLOBEX", "close"), "2013-11-27T00:00:00", "2013-11-30T00:00:00") == [
        "2013-11-27T22:00:00",  # 16:00 in Chicago
        "2013-11-28T18:00:00",
        "2013-11-29T18:00:00",
    ]
    assert runs(SessionEdge("GLOBEX", "open"), "2013-11-27T00:00:00", "2013-11-29T00:00:00") == [
        "2013-11-27T23:00:00",  # 17:00
        "2013-11-28T23:00:00",
    ]


def test_pre_market_in_new_york_begins_at_four_on_trading_days() -> None:
    assert runs(pre_market("XNYS"), "2013-11-27T00:00:00", "2013-11-30T00:00:00") == [
        "2013-11-27T09:00:00",
        "2013-11-29T09:00:00",
    ]


def test_a_market_without_known_pre_market_hours_asks_for_an_offset() -> None:
    with pytest.raises(ConfigError, match=r"'XLON' has no known pre-market hours .*; give before_s"):
        pre_market("XLON")


def test_a_market_around_the_clock_has_no_opening() -> None:
    with pytest.raises(ConfigError, match="'24/7' has no open: it trades around the clock; name a time of day"):
        SessionEdge("24/7", "open")


def test_an_exchange_beyond_its_known_years_is_an_error_before_and_nothing_after() -> None:
    rule = SessionEdge("XNYS", "close")
    with pytest.raises(ConfigError, match="known from 2000-01-01"):
        rule.first_from(at("1999-06-01T00:00:00"))
    assert shown(rule.first_from(at("2035-12-31T00:00:00"))) == "2035-12-31T21:00:00"
    assert rule.first_from(at("2035-12-31T22:00:00")) is None
    assert daily("09:30", "America/New_York", calendar="XNYS").first_from(at("2035-12-31T20:00:00")) is None


# ---- every so often


def test_every_five_minutes_is_aligned_as_bars_are() -> None:
    assert runs(Every(300), "2013-03-31T00:58:00", "2013-03-31T01:12:00") == [
        "2013-03-31T01:00:00",
        "2013-03-31T01:05:00",
        "2013-03-31T01:10:00",
    ]


def test_every_two_hours_while_a_market_is_open_leaves_out_nights_holidays_and_lunch() -> None:
    assert runs(Every(7_200, "XNYS"), "2013-11-27T15:00:00", "2013-12-02T17:00:00") == [
        "2013-11-27T16:00:00",
        "2013-11-27T18:00:00",
        "2013-11-27T20:00:00",
        "2013-11-29T16:00:00",  # the half day closes at 18:00, and is closed at its close
        "2013-12-02T16:00:00",
    ]
    assert runs(Every(1_800, "XHKG"), "2025-06-04T03:00:00", "2025-06-04T06:00:00") == [
        "2025-06-04T03:00:00",
        "2025-06-04T03:30:00",
        "2025-06-04T05:00:00",
        "2025-06-04T05:30:00",
    ]


# ---- ends of months and quarters


def test_a_month_ends_on_its_last_trading_day_at_the_close_of_that_day() -> None:
    assert runs(PeriodEnd("XNYS", offset_s=-300), "2013-08-01T00:00:00", "2014-01-15T00:00:00") == [
        "2013-08-30T19:55:00",  # the 31st is a Saturday
        "2013-09-30T19:55:00",
        "2013-10-31T19:55:00",
        "2013-11-29T17:55:00",  # the last of November is a half day
        "2013-12-31T20:55:00",
    ]


def test_a_month_end_may_be_at_a_time_of_day() -> None:
    rule = PeriodEnd("XNYS", at=time(15, 50), tz="America/New_York")
    assert runs(rule, "2013-06-01T00:00:00", "2013-08-01T00:00:00") == ["2013-06-28T19:50:00", "2013-07-31T19:50:00"]


def test_a_quarter_ends_in_march_june_september_and_december() -> None:
    assert [run[:10] for run in runs(PeriodEnd("XNYS", 3), "2013-01-01T00:00:00", "2014-03-01T00:00:00")] == [
        "2013-03-28",  # the 29th is Good Friday
        "2013-06-28",
        "2013-09-30",
        "2013-12-31",
    ]


def test_two_trading_days_before_the_end() -> None:
    assert runs(PeriodEnd("XNYS", days_before=2), "2013-11-01T00:00:00", "2013-12-01T00:00:00") == ["2013-11-26T21:00:00"]


def test_a_month_of_fx_ends_with_its_last_weekday_and_one_around_the_clock_with_its_last_date() -> None:
    assert runs(PeriodEnd("FX"), "2013-08-01T00:00:00", "2013-10-01T00:00:00") == ["2013-08-30T21:00:00", "2013-09-30T21:00:00"]
    assert runs(PeriodEnd("24/7"), "2013-08-15T00:00:00", "2013-09-15T00:00:00") == ["2013-09-01T00:00:00"]


@given(
    st.dates(date(2001, 1, 1), date(2033, 6, 1)),
    st.sampled_from(["XNYS", "XLON", "XTKS", "FX", "24/7"]),
    st.sampled_from([1, 3]),
)
def test_periods_end_once_each(day: date, market: str, months: int) -> None:
    rule, moment = PeriodEnd(market, months, at=time(12), tz="UTC"), at(day.isoformat())
    seen = []
    for _ in range(8):
        found = rule.first_from(moment)
        assert found is not None
        when = datetime.fromtimestamp(found / NS, UTC)
        seen.append((when.year * 12 + when.month - 1) // months)
        moment = found + 1
    assert seen == list(range(seen[0], seen[0] + 8))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PeriodEnd("XNYS", days_before=11), "days_before is 11; it is a number of trading days from 0 to 10"),
        (lambda: PeriodEnd("XNYS", tz="UTC"), "tz 'UTC' is given without at"),
        (lambda: PeriodEnd("XNYS", at=time(9), tz="UTC", offset_s=5), "at and offset_s are both given"),
        (lambda: PeriodEnd("XNYS", at=time(9)), "'' is no IANA time zone"),
        (lambda: SessionEdge("XNYS", "open", 10**6), "offset_s is 1000000; at most a week"),
        (lambda: Every(0), "every 0 s: the time between two runs must be at least a second"),
        (lambda: daily("25:00", "UTC"), "at: '25:00' is no time of day"),
        (lambda: daily("09:00:00.5", "UTC"), "not in whole seconds"),
        (lambda: daily("09:00", "America/NewYork"), "did you mean 'America/New_York'"),
        (lambda: daily("09:00", "UTC", "MON-FRY"), "weekday: 'FRY'"),
        (lambda: daily("09:00", "UTC", calendar="XNYSE"), "did you mean 'XNYS'"),
        (lambda: daily("09:00", "UTC", calendar="holidays:JQ"), "no country 'JQ'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(make: type, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


@pytest.mark.parametrize(
    "rule",
    [
        Cron("0 30 9 * * MON-FRI", "America/New_York", "XNYS"),
        Every(300, "FX"),
        SessionEdge("XLON", "close", -60),
        PeriodEnd("XTKS", 3, 1, time(14, 30), "Asia/Tokyo"),
    ],
)
def test_a_rule_is_the_same_after_its_bytes(rule: Rule) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(rule), type=Rule) == rule
