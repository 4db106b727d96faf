"""Numbers and times as people read them."""

from __future__ import annotations

import doctest
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway import format as fmt

T0 = 1_398_902_400_000_000_000


def test_the_examples_hold() -> None:
    assert doctest.testmod(fmt, extraglobs={"Decimal": Decimal}).failed == 0


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (T0 + 500_000_000, "2014-05-01T00:00:00.500Z"),
        (T0 + 1, "2014-05-01T00:00:00.000000001Z"),
        (T0 + 12_000, "2014-05-01T00:00:00.000012Z"),
    ],
)
def test_iso_is_exact(ns: int, text: str) -> None:
    assert fmt.iso(ns) == text


@given(some.integers(0, 4_000_000_000_000_000))
def test_a_time_in_microseconds_survives_iso_and_back(us: int) -> None:
    assert fmt.nanoseconds(fmt.iso(us * 1_000)) == us * 1_000


@pytest.mark.parametrize("text", ["1398902400000000000", "2014-05-01", "2014-05-01T00:00:00", "2014-05-01T02:00:00+02:00"])
def test_times_are_read_as_utc_unless_they_say_otherwise(text: str) -> None:
    assert fmt.nanoseconds(text) == T0


def test_the_page_shows_time_in_its_zone() -> None:
    assert fmt.date_time(T0, ZoneInfo("Asia/Tokyo")) == "2014-05-01 09:00:00"


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [("1234567.891", "USD", "+1,234,567.89"), ("-0.5", "USD", "−0.50"), ("15600", "JPY", "+15,600"), ("0", "USD", "0.00")],
)
def test_money_shows_its_sign_and_its_cents(value: str, currency: str, text: str) -> None:
    assert fmt.signed(Decimal(value), currency) == text


@pytest.mark.parametrize(
    ("tick", "text"), [("0.00001", "1.38690"), ("0.25", "1.39"), ("0.001", "1.387"), ("1", "1"), ("10", "1")]
)
def test_prices_align_on_the_grid(tick: str, text: str) -> None:
    assert fmt.price(Decimal("1.3869"), Decimal(tick)) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0 ms"), (999, "999 ms"), (59_000, "59s"), (75_000, "1m 15s"), (7_260_000, "2h 1m")]
)
def test_durations_have_two_units(ms: int, text: str) -> None:
    assert fmt.ago(ms) == text
