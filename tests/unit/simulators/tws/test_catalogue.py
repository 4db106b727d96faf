"""What is listed, and what a description may mean."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from simulators.tws.catalogue import Catalogue
from simulators.tws.contract import Contract


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(date(2026, 11, 28))


def names(catalogue: Catalogue, **wanted: object) -> list[str]:
    return [listing.name for listing in catalogue.find(Contract(**wanted))]  # type: ignore[arg-type]


def test_futures_expire_on_the_third_friday_of_their_quarter(catalogue: Catalogue) -> None:
    """By the exchange's calendar: NQ of December 2026 to December 2027."""
    months = [(listing.name, listing.expiry) for listing in catalogue if listing.symbol == "NQ"]
    assert months == [
        ("NQZ6", "20261218"),
        ("NQH7", "20270319"),
        ("NQM7", "20270618"),
        ("NQU7", "20270917"),
        ("NQZ7", "20271217"),
    ]


def test_on_its_last_day_a_future_is_still_listed_and_on_the_next_it_is_not() -> None:
    assert Catalogue(date(2026, 12, 18)).front("NQ").name == "NQZ6"
    assert Catalogue(date(2026, 12, 19)).front("NQ").name == "NQH7"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"con_id": 15016059}, ["USDJPY"]),
        ({"con_id": 15016059, "exchange": "IDEALPRO"}, ["USDJPY"]),
        ({"con_id": 15016059, "exchange": "SMART"}, []),
        ({"symbol": "USD", "sec_type": "CASH", "currency": "JPY", "exchange": "IDEALPRO"}, ["USDJPY"]),
        ({"symbol": "USD", "sec_type": "CASH"}, ["USDJPY", "USDCAD", "USDCHF"]),
        ({"symbol": "SPY", "sec_type": "STK", "exchange": "SMART", "currency": "USD", "primary_exchange": "ARCA"}, ["SPY"]),
        ({"symbol": "SPY", "sec_type": "STK", "exchange": "SMART", "currency": "EUR"}, []),
        ({"symbol": "NQ", "sec_type": "FUT", "expiry": "202612", "exchange": "CME"}, ["NQZ6"]),
        ({"symbol": "NQ", "sec_type": "FUT", "expiry": "20261218"}, ["NQZ6"]),
        ({"symbol": "NQ", "sec_type": "FUT", "exchange": "GLOBEX"}, []),
        ({"symbol": "NQ", "sec_type": "FUT", "expiry": "202612", "multiplier": "2"}, []),
        ({"local_symbol": "MNQH7"}, ["MNQH7"]),
        ({"symbol": "NQ", "sec_type": "CONTFUT", "exchange": "CME"}, ["NQZ6"]),
        (
            {"symbol": "SPY", "sec_type": "OPT", "expiry": "20261218", "strike": Decimal(600), "right": "C"},
            ["SPY 261218C00600000"],
        ),
        (
            {"symbol": "SPY", "sec_type": "OPT", "expiry": "20261218", "strike": Decimal(600), "right": "PUT"},
            ["SPY 261218P00600000"],
        ),
        ({"sec_type": "STK", "exchange": "SMART"}, []),
    ],
    ids=str,
)
def test_a_description_means_every_listing_that_it_does_not_contradict(
    catalogue: Catalogue, wanted: dict[str, object], found: list[str]
) -> None:
    assert names(catalogue, **wanted) == found


def test_numbers_are_unique_and_the_same_on_every_day(catalogue: Catalogue) -> None:
    numbers = [listing.con_id for listing in catalogue]
    assert len(set(numbers)) == len(numbers)
    later = Catalogue(date(2026, 12, 10))
    assert later.named("NQH7").con_id == catalogue.named("NQH7").con_id


def test_a_family_of_futures_stands_for_its_front_month_and_can_be_rolled() -> None:
    catalogue = Catalogue(date(2026, 11, 28))
    assert catalogue.named("ES").name == "ESZ6"
    catalogue.fronts["ES"] = "20270319"
    assert catalogue.named("ES").name == "ESH7"
    assert names(catalogue, symbol="ES", sec_type="CONTFUT") == ["ESH7"]


def test_the_price_step_depends_on_the_price_where_a_rule_says_so(catalogue: Catalogue) -> None:
    from msgspec.structs import replace

    cheap = replace(catalogue.named("SPY"), name="PENNY", con_id=1, market_rule=7)
    catalogue.add(cheap, rule=((Decimal(0), Decimal("0.0001")), (Decimal(1), Decimal("0.01"))))
    assert catalogue.step(cheap, Decimal("0.5")) == Decimal("0.0001")
    assert catalogue.step(cheap, Decimal(1)) == Decimal("0.01")
    catalogue.remove("PENNY")


def test_an_unknown_name_is_refused_with_what_there_is(catalogue: Catalogue) -> None:
    with pytest.raises(KeyError, match="USDJPX is not listed"):
        catalogue.named("USDJPX")
