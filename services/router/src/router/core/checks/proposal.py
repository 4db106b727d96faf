"""What the checks look at: an order that is to go out, or the new terms of one that is out already.

In:   the order, its instrument, what it adds.   Out: the worst case before and after it, worked out once for all checks.
Not:  a verdict.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from barque.instruments import Instrument
from barque.messages import SubmitOrder
from router.core.exposure import open_quantities, worst_of
from router.core.refusal import Refusal
from router.core.state import ZERO, RouterState


class Proposal(msgspec.Struct):
    """One order with the terms that it would have."""

    order: SubmitOrder
    instrument: Instrument
    added: Decimal
    """Contracts that come on top of what is open, negative where an order is made smaller."""
    opens: int
    """Orders that come into being, a bracket's exits included."""
    sends: int
    """Orders and changes that go to the broker."""
    _worst: tuple[Decimal, Decimal, Decimal] | None = None

    def worst(self, state: RouterState) -> tuple[Decimal, Decimal, Decimal]:
        """Contracts on the order's side at worst: of its strategy without it, with it, and of all other strategies."""
        if self._worst is None:
            self._worst = self._work_out(state)
        return self._worst

    def raises(self, state: RouterState) -> bool:
        """Whether the worst case becomes worse; False for what can only close."""
        before, after, _ = self.worst(state)
        return after > before

    def _work_out(self, state: RouterState) -> tuple[Decimal, Decimal, Decimal]:
        order = self.order
        symbol, side, mine = order.symbol, order.side, order.strategy_id
        opened = open_quantities(state, symbol, side, mine if order.closes else "") if state.orders else None
        position = own = others = ZERO
        for strategy_id, held in state.positions.items():
            if symbol not in held:
                continue
            if strategy_id == mine:
                position = held[symbol]
            else:
                others += worst_of(held[symbol], side, opened.pop(strategy_id, ZERO) if opened else ZERO)
        if opened:
            own = opened.pop(mine, ZERO)
            for quantity in opened.values():
                others += quantity
        return worst_of(position, side, own), worst_of(position, side, own + self.added), others


class Check(Protocol):
    """Looks at one thing."""

    def __call__(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        """Why the order must not go out; None where this check has nothing against it."""
        ...
