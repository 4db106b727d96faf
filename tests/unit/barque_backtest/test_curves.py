"""Drawdowns and thinned curves, against plain loops and pandas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque_backtest.curves import DAY_NS, Curve, bucket_of, bucket_open, interval_text, step_for
from tests.support.builders import MINUTE, NS, T0


def a_curve(values: list[float], start: float = 100.0, cuts: tuple[int, ...] = (), step_ns: int = MINUTE) -> Curve:
    """One value a minute after T0, in blocks that end at `cuts`."""
    curve = Curve(T0, start, step_ns, 1)
    times = T0 + MINUTE * np.arange(1, len(values) + 1, dtype=np.int64)
    edges = sorted({0, *cuts, len(values)})
    for low, high in pairwise(edges):
        part = np.array(values[low:high])
        curve.add(times[low:high], part, part > start)
    return curve


def test_a_drawdown_is_measured_from_the_peak_and_lasts_until_equity_is_back() -> None:
    found = a_curve([110, 99, 104, 110, 120, 114]).drawdown
    assert found.fraction == pytest.approx(11 / 110)
    assert found.money == 11
    assert (found.peak_ns, found.trough_ns, found.recovered_ns) == (T0 + MINUTE, T0 + 2 * MINUTE, T0 + 4 * MINUTE)
    assert found.longest_ns == 3 * MINUTE


def test_a_drawdown_that_never_recovers_lasts_to_the_end() -> None:
    found = a_curve([90, 95, 80, 85]).drawdown
    assert (found.fraction, found.peak_ns, found.recovered_ns) == (0.2, T0, None)
    assert found.longest_ns == 4 * MINUTE


def test_flat_equity_has_no_drawdown() -> None:
    found = a_curve([100, 100, 100]).drawdown
    assert (found.fraction, found.money, found.peak_ns, found.longest_ns) == (0.0, 0.0, 0, 0)


def test_points_that_are_not_known_are_left_out() -> None:
    curve = a_curve([float("nan"), 110, float("nan"), 99])
    assert (curve.instants, curve.last, curve.drawdown.money) == (2, 99.0, 11.0)


def slow_drawdown(values: list[float], start: float) -> tuple[float, float, int]:
    """Deepest fraction, deepest money, longest length in steps, by the definition."""
    path = [start, *values]
    deepest = money = 0.0
    longest = 0
    for peak_at, peak in enumerate(path):
        if peak < max(path[: peak_at + 1]):
            continue
        for at in range(peak_at + 1, len(path)):
            if path[at] >= peak:
                longest = max(longest, at - peak_at if at > peak_at + 1 else 0)
                break
            deepest, money = max(deepest, (peak - path[at]) / peak), max(money, peak - path[at])
        else:
            longest = max(longest, len(path) - 1 - peak_at)
    return deepest, money, longest


@given(st.lists(st.integers(50, 150), min_size=1, max_size=30), st.sets(st.integers(1, 29), max_size=4))
def test_drawdowns_follow_their_definition_however_the_curve_is_cut(values: list[int], cuts: set[int]) -> None:
    found = a_curve([float(v) for v in values], cuts=tuple(c for c in cuts if c < len(values))).drawdown
    deepest, money, longest = slow_drawdown([float(v) for v in values], 100.0)
    assert found.fraction == pytest.approx(deepest)
    assert found.money == money
    assert found.longest_ns == longest * MINUTE
    if deepest:
        path = [100.0, *map(float, values)]
        low, high = ((ns - T0) // MINUTE for ns in (found.trough_ns, found.peak_ns))
        assert 1 - path[low] / path[high] == pytest.approx(deepest)
        back = next((i for i in range(low, len(path)) if path[i] >= path[high]), None)
        assert found.recovered_ns == (None if back is None else T0 + back * MINUTE)


@given(st.lists(st.integers(50, 150), min_size=1, max_size=60), st.sets(st.integers(1, 59), max_size=4))
def test_a_picture_has_the_last_equity_and_the_lowest_drawdown_of_each_interval(values: list[int], cuts: set[int]) -> None:
    curve = a_curve([float(v) for v in values], cuts=tuple(c for c in cuts if c < len(values)), step_ns=5 * MINUTE)
    equity = pd.Series(values, index=pd.to_datetime(T0 + MINUTE * np.arange(1, len(values) + 1)), dtype=float)
    expected = equity.resample("5min", closed="right", label="right").last()
    below = equity / equity.cummax().clip(lower=100.0) - 1
    lowest = below.resample("5min", closed="right", label="right").min()
    picture = curve.picture
    assert picture.equity.tolist() == expected.tolist()
    np.testing.assert_allclose(picture.underwater, lowest.to_numpy(), atol=1e-12)


def test_the_close_at_midnight_belongs_to_the_day_before() -> None:
    curve = Curve(T0, 100.0, MINUTE, None)
    midnight = T0 + DAY_NS
    curve.add(np.array([midnight - MINUTE, midnight, midnight + MINUTE]), np.array([1.0, 2.0, 3.0]), np.zeros(3, dtype=bool))
    assert curve.days.equity.tolist() == [2.0, 3.0]
    assert curve.detail is None


@pytest.mark.parametrize(
    ("span_s", "most", "text"),
    [
        (1_999, 2_000, "1s"),
        (2_000, 2_000, "2s"),
        (119_940, 2_000, "1m"),
        (28 * 86_400, 2_000, "30m"),
        (10 * 366 * 86_400, 2_000, "1w"),
    ],
)
def test_the_interval_is_the_shortest_usual_one_of_which_no_more_are_needed(span_s: int, most: int, text: str) -> None:
    step = step_for(span_s * NS, most)
    assert interval_text(step) == text
    assert len(np.unique(bucket_of(np.array([T0, T0 + span_s * NS]), step))) <= 2
    assert bucket_of(np.array([T0 + span_s * NS]), step)[0] - bucket_of(np.array([T0]), step)[0] < most


def test_weeks_begin_on_mondays() -> None:
    week = 7 * DAY_NS
    opened = pd.Timestamp(bucket_open(bucket_of(np.array([T0]), week), week)[0])
    assert (opened.day_name(), opened.hour) == ("Monday", 0)
