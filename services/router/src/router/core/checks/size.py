"""How large an order is, and the position that can come of it, in one symbol.

The position checks let pass what does not raise the worst case: an order that only closes, whatever the limit. An exit that,
with what else is out, could carry the position through zero is measured like any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from barque.messages import RejectReason
from router.core.checks.proposal import Proposal
from router.core.prices import Prices
from router.core.refusal import Refusal, figure
from router.core.state import ZERO, RouterState


@dataclass(frozen=True, slots=True)
class OrderQuantity:
    """`max_order_quantity`."""

    most: Decimal

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        order = proposal.order
        if order.quantity <= self.most:
            return None
        return Refusal(
            RejectReason.ORDER_SIZE_LIMIT,
            f"an order of {order.quantity} {order.symbol} is larger than max_order_quantity",
            limit=figure(self.most),
            actual=figure(order.quantity),
        )


@dataclass(frozen=True, slots=True)
class OrderNotional:
    """`max_order_notional`."""

    most: Decimal
    prices: Prices

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        notional = notional_of(proposal, proposal.order.quantity, self.prices)
        if notional is None:
            return no_price(proposal, "max_order_notional", self.most)
        if notional <= self.most:
            return None
        return Refusal(
            RejectReason.ORDER_SIZE_LIMIT,
            f"an order of {proposal.order.quantity} {proposal.order.symbol} is worth more than max_order_notional",
            limit=figure(self.most),
            actual=figure(notional),
        )


@dataclass(frozen=True, slots=True)
class PositionSize:
    """`max_position`, of the book or of one strategy."""

    most: Decimal
    own: bool

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        before, after, others = proposal.worst(state)
        worst = after if self.own else after + others
        if worst <= self.most or after <= before:
            return None
        symbol, whose = proposal.order.symbol, "the strategy's" if self.own else "the book's"
        return Refusal(
            RejectReason.POSITION_LIMIT,
            f"with all open orders filled {symbol} would pass {whose} max_position; cancel orders or trade less",
            limit=figure(self.most),
            actual=figure(worst),
        )


@dataclass(frozen=True, slots=True)
class PositionNotional:
    """`max_notional`, of the book or of one strategy."""

    most: Decimal
    own: bool
    prices: Prices

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        before, after, others = proposal.worst(state)
        if after <= before:
            return None
        notional = notional_of(proposal, after if self.own else after + others, self.prices)
        if notional is None:
            return no_price(proposal, "max_notional", self.most)
        if notional <= self.most:
            return None
        symbol, whose = proposal.order.symbol, "the strategy's" if self.own else "the book's"
        return Refusal(
            RejectReason.NOTIONAL_LIMIT,
            f"with all open orders filled {symbol} would pass {whose} max_notional; cancel orders or trade less",
            limit=figure(self.most),
            actual=figure(notional),
        )


def notional_of(proposal: Proposal, quantity: Decimal, prices: Prices) -> Decimal | None:
    """Value of `quantity` contracts at the latest mark, else at the order's limit, in the instrument's currency."""
    price = prices.find(proposal.order.symbol) or proposal.order.limit_price
    return None if price is None else proposal.instrument.notional(price, quantity if quantity > ZERO else ZERO)


def no_price(proposal: Proposal, name: str, most: Decimal) -> Refusal:
    """A limit on values that cannot be looked at."""
    return Refusal(
        RejectReason.NO_PRICE,
        f"{name} is set and {proposal.order.symbol} has no mark yet; wait for its feed or give a limit_price",
        limit=figure(most),
    )
