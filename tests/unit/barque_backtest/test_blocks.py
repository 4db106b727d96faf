"""The second pass over the data: nothing lost, nothing doubled, blocks in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Mark
from barque_archive.columns import MarketColumns, QuoteColumns, key_ns, series_of, take
from barque_archive.series import Series
from barque_archive.structs import event_times, quotes_of
from barque_backtest import blocks as module
from barque_backtest.blocks import blocks
from barque_backtest.feeding import Span
from tests.support.builders import MINUTE, T0, eurusd
from tests.support.runs import STOCK, bars


class Pieces:
    """Columns in pieces of so many rows, the series side by side."""

    def __init__(self, columns: Sequence[MarketColumns], size: int) -> None:
        self.series: Sequence[Series] = tuple(series_of(each) for each in columns)
        self._columns, self._size = columns, size

    def __iter__(self) -> Iterator[MarketColumns]:
        for low in range(0, max(map(len, self._columns)), self._size):
            yield from (take(each, slice(low, low + self._size)) for each in self._columns if low < len(each))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 7), st.integers(1, 7), st.integers(0, 45), st.integers(0, 45))
def test_every_row_of_the_span_comes_once_and_blocks_follow_one_another(
    long: int, short: int, size_a: int, size_b: int, low: int, high: int
) -> None:
    ours = [bars(list(range(1, long + 1))), bars(list(range(1, long + 1)), symbol="B", start_ns=T0 + 30)]
    theirs = [bars(list(range(1, short + 1)), symbol="C", step_ns=3 * MINUTE, interval="3m")]
    span = Span(from_ns=T0 + low * MINUTE, to_ns=T0 + high * MINUTE)
    found: dict[str, list[int]] = {"ACME": [], "B": [], "C": []}
    before = 0
    for block in blocks([Pieces(ours, size_a), Pieces(theirs, size_b)], span, [STOCK]):
        times = np.concatenate([event_times(columns) for columns in block])
        assert times.min() > before
        before = times.max()
        for columns in block:
            found[columns.symbol] += key_ns(columns).tolist()
    for columns in (*ours, *theirs):
        keys = key_ns(columns)
        assert found[columns.symbol] == keys[(keys >= span.from_ns) & (keys < span.to_ns)].tolist()


def test_a_source_that_ends_early_does_not_hold_the_others_in_memory() -> None:
    sources = [Pieces([bars([1.0] * 1000)], 5), Pieces([bars([1.0], symbol="B")], 5)]
    sizes = [sum(map(len, block)) for block in blocks(sources, Span(), [STOCK])]
    assert sum(sizes) == 1001
    assert max(sizes) <= 15


def test_rows_that_no_node_would_take_are_left_out() -> None:
    columns = bars([1.0, 2.0, float("nan"), -4.0, 5.0])
    columns.ts_close_ns[1] = T0 + 1  # late: older than the one before
    (block,) = blocks([Pieces([columns], 5)], Span(), [STOCK])
    assert block[0].close.tolist() == [1.0, 5.0]


@example([1.1, 1.5, 1.5, 1.1, 1.1, 1.1, 1.1, *[1.5] * 6], 3)  # a new level needs five in a row
@given(st.lists(st.sampled_from([1.10, 1.11, 1.50, 1.51, 0.70, 3.0]), min_size=1, max_size=30), st.integers(1, 9))
def test_spikes_are_those_that_the_bar_builder_quarantines(middles: list[float], size: int) -> None:
    middle = np.array(middles)
    times = T0 + MINUTE * np.arange(len(middle), dtype=np.int64)
    quotes = QuoteColumns(
        symbol="EURUSD",
        ts_event_ns=times,
        bid=middle,
        ask=middle + np.where(np.arange(len(middle)) % 7 == 6, -0.01, 0.01),  # some are crossed
        bid_size=np.zeros(len(middle)),
        ask_size=np.zeros(len(middle)),
    )
    node = BarBuilderNode(BarBuilderConfig(mark_interval_ms=1), (eurusd(),))
    said = [message for quote in quotes_of(quotes) for _, message in node.handle(quote)]
    expected = [mark.ts_event_ns for mark in said if type(mark) is Mark]
    found = [ns for block in blocks([Pieces([quotes], size)], Span(), [eurusd()]) for part in block for ns in event_times(part)]
    assert found == expected
