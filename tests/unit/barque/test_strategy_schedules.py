"""Daily schedules in event time: summer time, missed runs, restarts."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import msgspec
import pytest

from barque.errors import ConfigError
from barque.strategy import Daily, Schedule


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def daily(**changes: Any) -> Schedule:
    """Every day at 09:30 in New York."""
    base: dict[str, Any] = {"at": time(9, 30), "tz": "America/New_York"}
    return Schedule(Daily(**(base | changes)))


def runs(schedule: Schedule, *ticks: str) -> list[str]:
    """The ticks at which it runs."""
    return [tick for tick in ticks if schedule.strike(at(tick)) == "run"]


def test_it_runs_once_a_day_at_the_first_tick_at_or_after_its_time() -> None:
    ticks = ("2013-02-04T00:00:00", "2013-02-04T14:29:59", "2013-02-04T14:30:00", "2013-02-04T14:30:01", "2013-02-05T14:30:07")
    assert runs(daily(), *ticks) == ["2013-02-04T14:30:00", "2013-02-05T14:30:07"]


def test_it_keeps_to_the_wall_clock_over_a_change_to_summer_time() -> None:
    ticks = ("2013-03-08T00:00:00", "2013-03-08T14:30:00", "2013-03-11T13:29:59", "2013-03-11T13:30:00", "2013-03-11T14:30:00")
    schedule = daily()
    schedule.strike(at("2013-03-10T20:00:00"))
    assert runs(schedule, *ticks[2:]) == ["2013-03-11T13:30:00"]
    assert runs(daily(), *ticks[:2]) == ["2013-03-08T14:30:00"]


def test_a_time_that_the_clock_skips_or_repeats_still_runs_once() -> None:
    spring, autumn = daily(at=time(2, 30)), daily(at=time(1, 30))
    hours = [f"T{hour:02}:30:00" for hour in range(24)]
    assert runs(spring, *("2013-03-10" + hour for hour in hours)) == ["2013-03-10T07:30:00"]
    assert runs(autumn, *("2013-11-03" + hour for hour in hours)) == ["2013-11-03T05:30:00"]


def test_what_lies_before_its_first_tick_was_never_missed() -> None:
    assert runs(daily(), "2013-02-04T14:30:01", "2013-02-05T14:29:59") == []


def test_its_first_tick_may_be_its_time() -> None:
    assert runs(daily(), "2013-02-04T14:30:00") == ["2013-02-04T14:30:00"]


def test_many_missed_runs_become_one_late_one() -> None:
    ticks = ("2013-02-04T00:00:00", "2013-02-07T20:00:00", "2013-02-07T20:00:01", "2013-02-08T14:30:00")
    assert runs(daily(), *ticks) == ["2013-02-07T20:00:00", "2013-02-08T14:30:00"]


def test_under_skip_a_run_within_its_grace_counts_and_a_later_one_does_not() -> None:
    first = "2013-02-04T00:00:00"
    assert runs(daily(missed="skip", grace_s=60), first, "2013-02-04T14:31:00") == ["2013-02-04T14:31:00"]
    late = daily(missed="skip", grace_s=60)
    assert runs(late, first, "2013-02-04T14:31:01") == []
    assert runs(late, "2013-02-05T14:30:00") == ["2013-02-05T14:30:00"]


def test_a_restart_neither_repeats_a_run_nor_forgets_one() -> None:
    schedule, ran = daily(), []
    for tick in (
        "2013-02-04T00:00:00",
        "2013-02-04T14:30:00",
        "2013-02-04T14:30:01",
        "2013-02-05T14:40:00",
        "2013-02-05T14:41:00",
    ):
        schedule = msgspec.msgpack.decode(msgspec.msgpack.encode(schedule), type=Schedule)
        ran += runs(schedule, tick)
    assert ran == ["2013-02-04T14:30:00", "2013-02-05T14:40:00"]


def test_an_unknown_zone_is_refused_when_it_is_declared() -> None:
    with pytest.raises(ConfigError, match="did you mean 'America/New_York'"):
        daily(tz="America/NewYork")
