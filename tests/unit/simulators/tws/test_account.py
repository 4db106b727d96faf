"""An account's figures, by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.tws.account import Account, Holding, commission_of, cross_rate
from simulators.tws.catalogue import Catalogue
from simulators.tws.listing import Listing

CATALOGUE = Catalogue(date(2026, 11, 28))
MIDS = {"EURUSD": Decimal("1.10"), "USDJPY": Decimal("150"), "SPY": Decimal(610), "NQZ6": Decimal(21_100)}


def D(value: str | int) -> Decimal:
    return Decimal(value)


def an_account(cash: int = 100_000) -> Account:
    account = Account("DU1", Decimal(cash), lambda listing: MIDS[listing.name])
    account.rate_source = lambda currency: cross_rate(currency, "USD", lambda pair: MIDS[pair])
    return account


def trade(account: Account, name: str, quantity: int, price: str, commission: str = "0") -> Decimal | None:
    return account.book(CATALOGUE.named(name), D(quantity), D(price), D(commission))


def test_stocks_move_their_whole_value() -> None:
    """100 at 600, 40 sold at 605: 60,000 out, 24,200 in, 200 realised; 60 left at 610."""
    account = an_account()
    assert trade(account, "SPY", 100, "600") is None
    assert trade(account, "SPY", -40, "605") == D(200)
    assert account.cash["USD"] == D(64_200)
    assert account.net_liquidation() == D(64_200) + 60 * D(610)
    assert account.unrealized() == D(600)


def test_futures_move_what_they_realise() -> None:
    """2 NQ at 21,000, one sold at 21,050: 50 points at 20 dollars; the other is 100 points up."""
    account = an_account()
    trade(account, "NQ", 2, "21000")
    assert account.cash["USD"] == D(100_000)
    assert trade(account, "NQ", -1, "21050") == D(1_000)
    assert account.net_liquidation() == D(101_000) + D(2_000)


def test_forex_exchanges_two_currencies() -> None:
    """15,000 USD bought at 149 and sold at 150: 15,000 JPY, 100 USD at 150."""
    account = an_account()
    trade(account, "USDJPY", 15_000, "149", "2")
    assert dict(account.cash) == {"USD": D(114_998), "JPY": D(-2_235_000)}
    assert trade(account, "USDJPY", -15_000, "150", "2") == D(98)
    assert account.net_liquidation() == D(100_000) + 100 - 4


def test_a_position_that_turns_realises_the_old_one_and_begins_a_new_one() -> None:
    account = an_account()
    trade(account, "SPY", 10, "600")
    assert trade(account, "SPY", -30, "610") == D(100)
    holding = account.holdings[756733]
    assert (holding.quantity, holding.average) == (D(-20), D(610))
    assert trade(account, "SPY", 20, "600") == D(200)
    assert (holding.quantity, holding.average) == (0, 0)


PRICES = st.decimals("590", "620", places=2)
FILLS = st.lists(st.tuples(st.integers(-50, 50).filter(bool), PRICES), max_size=12)


@given(FILLS)
def test_what_is_realised_and_what_is_not_is_what_cash_and_holding_are_worth(fills: list[tuple[int, Decimal]]) -> None:
    spy: Listing = CATALOGUE.named("SPY")
    holding, cash = Holding(listing=spy), D(0)
    for quantity, price in fills:
        holding.take(D(quantity), price)
        cash -= quantity * price
    worth = cash + holding.quantity * D(600)
    assert abs(holding.realized + holding.unrealized(D(600)) - worth) < D("0.000001")


def test_a_what_if_shows_the_margin_before_and_after() -> None:
    account = an_account()
    margins = account.what_if(CATALOGUE.named("SPY"), D(100), D(1))
    assert margins.initial == (D("0.00"), D("30500.00"), D("30500.00"))
    assert margins.maintenance == (D("0.00"), D("15250.00"), D("15250.00"))
    assert margins.equity == (D("100000.00"), D("-1.00"), D("99999.00"))
    trade(account, "SPY", 100, "600")
    assert account.what_if(CATALOGUE.named("SPY"), D(-100), D(1)).initial[1] == D("-30500.00")


@pytest.mark.parametrize(
    ("name", "quantity", "price", "expected"),
    [
        ("EURUSD", 20_000, "1.10", "2.00"),
        ("EURUSD", 1_000_000, "1.10", "22.00"),
        ("SPY", 100, "600", "1.00"),
        ("SPY", 1_000, "600", "5.00"),
        ("NQZ6", 3, "21000", "6.75"),
        ("SPY 261218C00600000", 10, "5", "6.50"),
    ],
)
def test_commissions(name: str, quantity: int, price: str, expected: str) -> None:
    assert commission_of(CATALOGUE.named(name), D(quantity), D(price), D(1)) == D(expected)


@pytest.mark.parametrize(("currency", "expected"), [("EUR", "1.10"), ("JPY", "0.006666666666666666666666666667")])
def test_currencies_are_worth_what_their_pair_says(currency: str, expected: str) -> None:
    assert cross_rate(currency, "USD", lambda pair: MIDS[pair]) == D(expected)


def test_values_are_told_in_cents_with_a_line_per_currency() -> None:
    account = an_account()
    trade(account, "USDJPY", 15_000, "149")
    told = {(tag, currency): value for tag, value, currency in account.values()}
    assert told["CashBalance", "JPY"] == "-2235000.00"
    assert told["ExchangeRate", "JPY"] == "0.0066667"
    assert told["NetLiquidation", "USD"] == "100100.00"
    assert told["UnrealizedPnL", "USD"] == "100.00"
