"""How many contracts a wish comes to. Every expected size is worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque.messages import Fill, RejectReason, SubmitOrder
from router.core.node import RouterNode
from tests.support.builders import a_mark, eurusd, usdjpy
from tests.support.routing import (
    a_router,
    a_wish,
    equity,
    feed,
    filled,
    holding,
    of_kind,
    order_of,
    refusal_of,
    wish_to,
)

D = Decimal
FINE: dict[str, Any] = {"quantity_step": D("0.01")}


def stock() -> Instrument:
    """Priced in USD, a share a contract."""
    return Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=D("0.01"))


def valued(amount: str = "100000", **section: Any) -> RouterNode:
    """An account in USD; EURUSD at 1.25000 / 1.25010, USDJPY at 150.000 / 150.010, SPY at 400.00 / 400.05."""
    node = a_router([eurusd(**FINE), usdjpy(**FINE), stock()], **section)
    marks = [
        a_mark(bid=1.25, ask=1.2501),
        a_mark(symbol="USDJPY", bid=150.0, ask=150.01),
        a_mark(symbol="SPY", bid=400.0, ask=400.05),
    ]
    assert feed(node, equity(amount), *marks) == []
    return node


def size_of(node: RouterNode, **wish: Any) -> Decimal:
    orders = of_kind(SubmitOrder, feed(node, a_wish("w", **({"quantity": None} | wish))))
    return orders[0].quantity


# -- money -----------------------------------------------------------------------------------------------------------------


def test_notional_buys_what_it_pays_at_the_ask() -> None:
    """50,000 USD at 125,010 a contract are 0.39996 contracts; at a limit of 1.20000, 0.41666; SPY at 400.05, 124.98 shares."""
    assert size_of(valued(), notional=D(50_000)) == D("0.39")
    assert size_of(valued(), notional=D(50_000), order_type="limit", limit_price=D("1.2")) == D("0.41")
    assert size_of(valued(), notional=D(50_000), symbol="SPY") == D(124)


def test_notional_sells_what_it_comes_to_at_the_bid() -> None:
    """50,000 USD at 125,000 a contract are exactly 0.4."""
    assert size_of(valued(), notional=D(50_000), side="sell") == D("0.40")


def test_money_is_converted_from_the_base_currency_at_the_mark() -> None:
    """50,000 USD are 7,500,250 JPY at the mid of 150.005; a contract at the ask of 150.010 is 15,001,000 JPY: 0.49998."""
    assert size_of(valued(), notional=D(50_000), symbol="USDJPY") == D("0.49")
    assert size_of(valued(), notional=D(50_002), symbol="USDJPY") == D("0.50")


# -- risk ------------------------------------------------------------------------------------------------------------------


def test_risk_is_the_way_from_the_entry_to_the_stop() -> None:
    """1 % of 100,000 USD is 1,000. Ask 1.25010 to 1.24510 is 0.005, 500 USD a contract: 2. Limit 1.24810: 300 USD: 3.33.
    Sold at the bid of 1.25000 with the stop at 1.25800: 800 USD: 1.25."""
    assert size_of(valued(), risk_fraction=D("0.01"), stop_loss=D("1.24510")) == D("2.00")
    limit = {"order_type": "limit", "limit_price": D("1.24810")}
    assert size_of(valued(), risk_fraction=D("0.01"), stop_loss=D("1.24510"), **limit) == D("3.33")
    assert size_of(valued(), risk_fraction=D("0.01"), side="sell", stop_loss=D("1.25800")) == D("1.25")


def test_risk_in_another_currency_is_converted() -> None:
    """1,000 USD are 150,005 JPY; from 150.010 to 149.010 is 1 JPY, 100,000 JPY a contract: 1.50."""
    assert size_of(valued(), risk_fraction=D("0.01"), symbol="USDJPY", stop_loss=D("149.010")) == D("1.50")


def test_a_stop_entry_risks_from_its_own_stop_price() -> None:
    """From 1.26000 to 1.25000 is 1,000 USD a contract."""
    stop = {"order_type": "stop", "stop_price": D("1.26"), "stop_loss": D("1.25")}
    assert size_of(valued(), risk_fraction=D("0.01"), **stop) == D("1.00")


def test_without_a_stop_the_volatility_is_what_is_risked() -> None:
    """An ATR of 0.0025 is 250 USD a contract: 1,000 USD are 4."""
    assert size_of(valued(), risk_fraction=D("0.01"), volatility=D("0.0025")) == D("4.00")
    refusal = refusal_of(valued(), a_wish("w", quantity=None, risk_fraction=D("0.01")))
    assert refusal.reason is RejectReason.QUANTITY
    assert "stop_loss" in refusal.detail


@pytest.mark.parametrize(("side", "stop"), [("buy", "1.2502"), ("buy", "1.2501"), ("sell", "1.2499")])
def test_a_stop_on_the_wrong_side_risks_nothing_and_is_refused(side: str, stop: str) -> None:
    wish = a_wish("w", side=side, quantity=None, risk_fraction=D("0.01"), stop_loss=D(stop))
    assert refusal_of(valued(), wish).reason is RejectReason.PRICE


def test_a_stop_so_near_that_no_market_has_as_many_contracts_is_refused() -> None:
    node = a_router([stock()])
    feed(node, equity("1e14"), a_mark(symbol="SPY", bid=400.0, ask=400.05))
    wish = a_wish("w", symbol="SPY", quantity=None, risk_fraction=D(1), stop_loss=D("400.04"))
    assert refusal_of(node, wish).reason is RejectReason.QUANTITY


# -- targets ---------------------------------------------------------------------------------------------------------------


def test_a_target_fraction_is_a_part_of_equity_at_the_mark_with_its_sign() -> None:
    """Half of 100,000 USD at the mid of 1.25005 (125,005 a contract) is 0.39998; one and a half short: 1.19995."""
    order = order_of(valued(), wish_to("target", target_fraction=D("0.5")))
    assert (order.side, order.quantity) == ("buy", D("0.39"))
    order = order_of(valued(), wish_to("target", target_fraction=D("-1.5")))
    assert (order.side, order.quantity) == ("sell", D("1.19"))


def test_a_target_fraction_trades_the_difference_to_what_is_held() -> None:
    node = holding(valued(), 2)
    order = order_of(node, wish_to("target", target_fraction=D("0.5")))
    assert (order.side, order.quantity, order.closes) == ("sell", D("1.61"), True)


def test_a_difference_that_is_too_small_for_an_order_is_no_wish_at_all() -> None:
    node = a_router([eurusd(**FINE, min_quantity=D("0.10"))])
    feed(node, equity("100000"), a_mark(bid=1.25, ask=1.25))
    order = order_of(node, wish_to("target", "1", target_fraction=D(1)))
    assert order.quantity == D("0.80")
    feed(node, filled(order), equity("101000"))
    assert feed(node, wish_to("target", "2", target_fraction=D(1))) == []
    assert refusal_of(node, wish_to("target", "3", target=D("0.85"))).limit == "0.10"
    assert refusal_of(node, wish_to("target", "3b", target=D("0.75"))).limit == "0.10"
    assert refusal_of(node, wish_to("reduce", "4", quantity=D("0.05"))).limit == "0.10"
    assert order_of(node, wish_to("exit", "5")).quantity == D("0.80")


def test_a_target_of_nothing_needs_neither_equity_nor_a_price() -> None:
    order = order_of(holding(a_router(), 2), wish_to("target", target_fraction=D(0)))
    assert (order.side, order.quantity, order.closes) == ("sell", D(2), True)


# -- configured sizing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("fixed", "2.345", "2.34"),
        ("notional", "50000", "0.39"),
        ("equity_fraction", "0.5", "0.39"),
        ("risk_fraction", "0.01", "2.00"),
        ("volatility", "0.02", "8.00"),
    ],
)
def test_an_entry_that_does_not_say_how_much_is_sized_as_configured(method: str, value: str, expected: str) -> None:
    """As above; volatility: 2,000 USD at 250 USD a contract and ATR."""
    node = valued(sizing=[{"method": method, "value": value}])
    assert size_of(node, stop_loss=D("1.24510"), volatility=D("0.0025")) == D(expected)


def test_the_most_specific_sizing_counts_and_what_a_signal_says_comes_before_all() -> None:
    layers = [("", ""), ("", "USDJPY"), ("s2", ""), ("s2", "USDJPY")]
    sizing = [{"method": "fixed", "value": n, "strategy": s, "symbol": y} for n, (s, y) in enumerate(layers, start=1)]
    node = valued(sizing=sizing, default_quantity="9")
    found = [
        order_of(node, a_wish(f"{s}{y}", strategy_id=s, symbol=y, quantity=None)).quantity
        for s, y in (("s1", "EURUSD"), ("s1", "USDJPY"), ("s2", "EURUSD"), ("s2", "USDJPY"))
    ]
    assert found == [D(1), D(2), D(3), D(4)]
    assert order_of(node, a_wish("own", quantity=D(7))).quantity == D(7)
    assert order_of(valued(default_quantity="9"), a_wish("none", quantity=None)).quantity == D(9)


def test_sizing_by_volatility_needs_the_signals() -> None:
    node = valued(sizing=[{"method": "volatility", "value": "0.02"}])
    assert refusal_of(node, a_wish("w", quantity=None)).reason is RejectReason.QUANTITY
    assert refusal_of(node, a_wish("v", quantity=None, volatility=D(0))).reason is RejectReason.QUANTITY


# -- what is missing -------------------------------------------------------------------------------------------------------


def test_without_equity_or_with_none_left_nothing_is_sized() -> None:
    for amount in (None, "0", "-5"):
        node = a_router()
        feed(node, a_mark(), *([equity(amount)] if amount is not None else []))
        for wish in ({"notional": D(1000)}, {"risk_fraction": D("0.1"), "stop_loss": D("1.2")}):
            assert refusal_of(node, a_wish(str(wish), quantity=None, **wish)).reason is RejectReason.NO_EQUITY
        assert refusal_of(node, wish_to("target", target_fraction=D(1))).reason is RejectReason.NO_EQUITY


def test_without_a_price_nothing_is_sized() -> None:
    node = a_router()
    feed(node, equity("1000", currency="JPY"), a_mark())
    for wish in (a_wish("a", quantity=None, notional=D(9)), wish_to("target", "b", target_fraction=D(1))):
        refusal = refusal_of(node, wish)
        assert refusal.reason is RejectReason.NO_PRICE
        assert "USDJPY" in refusal.detail
    feed(node, a_mark(symbol="USDJPY", bid=0.0, ask=float("nan"), last=float("inf")))
    assert refusal_of(node, a_wish("c", quantity=None, notional=D(9))).reason is RejectReason.NO_PRICE


def test_a_division_that_rounds_up_never_makes_the_order_larger_than_the_wish() -> None:
    """8.999… with thirty digits, divided by 3, is 3 when rounded to 28."""
    node = a_router([stock()])
    feed(node, equity("100"))
    wish = {"notional": D("8.99999999999999999999999999999"), "order_type": "limit", "limit_price": D(3)}
    assert order_of(node, a_wish("w", symbol="SPY", quantity=None, **wish)).quantity == D(2)


# -- law -------------------------------------------------------------------------------------------------------------------


@given(
    money=st.decimals("0.01", "1e8", places=2),
    price=st.integers(1, 10**7).map(lambda ticks: D(ticks) / 1000),
    step=st.sampled_from(["1", "0.01", "0.001", "0.5", "3"]),
)
def test_no_size_is_worth_more_than_the_wish_and_one_step_more_always_is(money: Decimal, price: Decimal, step: str) -> None:
    instrument = Instrument(symbol="X", asset_class="stock", currency="USD", tick_size=D("0.001"), quantity_step=D(step))
    node = a_router([instrument])
    feed(node, equity("1"))
    wish = a_wish("w", symbol="X", quantity=None, notional=money, order_type="limit", limit_price=price)
    (said,) = feed(node, wish)
    quantity = said.quantity if isinstance(said, SubmitOrder) else D(0)
    assert not isinstance(said, Fill)
    assert quantity * price <= money < (quantity + D(step)) * price
    assert quantity % D(step) == 0
