"""Features of bars, by hand."""

from __future__ import annotations

from math import exp

import pytest

from barque.strategy import features
from tests.support.builders import a_bar

RISING = a_bar(open=10.0, high=14.0, low=9.0, close=12.0)
FALLING = a_bar(open=12.0, high=14.0, low=9.0, close=10.0)
FLAT = a_bar(open=10.0, high=10.0, low=10.0, close=10.0)


def test_a_bar_has_a_body_and_two_wicks_that_make_up_its_range() -> None:
    for bar in (RISING, FALLING):
        assert (features.body(bar), features.upper_wick(bar), features.lower_wick(bar), features.bar_range(bar)) == (2, 2, 1, 5)
    assert (features.body(FLAT), features.upper_wick(FLAT), features.lower_wick(FLAT), features.bar_range(FLAT)) == (0, 0, 0, 0)


def test_a_bar_has_a_direction_unless_it_has_no_body() -> None:
    assert [features.direction(bar) for bar in (RISING, FALLING, FLAT)] == [1, -1, 0]


def test_a_close_has_a_place_in_its_range() -> None:
    assert [features.close_location(bar) for bar in (RISING, FALLING, FLAT)] == [0.6, 0.2, 0.5]


@pytest.mark.parametrize(("close_before", "expected"), [(12.0, 5.0), (7.0, 7.0), (16.5, 7.5)])
def test_a_true_range_includes_the_gap_from_the_close_before(close_before: float, expected: float) -> None:
    assert features.true_range(14.0, 9.0, close_before) == expected


def test_returns() -> None:
    assert features.simple_return(100.0, 103.0) == pytest.approx(0.03, rel=1e-12)
    assert exp(features.log_return(100.0, 103.0)) == pytest.approx(1.03, rel=1e-12)


def test_a_gap_is_signed_and_a_typical_price_is_the_mean_of_three() -> None:
    assert (features.gap(9.5, RISING), features.gap(10.5, RISING)) == (0.5, -0.5)
    assert features.typical_price(14.0, 9.0, 10.0) == 11.0
