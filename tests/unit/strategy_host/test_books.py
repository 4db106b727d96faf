"""Open orders, virtual positions and average prices: what a strategy node knows of its own trading."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.messages import (
    CancelRejected,
    Fill,
    ModifyRejected,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    RejectReason,
)
from barque.strategy import OrderEvent, Strategy, StrategyState
from strategy_host.core.node import StrategyNode
from strategy_host.core.state import KEPT_EXECUTIONS, KEPT_ORDERS, StrategyNodeState
from tests.support.builders import T0, a_fill, an_acceptance, an_order
from tests.support.hosting import alerts, feed, hosted, order_event


class Listener(Strategy):
    """Writes down what it hears of its orders, and what was open then."""

    class State(StrategyState):
        heard: list[tuple[str, int]] = []  # noqa: RUF012

    state: State

    def on_order(self, event: OrderEvent) -> None:
        self.state.heard.append((type(event).__name__, len(self.open_orders())))


def reborn(node: StrategyNode) -> StrategyNode:
    fresh = hosted(Listener)
    fresh.restore(node.snapshot())
    return fresh


# ---- orders


def test_a_modified_order_has_its_new_terms_and_what_filled_stays_filled() -> None:
    node = hosted(Listener)
    limit = an_order(quantity=Decimal(5), order_type="limit", limit_price=Decimal("1.38"))
    feed(node, limit, an_acceptance(), a_fill(quantity=Decimal(2), leaves_quantity=Decimal(3)))
    feed(node, order_event(OrderModified, quantity=Decimal(4), limit_price=Decimal("1.39")))
    (order,) = reborn(node)._strategy.open_orders("EURUSD")
    assert (order.quantity, order.leaves_quantity, order.limit_price, order.status) == (4, 2, Decimal("1.39"), "working")
    assert (order.stop_price, order.trail_amount) == (None, None)


def test_a_modified_trailing_stop_keeps_what_the_event_does_not_name() -> None:
    node = hosted(Listener)
    stop = an_order(order_type="trailing_stop", trail_amount=Decimal("0.002"), stop_price=Decimal("1.37"), parent_id="entry")
    feed(node, stop, order_event(OrderModified, quantity=Decimal(1), stop_price=Decimal("1.38")))
    (order,) = node._strategy.open_orders()
    assert (order.stop_price, order.trail_amount, order.parent_id) == (Decimal("1.38"), Decimal("0.002"), "entry")


def test_an_order_works_also_where_its_acceptance_comes_before_it() -> None:
    node = hosted(Listener)
    feed(node, an_acceptance())
    node = reborn(node)
    feed(node, an_order())
    assert [order.status for order in node._strategy.open_orders()] == ["working"]
    assert node._state.accepted == {}


@pytest.mark.parametrize("quantity", [2, 3])
def test_an_order_that_was_modified_to_what_had_filled_is_done(quantity: int) -> None:
    node = hosted(Listener)
    feed(node, an_order(quantity=Decimal(5)), a_fill(quantity=Decimal(3), leaves_quantity=Decimal(2)))
    feed(node, order_event(OrderModified, quantity=Decimal(quantity)))
    assert node._strategy.open_orders() == ()


@pytest.mark.parametrize("kind", [CancelRejected, ModifyRejected])
def test_an_order_that_the_broker_does_not_know_is_unknown(kind: type) -> None:
    node = hosted(Listener)
    feed(node, an_order(), an_acceptance(), order_event(kind, reason=RejectReason.UNKNOWN_ORDER))
    assert node._strategy.open_orders()[0].status == "unknown"


@pytest.mark.parametrize("kind", [CancelRejected, ModifyRejected])
def test_a_refused_change_leaves_the_order_as_it_was_and_is_heard(kind: type) -> None:
    node = hosted(Listener)
    feed(node, an_order(), an_acceptance())
    before = node._strategy.open_orders()
    feed(node, order_event(kind, reason=RejectReason.VENUE))
    assert node._strategy.open_orders() == before
    assert node._strategy.state.heard[-1] == (kind.__name__, 1)  # type: ignore[attr-defined]


def test_a_strategy_hears_every_step_of_its_orders_when_they_are_in_the_books_already() -> None:
    node = hosted(Listener)
    feed(node, an_order(), an_acceptance(), order_event(OrderModified, quantity=Decimal(1)))
    feed(node, order_event(CancelRejected, reason=RejectReason.VENUE), order_event(OrderExpired))
    feed(node, an_order(order_id="o2", strategy_id="another"), order_event(OrderCancelled, order_id="o2", strategy_id="another"))
    heard = [("SubmitOrder", 1), ("OrderAccepted", 1), ("OrderModified", 1), ("CancelRejected", 1), ("OrderExpired", 0)]
    assert node._strategy.state.heard == heard  # type: ignore[attr-defined]


def test_what_is_said_of_an_order_that_it_does_not_know_changes_nothing() -> None:
    node = hosted(Listener)
    feed(node, order_event(OrderModified, quantity=Decimal(9)), an_acceptance())
    assert node._strategy.open_orders() == ()


def test_of_finished_orders_and_executions_only_the_latest_are_kept() -> None:
    node = hosted(Listener)
    fills = [a_fill(order_id=f"o{n}", exec_id=f"e{n}", side="buy" if n % 2 else "sell") for n in range(1_000)]
    feed(node, *fills)
    assert list(node._state.gone) == [f"o{n}" for n in range(1_000 - KEPT_ORDERS, 1_000)]
    assert list(node._state.executions) == [f"e{n}" for n in range(1_000 - KEPT_EXECUTIONS, 1_000)]
    assert len(node.snapshot()) < 20_000


def test_an_unknown_symbol_has_no_position_but_an_error() -> None:
    class Asking(Strategy):
        def on_start(self) -> None:
            self.notify(f"{self.position('EURUDS')}")

    (alert,) = alerts(feed(hosted(Asking), a_fill()))
    assert "symbol 'EURUDS' has no [[instruments]] entry; did you mean 'EURUSD'?" in alert.text


# ---- average prices


def average(*fills: Fill) -> Decimal | None:
    node = hosted(Listener)
    feed(node, *fills)
    return reborn(node)._strategy.average_price("EURUSD")


def fill(number: int, quantity: int, price: str, corrects: int = 0) -> Fill:
    """Execution `e<number>` of that many contracts, sold where negative."""
    return a_fill(
        T0 + number,
        exec_id=f"e{number}",
        order_id=f"o{number}",
        side="buy" if quantity > 0 else "sell",
        quantity=Decimal(abs(quantity)),
        price=Decimal(price),
        corrects=f"e{corrects}" if corrects else "",
    )


def test_the_average_price_is_that_of_the_contracts_still_held() -> None:
    assert average() is None
    assert average(fill(1, 1, "1.10")) == Decimal("1.10")
    assert average(fill(1, 1, "1.10"), fill(2, 3, "1.14")) == Decimal("1.13")
    assert average(fill(1, 1, "1.10"), fill(2, 3, "1.14"), fill(3, -3, "9")) == Decimal("1.13")
    assert average(fill(1, 1, "1.10"), fill(2, -1, "1.20")) is None


def test_a_position_that_turns_around_begins_anew_at_the_price_that_turned_it() -> None:
    assert average(fill(1, 2, "1.10"), fill(2, -5, "1.20")) == Decimal("1.20")
    assert average(fill(1, 2, "1.10"), fill(2, -5, "1.20"), fill(3, -3, "1.30")) == Decimal("1.25")


def test_a_correction_counts_as_if_the_execution_had_been_so() -> None:
    assert average(fill(1, 1, "1.10"), fill(2, 1, "1.30"), fill(3, 1, "1.20", corrects=2)) == Decimal("1.15")
    assert average(fill(1, 1, "1.10"), fill(2, 1, "1.30"), fill(3, 3, "1.30", corrects=2)) == Decimal("1.25")
    assert average(fill(1, 2, "1.10"), fill(2, -1, "1.30"), fill(3, -1, "1.40", corrects=2)) == Decimal("1.10")
    assert average(fill(1, 1, "1.10"), fill(2, -1, "1.10", corrects=1)) == Decimal("1.10")


@given(st.lists(st.tuples(st.integers(-4, 4).filter(bool), st.integers(100, 200)), max_size=12))
def test_position_and_average_price_are_those_of_an_exact_book(trades: list[tuple[int, int]]) -> None:
    """The book holds one price per contract and takes the average of what it holds."""
    state, held, mean = StrategyNodeState(), 0, Fraction(0)
    for number, (quantity, cents) in enumerate(trades, start=1):
        state.book(fill(number, quantity, str(Decimal(cents) / 100)))
        price, after = Fraction(cents, 100), held + quantity
        if held * quantity >= 0:
            mean = (mean * held + price * quantity) / after
        elif after * held < 0:
            mean = price
        held = after
    assert state.positions.get("EURUSD", 0) == held
    if not held:
        assert state.average_prices == {}
    else:
        assert abs(Fraction(state.average_prices["EURUSD"]) - mean) < Fraction(1, 10**20)
