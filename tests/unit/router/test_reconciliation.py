"""Comparing books: which figures differ, by how much, and how bad that is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque.venue import VenueOrder, VenuePosition
from router.core.sending.config import ReconcilePolicy
from router.core.sending.events import LedgerFigures
from router.core.sending.reconciliation import AtWork, Difference, OurBooks, compare
from router.shell.senders.live import netting, rates
from tests.support.builders import an_order

D = Decimal
FIGURES = st.dictionaries(st.sampled_from(["EURUSD", "USDJPY", "XAUUSD"]), st.integers(-3, 3).map(D))


def shown(**changes: Any) -> VenueOrder:
    base: dict[str, Any] = {"order_id": "o1", "venue_order_id": "v1", "symbol": "EURUSD", "side": "buy", "quantity": D(3)}
    return VenueOrder(**(base | {"filled": D(0), "order_type": "limit", "limit_price": D("1.3")} | changes))


def at_work(filled: str = "0", steady: bool = True, **changes: Any) -> dict[str, AtWork]:
    order = an_order(**({"quantity": D(3), "order_type": "limit", "limit_price": D("1.30")} | changes))
    return {"o1": AtWork(order=order, filled=D(filled), steady=steady)}


def differences(
    orders: tuple[VenueOrder, ...] = (),
    ledger: LedgerFigures | None = None,
    **ours: Any,
) -> list[Difference]:
    base: dict[str, Any] = {"at_work": {}, "ended": {}, "external": {}, "positions": {}}
    return compare(OurBooks(**(base | ours)), orders, [], {"USD": D(7)}, ledger, ReconcilePolicy())


def words(found: list[Difference]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.about, each.severity) for each in found]


def test_equal_books_differ_in_nothing() -> None:
    held = {"EURUSD": D(2)}
    ledger = LedgerFigures(positions=held, cash={"USD": D(5)})
    ours = OurBooks(at_work=at_work(), ended={}, external={}, positions=held, cash={"USD": D(5)})
    broker = [VenuePosition(symbol="EURUSD", quantity=D("2.0"), average_price=D(1))]
    assert compare(ours, [shown()], broker, {"USD": D(5)}, ledger, ReconcilePolicy()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"EURUSD": D(2)}, {}, ["EURUSD"]),
        ({}, {"USDJPY": D(-1)}, ["USDJPY"]),
        ({"EURUSD": D(1), "USDJPY": D(1)}, {"EURUSD": D(-1), "USDJPY": D(1)}, ["EURUSD"]),
    ],
)
def test_positions_differ_whichever_side_has_none(ours: Any, theirs: Any, expected: list[str]) -> None:
    ours_books = OurBooks(at_work={}, ended={}, external={}, positions=ours)
    held = [VenuePosition(symbol=s, quantity=q, average_price=D(1)) for s, q in theirs.items()]
    found = compare(ours_books, [], held, {}, None, ReconcilePolicy())
    assert words(found) == [("position", symbol, "critical") for symbol in expected]


def test_a_difference_within_the_tolerance_is_none() -> None:
    policy = ReconcilePolicy(quantity_tolerance=D("0.01"))
    ours = OurBooks(at_work={}, ended={}, external={}, positions={"EURUSD": D(1)})
    for theirs, count in (("1.01", 0), ("1.011", 1)):
        held = [VenuePosition(symbol="EURUSD", quantity=D(theirs), average_price=D(1))]
        assert len(compare(ours, [], held, {}, None, policy)) == count


def test_the_ledger_s_positions_are_compared_with_ours() -> None:
    ledger = LedgerFigures(positions={"EURUSD": D(1)}, cash={})
    (found,) = differences(ledger=ledger)
    assert (found.kind, found.severity) == ("ledger_position", "critical")
    assert found.text == "ledger_position EURUSD: we have 0, the ledger has 1"


def test_cash_is_minor_or_critical_by_its_size() -> None:
    assert differences() == []  # our cash is not known
    ours = {"USD": D(1000), "JPY": D(0), "EUR": D(5)}
    books = OurBooks(at_work={}, ended={}, external={}, positions={}, cash=ours)
    theirs = {"USD": D("1000.01"), "JPY": D("-0.02"), "EUR": D(1005)}
    assert words(compare(books, [], [], theirs, None, ReconcilePolicy())) == [
        ("cash", "EUR", "critical"),
        ("cash", "JPY", "minor"),
    ]


@pytest.mark.parametrize(
    ("apart", "rate", "severity"),
    [
        ("1", "0.0067", None),  # a yen is less than a cent
        ("1100", "0.0067", "minor"),  # 7 dollars
        ("160000", "0.0067", "critical"),  # 1,072 dollars
        ("900", "1.3", "critical"),  # 1,170 dollars
        ("1100", "", "critical"),  # of what is not known
    ],
)
def test_cash_is_judged_by_its_worth_in_the_currency_of_the_account(apart: str, rate: str, severity: str | None) -> None:
    known = {"XXX": D(rate)} if rate else {}
    books = OurBooks(at_work={}, ended={}, external={}, positions={}, cash={"XXX": D(5)}, rates=known)
    found = compare(books, [], [], {"XXX": D(5) + D(apart)}, None, ReconcilePolicy())
    assert words(found) == ([("cash", "XXX", severity)] if severity else [])


def test_marks_lead_from_a_currency_to_that_of_the_account_over_the_pairs_there_are() -> None:
    def pair(base: str, quote: str) -> Instrument:
        return Instrument(symbol=base + quote, currency=quote, base_currency=base, tick_size=D("0.001"))

    instruments = {each.symbol: each for each in (pair("EUR", "USD"), pair("EUR", "JPY"), pair("USD", "SEK"), pair("USD", "CHF"))}
    marks = {"EURUSD": D("1.25"), "EURJPY": D(200), "USDSEK": D(10)}
    found = rates(instruments, marks, ["USD", "EUR", "JPY", "SEK", "CHF", "GBP"], "USD")
    # a yen is a 200th of a euro, which is 1.25 dollars; the franc's pair has no mark, the pound no pair
    assert found == {"USD": D(1), "EUR": D("1.25"), "JPY": D("0.00625"), "SEK": D("0.1")}


def test_an_order_of_others_is_minor_and_known_the_second_time() -> None:
    order = shown(order_id="")
    assert words(differences((order,))) == [("order_external", "v1", "minor")]
    assert differences((order,), external={"v1": None}) == []


def test_an_order_that_had_ended_and_is_open_is_critical() -> None:
    (found,) = differences((shown(),), ended={"o1": "REJECTED"})
    assert (found.kind, found.ours, found.severity) == ("order_ended", "REJECTED", "critical")
    assert differences((shown(),), recent={"o1"}) == []  # it ended after the broker had been asked


def test_an_open_order_with_our_mark_that_is_in_no_book_of_ours_is_critical() -> None:
    (found,) = differences((shown(order_id="ghost"),), at_work=at_work(), ended={"o2": "FILLED"}, recent={"o2"})
    assert (found.kind, found.about, found.severity) == ("order_unknown_ours", "ghost", "critical")
    assert "buy 3 EURUSD limit" in found.text
    assert "v1" in found.text


def test_terms_are_compared_where_both_sides_name_them_and_nothing_is_under_way() -> None:
    assert differences((shown(limit_price=D("1.300")),), at_work=at_work()) == []
    assert differences((shown(limit_price=None),), at_work=at_work()) == []
    assert words(differences((shown(limit_price=D("1.31")),), at_work=at_work())) == [("order_terms", "o1", "minor")]
    assert words(differences((shown(quantity=D(2)),), at_work=at_work())) == [("order_terms", "o1", "minor")]
    assert differences((shown(quantity=D(2)),), at_work=at_work(steady=False)) == []


def test_more_filled_at_the_broker_than_here_is_critical_and_less_is_only_late() -> None:
    assert words(differences((shown(filled=D(2)),), at_work=at_work("1"))) == [("order_filled", "o1", "critical")]
    assert differences((shown(filled=D(1)),), at_work=at_work("2")) == []


@given(FIGURES, FIGURES)
def test_positions_differ_exactly_where_their_figures_do(ours: dict[str, Decimal], theirs: dict[str, Decimal]) -> None:
    books = OurBooks(at_work={}, ended={}, external={}, positions=ours)
    held = [VenuePosition(symbol=s, quantity=q, average_price=D(1)) for s, q in theirs.items()]
    found = compare(books, [], held, {}, None, ReconcilePolicy())
    assert [each.about for each in found] == [s for s in ("EURUSD", "USDJPY", "XAUUSD") if ours.get(s, 0) != theirs.get(s, 0)]


def test_cash_that_differs_only_because_the_broker_nets_strategies_is_no_difference() -> None:
    """Of a future: A buys 1 at 100, B sells 1 at 110, A sells 1 at 105. Here A has realised 5 and B is short at 110; at the
    broker the first two closed one another for 10, and the account is short at 105."""
    future = Instrument(symbol="NQ", asset_class="future", currency="USD", tick_size=D("0.25"), contract_size=D(20))
    broker = [VenuePosition(symbol="NQ", quantity=D(-1), average_price=D(105))]
    explained = netting({"NQ": future}, {"NQ": D(-110)}, broker)
    assert explained == {"USD": D(100)}
    ours = OurBooks(at_work={}, ended={}, external={}, positions={"NQ": D(-1)}, cash={"USD": D(5 * 20)})
    figures: dict[str, Any] = {"positions": {"NQ": D(-1)}, "cash": {"USD": D(100)}}

    def found(**more: Any) -> list[Difference]:
        return compare(ours, [], broker, {"USD": D(10 * 20)}, LedgerFigures(**figures, **more), ReconcilePolicy())

    assert words(found()) == [("cash", "USD", "minor")]
    assert found(netting=explained) == []
    stock = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=D("0.01"))
    assert netting({"SPY": stock}, {"SPY": D(500)}, [VenuePosition(symbol="SPY", quantity=D(1), average_price=D(510))]) == {}
