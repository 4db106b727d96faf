"""What a sender does with the broker's books: the opening balance, what was missed, what differs, and who may then send."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from barque.messages import (
    AccountSnapshot,
    Alert,
    CashAdjusted,
    Fill,
    Message,
    OrderCancelled,
    OrderModified,
    OrderRejected,
    PositionSnapshot,
    ReconciliationReport,
)
from barque.venue import CashMovement, Connected, Executed, VenueOrder, VenuePosition
from router.core.sending.effects import AskBooks, Send, Withdraw
from router.core.sending.events import BooksUnavailable, LedgerFigures, ReconcileAsked
from tests.support.builders import NS, T0, an_order
from tests.support.routing import of_kind
from tests.support.sending import BookedOrder, Sending, an_account, capabilities

D = Decimal


def connected(**reconciliation: Any) -> Sending:
    sending = Sending(reconciliation=reconciliation)
    sending.connect()
    return sending


def look(sending: Sending, seconds: float = 6, **changes: Any) -> list[Message]:
    """Somebody asks for a comparison, a while later."""
    said = sending.wait(seconds, ReconcileAsked())
    return said + sending.answer(**changes)


def twice(sending: Sending, **changes: Any) -> list[Message]:
    """Two looks that agree."""
    return look(sending, **changes) + look(sending, **changes)


def report_of(messages: list[Message]) -> ReconciliationReport:
    (report,) = of_kind(ReconciliationReport, messages)
    return report


def sent(sending: Sending) -> list[str]:
    return [order.order_id for effect in sending.effects if isinstance(effect, Send) for order, _ in effect.orders]


def held(quantity: str, symbol: str = "EURUSD", price: str = "1.25") -> tuple[VenuePosition, ...]:
    return (VenuePosition(symbol=symbol, quantity=D(quantity), average_price=D(price)),)


def test_the_first_books_are_the_opening_balance() -> None:
    sending = Sending()
    sending.broker.execute("", "buy", D(9))
    sending.broker.pending.clear()
    sending.tell(Connected(ts_event_ns=T0))
    said = sending.answer(positions=held("-4"))
    (fill,) = of_kind(Fill, said)
    assert (fill.exec_id, fill.strategy_id, fill.side, fill.quantity, fill.price) == (
        "opening/EURUSD",
        "external",
        "sell",
        D(4),
        D("1.25"),
    )
    assert sending.positions() == {"EURUSD": D(-4)}
    assert report_of(said).severity == "minor"
    assert look(sending, positions=held("-4"))[0].severity == "clean"


def test_a_comparison_without_differences_says_so_with_the_broker_s_figures() -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    said = sending.answer()
    assert report_of(said) == ReconciliationReport(account="paper", ts_event_ns=T0, severity="clean")
    (account,) = of_kind(AccountSnapshot, said)
    assert (account.cash, account.currency) == (D(100_000), "USD")
    sending.broker.execute("", "buy", D(1))
    sending.deliver()
    (position,) = of_kind(PositionSnapshot, look(sending))
    assert (position.symbol, position.quantity) == ("EURUSD", D(1))


@pytest.mark.parametrize("policy", ["sync_to_broker", "sync_to_local", "halt_and_alert"])
def test_a_report_says_what_was_done_about_the_worst_of_it(policy: str) -> None:
    sending = connected(critical=policy, minor="sync_to_local")
    report = report_of(twice(sending, positions=held("3")))
    assert (report.severity, report.policy) == ("critical", policy)


def test_figures_that_do_not_change_are_said_at_the_usual_interval_all_the_same() -> None:
    sending = connected(every_s=300)
    said = []
    for _ in range(3):
        sending.wait(301)
        said += sending.answer()
    assert len(of_kind(AccountSnapshot, said)) == 3


def test_the_books_are_asked_for_at_least_at_the_configured_interval() -> None:
    sending = connected(every_s=300)
    for _ in range(299):
        sending.wait(1)
    assert sending.questions == []
    sending.wait(1)
    assert [ask.number for ask in sending.questions] == [2]


def test_only_executions_since_shortly_before_the_last_good_look_are_asked_for() -> None:
    sending = connected()
    sending.wait(1000)
    assert sending.questions == [AskBooks(number=2, since_ns=T0 - 60 * NS)]


def test_an_execution_is_asked_for_until_its_commission_is_known_but_not_for_ever() -> None:
    sending = connected()
    sending.tell(an_order(quantity=D(2)))
    sending.deliver()
    sending.broker.trade("o1", D(1), commission=None)
    sending.broker.trade("o1", D(1), commission=D(1))
    sending.deliver()
    look(sending, 200)
    assert look(sending, 200)[0].severity == "clean"
    assert [ask.since_ns for ask in sending.effects if isinstance(ask, AskBooks)][-1] == T0
    sending.broker.executions[0] = replace(sending.broker.executions[0], commission=D(3))
    (priced,) = of_kind(Fill, look(sending, 200))
    assert (priced.exec_id, priced.commission) == ("x1/commission", D(3))
    look(sending, 200)
    assert [ask.since_ns for ask in sending.effects if isinstance(ask, AskBooks)][-1] == T0 + 540 * NS
    never = connected()
    never.tell(an_order())
    never.deliver()
    never.broker.trade("o1", D(1), commission=None)
    never.deliver()
    look(never, 5_000)
    look(never, 10)
    assert [ask.since_ns for ask in never.effects if isinstance(ask, AskBooks)][-1] == T0 + 1410 * NS


def test_books_that_cannot_be_read_are_asked_for_again() -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    (ask,) = sending.questions
    sending.tell(BooksUnavailable(number=ask.number, detail="timeout"))
    assert not sending.node.ready
    sending.wait(5)
    assert [each.number for each in sending.questions] == [1, 2]


def test_an_execution_that_was_missed_is_booked_once_and_reported() -> None:
    sending = connected()
    sending.tell(an_order(quantity=D(2)))
    sending.deliver()
    sending.broker.trade("o1", D(2))
    sending.broker.pending.clear()
    said = look(sending)
    (fill,) = of_kind(Fill, said)
    assert (fill.strategy_id, fill.quantity) == ("s1", D(2))
    report = report_of(said)
    assert (report.severity, len(report.discrepancies)) == ("minor", 1)
    assert "execution x1 of order o1 had been missed" in report.discrepancies[0]
    assert of_kind(Fill, look(sending)) == []


def test_an_order_that_the_broker_no_longer_has_is_cancelled_after_two_looks() -> None:
    sending = connected()
    sending.tell(an_order(order_type="limit", limit_price=D(1)))
    sending.deliver()
    sending.broker.orders["o1"].open = False
    assert of_kind(OrderCancelled, look(sending)) == []
    assert [m.order_id for m in of_kind(OrderCancelled, look(sending))] == ["o1"]


def test_an_order_that_was_hidden_for_one_look_lives_on() -> None:
    sending = connected()
    sending.tell(an_order(order_type="limit", limit_price=D(1)))
    sending.deliver()
    for _ in range(3):
        look(sending, open_orders=())
        look(sending)
    assert sending.state_of("o1") == "ACKED"


def test_one_look_at_a_differing_position_proves_nothing() -> None:
    sending = connected()
    assert of_kind(ReconciliationReport, look(sending, positions=held("1"))) == []
    assert (report_of(look(sending)).severity, sending.halts) == ("clean", [])


def test_a_differing_position_halts_the_book_once_and_nothing_leaves() -> None:
    sending = connected()
    said = twice(sending, positions=held("1"))
    assert report_of(said).severity == "critical"
    assert [alert.name for alert in of_kind(Alert, said)] == ["reconciliation_failed"]
    assert len(sending.halts) == 1
    assert "position EURUSD" in sending.halts[0].reason
    assert of_kind(Alert, look(sending, positions=held("1"))) == []
    sending.tell(an_order())
    assert sent(sending) == []
    look(sending)
    assert sent(sending) == ["o1"]


def test_a_difference_that_outlives_its_session_halts_the_book_once() -> None:
    sending = connected()
    twice(sending, positions=held("1"))
    sending.crash()
    sending.tell(Connected(ts_event_ns=sending.now_ns))
    said = sending.answer(positions=held("1")) + look(sending, positions=held("1"))
    assert report_of(said).severity == "critical"
    assert (of_kind(Alert, said), len(sending.halts), sending.node.ready) == ([], 1, False)


def test_at_a_session_s_start_a_suspicion_alone_keeps_orders_back() -> None:
    sending = connected()
    sending.crash()
    sending.tell(an_order(), Connected(ts_event_ns=sending.now_ns))
    sending.answer(positions=held("1"))
    assert sent(sending) == []
    look(sending)
    assert sent(sending) == ["o1"]


def test_synchronised_to_the_broker_a_position_is_adjusted_by_a_marked_fill() -> None:
    sending = connected(critical="sync_to_broker")
    said = twice(sending, positions=held("3"))
    (fill,) = of_kind(Fill, said)
    assert (fill.strategy_id, fill.side, fill.quantity, fill.price) == ("external", "buy", D(3), D("1.25"))
    assert fill.exec_id.startswith("adjust/EURUSD/")
    assert (sending.positions(), sending.halts) == ({"EURUSD": D(3)}, [])
    assert report_of(look(sending, positions=held("3"))).severity == "clean"


def test_synchronised_to_ourselves_a_position_is_reported_and_left() -> None:
    sending = connected(critical="sync_to_local")
    said = twice(sending, positions=held("3"))
    assert (report_of(said).severity, of_kind(Fill, said), sending.positions()) == ("critical", [], {})
    sending.tell(an_order())
    assert sent(sending) == ["o1"]


def test_orders_of_others_are_reported_once() -> None:
    sending = connected()
    order = VenueOrder(
        order_id="", venue_order_id="v9", symbol="EURUSD", side="buy", quantity=D(1), filled=D(0), order_type="limit"
    )
    report = report_of(twice(sending, open_orders=(order,)))
    assert (report.severity, report.discrepancies) == (
        "minor",
        ("order_external v9: we have nothing, the broker has buy 1 EURUSD limit",),
    )
    assert report_of(look(sending, open_orders=(order,))).severity == "clean"


def test_orders_of_others_that_are_gone_are_forgotten() -> None:
    sending = connected()
    for n in range(40):
        others = {"symbol": "EURUSD", "side": "buy", "quantity": D(1), "filled": D(0), "order_type": "limit"}
        twice(sending, open_orders=(VenueOrder(order_id="", venue_order_id=f"v{n}", **others),))
    assert list(sending.state()["external"]) == ["v39"]


def test_an_open_order_with_our_mark_that_we_do_not_know_stops_the_book_after_two_looks() -> None:
    """The history began anew, or an older one was restored, and a stop of before still works at the broker."""
    sending = connected()
    ghost = an_order(order_id="ghost", order_type="stop", stop_price=D("1.1"), side="sell")
    sending.broker.orders["ghost"] = BookedOrder(ghost, 99)
    said = twice(sending)
    (alert,) = of_kind(Alert, said)
    assert alert.name == "reconciliation_failed"
    assert "order_unknown_ours ghost" in alert.text
    assert len(sending.halts) == 1
    sending.broker.orders["ghost"].open = False
    twice(sending)
    assert sending.node.ready


def test_an_order_that_came_after_the_books_were_asked_is_no_unknown_one() -> None:
    sending = connected()
    sending.wait(301)
    (ask,) = sending.questions
    sending.questions = []
    sending.tell(an_order(order_type="limit", limit_price=D("1.2")))
    answer = sending.broker.books(ask)
    sending.tell(answer)
    assert sending.state()["suspects"] == {}


def test_terms_changed_by_hand_at_the_broker_are_taken_over() -> None:
    sending = connected()
    sending.tell(an_order(order_type="limit", limit_price=D("1.2")))
    sending.deliver()
    booked = sending.broker.orders["o1"]
    booked.order = an_order(order_type="limit", limit_price=D("1.1"), quantity=D(2))
    (modified,) = of_kind(OrderModified, twice(sending))
    assert (modified.limit_price, modified.quantity) == (D("1.1"), D(2))


def test_an_order_that_turns_up_after_it_was_given_up_is_withdrawn_and_stops_the_book() -> None:
    sending = connected()
    sending.luck = ["lost_after"]
    sending.tell(an_order(order_type="limit", limit_price=D(1)))
    twice(sending, open_orders=())
    assert sending.state_of("o1") == "REJECTED"
    look(sending)  # asked before the order was given up
    said = twice(sending)
    assert report_of(said).severity == "critical"
    assert [e.request.order_id for e in sending.effects if isinstance(e, Withdraw)] == ["o1"]
    assert len(sending.halts) == 1


@pytest.mark.parametrize(("amount", "severity", "halts"), [("99990", "minor", 0), ("90000", "critical", 1)])
def test_cash_is_compared_with_the_ledger_s_by_what_both_began_with(amount: str, severity: str, halts: int) -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    sending.answer(ledger=ledger)
    assert report_of(look(sending, ledger=ledger)).severity == "clean"
    said = twice(sending, ledger=ledger, account=an_account(cash={"USD": D(amount)}))
    assert (report_of(said).severity, len(sending.halts)) == (severity, halts)


def test_what_the_broker_says_a_currency_is_worth_goes_before_our_marks() -> None:
    """2,000 yen; by our marks 20,000 dollars, by the broker's rate 13."""
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)}, rates={"JPY": D(10)})
    sending.answer(ledger=ledger)
    account = an_account(cash={"USD": D(100_000), "JPY": D(2_000)}, rates={"JPY": D("0.0066")})
    said = twice(sending, ledger=ledger, account=account)
    assert report_of(said).severity == "minor"


def test_a_rate_that_moves_is_no_news_of_the_account() -> None:
    sending = connected()
    account = an_account(rates={"JPY": D("0.0066")})
    look(sending, account=account)
    sending.luck = ["lost_before"]
    sending.tell(an_order())  # the books are asked for it
    said = sending.answer(account=replace(account, rates={"JPY": D("0.0067")}))
    assert of_kind(AccountSnapshot, said) == []
    sending.wait(6)
    assert len(of_kind(AccountSnapshot, sending.answer(account=replace(account, equity=D(99_000))))) == 1


# -- what others hold in symbols that are not configured ---------------------------------------------------------------


def elsewhere(quantity: str, symbol: str = "GOOG") -> tuple[VenuePosition, ...]:
    return held(quantity, symbol, "150")


@pytest.mark.parametrize("policy", ["sync_to_broker", "sync_to_local", "halt_and_alert"])
def test_a_holding_in_a_symbol_that_is_not_configured_is_told_once_and_stops_nothing(policy: str) -> None:
    sending = Sending(reconciliation={"minor": policy, "critical": policy})
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    sending.tell(Connected(ts_event_ns=T0))
    said = sending.answer(positions=elsewhere("10"), ledger=ledger) + look(sending, positions=elsewhere("10"), ledger=ledger)
    report = report_of(said)
    assert (report.severity, report.policy) == ("minor", "sync_to_local")
    (difference,) = report.discrepancies
    assert difference == "position_elsewhere GOOG: the broker has 10, had 0; no [[instruments]] entry is of it"
    (alert,) = of_kind(Alert, said)
    assert (alert.name, alert.severity) == ("position_elsewhere", "info")
    assert alert.text.startswith("paper: the account has 10 GOOG, and had 0. No [[instruments]] entry")
    assert (of_kind(Fill, said), sending.positions(), sending.halts) == ([], {}, [])
    said = look(sending, positions=elsewhere("10"), ledger=ledger)
    assert (report_of(said).severity, of_kind(Alert, said)) == ("clean", [])
    sending.tell(an_order())
    assert sent(sending) == ["o1"]
    sending.deliver()
    assert [each.name for each in of_kind(Alert, twice(sending, positions=elsewhere("12.0"), ledger=ledger))] == [
        "position_elsewhere"
    ]
    sending.crash()
    sending.tell(Connected(ts_event_ns=T0))
    assert of_kind(Alert, sending.answer(positions=elsewhere("12"), ledger=ledger)) == []
    said = twice(sending, ledger=ledger)
    assert "the account has 0 GOOG, and had 12" in of_kind(Alert, said)[0].text
    assert sending.state()["elsewhere"] == {}
    assert sending.halts == []


def test_cash_that_such_a_holding_may_have_moved_is_minor_until_it_has_been_found_right_without_one() -> None:
    sending = Sending(reconciliation={"minor": "sync_to_local"})
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})

    def cash(amount: int) -> Any:
        return an_account(cash={"USD": D(amount)})

    sending.tell(Connected(ts_event_ns=T0))
    sending.answer(ledger=ledger)
    said = twice(sending, ledger=ledger, positions=elsewhere("10"), account=cash(98_500))  # bought at 150
    assert report_of(said).severity == "minor"
    assert len(report_of(said).discrepancies) == 2
    said = twice(sending, ledger=ledger, account=cash(101_600))  # sold at 310
    assert [report.severity for report in of_kind(ReconciliationReport, said)][-1] == "minor"
    assert sending.halts == []
    assert report_of(look(sending, ledger=ledger)).severity == "clean"
    twice(sending, ledger=ledger, account=cash(98_500))
    assert len(sending.halts) == 1, "that was nobody else"


def test_cash_of_others_who_have_bought_and_sold_between_two_looks_is_minor() -> None:
    sending = Sending()
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    sending.tell(Connected(ts_event_ns=T0))
    sending.answer(ledger=ledger)
    for side in ("buy", "sell"):
        sending.broker.execute("", side, D(10), symbol="GOOG")
    said = sending.deliver() + twice(sending, ledger=ledger, account=an_account(cash={"USD": D(98_500)}))
    assert of_kind(Fill, said) == []
    assert report_of(said).severity == "minor"
    assert sending.halts == []


def test_a_liquidation_of_what_others_hold_is_told() -> None:
    sending = connected()
    closed = replace(sending.broker.execute("", "sell", D(3), symbol="GOOG"), liquidation="liquidation")
    said = sending.tell(Executed(execution=closed), Executed(execution=closed))
    (alert,) = said
    assert isinstance(alert, Alert)
    assert alert.name == "position_liquidated"
    assert "sell 3 GOOG" in alert.text


def test_a_symbol_that_is_configured_later_is_taken_over_as_at_the_beginning() -> None:
    """GOOG, 10 at 150, with 100,000 in cash at the broker and none in the ledger; then the ledger has paid for it."""
    sending = Sending()
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    sending.tell(Connected(ts_event_ns=T0))
    sending.answer(ledger=ledger, positions=elsewhere("10"))
    look(sending, ledger=ledger, positions=elsewhere("10"))
    sending.symbols = (*sending.symbols, "GOOG")
    sending.crash()
    sending.tell(Connected(ts_event_ns=T0))
    (fill,) = of_kind(Fill, sending.answer(ledger=ledger, positions=elsewhere("10")))
    assert (fill.strategy_id, fill.symbol, fill.side, fill.quantity, fill.price) == ("external", "GOOG", "buy", D(10), D(150))
    assert fill.exec_id.startswith("opening/GOOG/")
    booked = LedgerFigures(positions={"GOOG": D(10)}, cash={"USD": D(-1_500)})
    said = twice(sending, ledger=booked, positions=elsewhere("10")) + twice(sending, ledger=booked, positions=elsewhere("10"))
    assert of_kind(ReconciliationReport, said)[-1].severity == "clean"
    assert (of_kind(Fill, said), sending.halts) == ([], [])


def test_what_is_held_of_a_symbol_that_is_configured_no_longer_is_a_difference_only_where_orders_of_ours_have_brought_it() -> (
    None
):
    """2 USDJPY by hand and 3 EURUSD by an order; then both are taken out of the configuration."""
    sending = connected()
    sending.broker.execute("", "buy", D(2), symbol="USDJPY")
    sending.tell(an_order(quantity=D(3)))
    sending.broker.trade("o1", D(3))
    sending.deliver()
    sending.symbols = ()
    sending.crash()
    sending.connect()
    ledger = LedgerFigures(positions={"EURUSD": D(3), "USDJPY": D(2)}, cash={"USD": D(0)})
    said = look(sending, ledger=ledger)
    assert [report.severity for report in of_kind(ReconciliationReport, said)] == ["minor"]
    assert [alert.text.partition(",")[0] for alert in of_kind(Alert, said)] == ["paper: the account has 2 USDJPY"]
    twice(sending, ledger=ledger, positions=())
    assert [halt.reason.partition(":")[0] for halt in sending.halts] == ["reconciliation of paper"]
    assert "position EURUSD: we have 3, the broker has 0" in sending.halts[0].reason
    assert "USDJPY" not in sending.halts[0].reason


@pytest.mark.parametrize(("converts", "severity"), [(False, "critical"), (True, "clean")])
def test_cash_that_a_broker_converts_at_once_is_no_difference(converts: bool, severity: str) -> None:
    """3,000 yen were lost; the broker took 20 dollars for them."""
    sending = Sending(capabilities(converts=converts))
    sending.tell(Connected(ts_event_ns=T0))
    sending.answer(ledger=LedgerFigures(positions={}, cash={"USD": D(100_000)}), account=an_account(cash={"USD": D(100_000)}))
    ledger = LedgerFigures(positions={}, cash={"USD": D(100_000), "JPY": D(-3_000)})
    said = twice(sending, ledger=ledger, account=an_account(cash={"USD": D(99_980)}))
    assert of_kind(ReconciliationReport, said)[-1].severity == severity


def test_a_minor_difference_of_cash_is_told_the_books_once_and_none_when_they_have_it() -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    sending.answer(ledger=ledger)
    interest = an_account(cash={"USD": D("100003.5")})
    (adjusted,) = of_kind(CashAdjusted, twice(sending, ledger=ledger, account=interest))
    assert (adjusted.account, adjusted.kind, adjusted.currency, adjusted.amount) == ("paper", "reconciliation", "USD", D("3.5"))
    booked = LedgerFigures(positions={}, cash={"USD": D("3.5")})
    said = look(sending, ledger=booked, account=interest)
    assert report_of(said).severity == "clean"
    less = twice(sending, ledger=booked, account=an_account(cash={"USD": D("100001")}))
    (other,) = of_kind(CashAdjusted, less)
    assert other.amount == D("-2.5")
    assert other.reference != adjusted.reference


def a_movement(reference: str, amount: str, kind: Any = "deposit") -> CashMovement:
    return CashMovement(reference=reference, kind=kind, currency="USD", amount=D(amount), ts_event_ns=T0 + 5, detail="by wire")


def test_what_the_broker_lists_of_cash_is_told_the_books_once_and_what_was_there_at_the_beginning_never() -> None:
    """A deposit of before; then 500 in and 20 interest. No look finds a difference, though the ledger books them after the look
    that has shown them."""
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    before, deposit = a_movement("d1", "1000"), a_movement("d2", "500")
    interest = a_movement("d3", "20", "interest")
    ledger = LedgerFigures(positions={}, cash={"USD": D(0)})
    assert of_kind(CashAdjusted, sending.answer(ledger=ledger, account=an_account(movements=(before,)))) == []
    account = an_account(cash={"USD": D(100_520)}, movements=(before, deposit, interest))
    said = look(sending, ledger=ledger, account=account)
    told = [(each.reference, each.kind, each.amount, each.ts_event_ns, each.reason) for each in of_kind(CashAdjusted, said)]
    assert told == [("d2", "deposit", D(500), T0 + 5, "by wire"), ("d3", "interest", D(20), T0 + 5, "by wire")]
    report = report_of(said)
    assert report.severity == "minor"
    assert report.discrepancies[0] == "deposit d2 of 500 USD was not in the books"
    booked = LedgerFigures(positions={}, cash={"USD": D(520)})
    sending.crash()
    sending.tell(Connected(ts_event_ns=T0))
    said = sending.answer(ledger=booked, account=account) + twice(sending, ledger=booked, account=account)
    assert of_kind(CashAdjusted, said) == []
    assert {report.severity for report in of_kind(ReconciliationReport, said)} == {"clean"}


def test_a_sender_that_has_never_looked_at_what_is_listed_takes_it_for_known() -> None:
    """As one of before, whose state says nothing of it."""
    sending = Sending()
    sending.connect()
    before = sending.state()
    del before["movements"]
    sending.restore(msgspec.msgpack.encode(before))
    movements = (a_movement("d1", "1000"),)
    assert of_kind(CashAdjusted, look(sending, account=an_account(movements=movements))) == []
    later = (*movements, a_movement("d2", "-5", "fee"))
    (adjusted,) = of_kind(CashAdjusted, look(sending, account=an_account(movements=later)))
    assert adjusted.reference == "d2"


def test_an_execution_that_is_reported_before_the_first_books_is_in_the_opening_balance_and_booked_no_second_time() -> None:
    sending = Sending()
    sending.tell(Connected(ts_event_ns=T0))
    sending.broker.execute("", "buy", D(2))
    assert of_kind(Fill, sending.deliver()) == []
    (opening,) = of_kind(Fill, sending.answer())
    assert (opening.exec_id, opening.quantity) == ("opening/EURUSD", D(2))
    assert sending.positions() == sending.broker.positions() == {"EURUSD": D(2)}
    sending.broker.execute("", "buy", D(1))
    assert [fill.quantity for fill in of_kind(Fill, sending.deliver())] == [D(1)]


def test_a_correction_of_what_is_in_the_opening_balance_is_booked_as_the_difference() -> None:
    """No fill was said of the first execution, so none can be corrected; a second correction is one of the first correction."""
    sending = Sending()
    first = sending.broker.execute("", "buy", D(3))
    sending.connect()
    assert sending.positions() == {"EURUSD": D(3)}
    second = sending.broker.correct(first, D(1))
    (less,) = of_kind(Fill, sending.deliver())
    assert (less.exec_id, less.side, less.quantity, less.corrects) == (second.exec_id, "sell", D(2), "")
    sending.broker.correct(second, D(2))
    (more,) = of_kind(Fill, sending.deliver())
    assert (more.side, more.quantity, more.corrects) == ("buy", D(1), "")
    assert sending.positions() == sending.broker.positions() == {"EURUSD": D(2)}


def test_what_an_opening_balance_cost_is_no_difference_of_cash() -> None:
    """Two contracts that are paid in full: the ledger's cash falls when it has booked them, the broker's had long before."""
    sending = Sending()
    sending.broker.execute("", "buy", D(2))
    sending.tell(Connected(ts_event_ns=T0))
    account = an_account(cash={"USD": D("99997.5")})
    sending.answer(account=account, positions=held("2"), ledger=LedgerFigures(positions={}, cash={"USD": D(100_000)}))
    booked = LedgerFigures(positions={"EURUSD": D(2)}, cash={"USD": D("99997.5")})
    said = [message for _ in range(3) for message in look(sending, account=account, positions=held("2"), ledger=booked)]
    assert {report.severity for report in of_kind(ReconciliationReport, said)} == {"clean"}
    poorer = an_account(cash={"USD": D("99990")})
    assert report_of(twice(sending, account=poorer, positions=held("2"), ledger=booked)).severity == "minor"


# -- what the broker shows no more -----------------------------------------------------------------------------------------

OF_THE_DAY = capabilities(executions_zone="America/New_York")
"""`T0` is the evening of 30 April there; four hours later is the next day."""


def away_past_midnight(fills: bool) -> Sending:
    """An order is at work, the sender stops, the order fills or is withdrawn, and the broker's day ends."""
    sending = Sending(OF_THE_DAY)
    sending.connect()
    sending.tell(an_order(order_id="o1", order_type="limit", limit_price=D("1.2")))
    sending.deliver()
    sending.crash()
    if fills:
        sending.broker.trade("o1", D(1))
    sending.broker.orders["o1"].open = False
    sending.broker.pending = []
    sending.now_ns += 5 * 3_600 * NS
    sending.broker.now_ns = sending.now_ns
    return sending


def looks(sending: Sending, count: int = 4) -> list[Message]:
    said = sending.tell(Connected(ts_event_ns=sending.now_ns))
    for _ in range(count):
        said += sending.answer(executions=()) + sending.wait(6)
    return said


def test_a_fill_that_the_broker_shows_no_more_is_a_difference_of_positions_and_its_order_is_not_called_dead() -> None:
    sending = away_past_midnight(fills=True)
    said = looks(sending)
    assert sending.state_of("o1") == "UNKNOWN"
    assert not of_kind(OrderCancelled, said) and not of_kind(OrderRejected, said)
    (halt,) = sending.halts
    assert "position EURUSD: we have 0, the broker has 1" in halt.reason
    (alert,) = [each for each in of_kind(Alert, said) if each.name == "reconciliation_failed"]
    assert "position EURUSD" in alert.text
    notes = [line for report in of_kind(ReconciliationReport, said) for line in report.discrepancies]
    assert any("the broker shows executions from 2014-05-01 04:00:00 UTC on only" in line for line in notes)


def test_where_the_position_is_as_booked_an_order_that_is_gone_has_ended() -> None:
    sending = away_past_midnight(fills=False)
    said = looks(sending)
    assert sending.state_of("o1") == "CANCELLED"
    assert len(of_kind(OrderCancelled, said)) == 1 and not sending.halts


def test_within_the_brokers_day_nothing_is_said_of_it() -> None:
    sending = Sending(OF_THE_DAY)
    sending.connect()
    sending.crash()
    sending.now_ns += 3_600 * NS
    said = looks(sending)
    assert [report.severity for report in of_kind(ReconciliationReport, said)] == ["clean"]
