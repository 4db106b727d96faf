"""Rows among rows: each key once, contradictions found, the same again changes nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from barque_archive.columns import BarColumns, MarketColumns, TradeColumns, equal_rows, take
from barque_archive.merging import append, first_of_each, merge, overlap
from tests.support.builders import MINUTE, T0
from tests.support.columns import some_bars, some_quotes, some_trades

MINUTES = st.lists(st.integers(0, 30), max_size=15, unique=True).map(sorted)
TICKS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2)), max_size=12).map(sorted)


def minutes_of(columns: MarketColumns) -> list[int]:
    assert isinstance(columns, BarColumns)
    return ((columns.ts_open_ns - T0) // MINUTE).tolist()


def ticks_of(columns: MarketColumns) -> list[tuple[int, float]]:
    assert isinstance(columns, TradeColumns)
    return list(zip((columns.ts_event_ns - T0).tolist(), columns.price.tolist(), strict=True))


def trades(ticks: list[tuple[int, int]]) -> TradeColumns:
    return some_trades([at for at, _ in ticks], [float(price) for _, price in ticks])


@given(MINUTES, MINUTES)
def test_bars_of_both_are_there_once_in_order(there: list[int], new: list[int]) -> None:
    """Tick counts are those of places, so a bar that both have may be a contradiction."""
    merged = merge(some_bars(there) if there else None, some_bars(new), "refuse")
    assert minutes_of(merged.columns) == sorted({*there, *new})
    assert merged.added == len(set(new) - set(there))
    assert merged.equal + merged.conflicts == len(set(new) & set(there))


@given(MINUTES, MINUTES)
def test_what_was_merged_merged_again_changes_nothing(there: list[int], new: list[int]) -> None:
    first, second = (some_bars(rows, tick_count=np.array(rows, np.int64)) for rows in (there, new))
    once = merge(first, second, "refuse")
    assert once.conflicts == 0
    again = merge(once.columns, second, "refuse")
    assert again.columns is once.columns
    assert (again.added, again.equal) == (0, len(new))


@given(TICKS, TICKS)
def test_ticks_of_one_time_count_as_often_as_the_source_that_has_more(
    there: list[tuple[int, int]], new: list[tuple[int, int]]
) -> None:
    """Where both agree on the k-th tick of a time; each source on its own may have the same tick several times."""
    shared = [(at, 1) for at, _ in there], [(at, 1) for at, _ in new]
    merged = merge(trades(shared[0]), trades(shared[1]), "refuse")
    assert merged.conflicts == 0
    expected = Counter(at for at, _ in shared[0]) | Counter(at for at, _ in shared[1])
    assert Counter(at for at, _ in ticks_of(merged.columns)) == expected
    assert ticks_of(merge(merged.columns, trades(shared[1]), "refuse").columns) == ticks_of(merged.columns)


def test_a_file_that_goes_on_where_another_ended_in_the_middle_of_a_time_adds_the_rest() -> None:
    merged = merge(trades([(0, 1), (5, 1), (5, 2)]), trades([(5, 1), (5, 2), (5, 1), (6, 1)]), "refuse")
    assert ticks_of(merged.columns) == [(0, 1), (5, 1), (5, 2), (5, 1), (6, 1)]
    assert (merged.added, merged.equal, merged.conflicts) == (2, 2, 0)


def test_a_contradiction_is_found_and_said_and_one_side_of_it_stays() -> None:
    there, new = some_bars([1, 2, 3]), some_bars([2, 3, 4], shift=0.5, tick_count=np.array([1, 2, 3]))
    for policy, closes in (("refuse", [1.001, 1.002, 1.003, 1.504]), ("replace", [1.001, 1.502, 1.503, 1.504])):
        merged = merge(there, new, policy)  # type: ignore[arg-type]
        assert isinstance(merged.columns, BarColumns)
        assert np.allclose(merged.columns.close, closes)
        assert (merged.added, merged.equal, merged.conflicts) == (1, 0, 2)
        assert merged.example == "the bar of 2014-05-01T00:02:00Z has open 1.002, the new one 1.502"
    assert merge(there, new, "keep").columns.close.tolist() == merge(there, new, "refuse").columns.close.tolist()  # type: ignore[union-attr]


def test_a_tick_that_differs_is_named_as_what_it_is() -> None:
    assert merge(trades([(0, 1)]), trades([(0, 2)]), "refuse").example == (
        "the trade of 2014-05-01T00:00:00Z has price 1.0, the new one 2.0"
    )
    there, new = some_quotes([0], [1.0]), some_quotes([0], [1.0], ask=np.array([9.0]))
    assert merge(there, new, "refuse").example == "the quote of 2014-05-01T00:00:00Z has ask 1.5, the new one 9.0"


def test_values_that_are_no_numbers_are_equal_to_themselves() -> None:
    rows = some_quotes([0, 1], [float("nan"), 1.0])
    assert equal_rows(rows, rows).all()
    assert merge(rows, rows, "refuse").conflicts == 0


def test_bars_that_open_together_are_told_apart_by_their_numbers() -> None:
    there = some_bars([1, 1, 2], seq=np.array([0, 1, 0]))
    new = take(there, slice(1, None))
    assert merge(there, new, "refuse").equal == 2
    more = some_bars([1, 1], seq=np.array([1, 2]), tick_count=np.array([1, 7]))
    merged = merge(there, more, "refuse").columns
    assert isinstance(merged, BarColumns)
    assert list(zip(minutes_of(merged), merged.seq.tolist(), strict=True)) == [(1, 0), (1, 1), (1, 2), (2, 0)]


def test_of_bars_with_one_key_the_first_counts() -> None:
    twice = some_bars([1, 2, 2, 3])
    assert first_of_each(twice).tick_count.tolist() == [0, 1, 3]  # type: ignore[union-attr]
    assert first_of_each(some_bars([])).tick_count.tolist() == []  # type: ignore[union-attr]
    ticks = trades([(0, 1), (0, 1)])
    assert first_of_each(ticks) is ticks


@given(TICKS, st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2)), max_size=12))
def test_ticks_that_are_appended_are_all_news(there: list[tuple[int, int]], new: list[tuple[int, int]]) -> None:
    merged = append(trades(there), trades(new))
    assert merged.added == len(new)
    assert ticks_of(merged.columns) == sorted([*there, *new], key=lambda tick: tick[0])


def test_bars_that_overlap_are_said() -> None:
    assert overlap(some_bars([1, 2, 5])) == ""
    assert overlap(some_bars([1, 1], seq=np.array([0, 1]))) == "", "they open together"
    assert overlap(some_quotes([0, 0])) == ""
    wide = some_bars([1, 2], ts_close_ns=np.array([T0 + 6 * MINUTE, T0 + 7 * MINUTE]))
    assert overlap(wide) == (
        "the bar of 2014-05-01T00:01:00Z closes at 2014-05-01T00:06:00Z, and another opens at 2014-05-01T00:02:00Z"
    )
