"""The test kit, as a user calls it: an honest strategy passes, and each way to break a promise is caught and named."""

from __future__ import annotations

import datetime
import logging
import os
import random
import re
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest

from barque.errors import ConfigError
from barque.messages import Bar, ClockTicked, Fill, OrderCancelled, OrderModified, Signal, SubmitOrder
from barque.strategy import SMA, OrderEvent, Strategy, StrategyParams, StrategyState
from gotobi import Gotobi
from sma_cross import SmaCross
from strategy_host.core.venue import AnsweringVenue
from strategy_host.testing import (
    bars,
    check_hooks,
    check_no_look_ahead,
    check_strategy,
    instrument,
    make_node,
    run,
    wave,
    with_time,
)

UP_AND_DOWN = bars(*(1.10 + 0.001 * (n % 7) for n in range(40)))


class Honest(Strategy):
    """Follows an average; what it needs is where a restart finds it."""

    class Params(StrategyParams, frozen=True):
        length: int = 3

    class State(StrategyState):
        turns: int = 0

    params: Params
    state: State

    def setup(self) -> None:
        self.average = self.indicator(SMA(self.params.length))

    def on_bar(self, bar: Bar) -> None:
        mean = self.average.update(bar.close)
        if mean is not None and self.wants(bar, mean):
            self.state.turns += 1
            self.target(bar.symbol, 1 if bar.close > mean else -1, reason=f"turn {self.state.turns}")

    def wants(self, bar: Bar, mean: float) -> bool:
        """What the bad ones get wrong."""
        return bar.close != mean


def fault_of(strategy: type[Strategy], **arguments: object) -> str:
    """How the kit refuses it."""
    with pytest.raises(AssertionError) as caught:
        check_strategy(strategy, bars=UP_AND_DOWN, **arguments)  # type: ignore[arg-type]
    return str(caught.value)


# ---- honest ones


def test_an_honest_strategy_passes_and_what_it_said_is_returned() -> None:
    outputs = check_strategy(Honest, symbols=("EURUSD",), params={"length": 2}, bars=bars(1.0, 1.1, 1.1, 1.0))
    assert [(m.target, m.reason) for _, m in outputs] == [(Decimal(1), "turn 1"), (Decimal(-1), "turn 2")]


@pytest.mark.parametrize(("strategy", "symbols"), [(SmaCross, ("EURUSD", "USDJPY")), (Gotobi, ("USDJPY",))])
def test_the_shipped_strategies_keep_their_promises_over_bars_that_the_kit_makes(
    strategy: type[Strategy], symbols: tuple[str, ...]
) -> None:
    outputs = check_strategy(strategy, symbols=symbols)
    assert outputs


def test_parameters_are_checked_as_a_host_checks_them() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'strategies.test.params.lenght'; did you mean 'length'"):
        check_strategy(Honest, params={"lenght": 3})


# ---- bad ones


def test_an_exception_is_caught_with_its_line() -> None:
    class Raising(Honest):
        def wants(self, bar: Bar, mean: float) -> bool:
            return bool(1 / round((bar.close - 1.103) * 1_000))

    assert re.match(
        r"message \d+ \(Bar at \d+ ns\): strategy 'test' is paused: ZeroDivisionError: .*"
        r"\(test_testing.py:\d+, in wants, called by on_bar\)",
        fault_of(Raising),
    )


def test_an_endless_loop_is_caught_with_its_line() -> None:
    class Looping(Honest):
        def wants(self, bar: Bar, mean: float) -> bool:
            while bar.close > 1.1:
                pass
            return False

    began = time.monotonic()
    text = fault_of(Looping, hook_timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert re.search(r"it ran longer than 0.3 s for one message \(test_testing.py:\d+, in wants, called by on_bar\)", text)


def test_state_that_a_snapshot_loses_is_caught_and_where_it_belongs_is_said() -> None:
    class Forgetful(Honest):
        def setup(self) -> None:
            super().setup()
            self.seen = 0

        def wants(self, bar: Bar, mean: float) -> bool:
            self.seen += 1
            return self.seen % 3 == 0

    text = fault_of(Forgetful)
    assert re.match(r"message \d+ \(Bar at \d+ ns\): restored, it says .*; uninterrupted, ", text)
    assert text.endswith("what a restart must find belongs into State, or into an indicator that setup declares")


def test_an_indicator_that_was_not_declared_is_caught() -> None:
    class Undeclared(Honest):
        def setup(self) -> None:
            self.average = SMA(3)

    assert "restored, it says []" in fault_of(Undeclared)


ASKS = {
    "time": (lambda: time.time(), r"it asks the wall's clock: time\.time"),
    "nanoseconds": (lambda: time.time_ns(), r"it asks the wall's clock: time\.time_ns"),
    "monotonic": (lambda: time.monotonic(), r"it asks the wall's clock: time\.monotonic"),
    "now": (lambda: datetime.datetime.now(datetime.UTC), r"it asks the wall's clock: datetime\.now"),
    "today": (lambda: datetime.date.today(), r"it asks the wall's clock: date\.today"),  # noqa: DTZ011
    "sleep": (lambda: time.sleep(0), r"it asks the wall's clock: time\.sleep"),
    "random": (lambda: random.random(), r"it asks chance: the module random \(random\)"),
    "choice": (lambda: random.choice((1, 2)), r"it asks chance: the module random \(getrandbits\)"),
    "uuid": (lambda: uuid.uuid4(), r"it asks chance: os\.urandom"),
    "urandom": (lambda: os.urandom(4), r"it asks chance: os\.urandom"),
}


@pytest.mark.parametrize("name", ASKS)
def test_a_hook_that_asks_the_clock_or_chance_is_caught_though_it_says_the_same(name: str) -> None:
    ask, expected = ASKS[name]

    class Asking(Honest):
        def wants(self, bar: Bar, mean: float) -> bool:
            ask()
            return super().wants(bar, mean)

    pattern = rf"message 5 \(Bar at \d+ ns\): {expected} \(test_testing.py:\d+, in <lambda>, called by on_bar\); what a strategy"
    assert re.match(pattern, fault_of(Asking))


def test_a_setup_that_asks_the_clock_is_caught() -> None:
    class Dated(Honest):
        def setup(self) -> None:
            super().setup()
            self.born_ns = time.time_ns()

    assert re.match(r"setup: it asks the wall's clock: time\.time_ns \(test_testing.py:\d+, in setup\)", fault_of(Dated))


@pytest.mark.parametrize("where", ["setup", "on_bar"])
def test_a_strategy_that_reads_the_recording_is_caught(tmp_path: Path, where: str) -> None:
    """The classic look at the future: signals computed from the whole file beforehand."""
    recording = tmp_path / "closes.txt"
    recording.write_text("\n".join(str(bar.close) for bar in UP_AND_DOWN))

    class Reading(Honest):
        def setup(self) -> None:
            super().setup()
            if where == "setup":
                self.read()

        def read(self) -> list[float]:
            return [float(line) for line in recording.read_text().splitlines()]

        def wants(self, bar: Bar, mean: float) -> bool:
            return where == "on_bar" and self.read()[-1] > mean

    text = fault_of(Reading)
    assert f"it opens the file '{recording}' (test_testing.py:" in text
    assert f", in read, called by {where})" in text


def test_a_look_ahead_is_caught() -> None:
    """What the first object has heard, the second one knows beforehand."""

    class Prophet(Honest):
        closes: ClassVar[dict[int, float]] = {}

        def wants(self, bar: Bar, mean: float) -> bool:
            self.closes[bar.ts_open_ns] = bar.close
            return self.closes.get(bar.ts_close_ns, 0.0) > bar.close

    assert re.match(r"message \d+ \(Bar .*\): it says \[.*, and in a second run over the same messages \[", fault_of(Prophet))


def test_a_strategy_that_knows_how_long_the_recording_is_is_caught() -> None:
    """Each object is told beforehand how many bars will come: nothing that a run from its beginning shows."""
    lengths = iter([])

    class Knowing(Honest):
        def setup(self) -> None:
            super().setup()
            self.last_ns = next(lengths, UP_AND_DOWN[-1].ts_close_ns)

        def wants(self, bar: Bar, mean: float) -> bool:
            return bar.ts_close_ns == self.last_ns

    messages = with_time(UP_AND_DOWN)
    assert run(make_node(Knowing), messages)
    count = 0

    def make() -> object:
        nonlocal count, lengths
        ends = [len(messages), len(messages) // 2, len(messages)]
        lengths = iter([messages[ends[count] - 1].ts_close_ns])
        count += 1
        return make_node(Knowing)

    with pytest.raises(AssertionError, match=r"nothing follows message \d+: it knows what has not happened yet"):
        check_no_look_ahead(make, messages, cuts=2)  # type: ignore[arg-type]


# ---- what is no fault


def test_what_the_host_and_the_log_do_on_their_own_account_is_no_fault() -> None:
    class Logging(Honest):
        def setup(self) -> None:
            super().setup()
            self.at_open("open", self.symbols[0])
            self.daily("00:01", "Europe/Berlin", "minute")

        def wants(self, bar: Bar, mean: float) -> bool:
            logging.getLogger("test").info("seen")
            return super().wants(bar, mean)

    assert check_strategy(Logging, bars=UP_AND_DOWN)


def test_a_generator_of_its_own_that_a_restart_finds_again_is_no_fault() -> None:
    class Seeded(Honest):
        def wants(self, bar: Bar, mean: float) -> bool:
            return random.Random(bar.ts_open_ns).random() < 0.5

    assert check_strategy(Seeded, bars=UP_AND_DOWN)


# ---- what the kit makes


def test_bars_follow_one_another_and_each_opens_where_the_one_before_closed() -> None:
    one, two, three = bars(1.0, 1.2, 1.1, symbol="USDJPY", interval="5m", price="ask")
    assert (one.open, two.open, three.open) == (1.0, 1.0, 1.2)
    assert (two.low, two.high, three.low, three.high) == (1.0, 1.2, 1.1, 1.2)
    assert (two.ts_open_ns, two.ts_close_ns - two.ts_open_ns) == (one.ts_close_ns, 5 * 60 * 10**9)
    assert (one.symbol, one.interval, one.price) == ("USDJPY", "5m", "ask")
    assert bars() == []


def test_the_wave_has_bid_and_ask_bars_of_every_series() -> None:
    made = wave(("EURUSD", "USDJPY"), ("1m", "tick:100"))
    series = {(bar.symbol, bar.interval, bar.price) for bar in made}
    assert len(series) == 8
    assert len({bar.id for bar in made}) == len(made) == 8 * 300


def test_the_time_is_told_before_each_instant() -> None:
    messages = with_time([*bars(1.0, 2.0, price="ask"), *bars(1.0, 2.0)])
    assert [type(m) for m in messages] == [ClockTicked, Bar, Bar] * 2
    assert messages[0].now_ns == messages[1].ts_close_ns == messages[2].ts_close_ns


def test_instruments_are_made_up_where_none_are_given() -> None:
    assert (instrument("EURUSD").tick_size, instrument("USDJPY").tick_size) == (Decimal("0.00001"), Decimal("0.001"))
    assert (instrument("SPY").asset_class, instrument("SPY").currency) == ("stock", "USD")
    finer = instrument("EURUSD", tick_size=Decimal("0.5"))
    assert make_node(Honest, instruments=[finer])._strategy.instrument("EURUSD") is finer


class Trader(Strategy):
    """Does one thing at each bar."""

    def on_bar(self, bar: Bar) -> None:
        step = round(bar.open)
        if step == 0:
            self.buy(bar.symbol, 3)
        elif step == 1:
            self.close(bar.symbol, 2)
        elif step == 2:
            self.target(bar.symbol, -4)
        elif step == 3:
            self.sell(bar.symbol, 1, limit_price=9)
        elif step == 4:
            self.modify(bar.symbol, self.open_orders()[0].order_id, limit_price=8)
        elif step == 5:
            self.cancel(bar.symbol)
        elif step == 6:
            self.close(bar.symbol)
        elif step == 7:
            self.target_percent(bar.symbol, -30)
        elif step == 8:
            self.close("EURUSD", 5)

    def on_order(self, event: OrderEvent) -> None:
        self.notify(type(event).__name__)


def test_orders_are_answered_so_that_a_strategy_sees_its_fills() -> None:
    node = make_node(Trader)
    heard = check_hooks(lambda: node, with_time(opening(11)), venue=AnsweringVenue()).heard
    fills = [(float(m.price), m.signed_quantity) for m in heard if isinstance(m, Fill)]
    assert fills == [(1.0, 3), (2.0, -2), (3.0, -5), (7.0, 4), (8.0, -1), (9.0, 1)]
    changed = [m.limit_price for m in heard if isinstance(m, OrderModified)]
    assert changed == [Decimal("8.00000")]
    assert len([m for m in heard if isinstance(m, OrderCancelled)]) == 1
    assert len([m for m in heard if isinstance(m, SubmitOrder)]) == 7
    assert node._strategy.open_orders() == ()
    assert node._strategy.position("EURUSD") == 0


def opening(count: int) -> list[Bar]:
    """Bars that open at 0, 1, 2 …"""
    return bars(*(float(n) for n in range(count + 1)))[1:]


def test_without_answers_nobody_fills() -> None:
    outputs = check_strategy(Trader, bars=opening(3), answers=False)
    assert [m.action for _, m in outputs if isinstance(m, Signal)] == ["enter", "reduce", "target"]
