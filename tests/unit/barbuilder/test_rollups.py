"""Longer bars made of shorter ones: the same numbers as from ticks, at the same instant, whatever is late or missing."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, Message, Quote, Topic, time_of
from barque.messages.market import PriceType
from tests.support.bars import bars_of, in_lockstep, marks_of, ns, said, values
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, clock, eurusd, usdjpy
from tests.support.data import data_file

HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE


def spec(interval: str, source: str = "", prices: tuple[PriceType, ...] = ("bid",), **more: Any) -> BarsConfig:
    return BarsConfig(symbols=("EURUSD",), interval=interval, prices=prices, source=source, **more)


def a_node(*specs: BarsConfig, **config: Any) -> BarBuilderNode:
    return BarBuilderNode(BarBuilderConfig(bars=specs, **config), [eurusd(max_spike_fraction=100.0)])


def minute(number: float, interval: str = "1m", **changes: Any) -> Bar:
    """The EURUSD bid bar of a minute after T0, with prices that tell it from others."""
    base = {
        "open": 10.0 + number,
        "high": 12.0 + number,
        "low": 9.0 + number,
        "close": 11.0 + number,
        "volume": 5.0,
        "tick_count": 3,
    }
    at = T0 + round(number * MINUTE)
    return a_bar(at, interval=interval, **(base | changes))


def fed(node: BarBuilderNode, bars: Iterable[Bar], until: int = 0) -> list[Message]:
    """What the node says in lockstep to a feed that publishes each bar when it ends."""
    ordered = sorted(bars, key=time_of)
    instants: list[Sequence[Message]] = [list(group) for _, group in groupby(ordered, key=time_of)]
    return in_lockstep(node, instants, until)


def intervals(bars: Sequence[Bar]) -> list[tuple[str, float]]:
    return [(bar.interval, (bar.ts_open_ns - T0) / MINUTE) for bar in bars]


# -- equal to bars of ticks ----------------------------------------------------------------------------------------------

SIDES: tuple[PriceType, ...] = ("bid", "ask", "mid")
LONGER = ("5m", "15m", "1h", "4h", "1d")


def vendor_ticks(day: str) -> list[Quote]:
    with gzip.open(data_file(f"eurusd-oanda-ticks-{day}.csv.gz"), "rt", newline="") as file:
        rows = [(ns(row["timestamp"]), float(row["bid"]), float(row["ask"])) for row in csv.DictReader(file)]
    return [Quote(symbol="EURUSD", ts_event_ns=at, ts_recv_ns=at, bid=bid, ask=ask) for at, bid, ask in rows]


@pytest.mark.parametrize("day", ["2014-05-01", "2014-05-02"])
def test_m5_from_m1_equals_m5_from_ticks_and_so_do_all_longer_bars(day: str) -> None:
    ticks = vendor_ticks(day)
    end = clock(ticks[-1].ts_event_ns + 2 * DAY)
    direct = bars_of(said(a_node(spec("1m", prices=SIDES), *(spec(each, "ticks", SIDES) for each in LONGER)), *ticks, end))
    short = [bar for bar in direct if bar.interval == "1m"]
    wanted = {
        (each, side): [values(b) for b in direct if (b.interval, b.price) == (each, side)] for each in LONGER for side in SIDES
    }
    assert min(map(len, wanted.values())) >= 1
    assert len(wanted["5m", "bid"]) > 250
    for name, node, messages in (
        ("ours, by name", a_node(spec("1m", prices=SIDES), *(spec(each, "1m", SIDES) for each in LONGER)), ticks),
        (
            "ours, one from another",
            a_node(*(spec(a, b, SIDES) for a, b in zip(("1m", *LONGER), ("", "1m", *LONGER), strict=False))),
            ticks,
        ),
        ("a feed of bars", a_node(*(spec(each, prices=SIDES) for each in LONGER)), short),
    ):
        found = [bar for bar in bars_of(said(node, *messages, end)) if bar.interval != "1m"]
        assert {key: [values(bar) for bar in found if (bar.interval, bar.price) == key] for key in wanted} == wanted, name


def test_the_vendors_own_bars_make_the_longer_bars_of_its_ticks() -> None:
    ticks = vendor_ticks("2014-05-01")
    with gzip.open(data_file("eurusd-oanda-m1-2014-05-01.csv.gz"), "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    vendors = [
        a_bar(
            ns(row["timestamp"]),
            price=side,
            tick_count=0,
            **{part: float(row[f"{side}_{part}"]) for part in ("open", "high", "low", "close")},
        )
        for row in rows
        for side in ("bid", "ask")
    ]
    end = clock(ticks[-1].ts_event_ns + 2 * DAY)
    direct = bars_of(said(a_node(spec("1h", "ticks", ("bid", "ask"))), *ticks, end))
    found = bars_of(said(a_node(spec("1h", prices=("bid", "ask"))), *vendors, end))
    assert len(found) == 48
    key = lambda bar: (bar.price, bar.ts_open_ns, bar.open, bar.high, bar.low, bar.close)  # noqa: E731
    assert sorted(map(key, found)) == sorted(map(key, direct))


trades = st.lists(
    st.tuples(st.sampled_from([0, 1, 700, 2_500, 9_000, 61_000]), st.integers(90, 110), st.integers(0, 50)), max_size=80
)


@given(
    trades,
    st.sampled_from([("5s", "1m", "3m"), ("10s", "30s", "1h"), ("1m", "7m", "1w")]),
    st.sampled_from(["utc", "Asia/Kathmandu"]),
)
def test_bars_of_bars_are_bars_of_ticks(steps: list[tuple[int, int, int]], lengths: tuple[str, str, str], anchor: str) -> None:
    at, ticks = T0 + 7 * NS, []
    for wait_ms, price, size in steps:
        at += wait_ms * 10**6
        ticks.append(a_trade(at, price=float(price), size=float(size)))
    short, *longer = lengths
    end = clock(at + 15 * DAY)
    last: tuple[PriceType, ...] = ("last",)
    straight = bars_of(said(a_node(*(spec(each, "ticks", last, anchor=anchor) for each in lengths)), *ticks, end))
    chain = a_node(spec(short, "ticks", last, anchor=anchor), *(spec(each, short, last, anchor=anchor) for each in longer))
    chained = bars_of(said(chain, *ticks, end))
    by_series = lambda bars: {each: [values(bar) for bar in bars if bar.interval == each] for each in lengths}  # noqa: E731
    assert by_series(chained) == by_series(straight)
    heard = bars_of(
        fed(
            a_node(*(spec(each, "", last, anchor=anchor) for each in longer)),
            [b for b in straight if b.interval == short],
            end.now_ns,
        )
    )
    assert by_series(heard) == by_series(straight) | {short: []}
    assert chain.counters["late_bars"] == chain.counters["refused_bars"] == 0


# -- when --------------------------------------------------------------------------------------------------------------


def test_the_last_minute_completes_five_at_the_same_instant() -> None:
    node = a_node(spec("5m"))
    assert bars_of(said(node, *(minute(n) for n in range(4)))) == []
    last = minute(4)
    [five] = bars_of(said(node, last))
    assert five == a_bar(
        T0, 5 * MINUTE, interval="5m", open=10.0, high=16.0, low=9.0, close=15.0, volume=25.0, tick_count=15, root=last.id
    )
    assert time_of(five) == time_of(last)


def test_where_the_last_minute_is_missing_the_clock_closes_five_after_its_grace() -> None:
    node = a_node(spec("5m"), bar_grace_ms=3_000)
    said(node, *(minute(n) for n in range(3)), clock(T0 + 5 * MINUTE))
    assert bars_of(said(node, clock(T0 + 5 * MINUTE + 3 * NS))) == [], "a bar of that very instant comes after the clock"
    [five] = bars_of(said(node, clock(T0 + 5 * MINUTE + 3 * NS + 1)))
    assert (five.close, five.tick_count, five.root) == (13.0, 9, "")


def test_where_the_last_minute_is_missing_the_next_one_closes_five() -> None:
    after = minute(6)
    [five] = bars_of(said(a_node(spec("5m")), minute(0), after))
    assert (values(five)[:2], five.tick_count, five.root) == ((T0, T0 + 5 * MINUTE), 3, after.id)


def test_a_last_minute_within_the_grace_still_counts_and_a_later_one_is_late() -> None:
    node = a_node(spec("5m"))
    said(node, minute(0), clock(T0 + 5 * MINUTE + NS))
    [five] = bars_of(said(node, minute(4)))
    assert five.tick_count == 6
    node = a_node(spec("5m"))
    [five] = bars_of(said(node, minute(0), clock(T0 + 5 * MINUTE + 4 * NS), minute(4)))
    assert (five.tick_count, node.counters["late_bars"]) == (3, 1)


def test_the_grace_is_never_shorter_than_that_of_ticks() -> None:
    node = a_node(spec("1m", "ticks"), spec("5m", "1m"), grace_ms=900, bar_grace_ms=0)
    first, last = (a_quote(T0 + n * MINUTE, bid=1.0 + n, ask=2.0 + n) for n in (0, 4))
    assert intervals(bars_of(said(node, first, last, clock(T0 + 5 * MINUTE + NS // 2)))) == [("1m", 0)]
    outputs = bars_of(said(node, clock(T0 + 5 * MINUTE + NS)))
    assert (intervals(outputs), outputs[1].close) == ([("1m", 4), ("5m", 0)], 5.0)


def test_the_clock_closes_shorter_bars_first_so_that_longer_ones_have_them() -> None:
    node = a_node(spec("1h", "5m"), spec("5m", "1m"))
    said(node, *(minute(n) for n in (50, 51, 55)))
    bars = bars_of(said(node, clock(T0 + 2 * HOUR)))
    assert intervals(bars) == [("5m", 55), ("1h", 0)]
    assert bars[1].tick_count == 9


def test_a_bar_that_repeats_or_overlaps_is_late() -> None:
    node = a_node(spec("5m"))
    said(node, minute(0), minute(1), minute(1), minute(0), minute(0.5))
    [five] = bars_of(said(node, minute(4)))
    assert (five.tick_count, node.counters["late_bars"]) == (9, 3)


@pytest.mark.parametrize(
    "broken", [{"high": 1.0}, {"low": 99.0}, {"open": float("nan")}, {"volume": -1.0}, {"close": 0.0}, {"ts_close_ns": T0}]
)
def test_a_bar_that_no_ticks_can_make_is_part_of_nothing(broken: dict[str, Any]) -> None:
    node = a_node(spec("5m"))
    assert said(node, minute(0, **broken)) == []
    assert node.counters["refused_bars"] == 1


def test_a_bar_across_the_end_of_a_day_is_part_of_nothing() -> None:
    node = a_node(spec("1d", anchor="Asia/Kathmandu"))
    across = a_bar(ns("2014-05-01T18:00"), HOUR, interval="1h")
    said(node, across)
    assert node.counters["refused_bars"] == 1, "midnight in Nepal is 18:15 UTC"


# -- of what -------------------------------------------------------------------------------------------------------------


def test_bars_of_other_prices_and_lengths_that_do_not_divide_are_not_used() -> None:
    node = a_node(spec("5m"))
    said(
        node,
        *(minute(n, price="ask") for n in range(5)),
        *(a_bar(T0 + n * 2 * MINUTE, 2 * MINUTE, interval="2m") for n in range(3)),
    )
    assert bars_of(said(node, clock(T0 + HOUR))) == []


def test_of_several_lengths_the_first_heard_serves_until_a_shorter_one_finds_no_bar_open() -> None:
    node = a_node(spec("1h"))
    fives = [minute(n, "5m", ts_close_ns=T0 + (n + 5) * MINUTE) for n in range(0, 125, 5)]
    ones = [minute(n) for n in range(30, 120)]
    found = [bar for bar in bars_of(fed(node, [*fives, *ones])) if bar.interval == "1h"]
    assert [bar.tick_count for bar in found] == [36, 180], "twelve of five minutes, then sixty of one"


def test_what_the_feed_brings_itself_is_not_made_again() -> None:
    node = a_node(spec("1m"), spec("5m"), spec("1h"))
    feed = [minute(n) for n in range(180)] + [minute(n, "5m", ts_close_ns=T0 + (n + 5) * MINUTE) for n in range(0, 180, 5)]
    made = bars_of(fed(node, feed))
    assert intervals(made) == [("5m", 0), ("1h", 0), ("1h", 60), ("1h", 120)], "one may be there twice before it is noticed"
    assert {bar.tick_count for bar in made[1:]} == {180}


def test_its_own_bars_coming_back_change_nothing() -> None:
    node = a_node(spec("5m"), spec("15m", "5m"), spec("1h"))
    made = bars_of(fed(node, [minute(n) for n in range(120)]))
    assert [sum(bar.interval == each for bar in made) for each in ("5m", "15m", "1h")] == [24, 8, 2]
    assert {bar.tick_count for bar in made} == {15, 45, 180}


def test_bars_of_ticks_that_come_back_are_not_heard_as_late() -> None:
    node = a_node(spec("1m"), spec("5m", "1m"))
    ticks = [[a_quote(T0 + n * 20 * NS, bid=1.0 + n, ask=2.0 + n)] for n in range(40)]
    made = bars_of(in_lockstep(node, ticks, T0 + HOUR))
    assert [sum(bar.interval == each for bar in made) for each in ("1m", "5m")] == [14, 3]
    assert (node.counters["late_bars"], node.counters["refused_bars"]) == (0, 0)


def test_the_mark_of_an_instant_comes_after_its_bars() -> None:
    outputs = said(a_node(spec("5m")), *(minute(n) for n in range(5)))
    assert [type(output) for output in outputs[-2:]] == [Bar, type(marks_of(outputs)[0])]


def test_a_symbol_with_ticks_makes_bars_of_them_and_of_no_bars_unless_they_are_named() -> None:
    node = a_node(spec("5m"), spec("1h", "15m"))
    said(node, a_quote(T0 + 100 * DAY, bid=1.0, ask=1.1))
    quarters = [a_bar(T0 + n * 15 * MINUTE, 15 * MINUTE, interval="15m") for n in range(4)]
    assert intervals(bars_of(said(node, *(minute(n) for n in range(60)), *quarters))) == [("1h", 0)]


def test_ticks_take_over_from_bars_in_the_middle_of_a_bar() -> None:
    node = a_node(spec("5m", prices=("bid", "ask")))
    said(node, *(minute(n, price=side) for n in range(7) for side in ("bid", "ask")))
    outputs = said(node, a_quote(T0 + 8 * MINUTE, bid=30.0, ask=31.0), a_quote(T0 + 9 * MINUTE, bid=20.0, ask=21.0))
    assert bars_of(outputs) == []
    bid, ask = bars_of(said(node, clock(T0 + 11 * MINUTE)))
    assert values(bid)[:6] == (T0 + 5 * MINUTE, T0 + 10 * MINUTE, 15.0, 30.0, 14.0, 20.0)
    assert values(ask)[2:6] == (15.0, 31.0, 14.0, 21.0)
    assert (bid.tick_count, ask.tick_count) == (8, 8), "six of two minutes, and two"
    assert bars_of(said(node, clock(T0 + DAY))) == []


def test_a_first_tick_in_a_bar_that_is_published_is_late_and_one_in_a_later_bar_closes_the_open_one() -> None:
    node = a_node(spec("5m"))
    assert intervals(bars_of(said(node, *(minute(n) for n in range(5)), a_quote(T0 + 4 * MINUTE, bid=1.0, ask=1.1)))) == [
        ("5m", 0)
    ]
    assert node.counters["late"] == 1
    assert bars_of(said(node, clock(T0 + DAY))) == []
    node = a_node(spec("5m"))
    tick = a_quote(T0 + 21 * MINUTE, bid=1.0, ask=1.1)
    [five] = bars_of(said(node, minute(0), tick))
    assert (five.ts_open_ns, five.tick_count, five.root) == (T0, 3, tick.id)


def test_flat_bars_that_fill_gaps_are_no_part_of_longer_ones() -> None:
    ticks = [a_quote(T0 + at * NS, bid=price, ask=price + 1) for at, price in ((50, 10.0), (130, 12.0))]
    chain = a_node(spec("5s"), spec("1m", "5s"), fill_gaps=True)
    bars = [bar for bar in bars_of(said(chain, *ticks, clock(T0 + HOUR))) if bar.interval == "1m"]
    assert [(bar.ts_open_ns - T0, bar.open, bar.tick_count) for bar in bars] == [(0, 10.0, 1), (2 * MINUTE, 12.0, 1)]


def test_bars_are_read_where_something_may_be_made_of_them() -> None:
    both, ticks = (Topic.CLOCK, Topic.TICKS, Topic.BARS), (Topic.CLOCK, Topic.TICKS)
    assert tuple(a_node(spec("5m")).inputs) == both
    assert tuple(a_node(spec("5m", "1m")).inputs) == both
    assert tuple(a_node(spec("5m", "ticks"), spec("tick:10")).inputs) == ticks
    assert tuple(BarBuilderNode(BarBuilderConfig(bars=(spec("5m", "ticks"),)), [eurusd(), usdjpy()]).inputs) == both


# -- restarts ------------------------------------------------------------------------------------------------------------

mixed = st.lists(
    st.tuples(st.sampled_from("bbbbqc"), st.integers(0, 3), st.sampled_from([1, 1, 1, 2, 5]), st.integers(1, 9)), max_size=60
)


def recording(steps: list[tuple[str, int, int, int]]) -> list[Message]:
    at, messages = T0, []
    for kind, wait, length, price in steps:
        at += wait * MINUTE
        if kind == "b":
            messages.append(minute((at - T0) / MINUTE, f"{length}m", ts_close_ns=at + length * MINUTE))
            at += length * MINUTE
        elif kind == "q" and at > T0 + 40 * MINUTE:
            messages.append(a_quote(at, bid=float(price), ask=float(price + 1)))
        else:
            messages.append(clock(at))
    return messages


@given(mixed, st.integers(0, 60))
def test_a_restart_changes_nothing(steps: list[tuple[str, int, int, int]], cut: int) -> None:
    specs = (spec("5m"), spec("15m", "5m"), spec("1h"), spec("1d", anchor="Europe/Stockholm"))
    steady, restless, restored = a_node(*specs), a_node(*specs), a_node(*specs)
    for number, message in enumerate(recording(steps)):
        if number == cut:
            restored.restore(steady.snapshot())
        expected = repr(said(steady, message))
        assert repr(said(restless, message)) == expected
        restless.restore(restless.snapshot())
        if number >= cut:
            assert repr(said(restored, message)) == expected
    assert restless.snapshot() == steady.snapshot()


@given(mixed)
def test_bars_of_a_series_never_overlap_and_come_once(steps: list[tuple[str, int, int, int]]) -> None:
    made = bars_of(said(a_node(spec("5m"), spec("15m", "5m"), spec("1h")), *recording(steps), clock(T0 + 30 * DAY)))
    for each in ("5m", "15m", "1h"):
        series = [bar for bar in made if bar.interval == each]
        assert all(a.ts_close_ns <= b.ts_open_ns for a, b in pairwise(series))
