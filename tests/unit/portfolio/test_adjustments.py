"""Cash that comes and goes without a trade: what is booked of it, and that it is neither profit nor loss."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from barque.messages import AdjustCash, Alert, CashAdjusted, EquityMarked, Message
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.adjustments import AGAINST
from portfolio.core.history import Forgotten, Memory, Recalled
from portfolio.core.node import PortfolioNode
from tests.support.builders import MINUTE, T0, a_fill, a_mark, clock, eurusd, usdjpy

D = Decimal


def books() -> PortfolioNode:
    account = AccountConfig(name="paper", currency="USD", starting_cash=D(100_000))
    return PortfolioNode(PortfolioConfig(accounts=(account,)), [eurusd(), usdjpy()])


def feed(node: PortfolioNode, *messages: Message) -> list[Message]:
    return [output for message in messages for _, output in node.handle(message)]


def commanded(amount: str, kind: str = "deposit", reference: str = "wire 1", **changes: Any) -> AdjustCash:
    about: dict[str, Any] = {"account": "paper", "kind": kind, "currency": "USD", "amount": D(amount), "reference": reference}
    return AdjustCash(**({"command_id": "c1", "ts_event_ns": T0, "actor": "anna", "reason": "start"} | about | changes))


def reported(amount: str, kind: str = "financing", reference: str = "deal/1", **changes: Any) -> CashAdjusted:
    about: dict[str, Any] = {"account": "paper", "kind": kind, "currency": "USD", "amount": D(amount), "reference": reference}
    return CashAdjusted(**({"ts_event_ns": T0} | about | changes))


def figures(marked: Message) -> tuple[Decimal, Decimal, Decimal]:
    """Cash, equity, flows."""
    assert isinstance(marked, EquityMarked)
    return marked.cash, marked.equity, marked.flows


def test_a_deposit_is_cash_and_equity_and_a_flow() -> None:
    node = books()
    feed(node, clock(T0))
    (marked,) = feed(node, commanded("2500.50"))
    assert figures(marked) == (D("102500.50"), D("102500.50"), D("2500.50"))
    assert node.cash("paper") == {"USD": D("102500.50")}
    (marked,) = feed(node, commanded("-500.50", "withdrawal", "wire 2"))
    assert figures(marked) == (D(102_000), D(102_000), D(2_000))


@pytest.mark.parametrize("kind", sorted({*AGAINST} - {"deposit", "withdrawal"}))
def test_all_else_is_profit_or_loss(kind: str) -> None:
    node = books()
    feed(node, clock(T0))
    (marked,) = feed(node, reported("-12.34", kind))
    assert figures(marked) == (D("99987.66"), D("99987.66"), D(0))


def test_the_entry_stands_against_cash_and_sums_to_zero() -> None:
    node = books()
    feed(node, commanded("2500"), reported("-1.17"), reported("3.50", "dividend", "div/7"))
    lines = [(p.entry, p.kind, p.exec_id, p.ledger, p.amount) for p in node.bookings.postings]
    assert lines == [
        ("cash/wire 1", "deposit", "wire 1", "cash", D(2_500)),
        ("cash/wire 1", "deposit", "wire 1", "capital", D(-2_500)),
        ("cash/deal/1", "financing", "deal/1", "cash", D("-1.17")),
        ("cash/deal/1", "financing", "deal/1", "financing", D("1.17")),
        ("cash/div/7", "dividend", "div/7", "cash", D("3.50")),
        ("cash/div/7", "dividend", "div/7", "dividends", D("-3.50")),
    ]


def test_what_was_commanded_keeps_who_and_why_and_when_it_happened() -> None:
    node = books()
    feed(node, commanded("2500", at_ns=T0 - 9), reported("-1", reason="swap"))
    command, report = node.bookings.adjustments
    assert (command.actor, command.reason, command.command_id, command.ts_event_ns) == ("anna", "start", "c1", T0 - 9)
    assert (command.source, report.source, report.reason, report.ts_event_ns) == ("control", "sender", "swap", T0)


def test_another_currency_is_a_flow_at_the_price_of_its_time() -> None:
    """150,000 JPY at 150 are 1,000 USD, and stay that when the yen falls: what it loses then is a loss."""
    node = books()
    feed(node, clock(T0), a_mark(symbol="USDJPY", bid=150.0, ask=150.0))
    (marked,) = feed(node, commanded("150000", currency="JPY"))
    assert figures(marked) == (D(101_000), D(101_000), D(1_000))
    feed(node, a_mark(symbol="USDJPY", bid=160.0, ask=160.0))
    (marked,) = feed(node, clock(T0 + MINUTE))
    assert figures(marked) == (D("100937.5"), D("100937.5"), D(1_000))


def test_a_flow_whose_price_is_not_known_yet_is_one_as_soon_as_it_is() -> None:
    node = books()
    feed(node, clock(T0))
    (alert,) = feed(node, commanded("150000", currency="JPY"))
    assert isinstance(alert, Alert)
    assert alert.name == "equity_unknown"
    other = books()
    other.restore(node.snapshot())
    marked, over = feed(other, a_mark(symbol="USDJPY", bid=150.0, ask=150.0), clock(T0 + MINUTE))
    assert (over.name, over.severity) == ("equity_unknown", "info")
    assert figures(marked) == (D(101_000), D(101_000), D(1_000))


def remembering(node: PortfolioNode, *messages: Message) -> list[Message]:
    """As a runner does it, with what earlier transactions have booked."""
    memory = Memory()
    for each in node.bookings.adjustments:
        memory.adjustments.setdefault(each.account, {})[each.reference] = each
    return feed(node, Recalled(memory=memory), *messages, Forgotten())


def test_a_reference_is_booked_once_in_a_transaction_or_in_many() -> None:
    node = books()
    feed(node, clock(T0))
    assert len(remembering(node, commanded("10"), commanded("10", command_id="c2"))) == 1
    assert remembering(node, commanded("10.0", command_id="c3")) == []
    assert node.cash("paper") == {"USD": D(100_010)}
    assert dict(node.counters) == {"cash_booked": 1, "cash_repeated": 2}


@pytest.mark.parametrize("other", [commanded("11"), commanded("10", "interest"), commanded("10", currency="EUR")])
def test_a_reference_that_comes_with_other_figures_is_not_booked_and_told(other: AdjustCash) -> None:
    node = books()
    remembering(node, clock(T0), commanded("10"))
    (alert,) = remembering(node, other)
    assert isinstance(alert, Alert)
    assert (alert.name, alert.severity) == ("cash_unbooked", "critical")
    assert "it is in the books as deposit of 10 USD, and stays so" in alert.text
    assert node.cash("paper") == {"USD": D(100_010)}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (commanded("0"), "0 is no amount"),
        (commanded("NaN"), "NaN is no amount"),
        (commanded("Infinity"), "Infinity is no amount"),
        (commanded("-5"), "a deposit brings money in"),
        (commanded("5", "withdrawal"), "a withdrawal takes money out"),
        (commanded("5", reference=""), "it has no reference"),
        (commanded("5", currency="usd"), "'usd' is no currency"),
        (commanded("5", currency=""), "'' is no currency"),
        (commanded("5", account="papr"), "the book has no account papr"),
    ],
)
def test_what_makes_no_sense_is_not_booked_and_told(command: AdjustCash, why: str) -> None:
    node = books()
    feed(node, clock(T0))
    (alert,) = feed(node, command)
    assert isinstance(alert, Alert)
    assert (alert.name, why in alert.text) == ("cash_unbooked", True)
    assert node.cash("paper") == {"USD": D(100_000)}
    assert node.bookings.adjustments == []


def test_the_valuation_after_a_change_of_cash_does_not_go_back_before_the_last_one() -> None:
    node = books()
    feed(node, clock(T0), a_mark(bid=1.38, ask=1.38))
    late = feed(node, a_fill(T0 + 5))[-1]
    (marked,) = feed(node, commanded("10"))
    assert isinstance(late, EquityMarked)
    assert isinstance(marked, EquityMarked)
    assert marked.ts_event_ns == late.ts_event_ns == T0 + 5


def test_before_the_first_tick_of_the_clock_it_has_the_time_of_its_command() -> None:
    (marked,) = feed(books(), commanded("10", ts_event_ns=T0 + 7, at_ns=T0 - 9))
    assert isinstance(marked, EquityMarked)
    assert marked.ts_event_ns == T0 + 7
