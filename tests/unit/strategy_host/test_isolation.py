"""A strategy that goes wrong is paused, says where, and harms no other."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from barque.bus.memory import MemoryRunner
from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.messages import (
    AccountSnapshot,
    Alert,
    Bar,
    BarRevised,
    CancelOrder,
    Flatten,
    Message,
    SetLimit,
    Signal,
    StartStrategy,
    Topic,
)
from barque.messages.topics import MESSAGES
from barque.node import Interruptible, Selective, Sleeper
from barque.strategy import Indicator, Strategy, StrategyParams
from strategy_host.core.failure import LONGEST
from strategy_host.core.node import StrategyNode
from strategy_host.shell.budget import hook_budget
from tests.support.builders import MINUTE, T0, a_bar, a_fill, clock, eurusd
from tests.support.hosting import alerts, command, feed, hosted, order_event, signals


class Buyer(Strategy):
    """Buys at every bar, and does as it is told at one of them."""

    class Params(StrategyParams, frozen=True):
        at: float = -1.0
        fault: str = ""

    params: Params

    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.symbol, 1)
        if bar.close == self.params.at:
            self._go_wrong(bar)

    def _go_wrong(self, bar: Bar) -> None:
        if self.params.fault == "loop":
            while True:
                bar.close + 1
        elif self.params.fault == "library":
            Decimal(bar.symbol)
        elif self.params.fault == "verb":
            self.buy(bar.symbol, float("nan"))
        elif self.params.fault == "long":
            raise ValueError("x" * 5_000)
        raise RuntimeError("out of ideas")


def named(strategy_id: str, **params: Any) -> StrategyNode:
    return StrategyNode(StrategyConfig(id=strategy_id, strategy="t", symbols=("EURUSD",), params=params), Buyer, [eurusd()])


BARS = [a_bar(T0 + n * MINUTE, close=float(n)) for n in range(6)]


@pytest.mark.parametrize("fault", ["exception", "loop"])
def test_the_others_trade_on(fault: str) -> None:
    said: list[tuple[str, Topic, Message]] = []
    book = MemoryRunner(
        [named("bad", at=2.0, fault=fault), named("good")], lambda source, topic, message: said.append((source, topic, message))
    )
    with hook_budget(0.2):
        for bar in BARS:
            book.publish("feed", [(Topic.BARS, bar)])
    bought = [(m.strategy_id, m.cause) for _, _, m in said if isinstance(m, Signal)]
    assert [cause for who, cause in bought if who == "bad"] == [bar.id for bar in BARS[:2]]
    assert [cause for who, cause in bought if who == "good"] == [bar.id for bar in BARS]
    assert [(source, m.name) for source, _, m in said if isinstance(m, Alert)] == [("strategy.bad", "strategy_failed")]


def test_an_endless_loop_is_paused_with_the_hook_and_the_line() -> None:
    node = named("s1", at=1.0, fault="loop")
    began = time.monotonic()
    with hook_budget(0.2):
        outputs = feed(node, *BARS[:3])
    assert time.monotonic() - began < 5
    (alert,) = alerts(outputs)
    assert "strategy 's1' is paused: it ran longer than 0.2 s for one message (test_isolation.py:" in alert.text
    assert ", in _go_wrong, called by on_bar)" in alert.text
    assert [s.cause for s in signals(outputs)] == [BARS[0].id]
    assert node.overruns == 1
    restored = named("s1", at=1.0, fault="loop")
    restored.restore(node.snapshot())
    assert feed(restored, *BARS[3:]) == []
    resumed = feed(restored, command(StartStrategy, strategy_id="s1"), BARS[4])
    assert [s.cause for s in signals(resumed)] == [BARS[4].id]


def test_an_endless_setup_is_a_configuration_that_cannot_be() -> None:
    class Stuck(Strategy):
        def setup(self) -> None:
            while True:
                pass

    with hook_budget(0.2), pytest.raises(ConfigError, match=r"'s1' cannot be set up: it ran longer than 0\.2 s.*, in setup\)"):
        hosted(Stuck)


def test_a_budget_of_zero_is_no_limit() -> None:
    class Slow(Strategy):
        def on_bar(self, bar: Bar) -> None:
            time.sleep(0.3)

    with hook_budget(0.0):
        assert feed(hosted(Slow), a_bar()) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exception", "RuntimeError: out of ideas (test_isolation.py:"),
        ("library", "decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>] (test_isolation.py:"),
        ("verb", "EURUSD: quantity is nan; a finite number is needed (test_isolation.py:"),
    ],
)
def test_the_alert_names_the_users_own_line_wherever_it_was_raised(fault: str, said: str) -> None:
    (alert,) = alerts(feed(named("s1", at=0.0, fault=fault), BARS[0]))
    assert f"strategy 's1' is paused: {said}" in alert.text
    assert ", in _go_wrong, called by on_bar). Its position and open orders stay" in alert.text


def test_a_very_long_text_is_cut() -> None:
    (alert,) = alerts(feed(named("s1", at=0.0, fault="long"), BARS[0]))
    assert len(alert.text) < LONGEST + 400


def test_a_fault_that_is_in_no_line_of_the_users_names_none() -> None:
    class TwoPrices(Strategy):
        def setup(self) -> None:
            self.history("EURUSD", 3)

    (alert,) = alerts(feed(hosted(TwoPrices), a_bar(), a_bar(price="ask")))
    assert "price='ask'). Its position and open orders stay" in alert.text


def test_a_setup_that_raises_names_the_line() -> None:
    class Broken(Strategy):
        def setup(self) -> None:
            raise KeyError("nothing")

    with pytest.raises(ConfigError, match=r"cannot be set up: KeyError: 'nothing' \(test_isolation.py:\d+, in setup\)"):
        hosted(Broken)


# ---- who sleeps


class Rare(Strategy):
    """Trades on two schedules and, where told to, on bars."""

    class Params(StrategyParams, frozen=True):
        start: bool = False

    params: Params

    def setup(self) -> None:
        self.daily("00:10", "UTC", "ten")
        self.daily("12:00", "UTC", "noon")

    def on_start(self) -> None:
        if self.params.start:
            self.buy("EURUSD", 1)

    def on_schedule(self, name: str) -> None:
        self.sell("EURUSD", 1, tag=name)


def test_a_node_says_that_it_sleeps_and_that_it_can_be_stopped() -> None:
    node = hosted(Rare)
    assert isinstance(node, Sleeper)
    assert isinstance(node, Selective)
    assert isinstance(node, Interruptible)


def test_what_it_says_that_it_ignores_leaves_no_trace() -> None:
    node = hosted(Rare)
    before = node.snapshot()
    ignored = {kind.__name__ for topic in node.inputs for kind in MESSAGES[topic] if kind not in node.handlers}
    assert {"AccountSnapshot", "BarRevised", "CancelOrder", "ModifyOrder", "SetLimit", "Flatten"} <= ignored
    assert not ignored & {"Bar", "ClockTicked", "Fill", "SubmitOrder", "OrderModified", "Halt", "SignalRejected"}
    feed(
        node,
        AccountSnapshot(account="a", ts_event_ns=T0, currency="USD", cash=Decimal(1), equity=Decimal(1), buying_power=Decimal(1)),
    )
    feed(node, BarRevised(feed="feed.ibkr", ts_event_ns=T0, bar=a_bar()))
    feed(node, order_event(CancelOrder), command(Flatten), command(SetLimit, limit="x", value="1"))
    assert node.snapshot() == before


def test_until_it_has_begun_a_strategy_is_awake() -> None:
    node = hosted(Rare)
    assert (node.sleeps_until(Topic.CLOCK), node.sleeps_until(Topic.BARS)) == (0, 0)


def test_then_it_sleeps_until_its_next_schedule() -> None:
    node = hosted(Rare)
    feed(node, clock(T0))
    assert node.sleeps_until(Topic.CLOCK) == T0 + 10 * MINUTE
    assert len(signals(feed(node, clock(T0 + 10 * MINUTE)))) == 1
    assert node.sleeps_until(Topic.CLOCK) == T0 + 720 * MINUTE
    reborn = hosted(Rare)
    reborn.restore(node.snapshot())
    assert reborn.sleeps_until(Topic.CLOCK) == T0 + 720 * MINUTE


def test_without_schedules_the_clock_changes_nothing_and_without_on_bar_bars_do_not() -> None:
    class Deaf(Strategy):
        pass

    class Hearing(Deaf):
        def on_bar(self, bar: Bar) -> None:
            self.buy(bar.symbol, 1)

    class Window(Deaf):
        def setup(self) -> None:
            self.history("EURUSD", 2)

    never = 2**63
    for cls, bars in ((Deaf, never), (Hearing, 0), (Window, 0)):
        node = hosted(cls)
        feed(node, clock(T0))
        assert (node.sleeps_until(Topic.CLOCK), node.sleeps_until(Topic.BARS)) == (never, bars), cls
        assert node.sleeps_until(Topic.FILLS) == 0


def test_a_paused_strategy_sleeps_and_wakes_when_it_is_started_again() -> None:
    class Failing(Rare):
        def on_fill(self, fill: object) -> None:
            raise RuntimeError("no")

    node = hosted(Failing)
    feed(node, clock(T0), a_fill(T0), clock(T0 + 5 * MINUTE), clock(T0 + 11 * MINUTE))
    assert (node.sleeps_until(Topic.CLOCK), node.sleeps_until(Topic.BARS)) == (2**63, 2**63)
    feed(node, command(StartStrategy, T0 + 12 * MINUTE, strategy_id="s1"))
    assert node.sleeps_until(Topic.CLOCK) == T0 + 10 * MINUTE
    assert [s.tag for s in signals(feed(node, clock(T0 + 13 * MINUTE)))] == ["ten"]


def test_a_strategy_that_slept_through_what_changes_nothing_says_the_same() -> None:
    """Held back as `Sleeper` allows: of the clock and of each series the newest message, before anything else is told."""

    def messages() -> list[Message]:
        told: list[Message] = []
        for minute in range(1_500):
            told += [clock(T0 + minute * MINUTE), a_bar(T0 + (minute - 1) * MINUTE)]
            if minute % 97 == 0:
                told.append(a_fill(T0 + minute * MINUTE, exec_id=f"e{minute}"))
        return told

    for cls in (Rare, Buyer):
        wide, asleep = hosted(cls), hosted(cls)
        expected = feed(wide, *messages())
        said, held, spared = [], {}, 0
        for message in messages():
            topic = {Bar: Topic.BARS}.get(type(message), Topic.CLOCK) if not hasattr(message, "exec_id") else Topic.FILLS
            at = getattr(message, "now_ns", 0) or getattr(message, "ts_close_ns", 0)
            if topic is not Topic.FILLS and at < asleep.sleeps_until(topic):
                spared += topic in held
                held[topic] = message
                continue
            for one in [*(m for t, m in sorted(held.items(), key=lambda kv: kv[0].rank) if t is not topic), message]:
                said += feed(asleep, one)
            held.clear()
        assert said == expected
        assert len(signals(expected)) > 2
        assert spared > 1_000 or cls is Buyer


class Counting(Indicator):
    """Not a hook: what an indicator raises is the strategy's fault too."""

    count: int = 0

    def update(self) -> None:
        self.count += 1
        if self.count == 3:
            raise ZeroDivisionError("three")


def test_an_indicator_that_raises_pauses_its_strategy() -> None:
    class Counts(Strategy):
        def setup(self) -> None:
            self.counting = self.indicator(Counting())

        def on_bar(self, bar: Bar) -> None:
            self.counting.update()

    (alert,) = alerts(feed(hosted(Counts), *BARS))
    assert "ZeroDivisionError: three" in alert.text
    assert ", in update, called by on_bar)" in alert.text
