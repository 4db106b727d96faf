"""Which contract a symbol is, from details as the Gateway gives them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from ib_async import Contract, ContractDetails

from barque.config import load_section
from barque.errors import ConfigError
from barque.instruments import Instrument
from venues.ibkr.config import ContractConfig, IbkrConfig
from venues.ibkr.contracts import Listing, Step, exact, expiry_of, front_of, listing_of, rule_id, wanted_contract

D = Decimal


def nq(**changes: Any) -> Instrument:
    base: dict[str, Any] = {
        "symbol": "NQ",
        "asset_class": "future",
        "currency": "USD",
        "tick_size": D("0.25"),
        "contract_size": D(20),
    }
    return Instrument(**(base | changes))


def usdjpy() -> Instrument:
    return Instrument(symbol="USDJPY", currency="JPY", base_currency="USD", tick_size=D("0.001"))


def config(*contracts: dict[str, Any], **section: Any) -> IbkrConfig:
    return load_section({"ibkr": {"contracts": list(contracts)} | section}, "ibkr", IbkrConfig)


def a_future(expiry: str, con_id: int, multiplier: str = "20", **changes: Any) -> ContractDetails:
    contract = Contract(
        secType="FUT",
        conId=con_id,
        symbol="NQ",
        lastTradeDateOrContractMonth=expiry,
        multiplier=multiplier,
        exchange="CME",
        currency="USD",
        localSymbol=f"NQ-{expiry}",
        tradingClass="NQ",
    )
    return ContractDetails(
        contract=contract, minTick=0.25, validExchanges="CME,QBALGO", marketRuleIds="67,67", priceMagnifier=1, **changes
    )


WANTED = config({"symbol": "NQ", "exchange": "CME"}).contract_of(nq())
CHAIN = [a_future("20270319", 3), a_future("20261218", 2), a_future("20260918", 1), a_future("20270618", 4)]


def chosen(today: date, held: tuple[int, ...] = (), chain: list[ContractDetails] = CHAIN) -> int:
    contract = front_of(chain, WANTED, today, held).contract
    assert contract is not None
    return contract.conId


def test_the_front_month_moves_on_eight_days_before_the_last_trading_day() -> None:
    assert chosen(date(2026, 12, 9)) == 2
    assert chosen(date(2026, 12, 10)) == 3
    assert chosen(date(2026, 12, 19)) == 3


def test_a_contract_that_is_held_stays_in_front_until_it_has_expired() -> None:
    assert chosen(date(2026, 12, 16), held=(2,)) == 2
    assert chosen(date(2026, 12, 18), held=(2,)) == 2
    assert chosen(date(2026, 12, 19), held=(2,)) == 3


def test_two_futures_of_one_day_are_ambiguous_and_the_message_tells_them_apart() -> None:
    with pytest.raises(ConfigError, match=r"2 contracts fit: .*multiplier 20.*multiplier 2\).*say more"):
        chosen(date(2026, 11, 1), chain=[a_future("20261218", 2), a_future("20261218", 9, multiplier="2")])


def test_a_chain_that_has_ended_is_refused() -> None:
    with pytest.raises(ConfigError, match="no future of NQ at CME"):
        chosen(date(2027, 6, 15))


def test_an_expiry_with_a_time_is_a_date() -> None:
    assert expiry_of(a_future("20261218", 1)) == date(2026, 12, 18)
    assert expiry_of(ContractDetails(contract=Contract(secType="STK"))) is None


def test_a_multiplier_that_differs_from_the_instruments_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is 20 units, the instrument says 2; set contract_size = 20"):
        listing_of(CHAIN[0], WANTED, nq(contract_size=D(2)))


def test_a_currency_that_differs_from_the_instruments_is_refused() -> None:
    with pytest.raises(ConfigError, match="is in USD, the instrument says EUR"):
        listing_of(CHAIN[0], WANTED, nq(currency="EUR"))


def test_quotes_in_a_fraction_of_the_currency_are_refused() -> None:
    details = a_future("20261218", 2)
    details.priceMagnifier = 100
    with pytest.raises(ConfigError, match="1/100 of USD"):
        listing_of(details, WANTED, nq())


def test_a_listing_has_what_orders_need() -> None:
    listing = listing_of(CHAIN[1], WANTED, nq())
    assert (listing.con_id, listing.exchange, listing.multiplier, listing.unit) == (2, "CME", D(20), D(1))
    contract = listing.contract()
    assert (contract.conId, contract.exchange, contract.symbol, contract.lastTradeDateOrContractMonth) == (2, "CME", "", "")


def test_a_pair_is_asked_for_by_its_base_currency_and_counts_in_its_units() -> None:
    wanted = config().contract_of(usdjpy())
    question = wanted_contract(wanted)
    assert (question.secType, question.symbol, question.currency, question.exchange) == ("CASH", "USD", "JPY", "IDEALPRO")
    pair = Contract(secType="CASH", conId=15016059, symbol="USD", currency="JPY", localSymbol="USD.JPY")
    listing = listing_of(ContractDetails(contract=pair, minTick=0.005, priceMagnifier=1), wanted, usdjpy())
    assert listing.unit == 100_000


def test_a_future_without_its_exchange_and_an_option_without_its_strike_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs its exchange"):
        config().contract_of(nq())
    option = Instrument(symbol="SPY-C", asset_class="option", currency="USD", tick_size=D("0.01"), contract_size=D(100))
    with pytest.raises(ConfigError, match="expiry, strike and right"):
        config({"symbol": "SPY-C", "expiry": "20261218"}).contract_of(option)


def test_a_price_step_depends_on_the_price() -> None:
    steps = (Step(low_edge=D(0), increment=D("0.01")), Step(low_edge=D(3), increment=D("0.05")))
    option = Listing(
        symbol="x", con_id=1, sec_type="OPT", exchange="SMART", venue_symbol="x", local_symbol="x", currency="USD", steps=steps
    )
    assert option.on_grid(D("2.993"), "down") == D("2.99")
    assert option.on_grid(D("3.04"), "down") == D("3.00")
    assert option.on_grid(D("3.04"), "up") == D("3.05")
    assert option.on_grid(D("3.02"), "nearest") == D("3.00")


def test_the_market_rule_is_the_exchanges_own() -> None:
    details = ContractDetails(validExchanges="SMART,CME,X", marketRuleIds="26,67,5")
    assert [rule_id(details, name) for name in ("SMART", "CME", "X", "Y")] == [26, 67, 5, 26]
    assert rule_id(ContractDetails(), "CME") == 0


@pytest.mark.parametrize(
    ("wire", "number"), [(5e-05, "0.00005"), (0.25, "0.25"), (1000000.0, "1000000"), ("1.10", "1.1"), (0.0, "0")]
)
def test_numbers_of_the_wire_become_plain_decimals(wire: float | str, number: str) -> None:
    assert str(exact(wire)) == number


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ({"feed_client_id": 5, "sender_client_id": 5}, "client ids must differ"),
        ({"sender_client_id": 0}, "made by hand"),
        ({"messages_per_s": 60}, "bears 50"),
        ({"order_id_base": 0}, "order_id_base"),
        ({"contracts": [{"symbol": "A"}, {"symbol": "A"}]}, "there twice"),
        ({"contracts": [{"symbol": "A", "roll_days": -1}]}, "roll_days"),
    ],
)
def test_a_section_that_cannot_be_used_is_refused(section: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load_section({"ibkr": section}, "ibkr", IbkrConfig)


def test_defaults_are_those_of_a_paper_gateway_on_this_machine() -> None:
    assert (IbkrConfig().port, IbkrConfig().live) == (4002, False)
    assert ContractConfig(symbol="x").roll_days == 8
