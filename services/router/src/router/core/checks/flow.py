"""How many orders there are, how fast they come, and whether one is a copy of another."""

from __future__ import annotations

from dataclasses import dataclass

from barque.messages import RejectReason, SubmitOrder
from router.core.checks.proposal import Proposal
from router.core.refusal import Refusal, figure
from router.core.state import WINDOW, RouterState

MINUTE_NS = 60_000_000_000
EXIT_RATE = 2
"""Exits may go on to so many times a rate; each takes a part of a position, so they come to an end by themselves."""


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """`max_open_orders`, of the book or of one strategy."""

    most: int
    strategy_id: str
    """Empty: the book."""

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if not proposal.opens:
            return None
        orders = state.orders
        mine = self.strategy_id
        there = sum(each.order.strategy_id == mine for each in orders.values()) if mine else len(orders)
        if there + proposal.opens <= self.most:
            return None
        whose = "the strategy" if self.strategy_id else "the book"
        return Refusal(
            RejectReason.OPEN_ORDERS_LIMIT,
            f"{whose} would have more than max_open_orders; cancel some",
            limit=figure(self.most),
            actual=figure(there + proposal.opens),
        )


@dataclass(frozen=True, slots=True)
class OrderRate:
    """`max_orders_per_minute`, of the book or of one strategy."""

    most: int
    strategy_id: str
    """Empty: the book."""

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        most = self.most * EXIT_RATE if proposal.order.closes else self.most
        actual = len(within_a_minute(state.sent, self.strategy_id, state.now_ns)) + proposal.sends
        if actual <= most:
            return None
        whose = "the strategy" if self.strategy_id else "the book"
        return Refusal(
            RejectReason.ORDER_RATE,
            f"{whose} would send more than max_orders_per_minute; send fewer",
            limit=figure(most),
            actual=figure(actual),
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """`duplicate_window_ms`."""

    window_ms: int

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        if not proposal.opens:
            return None
        before_ns = state.intents.get(intent_of(proposal.order))
        if before_ns is None or state.now_ns - before_ns >= self.window_ms * 1_000_000:
            return None
        return Refusal(
            RejectReason.DUPLICATE,
            "the strategy sent the very same order within duplicate_window_ms; send it later, or otherwise",
            limit=figure(self.window_ms),
            actual=str((state.now_ns - before_ns) // 1_000_000),
        )


def intent_of(order: SubmitOrder) -> str:
    """What two orders have in common that are the same wish twice."""
    terms = (order.side, order.quantity, order.order_type, order.limit_price, order.stop_price, order.trail_amount)
    return "|".join(map(str, (order.strategy_id, order.symbol, *terms)))


def note_intent(state: RouterState, order: SubmitOrder, window_ns: int) -> None:
    """`order` goes out; forget what went out before the longest window."""
    intents = state.intents
    key = intent_of(order)
    intents.pop(key, None)
    intents[key] = state.now_ns
    while len(intents) > WINDOW or intents[next(iter(intents))] < state.now_ns - window_ns:
        del intents[next(iter(intents))]


def within_a_minute(times: dict[str, list[int]], scope: str, now_ns: int) -> list[int]:
    """When it happened in the last 60 s, oldest first; what is older is forgotten."""
    found = times.get(scope)
    if found is None:
        return []
    since_ns = now_ns - MINUTE_NS
    if found and found[0] <= since_ns:
        found[:] = [each for each in found if each > since_ns]
    return found
