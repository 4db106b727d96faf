"""Weekly hours and how TWS tells them. Expected strings have the form of contract details of real contracts."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from simulators.tws import hours

NEW_YORK, CHICAGO = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")


def ns(zone: ZoneInfo, *when: int) -> int:
    return int(datetime(*when, tzinfo=zone).timestamp()) * 10**9  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ((2026, 11, 29, 17, 14), False),  # Sunday
        ((2026, 11, 29, 17, 15), True),
        ((2026, 11, 30, 16, 59), True),
        ((2026, 11, 30, 17, 0), False),  # the daily break
        ((2026, 11, 30, 17, 15), True),
        ((2026, 12, 4, 16, 59), True),  # Friday
        ((2026, 12, 4, 17, 0), False),
        ((2026, 12, 5, 12, 0), False),
    ],
)
def test_forex_is_open_from_sunday_to_friday_with_a_break_every_day(when: tuple[int, ...], is_open: bool) -> None:
    assert hours.FX.open_at(ns(NEW_YORK, *when)) is is_open


def test_hours_follow_the_clocks_of_their_zone_over_a_change() -> None:
    """Clocks went back in Chicago on 1 November 2026; Globex opens at 17:00 there before and after."""
    for day in (25, 32):
        when = (2026, 10, 25, 17, 0) if day == 25 else (2026, 11, 1, 17, 0)
        opens = ns(CHICAGO, *when)
        assert hours.GLOBEX.open_at(opens) and not hours.GLOBEX.open_at(opens - 10**9)


def test_sessions_are_told_day_by_day_and_closed_days_named() -> None:
    now = ns(NEW_YORK, 2026, 12, 3, 12, 0)
    assert hours.US_STOCKS_LIQUID.told(now) == (
        "20261203:0930-20261203:1600;20261204:0930-20261204:1600;20261205:CLOSED;20261206:CLOSED;"
        "20261207:0930-20261207:1600;20261208:0930-20261208:1600"
    )
    assert hours.GLOBEX.told(now).startswith(
        "20261202:1700-20261203:1600;20261203:1700-20261204:1600;20261205:CLOSED;20261206:CLOSED;20261206:1700-20261207:1600"
    )


def test_a_day_order_ends_with_the_session_that_is_under_way_or_comes_next() -> None:
    assert hours.FX.closes_ns(ns(NEW_YORK, 2026, 11, 30, 12, 0)) == ns(NEW_YORK, 2026, 11, 30, 17, 0)
    assert hours.FX.closes_ns(ns(NEW_YORK, 2026, 11, 30, 17, 5)) == ns(NEW_YORK, 2026, 12, 1, 17, 0)
    assert hours.FX.closes_ns(ns(NEW_YORK, 2026, 12, 5, 12, 0)) == ns(NEW_YORK, 2026, 12, 7, 17, 0)


def test_the_open_parts_of_a_stretch_of_time() -> None:
    friday, monday = ns(NEW_YORK, 2026, 12, 4, 15, 0), ns(NEW_YORK, 2026, 12, 7, 10, 0)
    spans = hours.US_STOCKS_LIQUID.spans(friday // 10**9, monday // 10**9)
    assert spans == [
        (friday // 10**9, ns(NEW_YORK, 2026, 12, 4, 16, 0) // 10**9),
        (ns(NEW_YORK, 2026, 12, 7, 9, 30) // 10**9, monday // 10**9),
    ]
