"""Each pre-trade check below, at and above its figure, for entries and for exits. Figures are worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from barque.calendars import instant, zone
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.messages import AccountSnapshot, DataStatus, Message, RejectReason, SetLimit, SignalRejected, SubmitOrder
from router.core.node import RouterNode
from tests.support.builders import NS, T0, a_fill, a_mark, clock, eurusd, usdjpy
from tests.support.routing import (
    a_change,
    a_router,
    a_wish,
    command,
    equity,
    feed,
    filled,
    holding,
    of_kind,
    order_of,
    refusal_of,
    wish_to,
    working,
)

D = Decimal
R = RejectReason
LIMIT: dict[str, Any] = {"order_type": "limit"}
STOP: dict[str, Any] = {"order_type": "stop"}
EURUSD_AT = {"bid": 1.25, "ask": 1.25}
"""One contract is 125,000 USD."""
USDJPY_AT = {"symbol": "USDJPY", "bid": 160.0, "ask": 160.0}
"""One contract is 16,000,000 JPY, 100,000 USD."""


def market(amount: str = "100000", **section: Any) -> RouterNode:
    """An account of so many USD, and both symbols at their prices."""
    node = a_router([eurusd(), usdjpy()], **section)
    assert feed(node, clock(T0), equity(amount), a_mark(**EURUSD_AT), a_mark(**USDJPY_AT)) == []
    return node


@dataclass
class Case:
    """A limit, a wish that it just lets pass, and one that it does not."""

    limits: dict[str, Any]
    passes: dict[str, Any]
    refused: dict[str, Any]
    reason: RejectReason
    limit: str
    actual: str
    held: int = 0
    setup: list[Message] = field(default_factory=list)


SNAPSHOT = AccountSnapshot(account="paper", ts_event_ns=T0, currency="USD", cash=D(0), equity=D(0), buying_power=D(50_000))
ONE, TWO, THREE, FOUR = ({"quantity": D(n)} for n in (1, 2, 3, 4))
CASES = {
    "max_order_quantity": Case({"max_order_quantity": "3"}, THREE, FOUR, R.ORDER_SIZE_LIMIT, "3", "4"),
    "max_order_notional": Case({"max_order_notional": "375000"}, THREE, FOUR, R.ORDER_SIZE_LIMIT, "375000", "500000"),
    "max_position": Case({"max_position": "5"}, THREE, FOUR, R.POSITION_LIMIT, "5", "6", held=2),
    "max_notional": Case({"max_notional": "625000"}, THREE, FOUR, R.NOTIONAL_LIMIT, "625000", "750000", held=2),
    "max_gross_exposure": Case(
        {"max_gross_exposure": "625000"}, THREE, FOUR, R.GROSS_EXPOSURE_LIMIT, "625000", "750000", held=2
    ),
    "max_net_exposure": Case({"max_net_exposure": "625000"}, THREE, FOUR, R.NET_EXPOSURE_LIMIT, "625000", "750000", held=2),
    "max_leverage": Case({"max_leverage": "6.25"}, THREE, FOUR, R.LEVERAGE_LIMIT, "6.25", "7.5", held=2),
    "max_margin_use_fraction": Case(
        {"max_margin_use_fraction": "0.25", "margin_fraction": "0.04"}, THREE, FOUR, R.MARGIN_LIMIT, "0.25", "0.3", held=2
    ),
    "buying power by our own figures": Case(
        {"max_buying_power_use_fraction": "0.25", "margin_fraction": "0.1"},
        ONE, TWO, R.BUYING_POWER, "18750", "25000", held=2,
    ),
    "buying power by the broker's": Case(
        {"max_buying_power_use_fraction": "1", "margin_fraction": "0.1"},
        FOUR, {"quantity": D(5)}, R.BUYING_POWER, "50000", "62500", setup=[SNAPSHOT],
    ),
    "price_collar_fraction of a limit": Case(
        {"price_collar_fraction": "0.02"},
        LIMIT | {"limit_price": D("1.225")}, LIMIT | {"limit_price": D("1.2249")}, R.PRICE_COLLAR, "0.02", "0.02008",
    ),
    "price_collar_fraction of a stop": Case(
        {"price_collar_fraction": "0.02"},
        STOP | {"stop_price": D("1.275")}, STOP | {"stop_price": D("1.2751")}, R.PRICE_COLLAR, "0.02", "0.02008",
    ),
    "stale_after_s": Case(
        {"stale_after_s": "2.5"},
        {"at": T0 + 2_500_000_000}, {"at": T0 + 2_500_000_001}, R.STALE_DATA, "2.5", "2.500000001",
    ),
    "max_open_orders": Case(
        {"max_open_orders": 2},
        {"stop_loss": D("1.2")}, {"stop_loss": D("1.2"), "take_profit": D("1.3")}, R.OPEN_ORDERS_LIMIT, "2", "3",
    ),
    "symbols": Case({"symbols": ["EURUSD"]}, {}, {"symbol": "USDJPY"}, R.NOT_ALLOWED, "", ""),
}  # fmt: skip


def case_node(case: Case) -> RouterNode:
    node = market(limits=case.limits)
    if case.held:
        holding(node, case.held)
    assert feed(node, *case.setup) == []
    return node


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_entry_passes_at_the_figure_and_is_refused_beyond_it(case: Case) -> None:
    orders = of_kind(SubmitOrder, feed(case_node(case), a_wish("at", **case.passes)))
    assert orders
    rejection = refusal_of(case_node(case), a_wish("beyond", **case.refused))
    assert (rejection.signal_id, rejection.reason, rejection.limit) == ("beyond", case.reason, case.limit)
    if case.actual:
        assert D(rejection.actual) == D(case.actual)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_not_configured_is_not_checked(case: Case) -> None:
    case = Case({}, case.passes, case.refused, case.reason, "", "", case.held)
    assert of_kind(SubmitOrder, feed(case_node(case), a_wish("beyond", **case.refused)))


TIGHT: dict[str, Any] = {
    "max_order_quantity": "0",
    "max_order_notional": "0",
    "max_position": "0",
    "max_notional": "0",
    "max_gross_exposure": "0",
    "max_net_exposure": "0",
    "max_leverage": "0",
    "max_margin_use_fraction": "0",
    "max_buying_power_use_fraction": "0",
    "stale_after_s": "0.001",
    "max_open_orders": 0,
    "symbols": [],
    "price_collar_fraction": "0",
    "trading_hours": True,
    "duplicate_window_ms": 1000,
}
SATURDAY = instant(date(2014, 5, 3), time(12), zone("UTC"))


@pytest.mark.parametrize("name", TIGHT)
def test_what_only_closes_passes_every_limit(name: str) -> None:
    """A limit of nothing at all, on a Saturday, with prices of Thursday."""
    table: list[dict[str, Any]] = [
        {"action": "exit"},
        {"action": "reduce", "quantity": D(1)},
        {"action": "target", "target": D(1)},
        {"action": "target", "target": D(0)},
        {"action": "enter", "side": "sell", "quantity": D(3)},
        {"action": "exit", "order_type": "limit", "limit_price": D("1.9")},
    ]
    for wish in table:
        node = holding(market(limits={name: TIGHT[name]}), 3)
        order = order_of(node, wish_to(name="w", at=SATURDAY, **wish))
        assert (order.side, order.closes) == ("sell", True)
    node = holding(market(limits={name: TIGHT[name]}), 3)
    entry = LIMIT | {"limit_price": D("1.2")}
    *_, last = feed(node, a_wish("1", SATURDAY, **entry), a_wish("2", SATURDAY, **entry))
    assert isinstance(last, SignalRejected)


def test_an_exit_at_a_price_that_is_worse_than_the_collar_is_refused() -> None:
    """1.225 is 2 % below the mark."""
    node = holding(market(limits={"price_collar_fraction": "0.02"}), 3)
    assert refusal_of(node, wish_to("exit", "1", **LIMIT, limit_price=D("1.2249"))).reason is R.PRICE_COLLAR
    assert order_of(node, wish_to("exit", "2", **LIMIT, limit_price=D("1.2250"))).closes


def test_an_exit_that_with_other_orders_could_open_a_position_is_measured_by_the_position_limit() -> None:
    """Long two; a stop would sell four and be short two; an exit of two besides would leave four short."""
    node = holding(market(limits={"max_position": "2"}), 2)
    assert order_of(node, a_wish("reverse", side="sell", quantity=D(4), order_type="stop", stop_price=D("1.2")))
    rejection = refusal_of(node, wish_to("exit"))
    assert (rejection.reason, rejection.actual) == (R.POSITION_LIMIT, "4")


def test_the_guards_that_an_exit_takes_back_are_not_held_against_it() -> None:
    node = market()
    legs = {"take_profit": D("1.3"), "stop_loss": D("1.2")}
    entry, *_ = of_kind(SubmitOrder, feed(node, a_wish("b", quantity=D(2), **legs)))
    feed(node, filled(entry), command(SetLimit, limit="max_position", value="0"))
    assert of_kind(SubmitOrder, feed(node, wish_to("exit")))[0].quantity == D(2)


# -- what is measured ------------------------------------------------------------------------------------------------------


def test_strategies_do_not_cover_one_another_for_each_may_close_at_any_time() -> None:
    node = holding(holding(market(limits={"max_position": "3"}), 3, "s1"), -3, "s2")
    assert refusal_of(node, a_wish("a", strategy_id="s2", side="sell")).actual == "4"
    assert order_of(node, wish_to("exit", "b")).quantity == D(3)


def test_gross_exposure_adds_up_symbols_whatever_their_side_and_open_orders() -> None:
    """Two EURUSD long are 250,000 USD, one USDJPY short 100,000, an open buy of one EURUSD 125,000: 475,000."""
    node = market(limits={"max_gross_exposure": "575000"})
    holding(holding(node, 2), -1, symbol="USDJPY")
    assert order_of(node, a_wish("open", **LIMIT, limit_price=D("1.2")))
    assert refusal_of(node, a_wish("a")).actual == "600000"
    assert order_of(node, a_wish("b", symbol="USDJPY", side="sell"))


def test_net_exposure_takes_short_from_long() -> None:
    """Two EURUSD long less one USDJPY short are 150,000 USD."""
    node = market(limits={"max_net_exposure": "300000"})
    holding(holding(node, 2), -1, symbol="USDJPY")
    assert D(refusal_of(node, a_wish("a", quantity=D(2))).actual) == 400_000
    assert order_of(node, a_wish("b"))
    assert order_of(node, a_wish("c", symbol="USDJPY", side="sell", quantity=D(3)))
    assert D(refusal_of(node, a_wish("d", symbol="USDJPY", side="sell", quantity=D(3))).actual) == 450_000


def test_margin_is_each_symbols_own() -> None:
    """Two EURUSD at 3 % are 7,500 USD; two USDJPY at 10 % 20,000: together 27.5 % of equity."""
    own = [{"symbol": "USDJPY", "margin_fraction": "0.1"}]
    node = market(limits={"margin_fraction": "0.03", "max_margin_use_fraction": "0.27"}, symbol_limits=own)
    holding(node, 2)
    assert D(refusal_of(node, a_wish("a", symbol="USDJPY", quantity=D(2))).actual) == D("0.275")
    assert order_of(node, a_wish("b", symbol="USDJPY"))


def test_without_margin_a_position_ties_up_all_its_worth() -> None:
    """Two contracts are 250,000 USD of an equity of 100,000."""
    node = market(limits={"max_margin_use_fraction": "1"})
    assert D(refusal_of(node, a_wish("a", quantity=D(2))).actual) == D("2.5")


def test_a_strategys_exposure_is_its_own() -> None:
    own = {"strategy": "s2", "max_gross_exposure": "125000", "max_leverage": "2"}
    node = holding(market(strategy_limits=[own]), 5, "s1")
    assert order_of(node, a_wish("a", strategy_id="s2"))
    assert refusal_of(node, a_wish("b", strategy_id="s2")).detail.count("the strategy's max_gross_exposure") == 1
    assert order_of(node, a_wish("c", strategy_id="s1"))


@pytest.mark.parametrize("name", ["max_gross_exposure", "max_leverage", "max_buying_power_use_fraction"])
def test_what_needs_equity_or_a_price_refuses_without(name: str) -> None:
    node = a_router(limits={name: "1"})
    assert refusal_of(node, a_wish("a")).reason is R.NO_EQUITY
    feed(node, equity("1000"))
    assert refusal_of(node, a_wish("b")).reason is R.NO_PRICE


def test_without_any_equity_left_leverage_is_beyond_every_limit() -> None:
    node = market("0", limits={"max_leverage": "100"})
    assert refusal_of(node, a_wish("a")).reason is R.NO_EQUITY


def buying_power_after_fills(*quantities: int, snapshot: str = "150000") -> list[type]:
    """What becomes of a wish for one lot of 125,000 USD, paid in full, after such fills since the broker's figure."""
    node = market(limits={"max_buying_power_use_fraction": "1"})
    feed(node, msgspec.structs.replace(SNAPSHOT, buying_power=D(snapshot)))
    for n, quantity in enumerate(quantities):
        feed(node, a_fill(exec_id=f"x{n}", order_id="?", side="buy" if quantity > 0 else "sell", quantity=D(abs(quantity))))
    return [type(each) for each in feed(node, a_wish("next"))]


def test_buying_power_is_spent_once() -> None:
    """Of 150,000 one lot of 125,000 passes, and the 25,000 that are left are not enough for another."""
    assert buying_power_after_fills() == [SubmitOrder]
    assert buying_power_after_fills(1) == [SignalRejected]
    assert buying_power_after_fills(1, snapshot="250000") == [SubmitOrder]
    assert buying_power_after_fills(1, 1, snapshot="250000") == [SignalRejected]
    assert buying_power_after_fills(1, -1) == [SubmitOrder]


def test_what_was_held_when_the_broker_said_its_figure_is_in_it() -> None:
    node = holding(market(limits={"max_buying_power_use_fraction": "1"}), 5)
    feed(node, msgspec.structs.replace(SNAPSHOT, buying_power=D(150_000)))
    order = order_of(node, a_wish("a"))
    feed(node, filled(order))
    refusal = refusal_of(node, a_wish("b"))
    assert (refusal.reason, refusal.limit, refusal.actual) == (R.BUYING_POWER, "25000", "125000")
    feed(node, msgspec.structs.replace(SNAPSHOT, buying_power=D(130_000)))
    assert order_of(node, a_wish("c"))


def test_what_a_strategy_may_tie_up_is_not_made_larger_by_what_others_hold() -> None:
    own = [{"strategy": "s1", "max_buying_power_use_fraction": "1"}]
    node = holding(market(strategy_limits=own), 5, "s2")
    feed(node, msgspec.structs.replace(SNAPSHOT, buying_power=D(100_000)))
    assert refusal_of(node, a_wish("a")).actual == "125000"


def test_a_position_in_what_is_not_configured_has_no_price_and_stops_nobody() -> None:
    node = market(limits={"max_leverage": "100"})
    feed(node, a_fill(symbol="XAUUSD", strategy_id="external", order_id="?"))
    assert refusal_of(node, a_wish("a")).reason is R.NO_PRICE


def test_a_symbol_without_a_mark_is_stale() -> None:
    rejection = refusal_of(a_router(limits={"stale_after_s": "60"}), a_wish("a"))
    assert (rejection.reason, rejection.actual) == (R.STALE_DATA, "none")


def data_status(state: Any, symbol: str = "EURUSD") -> DataStatus:
    return DataStatus(symbol=symbol, ts_event_ns=T0, feed="feed.x", state=state, detail="15 minutes behind")


@pytest.mark.parametrize("state", ["stale", "delayed"])
def test_on_prices_that_a_feed_calls_unfit_nothing_is_opened_whatever_is_configured(state: str) -> None:
    node = market()
    assert feed(node, data_status(state)) == []
    rejection = refusal_of(node, a_wish("a"))
    assert (rejection.reason, rejection.actual) == (R.STALE_DATA, state)
    assert "feed.x says that prices of EURUSD are" in rejection.detail
    assert order_of(node, a_wish("b", symbol="USDJPY"))
    again = a_router()
    again.restore(node.snapshot())
    assert refusal_of(again, a_wish("c")).reason is R.STALE_DATA, "it survives a restart of the router"
    feed(node, data_status("live"))
    assert order_of(node, a_wish("d"))


def test_on_unfit_prices_a_position_can_still_be_closed() -> None:
    node = holding(market(), 2)
    feed(node, data_status("delayed"))
    order = order_of(node, wish_to("close"))
    assert (order.side, order.closes) == ("sell", True)


def test_outside_its_calendar_a_symbol_is_not_opened() -> None:
    """FX closes on Friday at 17:00 in New York: 21:00 UTC on 2 May 2014; a stock index that never closes does not."""
    friday = instant(date(2014, 5, 2), time(21), zone("UTC"))
    always = Instrument(symbol="BTCUSD", asset_class="crypto", currency="USD", tick_size=D("0.01"))
    node = a_router([eurusd(), always], limits={"trading_hours": True})
    assert order_of(node, a_wish("a", friday - 1))
    assert refusal_of(node, a_wish("b", friday)).reason is R.MARKET_CLOSED
    assert order_of(node, a_wish("c", friday, symbol="BTCUSD"))


def test_a_layer_can_switch_trading_hours_off_again() -> None:
    own = [{"symbol": "EURUSD", "trading_hours": False}]
    node = a_router(limits={"trading_hours": True}, symbol_limits=own)
    assert order_of(node, a_wish("a", SATURDAY))
    assert refusal_of(node, a_wish("b", SATURDAY, symbol="USDJPY")).reason is R.MARKET_CLOSED


# -- flow ------------------------------------------------------------------------------------------------------------------


def test_the_same_order_within_the_window_is_a_duplicate_and_no_other_is() -> None:
    node = market(limits={"duplicate_window_ms": 100})
    at = T0 + NS
    assert order_of(node, a_wish("1", at))
    rejection = refusal_of(node, a_wish("2", at + 99_999_999))
    assert (rejection.reason, rejection.limit, rejection.actual) == (R.DUPLICATE, "100", "99")
    others: list[dict[str, Any]] = [
        {"side": "sell"},
        {"quantity": D(2)},
        {"symbol": "USDJPY"},
        {"strategy_id": "s2"},
        LIMIT | {"limit_price": D("1.2")},
        LIMIT | {"limit_price": D("1.3")},
    ]
    for index, other in enumerate(others):
        assert order_of(node, a_wish(f"o{index}", at + 99_999_999, **other))
    assert order_of(node, a_wish("3", at + 100_000_000))


def test_a_refused_order_is_no_intent() -> None:
    node = market(limits={"duplicate_window_ms": 100, "max_position": "1"})
    assert refusal_of(node, a_wish("1", quantity=D(2))).reason is R.POSITION_LIMIT
    assert refusal_of(node, a_wish("2", quantity=D(2))).reason is R.POSITION_LIMIT


def test_the_rate_counts_a_sliding_minute_of_event_time() -> None:
    node = market(limits={"max_orders_per_minute": 2})
    for second, passes in ((0, True), (30, True), (59, False), (60, True), (61, False), (90, True)):
        (said,) = feed(node, a_wish(f"{second}", T0 + second * NS))
        assert isinstance(said, SubmitOrder) == passes, second
        if not passes:
            assert (said.reason, said.limit, said.actual) == (R.ORDER_RATE, "2", "3")


def test_a_bracket_counts_with_its_exits_and_a_change_counts_too() -> None:
    legs = {"take_profit": D("1.3"), "stop_loss": D("1.2")}
    node = market(limits={"max_orders_per_minute": 4})
    assert len(feed(node, a_wish("1", **legs))) == 3
    order = working(node, a_wish("2", **LIMIT, limit_price=D("1.2")))
    assert refusal_of(node, a_change("m", order.order_id, limit_price=D("1.1"))).reason is R.ORDER_RATE
    assert refusal_of(market(limits={"max_orders_per_minute": 2}), a_wish("1", **legs)).actual == "3"


def test_exits_may_go_on_to_twice_the_rate() -> None:
    node = holding(market(limits={"max_orders_per_minute": 2}), 9)
    for n in range(4):
        order = order_of(node, wish_to("reduce", f"{n}", quantity=D(1)))
        feed(node, filled(order))
    rejection = refusal_of(node, wish_to("reduce", "5", quantity=D(1)))
    assert (rejection.reason, rejection.limit, rejection.actual) == (R.ORDER_RATE, "4", "5")
    assert refusal_of(node, a_wish("6")).limit == "2"


def test_open_orders_count_for_the_book_and_for_the_strategy() -> None:
    own = {"strategy": "s2", "max_open_orders": 1}
    node = market(limits={"max_open_orders": 2}, strategy_limits=[own])
    resting = LIMIT | {"limit_price": D("1.2")}
    first = order_of(node, a_wish("1", strategy_id="s2", **resting))
    assert "the strategy would have" in refusal_of(node, a_wish("2", strategy_id="s2", **resting)).detail
    assert order_of(node, a_wish("3", **resting))
    assert "the book would have" in refusal_of(node, a_wish("4", **resting)).detail
    feed(node, filled(first))
    assert order_of(node, a_wish("5", **resting))


# -- layers ----------------------------------------------------------------------------------------------------------------


def test_of_limits_on_single_orders_the_most_specific_counts() -> None:
    node = market(
        limits={"max_order_quantity": "1"},
        symbol_limits=[{"symbol": "EURUSD", "max_order_quantity": "2"}],
        strategy_limits=[
            {"strategy": "s2", "max_order_quantity": "3"},
            {"strategy": "s2", "symbol": "EURUSD", "max_order_quantity": "4"},
        ],
    )
    expected = {("s1", "USDJPY"): 1, ("s1", "EURUSD"): 2, ("s2", "USDJPY"): 3, ("s2", "EURUSD"): 4}
    for (strategy_id, symbol), most in expected.items():
        where = {"strategy_id": strategy_id, "symbol": symbol}
        assert order_of(node, a_wish(f"a{most}", quantity=D(most), **where))
        assert refusal_of(node, a_wish(f"b{most}", quantity=D(most + 1), **where)).limit == str(most)


def test_limits_on_positions_hold_for_the_book_and_for_the_strategy_besides() -> None:
    own = [{"strategy": "s2", "max_position": "1"}, {"strategy": "s2", "symbol": "USDJPY", "max_position": "2"}]
    node = market(limits={"max_position": "3"}, symbol_limits=[{"symbol": "EURUSD", "max_position": "2"}], strategy_limits=own)
    assert refusal_of(node, a_wish("1", strategy_id="s2", quantity=D(2))).limit == "1"
    assert order_of(node, a_wish("2", strategy_id="s2", symbol="USDJPY", quantity=D(2)))
    assert order_of(node, a_wish("3", quantity=D(2)))
    assert refusal_of(node, a_wish("4", strategy_id="s2")).limit == "2"
    assert refusal_of(node, a_wish("5", symbol="USDJPY", quantity=D(2))).limit == "3"


def test_a_command_comes_before_the_file_in_its_own_layer_and_none_takes_the_figure_away() -> None:
    own = {"strategy": "s2", "max_position": "1"}
    node = market(strategy_limits=[own])
    feed(node, command(SetLimit, limit="max_position", value="3", strategy_id="s2"))
    assert refusal_of(node, a_wish("1", strategy_id="s2", quantity=D(4))).limit == "3"
    feed(node, command(SetLimit, limit="max_position", value="2", symbol="EURUSD", strategy_id="s2"))
    assert refusal_of(node, a_wish("2", strategy_id="s2", quantity=D(4))).limit == "2"
    feed(node, command(SetLimit, limit="max_position", value="none", symbol="EURUSD", strategy_id="s2"))
    assert order_of(node, a_wish("3", strategy_id="s2", quantity=D(4)))


def test_a_limit_set_by_hand_outlives_a_restart() -> None:
    node, again = market(), market()
    feed(node, command(SetLimit, limit="max_orders_per_minute", value="1"))
    again.restore(node.snapshot())
    assert order_of(again, a_wish("1"))
    assert refusal_of(again, a_wish("2")).reason is R.ORDER_RATE


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"limits": {"max_positon": "1"}}, "unknown key 'router.limits.max_positon'; did you mean 'max_position'"),
        ({"limits": {"max_position": "-1"}}, "max_position must be a number that is not negative"),
        ({"limits": {"max_leverage": "NaN"}}, "max_leverage must be a number that is not negative"),
        ({"symbol_limits": [{"symbol": "EURUDS"}]}, "'EURUDS' has no .*did you mean 'EURUSD'"),
        ({"limits": {"symbols": ["EURUDS"]}}, "'EURUDS' has no .*did you mean 'EURUSD'"),
        ({"strategy_limits": [{"strategy": "s3"}]}, "strategy 's3' has no .*valid: s1, s2"),
        (
            {"strategy_limits": [{"strategy": "s1", "symbol": "EURUSD", "max_leverage": 1}]},
            "max_leverage is a limit over all symbols",
        ),
        ({"strategy_limits": [{"strategy": "s1", "margin_fraction": 1}]}, "margin_fraction is the account's"),
        ({"strategy_breakers": [{"strategy": "s3"}]}, "strategy 's3' has no .*valid: s1, s2"),
        ({"strategy_breakers": [{"strategy": "s1", "order_rate": {"on_trip": "halt"}}]}, "cannot halt the book"),
        ({"sizing": [{"method": "fixed", "value": 0}]}, "value must be a positive number"),
        ({"sizing": [{"method": "fixed", "value": 1, "strategy": "s3"}]}, "strategy 's3' has no .*valid: s1, s2"),
        ({"sizing": [{"method": "fixed", "value": n} for n in (1, 2)]}, "two .*sizing.* entries are for all in all"),
        ({"breakers": {"drawdown": {"fraction": 0}}}, "fraction must be a positive number"),
        ({"breakers": {"daily_loss": {"time_zone": "Berlin"}}}, "'Berlin' is no IANA time zone"),
        ({"breakers": {"order_rate": {"per_minute": -1}}}, "per_minute must not be negative"),
        ({"breakers": {"stale_data": {"after_s": "-1"}}}, "after_s must be a positive number"),
        ({"breakers": {"reconciliation": {"cool_down_s": -1}}}, "cool_down_s must not be negative"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_with_the_key_and_the_nearest_word(section: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        a_router(**section)
