"""A pair the other way round: bid and ask change places, and nothing else is made up."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.messages import Bar, Message, Quote
from barque.messages.market import PriceType
from tests.support.bars import bars_of, in_lockstep, marks_of, ns, said, values
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, clock, eurusd, usdjpy
from tests.support.data import data_file


def jpyusd(**changes: Any) -> Instrument:
    """Dollars for a yen."""
    base: dict[str, Any] = {"symbol": "JPYUSD", "currency": "USD", "base_currency": "JPY", "tick_size": Decimal("0.0000001")}
    return Instrument(**(base | {"inverts": "USDJPY"} | changes))


def a_node(*intervals: str, prices: tuple[PriceType, ...] = ("bid", "ask"), **config: Any) -> BarBuilderNode:
    """Builds both pairs."""
    specs = tuple(BarsConfig(symbols=("USDJPY", "JPYUSD"), interval=interval, prices=prices) for interval in intervals)
    return BarBuilderNode(BarBuilderConfig(bars=specs, **config), [usdjpy(max_spike_fraction=0.5), jpyusd()])


def quote(at_s: float, bid: float, ask: float) -> Quote:
    return a_quote(T0 + round(at_s * NS), symbol="USDJPY", bid=bid, ask=ask)


def of(symbol: str, messages: Sequence[Message]) -> list[Bar]:
    return [bar for bar in bars_of(messages) if bar.symbol == symbol]


def test_the_bid_of_the_inverse_is_made_by_the_ask_of_the_source() -> None:
    node = a_node("1m")
    outputs = said(node, quote(0, 100.0, 125.0), quote(1, 80.0, 100.0), quote(2, 200.0, 250.0), clock(T0 + 2 * MINUTE))
    bid, ask = of("JPYUSD", outputs)
    assert (bid.price, bid.open, bid.high, bid.low, bid.close, bid.tick_count) == ("bid", 0.008, 0.01, 0.008, 0.01, 2)
    assert (ask.price, ask.open, ask.high, ask.low, ask.close) == ("ask", 0.01, 0.0125, 0.01, 0.0125)
    assert node.counters["spike"] == 1, "what is bad of the source never reaches its inverse"


def test_the_inverse_is_marked_with_its_source() -> None:
    first, second = marks_of(said(a_node("1m"), quote(0, 100.0, 125.0)))
    assert (first.symbol, first.bid, first.ask) == ("USDJPY", 100.0, 125.0)
    assert (second.symbol, second.ts_event_ns, second.bid, second.ask) == ("JPYUSD", T0, 0.008, 0.01)


def test_what_completes_a_bar_of_the_inverse_is_a_tick_of_the_source() -> None:
    tick = quote(60, 100.0, 125.0)
    outputs = said(a_node("1m"), quote(0, 100.0, 125.0), tick)
    assert {bar.root for bar in bars_of(outputs)} == {tick.id} == {f"USDJPY.{T0 + MINUTE}"}


def test_trades_are_inverted_and_keep_their_size() -> None:
    node = a_node("volume:5", prices=("last",))
    [ours, theirs] = bars_of(
        said(node, *(a_trade(T0 + n, symbol="USDJPY", price=p, size=2.5) for n, p in ((0, 100.0), (1, 80.0))))
    )
    assert (ours.symbol, ours.high, ours.low, ours.volume) == ("USDJPY", 100.0, 80.0, 5.0)
    assert (theirs.symbol, theirs.open, theirs.high, theirs.low, theirs.volume) == ("JPYUSD", 0.01, 0.0125, 0.01, 5.0)


def test_every_kind_of_bar_of_the_inverse_is_measured_in_its_own_ticks() -> None:
    node = a_node("renko:1000")
    outputs = said(node, quote(0, 99.0, 100.0), quote(1, 97.0, 98.0))
    assert [(bar.price, bar.open, bar.close) for bar in of("JPYUSD", outputs)] == [
        ("bid", 0.01, 0.0101),
        ("bid", 0.0101, 0.0102),
        ("ask", 0.0102, 0.0103),
    ]


def test_a_feed_that_brings_ticks_of_the_inverse_itself_is_told_so() -> None:
    node = a_node("1m")
    assert said(node, a_quote(symbol="JPYUSD", bid=0.01, ask=0.011), a_trade(symbol="JPYUSD"), a_bar(symbol="JPYUSD")) == []
    assert node.counters["derived"] == 2
    assert node.counters["ticks"] == 2


def test_ticks_of_the_inverse_are_not_counted_as_ticks() -> None:
    node = a_node("1m")
    said(node, *(quote(n, 100.0 + n, 101.0 + n) for n in range(10)))
    assert node.counters["ticks"] == 10


ticks = st.lists(
    st.tuples(st.sampled_from([1, 40, 300, 5_000, 61_000, -20, -4_000]), st.integers(9_000, 11_000), st.integers(0, 50)),
    max_size=60,
)


@given(ticks, st.sampled_from([0, 250]))
def test_time_bars_of_the_inverse_are_the_reciprocals_of_the_other_sides_exactly(
    steps: list[tuple[int, int, int]], mark_interval_ms: int
) -> None:
    node = a_node("1s", "1m", mark_interval_ms=mark_interval_ms)
    at, outputs = T0, []
    for wait_ms, bid, spread in steps:
        at += wait_ms * 10**6
        outputs += said(node, a_quote(at, symbol="USDJPY", bid=bid / 100, ask=(bid + spread) / 100))
    outputs += said(node, clock(at + 10 * MINUTE))
    swap = {"bid": "ask", "ask": "bid"}
    expected = {
        (bar.interval, swap[bar.price], bar.ts_open_ns): (
            1 / bar.open,
            1 / bar.low,
            1 / bar.high,
            1 / bar.close,
            bar.tick_count,
            bar.root,
        )
        for bar in of("USDJPY", outputs)
    }
    found = {
        (bar.interval, bar.price, bar.ts_open_ns): (bar.open, bar.high, bar.low, bar.close, bar.tick_count, bar.root)
        for bar in of("JPYUSD", outputs)
    }
    assert found == expected


@given(ticks, st.integers(0, 60))
def test_a_restart_changes_nothing(steps: list[tuple[int, int, int]], cut: int) -> None:
    kinds = ("1m", "tick:3", "range:9000", "renko:9000")
    steady, restless = a_node(*kinds), a_node(*kinds)
    at = T0
    for number, (wait_ms, bid, spread) in enumerate(steps):
        at += wait_ms * 10**6
        tick = a_quote(at, symbol="USDJPY", bid=bid / 100, ask=(bid + spread) / 100)
        assert repr(said(restless, tick)) == repr(said(steady, tick))
        if number >= cut:
            restless.restore(restless.snapshot())
    assert restless.snapshot() == steady.snapshot()


# -- feeds of bars -------------------------------------------------------------------------------------------------------


def test_a_bar_of_the_source_is_a_bar_of_the_inverse_on_the_other_side() -> None:
    node = a_node()
    source = a_bar(symbol="USDJPY", price="ask", open=100.0, high=125.0, low=80.0, close=110.0, volume=7.0)
    [inverse] = bars_of(said(node, source))
    assert inverse == a_bar(
        symbol="JPYUSD", price="bid", open=0.01, high=0.0125, low=0.008, close=1 / 110, volume=7.0, root=source.id
    )


def test_a_bar_that_comes_twice_is_inverted_once() -> None:
    node = a_node()
    twice = [a_bar(T0 + n * MINUTE, symbol="USDJPY") for n in (0, 0, 1)]
    before = said(node, *twice[:2])
    node.restore(node.snapshot())
    assert [bar.ts_open_ns - T0 for bar in bars_of([*before, *said(node, *twice[1:])])] == [0, MINUTE]
    assert node.counters["late_bars"] == 2
    longer = a_bar(T0, 2 * MINUTE, symbol="USDJPY", interval="2m")
    assert [bar.interval for bar in bars_of(said(node, longer))] == ["2m"], "another series that ends with it is no repetition"


def test_longer_bars_and_marks_of_the_inverse_follow_from_a_feed_of_bars() -> None:
    node = a_node("5m")
    feed = [
        a_bar(T0 + n * MINUTE, symbol="USDJPY", price=side, open=p, high=p + 2, low=p - 2, close=p + 1)
        for n in range(10)
        for side, p in (("bid", 100.0 + n), ("ask", 101.0 + n))
    ]
    heard = in_lockstep(node, [list(group) for _, group in groupby(feed, key=lambda bar: bar.ts_close_ns)])
    fives = {(bar.symbol, bar.price, bar.ts_open_ns): bar for bar in bars_of(heard) if bar.interval == "5m"}
    assert len(fives) == 8
    for (symbol, side, at), bar in fives.items():
        if symbol == "JPYUSD":
            other = fives["USDJPY", "ask" if side == "bid" else "bid", at]
            assert values(bar)[2:6] == (1 / other.open, 1 / other.low, 1 / other.high, 1 / other.close)
    assert len([bar for bar in bars_of(heard) if (bar.symbol, bar.interval) == ("JPYUSD", "1m")]) == 20, "once each"
    marks = {(mark.symbol, mark.ts_event_ns): (mark.bid, mark.ask) for mark in marks_of(heard)}
    assert marks["JPYUSD", T0 + MINUTE] == (1 / 102, 1 / 101)


def test_hours_of_vendor_minutes_are_inverted_exactly() -> None:
    node = a_node("1h", "1d")
    feed: list[Bar] = []
    for side in ("bid", "ask"):
        with gzip.open(data_file(f"usdjpy-fxcm-m1-{side}-2013-02.csv.gz"), "rt", newline="") as file:
            rows = list(csv.DictReader(file))[:3_000]
        stamp = next(name for name in rows[0] if name.startswith("timestamp"))
        feed += [
            a_bar(
                ns(row[stamp]),
                symbol="USDJPY",
                price=side,
                tick_count=0,
                **{p: float(row[p]) for p in ("open", "high", "low", "close")},
            )
            for row in rows
        ]
    feed.sort(key=lambda bar: bar.ts_close_ns)
    heard = in_lockstep(node, [list(group) for _, group in groupby(feed, key=lambda bar: bar.ts_close_ns)])
    by_key = {(bar.symbol, bar.interval, bar.price, bar.ts_open_ns): bar for bar in bars_of(heard)}
    inverses = [bar for key, bar in by_key.items() if key[:3] == ("JPYUSD", "1h", "bid")]
    assert len(inverses) > 40
    for bid in inverses:
        source = by_key["USDJPY", "1h", "ask", bid.ts_open_ns]
        assert (bid.open, bid.high, bid.low, bid.close) == (1 / source.open, 1 / source.low, 1 / source.high, 1 / source.close)


# -- configuration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruments", "text"),
    [
        ([jpyusd()], r"JPYUSD inverts 'USDJPY', which has no \[\[instruments\]\] entry"),
        ([usdjpy(), jpyusd(inverts="USDJYP")], "did you mean 'USDJPY'"),
        ([usdjpy(), jpyusd(), usdjpy(symbol="X", inverts="JPYUSD")], "which is derived itself"),
        ([usdjpy(), jpyusd(), jpyusd(symbol="J")], "J inverts 'USDJPY', and so does JPYUSD"),
        ([eurusd(), jpyusd(inverts="EURUSD")], r"JPY/USD and that is EUR/USD; currency and base_currency must change places"),
        ([usdjpy(base_currency=""), jpyusd()], r"that is \?/JPY"),
    ],
)
def test_an_inverse_that_cannot_be_is_refused_before_anything_runs(instruments: list[Instrument], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        BarBuilderNode(BarBuilderConfig(), instruments)


def test_value_bars_of_an_inverse_are_refused() -> None:
    bars = (BarsConfig(symbols=("JPYUSD",), interval="value:5", prices=("last",)),)
    with pytest.raises(ConfigError, match="JPYUSD has no value:5 bars: its sizes are those of USDJPY"):
        BarBuilderNode(BarBuilderConfig(bars=bars), [usdjpy(), jpyusd()])
