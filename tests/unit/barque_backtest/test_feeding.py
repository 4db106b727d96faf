"""Recorded data as the one sequence of instants that a replay publishes: its order, its ends, how far is read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barque.bus.stretch import Stretch
from barque.errors import InvariantError
from barque.messages import Message, Topic
from barque_archive.columns import BarColumns, MarketColumns
from barque_archive.series import Series
from barque_backtest.feeding import FOREVER_NS, Feeding, Past, Span
from feed_replay.core.steps import merge
from tests.support.backtests import ColumnsSource, damaged, quotes, shifted, trades, walk
from tests.support.builders import MINUTE, NS, T0
from tests.support.columns import some_bars, some_quotes


def instants(stretches: Sequence[Stretch] | Feeding) -> list[tuple[int, list[Message]]]:
    return [(at_ns, list(rows)) for stretch in stretches for at_ns, rows, _ in stretch]


def crooked(*sources: Any) -> list[int]:
    """Seconds since `T0` of the instants that are to be played in full."""
    return [(at_ns - T0) // NS for stretch in Feeding(sources) for at_ns, _, slots in stretch if not slots]


@st.composite
def some_sources(draw: st.DrawFn) -> list[ColumnsSource]:
    """Up to four sources, of which some have faults."""
    found = []
    for number in range(draw(st.integers(0, 4))):
        rows, seed = draw(st.integers(1, 60)), draw(st.integers(0, 99))
        symbol, share = f"SYM{number // 2}", draw(st.sampled_from([0.0, 0.2]))
        kind, size = draw(st.sampled_from(["last", "bid", "ask", "pair", "quotes", "trades"])), draw(st.sampled_from([1, 7, 100]))
        if kind == "pair":
            bid = damaged(walk(rows, seed, symbol, "bid"), seed, share)
            found.append(ColumnsSource(bid, shifted(bid, "ask", 2), rows=size))
        elif kind in ("quotes", "trades"):
            make = quotes if kind == "quotes" else trades
            found.append(ColumnsSource(damaged(make(rows, seed, symbol, 30 * NS), seed, share), rows=size))
        else:
            found.append(ColumnsSource(damaged(walk(rows, seed, symbol, kind), seed, share), rows=size))
    return found


@settings(deadline=None, max_examples=60)
@given(some_sources())
def test_instants_are_the_steps_of_a_replay(sources: list[ColumnsSource]) -> None:
    expected = [(at_ns, messages) for at_ns, messages in merge([source.as_rows() for source in sources])]
    found = instants(Feeding(sources))
    assert repr(found) == repr(expected)  # by text, because NaN equals nothing


def test_stretches_are_no_longer_than_a_chunk_and_read_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barque_backtest.feeding.CHUNK_ROWS", 100)
    read: list[int] = []

    class Counted(ColumnsSource):
        def __iter__(self) -> Iterator[MarketColumns]:
            for columns in super().__iter__():
                read.append(len(columns))
                yield columns

    feeding = Feeding([Counted(walk(10_000, 1), rows=250), Counted(walk(10_000, 2, "GBPUSD"), rows=250)])
    stretches = list(islice(feeding, 3))
    assert [len(stretch.rows) for stretch in stretches] == [200, 200, 98]  # the last minute of the chunk may go on in the next
    assert sum(read) == 500
    assert sum(len(stretch.rows) for stretch in feeding) == 20_000 - 498


def test_a_bar_belongs_to_the_span_in_which_it_opens_and_what_came_before_is_history() -> None:
    source = ColumnsSource(some_bars(range(10)), rows=3)
    feeding = Feeding([source], Span(from_ns=T0 + 4 * MINUTE, to_ns=T0 + 7 * MINUTE), Past(bars=2))
    history = feeding.history()
    assert [(bar.ts_open_ns - T0) // MINUTE for bar in history] == [2, 3]
    assert feeding.begins_ns() == T0 + 5 * MINUTE
    assert [(at_ns - T0) // MINUTE for at_ns, _ in instants(feeding)] == [5, 6, 7]
    assert (feeding.bars, feeding.first_ns, feeding.last_ns) == (3, T0 + 5 * MINUTE, T0 + 7 * MINUTE)


@pytest.mark.parametrize("past", [Past(bars=2), Past(days=4 / 24)])
def test_a_bar_that_is_under_way_as_the_span_begins_is_no_history_while_something_is_heard_before_it_closes(past: Past) -> None:
    """From half past three on: the hour from three is over at four, thirty minute bars too late."""
    hours = walk(6, 1, interval="1h")
    opens = T0 + np.arange(6) * 60 * MINUTE
    hours = replace(hours, ts_open_ns=opens, ts_close_ns=opens + 60 * MINUTE)
    span = Span(from_ns=T0 + 210 * MINUTE)

    def hours_of(*sources: ColumnsSource) -> list[int]:
        history = Feeding(sources, span, past).history()
        return [(bar.ts_open_ns - T0) // (60 * MINUTE) for bar in history if bar.interval == "1h"][-2:]

    assert hours_of(ColumnsSource(hours), ColumnsSource(walk(300, 2))) == [1, 2]
    assert hours_of(ColumnsSource(hours)) == [2, 3]


def test_history_of_days_is_what_closed_in_them() -> None:
    source = ColumnsSource(some_bars(range(0, 4_320, 60)), rows=10)
    feeding = Feeding([source], Span(from_ns=T0 + 2 * 1_440 * MINUTE), Past(days=1.0))
    history = feeding.history()
    assert (len(history), (history[0].ts_open_ns - T0) // MINUTE, (history[-1].ts_open_ns - T0) // MINUTE) == (24, 1_440, 2_820)


def test_history_that_nobody_wants_is_not_kept_and_ticks_have_none() -> None:
    span = Span(from_ns=T0 + 5 * MINUTE)
    assert Feeding([ColumnsSource(some_bars(range(10)))], span).history() == []
    ticks = Feeding([ColumnsSource(some_quotes([n * MINUTE for n in range(10)]))], span, Past(bars=5))
    assert ticks.history() == []
    assert [(at_ns - T0) // MINUTE for at_ns, _ in instants(ticks)] == [5, 6, 7, 8, 9]


def test_no_data_is_no_instant() -> None:
    empty = Feeding([ColumnsSource(some_bars([]))])
    assert (empty.history(), empty.begins_ns(), list(empty), empty.first_ns) == ([], FOREVER_NS, [], 0)
    assert list(Feeding([])) == []


def test_a_source_that_gives_another_series_than_it_says_is_our_bug() -> None:
    source = ColumnsSource(some_bars(range(3)))
    source.series = (Series("GBPUSD", "bars", "1m", "bid"),)
    with pytest.raises(InvariantError, match="gave EURUSD bars 1m bid"):
        list(Feeding([source]))


def test_sound_bars_one_after_another_may_be_held_back() -> None:
    assert crooked(ColumnsSource(some_bars(range(5)))) == []
    assert crooked(ColumnsSource(some_bars(range(5)), some_bars(range(5), price="ask"))) == []
    assert crooked(ColumnsSource(some_quotes([0, 0, 1, 5, 5]))) == []


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("price", [float("nan"), 0.0, -1.0, float("inf"), 1e12])
def test_a_bar_with_a_price_that_is_none_is_played_in_full(name: str, price: float) -> None:
    bars = some_bars(range(4))
    prices = getattr(bars, name).copy()
    prices[1] = price
    columns = {n: getattr(bars, n) for n in BarColumns.__slots__}
    assert crooked(ColumnsSource(BarColumns(**(columns | {name: prices})))) == [120]


def test_an_instant_that_lacks_a_series_of_a_symbol_is_played_in_full() -> None:
    bid, ask = some_bars([0, 1, 2, 4]), some_bars([0, 2, 3, 4], price="ask")
    assert crooked(ColumnsSource(bid), ColumnsSource(ask)) == [120, 240]
    assert crooked(ColumnsSource(bid), ColumnsSource(some_bars([0, 2], symbol="GBPUSD"))) == []


def test_a_second_row_of_a_bar_a_late_one_and_one_too_soon_are_played_in_full() -> None:
    assert crooked(ColumnsSource(some_bars([0, 1, 1, 2]))) == [120]
    assert crooked(ColumnsSource(some_bars([0, 2, 1, 3]))) == [180]
    soon = some_bars([0, 1, 2])
    columns = {n: getattr(soon, n) for n in BarColumns.__slots__}
    closes = np.array([60, 61, 120], np.int64) * NS + T0
    closes[1] -= 1
    assert crooked(ColumnsSource(BarColumns(**(columns | {"ts_close_ns": closes})))) == [60]


def test_a_late_tick_and_one_without_a_price_are_played_in_full() -> None:
    assert crooked(ColumnsSource(some_quotes([0, 2 * NS, NS, 3 * NS]))) == [2]
    assert crooked(ColumnsSource(some_quotes([0, NS, 2 * NS], bids=[1.0, float("nan"), 1.0]))) == [1]


def test_bars_among_ticks_are_played_in_full() -> None:
    ticks = some_quotes([NS * n for n in range(50, 70)])
    assert crooked(ColumnsSource(ticks), ColumnsSource(some_bars([0], symbol="GBPUSD"))) == [60]
    assert crooked(ColumnsSource(ticks), ColumnsSource(some_bars([0]))) == list(range(50, 70))
    mixed = Feeding([ColumnsSource(ticks), ColumnsSource(some_bars([0], symbol="GBPUSD"))])
    assert {stretch.topic for stretch in mixed} == {Topic.TICKS}
