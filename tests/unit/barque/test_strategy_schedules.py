"""Schedules in event time: when they run, what becomes of missed runs, restarts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError
from barque.strategy import Cron, Every, Rule, Schedule
from barque.strategy.rules import daily
from barque.strategy.schedules import CATCH_UP, NEVER, due_runs

NS = 10**9
MINUTE = 60 * NS


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def shown(ts_ns: int) -> str:
    """The other way."""
    return datetime.fromtimestamp(ts_ns / NS, UTC).replace(tzinfo=None).isoformat()


def in_new_york(**policy: Any) -> Schedule:
    """Every day at 09:30 in New York."""
    return Schedule(daily("09:30", "America/New_York"), **policy)


def struck(schedule: Schedule, now_ns: int) -> list[tuple[str, int | None]]:
    """Every strike at `now_ns`, with the time that its run was scheduled for."""
    return [(strike, schedule.ran_ns if strike == "run" else None) for _, strike in due_runs({"s": schedule}, now_ns)]


def runs(schedule: Schedule, *ticks: str) -> list[str]:
    """The ticks at which it runs."""
    return [tick for tick in ticks for strike, _ in struck(schedule, at(tick)) if strike == "run"]


def test_it_runs_once_a_day_at_the_first_tick_at_or_after_its_time() -> None:
    ticks = ("2013-02-04T00:00:00", "2013-02-04T14:29:59", "2013-02-04T14:30:00", "2013-02-04T14:30:01", "2013-02-05T14:30:07")
    assert runs(in_new_york(), *ticks) == ["2013-02-04T14:30:00", "2013-02-05T14:30:07"]


def test_it_keeps_to_the_wall_clock_over_a_change_to_summer_time() -> None:
    ticks = ("2013-03-08T00:00:00", "2013-03-08T14:30:00", "2013-03-11T13:29:59", "2013-03-11T13:30:00", "2013-03-11T14:30:00")
    schedule = in_new_york()
    struck(schedule, at("2013-03-10T20:00:00"))
    assert runs(schedule, *ticks[2:]) == ["2013-03-11T13:30:00"]
    assert runs(in_new_york(), *ticks[:2]) == ["2013-03-08T14:30:00"]


def test_what_lies_before_its_first_tick_was_never_missed() -> None:
    assert runs(in_new_york(), "2013-02-04T14:30:01", "2013-02-05T14:29:59") == []


def test_its_first_tick_may_be_its_time() -> None:
    assert runs(in_new_york(), "2013-02-04T14:30:00") == ["2013-02-04T14:30:00"]


def test_many_missed_runs_become_one_late_one_that_knows_the_newest_of_them() -> None:
    schedule = in_new_york()
    struck(schedule, at("2013-02-04T00:00:00"))
    assert struck(schedule, at("2013-02-07T20:00:00")) == [("run", at("2013-02-07T14:30:00"))]
    assert struck(schedule, at("2013-02-07T20:00:01")) == []
    assert struck(schedule, at("2013-02-08T14:30:00")) == [("run", at("2013-02-08T14:30:00"))]


def test_under_skip_a_run_within_its_grace_counts_and_a_later_one_does_not() -> None:
    first = at("2013-02-04T00:00:00")
    in_time, late = in_new_york(missed="skip", grace_s=60), in_new_york(missed="skip", grace_s=60)
    struck(in_time, first)
    struck(late, first)
    assert struck(in_time, at("2013-02-04T14:31:00")) == [("run", at("2013-02-04T14:30:00"))]
    assert struck(late, at("2013-02-04T14:31:01")) == [("skip", None)]
    assert late.ran_ns is None
    assert struck(late, at("2013-02-05T14:30:00")) == [("run", at("2013-02-05T14:30:00"))]


def test_under_run_all_each_missed_run_is_made_up_for_with_its_own_time() -> None:
    schedule = in_new_york(missed="run_all")
    struck(schedule, at("2013-03-08T00:00:00"))
    made_up = struck(schedule, at("2013-03-12T20:00:00"))
    assert [(strike, shown(moment or 0)) for strike, moment in made_up] == [
        ("run", "2013-03-08T14:30:00"),
        ("run", "2013-03-09T14:30:00"),
        ("run", "2013-03-10T13:30:00"),  # summer time from here on
        ("run", "2013-03-11T13:30:00"),
        ("run", "2013-03-12T13:30:00"),
    ]
    assert struck(schedule, at("2013-03-12T20:00:01")) == []


def test_of_too_many_missed_runs_the_newest_thousand_are_made_up_for_and_it_says_so() -> None:
    exactly, more = (Schedule(Every(1), missed="run_all") for _ in range(2))
    struck(exactly, 0)
    struck(more, 0)
    assert struck(exactly, CATCH_UP * NS) == [("run", n * NS) for n in range(1, CATCH_UP + 1)]
    told = struck(more, 5_000 * NS)
    assert told == [("drop", None), *(("run", n * NS) for n in range(5_000 - CATCH_UP + 1, 5_001))]


def test_a_run_that_is_not_asked_for_stays_due() -> None:
    schedules = {"a": Schedule(Every(60), missed="run_all"), "b": Schedule(Every(60))}
    list(due_runs(schedules, 0))
    told = due_runs(schedules, 2 * MINUTE)
    assert (next(told), schedules["a"].ran_ns) == (("a", "run"), MINUTE)
    told.close()  # as where a hook raises
    assert list(due_runs(schedules, 2 * MINUTE)) == [("a", "run"), ("b", "run")]
    assert schedules["a"].ran_ns == schedules["b"].ran_ns == 2 * MINUTE


def test_runs_of_several_schedules_come_in_the_order_of_their_times_then_of_their_declaration() -> None:
    schedules = {
        "exit": Schedule(daily("08:30", "UTC"), missed="run_all"),
        "entry": Schedule(daily("01:30", "UTC"), missed="run_all"),
        "once": Schedule(daily("08:30", "UTC")),
    }
    list(due_runs(schedules, at("2013-02-04T00:00:00")))
    order = [(name, shown(schedules[name].ran_ns or 0)[8:13]) for name, _ in due_runs(schedules, at("2013-02-05T12:00:00"))]
    assert order == [("entry", "04T01"), ("exit", "04T08"), ("entry", "05T01"), ("exit", "05T08"), ("once", "05T08")]


def test_after_its_last_known_run_it_never_runs_again() -> None:
    schedule = Schedule(daily("09:30", "America/New_York", calendar="XNYS"))
    struck(schedule, at("2035-12-31T00:00:00"))
    assert struck(schedule, at("2035-12-31T15:00:00")) == [("run", at("2035-12-31T14:30:00"))]
    assert schedule.due_ns == NEVER
    assert struck(schedule, at("2036-06-01T00:00:00")) == []


@pytest.mark.parametrize("missed", ["run_once", "run_all", "skip"])
def test_a_restart_neither_repeats_a_run_nor_forgets_one(missed: str) -> None:
    ticks = ("2013-02-04T00:00:00", "2013-02-04T14:30:00", "2013-02-04T14:30:01", "2013-02-05T14:30:20", "2013-02-05T14:41:00")
    schedule, ran = in_new_york(missed=missed), []
    for tick in ticks:
        schedule = msgspec.msgpack.decode(msgspec.msgpack.encode(schedule), type=Schedule)
        ran += runs(schedule, tick)
    assert ran == ["2013-02-04T14:30:00", "2013-02-05T14:30:20"]


def test_a_declaration_goes_on_where_the_same_rule_stopped_even_under_another_policy() -> None:
    was = in_new_york()
    struck(was, at("2013-02-04T14:30:00"))
    again = in_new_york(missed="run_all")
    again.recall(was)
    assert (again.due_ns, again.ran_ns) == (at("2013-02-05T14:30:00"), at("2013-02-04T14:30:00"))
    assert [moment for _, moment in struck(again, at("2013-02-06T15:00:00"))] == [
        at("2013-02-05T14:30:00"),
        at("2013-02-06T14:30:00"),
    ]


def test_a_declaration_with_another_rule_begins_anew() -> None:
    was, other = in_new_york(), Schedule(daily("09:31", "America/New_York"))
    struck(was, at("2013-02-04T14:30:00"))
    other.recall(was)
    assert (other.due_ns, other.ran_ns) == (None, None)


def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="missed is 'run_twice'; it must be run_once, run_all or skip"):
        in_new_york(missed="run_twice")
    with pytest.raises(ConfigError, match="grace_s is -1"):
        in_new_york(grace_s=-1)


rules = st.sampled_from(
    [Every(60), Every(90), Cron("0 */7 * * * *", "UTC"), daily("00:10", "Asia/Tokyo"), Cron("0 30 9 * * *", "UTC")]
)


@given(rules, st.lists(st.integers(0, 3_000_000), min_size=1, max_size=20))
def test_under_run_all_no_pattern_of_ticks_loses_or_repeats_a_run(rule: Rule, seconds: list[int]) -> None:
    ticks = sorted({second * NS for second in seconds})
    schedule, told = Schedule(rule, missed="run_all"), []
    for tick in ticks:
        strikes = struck(schedule, tick)
        if ("drop", None) in strikes:
            told.clear()
        told += [moment for strike, moment in strikes if strike == "run"]
    expected, moment = [], rule.first_from(ticks[0])
    while moment is not None and moment <= ticks[-1]:
        expected.append(moment)
        moment = rule.first_from(moment + 1)
    assert told == expected[len(expected) - len(told) :]
    assert len(told) >= min(len(expected), CATCH_UP)
