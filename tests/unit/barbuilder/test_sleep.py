"""When the bar builder may sleep, and that sleeping changes nothing that anyone acts on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, Mark, Message, Topic
from barque.node import ASLEEP, AWAKE, Sleeper
from tests.support.bars import marks_of, said
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, clock, eurusd, usdjpy


def a_node(*specs: BarsConfig, **config: Any) -> BarBuilderNode:
    return BarBuilderNode(BarBuilderConfig(bars=specs, **config), [eurusd(), usdjpy()])


def spec(interval: str, source: str = "") -> BarsConfig:
    return BarsConfig(symbols=("EURUSD",), interval=interval, prices=("bid",), source=source)


def minute(number: int, side: str = "bid", symbol: str = "EURUSD", close: float = 1.3869) -> Bar:
    return a_bar(T0 + number * MINUTE, price=side, symbol=symbol, close=close)


def heard(node: BarBuilderNode, *messages: Message) -> BarBuilderNode:
    said(node, *messages)
    return node


def test_it_sleeps_on_bars_where_they_only_move_marks() -> None:
    node = a_node(spec("5m", "ticks"), spec("tick:10"))
    assert isinstance(node, Sleeper)
    assert (node.sleeps_until(Topic.TICKS), node.sleeps_until(Topic.BARS)) == (AWAKE, AWAKE), "before the first tick of the clock"
    heard(node, clock(T0))
    assert [node.sleeps_until(topic) for topic in (Topic.TICKS, Topic.BARS, Topic.CLOCK)] == [AWAKE, ASLEEP, ASLEEP]


@pytest.mark.parametrize("specs", [(spec("5m"),), (spec("5m", "1m"),)])
def test_it_stays_awake_where_bars_are_made_of_bars(specs: tuple[BarsConfig, ...]) -> None:
    node = heard(a_node(*specs), clock(T0), minute(0), clock(T0 + MINUTE))
    assert node.sleeps_until(Topic.BARS) == AWAKE


def test_it_stays_awake_where_a_pair_is_inverted() -> None:
    inverse = usdjpy(symbol="JPYUSD", currency="USD", base_currency="JPY", inverts="USDJPY")
    node = BarBuilderNode(BarBuilderConfig(), [usdjpy(), inverse])
    assert heard(node, clock(T0)).sleeps_until(Topic.BARS) == AWAKE


def test_it_sleeps_once_the_feed_brings_all_that_it_would_make() -> None:
    node = heard(a_node(spec("1m")), clock(T0))
    assert node.sleeps_until(Topic.BARS) == AWAKE
    heard(node, minute(0), clock(T0 + 2 * MINUTE))
    assert node.sleeps_until(Topic.BARS) == ASLEEP


def test_it_stays_awake_until_what_was_said_of_both_sides_is_marked() -> None:
    node = heard(a_node(), clock(T0), minute(0), minute(0, "ask"), clock(T0 + 2 * MINUTE))
    assert node.sleeps_until(Topic.BARS) == ASLEEP
    assert heard(node, minute(5)).sleeps_until(Topic.BARS) == AWAKE
    assert heard(node, minute(5, "ask"), clock(T0 + 7 * MINUTE)).sleeps_until(Topic.BARS) == ASLEEP


def test_it_stays_awake_where_marks_may_be_further_apart_than_bars() -> None:
    assert heard(a_node(mark_interval_ms=1_000), clock(T0)).sleeps_until(Topic.BARS) == AWAKE


def test_the_clock_does_nothing_before_it_said_so() -> None:
    node = heard(a_node(spec("1m"), grace_ms=700), clock(T0), a_quote(T0 + NS), clock(T0 + 2 * NS))
    due = node.sleeps_until(Topic.CLOCK)
    assert due == T0 + MINUTE + 700 * 10**6
    assert said(node, clock(due - 1)) == []
    assert len(said(node, clock(due))) == 1
    assert node.sleeps_until(Topic.CLOCK) == ASLEEP


closes = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["EURUSD", "USDJPY"]), st.integers(80, 120), st.booleans()), max_size=40
)


@given(closes, st.integers(1, 7))
def test_sleeping_through_bars_leads_to_the_same_marks_in_the_end(
    steps: list[tuple[int, str, int, bool]], wakes_every: int
) -> None:
    """One of the two hears everything; the other, while it sleeps, only the newest of each series, when it is woken."""
    steady, sleepy = heard(a_node(), clock(T0)), heard(a_node(), clock(T0))
    at, held, time_held = 0, dict[tuple[str, str], Bar](), None
    marks: dict[str, dict[str, Mark]] = {"steady": {}, "sleepy": {}}

    def tell(name: str, node: BarBuilderNode, *messages: Message) -> None:
        marks[name].update({mark.symbol: mark for mark in marks_of(said(node, *messages))})

    for number, (wait, symbol, price, crossed) in enumerate([*steps, (1, "EURUSD", 100, False)]):
        at += wait
        sides = ("ask", "bid") if crossed else ("bid", "ask")
        bars = [minute(at, side, symbol, close=price + (side == "ask")) for side in sides]
        now = clock(bars[0].ts_close_ns)
        tell("steady", steady, now, *bars)
        asleep = (sleepy.sleeps_until(Topic.BARS), sleepy.sleeps_until(Topic.CLOCK)) == (ASLEEP, ASLEEP)
        if asleep and number % wakes_every and number < len(steps):
            held |= {(bar.symbol, bar.price): bar for bar in bars}
            time_held = now
            continue
        if time_held is not None:
            tell("sleepy", sleepy, time_held, *held.values())
        tell("sleepy", sleepy, now, *bars)
        held, time_held = {}, None
        assert {s: msgspec.structs.astuple(m)[1:4] for s, m in marks["sleepy"].items()} == {
            s: msgspec.structs.astuple(m)[1:4] for s, m in marks["steady"].items()
        }
