"""Circuit breakers under load, through router, live sender and broker: what counts is what the broker's book shows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from barque.bus.memory import MemoryRunner
from barque.messages import (
    Alert,
    BreakerChanged,
    Flatten,
    Halt,
    OrderRejected,
    ReconciliationReport,
    RejectReason,
    Resume,
    Signal,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
)
from barque_paper import PaperConfig, PaperNode
from tests.simulation.world import World
from tests.support.builders import NS, T0, a_mark, a_quote, an_order, eurusd
from tests.support.exchange import a_breaker
from tests.support.routing import a_router

D = Decimal
CHANCE = Random(0)
"""Nothing fails here, so nothing depends on it."""


class Book:
    """A world in which nothing fails but what a test lets fail."""

    def __init__(self, **breakers: Any) -> None:
        others = ("drawdown", "daily_loss", "order_rate", "rejection_rate", "stale_data", "reconciliation")
        section = {name: {"enabled": False} for name in others if name not in breakers} | breakers
        self.world = World(Random(3), section, policy="sync_to_local")
        self.broker = self.world.broker
        self._count = 0
        self.rest()

    def rest(self) -> None:
        """Everybody hears everything."""
        self.world.do_drain(CHANCE)
        while self.world.questions:
            self.world.do_answer(CHANCE, faulty=False)
            self.world.do_drain(CHANCE)

    def hear_one_by_one(self) -> None:
        """Router and sender take every entry by itself, so that what the one says the other does before there is more."""
        while self.world.router.unread():
            self.world.do_run_router(CHANCE, 1, faulty=False)
            self.world.do_run_sender(CHANCE, 1, faulty=False)
        self.rest()

    def wait(self, seconds: float, marks: bool = True) -> None:
        """Time passes, with prices or without."""
        self.rest()
        self.world._advance(seconds)
        if marks:
            for symbol in self.broker.prices:
                self.world._mark(symbol)
        self.rest()

    def wish(self, many: int = 1, strategy_id: str = "s1", **changes: Any) -> None:
        """So many wishes at once, to buy far below the market; nobody has read them yet."""
        base: dict[str, Any] = {
            "action": "enter",
            "side": "buy",
            "quantity": D(1),
            "order_type": "limit",
            "limit_price": D("0.9"),
        }
        wishes = []
        for _ in range(many):
            self._count += 1
            about = {"id": f"{strategy_id}/{self._count}/0", "cause": f"b{self._count}", "root": f"b{self._count}"}
            about |= {"strategy_id": strategy_id, "symbol": "EURUSD", "ts_event_ns": self.world.now_ns}
            wishes.append((Topic.SIGNALS, Signal(**(about | base | changes))))
        for at in range(0, many, 50):
            self.world.streams.publish(wishes[at : at + 50])

    def command(self, kind: type[Any], **fields: Any) -> None:
        """Somebody commands."""
        self.world.streams.publish([(Topic.CONTROL, self.world._command(kind, **fields))])

    def buy(self, quantity: int) -> None:
        """A position."""
        self.wish(order_type="market", limit_price=None, quantity=D(quantity))
        self.rest()
        self.broker.trade(self.broker.at_work()[-1], D(quantity))
        self.rest()

    def price(self, price: str) -> None:
        """EURUSD is at `price`, and the account has been valued at it."""
        self.broker.prices["EURUSD"] = D(price)
        self.wait(6)
        self.wait(6)

    def refuse(self, many: int) -> None:
        """The broker refuses so many orders."""
        self.broker.refuses_all = True
        self.wish(many)
        self.rest()
        self.broker.refuses_all = False

    def restart(self) -> None:
        """All processes die and start anew."""
        for shell in (self.world.router, self.world.portfolio):
            shell.restart()
        self.world._sender_dies("after_commit")
        self.world.do_connect(CHANCE)
        self.rest()

    def said(self, topic: Topic, kind: type[Any]) -> list[Any]:
        """All messages of one kind, in their order."""
        return [m for entry in self.world.streams.entries[topic] for m in entry.said if isinstance(m, kind)]

    def changes(self) -> list[BreakerChanged]:
        """What has become of breakers."""
        return self.said(Topic.ORDERS, BreakerChanged)

    def alerts(self, name: str) -> int:
        """How often people were told."""
        return sum(alert.name == name for alert in self.said(Topic.ALERTS, Alert))


def fall(book: Book) -> None:
    """Long four contracts of 1,000 at 1.30, 8 USD of fees: 250 USD a cent down to 992 below, then 1,000."""
    book.buy(4)
    book.price("1.05300")
    assert book.changes() == []
    book.price("1.05200")


def hurry(book: Book) -> None:
    """A hundred orders in a minute, and one more."""
    book.wish(100)
    book.rest()
    assert (book.changes(), len(book.broker.orders)) == ([], 100)
    book.wish()
    book.rest()


def be_refused(book: Book) -> None:
    """Ten refusals in a minute, and one more."""
    book.refuse(10)
    assert book.changes() == []
    book.refuse(1)


def fall_silent(book: Book) -> None:
    """45 seconds without a price of what is held, and one more."""
    book.buy(1)
    book.wait(45, marks=False)
    assert book.changes() == []
    book.wait(1, marks=False)


def differ(book: Book) -> None:
    """A sender reports what it stops for. Two looks at the broker's books that agree on a contract from nowhere are no reason,
    for this one's policy is that we are right."""
    book.world.surprises += 1
    book.broker.moved["EURUSD"] = D(1)
    for _ in range(2):
        book.world.do_ask(CHANCE)
        book.wait(6)
    (report,) = book.said(Topic.PORTFOLIO, ReconciliationReport)[-1:]
    assert (report.severity, report.policy, book.changes()) == ("critical", "sync_to_local", [])
    book.world.streams.publish([(Topic.PORTFOLIO, replace(report, policy="halt_and_alert"))])
    book.rest()


COOL: dict[str, Any] = {"cool_down_s": 30, "on_trip": "refuse"}
CASES: dict[str, tuple[dict[str, Any], Callable[[Book], None], str, str]] = {
    "drawdown": ({"amount": "1000"} | COOL, fall, "1000", "1000"),
    "daily_loss": ({"amount": "1000", "resets_next_day": False} | COOL, fall, "1000", "1000"),
    "order_rate": (COOL, hurry, "100", "101"),
    "rejection_rate": (COOL, be_refused, "10", "11"),
    "stale_data": ({"after_s": "45", "on_trip": "refuse"}, fall_silent, "45 s", "46 s of EURUSD"),
    "reconciliation": (COOL, differ, "clean", "1 discrepancies"),
}
"""Configuration, what makes it trip, and the figures that it tells: limit, actual."""


@pytest.mark.parametrize("breaker", CASES)
def test_a_breaker_trips_at_its_figure_stops_the_flow_outlives_a_restart_and_cools_down(breaker: str) -> None:
    config, cause, limit, actual = CASES[breaker]
    book = Book(**{breaker: config})
    cause(book)
    (change,) = book.changes()
    assert (change.breaker, change.tripped, change.status) == (breaker, True, "TRIPPED")
    assert (change.limit, change.actual.replace("46.000000000 s", "46 s")) == (limit, actual)
    assert (book.alerts("breaker_tripped"), book.alerts("breaker_reset")) == (1, 0)
    there = len(book.broker.orders)
    book.wish(200)
    book.restart()
    book.wish(200, strategy_id="s2")
    book.rest()
    assert len(book.broker.orders) == there
    assert {each.reason for each in book.said(Topic.ORDERS, SignalRejected)[-400:]} == {RejectReason.BREAKER}
    book.broker.moved.clear()
    book.wait(31)
    book.wait(1)  # the time is told before the price that came with it
    assert (book.changes()[-1].status, book.alerts("breaker_reset")) == ("NORMAL", 1)
    book.wish()
    book.rest()
    assert len(book.broker.orders) == there + 1


@pytest.mark.parametrize("breaker", CASES)
def test_without_a_cool_down_a_breaker_ends_by_a_resume_alone(breaker: str) -> None:
    config, cause, *_ = CASES[breaker]
    book = Book(**{breaker: config | {"cool_down_s": 0}})
    cause(book)
    book.broker.moved.clear()
    book.wait(3_600, marks=breaker != "stale_data")
    there = len(book.broker.orders)
    book.wish(strategy_id="s2")
    book.rest()
    assert (len(book.broker.orders), len(book.changes())) == (there, 1)
    book.command(Resume)
    book.wait(1)
    book.wish(strategy_id="s2")
    book.rest()
    assert (len(book.broker.orders), book.changes()[-1].status) == (there + 1, "NORMAL")


@pytest.mark.parametrize("breaker", CASES)
def test_nothing_that_opens_is_sent_behind_the_news_that_a_breaker_has_tripped(breaker: str) -> None:
    """Wishes stand before and behind what trips it; the stream of orders is what the sender reads."""
    config, cause, *_ = CASES[breaker]
    book = Book(**{breaker: config})
    cause(book)
    book.wish(50)
    book.rest()
    tripped = False
    for entry in book.world.streams.entries[Topic.ORDERS]:
        for message in entry.said:
            if isinstance(message, BreakerChanged):
                tripped = message.tripped
            assert not (tripped and isinstance(message, SubmitOrder) and not message.closes), message
    assert tripped


def test_a_flatten_on_trip_closes_what_is_held_and_cancels_the_rest_at_the_broker() -> None:
    book = Book(drawdown={"amount": "1000", "on_trip": "flatten"})
    book.wish(3)
    fall(book)
    (closing,) = book.broker.open_ids()
    assert (book.broker.orders[closing].order.side, book.broker.orders[closing].order.quantity) == ("sell", D(4))
    book.broker.trade(closing, D(4))
    book.rest()
    assert (book.broker.positions(), book.broker.open_ids()) == ({}, [])


@pytest.mark.parametrize("kind", [Halt, StopStrategy])
def test_a_person_stops_the_flow_and_only_a_person_lets_it_go_on(kind: type) -> None:
    book = Book()
    book.wish()
    book.rest()
    if kind is Halt:
        book.world.do_halt(CHANCE)
    else:
        book.command(StopStrategy, strategy_id="s1")
    book.wish(500)
    book.restart()
    book.wish(500)
    book.wait(7_200)
    assert len(book.broker.orders) == 1
    assert (book.changes()[-1].status, book.alerts("breaker_tripped")) == ("MANUALLY_HALTED", 1)
    if kind is Halt:
        book.world.do_resume(CHANCE)
    else:
        book.command(StartStrategy, strategy_id="s1")
    book.rest()
    book.wish()
    book.rest()
    assert (len(book.broker.orders), book.changes()[-1].status, book.alerts("breaker_reset")) == (2, "NORMAL", 1)


def test_of_ten_thousand_wishes_at_once_no_more_than_the_limit_reach_a_live_brokers_book() -> None:
    book = Book(order_rate={"cool_down_s": 90, "on_trip": "refuse"})
    book.wish(10_000)
    book.hear_one_by_one()
    assert len(book.broker.orders) == 100
    book.wait(91)
    book.wish(1_000)
    book.rest()  # in batches: what the sender reads together with the news of the trip does not leave any more
    assert 100 <= len(book.broker.orders) <= 200
    assert len(book.said(Topic.ORDERS, SignalRejected)) == 10_800
    assert (book.alerts("breaker_tripped"), book.alerts("breaker_reset")) == (2, 1)


def test_of_ten_thousand_wishes_at_once_no_more_than_the_limit_are_taken_on_paper() -> None:
    paper = PaperNode(PaperConfig(), [eurusd()])
    runner = MemoryRunner([a_router([eurusd()]), paper])
    runner.publish("feed", [(Topic.TICKS, a_quote()), (Topic.MARKS, a_mark())])
    about: dict[str, Any] = {"cause": "b", "root": "b", "strategy_id": "s1", "symbol": "EURUSD", "ts_event_ns": T0}
    wish: dict[str, Any] = {"action": "enter", "side": "buy", "quantity": D(1)}
    runner.publish("s1", [(Topic.SIGNALS, Signal(id=f"s1/{n}/0", **about, **wish)) for n in range(10_000)])
    assert 0 < len({each.order_id for each in paper.executions_since(0)}) <= 100
    assert sum(each.quantity for each in paper.positions()) <= 100


def test_the_sender_refuses_by_itself_what_a_router_should_never_have_sent() -> None:
    """The second gate: orders that were put on the stream past the router, while a breaker is open, and under a halt."""
    book = Book()
    order = an_order(order_id="past", ts_event_ns=T0 + NS)
    book.world.streams.publish([(Topic.ORDERS, a_breaker(""))])
    book.world.streams.publish([(Topic.ORDERS, order)])
    book.rest()
    assert [(r.order_id, r.reason) for r in book.said(Topic.FILLS, OrderRejected)] == [("past", RejectReason.BREAKER)]
    book.world.streams.publish([(Topic.ORDERS, a_breaker("", status="NORMAL"))])
    book.world.do_halt(CHANCE)
    book.world.streams.publish([(Topic.ORDERS, an_order(order_id="halted", closes=True))])
    book.command(Flatten)
    book.rest()
    assert book.said(Topic.FILLS, OrderRejected)[-1].reason is RejectReason.HALTED
    assert book.broker.orders == {}
