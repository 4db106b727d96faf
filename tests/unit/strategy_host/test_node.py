"""The node around one strategy: what it is fed, what it lets out, what survives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError, StrategyError
from barque.messages import (
    Bar,
    CancelRequest,
    Fill,
    Halt,
    Message,
    OrderCancelled,
    OrderRejected,
    OrderUnknown,
    Quote,
    RejectReason,
    Resume,
    Signal,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    Topic,
    Trade,
)
from barque.strategy import SMA, OrderEvent, Strategy, StrategyParams, StrategyState
from barque.strategy.testing import check_no_look_ahead, check_restores
from strategy_host.core.node import StrategyNode
from tests.support.builders import MINUTE, NS, T0, a_bar, a_fill, a_quote, an_acceptance, an_order, clock, eurusd, usdjpy
from tests.support.hosting import alerts, command, feed, order_event, signals


class Diary(Strategy):
    """Writes down what it hears; buys at each bar that closes above its average and does as its parameters say."""

    class Params(StrategyParams, frozen=True):
        length: int = 2
        fail_at: float = 0.0
        size: Decimal = Decimal(1)

    class State(StrategyState):
        heard: list[str] = []  # noqa: RUF012
        starts: int = 0

    params: Params
    state: State

    def setup(self) -> None:
        self.average = self.indicator(SMA(self.params.length))
        self.daily("00:05", "UTC", "five")
        self.daily("00:05", "UTC", "five sharp", missed="skip", grace_s=0)

    def on_start(self) -> None:
        self.state.starts += 1

    def on_bar(self, bar: Bar) -> None:
        self.state.heard.append(f"bar {bar.price}")
        mean = self.average.update(bar.close)
        if mean is not None and bar.close > mean:
            self.buy(bar.symbol, self.params.size)
        if bar.close == self.params.fail_at:
            raise RuntimeError("out of ideas")

    def on_fill(self, fill: Fill) -> None:
        self.state.heard.append(f"fill {fill.exec_id}")

    def on_order(self, event: OrderEvent) -> None:
        self.state.heard.append(type(event).__name__)

    def on_signal_rejected(self, rejection: SignalRejected) -> None:
        self.state.heard.append(f"rejected {rejection.reason}")

    def on_schedule(self, name: str) -> None:
        self.state.heard.append(f"schedule {name}")
        self.sell(self.symbols[0], 1)

    def on_stop(self) -> None:
        self.cancel(self.symbols[0])


class Ticker(Strategy):
    """Buys at every tick."""

    def on_tick(self, tick: Quote | Trade) -> None:
        self.buy(tick.symbol, 1)


def a_node(cls: type[Strategy] = Diary, **params: Any) -> StrategyNode:
    """Strategy `s1` on one-minute EURUSD bars."""
    config = StrategyConfig(id="s1", strategy="test", symbols=("EURUSD",), params=params)
    return StrategyNode(config, cls, [eurusd(), usdjpy()])


def heard(node: StrategyNode) -> list[str]:
    state = node._strategy.state
    assert isinstance(state, Diary.State)
    return state.heard


def rising(count: int, start: int = T0) -> list[Bar]:
    return [a_bar(start + n * MINUTE, close=1.38 + n / 1000) for n in range(count)]


def a_rejection(**changes: Any) -> SignalRejected:
    base: dict[str, Any] = {"signal_id": "s1/1/0", "cause": "s1/1/0", "root": "r", "strategy_id": "s1", "symbol": "EURUSD"}
    return SignalRejected(**(base | {"ts_event_ns": T0, "reason": RejectReason.NO_PRICE, "detail": "none yet"} | changes))


def test_a_signal_is_named_after_what_caused_it() -> None:
    bar = a_bar(T0 + MINUTE, close=1.39, root="EURUSD.7")
    (signal,) = signals(feed(a_node(), a_bar(T0), bar))
    assert signal == Signal(
        id=f"s1/EURUSD.1m.bid.{T0 + MINUTE}/0",
        cause=f"EURUSD.1m.bid.{T0 + MINUTE}",
        root="EURUSD.7",
        strategy_id="s1",
        symbol="EURUSD",
        ts_event_ns=T0 + 2 * MINUTE,
        action="enter",
        side="buy",
        quantity=Decimal(1),
    )


def test_two_ticks_of_one_timestamp_give_signals_of_different_ids_through_a_restart_too() -> None:
    node = a_node(Ticker)
    first = signals(feed(node, a_quote(T0), clock(T0)))
    reborn = a_node(Ticker)
    reborn.restore(node.snapshot())
    second = signals(feed(reborn, a_quote(T0, bid=1.3867), a_quote(T0 + 1)))
    assert [s.id for s in first + second] == [f"s1/EURUSD.{T0}/0", f"s1/EURUSD.{T0}/1", f"s1/EURUSD.{T0 + 1}/0"]


def test_only_a_strategy_with_on_tick_reads_ticks() -> None:
    assert Topic.TICKS in a_node(Ticker).inputs
    assert Topic.TICKS not in a_node(Diary).inputs


def test_it_hears_its_own_symbols_interval_and_orders_only() -> None:
    node = a_node()
    others = (
        a_bar(symbol="USDJPY"),
        a_bar(interval="5m"),
        a_fill(strategy_id="s2"),
        an_order(strategy_id="s2"),
        a_rejection(strategy_id="s2"),
        command(StopStrategy, strategy_id="s2"),
    )
    assert feed(node, *others) == []
    feed(node, a_bar(), a_rejection())
    assert heard(node) == ["bar bid", "rejected no_price"]


def test_a_position_is_the_sum_of_its_own_fills_each_booked_once() -> None:
    node = a_node()
    feed(node, a_fill(quantity=Decimal("1.5")), a_fill(quantity=Decimal("1.5")), a_fill(exec_id="o2-1", side="sell"))
    assert node._strategy.position("EURUSD") == Decimal("0.5")
    assert heard(node) == ["fill o1-1", "fill o2-1"]
    feed(node, a_fill(exec_id="o2-2", side="sell", quantity=Decimal("0.5")))
    assert node._strategy.position("EURUSD") == 0


def test_a_correction_replaces_the_execution_it_corrects() -> None:
    node = a_node()
    feed(node, a_fill(quantity=Decimal(2)), a_fill(exec_id="o1-1c", corrects="o1-1", quantity=Decimal(3)))
    assert node._strategy.position("EURUSD") == 3


def test_a_correction_of_an_unknown_execution_changes_nothing_and_is_reported() -> None:
    node = a_node()
    outputs = feed(node, a_fill(), a_fill(exec_id="x", corrects="long ago", quantity=Decimal(9)))
    assert node._strategy.position("EURUSD") == 1
    assert [alert.name for alert in alerts(outputs)] == ["fill_correction_unknown"]


def test_an_order_is_open_from_its_submission_until_it_can_trade_no_more() -> None:
    node = a_node()
    feed(node, an_order(quantity=Decimal(3), tag="entry"))
    (order,) = node._strategy.open_orders("EURUSD")
    assert (order.status, order.leaves_quantity, order.signal_id, order.tag) == ("submitted", 3, "s1/1/0", "entry")
    feed(node, order_event(OrderUnknown))
    assert node._strategy.open_orders()[0].status == "unknown"
    feed(node, an_acceptance(), a_fill(leaves_quantity=Decimal(2)))
    (order,) = node._strategy.open_orders()
    assert (order.status, order.leaves_quantity) == ("working", 2)
    feed(node, order_event(OrderCancelled))
    assert node._strategy.open_orders() == ()
    assert heard(node) == ["SubmitOrder", "OrderUnknown", "OrderAccepted", "fill o1-1", "OrderCancelled"]


def test_a_fill_that_overtakes_its_order_leaves_nothing_open() -> None:
    node = a_node()
    feed(node, a_fill(), an_order())
    assert node._strategy.open_orders() == ()


def test_a_refused_order_is_not_open() -> None:
    node = a_node()
    feed(node, an_order(), order_event(OrderRejected, reason=RejectReason.VENUE))
    assert node._strategy.open_orders() == ()


def test_a_stopped_strategy_goes_on_watching_but_sends_nothing_until_it_is_started() -> None:
    node, bars = a_node(), rising(6)
    assert len(signals(feed(node, *bars[:2]))) == 1
    (last,) = signals(feed(node, command(StopStrategy, strategy_id="s1")))
    assert isinstance(last, CancelRequest)  # on_stop may still speak
    assert signals(feed(node, *bars[2:4], a_fill())) == []
    assert node._strategy.position("EURUSD") == 1
    assert heard(node).count("bar bid") == 4
    resumed = feed(node, command(StartStrategy, strategy_id="s1"), *bars[4:])
    assert [s.cause for s in signals(resumed)] == [bar.id for bar in bars[4:]]


def test_while_the_book_is_halted_nothing_is_sent() -> None:
    node, bars = a_node(), rising(4)
    assert signals(feed(node, bars[0], command(Halt), bars[1], bars[2])) == []
    assert len(signals(feed(node, command(Resume), bars[3]))) == 1


def test_a_strategy_that_raises_is_paused_and_says_so_and_its_wishes_of_that_message_are_dropped() -> None:
    node, bars = a_node(fail_at=1.382), rising(5)
    outputs = feed(node, *bars[:3])
    assert [s.cause for s in signals(outputs)] == [bars[1].id]
    (alert,) = alerts(outputs)
    assert (alert.name, alert.severity, alert.source) == ("strategy_failed", "critical", "strategy.s1")
    assert "strategy 's1' is paused: RuntimeError: out of ideas (test_node.py:" in alert.text
    assert "start it again" in alert.text
    assert feed(node, bars[3], a_fill(), clock(T0 + 10 * MINUTE)) == []
    assert node._strategy.position("EURUSD") == 1
    assert heard(node).count("bar bid") == 3
    resumed = feed(node, command(StartStrategy, strategy_id="s1"), bars[4])
    assert [s.cause for s in signals(resumed)] == [bars[4].id]


def test_a_paused_strategy_stays_paused_through_a_restart() -> None:
    node, bars = a_node(fail_at=1.382), rising(5)
    feed(node, *bars[:3])
    reborn = a_node(fail_at=1.382)
    reborn.restore(node.snapshot())
    assert feed(reborn, *bars[3:]) == []


def test_schedules_run_on_the_clock_and_a_missed_one_follows_its_policy() -> None:
    node = a_node()
    assert feed(node, clock(T0), clock(T0 + 5 * MINUTE - 1)) == []
    on_time = feed(node, clock(T0 + 5 * MINUTE))
    assert [s.id for s in signals(on_time)] == [f"s1/clock.{T0 + 5 * MINUTE}/{n}" for n in (0, 1)]
    late = feed(node, clock(T0 + 1440 * MINUTE + 6 * MINUTE))
    assert heard(node) == ["schedule five", "schedule five sharp", "schedule five"]
    assert [(a.name, "'five sharp' was missed" in a.text) for a in alerts(late)] == [("strategy_notice", True)]


def test_time_never_goes_back() -> None:
    node = a_node()
    feed(node, clock(T0 + 60 * MINUTE), a_bar(T0))
    assert node._strategy.now == T0 + 60 * MINUTE


def test_on_start_runs_once_in_a_strategys_life_and_setup_at_every_restart() -> None:
    node = a_node()
    feed(node, *rising(3))
    reborn = a_node()
    reborn.restore(node.snapshot())
    feed(reborn, *rising(2, T0 + 3 * MINUTE))
    state = reborn._strategy.state
    assert isinstance(state, Diary.State)
    assert state.starts == 1


def test_restored_at_every_message_it_does_what_an_uninterrupted_run_does() -> None:
    messages: list[Message] = [
        clock(T0),
        *rising(4),
        an_order(T0 + 4 * MINUTE, quantity=Decimal(2)),
        an_acceptance(),
        a_fill(T0 + 4 * MINUTE, leaves_quantity=Decimal(1)),
        clock(T0 + 5 * MINUTE),
        command(StopStrategy, strategy_id="s1"),
        *rising(3, T0 + 5 * MINUTE),
        a_fill(T0 + 8 * MINUTE, exec_id="o1-2"),
        a_rejection(),
        command(StartStrategy, strategy_id="s1"),
        command(Halt),
        clock(T0 + 1450 * MINUTE),
        command(Resume),
        *rising(6, T0 + 1450 * MINUTE),
        a_bar(T0 + 1460 * MINUTE, close=1.5),  # fails
        a_bar(T0 + 1461 * MINUTE),
        command(StartStrategy, strategy_id="s1"),
        *rising(3, T0 + 1462 * MINUTE),
    ]
    check_restores(lambda: a_node(fail_at=1.5), messages)
    check_no_look_ahead(lambda: a_node(fail_at=1.5), messages, cuts=40)
    outputs = feed(a_node(fail_at=1.5), *messages)
    assert len(signals(outputs)) > 10
    assert {alert.name for alert in alerts(outputs)} == {"strategy_notice", "strategy_failed"}


def test_an_indicator_with_another_parameter_begins_anew_after_a_restart() -> None:
    node = a_node(length=2)
    feed(node, *rising(3))
    reborn = a_node(length=3)
    reborn.restore(node.snapshot())
    assert signals(feed(reborn, *rising(2, T0 + 3 * MINUTE))) == []
    assert len(signals(feed(reborn, *rising(1, T0 + 5 * MINUTE)[:1], a_bar(T0 + 6 * MINUTE, close=1.5)))) >= 1


def test_empty_bytes_make_a_new_node() -> None:
    node = a_node()
    feed(node, *rising(3), a_fill())
    node.restore(b"")
    assert node.snapshot() == a_node().snapshot()


def test_a_kept_state_that_does_not_fit_is_refused_with_the_way_out() -> None:
    class Other(Diary):
        class State(StrategyState):  # type: ignore[assignment]
            heard: int = 0

    node = a_node()
    feed(node, *rising(1))
    with pytest.raises(StrategyError, match=r"strategy 's1' does not fit its State.*give changed fields a new name"):
        a_node(Other).restore(node.snapshot())


def test_prices_and_quantities_are_put_on_the_instruments_grid() -> None:
    class Bracketed(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.buy(bar.symbol, 2.7, order_type="limit", limit_price=bar.close, stop_loss=1.3812345, take_profit=Decimal("1.4"))
            self.target(bar.symbol, -2, reason="turn")
            self.close(bar.symbol)
            self.close(bar.symbol, 1, tag="part")
            self.sell(bar.symbol, risk_fraction=0.01, stop_loss=1.5, time_in_force="ioc", valid_until_ns=self.now + NS)

    buy, target, close, part, sell = signals(feed(a_node(Bracketed), a_bar(close=1.386764)))
    assert (buy.quantity, buy.limit_price, buy.stop_loss) == (Decimal(2), Decimal("1.38676"), Decimal("1.38123"))
    assert (buy.order_type, buy.take_profit) == ("limit", Decimal("1.40000"))
    assert (target.action, target.target, target.reason) == ("target", Decimal(-2), "turn")
    assert (close.action, close.quantity, part.action, part.quantity, part.tag) == ("exit", None, "reduce", 1, "part")
    assert (sell.side, sell.risk_fraction, sell.time_in_force, sell.valid_until_ns) == (
        "sell",
        Decimal("0.01"),
        "ioc",
        T0 + MINUTE + NS,
    )
    assert [s.id[-2:] for s in (buy, target, close, part, sell)] == ["/0", "/1", "/2", "/3", "/4"]


def test_trading_a_symbol_without_an_instrument_pauses_the_strategy_with_the_nearest_one() -> None:
    class Mistyped(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.buy("EURUDS", 1)

    (alert,) = alerts(feed(a_node(Mistyped), a_bar()))
    assert "symbol 'EURUDS' has no [[instruments]] entry; did you mean 'EURUSD'?" in alert.text


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"lenght": 3}, "unknown key 'strategies.s1.params.lenght'; did you mean 'length'?"),
        ({"length": "many"}, "key 'strategies.s1.params.length': expected `int`"),
        ({"length": 0}, "strategy 's1' cannot be set up: ValueError: length is 0"),
    ],
)
def test_wrong_parameters_name_strategy_key_and_way_out(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace("?", r"\?")):
        a_node(**params)


def test_setup_cannot_trade_and_a_later_hook_cannot_declare() -> None:
    class Early(Strategy):
        def setup(self) -> None:
            self.buy("EURUSD", 1)

    class Late(Strategy):
        def on_start(self) -> None:
            self.indicator(SMA(3))

    with pytest.raises(ConfigError, match="setup cannot trade"):
        a_node(Early)
    (alert,) = alerts(feed(a_node(Late), a_bar()))
    assert "declared in setup" in alert.text


def test_a_symbol_or_interval_that_cannot_be_is_refused() -> None:
    for changes, text in (
        ({"symbols": ("EURUDS",)}, "'strategies.s1.symbols': 'EURUDS' has no .* did you mean 'EURUSD'"),
        ({"symbols": ()}, "'strategies.s1.symbols': at least one"),
        ({"interval": "1min"}, "'strategies.s1.interval': '1min' is not an interval"),
    ):
        base: dict[str, Any] = {"id": "s1", "strategy": "test", "symbols": ("EURUSD",)}
        with pytest.raises(ConfigError, match=text):
            StrategyNode(StrategyConfig(**(base | changes)), Diary, [eurusd()])


@pytest.mark.parametrize("wrong", ["SMA", SMA])
def test_what_is_no_indicator_is_refused_where_it_is_declared(wrong: Any) -> None:
    class Wrong(Strategy):
        def setup(self) -> None:
            self.indicator(wrong)

    with pytest.raises(ConfigError, match=r"give an object of a subclass of `Indicator`, such as SMA\(20\)"):
        a_node(Wrong)
