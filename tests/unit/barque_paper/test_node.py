"""The exchange model: hand-computed fills, lives of orders, and laws."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import (
    Bar,
    CancelOrder,
    Fill,
    Halt,
    Message,
    ModifyOrder,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    RejectReason,
    Resume,
    SubmitOrder,
)
from barque_paper import PaperConfig, PaperNode
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, an_order, clock, eurusd, usdjpy
from tests.support.data import data_file

DAY = 86_400 * NS


def paper(**config: Any) -> PaperNode:
    return PaperNode(PaperConfig(**config), [eurusd(), usdjpy()])


def feed(node: PaperNode, *messages: Message) -> list[Message]:
    return [output for message in messages for _, output in node.handle(message)]


def kinds(messages: list[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]


def fills(messages: list[Message]) -> list[Fill]:
    return [message for message in messages if isinstance(message, Fill)]


def a_cancel(order_id: str = "o1", at: int = T0) -> CancelOrder:
    return CancelOrder(order_id=order_id, cause="c", root="r", strategy_id="s1", account="paper", symbol="EURUSD", ts_event_ns=at)


def a_change(**changes: Any) -> ModifyOrder:
    base: dict[str, Any] = {"order_id": "o1", "cause": "c", "root": "r", "strategy_id": "s1", "account": "paper"}
    return ModifyOrder(**(base | {"symbol": "EURUSD", "ts_event_ns": T0} | changes))


def a_halt(at: int = T0) -> Halt:
    return Halt(command_id="h", ts_event_ns=at, actor="me")


# -- quotes --------------------------------------------------------------------------------------------------------------


def test_a_buy_fills_at_the_ask_and_a_sell_at_the_bid_of_the_latest_quote() -> None:
    node = paper()
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    accepted, bought = feed(node, an_order(order_id="b"))
    assert accepted == OrderAccepted(
        order_id="b",
        cause="s1/1/0",
        root="r",
        strategy_id="s1",
        account="paper",
        symbol="EURUSD",
        ts_event_ns=T0,
        venue_order_id="P-b",
    )
    assert (bought.exec_id, bought.price, bought.cause, bought.root) == ("b-1", Decimal("1.38690"), "s1/1/0", "r")
    assert fills(feed(node, an_order(order_id="s", side="sell")))[0].price == Decimal("1.38680")


def test_a_symbol_with_trades_fills_at_the_last_price() -> None:
    node = paper()
    feed(node, a_trade(price=1.5))
    assert fills(feed(node, an_order()))[0].price == Decimal("1.50000")


def test_a_market_order_before_the_first_quote_waits_for_it() -> None:
    node = paper()
    assert kinds(feed(node, an_order())) == ["OrderAccepted"]
    (fill,) = feed(node, a_quote(T0 + 5, ask=1.4))
    assert (fill.price, fill.ts_event_ns) == (Decimal("1.40000"), T0 + 5)


def test_with_latency_an_order_fills_at_the_first_quote_after_it() -> None:
    node = paper(latency_ms=100)
    feed(node, a_quote())
    said = feed(node, an_order(), a_quote(T0 + 99_000_000, ask=1.5), a_quote(T0 + 100_000_000, ask=1.6))
    assert [fill.price for fill in fills(said)] == [Decimal("1.60000")]


def test_an_unusable_quote_is_no_price() -> None:
    node = paper()
    feed(node, an_order())
    assert feed(node, a_quote(ask=float("nan")), a_quote(ask=0.0), a_quote(ask=float("inf"))) == []


def test_a_limit_fills_at_the_better_quote_and_a_stop_at_the_worse_one() -> None:
    node = paper()
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    feed(node, an_order(order_id="limit", order_type="limit", limit_price=Decimal("1.3860")))
    feed(node, an_order(order_id="stop", order_type="stop", stop_price=Decimal("1.3880")))
    (limit,) = feed(node, a_quote(T0 + 1, bid=1.3857, ask=1.3858))
    (stop,) = feed(node, a_quote(T0 + 2, bid=1.3882, ask=1.3883))
    assert (limit.order_id, limit.price) == ("limit", Decimal("1.38580"))
    assert (stop.order_id, stop.price) == ("stop", Decimal("1.38830"))


# -- bars ----------------------------------------------------------------------------------------------------------------


def test_in_bar_replay_a_buy_fills_at_the_open_of_the_next_ask_bar() -> None:
    node = paper()
    feed(node, a_bar(T0, price="bid"), a_bar(T0, price="ask"))
    now = T0 + MINUTE
    assert kinds(feed(node, an_order(now))) == ["OrderAccepted"]
    said = feed(node, a_bar(now, price="bid", open=1.1, high=1.2, low=1.0), a_bar(now, price="ask", open=1.3, high=1.4, low=1.2))
    assert [(f.price, f.ts_event_ns) for f in fills(said)] == [(Decimal("1.30000"), now)]


def test_mid_bars_serve_where_a_symbol_never_had_the_needed_side() -> None:
    node = paper()
    feed(node, an_order(), a_bar(T0, price="bid"))
    assert fills(feed(node, a_bar(T0, price="mid", open=1.25)))[0].price == Decimal("1.25000")


def test_a_bar_that_opened_before_the_order_never_fills_it() -> None:
    node = paper()
    feed(node, a_bar(T0, price="ask"))
    feed(node, an_order(T0 + MINUTE + 1))
    assert feed(node, a_bar(T0 + MINUTE, price="ask")) == []
    assert len(fills(feed(node, a_bar(T0 + 2 * MINUTE, price="ask")))) == 1


def test_bars_of_a_quoted_symbol_are_ignored() -> None:
    node = paper()
    feed(node, a_quote(), an_order(order_type="limit", limit_price=Decimal("1.0")))
    assert feed(node, a_bar(T0 + MINUTE, price="ask", low=0.5)) == []


def test_resting_orders_follow_gap_logic_on_bars() -> None:
    """Each row: order, bar (open, high, low), expected price and whether at the open."""
    table: list[tuple[dict[str, Any], tuple[float, float, float], str | None, bool]] = [
        ({"order_type": "limit", "limit_price": "1.10"}, (1.12, 1.13, 1.09), "1.10", False),
        ({"order_type": "limit", "limit_price": "1.10"}, (1.08, 1.13, 1.07), "1.08", True),
        ({"order_type": "limit", "limit_price": "1.10"}, (1.12, 1.13, 1.11), None, False),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.17, 1.18, 1.16), "1.17", True),
        ({"side": "sell", "order_type": "limit", "limit_price": "1.15"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"side": "sell", "order_type": "limit", "limit_price": "1.15"}, (1.17, 1.18, 1.16), "1.17", True),
        ({"side": "sell", "order_type": "stop", "stop_price": "1.10"}, (1.12, 1.13, 1.09), "1.10", False),
        ({"side": "sell", "order_type": "stop", "stop_price": "1.10"}, (1.08, 1.13, 1.07), "1.08", True),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.16"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.16"}, (1.18, 1.19, 1.15), "1.16", False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.14"}, (1.12, 1.16, 1.11), None, False),
    ]
    for terms, (opened, high, low), price, at_open in table:
        node = paper()
        terms = {k: Decimal(v) if k.endswith("_price") else v for k, v in terms.items()}
        feed(node, an_order(**terms))
        side = "bid" if terms.get("side") == "sell" else "ask"
        filled = fills(feed(node, a_bar(price=side, open=opened, high=high, low=low)))
        expected = [] if price is None else [(Decimal(price), T0 if at_open else T0 + MINUTE)]
        assert [(f.price, f.ts_event_ns) for f in filled] == expected, terms


def test_a_stop_limit_touched_in_one_bar_is_a_limit_order_in_the_next() -> None:
    node = paper()
    feed(node, an_order(order_type="stop_limit", stop_price=Decimal("1.15"), limit_price=Decimal("1.14")))
    assert feed(node, a_bar(price="ask", open=1.12, high=1.16, low=1.11)) == []
    (fill,) = feed(node, a_bar(T0 + MINUTE, price="ask", open=1.15, high=1.15, low=1.13))
    assert fill.price == Decimal("1.14000")


def test_when_a_bar_touches_both_exits_the_stop_comes_first() -> None:
    node = paper()
    feed(node, an_order(order_id="tp", side="sell", order_type="limit", limit_price=Decimal("1.2"), oco_group="g"))
    feed(node, an_order(order_id="sl", side="sell", order_type="stop", stop_price=Decimal("1.1"), oco_group="g"))
    said = feed(node, a_bar(open=1.15, high=1.3, low=1.0))
    assert [(type(m).__name__, m.order_id) for m in said] == [("Fill", "sl"), ("OrderCancelled", "tp")]


def test_of_several_intervals_the_finest_serves() -> None:
    node = paper()
    feed(node, *(a_bar(T0 + i * MINUTE, price="ask", low=1.2) for i in range(5)))
    feed(node, an_order(T0, order_id="late", order_type="limit", limit_price=Decimal("1.1")))
    assert feed(node, a_bar(T0, 5 * MINUTE, interval="5m", price="ask", low=1.0)) == []


# -- lives of orders -----------------------------------------------------------------------------------------------------


def test_a_bracket_trades_only_after_its_entry_and_one_exit_cancels_the_other() -> None:
    node = paper()
    feed(node, a_quote(bid=1.20, ask=1.21))
    feed(node, an_order(order_id="e", order_type="limit", limit_price=Decimal("1.15")))
    exits = {"side": "sell", "parent_id": "e", "oco_group": "e"}
    held = feed(node, an_order(order_id="tp", order_type="limit", limit_price=Decimal("1.18"), **exits))
    held += feed(node, an_order(order_id="sl", order_type="stop", stop_price=Decimal("1.10"), **exits))
    assert kinds(held) == ["OrderAccepted", "OrderAccepted"]
    assert [m.order_id for m in feed(node, a_quote(T0 + 1, bid=1.14, ask=1.15))] == ["e"]
    said = feed(node, a_quote(T0 + 2, bid=1.19, ask=1.20))
    assert [(type(m).__name__, m.order_id) for m in said] == [("Fill", "tp"), ("OrderCancelled", "sl")]


def test_exits_that_arrive_after_their_entry_has_filled_work_at_once() -> None:
    node = paper()
    feed(node, a_quote(bid=1.20, ask=1.21), an_order(order_id="e"))
    exits = {"side": "sell", "parent_id": "e", "oco_group": "e"}
    tp = feed(node, an_order(order_id="tp", order_type="limit", limit_price=Decimal("1.19"), **exits))
    sl = feed(node, an_order(order_id="sl", order_type="stop", stop_price=Decimal("1.10"), **exits))
    assert (kinds(tp), kinds(sl)) == (["OrderAccepted", "Fill"], ["OrderAccepted", "OrderCancelled"])


def test_children_of_an_entry_that_never_fills_are_cancelled() -> None:
    node = paper()
    feed(node, an_order(order_id="e"), an_order(order_id="c", parent_id="e"))
    assert [m.order_id for m in feed(node, a_cancel("e"))] == ["e", "c"]
    (orphan,) = feed(node, an_order(order_id="d", parent_id="e"))
    assert (type(orphan), orphan.reason) == (OrderRejected, RejectReason.UNKNOWN_ORDER)


def test_a_cancel_withdraws_a_working_order_and_touches_no_finished_one() -> None:
    node = paper()
    feed(node, an_order())
    (cancelled,) = feed(node, a_cancel())
    assert (type(cancelled), cancelled.filled_quantity, cancelled.cause) == (OrderCancelled, Decimal(0), "s1/1/0")
    (refused,) = feed(node, a_cancel())
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.UNKNOWN_ORDER)
    assert feed(node, a_quote()) == []


def test_a_modified_limit_trades_at_its_new_price() -> None:
    node = paper()
    feed(node, a_quote(ask=1.3869), an_order(order_type="limit", limit_price=Decimal("1.0")))
    said = feed(node, a_change(limit_price=Decimal("1.4"), quantity=Decimal(3)))
    assert kinds(said) == ["OrderAccepted", "Fill"]
    assert (said[1].quantity, said[1].price) == (Decimal(3), Decimal("1.38690"))
    assert feed(node, a_change(quantity=Decimal(1)))[0].reason is RejectReason.UNKNOWN_ORDER


def test_a_modification_that_makes_no_sense_leaves_the_order_as_it_was() -> None:
    node = paper()
    feed(node, an_order(order_type="limit", limit_price=Decimal("1.0")))
    (refused,) = feed(node, a_change(quantity=Decimal(-1)))
    assert refused.reason is RejectReason.QUANTITY
    assert fills(feed(node, a_quote(ask=0.9)))[0].quantity == Decimal(1)


def test_ioc_and_fok_get_one_attempt() -> None:
    for kind in ("ioc", "fok"):
        node = paper()
        assert kinds(feed(node, an_order(order_id="0", time_in_force=kind))) == ["OrderAccepted", "OrderCancelled"]
        feed(node, a_quote())
        said = feed(node, an_order(order_type="limit", limit_price=Decimal("1.0"), time_in_force=kind))
        assert kinds(said) == ["OrderAccepted", "OrderCancelled"]
        assert kinds(feed(node, an_order(order_id="2", time_in_force=kind))) == ["OrderAccepted", "Fill"]


def test_an_order_expires_when_its_time_has_passed() -> None:
    node = paper()
    feed(node, an_order(time_in_force="gtd", valid_until_ns=T0 + 10))
    assert feed(node, clock(T0 + 10)) == []
    assert kinds(feed(node, clock(T0 + 11))) == ["OrderExpired"]
    feed(node, an_order(T0 + 20, order_id="o2", valid_until_ns=T0 + 30))
    assert kinds(feed(node, a_quote(T0 + 31))) == ["OrderExpired"]


def test_a_day_order_ends_with_the_utc_day() -> None:
    node = paper()
    feed(node, an_order(T0 + 5, time_in_force="day", order_type="limit", limit_price=Decimal("1.0")))
    assert feed(node, clock(T0 + DAY - 1)) == []
    (expired,) = feed(node, clock(T0 + DAY))
    assert type(expired) is OrderExpired


def test_an_order_whose_time_ends_inside_a_bar_may_still_trade_at_its_open() -> None:
    node = paper()
    terms: dict[str, Any] = {"order_type": "limit", "limit_price": Decimal("1.1"), "valid_until_ns": T0 + 10}
    feed(node, an_order(order_id="gap", **terms))
    assert fills(feed(node, a_bar(price="ask", open=1.05, low=1.0, high=1.2)))[0].price == Decimal("1.05000")
    node = paper()
    feed(node, an_order(order_id="inside", **terms))
    assert kinds(feed(node, a_bar(price="ask", open=1.15, low=1.0, high=1.2))) == ["OrderExpired"]


def test_a_halt_refuses_new_orders_and_keeps_working_ones() -> None:
    node = paper()
    feed(node, an_order(order_id="old"), a_halt())
    (refused,) = feed(node, an_order(order_id="new"))
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.HALTED)
    assert [fill.order_id for fill in fills(feed(node, a_quote()))] == ["old"]
    feed(node, Resume(command_id="r", ts_event_ns=T0, actor="me"))
    assert kinds(feed(node, an_order(order_id="newer"))) == ["OrderAccepted", "Fill"]


def test_a_repeated_order_is_ignored_whether_working_or_finished() -> None:
    node = paper()
    feed(node, an_order())
    assert feed(node, an_order()) == []
    feed(node, a_quote())
    assert feed(node, an_order()) == []
    assert node.counters == {"orders_repeated": 2}


def test_orders_of_another_account_are_not_ours() -> None:
    assert feed(paper(), an_order(account="other"), a_quote()) == []


def test_what_the_exchange_cannot_do_is_rejected_with_a_reason() -> None:
    table: list[tuple[dict[str, Any], RejectReason]] = [
        ({"symbol": "XAUUSD"}, RejectReason.UNKNOWN_SYMBOL),
        ({"order_type": "trailing_stop"}, RejectReason.UNSUPPORTED),
        ({"quantity": Decimal(0)}, RejectReason.QUANTITY),
        ({"quantity": Decimal("NaN")}, RejectReason.QUANTITY),
        ({"order_type": "limit"}, RejectReason.PRICE),
        ({"order_type": "stop", "stop_price": Decimal("Infinity")}, RejectReason.PRICE),
        ({"time_in_force": "gtd"}, RejectReason.UNSUPPORTED),
        ({"parent_id": "nobody"}, RejectReason.UNKNOWN_ORDER),
    ]
    for terms, reason in table:
        (refused,) = feed(paper(), an_order(**terms))
        assert (type(refused), refused.reason) == (OrderRejected, reason), terms


# -- costs ---------------------------------------------------------------------------------------------------------------


def test_slippage_is_against_us_and_commission_has_a_minimum() -> None:
    """Buy at 1.3869 × 1.0005 = 1.38759345, sell at 1.3868 × 0.9995 = 1.3861066; 0.1 % of 138,759 USD = 138.759."""
    costs = {"slippage_fraction": Decimal("0.0005"), "commission_fraction": Decimal("0.001"), "commission_min": Decimal(1)}
    node = paper(**costs)
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    bought = fills(feed(node, an_order(order_id="b")))[0]
    sold = fills(feed(node, an_order(order_id="s", side="sell", quantity=Decimal("0.001"))))[0]
    assert (bought.price, bought.commission, bought.commission_currency) == (Decimal("1.38759"), Decimal("138.759"), "USD")
    assert (sold.price, sold.commission) == (Decimal("1.38611"), Decimal(1))


def test_slippage_never_passes_a_limit() -> None:
    node = paper(slippage_fraction=Decimal("0.01"))
    feed(node, a_quote(ask=1.3869))
    said = feed(node, an_order(order_type="limit", limit_price=Decimal("1.3870")))
    assert fills(said)[0].price == Decimal("1.3870")


# -- laws and recordings -------------------------------------------------------------------------------------------------

_orders = st.builds(
    an_order,
    st.integers(0, 600).map(lambda s: T0 + s * NS),
    order_id=st.sampled_from([f"o{i}" for i in range(12)]),
    side=st.sampled_from(["buy", "sell"]),
    order_type=st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
    quantity=st.integers(1, 5).map(Decimal),
    limit_price=st.sampled_from([None, Decimal("1.38"), Decimal("1.39"), Decimal("1.40")]),
    stop_price=st.sampled_from([None, Decimal("1.38"), Decimal("1.39"), Decimal("1.40")]),
    time_in_force=st.sampled_from(["day", "gtc", "ioc", "fok", "gtd"]),
    valid_until_ns=st.sampled_from([None, T0 + 300 * NS]),
    parent_id=st.sampled_from([None, None, "o1", "o2"]),
    oco_group=st.sampled_from([None, None, "g"]),
)
_prices = st.sampled_from([1.37, 1.38, 1.385, 1.39, 1.395, 1.40, 1.41])
_quotes = st.builds(a_quote, st.integers(0, 600).map(lambda s: T0 + s * NS), bid=_prices, ask=_prices)
_bars = st.builds(
    lambda at, side, prices: a_bar(at, price=side, open=prices[1], high=prices[2], low=prices[0]),
    st.integers(0, 10).map(lambda m: T0 + m * MINUTE),
    st.sampled_from(["bid", "ask", "mid"]),
    st.lists(_prices, min_size=3, max_size=3).map(sorted),
)
_clocks = st.integers(0, 700).map(lambda s: clock(T0 + s * NS))
_cancels = st.sampled_from([f"o{i}" for i in range(12)]).map(a_cancel)
_any = st.one_of(_orders, _orders, _bars, _clocks, _cancels)
_runs = st.one_of(st.lists(_any, max_size=40), st.lists(st.one_of(_any, _quotes), max_size=40))


@given(_runs)
def test_an_order_ends_at_most_once_and_never_fills_more_than_it_asked(messages: list[Message]) -> None:
    said = feed(paper(), *messages)
    ends = [m.order_id for m in said if isinstance(m, Fill | OrderCancelled | OrderExpired)]
    accepted = [m.order_id for m in said if isinstance(m, OrderAccepted)]
    assert len(ends) == len(set(ends))
    assert len(accepted) == len(set(accepted))
    assert set(ends) <= set(accepted)
    asked = {m.order_id: m.quantity for m in reversed(messages) if isinstance(m, SubmitOrder)}
    assert all(fill.quantity == asked[fill.order_id] for fill in fills(said))


@given(_runs)
def test_no_fill_is_earlier_than_its_acceptance(messages: list[Message]) -> None:
    said = feed(paper(), *messages)
    accepted = {m.order_id: m.ts_event_ns for m in said if isinstance(m, OrderAccepted)}
    assert all(fill.ts_event_ns >= accepted[fill.order_id] for fill in fills(said))


@given(_runs, st.integers(0, 40))
def test_restoring_a_snapshot_mid_run_changes_nothing(messages: list[Message], cut: int) -> None:
    whole, first, second = paper(), paper(), paper()
    expected = feed(whole, *messages)
    said = feed(first, *messages[:cut])
    second.restore(first.snapshot())
    assert said + feed(second, *messages[cut:]) == expected
    assert second.snapshot() == whole.snapshot()


def test_on_a_gotobi_day_a_buy_fills_at_the_ask_of_the_recorded_next_minute() -> None:
    """Tokyo 01:30 on 5 February 2013 is 16:30 UTC on the 4th."""
    minutes = {side: _minutes(side) for side in ("bid", "ask")}
    start = int(datetime(2013, 2, 4, 16, 29, tzinfo=UTC).timestamp()) * NS
    node = paper()
    for side in ("bid", "ask"):
        assert feed(node, minutes[side][start]) == []
    entry = start + MINUTE
    feed(node, clock(entry))
    assert kinds(feed(node, an_order(entry, symbol="USDJPY"))) == ["OrderAccepted"]
    (fill,) = feed(node, minutes["bid"][entry], minutes["ask"][entry])
    assert (fill.price, fill.ts_event_ns) == (Decimal(str(minutes["ask"][entry].open)), entry)
    assert fill.price > Decimal(str(minutes["bid"][entry].open))


def _minutes(side: str) -> dict[int, Bar]:
    with gzip.open(data_file(f"usdjpy-fxcm-m1-{side}-2013-02.csv.gz"), "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["timestamp"].startswith("2013-02-04 16:")]
    bars = {}
    for row in rows:
        at = int(datetime.fromisoformat(row["timestamp"]).timestamp()) * NS
        prices = {name: float(row[name]) for name in ("open", "high", "low", "close")}
        bars[at] = a_bar(at, symbol="USDJPY", price=side, **prices)
    return bars
