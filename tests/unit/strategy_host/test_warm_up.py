"""The past of a new strategy: heard in order, once, without a word, and a part of it from the first message on."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import ConfigError, InvariantError
from barque.messages import Bar, Topic
from barque.strategy import SMA, Strategy, StrategyState, WarmUp
from sma_cross import SmaCross
from strategy_host.core.node import StrategyNode
from strategy_host.core.past import MOST_BARS, earliest_ns, warm_up_bars
from tests.support.builders import MINUTE, T0, a_bar, a_fill, clock
from tests.support.hosting import alerts, feed, hosted, signals


class Warmed(Strategy):
    """Buys at each bar above its average, and says everything."""

    class State(StrategyState):
        heard: list[str] = []  # noqa: RUF012

    state: State

    def setup(self) -> None:
        self.average = self.indicator(SMA(3))
        self.window = self.history("EURUSD", 3, price="bid")
        self.warm_up(bars=10)

    def on_start(self) -> None:
        self.state.heard.append(f"start {self.average.value}")

    def on_bar(self, bar: Bar) -> None:
        self.average.update(bar.close)
        self.state.heard.append(f"{'past' if self.warming else 'live'} {self.trading} {(self.now - T0) // MINUTE}")
        if bar.close == 13.0:
            raise RuntimeError("unlucky")
        self.buy(bar.symbol, 1)
        self.notify("bought")
        self.setup_changed(bar.symbol, "x", "buy", "BOUGHT")


def minutes(*closes: float, first: int = 0) -> list[Bar]:
    return [a_bar(T0 + (first + n) * MINUTE, close=close) for n, close in enumerate(closes)]


def heard(node: StrategyNode) -> list[str]:
    state = node._strategy.state
    assert isinstance(state, Warmed.State)
    return state.heard


def test_the_first_live_bar_finds_what_the_past_has_filled() -> None:
    node = hosted(Warmed)
    assert node.warm_up_wanted == WarmUp(bars=10)
    assert list(node.warm_up(minutes(1.0, 2.0, 3.0))) == []
    strategy = node._strategy
    assert isinstance(strategy, Warmed)
    assert (strategy.average.value, strategy.window.closes, strategy.window.full) == (2.0, [1.0, 2.0, 3.0], True)
    outputs = feed(node, *minutes(4.0, first=3))
    assert strategy.average.value == 3.0
    assert [message.ts_event_ns for message in signals(outputs)] == [T0 + 4 * MINUTE] * 2
    assert heard(node) == ["past False 1", "past False 2", "past False 3", "start 2.0", "live True 4"]


def test_what_is_said_of_the_past_is_dropped() -> None:
    node = hosted(Warmed)
    assert list(node.warm_up(minutes(1.0, 2.0))) == []


def test_a_warmed_node_is_a_new_node_with_a_snapshot() -> None:
    node, reborn = hosted(Warmed), hosted(Warmed)
    node.warm_up(minutes(1.0, 2.0, 3.0))
    reborn.restore(node.snapshot())
    assert reborn.snapshot() == node.snapshot()
    live = [clock(T0 + 3 * MINUTE), *minutes(4.0, 5.0, first=3), a_fill(T0 + 5 * MINUTE)]
    assert feed(reborn, *live) == feed(node, *live)
    assert reborn.snapshot() == node.snapshot()
    assert reborn.warm_up_wanted is None


def test_a_bar_of_the_past_that_comes_again_is_not_heard_twice_and_newer_ones_are() -> None:
    node = hosted(Warmed)
    node.warm_up(minutes(1.0, 2.0, 3.0))
    feed(node, *minutes(2.0, 3.0, first=1))
    assert [line for line in heard(node) if line.startswith("live")] == []
    feed(node, *minutes(4.0, 5.0, first=3))
    assert [line for line in heard(node) if line.startswith("live")] == ["live True 4", "live True 5"]
    assert node._state.warmed == {}


def test_a_series_that_the_past_did_not_have_is_heard_from_its_first_bar_on() -> None:
    node = hosted(Warmed)
    node.warm_up(minutes(1.0, 2.0, 3.0))
    feed(node, a_bar(T0, price="ask"))
    assert heard(node)[-1] == "live True 3"


def test_bars_of_one_opening_are_told_apart_by_their_number() -> None:
    node = hosted(Warmed, interval="tick:2", symbols=("EURUSD",))
    past = [a_bar(T0, interval="tick:2", seq=n) for n in range(3)]
    node.warm_up(past[:2])
    feed(node, *past)
    assert len([line for line in heard(node) if line.startswith("live")]) == 1


def test_what_it_does_not_watch_is_no_past_of_its() -> None:
    node = hosted(Warmed)
    node.warm_up([a_bar(T0, interval="5m"), a_bar(T0, symbol="USDJPY")])
    assert heard(node) == []


def test_a_strategy_that_raises_over_its_past_is_paused_and_says_so() -> None:
    node = hosted(Warmed)
    outputs = list(node.warm_up(minutes(1.0, 13.0, 3.0)))
    (alert,) = alerts(outputs)
    assert [topic for topic, _ in outputs] == [Topic.ALERTS]
    assert "strategy 's1' is paused: RuntimeError: unlucky (test_warm_up.py:" in alert.text
    assert heard(node) == ["past False 1", "past False 2"]
    assert feed(node, *minutes(4.0, first=3)) == []


def test_a_node_that_has_begun_cannot_be_given_a_past() -> None:
    node = hosted(Warmed)
    feed(node, clock(T0))
    assert node.warm_up_wanted is None
    with pytest.raises(InvariantError, match=r"strategy\.s1.* has begun"):
        node.warm_up(minutes(1.0))


@pytest.mark.parametrize("wanted", [{}, {"bars": 3, "days": 1.0}, {"bars": -1}, {"bars": 2.5}, {"days": -2.0}])
def test_a_warm_up_of_nothing_or_of_two_sizes_is_refused(wanted: dict[str, int]) -> None:
    class Wrong(Strategy):
        def setup(self) -> None:
            self.warm_up(**wanted)

    with pytest.raises(ConfigError, match="give either bars or days"):
        hosted(Wrong)


def test_a_cross_that_was_warmed_up_trades_the_first_turn_that_it_sees() -> None:
    """Averages of 1 and 2 closes: 2 > 1.5 in the past, 1 < 1.5 live. Without a past the first direction only initialises."""
    cold, warm = hosted(SmaCross, fast=1, slow=2), hosted(SmaCross, fast=1, slow=2, warm_up=True)
    assert cold.warm_up_wanted is None
    assert warm.warm_up_wanted == WarmUp(bars=2)
    warm.warm_up(minutes(1.0, 2.0))
    live = minutes(1.0, 0.5, first=2)
    assert signals(feed(cold, *live)) == []
    assert [(s.target, s.ts_event_ns) for s in signals(feed(warm, *live))] == [(Decimal(-1), T0 + 3 * MINUTE)]


# ---- which bars


def series(count: int, **changes: object) -> list[Bar]:
    return [a_bar(T0 + n * MINUTE, **changes) for n in range(count)]


BEFORE = T0 + 100 * MINUTE


def test_of_each_series_the_last_bars_are_taken_however_often_they_were_found() -> None:
    found = [*series(9), *series(9), *series(4, price="ask"), *series(9, symbol="USDJPY"), *series(9, interval="1h")]
    bars = warm_up_bars(found, WarmUp(bars=3), ("EURUSD",), ("1m",), BEFORE)
    opens = [(b.price, (b.ts_open_ns - T0) // MINUTE) for b in bars]
    assert opens == [("ask", 1), ("ask", 2), ("ask", 3), ("bid", 6), ("bid", 7), ("bid", 8)]


def test_of_days_all_bars_that_closed_in_them_are_taken() -> None:
    bars = warm_up_bars(series(100), WarmUp(days=10 / 1440), ("EURUSD",), ("1m",), BEFORE)
    assert [(b.ts_close_ns - T0) // MINUTE for b in bars] == list(range(90, 101))


def test_a_past_without_measure_is_cut_at_its_old_end() -> None:
    wanted = WarmUp(days=1e6)
    assert earliest_ns(wanted, BEFORE) < 0
    bars = warm_up_bars(series(MOST_BARS + 2), wanted, ("EURUSD",), ("1m",), BEFORE)
    assert (len(bars), bars[0].ts_open_ns) == (MOST_BARS, T0 + 2 * MINUTE)


@given(st.randoms(use_true_random=False))
def test_the_order_is_that_of_time_and_does_not_depend_on_how_bars_were_found(chance: random.Random) -> None:
    minute, ask = series(6), series(6, price="ask")
    hour = [a_bar(T0, 6 * MINUTE, interval="1h")]
    ticks = [a_bar(T0 + 5 * MINUTE, interval="tick:5", seq=n) for n in range(3)]
    yen = series(6, symbol="USDJPY")
    found = [*minute, *ask, *hour, *ticks, *yen]
    chance.shuffle(found)
    bars = warm_up_bars(found, WarmUp(bars=10), ("USDJPY", "EURUSD"), ("1m", "1h", "tick:5"), BEFORE)
    assert [b.ts_close_ns for b in bars] == sorted(b.ts_close_ns for b in found)
    assert bars[-7:] == [yen[5], minute[5], ask[5], *ticks, hour[0]]
