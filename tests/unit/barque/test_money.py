"""Money of one currency in another: routes over pairs, worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from barque.instruments import Instrument
from barque.money import Exchange, MissingPrice

D = Decimal


def exchange(**prices: str) -> Exchange:
    def pair(symbol: str) -> Instrument:
        return Instrument(symbol=symbol, base_currency=symbol[:3], currency=symbol[3:], tick_size=D("0.00001"))

    def price(symbol: str) -> Decimal:
        if not prices[symbol]:
            raise MissingPrice(symbol)
        return D(prices[symbol])

    instruments = {symbol: pair(symbol) for symbol in prices}
    instruments["SPX"] = Instrument(symbol="SPX", currency="USD", tick_size=D("0.01"))
    return Exchange(instruments, price)


def test_a_pair_is_taken_as_it_is_or_inverted() -> None:
    market = exchange(EURUSD="1.25", USDJPY="160")
    assert market.convert(D(100), "EUR", "USD") == D(125)
    assert market.convert(D(100), "USD", "EUR") == D(80)
    assert market.convert(D(-400), "JPY", "USD") == D("-2.5")


def test_where_no_pair_leads_there_two_do() -> None:
    """2,000 JPY are 10 EUR at 200, and those 12.50 USD at 1.25."""
    market = exchange(EURJPY="200", EURUSD="1.25", GBPUSD="1.6")
    assert market.convert(D(2_000), "JPY", "USD") == D("12.5")
    assert market.convert(D(2_000), "JPY", "GBP") == D("7.8125")


def test_the_shortest_way_wins_and_of_two_the_one_configured_first() -> None:
    assert exchange(EURJPY="200", EURUSD="1.25", USDJPY="150").convert(D(300), "JPY", "USD") == D(2)
    assert exchange(EURGBP="0.5", GBPCHF="4", EURUSD="1", USDCHF="3").convert(D(1), "EUR", "CHF") == D(2)


def test_the_same_currency_and_nothing_at_all_need_no_price() -> None:
    market = exchange(EURUSD="")
    assert market.convert(D(7), "EUR", "EUR") == D(7)
    assert market.convert(D(0), "EUR", "XXX") == D(0)


def test_what_has_no_price_or_no_way_is_named() -> None:
    with pytest.raises(MissingPrice) as no_price:
        exchange(EURUSD="").convert(D(1), "EUR", "USD")
    with pytest.raises(MissingPrice) as no_way:
        exchange(EURUSD="1").convert(D(1), "EUR", "CHF")
    assert (no_price.value.what, no_way.value.what) == ("EURUSD", "EUR in CHF")
