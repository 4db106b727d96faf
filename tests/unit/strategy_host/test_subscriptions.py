"""What a strategy may ask to be told: several symbols, several intervals, windows on the past, its account."""

from __future__ import annotations

from decimal import Decimal

import pytest

from barque.config import CommonConfig, StrategyConfig
from barque.errors import ConfigError
from barque.messages import Bar, Message, StartStrategy, Topic
from barque.strategy import BarHistory, Strategy, StrategyParams, StrategyState
from barque.strategy.testing import check_restores
from strategy_host.core.loading import node_factories
from strategy_host.core.node import StrategyNode
from tests.support.builders import MINUTE, T0, a_bar, a_fill, clock, eurusd, usdjpy
from tests.support.hosting import alerts, command, equity, feed, hosted, signals


class Listener(Strategy):
    """Writes down which bars it hears."""

    class State(StrategyState):
        heard: list[str] = []  # noqa: RUF012

    state: State

    def on_bar(self, bar: Bar) -> None:
        self.state.heard.append(bar.id)


def heard(node: StrategyNode) -> list[str]:
    state = node._strategy.state
    assert isinstance(state, Listener.State)
    return state.heard


# ---- symbols and intervals


def test_it_hears_each_of_its_symbols_in_each_of_its_intervals_and_nothing_else() -> None:
    node = hosted(Listener, ("EURUSD", "USDJPY"), "1m", ("1h", "tick:100"))
    assert node._strategy.intervals == ("1m", "1h", "tick:100")
    assert node._strategy.interval == "1m"
    bars = [
        a_bar(T0, interval=interval, symbol=symbol, price=price)
        for interval in ("1m", "5m", "1h", "tick:100", "tick:50")
        for symbol in ("EURUSD", "USDJPY", "GBPUSD")
        for price in ("bid", "ask")
    ]
    feed(node, *bars)
    assert heard(node) == [b.id for b in bars if b.interval in ("1m", "1h", "tick:100") and b.symbol != "GBPUSD"]


def test_bars_that_are_not_made_of_time_are_told_apart_by_their_number() -> None:
    node = hosted(Listener, interval="tick:100")
    feed(node, *(a_bar(T0, interval="tick:100", seq=n) for n in range(3)))
    assert heard(node) == [f"EURUSD.tick:100.bid.{T0}", f"EURUSD.tick:100.bid.{T0}.1", f"EURUSD.tick:100.bid.{T0}.2"]


def test_an_interval_named_twice_is_heard_once() -> None:
    node = hosted(Listener, interval="1m", intervals=("1m", "5m", "5m"))
    assert node.intervals == ("1m", "5m")
    feed(node, a_bar())
    assert len(heard(node)) == 1


def test_a_further_interval_that_is_none_is_refused_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"key 'strategies.s1.intervals': '5min' is not an interval.*did you mean '5m'"):
        hosted(Listener, intervals=("1h", "5min"))


class Sized(Strategy):
    class Params(StrategyParams, frozen=True):
        size: Decimal = Decimal(1)

    params: Params

    def on_bar(self, bar: Bar) -> None:
        self.target(bar.symbol, self.params.size)


def test_instances_of_one_class_have_parameters_states_ids_and_positions_of_their_own() -> None:
    entries = tuple(
        StrategyConfig(id=f"s{size}", strategy=f"{__name__}:Sized", symbols=("EURUSD",), params={"size": size}) for size in (2, 3)
    )
    one, other = (make() for make in node_factories(CommonConfig(instruments=(eurusd(),), strategies=entries)).values())
    assert [(s.id, s.target) for node in (one, other) for s in signals(feed(node, a_bar()))] == [
        (f"s2/EURUSD.1m.bid.{T0}/0", 2),
        (f"s3/EURUSD.1m.bid.{T0}/0", 3),
    ]
    for node in (one, other):
        feed(node, a_fill(strategy_id="s2", quantity=Decimal(2)), a_fill(strategy_id="s3", exec_id="x", side="sell"))
    assert [node._strategy.position("EURUSD") for node in (one, other)] == [2, -1]


# ---- histories


class Looking(Strategy):
    """Says what it sees in its windows at each bar."""

    class Params(StrategyParams, frozen=True):
        length: int = 3
        price: str | None = "bid"

    params: Params

    def setup(self) -> None:
        price: str | None = self.params.price
        self.minutes: BarHistory = self.history("EURUSD", self.params.length, price=price)  # type: ignore[arg-type]
        if len(self.intervals) > 1:
            self.hours = self.history("EURUSD", 2, interval="1h", price="bid")

    def on_bar(self, bar: Bar) -> None:
        self.notify(f"{self.minutes.closes} {self.minutes.full}")


def closing(*closes: float, **changes: object) -> list[Bar]:
    return [a_bar(T0 + n * MINUTE, close=close, **changes) for n, close in enumerate(closes)]


def texts(node: StrategyNode, *messages: Message) -> list[str]:
    return [alert.text.removeprefix("s1: ") for alert in alerts(feed(node, *messages))]


def test_a_window_has_the_last_bars_with_the_running_one_as_its_newest() -> None:
    expected = ["[1.0] False", "[1.0, 2.0] False", "[1.0, 2.0, 3.0] True", "[2.0, 3.0, 4.0] True"]
    assert texts(hosted(Looking), *closing(1.0, 2.0, 3.0, 4.0)) == expected


def test_a_window_has_the_columns_of_its_bars() -> None:
    node = hosted(Looking)
    bars = [a_bar(T0 + n * MINUTE, open=n, high=n + 0.4, low=n - 0.3, close=n + 0.1, volume=10.0 * n) for n in range(5)]
    feed(node, *bars)
    strategy = node._strategy
    assert isinstance(strategy, Looking)
    window = strategy.minutes
    assert (window[-1], window[0], len(window), list(window)) == (bars[4], bars[2], 3, bars[2:])
    assert (window.opens, window.highs, window.lows) == ([2, 3, 4], [2.4, 3.4, 4.4], [1.7, 2.7, 3.7])
    assert (window.closes, window.volumes) == ([2.1, 3.1, 4.1], [20.0, 30.0, 40.0])


def test_a_window_takes_one_price_and_one_interval() -> None:
    node = hosted(Looking, intervals=("1h",))
    feed(node, *closing(1.0, 2.0), *closing(7.0, price="ask"), *closing(8.0, interval="1h"), *closing(9.0, symbol="USDJPY"))
    strategy = node._strategy
    assert isinstance(strategy, Looking)
    assert (strategy.minutes.closes, strategy.hours.closes) == ([1.0, 2.0], [8.0])


def test_a_window_that_nobody_gave_a_price_takes_a_series_of_one_and_refuses_two() -> None:
    node = hosted(Looking, price=None)
    assert texts(node, *closing(1.0, 2.0, price="ask"))[-1] == "[1.0, 2.0] False"
    (alert,) = alerts(feed(node, *closing(1.0, price="bid")))
    assert alert.name == "strategy_failed"
    assert "EURUSD has ask and bid bars of 1m; say which" in alert.text


def test_windows_survive_a_restart_at_every_bar() -> None:
    check_restores(lambda: hosted(Looking), closing(*(float(n) for n in range(9))))


def test_a_window_of_another_length_begins_anew_after_a_restart() -> None:
    node, longer = hosted(Looking), hosted(Looking, length=4)
    feed(node, *closing(1.0, 2.0))
    longer.restore(node.snapshot())
    assert texts(longer, a_bar(close=3.0)) == ["[3.0] False"]


@pytest.mark.parametrize(
    ("symbol", "length", "interval", "text"),
    [
        ("USDJPY", 3, None, "history of 'USDJPY', which it does not watch; valid: EURUSD"),
        ("EURUSD", 3, "1h", "history of 'EURUSD' in bars of 1h, which it does not get; valid: 1m"),
        ("EURUSD", 0, None, "history of 'EURUSD' has length 0; it needs at least 1"),
    ],
)
def test_a_window_on_what_it_is_not_told_is_refused(symbol: str, length: int, interval: str | None, text: str) -> None:
    class Wrong(Strategy):
        def setup(self) -> None:
            self.history(symbol, length, interval=interval)

    with pytest.raises(ConfigError, match=text):
        hosted(Wrong)


# ---- the account


class Watching(Strategy):
    """Says its equity at each bar."""

    class Params(StrategyParams, frozen=True):
        account: str = ""

    params: Params

    def setup(self) -> None:
        self.watch_account(self.params.account)

    def on_bar(self, bar: Bar) -> None:
        self.notify(str(self.account.equity if self.account else None))


def test_only_a_strategy_that_watches_its_account_reads_the_portfolio() -> None:
    assert Topic.PORTFOLIO in hosted(Watching).inputs
    assert Topic.PORTFOLIO not in hosted(Listener).inputs


def test_the_account_is_known_from_its_first_valuation_on_through_restarts() -> None:
    node = hosted(Watching)
    assert texts(node, a_bar()) == ["None"]
    feed(node, equity(value="100"), equity(value="90"))
    reborn = hosted(Watching)
    reborn.restore(node.snapshot())
    assert texts(reborn, a_bar()) == ["90"]


def test_of_several_accounts_the_one_it_names_is_watched() -> None:
    node = hosted(Watching, account="paper")
    others = (equity(account="live", value="5"), equity(account="live", value="6"))
    assert texts(node, others[0], equity(value="90"), others[1], a_bar()) == ["90"]


def test_of_several_accounts_none_is_chosen_for_it() -> None:
    node = hosted(Watching)
    (alert,) = alerts(feed(node, equity(value="90"), equity(value="91"), equity(account="live", value="5")))
    assert alert.name == "strategy_failed"
    assert "two accounts, 'paper' and 'live'; say which in setup: self.watch_account('paper')" in alert.text
    assert texts(node, command(StartStrategy, strategy_id="s1"), a_bar()) == ["91"]


def test_the_account_of_a_strategy_that_does_not_watch_it_is_an_error_that_says_what_to_do() -> None:
    class Curious(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.notify(str(self.account))

    (alert,) = alerts(feed(hosted(Curious), a_bar()))
    assert "self.watch_account() in setup" in alert.text


def test_a_valuation_tells_the_time_too() -> None:
    node = hosted(Watching)
    feed(node, clock(T0), equity(T0 + 5))
    assert node._strategy.now == T0 + 5


def test_a_strategy_may_have_methods_and_attributes_of_any_name() -> None:
    """Private names of the host must not be what a user would think of."""

    class Free(Strategy):
        def setup(self) -> None:
            self._desk = self._params = self._state = self._account = self._schedules = self._indicators = "mine"
            self.daily("00:00", "UTC", "midnight")

        def _enter(self, bar: Bar) -> None:
            self.buy(bar.symbol, 1)

        def _signal(self) -> None:
            raise NotImplementedError

        def on_bar(self, bar: Bar) -> None:
            self._enter(bar)

    assert len(signals(feed(hosted(Free), clock(T0), a_bar()))) == 1


def test_another_symbol_of_the_book_may_be_traded_without_being_watched() -> None:
    class Elsewhere(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.buy("USDJPY", 1)

    (signal,) = signals(feed(hosted(Elsewhere), a_bar()))
    assert (signal.symbol, usdjpy().symbol) == ("USDJPY", "USDJPY")
