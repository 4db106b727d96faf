"""Columns as messages: every value of every row, as it stands."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from barque.messages import Bar, Quote, Trade
from barque_archive.structs import event_times, in_chunks, messages_of
from tests.support.builders import MINUTE, T0
from tests.support.columns import some_bars, some_quotes, some_trades


@pytest.mark.parametrize("extra", ["volume", "tick_count", "seq", ""])
def test_bars_with_and_without_what_a_bar_has_anyway(extra: str) -> None:
    arrays = {"volume": np.zeros(2), "tick_count": np.zeros(2, np.int64), "seq": np.zeros(2, np.int64)}
    if extra:
        arrays[extra] = arrays[extra] + np.array([0, 3], arrays[extra].dtype)
    given = {"open": np.array([1.5, nan]), "high": np.array([2.5, 3.5]), "low": np.array([0.5, -1.0])}
    first, second = messages_of(some_bars([0, 7], symbol="GBPUSD", interval="5m", price="mid", **given, **arrays))
    assert first == Bar(
        symbol="GBPUSD",
        interval="5m",
        price="mid",
        ts_open_ns=T0,
        ts_close_ns=T0 + MINUTE,
        open=1.5,
        high=2.5,
        low=0.5,
        close=1.0,
    )
    assert isinstance(second, Bar)
    assert (second.ts_open_ns, second.high, second.low, second.close) == (T0 + 7 * MINUTE, 3.5, -1.0, 1.007)
    assert isnan(second.open)
    values = {name: getattr(second, name) for name in ("volume", "tick_count", "seq")}
    assert values == {"volume": 0, "tick_count": 0, "seq": 0} | ({extra: 3} if extra else {})
    assert {type(value) for value in values.values()} == {float, int}


def test_ticks_are_received_when_they_happen() -> None:
    sizes = {"bid_size": np.array([1.0]), "ask_size": np.array([2.0])}
    quotes = messages_of(some_quotes([5], bids=[1.25], **sizes))
    assert quotes == [Quote(symbol="EURUSD", ts_event_ns=T0 + 5, ts_recv_ns=T0 + 5, bid=1.25, ask=1.75, bid_size=1, ask_size=2)]
    assert messages_of(some_trades([6], prices=[1.5])) == [
        Trade(symbol="EURUSD", ts_event_ns=T0 + 6, ts_recv_ns=T0 + 6, price=1.5, size=1.0)
    ]


def test_no_rows_are_no_messages() -> None:
    assert [messages_of(columns) for columns in (some_bars([]), some_quotes([]), some_trades([]))] == [[], [], []]


def test_a_bar_happens_when_it_closes() -> None:
    assert event_times(some_bars([3])).tolist() == [T0 + 4 * MINUTE]
    assert event_times(some_trades([3])).tolist() == [T0 + 3]


def test_pieces_are_the_whole() -> None:
    pieces = list(in_chunks(some_bars(range(10)), 4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert [bar for piece in pieces for bar in messages_of(piece)] == messages_of(some_bars(range(10)))
