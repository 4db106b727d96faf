"""Schedules of a strategy in its node: every verb that declares one, missed runs, restarts, what a person is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.messages import Alert, ClockTicked, Message, Topic
from barque.node import ASLEEP, AWAKE
from barque.strategy import Cron, Strategy, StrategyState
from barque.strategy.testing import check_strategy
from strategy_host.core.node import StrategyNode
from tests.support.builders import clock, eurusd

NS = 10**9
DAY = 86_400 * NS

SPY = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"), calendar="XNYS")


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def shown(ts_ns: int) -> str:
    """The other way, to the minute."""
    return datetime.fromtimestamp(ts_ns / NS, UTC).strftime("%m-%d %H:%M")


class Punctual(Strategy):
    """Writes down each run, when it was scheduled for, and when it came. `declare` is what a test makes of `setup`."""

    class State(StrategyState):
        runs: list[str] = []  # noqa: RUF012

    state: State
    declare: Callable[[Punctual], None]

    def setup(self) -> None:
        type(self).declare(self)

    def on_schedule(self, name: str) -> None:
        moment = self.scheduled_for(name)
        self.state.runs.append(f"{name} {shown(moment)}" + ("" if moment == self.now else " late"))
        if name == "failing":
            raise RuntimeError("no more")


def a_node(declare: Callable[[Punctual], None]) -> StrategyNode:
    kind = type("Declared", (Punctual,), {"declare": staticmethod(declare)})
    return StrategyNode(StrategyConfig(id="s1", strategy="x:Y", symbols=("SPY", "EURUSD")), kind, [SPY, eurusd()])


def runs(node: StrategyNode) -> list[str]:
    """What its strategy has written down."""
    strategy = node._strategy
    assert isinstance(strategy, Punctual)
    return strategy.state.runs


def alerts(node: StrategyNode, message: Message) -> list[str]:
    """What a person is told when it hears `message`."""
    return [said.text for _, said in node.handle(message) if isinstance(said, Alert)]


def over(node: StrategyNode, start: str, end: str, step_s: int = 60) -> list[str]:
    """Runs that come while the clock ticks."""
    for moment in range(at(start), at(end) + 1, step_s * NS):
        node.handle(clock(moment))
    return runs(node)


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        (lambda s: s.daily("09:30", "America/New_York", "x"), ["11-27 14:30", "11-28 14:30", "11-29 14:30", "11-30 14:30"]),
        (
            lambda s: s.daily(time(9, 30), "America/New_York", "x", days="MON-FRI", calendar="XNYS"),
            ["11-27 14:30", "11-29 14:30"],
        ),
        (lambda s: s.cron("x", "0 30 9 * * MON-FRI", tz="America/New_York"), ["11-27 14:30", "11-28 14:30", "11-29 14:30"]),
        (lambda s: s.cron("x", "0 30 9 * * *", tz="America/New_York", calendar="XNYS"), ["11-27 14:30", "11-29 14:30"]),
        (lambda s: s.every("x", minutes=120, while_open="SPY"), ["11-27 16:00", "11-27 18:00", "11-27 20:00", "11-29 16:00"]),
        (lambda s: s.at_open("x", "SPY", offset_s=-300), ["11-27 14:25", "11-29 14:25"]),
        (lambda s: s.at_close("x", "SPY", offset_s=-600), ["11-27 20:50", "11-29 17:50"]),
        (lambda s: s.pre_market("x", "SPY"), ["11-27 09:00", "11-29 09:00"]),
        (lambda s: s.pre_market("x", "SPY", before_s=3_600), ["11-27 13:30", "11-29 13:30"]),
        (lambda s: s.after_hours("x", "SPY"), ["11-27 21:00", "11-29 18:00"]),
        (lambda s: s.after_hours("x", "SPY", after_s=1_800), ["11-27 21:30", "11-29 18:30"]),
        (lambda s: s.at_close("x", "EURUSD", offset_s=-60), ["11-29 21:59"]),
        (lambda s: s.month_end("x", "SPY", offset_s=-300), ["11-29 17:55"]),
        (lambda s: s.month_end("x", "SPY", at="12:30", tz="America/New_York", days_before=1), ["11-27 17:30"]),
        (lambda s: s.quarter_end("x", "SPY"), []),
        (lambda s: s.schedule("x", Cron("0 0 12 28 11 *", "UTC")), ["11-28 12:00"]),
    ],
)
def test_each_verb_declares_what_it_says(declare: Callable[[Strategy], None], expected: list[str]) -> None:
    assert over(a_node(declare), "2013-11-27T08:00:00", "2013-12-01T00:00:00") == [f"x {moment}" for moment in expected]


def test_a_quarter_ends_with_the_year() -> None:
    node = a_node(lambda s: s.quarter_end("x", "SPY", at=time(15, 50), tz="America/New_York"))
    assert over(node, "2013-12-30T00:00:00", "2014-01-03T00:00:00", 600) == ["x 12-31 20:50"]


def test_every_few_seconds() -> None:
    node = a_node(lambda s: s.every("x", seconds=20))
    assert len(over(node, "2013-11-27T08:00:00", "2013-11-27T08:10:00", 1)) == 31


def test_after_days_away_each_policy_gives_its_own_runs() -> None:
    def declare(strategy: Strategy) -> None:
        strategy.daily("09:00", "UTC", "one")
        strategy.daily("09:00", "UTC", "each", missed="run_all")
        strategy.daily("09:00", "UTC", "none", missed="skip", grace_s=30)

    node = a_node(declare)
    node.handle(clock(at("2013-11-25T00:00:00")))
    reborn = a_node(declare)
    reborn.restore(node.snapshot())
    told = alerts(reborn, clock(at("2013-11-27T12:00:00")))
    assert told == ["s1: schedule 'none' was missed and is skipped, as its policy says"]
    assert runs(reborn) == ["each 11-25 09:00 late", "each 11-26 09:00 late", "one 11-27 09:00 late", "each 11-27 09:00 late"]


def test_too_many_missed_runs_are_cut_to_the_newest_and_a_person_is_told() -> None:
    node = a_node(lambda s: s.every("x", seconds=1, missed="run_all"))
    node.handle(clock(at("2013-11-25T00:00:00")))
    assert alerts(node, clock(at("2013-11-25T01:00:00"))) == [
        "s1: schedule 'x' has missed more than 1,000 runs; only the newest 1,000 are made up for"
    ]
    assert len(runs(node)) == 1 + 1_000


def test_a_restart_keeps_the_run_that_was_told_last() -> None:
    def declare(strategy: Strategy) -> None:
        strategy.daily("09:00", "UTC", "x")

    node, reborn = a_node(declare), a_node(declare)
    node.handle(clock(at("2013-11-25T00:00:00")))
    assert node._strategy.scheduled_for("x") == 0
    node.handle(clock(at("2013-11-25T09:00:07")))
    reborn.restore(node.snapshot())
    assert reborn._strategy.scheduled_for("x") == at("2013-11-25T09:00:00")


def test_runs_after_one_that_raises_stay_due_until_it_is_started_again() -> None:
    def declare(strategy: Strategy) -> None:
        strategy.daily("09:00", "UTC", "failing")
        strategy.daily("10:00", "UTC", "later")

    node = a_node(declare)
    node.handle(clock(at("2013-11-25T00:00:00")))
    assert "strategy 's1' is paused: RuntimeError: no more" in alerts(node, clock(at("2013-11-25T12:00:00")))[0]
    assert runs(node) == ["failing 11-25 09:00 late"]

    node = a_node(lambda s: s.daily("09:00", "UTC", "x"))
    assert node.sleeps_until(Topic.CLOCK) == AWAKE
    node.handle(clock(at("2013-11-25T00:00:00")))
    assert node.sleeps_until(Topic.CLOCK) == at("2013-11-25T09:00:00")
    quiet = a_node(lambda s: None)
    quiet.handle(clock(at("2013-11-25T00:00:00")))
    assert quiet.sleeps_until(Topic.CLOCK) == ASLEEP


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda s: s.cron("x", "0 9 30 * * MON-FRI", tz="UTC"), r"'s1' cannot be set up: .*hour: 30 is not in 0\.\.23"),
        (lambda s: s.cron("x", "0 30 9 * * MON-FRI", tz="Europe/Stokholm"), "did you mean 'Europe/Stockholm'"),
        (lambda s: [s.daily("09:00", "UTC", "x") for _ in range(2)], "schedule 'x' is declared twice"),
        (lambda s: s.at_open("x", "SPX"), "symbol 'SPX' has no .* entry"),
        (lambda s: s.every("x"), "every 0 s"),
        (lambda s: s.daily("09:00", "UTC", "x", missed="never"), "missed is 'never'"),
        (lambda s: s.scheduled_for("x"), "schedule 'x' is not declared"),
    ],
)
def test_a_declaration_that_cannot_be_names_the_strategy_and_the_reason(declare: Callable[[Strategy], None], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        a_node(declare)


def test_a_strategy_with_schedules_keeps_its_promises() -> None:
    def declare(strategy: Strategy) -> None:
        strategy.every("often", minutes=7, missed="run_all")
        strategy.at_close("close", "SPY", offset_s=-600)
        strategy.cron("open", "0 30 9 * * MON-FRI", tz="America/New_York", missed="skip")

    moments = [at("2013-11-27T12:00:00") + n * 1_700 * NS for n in range(60)]
    check_strategy(lambda: a_node(declare), [ClockTicked(now_ns=moment) for moment in moments])
