"""How much trades and what follows: volume, brackets, OCO groups. Hand-computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque.messages import Bar, OrderCancelled, OrderExpired, OrderModified, OrderRejected, RejectReason
from barque_paper import PaperNode, PaperSymbolConfig
from tests.support.builders import MINUTE, T0, a_bar, a_quote, a_trade, an_order, clock, eurusd
from tests.support.exchange import (
    a_cancel,
    a_change,
    a_limit,
    a_stop,
    feed,
    feed_restoring,
    fills,
    kinds,
    paper,
    stock,
    told,
    traded,
)

X: dict[str, Any] = {"symbol": "X"}
TENTH: dict[str, Any] = {"max_volume_fraction": Decimal("0.1")}


def x_bar(minute: int, level: float, volume: float, **changes: Any) -> Bar:
    """A flat bar of stock X."""
    flat: dict[str, Any] = {"open": level, "high": level, "low": level, "close": level, "volume": volume, "price": "last"}
    return a_bar(T0 + minute * MINUTE, **(X | flat | changes))


def thin() -> PaperNode:
    """An exchange of stock X where a tenth of the volume is ours."""
    return paper(stock(), **TENTH)


# -- volume --------------------------------------------------------------------------------------------------------------


def test_an_order_takes_its_part_of_each_bar_until_it_is_filled() -> None:
    """A tenth of 30, 35 and 50 is 3, 3 and 5: of 7 contracts 3, then 3, then the last one."""
    node = thin()
    feed(node, an_order(quantity=Decimal(7), **X))
    said = fills(feed(node, x_bar(0, 10.0, 30.0), x_bar(1, 11.0, 35.0), x_bar(2, 12.0, 50.0)))
    assert [(f.exec_id, f.quantity, f.price, f.leaves_quantity, f.ts_event_ns) for f in said] == [
        ("o1-1", 3, 10, 4, T0),
        ("o1-2", 3, 11, 1, T0 + MINUTE),
        ("o1-3", 1, 12, 0, T0 + 2 * MINUTE),
    ]
    assert feed(node, x_bar(3, 13.0, 100.0)) == []


def test_the_orders_of_one_bar_share_its_volume_by_acceptance() -> None:
    node = thin()
    feed(node, *(an_order(order_id=name, quantity=Decimal(2), **X) for name in "abc"))
    assert traded(feed(node, x_bar(0, 10.0, 30.0))) == [("a", "2", "10"), ("b", "1", "10")]
    assert traded(feed(node, x_bar(1, 10.0, 30.0))) == [("b", "1", "10"), ("c", "2", "10")]


def test_where_nothing_was_traded_nothing_fills() -> None:
    node = thin()
    feed(node, an_order(**X))
    assert feed(node, x_bar(0, 10.0, 0.0), x_bar(1, 10.0, 9.0), x_bar(2, 10.0, float("nan"))) == []
    assert traded(feed(node, x_bar(3, 10.0, 10.0))) == [("o1", "1", "10")]


def test_quotes_and_their_bars_without_sizes_fill_any_size() -> None:
    for prices in (a_quote(T0 + 1, bid=10.0, ask=11.0, **X), x_bar(1, 11.0, 0.0, price="ask")):
        node = thin()
        feed(node, an_order(quantity=Decimal(500), **X))
        assert traded(feed(node, prices)) == [("o1", "500", "11")]


def test_the_size_of_a_quote_serves_once() -> None:
    """A tenth of 100 is 10 of the 15; a second order finds nothing left until there is a new quote."""
    node = thin()
    quote: dict[str, Any] = X | {"bid": 9.0, "ask": 10.0, "ask_size": 100.0, "bid_size": 20.0}
    feed(node, a_quote(T0, **quote))
    assert traded(feed(node, an_order(quantity=Decimal(15), **X))) == [("o1", "10", "10")]
    assert kinds(feed(node, an_order(order_id="o2", **X))) == ["OrderAccepted"]
    assert traded(feed(node, an_order(order_id="s", side="sell", quantity=Decimal(3), **X))) == [("s", "2", "9")]
    assert traded(feed(node, a_quote(T0 + 1, **quote))) == [("o1", "5", "10"), ("o2", "1", "10"), ("s", "1", "9")]


def test_the_size_of_a_trade_serves_once() -> None:
    node = thin()
    feed(node, a_trade(price=10.0, size=20.0, **X))
    assert traded(feed(node, an_order(quantity=Decimal(3), **X))) == [("o1", "2", "10")]
    assert traded(feed(node, a_trade(T0 + 1, price=11.0, size=20.0, **X))) == [("o1", "1", "11")]


def test_volume_in_units_becomes_contracts() -> None:
    """Half of 500,000 EUR is 2.5 contracts of 100,000, 2 whole ones; in steps of 0.5 it is all 2.5. Where 1,000 is a contract,
    half of 5,000 is 2 too."""
    table = [
        (eurusd(), 500_000.0, None, "2"),
        (eurusd(quantity_step=Decimal("0.5")), 500_000.0, None, "2.5"),
        (eurusd(), 5_000.0, Decimal(1_000), "2"),
        (eurusd(asset_class="future", contract_size=Decimal(50)), 5.0, None, "2"),
    ]
    for instrument, volume, per_contract, expected in table:
        own = PaperSymbolConfig(symbol="EURUSD", volume_per_contract=per_contract)
        node = paper(instrument, max_volume_fraction=Decimal("0.5"), symbols=(own,))
        feed(node, an_order(quantity=Decimal(10)))
        said = traded(feed(node, a_bar(T0, price="ask", volume=volume)))
        assert said == [("o1", expected, "1.3868")], (volume, per_contract)


def test_ioc_fills_what_it_can_and_fok_all_or_nothing() -> None:
    node = thin()
    feed(node, a_quote(T0, bid=9.0, ask=10.0, ask_size=100.0, **X))
    said = feed(node, an_order(order_id="fok", quantity=Decimal(11), time_in_force="fok", **X))
    assert [(type(m), m.filled_quantity) for m in said[1:]] == [(OrderCancelled, 0)]
    said = feed(node, an_order(order_id="ioc", quantity=Decimal(7), time_in_force="ioc", **X))
    assert kinds(said) == ["OrderAccepted", "Fill"]
    said = feed(node, an_order(order_id="ioc2", quantity=Decimal(7), time_in_force="ioc", **X))
    assert traded(said) == [("ioc2", "3", "10")]
    assert [(type(m), m.filled_quantity) for m in said[2:]] == [(OrderCancelled, 3)]
    feed(node, a_quote(T0 + 1, bid=9.0, ask=10.0, ask_size=100.0, **X))
    said = feed(node, an_order(order_id="whole", quantity=Decimal(10), time_in_force="fok", **X))
    assert kinds(said) == ["OrderAccepted", "Fill"]


def test_the_rest_of_a_touched_stop_is_a_market_order() -> None:
    """3 of 5 at the stop of 10.50; the next bar opens below it and takes the rest."""
    node = thin()
    feed(node, an_order(quantity=Decimal(5), order_type="stop", stop_price=Decimal("10.5"), **X))
    said = feed(node, x_bar(0, 10.0, 30.0, high=11.0), x_bar(1, 10.2, 30.0))
    assert traded(said) == [("o1", "3", "10.5"), ("o1", "2", "10.2")]


def test_a_stop_that_is_touched_where_nothing_can_be_had_is_a_market_order() -> None:
    node = thin()
    feed(node, an_order(order_type="stop", stop_price=Decimal("10.5"), **X))
    assert feed(node, x_bar(0, 10.0, 5.0, high=11.0)) == []
    assert traded(feed(node, x_bar(1, 10.2, 30.0))) == [("o1", "1", "10.2")]


def test_the_rest_of_a_stop_limit_is_a_limit_order() -> None:
    node = thin()
    terms: dict[str, Any] = {"order_type": "stop_limit", "stop_price": Decimal("10.5"), "limit_price": Decimal("10.6")}
    feed(node, an_order(quantity=Decimal(5), **terms, **X))
    said = feed(node, x_bar(0, 10.0, 30.0, high=11.0), x_bar(1, 10.7, 30.0), x_bar(2, 10.4, 30.0))
    assert traded(said) == [("o1", "3", "10.5"), ("o1", "2", "10.4")]


def test_at_the_close_the_volume_of_the_closed_bar_counts() -> None:
    node = paper(stock(), fill_at="close", **TENTH)
    feed(node, x_bar(0, 10.0, 30.0))
    said = feed(node, an_order(T0 + MINUTE, quantity=Decimal(5), **X), x_bar(1, 11.0, 30.0))
    assert traded(said) == [("o1", "3", "10"), ("o1", "2", "11")]


def test_what_ends_says_how_much_had_filled() -> None:
    for end, kind in ((a_cancel(at=T0 + MINUTE, **X), OrderCancelled), (clock(T0 + 3 * MINUTE), OrderExpired)):
        node = thin()
        feed(node, an_order(quantity=Decimal(5), valid_until_ns=T0 + MINUTE + 5, **X), x_bar(0, 10.0, 30.0))
        (ended,) = feed(node, end)
        assert (type(ended), ended.filled_quantity) == (kind, 3)


# -- modifying what has partly filled ------------------------------------------------------------------------------------


def partly_filled() -> PaperNode:
    """3 of 5 filled."""
    node = thin()
    feed(node, an_order(quantity=Decimal(5), **X), x_bar(0, 10.0, 30.0))
    return node


def change(quantity: int) -> Any:
    return a_change(quantity=Decimal(quantity), ts_event_ns=T0 + MINUTE, **X)


def test_a_quantity_is_that_of_the_whole_order() -> None:
    node = partly_filled()
    (modified,) = feed(node, change(4))
    assert (type(modified), modified.quantity) == (OrderModified, 4)
    assert traded(feed(node, x_bar(1, 10.0, 30.0))) == [("o1", "1", "10")]


def test_a_quantity_below_what_has_filled_is_refused() -> None:
    node = partly_filled()
    (refused,) = feed(node, change(2))
    assert refused.reason is RejectReason.QUANTITY
    assert traded(feed(node, x_bar(1, 10.0, 30.0))) == [("o1", "2", "10")]


def test_a_quantity_lowered_to_what_has_filled_ends_the_order() -> None:
    node = partly_filled()
    modified, ended = feed(node, change(3))
    assert (type(modified), modified.quantity) == (OrderModified, 3)
    assert (type(ended), ended.filled_quantity) == (OrderCancelled, 3)
    assert feed(node, x_bar(1, 10.0, 30.0)) == []


# -- brackets ------------------------------------------------------------------------------------------------------------


def exits(quantity: int = 10, **changes: Any) -> list[Any]:
    """A target at 12 and a stop at 8 for an entry `e`."""
    terms: dict[str, Any] = {"side": "sell", "parent_id": "e", "oco_group": "g", "quantity": Decimal(quantity)} | X | changes
    return [a_limit("12", order_id="tp", **terms), a_stop("8", order_id="sl", **terms)]


def entered(node: PaperNode, *bars: Bar) -> list[Any]:
    """An entry of 10 at market with its exits, then bars."""
    return feed_restoring(node, an_order(order_id="e", quantity=Decimal(10), **X), *exits(), *bars)[3:]


def test_a_bracket_trades_only_after_its_entry_and_one_exit_cancels_the_other() -> None:
    node = paper()
    feed(node, a_quote(bid=1.20, ask=1.21), a_limit("1.15", order_id="e"))
    pair: dict[str, Any] = {"side": "sell", "parent_id": "e", "oco_group": "e"}
    held = feed(node, a_limit("1.18", order_id="tp", **pair), a_stop("1.10", order_id="sl", **pair))
    assert kinds(held) == ["OrderAccepted", "OrderAccepted"]
    assert [m.order_id for m in feed(node, a_quote(T0 + 1, bid=1.14, ask=1.15))] == ["e"]
    said = feed(node, a_quote(T0 + 2, bid=1.19, ask=1.20))
    assert told(said) == [("Fill", "tp"), ("OrderCancelled", "sl")]


def test_exits_that_arrive_after_their_entry_has_filled_work_at_once() -> None:
    node = paper()
    feed(node, a_quote(bid=1.20, ask=1.21), an_order(order_id="e"))
    pair: dict[str, Any] = {"side": "sell", "parent_id": "e", "oco_group": "e"}
    tp = feed(node, a_limit("1.19", order_id="tp", **pair))
    sl = feed(node, a_stop("1.10", order_id="sl", **pair))
    assert (kinds(tp), kinds(sl)) == (["OrderAccepted", "Fill"], ["OrderAccepted", "OrderCancelled"])


def test_children_of_an_entry_that_never_fills_are_cancelled() -> None:
    node = paper()
    feed(node, an_order(order_id="e"), an_order(order_id="c", parent_id="e"))
    assert [m.order_id for m in feed(node, a_cancel("e"))] == ["e", "c"]
    (orphan,) = feed(node, an_order(order_id="d", parent_id="e"))
    assert (type(orphan), orphan.reason) == (OrderRejected, RejectReason.UNKNOWN_ORDER)


def test_exits_are_as_large_as_what_has_been_entered() -> None:
    """4 of 10 are entered; the target takes 4, and the stop, which stood for the same 4, loses them."""
    node = thin()
    assert traded(entered(node, x_bar(0, 10.0, 40.0))) == [("e", "4", "10")]
    said = feed(node, x_bar(1, 12.0, 0.0), x_bar(2, 12.0, 40.0))
    assert traded(said) == [("e", "4", "12")]
    said = feed(node, x_bar(3, 12.5, 30.0))
    assert traded(said) == [("e", "2", "12.5"), ("tp", "1", "12.5")]
    (modified,) = [m for m in said if isinstance(m, OrderModified)]
    assert (modified.order_id, modified.quantity, modified.stop_price, modified.cause) == ("sl", 9, 8, "s1/1/0")


def test_a_partial_exit_leaves_the_other_exit_the_rest() -> None:
    """Entered 10; the target sells 4, so the stop is for 6, and sells 6."""
    node = paper(stock(), max_volume_fraction=Decimal(1))
    assert traded(entered(node, x_bar(0, 10.0, 10.0))) == [("e", "10", "10")]
    said = feed(node, x_bar(1, 12.0, 4.0))
    assert told(said) == [("Fill", "tp"), ("OrderModified", "sl")]
    said = feed(node, x_bar(2, 7.5, 100.0))
    assert traded(said) == [("sl", "6", "7.5")]
    assert [(type(m), m.order_id, m.filled_quantity) for m in said[1:]] == [(OrderCancelled, "tp", 4)]
    assert node.positions() == []


def test_when_an_entry_ends_early_its_exits_shrink_to_what_it_filled() -> None:
    node = thin()
    entered(node, x_bar(0, 10.0, 40.0))
    said = feed_restoring(node, a_cancel("e", at=T0 + MINUTE, **X))
    assert told(said) == [("OrderCancelled", "e"), ("OrderModified", "tp"), ("OrderModified", "sl")]
    assert [m.quantity for m in said[1:]] == [4, 4]
    said = feed(node, x_bar(1, 12.0, 40.0))
    assert told(said) == [("Fill", "tp"), ("OrderCancelled", "sl")]
    assert fills(said)[0].leaves_quantity == 0


def test_when_an_entry_ends_after_its_exit_has_closed_all_of_it_nothing_is_left_of_the_exits() -> None:
    node = paper(stock(), max_volume_fraction=Decimal(1))
    feed(node, a_limit("10", order_id="e", quantity=Decimal(10), **X), *exits())
    assert traded(feed(node, x_bar(0, 10.0, 4.0), x_bar(1, 12.0, 4.0))) == [("e", "4", "10"), ("tp", "4", "12")]
    said = feed(node, a_cancel("e", at=T0 + 2 * MINUTE, **X))
    assert [(type(m), m.order_id, m.filled_quantity) for m in said] == [
        (OrderCancelled, "e", 4),
        (OrderCancelled, "tp", 4),
        (OrderCancelled, "sl", 0),
    ]


def test_exits_that_come_after_part_of_their_entry_know_what_has_filled_and_what_has_been_closed() -> None:
    """4 of 10 entered, the target sells 4 of its 10; the stop that comes last is for 6, none of which may trade yet."""
    node = paper(stock(), max_volume_fraction=Decimal(1))
    target, stop = exits()
    feed(node, a_limit("10", order_id="e", quantity=Decimal(10), **X), x_bar(0, 10.0, 4.0), target)
    assert traded(feed(node, x_bar(1, 12.0, 40.0))) == [("tp", "4", "12")]
    accepted, modified = feed(node, stop)
    assert (accepted.order_id, modified.quantity) == ("sl", 6)
    assert feed(node, x_bar(2, 7.0, 0.0)) == []
    said = feed(node, a_cancel("e", at=T0 + 3 * MINUTE, **X))
    assert [(m.order_id, m.filled_quantity) for m in said] == [("e", 4), ("tp", 4), ("sl", 0)]


def test_exits_that_come_after_their_entry_has_ended_are_for_what_it_filled() -> None:
    node = thin()
    feed(node, an_order(order_id="e", quantity=Decimal(10), **X), x_bar(0, 10.0, 40.0), a_cancel("e", at=T0 + MINUTE, **X))
    target, stop = exits()
    accepted, modified = feed(node, stop)
    assert (type(accepted).__name__, modified.quantity) == ("OrderAccepted", 4)
    assert traded(feed(node, target, x_bar(1, 7.0, 100.0))) == [("sl", "4", "7")]


def test_an_exit_larger_than_its_entry_is_cut_to_it() -> None:
    node = paper(stock())
    feed(node, an_order(order_id="e", quantity=Decimal(2), **X), *exits(10))
    said = feed(node, x_bar(0, 10.0, 40.0))
    assert told(said) == [("Fill", "e"), ("OrderModified", "tp"), ("OrderModified", "sl")]
    assert traded(feed(node, x_bar(1, 13.0, 40.0))) == [("tp", "2", "13")]


def test_a_modified_exit_still_waits_for_what_has_not_been_entered() -> None:
    """4 of 10 are entered. A target of 12 may sell 4 now; lowered to 3, it sells 3."""
    for quantity, sold in ((12, "4"), (3, "3")):
        node = thin()
        entered(node, x_bar(0, 10.0, 40.0))
        feed(node, a_change(order_id="tp", quantity=Decimal(quantity), ts_event_ns=T0 + MINUTE, **X))
        said = feed(node, x_bar(1, 12.0, 1000.0))
        assert traded(said) == [("e", "6", "12"), ("tp", sold, "12")]


# -- OCO without a parent ------------------------------------------------------------------------------------------------


def test_of_two_orders_of_a_group_a_partial_fill_of_one_lowers_the_other() -> None:
    node = thin()
    group: dict[str, Any] = {"oco_group": "g", "quantity": Decimal(5)} | X
    feed(node, a_stop("11", order_id="up", **group), a_stop("9", order_id="down", side="sell", **group))
    said = feed(node, x_bar(0, 11.0, 30.0))
    assert told(said) == [("Fill", "up"), ("OrderModified", "down")]
    assert said[1].quantity == 2
    said = feed(node, x_bar(1, 10.0, 30.0))
    assert told(said) == [("Fill", "up"), ("OrderCancelled", "down")]


def test_a_group_that_is_done_takes_no_further_order() -> None:
    node = paper(stock())
    feed(node, an_order(order_id="a", oco_group="g", **X), x_bar(0, 10.0, 1.0))
    said = feed(node, a_limit("5", order_id="b", oco_group="g", quantity=Decimal(3), **X))
    assert kinds(said) == ["OrderAccepted", "OrderCancelled"]


def test_an_order_that_is_smaller_than_what_its_group_has_filled_ends() -> None:
    node = thin()
    feed(node, an_order(order_id="a", oco_group="g", quantity=Decimal(5), **X))
    feed(node, a_limit("5", order_id="b", oco_group="g", quantity=Decimal(2), **X))
    said = feed(node, x_bar(0, 10.0, 30.0))
    assert told(said) == [("Fill", "a"), ("OrderCancelled", "b")]


def test_an_exit_that_shares_a_group_with_a_stranger_waits_for_no_more_than_is_left_of_it() -> None:
    """The stranger sells 3, so the exit is for 2; its entry buys 2, and it may sell both."""
    node = thin()
    feed(node, a_limit("10", order_id="e", quantity=Decimal(5), **X))
    feed(node, a_limit("12", order_id="x", side="sell", quantity=Decimal(5), parent_id="e", oco_group="g", **X))
    feed(node, a_limit("11", order_id="stranger", side="sell", quantity=Decimal(5), oco_group="g", **X))
    said = feed(node, x_bar(0, 11.0, 30.0), x_bar(1, 10.0, 20.0), a_cancel("stranger", at=T0 + 2 * MINUTE, **X))
    assert traded(said) == [("stranger", "3", "11"), ("e", "2", "10")]
    assert traded(feed(node, x_bar(2, 12.0, 1000.0))) == [("x", "2", "12")]


def test_both_exits_in_one_thin_bar_sell_no_more_than_there_is() -> None:
    """The stop takes the 3 that the bar allows, the target none of them; the rest of the stop leaves at the next open."""
    node = paper(stock(), max_volume_fraction=Decimal("0.1"))
    entered(node, x_bar(0, 10.0, 100.0))
    said = feed(node, x_bar(1, 10.0, 30.0, high=13.0, low=7.0), x_bar(2, 9.0, 100.0))
    assert traded(said) == [("sl", "3", "8"), ("sl", "7", "9")]
    assert told(said) == [("Fill", "sl"), ("OrderModified", "tp"), ("Fill", "sl"), ("OrderCancelled", "tp")]
