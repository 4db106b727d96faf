"""The exchange: which price serves an order, and the lives of orders; hand-computed."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from barque.errors import ConfigError
from barque.messages import (
    Bar,
    CancelRejected,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    RejectReason,
    Resume,
    Topic,
)
from barque.node import ASLEEP, AWAKE, Sleeper
from barque_paper import PaperSymbolConfig
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, an_order, clock, eurusd, usdjpy
from tests.support.data import data_file
from tests.support.exchange import (
    a_breaker,
    a_cancel,
    a_change,
    a_halt,
    a_limit,
    a_stop,
    feed,
    fills,
    kinds,
    paper,
    told,
    traded,
)

DAY = 86_400 * NS
HOUR = 3_600 * NS


def a_flat_bar(at: int, level: float, **changes: Any) -> Bar:
    return a_bar(at, **({"open": level, "high": level, "low": level, "close": level} | changes))


# -- ticks ---------------------------------------------------------------------------------------------------------------


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
    assert (bought.quantity, bought.leaves_quantity) == (1, 0)
    assert fills(feed(node, an_order(order_id="s", side="sell")))[0].price == Decimal("1.38680")


def test_a_symbol_with_trades_fills_at_the_last_price() -> None:
    node = paper()
    feed(node, a_trade(price=1.5))
    assert fills(feed(node, an_order()))[0].price == Decimal("1.50000")


def test_quotes_serve_before_trades() -> None:
    node = paper()
    feed(node, a_quote(bid=1.3868, ask=1.3869), a_trade(T0 + 1, price=1.5))
    assert fills(feed(node, an_order()))[0].price == Decimal("1.38690")


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


def test_nobody_sells_where_a_quote_has_no_ask() -> None:
    node = paper()
    feed(node, an_order())
    assert feed(node, a_quote(ask=float("nan")), a_quote(ask=0.0), a_quote(ask=float("inf")), a_quote(ask=-1.0)) == []
    assert traded(feed(node, an_order(order_id="s", side="sell"))) == [("s", "1", "1.3868")]


def test_a_side_that_a_quote_leaves_out_is_as_it_was() -> None:
    node = paper()
    feed(node, a_quote(bid=1.1, ask=1.2), a_quote(T0 + 1, bid=1.15, ask=float("nan")), a_quote(T0, bid=9.0, ask=9.1))
    assert traded(feed(node, an_order(order_id="b"), an_order(order_id="s", side="sell"))) == [
        ("b", "1", "1.2"),
        ("s", "1", "1.15"),
    ]


def test_a_limit_fills_at_the_better_quote_and_a_stop_at_the_worse_one() -> None:
    node = paper()
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    feed(node, a_limit("1.3860", order_id="limit"), a_stop("1.3880", order_id="stop"))
    assert traded(feed(node, a_quote(T0 + 1, bid=1.3857, ask=1.3858))) == [("limit", "1", "1.3858")]
    assert traded(feed(node, a_quote(T0 + 2, bid=1.3882, ask=1.3883))) == [("stop", "1", "1.3883")]


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
    assert fills(feed(node, a_flat_bar(T0, 1.25, price="mid")))[0].price == Decimal("1.25000")


def test_a_side_of_its_own_serves_before_the_middle_and_the_middle_before_the_last_price() -> None:
    levels = {"last": 1.1, "mid": 1.2, "bid": 1.3, "ask": 1.4}
    for kinds_there, bought, sold in (("last mid bid ask", "1.4", "1.3"), ("last mid", "1.2", "1.2"), ("last", "1.1", "1.1")):
        node = paper(fill_at="close")
        feed(node, *(a_flat_bar(T0, levels[kind], price=kind) for kind in kinds_there.split()))
        said = feed(node, an_order(T0 + MINUTE, order_id="b"), an_order(T0 + MINUTE, order_id="s", side="sell"))
        assert traded(said) == [("b", "1", bought), ("s", "1", sold)]


def test_a_buy_is_served_by_bid_bars_where_there_are_no_others_but_not_by_the_first_of_all() -> None:
    """The ask bar of the first minute may come after its bid bar; by the second bid bar it would have come."""
    spread = PaperSymbolConfig(symbol="EURUSD", spread_ticks=3)
    node = paper(symbols=(spread,))
    feed(node, an_order())
    assert feed(node, a_flat_bar(T0, 1.1)) == []
    assert traded(feed(node, a_flat_bar(T0 + MINUTE, 1.2))) == [("o1", "1", "1.20003")]
    other = paper(symbols=(spread,))
    feed(other, an_order(), a_flat_bar(T0, 1.1))
    assert traded(feed(other, a_flat_bar(T0, 1.15, price="ask"))) == [("o1", "1", "1.15")]
    seller = paper(symbols=(spread,))
    feed(seller, a_flat_bar(T0, 1.1, price="ask"), an_order(T0 + MINUTE, side="sell"))
    assert traded(feed(seller, a_flat_bar(T0 + MINUTE, 1.2, price="ask"))) == [("o1", "1", "1.19997")]


def test_a_bar_that_opened_before_the_order_never_fills_it() -> None:
    node = paper()
    feed(node, a_bar(T0, price="ask"))
    feed(node, an_order(T0 + MINUTE + 1))
    assert feed(node, a_bar(T0 + MINUTE, price="ask")) == []
    assert len(fills(feed(node, a_bar(T0 + 2 * MINUTE, price="ask")))) == 1


def test_with_latency_an_order_fills_at_the_first_bar_that_opens_after_it() -> None:
    node = paper(latency_ms=1)
    feed(node, a_bar(T0, price="ask"), an_order(T0 + MINUTE))
    assert feed(node, a_bar(T0 + MINUTE, price="ask")) == []
    assert len(fills(feed(node, a_bar(T0 + 2 * MINUTE, price="ask")))) == 1


def test_bars_of_a_quoted_symbol_are_ignored() -> None:
    node = paper()
    feed(node, a_quote(), a_limit("1.0"))
    assert feed(node, a_bar(T0 + MINUTE, price="ask", low=0.5)) == []


def test_of_several_intervals_the_finest_serves() -> None:
    node = paper()
    feed(node, *(a_bar(T0 + i * MINUTE, price="ask", low=1.2) for i in range(5)))
    feed(node, a_limit("1.1", order_id="late"))
    assert feed(node, a_bar(T0, 5 * MINUTE, interval="5m", price="ask", low=1.0)) == []


def test_of_bars_that_open_together_the_shorter_and_the_later_of_a_series_serve() -> None:
    """At T0 + 5 minutes the close of five minutes is fresh; that of the only minute inside is not."""
    five, one = a_flat_bar(T0, 1.1, interval_ns=5 * MINUTE, price="ask"), a_flat_bar(T0, 1.2, price="ask")
    for bars in ((one, five), (five, one)):
        node = paper(fill_at="close")
        assert kinds(feed(node, *bars, an_order())) == ["OrderAccepted"]
    ticks = paper(fill_at="close")
    shape: dict[str, Any] = {"interval": "range:10", "price": "ask", "interval_ns": 0}
    feed(ticks, a_flat_bar(T0, 1.1, **shape), a_flat_bar(T0, 1.2, seq=1, **shape), a_flat_bar(T0, 1.3, **shape))
    assert traded(feed(ticks, an_order())) == [("o1", "1", "1.2")]


def test_a_bar_with_impossible_prices_trades_nothing() -> None:
    for fault in ({"low": 1.4}, {"high": float("nan")}, {"open": 0.0}, {"low": -1.0}, {"high": float("inf")}, {"open": 1.3}):
        node = paper()
        feed(node, an_order())
        assert feed(node, a_bar(price="ask", **fault)) == [], fault
        assert len(fills(feed(node, a_bar(T0 + MINUTE, price="ask")))) == 1


def test_symbols_without_an_instrument_are_not_traded_here() -> None:
    node = paper()
    assert feed(node, a_bar(symbol="XAUUSD"), a_quote(symbol="XAUUSD"), a_trade(symbol="XAUUSD")) == []


# -- fill_at = "close" ---------------------------------------------------------------------------------------------------


def test_at_the_close_a_market_order_fills_at_once_at_the_close_of_the_bar_that_has_just_closed() -> None:
    node = paper(fill_at="close")
    feed(node, a_bar(T0, price="bid", close=1.3868), a_bar(T0, price="ask", close=1.3870))
    (fill,) = fills(feed(node, an_order(T0 + MINUTE)))
    assert (fill.price, fill.ts_event_ns) == (Decimal("1.38700"), T0 + MINUTE)
    assert fills(feed(node, an_order(T0 + MINUTE, order_id="s", side="sell")))[0].price == Decimal("1.38680")


def test_at_the_close_only_market_orders_fill_at_once() -> None:
    node = paper(fill_at="close")
    feed(node, a_bar(T0, price="ask", open=1.3, low=1.2, high=1.4, close=1.3))
    assert kinds(feed(node, a_limit("1.35", order_id="l"), a_stop("1.25", order_id="s"))) == ["OrderAccepted"] * 2
    said = feed(node, a_bar(T0 + MINUTE, price="ask", open=1.31, low=1.2, high=1.4))
    assert traded(said) == [("l", "1", "1.31"), ("s", "1", "1.31")]


def test_a_close_that_is_as_old_as_its_bar_is_long_fills_nothing_and_the_next_open_does() -> None:
    node = paper(fill_at="close")
    feed(node, a_bar(T0, price="ask", close=1.3868), clock(T0 + 2 * MINUTE - 1))
    assert traded(feed(node, an_order(order_id="young"))) == [("young", "1", "1.3868")]
    feed(node, clock(T0 + 2 * MINUTE))
    assert kinds(feed(node, an_order(order_id="old"))) == ["OrderAccepted"]
    assert traded(feed(node, a_flat_bar(T0 + 2 * MINUTE, 1.5, price="ask"))) == [("old", "1", "1.5")]


def test_at_the_close_a_bracket_guards_from_the_next_bar_on() -> None:
    node = paper(fill_at="close")
    feed(node, a_bar(T0, price="bid", low=1.1, high=1.4, open=1.3, close=1.3))
    feed(node, an_order(T0 + MINUTE, order_id="e"), a_stop("1.2", side="sell", order_id="sl", parent_id="e"))
    said = feed(node, a_bar(T0 + MINUTE, price="bid", low=1.1, high=1.4, open=1.3, close=1.3))
    assert traded(said) == [("sl", "1", "1.2")]


def test_ticks_have_no_close() -> None:
    node = paper(fill_at="close")
    feed(node, a_quote(), a_bar(T0 - MINUTE, price="ask", close=1.3868))
    assert traded(feed(node, an_order())) == [("o1", "1", "1.3869")]


# -- cancel and modify ---------------------------------------------------------------------------------------------------


def test_a_cancel_withdraws_a_working_order_and_is_refused_for_a_finished_one() -> None:
    node = paper()
    feed(node, an_order())
    (cancelled,) = feed(node, a_cancel())
    assert (type(cancelled), cancelled.filled_quantity, cancelled.cause) == (OrderCancelled, Decimal(0), "s1/1/0")
    (refused,) = feed(node, a_cancel())
    assert (type(refused), refused.reason, refused.cause) == (CancelRejected, RejectReason.UNKNOWN_ORDER, "c")
    assert feed(node, a_quote()) == []


def test_a_modified_limit_trades_at_its_new_price() -> None:
    node = paper()
    feed(node, a_quote(ask=1.3869), a_limit("1.0"))
    modified, fill = feed(node, a_change(limit_price=Decimal("1.4"), quantity=Decimal(3)))
    assert modified == OrderModified(
        order_id="o1",
        cause="m",
        root="r2",
        strategy_id="s1",
        account="paper",
        symbol="EURUSD",
        ts_event_ns=T0,
        quantity=Decimal(3),
        limit_price=Decimal("1.4"),
    )
    assert (fill.quantity, fill.price) == (Decimal(3), Decimal("1.38690"))
    (refused,) = feed(node, a_change(quantity=Decimal(1)))
    assert (type(refused), refused.reason) == (ModifyRejected, RejectReason.UNKNOWN_ORDER)


def test_a_modified_order_meets_no_bar_that_opened_before() -> None:
    node = paper()
    feed(node, a_limit("1.1"), a_bar(T0, price="ask"))
    feed(node, a_change(limit_price=Decimal("1.5"), ts_event_ns=T0 + MINUTE))
    assert traded(feed(node, a_bar(T0 + MINUTE, price="ask"))) == [("o1", "1", "1.3868")]


def test_a_modification_that_makes_no_sense_leaves_the_order_as_it_was() -> None:
    table: list[tuple[dict[str, Any], RejectReason]] = [
        ({"quantity": Decimal(-1)}, RejectReason.QUANTITY),
        ({"quantity": Decimal(6)}, RejectReason.ORDER_SIZE_LIMIT),
        ({"limit_price": Decimal("0")}, RejectReason.PRICE),
        ({"limit_price": Decimal("1.000001")}, RejectReason.PRICE),
    ]
    for change, reason in table:
        node = paper(max_order_quantity=Decimal(5))
        feed(node, a_limit("1.0"))
        (refused,) = feed(node, a_change(**change))
        assert (type(refused), refused.reason, refused.cause) == (ModifyRejected, reason, "m"), change
        assert traded(feed(node, a_quote(ask=0.9))) == [("o1", "1", "0.9")]


def test_a_modification_waits_out_the_latency_again() -> None:
    node = paper(latency_ms=1)
    feed(node, a_limit("1.0"), a_quote(T0 + 5_000_000, ask=1.2))
    assert kinds(feed(node, a_change(limit_price=Decimal("1.3"), ts_event_ns=T0 + 6_000_000))) == ["OrderModified"]
    assert feed(node, a_quote(T0 + 6_500_000, ask=1.2)) == []
    assert traded(feed(node, a_quote(T0 + 7_000_000, ask=1.25))) == [("o1", "1", "1.25")]


# -- time in force -------------------------------------------------------------------------------------------------------


def test_ioc_and_fok_get_one_attempt() -> None:
    for kind in ("ioc", "fok"):
        node = paper()
        assert kinds(feed(node, an_order(order_id="0", time_in_force=kind))) == ["OrderAccepted", "OrderCancelled"]
        feed(node, a_quote())
        assert kinds(feed(node, a_limit("1.0", time_in_force=kind))) == ["OrderAccepted", "OrderCancelled"]
        assert kinds(feed(node, an_order(order_id="2", time_in_force=kind))) == ["OrderAccepted", "Fill"]


def test_on_bars_the_one_attempt_is_the_next_bar() -> None:
    node = paper()
    feed(node, a_bar(T0, price="ask"))
    for order in (a_limit("1.3867", order_id="hit"), a_limit("1.3866", order_id="miss")):
        assert kinds(feed(node, an_order(T0 + MINUTE, **_terms(order), time_in_force="ioc"))) == ["OrderAccepted"]
    said = feed(node, a_bar(T0 + MINUTE, price="ask"))
    assert sorted(told(said)) == [("Fill", "hit"), ("OrderCancelled", "miss")]


def _terms(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in ("order_id", "order_type", "limit_price")}


def test_an_order_expires_when_its_time_has_passed() -> None:
    node = paper()
    feed(node, an_order(time_in_force="gtd", valid_until_ns=T0 + 10))
    assert feed(node, clock(T0 + 10)) == []
    (expired,) = feed(node, clock(T0 + 11))
    assert (type(expired), expired.ts_event_ns) == (OrderExpired, T0 + 10)
    feed(node, an_order(T0 + 20, order_id="o2", valid_until_ns=T0 + 30))
    assert kinds(feed(node, a_quote(T0 + 31))) == ["OrderExpired"]
    assert kinds(feed(node, an_order(T0 + 40, order_id="o3", valid_until_ns=T0 + 30))) == ["OrderAccepted", "OrderExpired"]


def test_a_day_order_ends_with_the_trading_day_of_its_instrument() -> None:
    """T0 is Thursday, 1 May 2014, 00:00 UTC: in New York it is 20:00 of the day before, and summer. The FX day ends at 17:00
    there, which is 21:00 UTC; the day of a market that never closes ends at midnight UTC; New York's exchange closes at 16:00."""
    friday = T0 + DAY
    table = [
        (eurusd(), T0 + 5, T0 + 21 * HOUR),
        (eurusd(), T0 + 21 * HOUR, friday + 21 * HOUR),
        (eurusd(), friday + 22 * HOUR, friday + 3 * DAY + 21 * HOUR),
        (eurusd(calendar="24/7"), T0 + 5, T0 + DAY),
        (eurusd(calendar="XNYS"), T0 + 5, T0 + 20 * HOUR),
        (eurusd(calendar="XNYS"), friday + 20 * HOUR, friday + 3 * DAY + 20 * HOUR),
    ]
    for instrument, accepted_ns, end_ns in table:
        node = paper(instrument)
        feed(node, an_order(accepted_ns, time_in_force="day", order_type="limit", limit_price=Decimal("1.0")))
        assert feed(node, clock(end_ns - 1)) == []
        (expired,) = feed(node, clock(end_ns))
        assert (type(expired), expired.ts_event_ns) == (OrderExpired, end_ns - 1)


def test_a_day_order_for_an_unknown_calendar_is_rejected() -> None:
    (refused,) = feed(paper(eurusd(calendar="XNIS")), an_order(time_in_force="day"))
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.UNSUPPORTED)
    assert "'XNIS'" in refused.detail


def test_on_bars_a_day_order_lives_to_see_the_last_bar_of_its_day() -> None:
    """The clock of an instant comes before its bars."""
    node = paper(eurusd(calendar="24/7"))
    feed(node, a_bar(T0, price="ask"), a_limit("1.2", time_in_force="day"))
    last = T0 + DAY - MINUTE
    said = feed(node, a_bar(last - MINUTE, price="ask"), clock(T0 + DAY), a_bar(last, price="ask", low=1.1))
    assert traded(said) == [("o1", "1", "1.2")]
    feed(node, a_limit("1.0", order_id="o2", time_in_force="day"))
    assert feed(node, clock(T0 + 2 * DAY), clock(T0 + 2 * DAY + MINUTE - 1)) == []
    assert told(feed(node, clock(T0 + 2 * DAY + MINUTE))) == [("OrderExpired", "o2")]


def test_an_order_whose_time_ends_inside_a_bar_may_still_trade_at_its_open() -> None:
    terms: dict[str, Any] = {"valid_until_ns": T0 + 10}
    node = paper()
    feed(node, a_limit("1.1", order_id="gap", **terms))
    assert fills(feed(node, a_bar(price="ask", open=1.05, low=1.0, high=1.2)))[0].price == Decimal("1.05000")
    node = paper()
    feed(node, a_limit("1.1", order_id="inside", **terms))
    assert kinds(feed(node, a_bar(price="ask", open=1.15, low=1.0, high=1.2))) == ["OrderExpired"]


# -- what is refused -----------------------------------------------------------------------------------------------------


def test_a_halt_refuses_new_orders_and_keeps_working_ones() -> None:
    node = paper()
    feed(node, an_order(order_id="old"), a_halt())
    (refused,) = feed(node, an_order(order_id="new"))
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.HALTED)
    assert [fill.order_id for fill in fills(feed(node, a_quote()))] == ["old"]
    feed(node, Resume(command_id="r", ts_event_ns=T0, actor="me"))
    assert kinds(feed(node, an_order(order_id="newer"))) == ["OrderAccepted", "Fill"]


def test_while_a_breaker_is_open_only_what_closes_is_taken_of_its_scope() -> None:
    """The second gate: none of these orders should have passed the router."""
    entry, leg = an_order(order_id="in"), {"side": "sell", "parent_id": "in", "closes": True}
    for scope, other_passes in (("", False), ("s1", True)):
        node = paper()
        feed(node, a_limit("1.3", order_id="old"), a_breaker(scope), a_quote())
        refused, orphan = feed(node, entry, a_stop("1.2", order_id="sl", **leg))
        assert (type(refused), refused.reason, type(orphan)) == (OrderRejected, RejectReason.BREAKER, OrderRejected)
        assert kinds(feed(node, an_order(order_id="out", side="sell", closes=True))) == ["OrderAccepted", "Fill"]
        (other, *_) = feed(node, an_order(order_id="other", strategy_id="s2"))
        assert isinstance(other, OrderAccepted) is other_passes
        node.restore(node.snapshot())
        assert kinds(feed(node, an_order(order_id="in2"))) == ["OrderRejected"]
        feed(node, a_breaker(scope, status="NORMAL"))
        assert kinds(feed(node, an_order(order_id="in3"))) == ["OrderAccepted", "Fill"]
        assert node.open_orders()[0].order_id == "old"


def test_a_breaker_of_another_account_stops_nothing() -> None:
    node = paper()
    feed(node, a_quote(), a_breaker("", account="other"))
    assert kinds(feed(node, an_order())) == ["OrderAccepted", "Fill"]


def test_under_a_halt_or_an_open_breaker_a_change_may_only_take_contracts_away() -> None:
    for stop, reason in ((a_halt(), RejectReason.HALTED), (a_breaker(""), RejectReason.BREAKER)):
        node = paper()
        feed(node, a_limit("1.3", quantity=Decimal(5)), stop)
        for terms in (
            {"quantity": Decimal(6)},
            {"limit_price": Decimal("1.31")},
            {"quantity": Decimal(4), "limit_price": Decimal(1)},
        ):
            (refused,) = feed(node, a_change(**terms))
            assert (type(refused), refused.reason) == (ModifyRejected, reason)
        (made,) = feed(node, a_change(quantity=Decimal(4)))
        assert (type(made), made.quantity) == (OrderModified, 4)
        assert kinds(feed(node, a_cancel())) == ["OrderCancelled"]


def test_while_a_breaker_is_open_an_exit_is_moved_as_its_strategy_wishes() -> None:
    node = paper()
    feed(node, a_stop("1.2", side="sell", closes=True), a_breaker("s1"))
    assert kinds(feed(node, a_change(stop_price=Decimal("1.21")))) == ["OrderModified"]


def test_a_repeated_order_is_ignored_whether_working_finished_or_rejected() -> None:
    node = paper()
    feed(node, an_order())
    assert feed(node, an_order()) == []
    feed(node, a_quote())
    assert feed(node, an_order()) == []
    feed(node, an_order(order_id="bad", quantity=Decimal(0)))
    assert feed(node, an_order(order_id="bad")) == []
    assert node.counters == {"orders_repeated": 3}


def test_a_thousand_orders_later_the_last_512_are_still_known_and_the_state_is_small() -> None:
    node = paper()
    feed(node, a_quote())
    for number in range(3000):
        feed(node, an_order(order_id=f"{number:020d}"))
        if number % 600 == 599:
            for past in range(number, number - 512, -1):
                assert feed(node, an_order(order_id=f"{past:020d}")) == []
    assert len(node.snapshot()) < 64_000


def test_orders_and_requests_of_another_account_are_not_ours() -> None:
    other = {"account": "other"}
    assert feed(paper(), an_order(**other), a_cancel(**other), a_change(**other), a_quote()) == []


def test_what_the_exchange_cannot_do_is_rejected_with_a_reason() -> None:
    table: list[tuple[dict[str, Any], RejectReason]] = [
        ({"symbol": "XAUUSD"}, RejectReason.UNKNOWN_SYMBOL),
        ({"symbol": "JPYUSD"}, RejectReason.NOT_TRADABLE),
        ({"order_type": "trailing_stop"}, RejectReason.PRICE),
        ({"order_type": "trailing_stop", "trail_amount": Decimal("0.000001")}, RejectReason.PRICE),
        ({"order_type": "trailing_stop", "trail_amount": Decimal(1), "stop_price": Decimal(-1)}, RejectReason.PRICE),
        ({"quantity": Decimal(0)}, RejectReason.QUANTITY),
        ({"quantity": Decimal("NaN")}, RejectReason.QUANTITY),
        ({"quantity": Decimal("1.5")}, RejectReason.QUANTITY),
        ({"quantity": Decimal(11)}, RejectReason.ORDER_SIZE_LIMIT),
        ({"order_type": "limit"}, RejectReason.PRICE),
        ({"order_type": "limit", "limit_price": Decimal("1.123456")}, RejectReason.PRICE),
        ({"order_type": "stop", "stop_price": Decimal("Infinity")}, RejectReason.PRICE),
        ({"order_type": "stop_limit", "stop_price": Decimal("1.1")}, RejectReason.PRICE),
        ({"time_in_force": "gtd"}, RejectReason.UNSUPPORTED),
        ({"parent_id": "nobody"}, RejectReason.UNKNOWN_ORDER),
    ]
    inverse = usdjpy(symbol="JPYUSD", inverts="USDJPY")
    for terms, reason in table:
        node = paper(eurusd(), usdjpy(), inverse, max_order_quantity=Decimal(10))
        (refused,) = feed(node, an_order(**terms))
        assert (type(refused), refused.reason) == (OrderRejected, reason), terms
        assert refused.detail.startswith("order o1: ")


def test_outside_the_session_orders_are_rejected_where_asked_for() -> None:
    """3 May 2014 is a Saturday; FX opens again on Sunday at 17:00 in New York, 21:00 UTC."""
    node = paper(trade_only_in_session=True)
    feed(node, a_quote())
    closed, opens = T0 + 2 * DAY, T0 + 3 * DAY + 21 * HOUR
    (refused,) = feed(node, an_order(closed, order_id="closed"))
    assert (type(refused), refused.reason) == (OrderRejected, RejectReason.MARKET_CLOSED)
    assert kinds(feed(node, an_order(opens, order_id="open"))) == ["OrderAccepted", "Fill"]
    assert kinds(feed(paper(), an_order(closed))) == ["OrderAccepted"]


def test_an_exchange_whose_symbols_are_not_configured_says_which() -> None:
    with pytest.raises(ConfigError, match=r"paper\.symbols.*'EURUSB'.*EURUSD"):
        paper(symbols=(PaperSymbolConfig(symbol="EURUSB"),))


# -- sleep ---------------------------------------------------------------------------------------------------------------


def test_it_sleeps_through_prices_while_no_order_works_and_to_the_first_deadline() -> None:
    node = paper()
    assert isinstance(node, Sleeper)

    def answers() -> tuple[int, ...]:
        return tuple(node.sleeps_until(topic) for topic in (Topic.BARS, Topic.CLOCK, Topic.TICKS, Topic.ORDERS))

    assert answers() == (ASLEEP, ASLEEP, ASLEEP, AWAKE)
    feed(node, a_limit("1.0"))
    assert answers() == (AWAKE, ASLEEP, AWAKE, AWAKE)
    feed(node, a_limit("1.0", order_id="o2", valid_until_ns=T0 + 50), a_limit("1.0", order_id="o3", valid_until_ns=T0 + 20))
    assert answers() == (AWAKE, T0 + 21, AWAKE, AWAKE)
    feed(node, clock(T0 + 21))
    assert answers() == (AWAKE, T0 + 51, AWAKE, AWAKE)
    feed(node, a_cancel("o1"), a_cancel("o2"))
    assert answers() == (ASLEEP, ASLEEP, ASLEEP, AWAKE)


# -- recordings ----------------------------------------------------------------------------------------------------------


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
