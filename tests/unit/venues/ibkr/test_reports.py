"""What the Gateway says of positions and money; expected values by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ib_async import AccountValue, Contract, Position

from barque.config import load_section
from barque.instruments import Instrument
from venues.ibkr.config import IbkrConfig
from venues.ibkr.contracts import ContractBook
from venues.ibkr.reports import figures, seen_position

D = Decimal


def a_book() -> ContractBook:
    """Of one stock."""
    spy = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=D("0.01"))
    return ContractBook(load_section({"ibkr": {}}, "ibkr", IbkrConfig), [spy])


@pytest.mark.parametrize(
    ("contract", "symbol", "average_price"),
    [
        ({"conId": 7, "symbol": "ES", "localSymbol": "ESZ6", "multiplier": "50"}, "ESZ6", "120.5"),
        ({"conId": 8, "symbol": "EUR", "localSymbol": "EUR.USD"}, "EUR.USD", "6025"),
        ({"conId": 9, "symbol": "SPY", "localSymbol": "SPY", "currency": "EUR"}, "SPY#9", "6025"),
        ({"conId": 10}, "10", "6025"),
    ],
)
def test_a_position_in_what_no_instrument_is_of_has_their_name_and_never_one_of_ours(
    contract: dict[str, Any], symbol: str, average_price: str
) -> None:
    shown = seen_position(Position("DU1", Contract(**contract), 3.0, 6025.0), a_book())
    assert (shown.symbol, shown.quantity, shown.average_price) == (symbol, D(3), D(average_price))


def test_what_a_currency_is_worth_is_told_with_the_cash() -> None:
    told = [
        ("NetLiquidation", "1000.00", "EUR"),
        ("CashBalance", "990.00", "BASE"),
        ("CashBalance", "123000", "JPY"),
        ("ExchangeRate", "0.0061000", "JPY"),
        ("ExchangeRate", "1.0000000", "EUR"),
        ("ExchangeRate", "1.7976931348623157E308", "CHF"),
    ]
    values = [AccountValue(account="DU1", tag=tag, value=value, currency=currency, modelCode="") for tag, value, currency in told]
    account = figures("DU1", False, values, [])
    assert account.cash == {"EUR": D(0), "JPY": D(123_000)}
    assert account.rates == {"JPY": D("0.0061"), "EUR": D(1)}
