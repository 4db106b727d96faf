"""Intervals and their buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.intervals import WEEK_NS, Interval, bucket_open, interval_of, parse_interval
from tests.support.builders import MINUTE, NS, T0

DAY = 86_400 * NS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("5s", 5), ("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3_600), ("4h", 14_400), ("1d", 86_400), ("1w", 604_800)],
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_interval(text) == seconds * NS


NO_TIME = ("", "m", "1", "0m", "-1m", "1.5m", "1 m", "1M", "1min", "01m", "1m\n", "١m", "9999999s", "60:s")
NO_MEASURE = (
    "tick",
    "tick:",
    "tick:0",
    "tick:-1",
    "tick:1.5",
    "tick:01",
    "tick: 5",
    "tick:5 ",
    "TICK:5",
    "ticks:5",
    "time:60",
    ":5",
)


@pytest.mark.parametrize("text", [*NO_TIME, *NO_MEASURE, "tick:٥", "renko:1_000"])
def test_what_is_no_interval_is_said_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an interval: .* such as 1s, 5m, 4h, 1d, 1w, .* such as tick:100"):
        interval_of(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("5min", "did you mean '5m'?"),
        ("5 minutes", "did you mean '5m'?"),
        ("1 day", "did you mean '1d'?"),
        ("2hours", "did you mean '2h'?"),
        ("M5", "did you mean '5m'?"),
        ("H1", "did you mean '1h'?"),
        ("01m", "did you mean '1m'?"),
        ("renco:10", "did you mean 'renko:10'?"),
        ("Volume:500", "did you mean 'volume:500'?"),
        ("range", "did you mean 'range:N', N a positive whole number?"),
        ("tick:0", "did you mean 'tick:N', N a positive whole number?"),
        ("tick100", "did you mean 'tick:100'?"),
    ],
)
def test_the_nearest_interval_is_named(text: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:
        interval_of(text)
    assert str(caught.value).endswith(f"; {hint}")


@pytest.mark.parametrize("text", ["1M", "1mo", "1y", "60", "x:5"])
def test_where_no_interval_is_near_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an interval: [^;]*$"):
        interval_of(text)


@pytest.mark.parametrize("text", ["8d", "169h", "2w", "604801s"])
def test_nothing_is_longer_than_a_week(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not an interval: it is longer than a week"):
        interval_of(text)


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("tick:1", "tick", 1),
        ("volume:5000", "volume", 5_000),
        ("value:1000000", "value", 10**6),
        ("range:10", "range", 10),
        ("renko:10", "renko", 10),
    ],
)
def test_other_kinds_have_a_size_and_no_length(text: str, kind: str, size: int) -> None:
    interval = interval_of(text)
    assert interval == Interval(kind, size)  # type: ignore[arg-type]
    assert (interval.is_time, interval.interval_ns) == (False, 0)
    with pytest.raises(ValueError, match=f"'{text}' is not an interval of time"):
        parse_interval(text)


def test_time_bars_have_a_length() -> None:
    assert (interval_of("5m").is_time, interval_of("5m").interval_ns) == (True, 5 * MINUTE)


def test_weeks_open_on_mondays_however_they_are_spelled() -> None:
    for text in ("1w", "7d", "168h"):
        assert bucket_open(T0, parse_interval(text)) == T0 - 3 * DAY, "1 May 2014 is a Thursday"
    assert bucket_open(T0 - 3 * DAY, WEEK_NS) == T0 - 3 * DAY
    assert bucket_open(T0 - 3 * DAY - 1, WEEK_NS) == T0 - 10 * DAY


def test_buckets_are_aligned_to_the_utc_epoch() -> None:
    assert bucket_open(T0 + 61 * NS, MINUTE) == T0 + MINUTE
    assert bucket_open(T0 + 13 * 3_600 * NS, parse_interval("4h")) == T0 + 12 * 3_600 * NS
    assert bucket_open(T0 + 86_399 * NS, parse_interval("1d")) == T0


@given(st.integers(-(2**62), 2**62), st.one_of(st.integers(1, 10**15).filter(lambda n: n != WEEK_NS)))
def test_every_time_is_in_exactly_its_bucket(ts_ns: int, interval_ns: int) -> None:
    start = bucket_open(ts_ns, interval_ns)
    assert start <= ts_ns < start + interval_ns
    assert start % interval_ns == 0
