"""The exchange's own books: hand calculations, and the portfolio's books as an independent second opinion."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import Quote
from barque.venue import VenueAccount, VenueExecution, VenueOrder, VenuePosition
from barque_paper import PaperNode
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from tests.support.builders import T0, a_quote, an_order, eurusd, usdjpy
from tests.support.exchange import a_limit, feed, fills, paper, stock

RICH: dict[str, Any] = {"currency": "USD", "starting_cash": Decimal(100_000)}


def quote(price: float, symbol: str = "EURUSD", at: int = T0) -> Quote:
    """Bid and ask the same."""
    return a_quote(at, symbol=symbol, bid=price, ask=price)


def trade(node: PaperNode, name: str, side: str, quantity: int, price: float, symbol: str = "EURUSD", **changes: Any) -> None:
    order = an_order(order_id=name, side=side, quantity=Decimal(quantity), symbol=symbol, **changes)
    feed(node, quote(price, symbol), order)


def test_on_margin_a_trade_moves_only_what_it_realises() -> None:
    """2 bought at 1.10, 1 sold at 1.12: 2,000 realised. 2 more sold at 1.09: −1,000, and 1 short at 1.09."""
    node = paper(**RICH)
    trade(node, "a", "buy", 2, 1.10)
    assert node.account().cash == {"USD": Decimal(100_000)}
    trade(node, "b", "sell", 1, 1.12)
    assert node.account().cash == {"USD": Decimal(102_000)}
    assert node.positions() == [VenuePosition(symbol="EURUSD", quantity=Decimal(1), average_price=Decimal("1.10000000"))]
    trade(node, "c", "sell", 2, 1.09)
    assert node.account().cash == {"USD": Decimal(101_000)}
    assert node.positions() == [VenuePosition(symbol="EURUSD", quantity=Decimal(-1), average_price=Decimal("1.09000000"))]


def test_elsewhere_a_trade_moves_its_whole_value() -> None:
    """3 shares bought at 10 for 30 and 1 of commission, 1 sold at 12 for 12 and 1: 100,000 − 31 + 11."""
    node = paper(stock(), commission_min=Decimal(1), **RICH)
    trade(node, "a", "buy", 3, 10.0, "X")
    trade(node, "b", "sell", 1, 12.0, "X")
    assert node.account().cash == {"USD": Decimal(99_980)}


def test_cash_is_kept_by_currency_and_equity_counts_the_accounts_own() -> None:
    """1 EURUSD bought at 1.10 is worth 1,000 more at 1.11; 1 USDJPY sold at 150 lost 20,000 JPY, which are not converted."""
    node = paper(commission_min=Decimal(5), **RICH)
    trade(node, "a", "buy", 1, 1.10)
    trade(node, "b", "sell", 1, 150.0, "USDJPY")
    trade(node, "c", "buy", 1, 150.2, "USDJPY")
    feed(node, quote(1.11))
    assert node.account() == VenueAccount(
        account="paper",
        live=False,
        currency="USD",
        cash={"USD": Decimal(99_995), "JPY": Decimal(-20_010)},
        equity=Decimal(100_995),
        buying_power=Decimal(100_995),
    )


def test_equity_is_what_closing_now_would_bring() -> None:
    """2 shares bought at 10: 99,980 and two bids of 11. One EURUSD sold at 1.10 costs an ask of 1.12 to close: −2,000."""
    node = paper(stock(), eurusd(), **RICH)
    trade(node, "a", "buy", 2, 10.0, "X")
    feed(node, a_quote(T0 + 1, symbol="X", bid=11.0, ask=14.0))
    assert node.account().equity == Decimal(100_002)
    trade(node, "b", "sell", 1, 1.10)
    feed(node, a_quote(T0 + 1, bid=1.0, ask=1.12))
    assert node.account().equity == Decimal(98_002)


def test_strategies_hold_apart_and_are_shown_net() -> None:
    """One holds 2 at 100, the other is short 1 at 110: net 1 that cost 90, and nothing is realised."""
    node = paper(stock(asset_class="future"), **RICH)
    trade(node, "a", "buy", 2, 100.0, "X", strategy_id="s1")
    trade(node, "b", "sell", 1, 110.0, "X", strategy_id="s2")
    assert node.account().cash == {"USD": Decimal(100_000)}
    assert node.positions() == [VenuePosition(symbol="X", quantity=Decimal(1), average_price=Decimal("90.00000"))]
    trade(node, "c", "buy", 1, 105.0, "X", strategy_id="s2")
    assert node.account().cash == {"USD": Decimal(100_005)}


def test_it_shows_its_open_orders_as_they_are_now() -> None:
    node = paper(stock(), max_volume_fraction=Decimal(1))
    feed(node, a_quote(symbol="X", bid=9.0, ask=10.0, ask_size=2.0, bid_size=2.0))
    feed(node, a_limit("10", order_id="o9", symbol="X", quantity=Decimal(5)))
    assert node.open_orders() == [
        VenueOrder(
            order_id="o9",
            venue_order_id="P-o9",
            symbol="X",
            side="buy",
            quantity=Decimal(5),
            filled=Decimal(2),
            order_type="limit",
            limit_price=Decimal(10),
        )
    ]


def test_it_shows_its_last_executions() -> None:
    node = paper()
    for number in range(200):
        feed(node, quote(1.1, at=T0 + number), an_order(T0 + number, order_id=str(number)))
    assert [each.order_id for each in node.executions_since(T0 + 198)] == ["198", "199"]
    assert [each.order_id for each in node.executions_since(0)][-32:] == [str(number) for number in range(168, 200)]
    assert len(node.executions_since(0)) < 64
    assert node.executions_since(T0 + 199) == [
        VenueExecution(
            exec_id="199-1",
            order_id="199",
            venue_order_id="P-199",
            symbol="EURUSD",
            side="buy",
            quantity=Decimal(1),
            price=Decimal("1.10000"),
            ts_event_ns=T0 + 199,
            commission=Decimal(0),
            commission_currency="USD",
        )
    ]


_deals = st.tuples(
    st.sampled_from(["s1", "s2"]),
    st.sampled_from(["EURUSD", "USDJPY", "X"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 7),
    st.integers(90, 110),
)


@given(st.lists(_deals, max_size=30))
def test_its_books_are_those_of_the_portfolio(deals: list[tuple[str, str, str, int, int]]) -> None:
    instruments = [eurusd(), usdjpy(), stock(currency="JPY")]
    node = paper(*instruments, commission_fraction=Decimal("0.0003"), commission_min=Decimal(2), **RICH)
    account = AccountConfig(name="paper", currency="USD", starting_cash=RICH["starting_cash"])
    books = PortfolioNode(PortfolioConfig(accounts=(account,)), instruments)
    held: dict[str, Decimal] = {}
    for number, (strategy_id, symbol, side, quantity, price) in enumerate(deals):
        order = an_order(order_id=str(number), strategy_id=strategy_id, symbol=symbol, side=side, quantity=Decimal(quantity))
        (fill,) = fills(feed(node, quote(price, symbol, T0 + number), order))
        list(books.handle(fill))
        held[symbol] = held.get(symbol, Decimal(0)) + fill.signed_quantity
    assert dict(node.account().cash) == dict(books.cash("paper"))
    assert {each.symbol: each.quantity for each in node.positions()} == {s: q for s, q in held.items() if q}
