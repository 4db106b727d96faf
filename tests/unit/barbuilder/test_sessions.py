"""Bars counted from the opening of a session or from midnight somewhere, said by messages."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.instruments import Instrument
from barque.messages import Bar, Message
from tests.support.bars import bars_of, marks_of, ns, said
from tests.support.builders import MINUTE, NS, a_bar, a_trade, clock

HOUR = 60 * MINUTE


def a_node(*intervals: str, anchor: str = "session", calendar: str = "XNYS", **config: Any) -> BarBuilderNode:
    """A builder of bars of SPY trades; of weeks, from its days."""
    spy = Instrument(
        symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"), calendar=calendar, max_spike_fraction=100.0
    )
    base: dict[str, Any] = {"symbols": ("SPY",), "prices": ("last",), "anchor": anchor}
    specs = tuple(BarsConfig(interval=each, source="1d" if each == "1w" else "", **base) for each in intervals)
    return BarBuilderNode(BarBuilderConfig(bars=specs, **config), [spy])


def trade(at: str, price: float = 100.0) -> Message:
    return a_trade(ns(at), symbol="SPY", price=price, size=1.0)


def each_minute(first: str, last: str) -> list[Message]:
    """A trade at the beginning of every minute, its price the number of the minute."""
    begin = ns(first)
    return [a_trade(at, symbol="SPY", price=1.0 + (at - begin) // MINUTE, size=1.0) for at in range(begin, ns(last), MINUTE)]


def spans(bars: Sequence[Bar]) -> list[tuple[int, int]]:
    return [(bar.ts_open_ns, bar.ts_close_ns) for bar in bars]


def test_a_half_day_is_one_daily_bar_of_what_traded_in_it() -> None:
    node = a_node("1d")
    day = each_minute("2013-11-29T12:00", "2013-11-29T20:00")
    [bar] = bars_of(said(node, *day, clock(ns("2013-11-29T21:00"))))
    assert spans([bar]) == [(ns("2013-11-29T14:30"), ns("2013-11-29T18:00"))]
    assert (bar.open, bar.close, bar.tick_count) == (151.0, 360.0, 210), "from 14:30 to 17:59"
    assert (node.counters["outside"], node.counters["late"]) == (480 - 210, 0)


def test_the_last_bar_of_a_session_ends_with_it_and_the_clock_closes_it_then() -> None:
    node = a_node("4h")
    assert bars_of(said(node, *each_minute("2013-10-07T13:30", "2013-10-07T17:30"))) == []
    outputs = said(node, *each_minute("2013-10-07T17:30", "2013-10-07T20:00"))
    assert spans(bars_of(outputs)) == [(ns("2013-10-07T13:30"), ns("2013-10-07T17:30"))]
    close = ns("2013-10-07T20:00")
    assert bars_of(said(node, clock(close + NS // 2 - 1))) == []
    [last] = bars_of(said(node, clock(close + NS // 2)))
    assert (*spans([last])[0], last.tick_count) == (ns("2013-10-07T17:30"), close, 150)


def test_a_trade_after_the_close_closes_the_bar_and_is_in_none_but_moves_the_mark() -> None:
    node = a_node("1h", mark_interval_ms=0)
    said(node, trade("2013-10-07T19:59:59", 100.0))
    outputs = said(node, trade("2013-10-07T20:00:00", 101.0))
    [bar] = bars_of(outputs)
    assert (bar.close, bar.tick_count, bar.ts_close_ns) == (100.0, 1, ns("2013-10-07T20:00"))
    assert [mark.last for mark in marks_of(outputs)] == [101.0]
    assert bars_of(said(node, trade("2013-10-07T22:00:00"), clock(ns("2013-10-08T12:00")))) == []
    assert node.counters["outside"] == 2


def test_gaps_are_filled_on_the_grid_of_the_anchor() -> None:
    node = a_node("40s", anchor="Asia/Kathmandu", fill_gaps=True)
    bars = bars_of(said(node, trade("2014-05-01T18:15:05"), trade("2014-05-01T18:16:25"), clock(ns("2014-05-01T19:00"))))
    midnight = ns("2014-05-01T18:15")
    assert [((bar.ts_open_ns - midnight) // NS, bar.tick_count) for bar in bars] == [(0, 1), (40, 0), (80, 1)]


def test_a_tick_outside_fills_no_gap() -> None:
    node = a_node("1m", fill_gaps=True)
    bars = bars_of(said(node, trade("2013-10-07T19:58:30"), trade("2013-10-07T20:00:10"), clock(ns("2013-10-07T21:00"))))
    assert [bar.tick_count for bar in bars] == [1]


def test_a_week_of_sessions_is_made_of_its_days() -> None:
    times = ((25, "14:30"), (26, "20:00"), (27, "20:59"), (28, "16:00"), (29, "15:00"), (29, "18:01"))
    week = [trade(f"2013-11-{day}T{time}", float(price)) for price, (day, time) in enumerate(times, start=1)]
    bars = bars_of(said(a_node("1d", "1w"), *week, trade("2013-12-02T14:30")))
    assert [bar.interval for bar in bars] == ["1d", "1d", "1d", "1d", "1w"]
    assert spans(bars[-1:]) == [(ns("2013-11-25T14:30"), ns("2013-11-29T18:00"))]
    assert (bars[-1].tick_count, bars[-1].close) == (4, 5.0), "a holiday and what came after the early close are not in it"


def test_bars_of_nights_are_no_part_of_a_week_of_sessions() -> None:
    node = BarBuilderNode(
        BarBuilderConfig(bars=(BarsConfig(symbols=("SPY",), interval="1w", prices=("last",), anchor="session", source="1h"),)),
        [Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"), calendar="XNYS")],
    )
    begins = ("2013-11-27T14:30", "2013-11-27T20:30", "2013-11-28T03:00", "2013-11-29T15:00")
    hours = [a_bar(ns(each), HOUR, symbol="SPY", interval="1h", price="last") for each in begins]
    [week] = bars_of(said(node, *hours, clock(ns("2013-12-03T00:00"))))
    assert (week.tick_count, node.counters["outside"]) == (20, 2), "20:30 goes beyond the close, 03:00 is night"


def test_a_spring_day_has_23_bars_of_an_hour_and_an_autumn_day_25() -> None:
    for first, last, hours in (
        ("2014-03-29T23:00", "2014-03-30T22:00", 23),
        ("2014-10-25T22:00", "2014-10-26T23:00", 25),
    ):
        node = a_node("1h", "1d", "4h", anchor="Europe/Stockholm")
        bars = bars_of(said(node, *each_minute(first, last), clock(ns(last) + HOUR)))
        count = {each: [bar for bar in bars if bar.interval == each] for each in ("1h", "1d", "4h")}
        assert [bar.tick_count for bar in count["1h"]] == [60] * hours
        assert spans(count["1d"]) == [(ns(first), ns(last))]
        assert count["1d"][0].tick_count == hours * 60
        assert [bar.tick_count // 60 for bar in count["4h"]] == [4] * (hours // 4) + [hours % 4]


def test_a_day_of_fx_changes_at_17_00_in_new_york() -> None:
    node = a_node("1d", calendar="FX")
    bars = bars_of(said(node, *each_minute("2014-05-01T20:58", "2014-05-01T21:02"), clock(ns("2014-05-03T00:00"))))
    assert [(bar.ts_close_ns - ns("2014-05-01T21:00"), bar.tick_count) for bar in bars] == [(0, 2), (24 * HOUR, 2)]


def test_a_changed_anchor_begins_anew_and_an_unchanged_one_goes_on() -> None:
    node = a_node("1d")
    said(node, trade("2013-10-07T15:00"))
    same, other = a_node("1d"), a_node("1d", anchor="America/New_York")
    for successor in (same, other):
        successor.restore(node.snapshot())
    end = clock(ns("2013-10-09T00:00"))
    assert [bar.tick_count for bar in bars_of(said(same, trade("2013-10-07T16:00"), end))] == [2]
    assert [bar.tick_count for bar in bars_of(said(other, trade("2013-10-07T16:00"), end))] == [1]


walks = st.lists(st.tuples(st.sampled_from([1, 30, 600, 3_000, 20_000, 90_000]), st.integers(90, 110)), max_size=60)


@given(walks, st.integers(0, 60), st.booleans())
def test_bars_lie_in_sessions_and_a_restart_changes_nothing(steps: list[tuple[int, int]], cut: int, fill: bool) -> None:
    steady, restless = (a_node("7m", "1h", "1d", "1w", fill_gaps=fill) for _ in range(2))
    at, made, ticks = ns("2013-11-27T14:00"), [], 0
    for number, (wait_s, price) in enumerate(steps):
        at += wait_s * NS
        tick = a_trade(at, symbol="SPY", price=float(price), size=1.0)
        outputs = said(steady, tick)
        assert repr(said(restless, tick)) == repr(outputs)
        if number >= cut:
            restless.restore(restless.snapshot())
        made += bars_of(outputs)
        ticks += 1
    assert restless.snapshot() == steady.snapshot()
    made += bars_of(said(steady, clock(at + 40 * 24 * HOUR)))
    for interval in ("7m", "1h", "1d", "1w"):
        series = [bar for bar in made if bar.interval == interval]
        assert all(a.ts_close_ns <= b.ts_open_ns for a, b in pairwise(series))
        assert sum(bar.tick_count for bar in series) + steady.counters["outside"] == ticks
