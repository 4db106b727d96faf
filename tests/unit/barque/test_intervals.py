"""Intervals and their buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.intervals import bucket_open, parse_interval
from tests.support.builders import MINUTE, NS, T0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("5s", 5), ("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3_600), ("4h", 14_400), ("1d", 86_400)],
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_interval(text) == seconds * NS


@pytest.mark.parametrize("text", ["", "m", "1", "0m", "-1m", "1.5m", "1 m", "1M", "1w", "1min", "01m", "1m\n", "١m", "9999999s"])
def test_what_is_no_interval_is_said_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an interval: .* such as 1s, 5m, 4h, 1d"):
        parse_interval(text)


def test_buckets_are_aligned_to_the_utc_epoch() -> None:
    assert bucket_open(T0 + 61 * NS, MINUTE) == T0 + MINUTE
    assert bucket_open(T0 + 13 * 3_600 * NS, parse_interval("4h")) == T0 + 12 * 3_600 * NS
    assert bucket_open(T0 + 86_399 * NS, parse_interval("1d")) == T0


@given(st.integers(-(2**62), 2**62), st.integers(1, 10**15))
def test_every_time_is_in_exactly_its_bucket(ts_ns: int, interval_ns: int) -> None:
    start = bucket_open(ts_ns, interval_ns)
    assert start <= ts_ns < start + interval_ns
    assert start % interval_ns == 0
