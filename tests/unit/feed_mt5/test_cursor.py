"""However polls are cut and however much they overlap, each tick of the terminal is taken once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.config import load_section
from barque.errors import ConfigError, VenueRefused
from barque.live_feed.source import HistoryQuery
from feed_mt5.config import FeedMt5Config
from feed_mt5.core.cursor import Cursor, Rows
from feed_mt5.core.rows import bars_of, pages_of, quotes_of, rows_of, timeframe_of, trades_of
from tests.support.builders import NS, T0

TICK = [
    ("time", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("last", "<f8"),
    ("volume", "<u8"), ("time_msc", "<i8"), ("flags", "<u4"), ("volume_real", "<f8"),
]  # fmt: skip
"""As the package documents it."""
RATE = [
    ("time", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"),
    ("tick_volume", "<u8"), ("spread", "<i4"), ("real_volume", "<u8"),
]  # fmt: skip


def ticks(*rows: tuple[int, float]) -> Rows:
    """(millisecond, bid), quotes of both sides."""
    return np.array([(ms // 1_000, bid, bid + 0.1, 0.0, 0, ms, 0x86, 0.0) for ms, bid in rows], TICK)


def told(rows: Rows) -> list[tuple[int, float]]:
    return list(zip(rows["time_msc"].tolist(), rows["bid"].tolist(), strict=True))


def test_what_comes_again_is_not_taken_again() -> None:
    cursor = Cursor(0)
    assert told(cursor.take(ticks((1_000, 1.0), (1_500, 1.1)))) == [(1_000, 1.0), (1_500, 1.1)]
    assert told(cursor.take(ticks((1_000, 1.0), (1_500, 1.1), (1_500, 1.2)))) == [(1_500, 1.2)]
    assert told(cursor.take(ticks((1_000, 1.0), (1_500, 1.1), (1_500, 1.2)))) == []


def test_of_two_equal_ticks_of_a_millisecond_both_are_taken() -> None:
    cursor = Cursor(0)
    cursor.take(ticks((1_500, 1.1)))
    assert told(cursor.take(ticks((1_500, 1.1), (1_500, 1.1)))) == [(1_500, 1.1)]


def test_a_terminal_that_sorts_a_millisecond_differently_loses_nothing() -> None:
    cursor = Cursor(0)
    cursor.take(ticks((1_500, 1.1)))
    assert told(cursor.take(ticks((1_500, 1.2), (1_500, 1.1)))) == [(1_500, 1.2)]


def test_a_new_process_passes_over_as_many_of_the_millisecond_as_were_published() -> None:
    rows = ticks((1_400, 1.0), (1_500, 1.1), (1_500, 1.2), (1_500, 1.1), (1_600, 1.3))
    assert told(Cursor(1_500, taken=2).take(rows)) == [(1_500, 1.1), (1_600, 1.3)]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1.0, 1.1])), max_size=80),
    st.lists(st.integers(1, 20), min_size=1, max_size=20),
    st.sampled_from([1, 7, 1_000]),
)
def test_polls_by_the_second_take_all_and_each_once(tape: list[tuple[int, float]], steps: list[int], grid: int) -> None:
    """The terminal has the first `known` ticks; it answers from the beginning of the cursor's second (`grid`) on."""
    rows = ticks(*sorted(tape, key=lambda row: row[0]))
    cursor, heard, known = Cursor(0), [], 0
    for step in [*steps, len(tape)]:
        known = min(known + step, len(rows))
        since = cursor.wall_ms // grid * grid
        heard += told(cursor.take(rows[:known][rows["time_msc"][:known] >= since]))
    assert heard == told(rows)


def test_quotes_and_trades_are_told_apart_by_their_flags() -> None:
    rows = np.array(
        [
            (1, 1.0, 1.1, 0.0, 0, 1_000, 0x86, 0.0),
            (1, 1.0, 1.1, 1.05, 3, 1_001, 8 | 16, 3.0),
            (1, 1.0, 1.2, 1.05, 3, 1_002, 4 | 8, 3.0),
            (1, 0.0, 1.1, 0.0, 0, 1_003, 2, 0.0),
            (1, 1.0, 1.1, 1.05, 3, 1_004, 32 | 8, 0.0),
        ],
        TICK,
    )
    utc = rows["time_msc"] * 1_000_000
    quotes, trades = rows_of("quotes", rows), rows_of("trades", rows)
    assert quotes["time_msc"].tolist() == [1_000, 1_002]
    assert trades["time_msc"].tolist() == [1_001, 1_002]
    (first, _) = quotes_of("X", quotes, utc[[0, 2]], 7)
    assert (first.bid, first.ask, first.ts_event_ns, first.ts_recv_ns) == (1.0, 1.1, 1_000_000_000, 7)
    assert [(t.price, t.size) for t in trades_of("X", trades, utc[[1, 2]], 7)] == [(1.05, 3.0), (1.05, 3.0)]


def a_query(**changes: object) -> HistoryQuery:
    base: dict[str, object] = {"symbol": "EURUSD", "kind": "bars", "from_ns": T0, "to_ns": T0 + 3_600 * NS, "price": "bid"}
    return HistoryQuery(**(base | changes))  # type: ignore[arg-type]


def test_timeframes_are_the_packages_numbers_and_others_are_refused() -> None:
    assert [timeframe_of(a_query(interval=i)) for i in ("1m", "30m", "1h", "12h", "1d", "1w")] == [
        1,
        30,
        16385,
        16396,
        16408,
        32769,
    ]
    with pytest.raises(VenueRefused, match="no bars of 7m; it has 1m"):
        timeframe_of(a_query(interval="7m"))
    with pytest.raises(VenueRefused, match="Of ask fetch quotes"):
        timeframe_of(a_query(price="ask"))


def test_a_bar_is_ours_if_it_opened_in_the_time_asked_about() -> None:
    rows = np.array([(0, 1.0, 1.3, 0.9, 1.2, 17, 2, 5), (60, 1.2, 1.2, 1.2, 1.2, 1, 2, 0)], RATE)
    opened = np.array([T0 - 60 * NS, T0], np.int64)
    (bar,) = bars_of(a_query(), rows, opened, opened + 60 * NS)
    assert (bar.ts_open_ns, bar.open, bar.tick_count, bar.volume) == (T0, 1.2, 1, 0.0)


def test_history_is_asked_for_by_hours_of_ticks() -> None:
    pages = list(pages_of(a_query(kind="quotes", from_ns=T0 + 1_800 * NS, to_ns=T0 + 9_000 * NS)))
    assert [((a - T0) // NS, (b - T0) // NS) for a, b in pages] == [(1_800, 3_600), (3_600, 7_200), (7_200, 9_000)]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"symbols": ["EURUSD"], "trades": ["SPY"]}, "'SPY' is not one of feed_mt5.symbols"),
        ({"symbols": ["EURUSD", "EURUSD"]}, "there twice"),
        ({"poll_min_s": 3.0}, "must not fall"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(section: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_section({"feed_mt5": section}, "feed_mt5", FeedMt5Config)
