"""What of the Gateway's words is news, message by message; no wire."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from barque.venue import Accepted, Ended, Executed, Modified, Noted, Rejected, RequestRefused, VenueEvent, VenueExecution
from tests.support.builders import NS, T0, an_order
from venues.ibkr.orders import Terms
from venues.ibkr.reports import Completed, Seen
from venues.ibkr.tracker import Tracker

D = Decimal
CLIENT, WIRE, PERM = 12, 1_000_002, 77
OLD, NEW = Terms(quantity=D(1), limit_price=D("1.09")), Terms(quantity=D(2), limit_price=D("1.08"))


class Watched:
    """A tracker with one limit order at the wire."""

    def __init__(self) -> None:
        self.events: list[VenueEvent] = []
        self.missing = 0
        self.tracker = Tracker(CLIENT, self.events.append, self._miss)
        self.order = an_order(order_id="o", order_type="limit", limit_price=D("1.09"))
        self.tracker.sent(self.order, OLD, WIRE, 0, D(100_000))

    def _miss(self) -> None:
        self.missing += 1

    def echo(self, terms: Terms = OLD, status: str = "Submitted") -> None:
        seen = Seen(
            order_id="o",
            token="bq.1.o",
            wire_id=WIRE,
            client_id=CLIENT,
            perm_id=PERM,
            account="DU1",
            status=status,
            con_id=1,
            symbol="EURUSD",
            side="buy",
            order_type="limit",
            terms=terms,
        )
        self.tracker.on_order(seen, T0)

    def status(self, status: str, filled: int = 0, perm_id: int = PERM) -> None:
        self.tracker.on_status(CLIENT, WIRE, perm_id, status, D(filled), T0, "")

    def execute(self, exec_id: str, quantity: str, corrects: str = "") -> None:
        execution = VenueExecution(
            exec_id=exec_id,
            order_id="o",
            venue_order_id="77",
            symbol="EURUSD",
            side="buy",
            quantity=D(quantity),
            price=D("1.09"),
            ts_event_ns=T0,
            corrects=corrects,
        )
        self.tracker.on_execution(execution)

    def ask(self, terms: Terms) -> None:
        order = self.tracker.find("o")
        assert order is not None
        order.asked = terms

    def kinds(self) -> list[type[Any]]:
        return [type(event) for event in self.events]


def test_an_echo_from_before_a_change_neither_confirms_nor_undoes_it() -> None:
    watched = Watched()
    watched.echo()
    watched.ask(NEW)
    watched.echo(OLD)
    assert watched.kinds() == [Accepted]
    watched.echo(NEW)
    assert watched.kinds() == [Accepted, Modified]
    watched.echo(NEW)
    assert watched.kinds() == [Accepted, Modified]


def test_a_change_made_by_hand_at_the_broker_is_told() -> None:
    watched = Watched()
    watched.echo()
    watched.echo(NEW)
    told = watched.events[-1]
    assert isinstance(told, Modified)
    assert (told.quantity, told.limit_price) == (D(2), D("1.08"))


def test_a_change_that_is_refused_is_said_once_and_the_next_one_stands_by_itself() -> None:
    watched = Watched()
    watched.echo()
    watched.ask(NEW)
    watched.tracker.on_error(WIRE, 110, "off the grid", T0)
    watched.tracker.on_error(WIRE, 110, "off the grid", T0)
    assert watched.kinds() == [Accepted, RequestRefused]
    watched.ask(NEW)
    watched.echo(NEW)
    assert watched.kinds() == [Accepted, RequestRefused, Modified]


def test_pending_statuses_say_nothing() -> None:
    watched = Watched()
    for status in ("PendingSubmit", "ApiPending", "PendingCancel"):
        watched.status(status)
    assert watched.kinds() == []


@pytest.mark.parametrize("order", list(permutations(["echo", "status", "execution", "commission"])))
def test_in_whatever_order_reports_come_an_order_is_accepted_at_most_once_and_its_fill_whole(order: tuple[str, ...]) -> None:
    watched = Watched()
    acts = {
        "echo": lambda: watched.echo(status="Filled"),
        "status": lambda: watched.status("Filled", 100_000),
        "execution": lambda: watched.execute("x.01", "1"),
        "commission": lambda: watched.tracker.on_commission("x.01", D("2.2"), "USD"),
    }
    for name in order:
        acts[name]()
    said = [event.execution for event in watched.events if isinstance(event, Executed)]
    assert watched.kinds().count(Accepted) <= 1
    assert (said[-1].quantity, said[-1].commission) == (D(1), D("2.2"))
    assert len(said) == (1 if order.index("commission") < order.index("execution") else 2)
    assert watched.tracker.filled("o") == 1
    assert Ended not in watched.kinds()


def test_a_status_that_speaks_of_more_than_was_reported_asks_for_executions_and_one_that_does_not_asks_nothing() -> None:
    watched = Watched()
    watched.execute("x.01", "0.6")
    watched.status("Submitted", 60_000)
    assert watched.missing == 0
    watched.status("Submitted", 100_000)
    assert watched.missing == 1


@pytest.mark.parametrize("first", ["x.01", "x.02"])
def test_a_correction_takes_the_place_of_what_it_corrects_whichever_comes_first(first: str) -> None:
    watched = Watched()
    acts = {"x.01": lambda: watched.execute("x.01", "1"), "x.02": lambda: watched.execute("x.02", "0.4", corrects="x.01")}
    acts[first]()
    acts["x.02" if first == "x.01" else "x.01"]()
    assert watched.tracker.filled("o") == D("0.4")


def test_an_order_that_a_code_had_refused_and_that_works_all_the_same_is_accepted_again() -> None:
    watched = Watched()
    watched.tracker.on_error(WIRE, 321, "not valid", T0)
    watched.status("Inactive")
    assert watched.kinds() == [Rejected]
    watched.status("Submitted")
    assert watched.kinds() == [Rejected, Accepted]


def test_an_order_that_goes_inactive_is_noted_once_until_it_works_again() -> None:
    watched = Watched()
    watched.status("PreSubmitted")
    for status in ("Inactive", "Inactive", "Submitted", "Inactive"):
        watched.status(status)
    assert watched.kinds() == [Accepted, Noted, Noted]
    assert [event.works for event in watched.events if isinstance(event, Noted)] == [False, False]


def test_an_order_of_an_earlier_process_that_went_inactive_meanwhile_is_noted() -> None:
    anew = Watched()
    anew.tracker = Tracker(CLIENT, anew.events.append, anew._miss)
    anew.echo(status="Inactive")
    assert anew.kinds() == [Accepted, Noted]


def test_an_order_that_the_broker_had_taken_is_ended_by_201_alone() -> None:
    watched = Watched()
    watched.echo()
    watched.tracker.on_error(WIRE, 321, "something", T0)
    assert watched.kinds() == [Accepted]
    watched.tracker.on_error(WIRE, 201, "Order rejected - reason: exchange", T0)
    assert watched.kinds() == [Accepted, Rejected]


def test_errors_about_orders_of_nobody_and_of_other_clients_say_nothing() -> None:
    watched = Watched()
    watched.tracker.on_error(5, 201, "rejected", T0)
    watched.tracker.on_status(99, WIRE, 0, "Cancelled", D(0), T0, "")
    assert watched.kinds() == []


def test_a_fill_is_known_by_the_permanent_id_where_the_client_is_another() -> None:
    watched = Watched()
    watched.status("Submitted")
    assert watched.tracker.order_of("", 0, 0, PERM) == "o"
    assert watched.tracker.order_of("", CLIENT, WIRE, 0) == "o"
    assert watched.tracker.order_of("ref", 0, 0, PERM) == "ref"
    assert watched.tracker.order_of("", 99, WIRE, 0) == ""


def test_executions_are_shown_from_the_second_asked_for() -> None:
    """The Gateway tells times in whole seconds."""
    watched = Watched()
    watched.execute("x.01", "1")
    assert [each.exec_id for each in watched.tracker.executions(T0 + NS - 1)] == ["x.01"]
    assert watched.tracker.executions(T0 + NS) == []


# -- how an order ended ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends_in_s", "text", "cancels", "how"),
    [
        (0, "Order Canceled - reason:", False, "expired"),
        (0, "", False, "expired"),
        (3_600, "", False, "cancelled"),
        (0, "Order Canceled - reason:The exchange is closed", False, "cancelled"),
        (0, "Order Canceled - reason:", True, "cancelled"),
    ],
)
def test_an_order_of_the_day_that_ends_with_it_unasked_and_without_a_reason_is_out_of_time(
    ends_in_s: int, text: str, cancels: bool, how: str
) -> None:
    watched = Watched()
    order = an_order(order_id="d", order_type="limit", limit_price=D("1.09"), time_in_force="day")
    watched.tracker.sent(order, OLD, WIRE + 1, 0, D(100_000), T0 + ends_in_s * NS)
    at_wire = watched.tracker.find("d")
    assert at_wire is not None
    at_wire.cancelling = cancels
    if text:
        watched.tracker.on_error(WIRE + 1, 202, text, T0)
    else:
        watched.tracker.on_status(CLIENT, WIRE + 1, PERM + 1, "Cancelled", D(0), T0, "")
    (ended,) = [event for event in watched.events if isinstance(event, Ended)]
    assert ended.how == how


def test_an_order_that_is_listed_as_ended_is_told_once_and_not_before_its_fills() -> None:
    watched = Watched()
    watched.echo()
    completed = Completed(order_id="", perm_id=PERM, status="Cancelled", how="rejected", text="Refused there", filled=D(2))
    watched.tracker.on_completed(completed, T0)
    assert not [event for event in watched.events if isinstance(event, Rejected)] and watched.missing == 1
    watched.execute("e1", "2")
    watched.tracker.on_completed(completed, T0)
    watched.tracker.on_completed(completed, T0)
    (rejected,) = [event for event in watched.events if isinstance(event, Rejected)]
    assert (rejected.order_id, rejected.detail) == ("o", "Refused there")
    assert watched.tracker.open_ids() == set()
