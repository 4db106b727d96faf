"""Quarantine, by hand-made ticks."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbuilder.core.quality import calm_band, fault, is_spike
from barbuilder.core.state import Tape
from tests.support.builders import T0


@pytest.mark.parametrize(
    ("low", "high", "size", "reason"),
    [
        (1.0, 1.0, 0.0, ""),
        (1.0, 2.0, 5.0, ""),
        (nan, 1.0, 0.0, "nan"),
        (1.0, -inf, 0.0, "nan"),
        (1.0, 1.0, inf, "nan"),
        (0.0, 1.0, 0.0, "non_positive"),
        (2.0, 1.0, 0.0, "crossed"),
        (1.0, 1.0, -1.0, "negative_size"),
    ],
)
def test_each_fault_has_its_name(low: float, high: float, size: float, reason: str) -> None:
    assert fault(T0, low, high, size) == reason


@pytest.mark.parametrize("ts_ns", [-1, 2**62, 2**64 - 1])
def test_a_time_that_cannot_be_is_a_fault(ts_ns: int) -> None:
    assert fault(ts_ns, 1.0, 1.0) == "bad_time"


def test_nothing_is_a_spike_before_the_first_tick_nor_where_every_distance_is_allowed() -> None:
    assert not is_spike(Tape(), 1.0, 1.0, 0.0)
    assert not is_spike(Tape(low=1.0, high=1.0, count=1), 1e9, 1e9, inf)


@given(
    st.floats(1e-6, 1e9),
    st.floats(0, 0.3),
    st.floats(0, 3),
    st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0, 0.5)), min_size=2, max_size=2),
)
def test_no_tick_inside_the_calm_band_is_faulty_or_a_spike_to_another(
    price: float, spread: float, fraction: float, ticks: list[tuple[float, float]]
) -> None:
    newest = Tape(low=price, high=price * (1 + spread), count=1)
    floor, ceiling = calm_band(newest, fraction)
    inside = [(price * x, price * x * (1 + s)) for x, s in ticks]
    if all(floor <= low <= high <= ceiling for low, high in inside):
        (low, high), after = inside
        assert fault(T0, *after) == ""
        assert not is_spike(Tape(low=low, high=high, count=1), *after, fraction)
