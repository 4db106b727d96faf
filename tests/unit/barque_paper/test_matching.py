"""Resting orders over bars: gaps, what touches first, trailing stops, what is left of a bar after an entry. Hand-computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque.messages import Bar, RejectReason
from tests.support.builders import MINUTE, T0, a_bar, a_quote, an_order
from tests.support.exchange import (
    a_change,
    a_limit,
    a_stop,
    a_trailing_stop,
    feed,
    fills,
    kinds,
    paper,
    stock,
    told,
    traded,
)


def mid(minute: int, opened: float, high: float, low: float, price: str = "mid") -> Bar:
    """A EURUSD bar, of both sides at once."""
    return a_bar(T0 + minute * MINUTE, price=price, open=opened, high=high, low=low, close=low)


def x_bar(minute: int, opened: float, high: float, low: float) -> Bar:
    """A bar of stock X."""
    return a_bar(T0 + minute * MINUTE, symbol="X", price="last", open=opened, high=high, low=low, close=opened, volume=1000.0)


# -- limit, stop, stop_limit ---------------------------------------------------------------------------------------------


def test_resting_orders_follow_gap_logic_on_bars() -> None:
    """Each row: order, bar (open, high, low), expected price and whether at the open."""
    table: list[tuple[dict[str, Any], tuple[float, float, float], str | None, bool]] = [
        ({"order_type": "limit", "limit_price": "1.10"}, (1.12, 1.13, 1.09), "1.10", False),
        ({"order_type": "limit", "limit_price": "1.10"}, (1.08, 1.13, 1.07), "1.08", True),
        ({"order_type": "limit", "limit_price": "1.10"}, (1.12, 1.13, 1.11), None, False),
        ({"order_type": "limit", "limit_price": "1.10"}, (1.12, 1.13, 1.10), "1.10", False),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.17, 1.18, 1.16), "1.17", True),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.12, 1.15, 1.11), "1.15", False),
        ({"order_type": "stop", "stop_price": "1.15"}, (1.12, 1.14999, 1.11), None, False),
        ({"side": "sell", "order_type": "limit", "limit_price": "1.15"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"side": "sell", "order_type": "limit", "limit_price": "1.15"}, (1.17, 1.18, 1.16), "1.17", True),
        ({"side": "sell", "order_type": "stop", "stop_price": "1.10"}, (1.12, 1.13, 1.09), "1.10", False),
        ({"side": "sell", "order_type": "stop", "stop_price": "1.10"}, (1.08, 1.13, 1.07), "1.08", True),
        ({"side": "sell", "order_type": "stop", "stop_price": "1.10"}, (1.12, 1.13, 1.11), None, False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.16"}, (1.12, 1.16, 1.11), "1.15", False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.16"}, (1.18, 1.19, 1.15), "1.16", False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.14"}, (1.12, 1.16, 1.11), None, False),
        ({"order_type": "stop_limit", "stop_price": "1.15", "limit_price": "1.16"}, (1.12, 1.14, 1.11), None, False),
    ]
    for terms, (opened, high, low), price, at_open in table:
        terms = {k: Decimal(v) if k.endswith("_price") else v for k, v in terms.items()}
        side = "bid" if terms.get("side") == "sell" else "ask"
        node = paper()
        feed(node, an_order(**terms), mid(0, 1.13, 1.13, 1.13, price=side))
        filled = fills(feed(node, mid(1, opened, high, low, price=side)))
        at = T0 + (1 if at_open else 2) * MINUTE
        expected = [] if price is None else [(Decimal(price), at)]
        assert [(f.price, f.ts_event_ns) for f in filled] == expected, terms


def test_a_stop_limit_touched_in_one_bar_is_a_limit_order_in_the_next() -> None:
    node = paper()
    feed(node, an_order(order_type="stop_limit", stop_price=Decimal("1.15"), limit_price=Decimal("1.14")))
    assert feed(node, mid(0, 1.12, 1.16, 1.11)) == []
    (fill,) = feed(node, mid(1, 1.15, 1.15, 1.13))
    assert fill.price == Decimal("1.14000")


def test_when_a_bar_touches_both_exits_the_stop_comes_first() -> None:
    node = paper()
    feed(
        node, a_limit("1.2", order_id="tp", side="sell", oco_group="g"), a_stop("1.1", order_id="sl", side="sell", oco_group="g")
    )
    said = feed(node, mid(0, 1.15, 1.3, 1.0))
    assert told(said) == [("Fill", "sl"), ("OrderCancelled", "tp")]


def test_what_the_open_fills_comes_before_what_the_inside_fills() -> None:
    node = paper()
    feed(
        node, a_stop("1.1", order_id="sl", side="sell", oco_group="g"), a_limit("1.2", order_id="tp", side="sell", oco_group="g")
    )
    said = feed(node, mid(0, 1.25, 1.3, 1.0))
    assert traded(said) == [("tp", "1", "1.25")]


# -- trailing stops ------------------------------------------------------------------------------------------------------


def x_trail(amount: str = "1.00", **changes: Any) -> Any:
    return a_trailing_stop(amount, symbol="X", **changes)


def test_a_trailing_stop_follows_the_best_price_and_the_high_comes_before_the_low() -> None:
    """Stops: 9.50 after the first bar's high, 9.60 after the second's; the third's high of 10.90 pulls it to 9.90."""
    node = paper(stock())
    feed(node, x_trail())
    assert feed(node, x_bar(0, 10.00, 10.50, 9.60), x_bar(1, 10.40, 10.60, 9.70)) == []
    (fill,) = fills(feed(node, x_bar(2, 10.30, 10.90, 9.85)))
    assert (fill.price, fill.ts_event_ns) == (Decimal("9.90"), T0 + 3 * MINUTE)


def test_the_stop_in_force_comes_before_the_high_that_would_pull_it_away() -> None:
    """Best 10.60, so the stop is 9.60: the low of 9.55 reaches it, whatever the high of 12.00 came before or after."""
    node = paper(stock())
    feed(node, x_trail(), x_bar(0, 10.40, 10.60, 9.70))
    assert traded(feed(node, x_bar(1, 10.00, 12.00, 9.55))) == [("o1", "1", "9.6")]


def test_the_open_pulls_a_trailing_stop_before_the_low() -> None:
    """Opening at 11.00 the stop is 10.00 before anything else happens."""
    node = paper(stock())
    feed(node, x_trail(), x_bar(0, 10.40, 10.60, 9.70))
    assert traded(feed(node, x_bar(1, 11.00, 12.00, 9.70))) == [("o1", "1", "10")]


def test_a_trailing_stop_that_the_open_jumps_over_fills_at_the_open() -> None:
    node = paper(stock())
    feed(node, x_trail(), x_bar(0, 10.40, 10.60, 9.70))
    (fill,) = fills(feed(node, x_bar(1, 9.40, 12.00, 9.30)))
    assert (fill.price, fill.ts_event_ns) == (Decimal("9.40"), T0 + MINUTE)


def test_a_buy_trails_the_lowest_price_from_above() -> None:
    """Best 9.50, stop 10.50; the next bar's low of 9.30 pulls it to 10.30, which its high reaches."""
    node = paper(stock())
    feed(node, x_trail(side="buy"))
    assert feed(node, x_bar(0, 10.00, 10.40, 9.50)) == []
    assert traded(feed(node, x_bar(1, 9.80, 10.35, 9.30))) == [("o1", "1", "10.3")]


def test_a_stop_price_holds_until_the_trail_has_passed_it() -> None:
    """9.80 holds while the high less 1.00 is lower; the high of 11.20 pulls the stop to 10.20."""
    node = paper(stock())
    feed(node, x_trail(stop_price=Decimal("9.80")))
    assert feed(node, x_bar(0, 10.00, 10.50, 9.85), x_bar(1, 10.50, 11.20, 10.25)) == []
    assert traded(feed(node, x_bar(2, 10.15, 10.30, 10.10))) == [("o1", "1", "10.15")]
    first = paper(stock())
    feed(first, x_trail(stop_price=Decimal("9.80")))
    assert traded(feed(first, x_bar(0, 10.00, 10.50, 9.80))) == [("o1", "1", "9.8")]


def test_on_quotes_a_sell_trails_the_bid_and_a_buy_the_ask() -> None:
    def quote(at: int, bid: float, ask: float) -> Any:
        return a_quote(T0 + at, symbol="X", bid=bid, ask=ask)

    node = paper(stock())
    feed(node, quote(0, 10.00, 10.10), x_trail(order_id="s"), x_trail("0.50", order_id="b", side="buy"))
    assert feed(node, quote(1, 10.40, 10.50)) == []
    assert traded(feed(node, quote(2, 10.50, 10.60))) == [("b", "1", "10.6")]
    assert feed(node, quote(3, 9.51, 9.60)) == []
    assert traded(feed(node, quote(4, 9.45, 9.60))) == [("s", "1", "9.45")]


def test_a_modified_trail_counts_from_the_best_price_seen() -> None:
    """Best 10.50: a trail of 0.50 is a stop at 10.00, one of 0.20 at 10.30."""

    def bid(at: int, price: float) -> Any:
        return a_quote(T0 + at, symbol="X", bid=price, ask=price + 0.1)

    node = paper(stock())
    feed(node, bid(0, 10.0), x_trail(), bid(1, 10.5), bid(2, 10.2))
    modified = feed(node, a_change(symbol="X", trail_amount=Decimal("0.50"), ts_event_ns=T0 + 2))
    assert [(type(m).__name__, m.trail_amount) for m in modified] == [("OrderModified", Decimal("0.50"))]
    assert feed(node, bid(3, 10.01)) == []
    said = feed(node, bid(4, 10.2), a_change(symbol="X", trail_amount=Decimal("0.20"), ts_event_ns=T0 + 4))
    assert kinds(said) == ["OrderModified", "Fill"]
    assert traded(said) == [("o1", "1", "10.2")]


def test_a_trail_that_is_off_the_grid_gives_a_stop_on_it() -> None:
    """10.00 − 0.123 = 9.877, which is 9.88 on a grid of 0.01."""
    node = paper(stock())
    feed(node, x_trail("0.123"))
    assert traded(feed(node, x_bar(0, 10.00, 10.00, 9.80))) == [("o1", "1", "9.88")]


def test_with_latency_a_trailing_stop_begins_to_follow_after_it() -> None:
    node = paper(stock(), latency_ms=90_000)
    feed(node, x_trail())
    assert feed(node, x_bar(0, 20.00, 20.00, 20.00), x_bar(1, 20.00, 20.00, 20.00)) == []
    assert feed(node, x_bar(2, 10.00, 10.00, 9.50)) == []
    assert traded(feed(node, x_bar(3, 9.50, 9.50, 8.90))) == [("o1", "1", "9")]


def test_a_stop_that_has_been_touched_cannot_be_moved() -> None:
    node = paper(stock(), max_volume_fraction=Decimal("0.001"))
    feed(node, an_order(symbol="X", quantity=Decimal(2), order_type="stop", stop_price=Decimal(10)))
    assert traded(feed(node, x_bar(0, 9.00, 10.00, 9.00))) == [("o1", "1", "10")]
    (refused,) = feed(node, a_change(symbol="X", stop_price=Decimal(12)))
    assert refused.reason is RejectReason.PRICE
    (modified,) = feed(node, a_change(symbol="X", quantity=Decimal(3), ts_event_ns=T0 + MINUTE))
    assert (modified.quantity, modified.stop_price) == (3, 10)
    assert traded(feed(node, x_bar(1, 9.00, 9.00, 9.00), x_bar(2, 8.00, 8.00, 8.00))) == [("o1", "1", "9"), ("o1", "1", "8")]


# -- what is left of a bar after an entry inside it ----------------------------------------------------------------------


def bracket(entry: Any, stop: str, target: str) -> list[Any]:
    side = "sell" if entry.side == "buy" else "buy"
    exits: dict[str, Any] = {"side": side, "parent_id": entry.order_id, "oco_group": "g"}
    return [entry, a_limit(target, order_id="tp", **exits), a_stop(stop, order_id="sl", **exits)]


def test_a_bar_that_fills_a_limit_entry_and_goes_on_to_its_stop_fills_both() -> None:
    """From 1.12 down to 1.08 it passes 1.10, then 1.09. The high of 1.13 may have come before, so it takes no profit."""
    node = paper()
    feed(node, *bracket(a_limit("1.10", order_id="e"), stop="1.09", target="1.125"))
    said = feed(node, mid(0, 1.12, 1.13, 1.08))
    assert traded(said) == [("e", "1", "1.1"), ("sl", "1", "1.09")]
    assert {fill.ts_event_ns for fill in fills(said)} == {T0 + MINUTE}


def test_after_an_entry_inside_a_bar_the_target_waits_for_the_next_bar() -> None:
    node = paper()
    feed(node, *bracket(a_limit("1.10", order_id="e"), stop="1.09", target="1.125"))
    assert traded(feed(node, mid(0, 1.12, 1.13, 1.095))) == [("e", "1", "1.1")]
    assert traded(feed(node, mid(1, 1.12, 1.13, 1.095))) == [("tp", "1", "1.125")]


def test_after_a_stop_entry_the_low_is_taken_to_come_last() -> None:
    """Opening at 1.12, up to 1.16 and down to 1.11 in an unknown order: the entry at 1.15, then its stop at 1.14."""
    node = paper()
    feed(node, *bracket(a_stop("1.15", order_id="e"), stop="1.14", target="1.20"))
    assert traded(feed(node, mid(0, 1.12, 1.16, 1.11))) == [("e", "1", "1.15"), ("sl", "1", "1.14")]


def test_a_short_entry_inside_a_bar_meets_its_high() -> None:
    node = paper()
    feed(node, *bracket(a_limit("1.15", side="sell", order_id="e"), stop="1.16", target="1.13"))
    assert traded(feed(node, mid(0, 1.14, 1.17, 1.12))) == [("e", "1", "1.15"), ("sl", "1", "1.16")]


def test_after_an_entry_at_the_open_the_whole_bar_counts() -> None:
    node = paper()
    feed(node, *bracket(an_order(order_id="e"), stop="1.05", target="1.125"))
    assert traded(feed(node, mid(0, 1.12, 1.13, 1.08))) == [("e", "1", "1.12"), ("tp", "1", "1.125")]


def test_it_does_not_matter_which_side_of_a_minute_comes_first() -> None:
    for order in (("bid", "ask"), ("ask", "bid")):
        node = paper()
        feed(node, *(mid(0, 1.12, 1.12, 1.12, price=side) for side in order))
        feed(node, *bracket(a_limit("1.10", order_id="e", ts_event_ns=T0 + MINUTE), stop="1.09", target="1.125"))
        said = feed(node, *(mid(1, 1.12, 1.13, 1.085, price=side) for side in order))
        assert traded(said) == [("e", "1", "1.1"), ("sl", "1", "1.09")], order
        assert feed(node, *(mid(2, 1.12, 1.13, 1.08, price=side) for side in order)) == []


def test_an_exit_whose_side_trades_lower_meets_its_own_bar() -> None:
    """The ask falls to 1.095; the bid, a point lower, to 1.0849: from the entry at 1.10 it falls through the stop at 1.095."""
    node = paper()
    feed(node, mid(0, 1.11, 1.11, 1.11, price="bid"), mid(0, 1.12, 1.12, 1.12, price="ask"))
    feed(node, *bracket(a_limit("1.10", order_id="e", ts_event_ns=T0 + MINUTE), stop="1.095", target="1.125"))
    said = feed(node, mid(1, 1.11, 1.11, 1.0849, price="bid"), mid(1, 1.12, 1.13, 1.095, price="ask"))
    assert traded(said) == [("e", "1", "1.1"), ("sl", "1", "1.095")]


def test_an_exit_never_fills_at_a_price_that_its_side_never_had() -> None:
    """The entry pays 1.10 while no bid is above 1.0995: a stop at 1.0997 has been passed before it could work."""
    node = paper()
    feed(node, mid(0, 1.11, 1.11, 1.11, price="bid"), mid(0, 1.12, 1.12, 1.12, price="ask"))
    feed(node, *bracket(a_limit("1.10", order_id="e", ts_event_ns=T0 + MINUTE), stop="1.0997", target="1.125"))
    said = feed(node, mid(1, 1.0995, 1.0995, 1.099, price="bid"), mid(1, 1.12, 1.13, 1.095, price="ask"))
    assert traded(said) == [("e", "1", "1.1"), ("sl", "1", "1.0995")]


def test_a_trailing_exit_counts_from_its_entry() -> None:
    """Entry at 1.10; from there down to 1.08: a trail of 0.01 is hit at 1.09. With 0.03 it stops at 1.07, and the next bar's
    high of 1.14 pulls that to 1.11."""
    for amount, inside, after in (("0.01", [("sl", "1", "1.09")], []), ("0.03", [], [("sl", "1", "1.11")])):
        node = paper()
        feed(node, a_limit("1.10", order_id="e"), a_trailing_stop(amount, order_id="sl", parent_id="e"))
        assert traded(feed(node, mid(0, 1.12, 1.13, 1.08))) == [("e", "1", "1.1"), *inside]
        assert traded(feed(node, mid(1, 1.12, 1.14, 1.105))) == after


def test_a_market_exit_leaves_at_once() -> None:
    node = paper()
    feed(node, a_limit("1.10", order_id="e"), an_order(order_id="x", side="sell", parent_id="e"))
    assert traded(feed(node, mid(0, 1.12, 1.13, 1.08))) == [("e", "1", "1.1"), ("x", "1", "1.1")]
