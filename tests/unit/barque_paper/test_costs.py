"""Spread, slippage and commission; hand-computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque_paper import PaperConfig, PaperNode, PaperSymbolConfig
from tests.support.builders import MINUTE, T0, a_bar, a_quote, an_order, eurusd
from tests.support.exchange import a_limit, a_stop, feed, fills, paper, stock, traded


def of_eurusd(**own: Any) -> dict[str, Any]:
    return {"symbols": (PaperSymbolConfig(symbol="EURUSD", **own),)}


def test_unless_told_otherwise_slippage_is_a_twentieth_and_commission_a_tenth_of_a_percent_but_at_least_one() -> None:
    """Buy at 1.3869 × 1.0005 = 1.38759345, sell at 1.3868 × 0.9995 = 1.3861066; 0.1 % of 138,759 USD = 138.759; 0.1 % of
    0.001 contracts, 138.611 USD, would be 0.138611."""
    node = PaperNode(PaperConfig(), [eurusd(quantity_step=Decimal("0.001"))])
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    bought = fills(feed(node, an_order(order_id="b")))[0]
    sold = fills(feed(node, an_order(order_id="s", side="sell", quantity=Decimal("0.001"))))[0]
    assert (bought.price, bought.commission, bought.commission_currency) == (Decimal("1.38759"), Decimal("138.759"), "USD")
    assert (sold.price, sold.commission) == (Decimal("1.38611"), Decimal(1))


def test_slippage_never_passes_a_limit() -> None:
    node = paper(slippage_fraction=Decimal("0.01"))
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    assert traded(feed(node, a_limit("1.3870"))) == [("o1", "1", "1.387")]
    assert traded(feed(node, a_limit("1.3860", order_id="s", side="sell"))) == [("s", "1", "1.386")]


def test_slippage_is_added_to_a_stop() -> None:
    """1.40 × 1.01 = 1.414."""
    node = paper(slippage_fraction=Decimal("0.01"))
    feed(node, a_stop("1.40"))
    assert traded(feed(node, a_bar(price="ask", open=1.39, low=1.38, high=1.41))) == [("o1", "1", "1.414")]


def test_slippage_in_ticks_takes_the_place_of_the_fraction() -> None:
    node = paper(slippage_fraction=Decimal("0.5"), **of_eurusd(slippage_ticks=3))
    feed(node, a_quote(bid=1.3868, ask=1.3869))
    said = feed(node, an_order(order_id="b"), an_order(order_id="s", side="sell"))
    assert traded(said) == [("b", "1", "1.38693"), ("s", "1", "1.38677")]


def test_a_price_stays_above_zero_whatever_it_costs() -> None:
    node = paper(**of_eurusd(slippage_ticks=10))
    feed(node, a_quote(bid=0.00005, ask=0.0001))
    assert traded(feed(node, an_order(side="sell"))) == [("o1", "1", "0.00001")]


def test_commission_per_contract_takes_the_place_of_fraction_and_minimum() -> None:
    node = PaperNode(PaperConfig(**of_eurusd(commission_per_contract=Decimal("2.25"))), [eurusd()])
    feed(node, a_quote())
    assert fills(feed(node, an_order(quantity=Decimal(3))))[0].commission == Decimal("6.75")


def test_the_least_commission_is_paid_once_for_an_order_that_fills_in_parts() -> None:
    """0.1 % of 300, 600 and 1,600 is 0.3, 0.6 and 1.6: the first fill pays the minimum of 1, the second nothing, the third
    the 0.6 that the whole costs more than 1."""
    node = paper(stock(), commission_fraction=Decimal("0.001"), commission_min=Decimal(1), max_volume_fraction=Decimal(1))
    feed(node, an_order(symbol="X", quantity=Decimal(16)))
    bars = [a_bar(T0 + i * MINUTE, symbol="X", price="last", **_flat(100.0), volume=v) for i, v in enumerate((3.0, 3.0, 10.0))]
    assert [f.commission for f in fills(feed(node, *bars))] == [Decimal(1), Decimal(0), Decimal("0.6")]


def test_a_spread_is_laid_around_the_middle_and_its_odd_tick_is_the_buyers() -> None:
    for kind in ("mid", "last"):
        for ticks, bought, sold in (
            (0, "1.2", "1.2"),
            (1, "1.20001", "1.2"),
            (4, "1.20002", "1.19998"),
            (5, "1.20003", "1.19998"),
        ):
            node = paper(**of_eurusd(spread_ticks=ticks))
            feed(node, an_order(order_id="b"), an_order(order_id="s", side="sell"))
            said = feed(node, a_bar(price=kind, **_flat(1.2)))
            assert traded(said) == [("b", "1", bought), ("s", "1", sold)], (kind, ticks)


def test_a_spread_is_not_added_where_the_data_has_both_sides() -> None:
    node = paper(**of_eurusd(spread_ticks=50))
    feed(node, a_bar(price="bid", **_flat(1.2)), a_bar(price="ask", **_flat(1.3)))
    feed(node, an_order(T0 + MINUTE, order_id="b"), an_order(T0 + MINUTE, order_id="s", side="sell"))
    said = feed(node, *(a_bar(T0 + MINUTE, price=side, **_flat(level)) for side, level in (("bid", 1.2), ("ask", 1.3))))
    assert sorted(traded(said)) == [("b", "1", "1.3"), ("s", "1", "1.2")]


def test_a_spread_moves_what_a_bar_touches() -> None:
    """With 4 ticks a low of 1.20002 is 1.20004 for a buyer, and a high of 1.20010 is 1.20012."""
    for order, expected in (
        (a_limit("1.20003"), []),
        (a_limit("1.20004"), [("o1", "1", "1.20004")]),
        (a_stop("1.20013"), []),
        (a_stop("1.20012"), [("o1", "1", "1.20012")]),
    ):
        node = paper(**of_eurusd(spread_ticks=4))
        feed(node, order)
        flat = a_bar(T0, price="mid", **_flat(1.20005))
        said = feed(node, flat, a_bar(T0 + MINUTE, price="mid", open=1.20005, low=1.20002, high=1.2001, close=1.20005))
        assert traded(said) == expected, order


def _flat(level: float) -> dict[str, float]:
    return {"open": level, "high": level, "low": level, "close": level}
