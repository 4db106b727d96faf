"""Where bars begin and end: clocks that change, half days, holidays, weeks."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbuilder.core.grids import Span, days_of, span_of
from barque.errors import ConfigError
from barque.intervals import DAY_NS, WEEK_NS, parse_interval
from tests.support.bars import ns

HOUR_NS = 3_600 * 10**9
STOCKHOLM, NEW_YORK = "zone:Europe/Stockholm", "zone:America/New_York"
XNYS, FX = "session:XNYS", "session:FX"


def span(first: str, last: str) -> Span:
    return Span(ns(first), ns(last))


def spans(days: str, interval: str, first: str, last: str) -> list[Span]:
    """Every bucket that holds a minute of [first, last)."""
    found = [span_of(at, parse_interval(interval), days) for at in range(ns(first), ns(last), 60 * 10**9)]
    return list(dict.fromkeys(each for each in found if each is not None))


def test_a_spring_day_in_stockholm_has_23_hours_and_23_bars_of_an_hour() -> None:
    assert span_of(ns("2014-03-30T12:00"), DAY_NS, STOCKHOLM) == span("2014-03-29T23:00", "2014-03-30T22:00")
    hours = spans(STOCKHOLM, "1h", "2014-03-29T23:00", "2014-03-30T22:00")
    assert len(hours) == 23
    assert {end - begin for begin, end in hours} == {HOUR_NS}


def test_an_autumn_day_in_stockholm_has_25_hours_and_25_bars_of_an_hour() -> None:
    assert span_of(ns("2014-10-26T12:00"), DAY_NS, STOCKHOLM) == span("2014-10-25T22:00", "2014-10-26T23:00")
    assert len(spans(STOCKHOLM, "1h", "2014-10-25T22:00", "2014-10-26T23:00")) == 25


@pytest.mark.parametrize(
    ("day", "begins", "ends", "count", "last_hours"),
    [
        ("2013-03-10", "2013-03-10T05:00", "2013-03-11T04:00", 6, 3),
        ("2013-11-03", "2013-11-03T04:00", "2013-11-04T05:00", 7, 1),
        ("2013-06-03", "2013-06-03T04:00", "2013-06-04T04:00", 6, 4),
    ],
)
def test_bars_of_four_hours_begin_anew_at_midnight_whatever_the_clock_has_done(
    day: str, begins: str, ends: str, count: int, last_hours: int
) -> None:
    found = spans(NEW_YORK, "4h", begins, ends)
    assert (found[0].open_ns, found[-1].end_ns, len(found)) == (ns(begins), ns(ends), count), day
    assert [(end - begin) // HOUR_NS for begin, end in found] == [4] * (count - 1) + [last_hours]


def test_a_week_in_a_zone_runs_from_monday_to_monday() -> None:
    assert span_of(ns("2014-03-30T12:00"), WEEK_NS, STOCKHOLM) == span("2014-03-23T23:00", "2014-03-30T22:00"), "167 hours"
    assert span_of(ns("2014-03-30T22:00"), WEEK_NS, STOCKHOLM) == span("2014-03-30T22:00", "2014-04-06T22:00")


def test_a_utc_week_begins_on_monday_and_utc_days_at_midnight() -> None:
    assert span_of(ns("2014-05-01T10:00"), WEEK_NS, "") == span("2014-04-28T00:00", "2014-05-05T00:00")
    assert span_of(ns("2014-05-01T10:00"), DAY_NS, "") == span("2014-05-01T00:00", "2014-05-02T00:00")


def test_the_day_after_thanksgiving_2013_is_half_a_day_in_new_york() -> None:
    assert span_of(ns("2013-11-29T15:00"), DAY_NS, XNYS) == span("2013-11-29T14:30", "2013-11-29T18:00")
    hours = spans(XNYS, "1h", "2013-11-29T00:00", "2013-11-30T00:00")
    assert hours == [span(f"2013-11-29T{h}:30", f"2013-11-29T{h + 1}:30") for h in (14, 15, 16)] + [
        span("2013-11-29T17:30", "2013-11-29T18:00")
    ]


def test_between_sessions_and_on_holidays_there_is_no_bucket() -> None:
    for closed in ("2013-11-28T15:00", "2013-11-29T14:29", "2013-11-29T18:00", "2013-11-30T15:00"):
        assert span_of(ns(closed), DAY_NS, XNYS) is None, closed
    assert spans(XNYS, "1h", "2013-11-28T00:00", "2013-11-29T00:00") == []


def test_the_week_of_thanksgiving_runs_from_mondays_opening_to_fridays_early_close() -> None:
    for at in ("2013-11-25T14:30", "2013-11-27T16:00", "2013-11-29T17:59"):
        assert span_of(ns(at), WEEK_NS, XNYS) == span("2013-11-25T14:30", "2013-11-29T18:00")
    assert span_of(ns("2013-11-26T03:00"), WEEK_NS, XNYS) is None, "no session at night"


def test_a_day_of_fx_runs_from_17_00_to_17_00_in_new_york() -> None:
    assert span_of(ns("2014-05-01T12:00"), DAY_NS, FX) == span("2014-04-30T21:00", "2014-05-01T21:00")
    assert span_of(ns("2014-01-15T12:00"), DAY_NS, FX) == span("2014-01-14T22:00", "2014-01-15T22:00")
    assert span_of(ns("2014-05-01T21:00"), 4 * HOUR_NS, FX) == span("2014-05-01T21:00", "2014-05-02T01:00")


def test_the_fx_week_runs_from_sunday_to_friday_17_00_in_new_york_and_is_always_120_hours() -> None:
    summer = span("2014-05-04T21:00", "2014-05-09T21:00")
    assert span_of(ns("2014-05-04T21:00"), WEEK_NS, FX) == span_of(ns("2014-05-09T20:59"), WEEK_NS, FX) == summer
    assert span_of(ns("2014-05-09T21:00"), WEEK_NS, FX) is span_of(ns("2014-05-11T20:59"), WEEK_NS, FX) is None
    changed = span_of(ns("2014-03-10T12:00"), WEEK_NS, FX)
    assert changed == span("2014-03-09T21:00", "2014-03-14T21:00"), "New York changed its clocks that Sunday morning"


def test_a_futures_session_of_23_hours_is_a_day() -> None:
    assert span_of(ns("2013-10-08T12:00"), DAY_NS, "session:GLOBEX") == span("2013-10-07T22:00", "2013-10-08T21:00")
    hours = spans("session:GLOBEX", "1h", "2013-10-07T22:00", "2013-10-08T22:00")
    assert len(hours) == 23
    assert spans("session:GLOBEX", "7h", "2013-10-07T22:00", "2013-10-08T22:00")[-1] == span(
        "2013-10-08T19:00", "2013-10-08T21:00"
    )


def test_a_lunch_break_is_part_of_its_session() -> None:
    assert span_of(ns("2013-06-03T03:00"), DAY_NS, "session:XTKS") == span("2013-06-03T00:00", "2013-06-03T06:00")


def test_beyond_the_years_a_calendar_knows_there_is_no_bucket() -> None:
    assert span_of(ns("1980-06-03T15:00"), DAY_NS, XNYS) is None
    assert span_of(ns("2099-06-03T15:00"), DAY_NS, XNYS) is None


def test_anchors_are_checked_when_the_node_is_made() -> None:
    assert (days_of("utc", "XNYS"), days_of("session", "XNYS"), days_of("Asia/Tokyo", "XNYS")) == ("", XNYS, "zone:Asia/Tokyo")
    with pytest.raises(ConfigError, match=r"'Asia/Tokio' is no IANA time zone; did you mean 'Asia/Tokyo'"):
        days_of("Asia/Tokio", "XNYS")
    with pytest.raises(ConfigError, match="calendar 'XNYZ' is not known"):
        days_of("session", "XNYZ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pandas", "ignore::DeprecationWarning:exchange_calendars")
def test_every_daily_bar_of_ten_years_is_a_session_of_the_exchange_and_no_session_is_missing() -> None:
    sessions = exchange_calendars.get_calendar("XNYS", start="2010-01-01", end="2019-12-31").schedule
    expected = [Span(int(a.value), int(b.value)) for a, b in zip(sessions["open"], sessions["close"], strict=True)]
    first, last = datetime(2010, 1, 1, tzinfo=ZoneInfo("UTC")), datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC"))
    found = [
        span_of(int(first.timestamp() + s) * 10**9, DAY_NS, XNYS) for s in range(0, int((last - first).total_seconds()), 7_200)
    ]
    assert list(dict.fromkeys(each for each in found if each)) == expected


@given(
    st.datetimes(datetime(2005, 1, 1), datetime(2034, 12, 1)),  # noqa: DTZ001
    st.sampled_from(
        [
            STOCKHOLM,
            NEW_YORK,
            "zone:Australia/Lord_Howe",
            "zone:America/Sao_Paulo",
            XNYS,
            FX,
            "session:24/7",
            "session:GLOBEX",
            "",
        ]
    ),
    st.sampled_from(["1m", "7m", "1h", "4h", "5h", "1d", "1w"]),
)
def test_buckets_hold_their_times_meet_and_never_overlap(when: datetime, days: str, interval: str) -> None:
    interval_ns = parse_interval(interval)
    at = int(when.replace(tzinfo=ZoneInfo("UTC")).timestamp()) * 10**9
    found = span_of(at, interval_ns, days)
    if found is None:
        assert days.startswith("session:")
        return
    assert found.open_ns <= at < found.end_ns
    assert {span_of(edge, interval_ns, days) for edge in (found.open_ns, found.end_ns - 1)} == {found}
    after = span_of(found.end_ns, interval_ns, days)
    assert after is None or after.open_ns == found.end_ns
    if days and interval_ns < DAY_NS:
        day = span_of(at, DAY_NS, days)
        assert day is not None
        assert day.open_ns <= found.open_ns < found.end_ns <= day.end_ns
        assert (found.open_ns - day.open_ns) % interval_ns == 0


@given(
    st.dates(date(2006, 1, 1), date(2034, 1, 1)),
    st.sampled_from(["Europe/Stockholm", "America/New_York", "Asia/Tehran", "Africa/Cairo"]),
)
def test_local_days_are_midnight_to_midnight_and_follow_one_another(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    noons = [datetime.combine(day + timedelta(days=n), time(12), zone) for n in range(3)]
    found = [span_of(int(noon.timestamp()) * 10**9, DAY_NS, f"zone:{name}") for noon in noons]
    for noon, each in zip(noons, found, strict=True):
        assert each is not None
        assert datetime.fromtimestamp(each.open_ns // 10**9, zone).date() == noon.date()
        assert datetime.fromtimestamp((each.open_ns - 1) // 10**9, zone).date() < noon.date()
        assert each.end_ns - each.open_ns in (23 * HOUR_NS, 24 * HOUR_NS, 25 * HOUR_NS)
    assert all(a is not None and b is not None and a.end_ns == b.open_ns for a, b in pairwise(found))
