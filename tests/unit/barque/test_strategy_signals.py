"""Crossings, breakouts and thresholds, by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.strategy.signals import Breakout, Cross, Threshold, crossed_above, crossed_below
from tests.support.builders import a_bar


def test_a_crossing_is_told_once_and_only_when_it_goes_beyond_the_tolerance() -> None:
    cross = Cross(tolerance=0.5)
    steps = [(1.0, 0.0), (0.4, 0.0), (-0.4, 0.0), (-0.6, 0.0), (-3.0, 0.0), (0.5, 0.0), (0.51, 0.0)]
    assert [cross.update(a, b) for a, b in steps] == [0, 0, 0, -1, 0, 0, 1]


def test_the_first_side_is_no_crossing_and_missing_numbers_change_nothing() -> None:
    cross = Cross()
    assert [cross.update(None, 1.0), cross.update(1.0, None), cross.update(1.0, 1.0), cross.side] == [0, 0, 0, 0]
    assert [cross.update(0.5, 1.0), cross.side, cross.update(None, None), cross.update(1.5, 1.0), cross.side] == [0, -1, 0, 1, 1]


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), max_size=50))
def test_crossings_alternate(steps: list[tuple[float, float]]) -> None:
    cross = Cross(tolerance=0.1)
    told = [side for a, b in steps if (side := cross.update(a, b))]
    assert all(one == -other for one, other in pairwise(told))


@pytest.mark.parametrize(
    ("before", "now", "above", "below"),
    [
        ((1.0, 2.0), (3.0, 2.0), True, False),
        ((2.0, 2.0), (3.0, 2.0), True, False),
        ((3.0, 2.0), (4.0, 2.0), False, False),
        ((3.0, 2.0), (2.0, 2.0), False, False),
        ((3.0, 2.0), (1.0, 2.0), False, True),
    ],
)
def test_two_moments_tell_a_crossing(before: tuple[float, float], now: tuple[float, float], above: bool, below: bool) -> None:
    assert crossed_above(*before, *now) is above
    assert crossed_below(*before, *now) is below


def test_within_the_tolerance_nothing_has_crossed() -> None:
    assert not crossed_above(1.0, 2.0, 2.05, 2.0, tolerance=0.1)
    assert crossed_above(2.05, 2.0, 2.15, 2.0, tolerance=0.1)


def test_a_breakout_is_a_close_outside_the_bars_before_not_counting_its_own() -> None:
    breakout = Breakout(2)
    bars = [(5.0, 3.0, 4.0), (6.0, 4.0, 5.0), (9.0, 5.0, 6.0), (10.0, 6.0, 9.5), (8.0, 1.0, 4.0)]
    assert [breakout.update_bar(a_bar(high=high, low=low, close=close)) for high, low, close in bars] == [0, 0, 0, 1, -1]


def test_a_threshold_upwards_is_left_only_at_its_lower_level() -> None:
    switch = Threshold(on=70.0, leave=60.0)
    assert [switch.update(x) for x in (69.9, 70.0, 60.1, None, 60.0, 69.0)] == [False, True, True, True, False, False]


def test_a_threshold_downwards_is_left_only_at_its_upper_level() -> None:
    switch = Threshold(on=30.0, leave=40.0)
    assert [switch.update(x) for x in (30.1, 30.0, 39.9, 40.0, 31.0)] == [False, True, True, False, False]


def test_a_threshold_needs_two_levels() -> None:
    with pytest.raises(ValueError, match=r"both 3\.0"):
        Threshold(on=3.0, leave=3.0)


@pytest.mark.parametrize(
    ("make", "feed"),
    [
        (Cross, lambda signal, n: signal.update(n % 7, 3.0)),
        (lambda: Breakout(3), lambda signal, n: signal.update(n % 7 + 1, n % 5, n % 6)),
        (lambda: Threshold(on=5.0, leave=2.0), lambda signal, n: signal.update(n % 7)),
    ],
)
def test_a_signal_goes_on_from_its_own_bytes(make: Callable[[], Any], feed: Callable[[Any, int], Any]) -> None:
    living, reborn, told = make(), make(), []
    for n in range(40):
        reborn = msgspec.msgpack.decode(msgspec.msgpack.encode(reborn), type=type(reborn))
        told.append(feed(living, n))
        assert feed(reborn, n) == told[-1]
    assert reborn == living
    assert len(set(told)) > 1
