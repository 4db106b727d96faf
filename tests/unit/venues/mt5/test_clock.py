"""The trade server's clock against the time zone database, and against changes that are known by heart."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError
from venues.mt5.clock import ServerClock

NS = 10**9


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS  # type: ignore[arg-type,misc]


def wall(*parts: int) -> int:
    """Milliseconds of a wall clock, presented as UTC."""
    return utc(*parts) // 1_000_000


@pytest.mark.parametrize(
    ("zone", "at", "shown"),
    [
        ("Europe/Athens", utc(2026, 3, 29, 0, 59, 59), wall(2026, 3, 29, 2, 59, 59)),  # EET until 01:00 UTC
        ("Europe/Athens", utc(2026, 3, 29, 1, 0, 0), wall(2026, 3, 29, 4, 0, 0)),  # EEST from then on
        ("Europe/Athens", utc(2026, 10, 25, 0, 59, 59), wall(2026, 10, 25, 3, 59, 59)),
        ("Europe/Athens", utc(2026, 10, 25, 1, 0, 0), wall(2026, 10, 25, 3, 0, 0)),
        ("new_york+7", utc(2026, 3, 8, 6, 59, 59), wall(2026, 3, 8, 8, 59, 59)),  # New York changes at 07:00 UTC
        ("new_york+7", utc(2026, 3, 8, 7, 0, 0), wall(2026, 3, 8, 10, 0, 0)),
        ("new_york+7", utc(2026, 11, 1, 6, 0, 0), wall(2026, 11, 1, 8, 0, 0)),
        ("UTC+3", utc(2026, 1, 1), wall(2026, 1, 1, 3)),
        ("UTC-5.5", utc(2026, 1, 1, 12), wall(2026, 1, 1, 6, 30)),
    ],
)
def test_both_ways_across_both_changes(zone: str, at: int, shown: int) -> None:
    clock = ServerClock(zone)
    assert clock.to_wall_ms(at) == shown
    assert clock.to_utc_ns(shown, near_ns=at) == at


@given(st.integers(utc(2020, 1, 1) // NS, utc(2031, 1, 1) // NS))
def test_of_every_second_of_a_decade_the_way_back_leads_home(seconds: int) -> None:
    clock = ServerClock("Europe/Athens")
    at = seconds * NS
    offset = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo("Europe/Athens")).utcoffset()
    assert offset is not None
    assert clock.to_wall_ms(at) == seconds * 1_000 + int(offset.total_seconds() * 1_000)
    assert clock.to_utc_ns(clock.to_wall_ms(at), near_ns=at) == at


def test_of_an_hour_that_comes_twice_the_nearer_one_is_meant_and_else_the_first() -> None:
    clock = ServerClock("Europe/Athens")
    twice = wall(2026, 10, 25, 3, 30)
    assert clock.to_utc_ns(twice) == utc(2026, 10, 25, 0, 30)
    assert clock.to_utc_ns(twice, near_ns=utc(2026, 10, 25, 1, 31)) == utc(2026, 10, 25, 1, 30)


def test_many_times_across_a_change_are_what_each_of_them_is() -> None:
    clock = ServerClock("Europe/Athens")
    times = np.arange(wall(2026, 3, 28, 20), wall(2026, 3, 30, 4), 60_000, dtype=np.int64)
    times = times[(times < wall(2026, 3, 29, 3)) | (times >= wall(2026, 3, 29, 4))]  # that hour does not exist
    assert clock.to_utc_ns_of_rows(times).tolist() == [clock.to_utc_ns(int(each)) for each in times]
    assert len(clock.to_utc_ns_of_rows(times[:0])) == 0


def test_fresh_ticks_choose_the_rule_and_follow_it_through_a_change() -> None:
    clock = ServerClock()
    before, after = utc(2026, 3, 6, 12), utc(2026, 3, 9, 12)  # New York's change lies between, Europe's comes later
    assert clock.observe(before // 1_000_000 + 2 * 3_600_000, before) == ""
    assert clock.zone == "Europe/Athens"
    said = clock.observe(after // 1_000_000 + 3 * 3_600_000 - 800, after)
    assert clock.zone == "new_york+7" and "UTC+3" in said
    assert clock.to_wall_ms(utc(2026, 7, 1)) == wall(2026, 7, 1, 3)
    assert clock.to_wall_ms(before) == wall(2026, 3, 6, 14), "history keeps the offset that it had"


def test_a_difference_that_no_rule_has_is_taken_as_it_is() -> None:
    clock = ServerClock()
    at = utc(2026, 7, 1, 12)
    assert "UTC+5.5" in clock.observe(at // 1_000_000 + 330 * 60_000, at)
    assert clock.to_wall_ms(at) == wall(2026, 7, 1, 17, 30)


def test_a_configured_zone_is_never_left_and_a_contradiction_is_said() -> None:
    clock = ServerClock("UTC")
    at = utc(2026, 7, 1, 12)
    assert "server_zone" in clock.observe(at // 1_000_000 + 3 * 3_600_000, at)
    assert clock.to_wall_ms(at) == at // 1_000_000
    assert not clock.confirmed


def test_a_clock_that_is_minutes_off_is_no_time_zone() -> None:
    clock = ServerClock()
    at = utc(2026, 7, 1, 12)
    assert "wrong" in clock.observe(at // 1_000_000 + 3 * 3_600_000 + 200_000, at)


@pytest.mark.parametrize("zone", ["Europe/Atens", "UTC+x", "nowhere"])
def test_a_zone_that_does_not_exist_is_a_fault_of_the_configuration(zone: str) -> None:
    with pytest.raises(ConfigError, match="server_zone"):
        ServerClock(zone)
