"""Timestamps of every form to ns UTC, against the standard library and pandas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barque.errors import ConfigError
from barque_archive.times import TimeFormat, TimeReader, Twice, iso, time_ns
from tests.support.builders import MINUTE, NS, T0

STOCKHOLM = "Europe/Stockholm"


def read(values: object, **form: str) -> list[int]:
    """All of a column; a test fails where one is no time."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    ns, wrong = TimeReader(TimeFormat(**form)).read(array)  # type: ignore[arg-type]
    assert not wrong, [str(fault) for fault in wrong]
    return ns.tolist()


def refused(values: object, **form: str) -> dict[int, str]:
    """Row -> what is wrong with it."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    _, wrong = TimeReader(TimeFormat(**form)).read(array)  # type: ignore[arg-type]
    return {fault.index: fault.reason for fault in wrong}


FORMS = [
    ("2014-05-01T00:00:00.292Z", T0 + 292 * 10**6),
    ("2014-05-01T00:00:00Z", T0),
    ("2014-05-01 00:00:00", T0),
    ("2014-05-01 00:00:00.000000", T0),
    ("2014-05-01 00:00:00+00:00", T0),
    ("2014-05-01T02:00:00.000000001+02:00", T0 + 1),
    ("2014-04-30T18:30:00-0530", T0),
    ("2014-04-30T17:00:00-07", T0),
    ("2014-05-01T00:01", T0 + MINUTE),
    ("2014-05-01T02", T0 + 120 * MINUTE),
    ("2014-05-01", T0),
    ("2014-05-01T00:00:00.123456789Z", T0 + 123_456_789),
    ("2014-05-01T00:00:00,5Z", T0 + 500_000_000),
    ("2013-01-01 22:00:00.295000+00:00", 1_357_077_600_295_000_000),
    ("1969-12-31T23:59:59.999999999Z", -1),
    ("1398902400", T0),
    ("1398902400292", T0 + 292 * 10**6),
    ("1398902400292001", T0 + 292_001_000),
    ("1398902400292001003", T0 + 292_001_003),
]


@pytest.mark.parametrize(("text", "ns"), [*FORMS, (1_398_902_400, T0), (1_398_902_400_292_001_003, T0 + 292_001_003)])
def test_a_timestamp_is_exact_to_the_nanosecond_and_utc_unless_it_says_otherwise(text: str | int, ns: int) -> None:
    assert time_ns(text) == ns
    assert read([text]) == [ns], "whole columns are read as single values are"
    assert read([text, text]) == [ns, ns]


@settings(deadline=None)
@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.sampled_from("T "), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_every_time_of_the_standard_library_is_read_as_it_was_written(when: datetime, separator: str, offset: int) -> None:
    utc = when.replace(tzinfo=UTC)
    since = utc - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    assert time_ns(when.isoformat(separator)) == micros * 1_000
    hours, minutes = divmod(abs(offset), 60)
    zone = f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"
    text = (when + timedelta(minutes=offset)).isoformat(separator) + zone
    assert time_ns(text) == micros * 1_000
    assert read([text, "2014-05-01T00:00:00Z"]) == [micros * 1_000, T0]


@settings(deadline=None)
@given(st.integers(10**8, 4 * 10**9), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_an_integer_is_read_in_the_unit_its_size_says(seconds: int, per_second: int) -> None:
    number = seconds * per_second
    assert time_ns(number) == time_ns(str(number)) == seconds * NS
    assert read([number, number]) == read([str(number)] * 2) == [seconds * NS] * 2


@pytest.mark.parametrize(("unit", "size"), [("s", NS), ("ms", 10**6), ("us", 10**3), ("ns", 1)])
def test_a_unit_that_is_named_is_that_unit_whatever_the_size(unit: str, size: int) -> None:
    assert read([0, 7, -3], form=unit) == read(["0", "7", "-3"], form=unit) == [0, 7 * size, -3 * size]


NO_TIMES = [
    *("", "yesterday", "2014-05-01T24:00:00Z", "2014-05-01T00:60:00Z", "2014-05-01T00:00:60Z", "2014-13-01", "2014-02-30"),
    *("2014-05-01T00:00:00.1234567891Z", "1398902400.5", "1e9", "٢٠١٤-05-01", "2014-05-01T00:00:00 Z", " 2014-05-01"),
    *("2014-05-01T00:00:00+25:00", "2014-05-01T00:00:00+02:61"),
]


@pytest.mark.parametrize("value", [*NO_TIMES, 1.5, None, True])
def test_what_is_no_timestamp_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"timestamp|month|day"):
        time_ns(value)
    assert list(refused([value, value])) == [0, 1]


@pytest.mark.parametrize("value", NO_TIMES)
def test_one_that_is_none_among_others_is_found_and_the_others_are_read(value: str) -> None:
    ns, wrong = TimeReader(TimeFormat()).read(pa.array(["2014-05-01T00:00:00Z", value, "2014-05-01T00:01:00Z"]))
    assert [fault.index for fault in wrong] == [1]
    assert ns[[0, 2]].tolist() == [T0, T0 + MINUTE]


def test_what_lies_beyond_the_years_that_nanoseconds_reach_is_no_time() -> None:
    assert "outside the years" in refused(["2500-01-01T00:00:00Z"])[0]
    assert "outside the years" in refused([10**18], form="s")[0]


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ms", "UTC"), pa.timestamp("us", STOCKHOLM)])
def test_times_of_parquet_are_instants(kind: pa.DataType) -> None:
    assert read(pa.array([T0 // 10**9], pa.int64()).cast(pa.timestamp("s")).cast(kind)) == [T0]


def test_missing_values_are_found_and_take_no_digits_from_the_others() -> None:
    array = pa.array([T0 + 1, None, T0 + 3], pa.timestamp("ns", "UTC"))
    ns, wrong = TimeReader(TimeFormat()).read(array)
    assert ns[[0, 2]].tolist() == [T0 + 1, T0 + 3]
    assert [(fault.index, fault.reason) for fault in wrong] == [(1, "timestamp is missing")]
    assert refused(pa.array(["2014-05-01", None, "x"])).keys() == {1, 2}


# -- zones -----------------------------------------------------------------------------------------------------------------


def test_zones_that_change_from_row_to_row_are_no_matter_where_each_row_names_its_own() -> None:
    assert read(["2014-03-30T01:59:59+01:00", "2014-03-30T03:00:00+02:00"]) == [1_396_141_199 * NS, 1_396_141_200 * NS]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["2014-05-01T00:00:00Z", "2014-05-01T00:01:00"], "'2014-05-01T00:01:00' does not name its zone, the others do: mixed"),
        (["2014-05-01T00:00:00", "2014-05-01T00:01:00Z"], "'2014-05-01T00:01:00Z' names its zone, none does: mixed zones"),
    ],
)
def test_a_zone_here_and_none_there_is_refused_in_one_batch_and_over_two(rows: list[str], text: str) -> None:
    assert text in refused(rows)[1]
    reader = TimeReader(TimeFormat())
    assert reader.read(pa.array(rows[:1]))[1] == []
    assert text in str(reader.read(pa.array(rows[1:]))[1][0])


def test_a_zone_from_outside_and_one_in_the_file_contradict_each_other() -> None:
    assert "--tz Europe/Stockholm another" in refused(["2014-05-01T00:00:00Z"], tz=STOCKHOLM)[0]
    with pytest.raises(ConfigError, match="the times of this file name their zone"):
        read(pa.array([T0], pa.timestamp("ns", "UTC")), tz=STOCKHOLM)


ZONES = ["Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/Sao_Paulo", "Asia/Kolkata", "UTC"]


@settings(deadline=None)
@given(
    st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)), min_size=1, max_size=20),  # noqa: DTZ001
    st.sampled_from(ZONES),
    st.sampled_from([(True, "first"), (False, "second")]),
)
def test_local_times_are_placed_where_pandas_places_them(clocks: list[datetime], where: str, rule: tuple[bool, Twice]) -> None:
    summer, twice = rule
    ns, wrong = TimeReader(TimeFormat(tz=where, twice=twice)).read(pa.array([clock.isoformat() for clock in clocks]))
    theirs = pd.DatetimeIndex(clocks).tz_localize(where, ambiguous=np.full(len(clocks), summer), nonexistent="NaT")
    gone = [index for index, at in enumerate(theirs) if at is pd.NaT]
    assert [fault.index for fault in wrong] == gone
    expected = theirs.tz_convert("UTC").as_unit("ns").asi8
    assert all(ns[index] == expected[index] for index in range(len(clocks)) if index not in gone)


def minutes_of(day: str, hours: range) -> list[str]:
    return [f"{day}T{hour:02d}:{minute:02d}:00" for hour in hours for minute in range(60)]


def test_an_hour_that_a_clock_shows_twice_is_refused_unless_a_rule_says_which() -> None:
    """Stockholm, 26 October 2014: 02:00 to 03:00 in summer time, then again in winter time."""
    hour = minutes_of("2014-10-26", range(1, 5))
    said = refused(hour, tz=STOCKHOLM)
    assert list(said) == list(range(60, 120))
    assert said[60] == "timestamp '2014-10-26T02:00:00' exists twice in Europe/Stockholm; say which with --twice"
    first, second = (read(hour, tz=STOCKHOLM, twice=twice) for twice in ("first", "second"))
    assert first[60] == 1_414_281_600 * NS, "00:00 UTC"
    assert [b - a for a, b in zip(first, second, strict=True)] == [0] * 60 + [3_600 * NS] * 60 + [0] * 120


def test_an_hour_that_a_clock_skips_is_no_time_under_any_rule() -> None:
    for twice in ("refuse", "first", "second"):
        said = refused(minutes_of("2014-03-30", range(1, 4)), tz=STOCKHOLM, twice=twice)
        assert list(said) == list(range(60, 120))
        assert said[60] == "timestamp '2014-03-30T02:00:00' does not exist in Europe/Stockholm: skipped in spring"


def test_days_of_23_and_of_25_hours_are_as_long_as_they_are() -> None:
    for day, next_day, hours in (("2014-03-30", "2014-03-31", 23), ("2014-10-26", "2014-10-27", 25)):
        start, end = read([day, next_day], tz=STOCKHOLM)
        assert end - start == hours * 3_600 * NS


# -- patterns --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pattern", "ns"),
    [
        ("20140501 000100", "%Y%m%d %H%M%S", T0 + MINUTE),
        ("2014.05.01 00:01", "%Y.%m.%d %H:%M", T0 + MINUTE),
        ("1.5.2014 0:01", "%d.%m.%Y %H:%M", T0 + MINUTE),
        ("20140501 000100.25", "%Y%m%d %H%M%S.%f", T0 + MINUTE + NS // 4),
    ],
)
def test_a_pattern_reads_what_the_standard_library_reads(text: str, pattern: str, ns: int) -> None:
    assert read([text], form=pattern) == [ns]
    assert read([text], form=pattern, tz="Asia/Tokyo") == [ns - 9 * 3_600 * NS]


@pytest.mark.parametrize("text", ["2014.02.30 00:00", "2014.05.01", "2014.05.01 00:01 ", "2014.05.01 25:00", "2014-05-01 00:00"])
def test_a_pattern_does_not_read_what_is_no_time(text: str) -> None:
    assert refused(["2014.05.01 00:00", text], form="%Y.%m.%d %H:%M")[1].startswith(f"timestamp '{text}' is not of the form")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"form": "epoch"}, "option --time: 'epoch' is no form of time"),
        ({"form": "isso"}, "did you mean 'iso'?"),
        ({"form": "%Y-%m-%dT%H:%M:%S%z"}, "times that name one are read as iso"),
        ({"tz": "Europe/Stokholm"}, "'Europe/Stokholm' is no IANA time zone; did you mean 'Europe/Stockholm'?"),
        ({"twice": "both"}, "option --twice: 'both' is none"),
    ],
)
def test_a_form_that_is_none_is_refused_with_the_option(form: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        TimeFormat(**form)  # type: ignore[arg-type]
    assert text in str(refusal.value)


@settings(deadline=None)
@given(st.integers(-(10**18), 4 * 10**18))
def test_what_is_written_is_read_again(ns: int) -> None:
    assert time_ns(iso(ns)) == ns


def test_the_offsets_of_a_zone_are_those_of_the_standard_library_minute_by_minute() -> None:
    start = datetime(2013, 10, 26, 12, tzinfo=UTC)
    instants = [start + timedelta(minutes=n) for n in range(1_440)]
    clocks = [at.astimezone(ZoneInfo(STOCKHOLM)) for at in instants]
    first = [clock for clock in clocks if clock.fold == 0]
    expected = [int(at.timestamp()) * NS for at, clock in zip(instants, clocks, strict=True) if clock.fold == 0]
    assert read([clock.replace(tzinfo=None).isoformat() for clock in first], tz=STOCKHOLM, twice="first") == expected
