"""Fills that are not simply the next one, with a memory at hand: examples by hand, and the law that arrival does not matter."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque.messages import Alert, EquityMarked, Fill, Message, PositionChanged
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.history import Booked, Forgotten, Memory, Recalled
from portfolio.core.lots import earned, match
from portfolio.core.node import PortfolioNode
from tests.support.builders import NS, T0, a_fill, a_mark, eurusd
from tests.support.fill_storm import storm

D = Decimal


def spy() -> Instrument:
    return Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=D("0.01"))


def books() -> PortfolioNode:
    """Books that remember everything: what a shell would tell before each batch."""
    account = AccountConfig(name="paper", currency="USD", starting_cash=D(100_000))
    node = PortfolioNode(PortfolioConfig(accounts=(account,)), [eurusd(), spy()])
    node.handle(Recalled(memory=Memory()))
    node.handle(a_mark(bid=1.1, ask=1.1))
    node.handle(a_mark(symbol="SPY", bid=110.0, ask=110.0))
    return node


def fill(exec_id: str, signed: int, price: str, second: int, /, **changes: Any) -> Fill:
    base: dict[str, Any] = {
        "exec_id": exec_id,
        "side": "buy" if signed >= 0 else "sell",
        "quantity": D(abs(signed)),
        "price": D(price),
        "symbol": "SPY",
        "ts_event_ns": T0 + second * NS,
    }
    return a_fill(**(base | changes))


def feed(node: PortfolioNode, *messages: Message) -> list[Message]:
    return [output for message in messages for _, output in node.handle(message)]


def position(node: PortfolioNode, symbol: str = "SPY") -> tuple[Decimal, Decimal, Decimal, Decimal]:
    held = node.position("paper", "s1", symbol)
    return held.quantity, held.cost, held.realised, held.commission


BOUGHT_SOLD = (fill("a", 10, "100", 1), fill("b", -10, "110", 2))


def test_a_bust_of_an_opening_fill_turns_the_fill_that_closed_it_into_an_opening_one() -> None:
    """10 bought at 100 and sold at 110 earn 100. Without the purchase, 10 are short at 110, and nothing is earned."""
    node = books()
    feed(node, *BOUGHT_SOLD)
    assert position(node) == (0, 0, 100, 0)
    said = feed(node, fill("a.bust", 0, "100", 9, corrects="a"))
    assert position(node) == (-10, -1100, 0, 0)
    assert node.cash("paper") == {"USD": 101_100}
    assert [(p.quantity, p.realised_pnl, p.cause) for p in said if isinstance(p, PositionChanged)] == [(-10, 0, "a.bust")]
    assert [m.equity for m in said if isinstance(m, EquityMarked)] == [100_000]


def test_a_corrected_price_changes_what_later_fills_realised() -> None:
    """4 of 10 bought at 100 are sold at 110: 40. Bought at 103 after all, they earned 28, and 6 × 103 is still invested."""
    node = books()
    feed(node, fill("a", 10, "100", 1), fill("b", -4, "110", 2))
    feed(node, fill("a.02", 10, "103", 5, corrects="a"))
    assert position(node) == (6, 618, 28, 0)
    assert node.cash("paper") == {"USD": 100_000 - 1030 + 440}


def test_a_commission_that_comes_later_is_paid_once() -> None:
    node = books()
    feed(node, fill("a", 10, "100", 1, symbol="EURUSD", quantity=D(1), price=D("1.1")))
    late = fill("a/commission", 1, "1.1", 1, symbol="EURUSD", commission=D("2.5"), corrects="a")
    feed(node, late, late)
    assert position(node, "EURUSD") == (1, 110_000, 0, D("2.5"))
    assert node.cash("paper") == {"USD": D("99997.5")}
    assert node.counters == {"fills_booked": 2, "fills_repeated": 1}


def test_a_late_fill_takes_its_place() -> None:
    """Bought 10 at 100, sold 10 at 110, and between them 10 bought at 106: the average was 103, so 70 were earned, not 100."""
    node = books()
    said = feed(node, fill("a", 10, "100", 1), fill("b", -10, "110", 3), fill("late", 10, "106", 2))
    assert position(node) == (10, 1030, 70, 0)
    last = [m for m in said if isinstance(m, PositionChanged)][-1]
    assert (last.quantity, last.average_price, last.realised_pnl, last.cause) == (10, 103, 70, "late")


def test_a_correction_that_comes_first_waits_and_says_so() -> None:
    node = books()
    (alert,) = feed(node, fill("a.02", 10, "103", 5, corrects="a"))
    assert isinstance(alert, Alert)
    assert alert.name == "fill_unbooked"
    assert position(node) == (0, 0, 0, 0)
    feed(node, fill("a", 10, "100", 1))
    assert position(node) == (10, 1030, 0, 0)


def test_the_same_execution_with_other_figures_is_not_booked_and_an_alert() -> None:
    node = books()
    (alert,) = feed(node, fill("a", 10, "100", 1), fill("a", 11, "100", 1))[-1:]
    assert isinstance(alert, Alert)
    assert "other figures" in alert.text
    assert position(node) == (10, 1000, 0, 0)


@pytest.mark.parametrize("changes", [{"symbol": "XAUUSD"}, {"quantity": D("NaN")}, {"price": D("Infinity")}])
def test_what_cannot_be_booked_is_kept_and_an_alert(changes: dict[str, Any]) -> None:
    node = books()
    (alert,) = feed(node, fill("a", 10, "100", 1, **changes))
    assert isinstance(alert, Alert)
    assert [row.state for row in node.bookings.rows.values()] == ["unbooked"]
    assert node.cash("paper") == {"USD": 100_000}


def test_nothing_is_remembered_after_the_batch() -> None:
    node, plain = books(), books()
    feed(node, *BOUGHT_SOLD, Forgotten())
    plain.handle(Forgotten())
    assert len(node.snapshot()) - len(plain.snapshot()) < 250


def test_a_batch_that_begins_again_books_what_it_would_have() -> None:
    """The runner restores the state that followed the recall where a message of the batch fails."""
    node = books()
    start = node.snapshot()
    feed(node, *BOUGHT_SOLD)
    node.restore(start)
    feed(node, BOUGHT_SOLD[0])
    assert position(node) == (10, 1000, 0, 0)
    assert list(node.bookings.rows) == [("paper", "a")]


@given(st.integers(0, 10_000))
def test_in_whatever_order_fills_come_the_books_are_the_same(seed: int) -> None:
    """Corrections stay behind one another: of two of one execution, the one that comes last counts."""
    reports = [each for each in storm(seed, 40, far=20).told if each.symbol == "EURUSD" and each.account == "paper"]
    first = {each.exec_id: each for each in reports}
    chance = random.Random(seed)
    shuffled = sorted(first.values(), key=lambda _: chance.random())
    ordered, mixed = books(), books()
    feed(ordered, *sorted(first.values(), key=lambda each: (each.ts_event_ns, each.exec_id)))
    feed(mixed, *shuffled, *reports)
    for strategy_id in ("s1", "s2"):
        assert mixed.position("paper", strategy_id, "EURUSD") == ordered.position("paper", strategy_id, "EURUSD")
    assert {k: v for k, v in mixed.cash("paper").items() if v} == {k: v for k, v in ordered.cash("paper").items() if v}


# -- first in, first out ---------------------------------------------------------------------------------------------------


def as_booked(number: int, signed: int, price: str) -> Booked:
    bookings = books()
    feed(bookings, fill(str(number), signed, price, number))
    (row,) = bookings.bookings.rows.values()
    return row


def test_lots_close_oldest_first_and_a_fill_may_close_several_and_open_another() -> None:
    """5 at 100, 5 at 102, sold 8 at 110 (5 × 10 + 3 × 8 = 74), sold 4 at 111 (2 × 9 = 18, and 2 short at 111)."""
    fills = [as_booked(1, 5, "100"), as_booked(2, 5, "102"), as_booked(3, -8, "110"), as_booked(4, -4, "111")]
    lots, closings = match([], fills, spy())
    assert [(c.lot_exec_id, c.exec_id, c.quantity, c.realised_pnl) for c in closings] == [
        ("1", "3", 5, 50),
        ("2", "3", 3, 24),
        ("2", "4", 2, 18),
    ]
    assert earned(closings) == 92
    assert [(lot.exec_id, lot.quantity, lot.open_quantity) for lot in lots] == [("1", 5, 0), ("2", 5, 0), ("4", -2, -2)]
