"""Every kind of difference under every policy: which report, which severity, what is done. Expected by hand, from the guide.

`sync_to_broker`: the broker's figure is taken over. `sync_to_local`: reported each time, nothing done. `halt_and_alert`: the book
is halted, an alert is raised, and nothing leaves but cancels until a comparison is clean. Whatever the policy, an execution that
was missed is booked, an order of others is reported once, and one that had ended here is withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from barque.messages import (
    Alert,
    CancelOrder,
    CashAdjusted,
    Fill,
    Message,
    OrderCancelled,
    OrderModified,
    OrderRejected,
    ReconciliationReport,
)
from barque.venue import Connected, VenueOrder, VenuePosition
from router.core.sending.effects import Send, Withdraw
from router.core.sending.events import LedgerFigures, ReconcileAsked
from tests.support.builders import T0, an_order
from tests.support.routing import of_kind
from tests.support.sending import Sending, an_account

D = Decimal
POLICIES = ("sync_to_broker", "sync_to_local", "halt_and_alert")
USD = {"USD": D(100_000)}


@dataclass
class Difference:
    """One kind: how it comes about, and what the guide says of it."""

    arrange: Callable[[Sending], dict[str, Any]]
    """What the broker's books and the ledger show, besides what the model broker has."""
    text: str
    """In the report."""
    severity: str
    again: bool = True
    """Under `sync_to_local` it is reported at the next look too."""
    synced: Callable[[Sending, list[Message]], bool] = lambda sending, said: True
    """What must be so where the broker's figure was taken over."""


def resting(sending: Sending) -> None:
    """An order of ours at the broker."""
    sending.tell(an_order(order_id="o1", quantity=D(4), order_type="limit", limit_price=D("1.30")))
    sending.deliver()


def position_there(sending: Sending) -> dict[str, Any]:
    return {"positions": (VenuePosition(symbol="EURUSD", quantity=D(3), average_price=D("1.25")),)}


def position_here(sending: Sending) -> dict[str, Any]:
    sending.broker.execute("", "buy", D(2))
    sending.deliver()
    return {"positions": ()}


def ledger_behind(sending: Sending) -> dict[str, Any]:
    sending.broker.execute("", "buy", D(2))
    sending.deliver()
    return {"ledger": LedgerFigures(positions={}, cash=USD)}


def less_cash(amount: str) -> Callable[[Sending], dict[str, Any]]:
    def arrange(sending: Sending) -> dict[str, Any]:
        account = an_account(cash={"USD": D(100_000) - D(amount)})
        return {"account": account, "ledger": LedgerFigures(positions={}, cash=USD)}

    return arrange


def order_of_others(sending: Sending) -> dict[str, Any]:
    about: dict[str, Any] = {"symbol": "EURUSD", "side": "buy", "quantity": D(1), "filled": D(0), "order_type": "limit"}
    return {"open_orders": (VenueOrder(order_id="", venue_order_id="v9", **about),)}


def other_terms(sending: Sending) -> dict[str, Any]:
    resting(sending)
    booked = sending.broker.orders["o1"]
    booked.order = replace(booked.order, quantity=D(5), limit_price=D("1.31"))
    return {}


def filled_unshown(sending: Sending) -> dict[str, Any]:
    """The broker shows one contract filled, and no execution of it."""
    resting(sending)
    sending.broker.orders["o1"].filled = D(1)
    return {}


def ended_and_open(sending: Sending) -> dict[str, Any]:
    """It was cancelled, and is at the broker again."""
    resting(sending)
    sending.broker.orders["o1"].open = False
    look(sending), look(sending)
    assert sending.state_of("o1") == "CANCELLED"
    sending.broker.orders["o1"].open = True
    sending.wait(1)
    return {}


def _adjusted(to: Decimal) -> Callable[[Sending, list[Message]], bool]:
    def check(sending: Sending, said: list[Message]) -> bool:
        (fill,) = of_kind(Fill, said)
        return fill.strategy_id == "external" and sending.positions().get("EURUSD", D(0)) == to

    return check


def _told_the_books(amount: str) -> Callable[[Sending, list[Message]], bool]:
    def check(sending: Sending, said: list[Message]) -> bool:
        (adjusted,) = of_kind(CashAdjusted, said)
        return (adjusted.kind, adjusted.currency, adjusted.amount) == ("reconciliation", "USD", D(amount))

    return check


def _terms_taken(sending: Sending, said: list[Message]) -> bool:
    (modified,) = of_kind(OrderModified, said)
    return (modified.quantity, modified.limit_price) == (D(5), D("1.31"))


DIFFERENCES = {
    "position the broker alone has": Difference(
        position_there, "position EURUSD: we have 0, the broker has 3", "critical", synced=_adjusted(D(3))
    ),
    "position we alone have": Difference(
        position_here, "position EURUSD: we have 2, the broker has 0", "critical", synced=_adjusted(D(0))
    ),
    "position the ledger lacks": Difference(ledger_behind, "ledger_position EURUSD: we have 2, the ledger has 0", "critical"),
    "little cash": Difference(
        less_cash("12.5"), "cash USD: we have 100000, the broker has 99987.5", "minor", synced=_told_the_books("-12.5")
    ),
    "much cash": Difference(
        less_cash("1000"), "cash USD: we have 100000, the broker has 99000", "critical", synced=_told_the_books("-1000")
    ),
    "order of others": Difference(
        order_of_others, "order_external v9: we have nothing, the broker has buy 1 EURUSD limit", "minor", again=False
    ),
    "other terms": Difference(
        other_terms,
        "order_terms o1: we have quantity 4, limit_price 1.3, the broker has quantity 5, limit_price 1.31",
        "minor",
        synced=_terms_taken,
    ),
    "filled without an execution": Difference(filled_unshown, "order_filled o1: we have 0, the broker has 1", "critical"),
    "ended here and open there": Difference(ended_and_open, "order_ended o1: we have CANCELLED, the broker has open", "critical"),
}


def look(sending: Sending, **changes: Any) -> list[Message]:
    """A comparison, six seconds later."""
    return sending.wait(6, ReconcileAsked()) + sending.answer(**changes)


def begun(policy: str, of: str) -> Sending:
    """A sender that has opened clean books; `policy` for differences of one severity, the other one changes nothing."""
    other = "minor" if of == "critical" else "critical"
    sending = Sending(reconciliation={of: policy, other: "sync_to_local"})
    sending.tell(Connected(ts_event_ns=T0))
    sending.answer(ledger=LedgerFigures(positions={}, cash=USD))
    return sending


def reports(said: list[Message]) -> list[tuple[str, tuple[str, ...]]]:
    return [(report.severity, report.discrepancies) for report in of_kind(ReconciliationReport, said)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_reported_and_followed_as_its_severity_and_policy_say(name: str, policy: str) -> None:
    difference = DIFFERENCES[name]
    sending = begun(policy, difference.severity)
    shown = difference.arrange(sending)
    assert reports(look(sending, **shown)) == [], "one look proves nothing"
    said = look(sending, **shown)
    assert reports(said) == [(difference.severity, (difference.text,))]

    halts = policy == "halt_and_alert"
    assert [alert.name for alert in of_kind(Alert, said)] == ["reconciliation_failed"] * halts
    assert [difference.text in halt.reason for halt in sending.halts] == [True] * halts
    sending.tell(an_order(order_id="next"))
    sent = [order.order_id for effect in sending.effects if isinstance(effect, Send) for order, _ in effect.orders]
    assert ("next" in sent) is not halts
    assert [e.request.order_id for e in sending.effects if isinstance(e, Withdraw)] == ["o1"] * (
        name == "ended here and open there"
    )
    if policy == "sync_to_broker":
        assert difference.synced(sending, said)
    else:
        assert of_kind(Fill, said) == of_kind(OrderModified, said) == of_kind(CashAdjusted, said) == []
        if name not in ("ended here and open there", "order of others"):
            again = reports(look(sending, **shown))
            assert again == [(difference.severity, (difference.text,))]


NOT_TO_TAKE_OVER = ("position the ledger lacks", "filled without an execution", "ended here and open there")
"""There is no figure of the broker's that would make the two equal."""


@pytest.mark.parametrize("name", [name for name in DIFFERENCES if name not in NOT_TO_TAKE_OVER])
def test_what_was_taken_over_from_the_broker_is_no_difference_any_more(name: str) -> None:
    difference = DIFFERENCES[name]
    sending = begun("sync_to_broker", difference.severity)
    shown = difference.arrange(sending)
    said = look(sending, **shown) + look(sending, **shown)
    for adjusted in of_kind(CashAdjusted, said):  # the portfolio books it
        shown["ledger"] = LedgerFigures(positions={}, cash={"USD": USD["USD"] + adjusted.amount})
    assert reports(look(sending, **shown)) == [("clean", ())]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_execution_that_was_missed_is_booked_at_once_whatever_the_policy(policy: str) -> None:
    """Of an order of ours, and of nobody's: the second is marked as external."""
    sending = Sending(reconciliation={"minor": policy, "critical": policy})
    sending.connect()
    resting(sending)
    sending.broker.trade("o1", D(1))
    sending.broker.execute("", "sell", D(2))
    sending.broker.pending.clear()
    said = look(sending)
    assert [(fill.strategy_id, fill.signed_quantity) for fill in of_kind(Fill, said)] == [("s1", D(1)), ("external", D(-2))]
    ((severity, notes),) = reports(said)
    assert (severity, len(notes)) == ("minor", 2)
    assert all("had been missed" in note for note in notes)
    assert (sending.halts, sending.node.ready) == ([], True)
    assert reports(look(sending)) == [("clean", ())]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("luck", "kind", "word"), [("ok", OrderCancelled, "CANCELLED"), ("lost_before", OrderRejected, "REJECTED")]
)
def test_an_order_that_is_missing_at_the_broker_ends_after_two_looks_whatever_the_policy(
    policy: str, luck: Any, kind: type, word: str
) -> None:
    """One that the broker had shown is cancelled; one of which it never spoke was never sent."""
    sending = Sending(reconciliation={"minor": policy, "critical": policy})
    sending.connect()
    sending.luck = [luck]
    resting(sending)
    if luck == "ok":
        sending.broker.orders["o1"].open = False
    assert of_kind(kind, look(sending)) == []
    said = look(sending)
    assert [type(m) for m in said if isinstance(m, OrderCancelled | OrderRejected)] == [kind]
    assert (sending.state_of("o1"), sending.halts, sending.node.ready) == (word, [], True)


def test_a_halted_book_lets_cancels_leave_and_orders_only_after_a_clean_comparison() -> None:
    sending = begun("halt_and_alert", "critical")
    resting(sending)
    shown = position_there(sending)
    look(sending, **shown), look(sending, **shown)
    about = {"cause": "k1", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD", "ts_event_ns": T0}
    sending.tell(CancelOrder(order_id="o1", **about), an_order(order_id="next"))
    assert isinstance(sending.effects[-1], Withdraw)
    sending.deliver()
    assert "next" not in sending.broker.orders
    look(sending)
    assert "next" in sending.broker.orders
