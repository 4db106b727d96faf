"""Bars that are not made of time, said by messages and worked out by hand; and what holds for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import isclose
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.instruments import Instrument
from barque.messages import Bar, Message, Trade
from barque.messages.market import PriceType
from tests.support.bars import bars_of, said
from tests.support.builders import MINUTE, NS, T0, a_quote, a_trade, clock

MS = 10**6


def es(**changes: Any) -> Instrument:
    """A future with a tick of 0.25 and 50 units a contract."""
    base: dict[str, Any] = {"symbol": "ES", "asset_class": "future", "currency": "USD", "tick_size": Decimal("0.25")}
    return Instrument(**(base | {"contract_size": Decimal(50), "max_spike_fraction": 100.0} | changes))


def a_node(*intervals: str, prices: tuple[PriceType, ...] = ("last",), instrument: Instrument | None = None) -> BarBuilderNode:
    bars = tuple(BarsConfig(symbols=("ES",), interval=interval, prices=prices) for interval in intervals)
    return BarBuilderNode(BarBuilderConfig(bars=bars), [instrument or es()])


def trades(*prices: float, size: float = 1.0, step_ns: int = NS) -> list[Message]:
    """Trades of one size, `step_ns` apart."""
    return [a_trade(T0 + n * step_ns, symbol="ES", price=price, size=size) for n, price in enumerate(prices)]


def ohlc(bars: Sequence[Bar]) -> list[tuple[float, ...]]:
    return [(bar.open, bar.high, bar.low, bar.close) for bar in bars]


def seconds(bars: Sequence[Bar]) -> list[tuple[float, float]]:
    return [((bar.ts_open_ns - T0) / NS, (bar.ts_close_ns - T0) / NS) for bar in bars]


# -- ticks, volume, value ------------------------------------------------------------------------------------------------


def test_a_tick_bar_ends_with_its_last_tick_and_says_so_with_it() -> None:
    node = a_node("tick:3")
    ticks = trades(10, 12, 11, 9, 8, 9, 10)
    assert bars_of(said(node, *ticks[:2])) == []
    [first] = bars_of(said(node, ticks[2]))
    assert first == Bar(
        symbol="ES",
        interval="tick:3",
        price="last",
        ts_open_ns=T0,
        ts_close_ns=T0 + 2 * NS,
        open=10,
        high=12,
        low=10,
        close=11,
        volume=3,
        tick_count=3,
        root=f"ES.{T0 + 2 * NS}",
    )
    [second] = bars_of(said(node, *ticks[3:]))
    assert (ohlc([second]), seconds([second])) == ([(9, 9, 8, 9)], [(3, 5)])


def test_a_volume_bar_ends_with_the_trade_that_fills_it_and_is_not_split() -> None:
    node = a_node("volume:100")
    sizes = [60, 30, 25, 250, 99, 1, 40]
    ticks = [a_trade(T0 + n * NS, symbol="ES", price=10 + n, size=float(size)) for n, size in enumerate(sizes)]
    bars = bars_of(said(node, *ticks))
    assert [(bar.volume, bar.tick_count) for bar in bars] == [(115, 3), (250, 1), (100, 2)], (
        "what is too much is not carried over"
    )
    assert ohlc(bars) == [(10, 12, 10, 12), (13, 13, 13, 13), (14, 15, 14, 15)]


def test_a_value_bar_counts_price_times_size_times_multiplier() -> None:
    node = a_node("value:10000")
    bars = bars_of(said(node, *trades(100, 99, 50, 49, 1, 7)))
    assert [(bar.tick_count, bar.close) for bar in bars] == [(3, 50)], "5,000 + 4,950 + 2,500, then 2,450 + 50 + 350"


def test_sums_of_decimal_sizes_reach_what_they_make_on_paper() -> None:
    node = a_node("volume:1")
    assert sum([0.1] * 10) < 1, "in floats"
    assert [bar.tick_count for bar in bars_of(said(node, *trades(*[10.0] * 20, size=0.1)))] == [10, 10]


def test_an_open_bar_is_never_closed_by_the_clock_and_a_late_tick_is_in_none() -> None:
    node = a_node("tick:3", "1m")
    [bar] = bars_of(said(node, *trades(10, 11), clock(T0 + 10 * MINUTE)))
    assert bar.interval == "1m"
    late = a_trade(T0 + NS // 2, symbol="ES", price=99, size=1.0)
    [bar] = bars_of(said(node, late, a_trade(T0 + 20 * MINUTE, symbol="ES", price=12, size=1.0)))
    assert (bar.interval, bar.tick_count, bar.high, node.counters["late"]) == ("tick:3", 3, 12, 1)


def test_bars_that_open_at_one_instant_are_numbered() -> None:
    node = a_node("tick:2")
    at = [a_trade(T0, symbol="ES", price=float(price), size=1.0) for price in range(1, 7)]
    bars = bars_of(said(node, *at, *(a_trade(T0 + NS, symbol="ES", price=9.0, size=1.0) for _ in range(4))))
    assert [(bar.ts_open_ns - T0, bar.seq) for bar in bars] == [(0, 0), (0, 1), (0, 2), (NS, 0), (NS, 1)]
    assert bars[2].id == f"ES.tick:2.last.{T0}.2"


def test_tick_bars_of_quotes_have_every_price() -> None:
    node = a_node("tick:2", prices=("ask", "mid", "bid"))
    bars = bars_of(said(node, a_quote(T0, symbol="ES", bid=10, ask=12), a_quote(T0 + 1, symbol="ES", bid=9, ask=10)))
    assert [(bar.price, *ohlc([bar])[0]) for bar in bars] == [
        ("ask", 12, 12, 10, 10),
        ("mid", 11, 11, 9.5, 9.5),
        ("bid", 10, 10, 9, 9),
    ]


# -- range ---------------------------------------------------------------------------------------------------------------


def test_a_range_bar_ends_with_the_tick_that_makes_it_whole() -> None:
    bars = bars_of(said(a_node("range:4"), *trades(10, 10.25, 9.75, 10.75, 11, 11.25, 10.25, 10.5)))
    assert (ohlc(bars), seconds(bars)) == ([(10, 10.75, 9.75, 10.75), (11, 11.25, 10.25, 10.25)], [(0, 3), (4, 6)])


def test_a_jump_ends_a_range_bar_before_itself_and_leaves_a_gap() -> None:
    bars = bars_of(said(a_node("range:4"), *trades(10, 10.5, 20, 20.5, 15, 14)))
    assert (ohlc(bars), seconds(bars)) == (
        [(10, 10.5, 10, 10.5), (20, 20.5, 20, 20.5), (15, 15, 14, 14)],
        [(0, 2), (2, 4), (4, 5)],
    )
    assert [bar.tick_count for bar in bars] == [2, 2, 2]
    assert [bar.root for bar in bars] == [f"ES.{T0 + n * NS}" for n in (2, 4, 5)], "the jump is the cause, not a part"


# -- renko ---------------------------------------------------------------------------------------------------------------


def test_a_brick_needs_a_whole_brick_of_movement_between_its_lines() -> None:
    node = a_node("renko:4")
    assert bars_of(said(node, *trades(10.25, 11.75, 9.25, 10))) == [], "10.25 lies between the lines at 10 and 11"
    bars = bars_of(said(a_node("renko:4"), *trades(10.25, 11.75, 12, 12.75, 13)))
    assert (ohlc(bars), seconds(bars)) == ([(11, 12, 11, 12), (12, 13, 12, 13)], [(0, 2), (3, 4)])
    assert [bar.tick_count for bar in bars] == [3, 2]


def test_a_first_price_on_a_line_needs_one_brick_either_way() -> None:
    assert ohlc(bars_of(said(a_node("renko:4"), *trades(10, 10.75, 11)))) == [(10, 11, 10, 11)]
    assert ohlc(bars_of(said(a_node("renko:4"), *trades(10, 9.25, 9)))) == [(10, 10, 9, 9)]


def test_turning_round_takes_two_bricks() -> None:
    bars = bars_of(said(a_node("renko:4"), *trades(10, 11, 12, 11, 10.25, 10, 9.25, 9, 10.75, 11)))
    assert ohlc(bars) == [(10, 11, 10, 11), (11, 12, 11, 12), (11, 11, 10, 10), (10, 10, 9, 9), (10, 11, 10, 11)]
    assert seconds(bars) == [(0, 1), (2, 2), (3, 5), (6, 7), (8, 9)]


def test_a_jump_over_several_bricks_makes_them_all_and_the_first_has_the_ticks() -> None:
    jump = trades(10, 10.5, 13.25)
    bars = bars_of(said(a_node("renko:4"), *jump, a_trade(T0 + 2 * NS, symbol="ES", price=9.0, size=7.0)))
    up, down = bars[:3], bars[3:]
    assert ohlc(up) == [(10, 11, 10, 11), (11, 12, 11, 12), (12, 13, 12, 13)]
    assert ohlc(down) == [(12, 12, 11, 11), (11, 11, 10, 10), (10, 10, 9, 9)]
    assert [(bar.volume, bar.tick_count) for bar in bars] == [(3, 3), (0, 0), (0, 0), (7, 1), (0, 0), (0, 0)]
    assert seconds(bars) == [(0, 2), *[(2, 2)] * 5]
    assert [bar.seq for bar in bars] == [0, 0, 1, 2, 3, 4]
    assert {bar.root for bar in bars} == {f"ES.{T0 + 2 * NS}"}


def test_a_jump_over_more_than_a_thousand_bricks_makes_none_and_is_counted() -> None:
    node = a_node("renko:1")
    bars = bars_of(said(node, *trades(10, 10.25, 1_000, 1_000.25)))
    assert ohlc(bars) == [(10, 10.25, 10, 10.25), (1_000, 1_000.25, 1_000, 1_000.25)]
    assert ([bar.tick_count for bar in bars], node.counters["renko_restarts"]) == ([2, 2], 1)
    bars = bars_of(said(a_node("renko:1"), *trades(10, 260)))
    assert (len(bars), bars[-1].close) == (1_000, 260), "a thousand are still bricks"


def test_bricks_have_exact_prices_however_many_there_were() -> None:
    instrument = es(tick_size=Decimal("0.00001"))
    ticks = trades(*(1.38 + n * 0.0001 for n in range(200)))
    bars = bars_of(said(a_node("renko:10", instrument=instrument), *ticks))
    assert [bar.close for bar in bars] == [float(f"1.{38_000 + 10 * n:05d}") for n in range(1, len(bars) + 1)]
    assert len(bars) == 199


# -- for all of them -----------------------------------------------------------------------------------------------------

KINDS = ("tick:1", "tick:7", "volume:20", "value:30000", "range:1", "range:5", "renko:1", "renko:3")
runs_of_trades = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 5, 1_000]), st.integers(-9, 9), st.integers(0, 30), st.booleans()), max_size=120
)


def recording(steps: list[tuple[int, int, int, bool]]) -> list[Trade]:
    """A walk in quarters; some steps are jumps."""
    at, quarters, ticks = T0, 4_000, []
    for wait_ms, move, size, jumps in steps:
        at += wait_ms * MS
        quarters = max(40, quarters + (move * 8 if jumps else move))
        ticks.append(a_trade(at, symbol="ES", price=quarters / 4, size=float(size)))
    return ticks


@given(runs_of_trades, st.sampled_from(KINDS))
def test_bars_follow_one_another_and_nothing_is_lost(steps: list[tuple[int, int, int, bool]], kind: str) -> None:
    ticks = recording(steps)
    bars = bars_of(said(a_node(kind), *ticks))
    for before, after in pairwise(bars):
        assert before.ts_close_ns <= after.ts_open_ns
        assert (before.ts_open_ns, before.seq) < (after.ts_open_ns, after.seq)
    assert len({bar.id for bar in bars}) == len(bars)
    counted = sum(bar.tick_count for bar in bars)
    inside = ticks[:counted]
    assert sum(bar.volume for bar in bars) == sum(tick.size for tick in inside)
    if not kind.startswith("renko"):
        start = 0
        for bar in bars:
            part = ticks[start : start + bar.tick_count]
            prices = [tick.price for tick in part]
            assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
            assert bar.ts_open_ns == part[0].ts_event_ns
            start += bar.tick_count


@given(runs_of_trades, st.integers(1, 12))
def test_a_range_bar_is_never_wider_than_its_size_and_ends_at_an_end_unless_a_jump_cut_it(
    steps: list[tuple[int, int, int, bool]], size: int
) -> None:
    ticks = recording(steps)
    bars = bars_of(said(a_node(f"range:{size}"), *ticks))
    seen = 0
    for bar in bars:
        seen += bar.tick_count
        width = (bar.high - bar.low) * 4
        assert width <= size
        if width == size:
            assert bar.close in (bar.high, bar.low)
        else:
            jump = ticks[seen].price
            assert max(bar.high, jump) - min(bar.low, jump) > size / 4


@given(runs_of_trades, st.integers(1, 12))
def test_bricks_chain_are_of_one_height_and_turn_only_over_two(steps: list[tuple[int, int, int, bool]], size: int) -> None:
    bars = bars_of(said(a_node(f"renko:{size}"), *recording(steps)))
    height = size / 4
    for bar in bars:
        assert {bar.open, bar.close} == {bar.high, bar.low}
        assert isclose(bar.high - bar.low, height)
        assert (bar.low / height).is_integer()
    for before, after in pairwise(bars):
        goes_on = (after.close > after.open) == (before.close > before.open)
        assert after.open == (before.close if goes_on else before.open)


@given(runs_of_trades, st.integers(0, 120))
def test_a_restart_in_the_middle_changes_nothing(steps: list[tuple[int, int, int, bool]], cut: int) -> None:
    ticks = recording(steps)
    steady, first, second = a_node(*KINDS, "1s"), a_node(*KINDS, "1s"), a_node(*KINDS, "1s")
    before = said(first, *ticks[:cut])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert repr(before + said(second, *ticks[cut:])) == repr(said(steady, *ticks))
    assert second.snapshot() == steady.snapshot()


@given(runs_of_trades.filter(lambda steps: len(steps) < 40))
def test_a_restart_after_every_message_changes_nothing(steps: list[tuple[int, int, int, bool]]) -> None:
    steady, restless = a_node(*KINDS, "1s"), a_node(*KINDS, "1s")
    for tick in recording(steps):
        assert repr(said(restless, tick)) == repr(said(steady, tick))
        restless.restore(restless.snapshot())
    assert restless.snapshot() == steady.snapshot()
