"""Cron expressions: what they mean, against cronsim itself, and what is said of those that mean nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError
from barque.strategy import Cron
from barque.strategy.cron import parse_cron

NS = 10**9
START = datetime(2024, 2, 27, 23, 59, 30, tzinfo=UTC)

values = {
    "second": st.sampled_from(["0", "30", "*/20", "5,10-12", "*"]),
    "minute": st.sampled_from(["0", "*", "*/15", "5-7", "59"]),
    "hour": st.sampled_from(["0", "*", "9-17", "23", "*/6", "0-20/5"]),
    "day": st.sampled_from(["*", "1", "L", "LW", "10-20", "29"]),
    "month": st.sampled_from(["*", "2", "JAN-MAR", "3,6,9,12", "*/2"]),
    "weekday": st.sampled_from(["*", "MON-FRI", "SUN", "7", "FRI#1", "5L", "0,6"]),
}


@given(st.tuples(*values.values()))
def test_in_utc_the_next_runs_are_those_of_cronsim(fields: tuple[str, ...]) -> None:
    expression = " ".join(fields)
    rule, theirs, moment = Cron(expression, "UTC"), CronSim(expression, START), int(START.timestamp()) * NS
    for _ in range(5):
        found = rule.first_from(moment + 1)
        assert found is not None
        assert datetime.fromtimestamp(found / NS, UTC) == next(theirs)
        assert rule.last_until(found) == found
        moment = found


@given(st.tuples(*values.values()))
def test_in_utc_the_last_runs_are_those_of_cronsim_backwards(fields: tuple[str, ...]) -> None:
    expression = " ".join(fields)
    rule, theirs, moment = Cron(expression, "UTC"), CronSim(expression, START, reverse=True), int(START.timestamp()) * NS
    for _ in range(5):
        found = rule.last_until(moment - 1)
        assert found is not None
        assert datetime.fromtimestamp(found / NS, UTC) == next(theirs)
        moment = found


def test_every_second_of_a_day_can_be_meant() -> None:
    assert len(parse_cron("* * * * * *").times_s) == 86_400


def test_a_date_fits_where_day_or_weekday_does_and_both_are_named() -> None:
    cron = parse_cron("0 0 9 13 * FRI")
    assert [day for day in range(1, 16) if cron.falls_on(date(2024, 9, day))] == [6, 13]
    assert [day for day in range(1, 21) if cron.falls_on(date(2024, 3, day))] == [1, 8, 13, 15]


def test_small_letters_and_wide_spaces_are_read_as_well() -> None:
    assert parse_cron("  0 30  9 * jan mon-fri ").falls_on(date(2024, 1, 5))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 9 30 * * MON-FRI", r"hour: 30 is not in 0\.\.23"),
        ("60 0 9 * * *", r"second: 60 is not in 0\.\.59"),
        ("0 75 9 * * *", r"minute: 75 is not in 0\.\.59"),
        ("0 0 9 32 * *", r"day: 32 is not in 1\.\.31"),
        ("0 0 9 0 * *", r"day: 0 is not in 1\.\.31"),
        ("0 0 9 * 13 *", r"month: 13 is not in 1\.\.12"),
        ("0 0 9 * * 8", r"weekday: 8 is not in 0\.\.7"),
        ("0 0 9 * JANUARY *", r"month: 'JANUARY' is neither a number in 1\.\.12, JAN\.\.DEC nor \*"),
        ("0 0 9 * * MON-FRY", r"weekday: 'FRY' is neither a number in 0\.\.7, SUN\.\.SAT nor \*"),
        ("0 0 9 * * FRI-MON", "weekday: the range 'FRI-MON' runs backwards"),
        ("0 */0 9 * * *", r"minute: the step of '\*/0' is not a whole number from 1"),
        ("0 0 9 30 2 *", "day: 30 never occurs"),
        ("0 , 9 * * *", "minute: '' is neither"),
        ("0 0 -9 * * *", "hour: '' is neither"),
        ("0 0 9.5 * * *", r"hour: '9\.5' is neither"),
    ],
)
def test_an_expression_that_cannot_be_is_refused_naming_the_field_and_its_value(expression: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        Cron(expression, "UTC")
    assert "the order is second minute hour day month weekday" in str(refused.value)
    assert f"'{expression}'" in str(refused.value)


def test_two_fields_in_the_wrong_order_are_put_right_in_the_hint() -> None:
    with pytest.raises(ConfigError, match=r"did you mean '0 30 9 \* \* MON-FRI'\?"):
        Cron("0 9 30 * * MON-FRI", "UTC")


@pytest.mark.parametrize("expression", ["30 9 * * MON-FRI", "", "0 0 9 * * * 2024"])
def test_another_number_of_fields_is_refused_with_an_example(expression: str) -> None:
    with pytest.raises(ConfigError, match=rf"has {len(expression.split())} fields, not six; .* as in '0 30 9 \* \* MON-FRI'"):
        Cron(expression, "UTC")
