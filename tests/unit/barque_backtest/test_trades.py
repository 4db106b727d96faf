"""Round trips: expected values are worked out by hand; the law is that no money is lost."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from barque.messages import Fill
from barque_backtest.trades import RoundTrip, round_trips
from portfolio.core.books import Position
from tests.support.builders import MINUTE, T0, eurusd, usdjpy
from tests.support.runs import STOCK, fill, order

INSTRUMENTS = {"ACME": STOCK, "EURUSD": eurusd(), "USDJPY": usdjpy()}


def trips_of(fills: list[Fill], **last_prices: str) -> list[RoundTrip]:
    return round_trips(fills, INSTRUMENTS, {}, {symbol: Decimal(price) for symbol, price in last_prices.items()})


def test_a_long_trade_earns_the_difference_times_contracts_and_multiplier_less_commissions() -> None:
    bought = fill(1, "2", "1.10000", symbol="EURUSD", commission=Decimal("3.5"))
    sold = fill(31, "-2", "1.10250", symbol="EURUSD", commission=Decimal("3.6"))
    (trip,) = trips_of([bought, sold])
    assert (trip.direction, trip.quantity, trip.fills) == ("long", Decimal(2), 2)
    assert (trip.entry_price, trip.exit_price) == (Decimal("1.10000"), Decimal("1.10250"))
    assert trip.gross_pnl == Decimal("500.0000")  # 0.0025 x 2 x 100,000
    assert trip.net_pnl == Decimal("492.9")
    assert (trip.entry_ns, trip.exit_ns, trip.duration_ns) == (T0 + MINUTE, T0 + 31 * MINUTE, 30 * MINUTE)


def test_a_short_trade_earns_when_the_price_falls() -> None:
    (trip,) = trips_of([fill(0, "-10", "50.00"), fill(1, "10", "48.50")])
    assert (trip.direction, trip.gross_pnl) == ("short", Decimal("15.00"))


def test_what_is_added_and_taken_off_between_belongs_to_one_trade_at_average_prices() -> None:
    (trip,) = trips_of([fill(0, "1", "10.00"), fill(1, "3", "12.00"), fill(2, "-2", "14.00"), fill(3, "-2", "11.00")])
    assert trip.entry_price == Decimal("11.50")  # (10 + 36) / 4
    assert trip.exit_price == Decimal("12.50")  # (28 + 22) / 4
    assert (trip.quantity, trip.gross_pnl, trip.fills) == (Decimal(4), Decimal("4.00"), 4)


def test_a_fill_through_zero_is_split_and_so_is_its_commission() -> None:
    first, second = trips_of([fill(0, "1", "10.00"), fill(5, "-3", "11.00", commission=Decimal("1.00")), fill(9, "2", "10.50")])
    assert (first.direction, first.gross_pnl, first.commission) == ("long", Decimal("1.00"), Decimal("0.33333333"))
    assert (second.direction, second.quantity, second.gross_pnl) == ("short", Decimal(2), Decimal("1.00"))
    assert first.commission + second.commission == Decimal("1.00")
    assert first.exit_ns == second.entry_ns == T0 + 5 * MINUTE


def test_an_open_trade_is_valued_at_the_last_price_and_has_no_end() -> None:
    (trip,) = trips_of([fill(0, "4", "10.00"), fill(1, "-1", "12.00")], ACME="11.00")
    assert (trip.exit_ns, trip.duration_ns, trip.exit_reason) == (None, None, "")
    assert trip.gross_pnl == Decimal("5.00")  # 2 realised and 3 open
    assert trip.exit_price == Decimal("11.25")


def test_an_open_trade_without_a_price_has_no_profit() -> None:
    (trip,) = trips_of([fill(0, "4", "10.00")])
    assert (trip.gross_pnl, trip.net_pnl, trip.exit_price) == (None, None, None)


def test_each_strategy_and_symbol_has_trades_of_its_own_in_the_order_of_their_first_fills() -> None:
    trips = trips_of(
        [
            fill(0, "1", "10.00"),
            fill(1, "-1", "10.00", strategy_id="s2"),
            fill(2, "1", "91.700", symbol="USDJPY"),
            fill(3, "1", "10.00", strategy_id="s2"),
            fill(4, "-1", "10.00"),
        ]
    )
    assert [(t.strategy_id, t.symbol, t.exit_ns is None) for t in trips] == [
        ("s1", "ACME", False),
        ("s2", "ACME", False),
        ("s1", "USDJPY", True),
    ]


def test_corrections_and_unknown_symbols_are_left_out_as_the_portfolio_does() -> None:
    assert trips_of([fill(0, "1", "10.00", symbol="GONE"), fill(1, "1", "10.00", corrects="x")]) == []


def test_commissions_in_another_currency_are_kept_apart() -> None:
    (trip,) = trips_of(
        [
            fill(0, "1", "91.700", symbol="USDJPY", commission=Decimal("2"), commission_currency="USD"),
            fill(1, "-1", "91.800", symbol="USDJPY", commission=Decimal("100"), commission_currency="JPY"),
        ]
    )
    assert (trip.commission, trip.other_commissions) == (Decimal(100), {"USD": Decimal(2)})
    assert trip.net_pnl == Decimal("9900.000")


def test_tags_and_reasons_are_those_of_the_orders_that_began_and_ended_it() -> None:
    fills = [fill(0, "1", "10.00", order_id="in"), fill(1, "-1", "10.00", order_id="out")]
    orders = {"in": order("in", tag="entry", reason="broke out"), "out": order("out", reason="stopped")}
    (trip,) = round_trips(fills, INSTRUMENTS, orders, {})
    assert (trip.tag, trip.reason, trip.exit_tag, trip.exit_reason) == ("entry", "broke out", "", "stopped")


a_quantity = st.integers(-9, 9).filter(bool)
a_price = st.integers(1, 2000)


@given(st.lists(st.tuples(a_quantity, a_price, st.integers(0, 300)), min_size=1, max_size=40), a_price)
def test_profits_less_commissions_are_what_was_received_less_what_was_paid(trades: list[tuple[int, int, int]], last: int) -> None:
    fills = [
        fill(i, str(quantity), str(Decimal(price) / 100), commission=Decimal(cents) / 100)
        for i, (quantity, price, cents) in enumerate(trades)
    ]
    trips = trips_of(fills, ACME=str(Decimal(last) / 100))
    held = sum(quantity for quantity, _, _ in trades)
    cash = sum(-quantity * price - cents for quantity, price, cents in trades)
    assert sum(t.net_pnl or 0 for t in trips) * 100 == cash + held * last
    assert sum(t.exit_ns is None for t in trips) == (held != 0)


@given(st.lists(st.tuples(a_quantity, a_price), min_size=1, max_size=40), a_price)
def test_once_flat_gross_profits_are_the_portfolios_realised_profit(trades: list[tuple[int, int]], last: int) -> None:
    held = sum(quantity for quantity, _ in trades)
    trades = [*trades, (-held, last)] if held else trades
    fills = [fill(i, str(quantity), str(Decimal(price) / 100)) for i, (quantity, price) in enumerate(trades)]
    position = Position()
    for each in fills:
        position.trade(STOCK, each.signed_quantity, each.price)
    assert position.quantity == 0
    assert sum(t.gross_pnl or 0 for t in trips_of(fills)) == position.realised
