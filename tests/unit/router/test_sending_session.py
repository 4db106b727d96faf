"""What a sender tells people of its session: once per change, with what to do, and once when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from barque.messages import Alert, Message, RejectReason
from barque.venue import Accepted, Connected, Disconnected, Noted, Rejected, SessionTrouble, TradingDisabled
from router.core.sending.events import BooksUnavailable
from tests.support.builders import an_order
from tests.support.sending import D, Sending, a_bracket, capabilities


def alerts(said: Sequence[Message]) -> list[tuple[str, str]]:
    return [(each.name, each.severity) for each in said if isinstance(each, Alert)]


def lost(sending: Sending, detail: str = "the Gateway is gone", trouble: SessionTrouble = "lost", **fields: Any) -> list[Message]:
    return sending.tell(Disconnected(ts_event_ns=sending.now_ns, detail=detail, trouble=trouble, **fields)) + sending.wait(0)


def test_a_session_that_is_back_in_time_is_no_alert() -> None:
    sending = Sending()
    said = sending.connect() + lost(sending) + sending.wait(59) + sending.connect() + sending.wait(1)
    assert alerts(said) == []


def test_a_lost_session_is_told_once_when_it_has_lasted_and_once_when_it_is_over() -> None:
    sending = Sending()
    sending.connect()
    assert alerts(lost(sending)) == []
    said = sending.wait(60)
    assert alerts(said) == [("sender_disconnected", "warning")]
    (alert,) = said
    assert isinstance(alert, Alert)
    assert alert.source == "sender.model"
    assert alert.text == (
        "paper: no order has left for 60 s: there is no session with the broker: the Gateway is gone. What is at the broker "
        "works on; the sender goes on trying by itself, see to the broker's program"
    )
    assert alerts(sending.wait(600) + lost(sending, "still gone") + sending.wait(600)) == []
    sending.connect()
    (over,) = sending.wait(1)
    assert isinstance(over, Alert)
    assert (over.name, over.severity) == ("sender_disconnected", "info")
    assert "orders leave again, after 21 min" in over.text
    assert alerts(sending.wait(600)) == []


def test_why_orders_wait_is_said_with_the_brokers_words() -> None:
    sending = Sending()
    assert sending.node.waits_for == "there is no session with the broker: it has not connected yet"
    lost(sending, "nothing listens there")
    assert sending.node.waits_for == "there is no session with the broker: nothing listens there"
    sending.tell(Connected(ts_event_ns=sending.now_ns))
    (question,) = sending.questions
    sending.tell(BooksUnavailable(number=question.number, detail="no answer within 15 s"))
    assert sending.node.waits_for == "the broker's books are being compared with ours: no answer within 15 s"
    sending.wait(6)
    sending.answer()
    assert sending.node.waits_for == ""


def test_with_orders_or_positions_a_lost_session_is_critical() -> None:
    sending = Sending()
    sending.connect()
    sending.tell(an_order())
    lost(sending)
    assert ("sender_disconnected", "critical") in alerts(sending.wait(61))


def test_at_an_hour_at_which_the_broker_restarts_it_is_waited_for_longer() -> None:
    sending = Sending()
    sending.connect()
    lost(sending, "the Gateway's own daily restart", expected=True)
    assert alerts(sending.wait(1_799)) == []
    assert alerts(sending.wait(1)) == [("sender_disconnected", "warning")]


def test_safe_mode_and_a_refused_session_are_told_at_once_and_each_change_once() -> None:
    sending = Sending()
    assert alerts(lost(sending, "10 attempts failed", "safe_mode") + sending.wait(1)) == [("sender_safe_mode", "critical")]
    assert alerts(lost(sending, "nothing listens there") + sending.wait(600)) == [], "it stays in safe mode until it is back"
    said = lost(sending, "account 'U1' is a live account", "refused") + sending.wait(1)
    assert alerts(said) == [("sender_refused", "critical")]
    assert alerts(lost(sending, "account 'U1' is a live account", "refused") + sending.wait(600)) == []
    assert alerts(lost(sending, "account 'U2' is not in this login", "refused") + sending.wait(1)) == [
        ("sender_refused", "critical")
    ]
    assert alerts(sending.connect() + sending.wait(1)) == [("sender_refused", "info")]


def test_a_restart_says_nothing_twice() -> None:
    sending = Sending()
    lost(sending, "account 'U1' is a live account", "refused")
    assert alerts(sending.said) == [("sender_refused", "critical")]
    sending.crash()
    lost(sending, "account 'U1' is a live account", "refused")
    sending.wait(1)
    assert alerts(sending.said) == [("sender_refused", "critical")]


def test_disabled_trading_is_over_when_a_session_compares_the_books_and_stays_enabled() -> None:
    """A read-only API: each new session begins as if it were not."""
    sending = Sending()
    sending.connect()
    off = TradingDisabled(ts_event_ns=sending.now_ns, detail="the API is read-only")
    assert alerts(sending.tell(off)) == [("trading_disabled", "critical")]
    assert alerts(lost(sending) + sending.wait(1)) == []
    assert alerts(sending.tell(off)) == []
    assert alerts(sending.connect() + sending.wait(1)) == [("trading_disabled", "info")]
    assert alerts(sending.tell(off)) == [("trading_disabled", "critical")]


def test_books_that_cannot_be_read_keep_orders_as_much_as_no_session_does() -> None:
    sending = Sending()
    sending.connect()
    lost(sending)
    sending.tell(Connected(ts_event_ns=sending.now_ns))
    (question,) = sending.questions
    sending.tell(BooksUnavailable(number=question.number, detail="open orders: no answer within 15 s"))
    said = sending.wait(61)
    assert alerts(said) == [("sender_disconnected", "warning")]
    assert "could not be compared with ours: open orders: no answer within 15 s" in said[0].text  # type: ignore[union-attr]
    sending.answer()
    assert alerts(sending.wait(1)) == [("sender_disconnected", "info")]


def rejected(sending: Sending, order_id: str, reason: RejectReason = RejectReason.MARKET_CLOSED) -> list[Message]:
    sending.tell(an_order(order_id=order_id))
    about: dict[str, Any] = {"order_id": order_id, "ts_event_ns": sending.now_ns}
    return sending.tell(Rejected(reason=reason, detail="201 The exchange is closed.", **about))


def test_what_the_broker_refuses_is_told_once_for_a_symbol_and_a_reason_until_it_takes_one() -> None:
    sending = Sending()
    sending.connect()
    first = rejected(sending, "o1")
    assert alerts(first) == [("order_rejected", "warning")]
    text = next(each.text for each in first if isinstance(each, Alert))
    assert text.startswith(
        "paper: the broker refused order o1 (buy 1 EURUSD market) (market closed): 201 The exchange is closed."
    )
    assert alerts(rejected(sending, "o2")) == []
    assert alerts(rejected(sending, "o3", RejectReason.BUYING_POWER)) == [("order_rejected", "warning")]
    sending.tell(an_order(order_id="o4"))
    sending.tell(Accepted(order_id="o4", venue_order_id="4", ts_event_ns=sending.now_ns))
    assert alerts(rejected(sending, "o5", RejectReason.BUYING_POWER)) == [("order_rejected", "warning")]


def test_what_the_broker_says_of_an_order_that_waits_is_told_once() -> None:
    sending = Sending()
    sending.connect()
    sending.tell(an_order(order_id="o1"))
    note = Noted(order_id="o1", detail="399 it will not be placed until the market opens", ts_event_ns=sending.now_ns)
    assert alerts(sending.tell(note) + sending.tell(note)) == [("order_noted", "info")]
    assert sending.state_of("o1") == "SENDING"


def test_a_stop_that_the_broker_holds_without_working_it_leaves_its_position_unprotected() -> None:
    sending = Sending(capabilities(brackets=True, oco=True))
    sending.connect()
    sending.tell(*a_bracket("e"))
    sending.deliver()
    held = Noted(order_id="e-sl", detail="Inactive", ts_event_ns=sending.now_ns, works=False)
    assert alerts(sending.tell(held)) == [("order_noted", "info")], "it guards nothing yet"
    sending.broker.trade("e", D(10))
    sending.deliver()
    assert alerts(sending.tell(held)) == [("position_unprotected", "critical")]
    assert sending.state_of("e-sl") == "ACKED"
