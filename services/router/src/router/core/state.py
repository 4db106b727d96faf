"""What the router knows: open orders, positions, marks, limits changed by hand, and what it has already decided."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from barque.messages import Mark, SubmitOrder
from barque.messages.signals import Side
from router.core.lifecycle import OrderState

WINDOW = 1024
"""So many decisions and executions are remembered, to know a repeated one."""

ZERO = Decimal(0)


class OpenOrder(msgspec.Struct, kw_only=True):
    """An order that may still trade, UNKNOWN ones included."""

    order: SubmitOrder
    state: OrderState = OrderState.NEW
    filled: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        """Contracts that may still trade."""
        return max(self.order.quantity - self.filled, ZERO)


class RouterState(msgspec.Struct, kw_only=True):
    """The whole state of a `RouterNode`."""

    now_ns: int = 0
    halted: bool = False
    orders: dict[str, OpenOrder] = {}
    """By order id, oldest first."""
    positions: dict[str, dict[str, Decimal]] = {}
    """Signed contracts by strategy, then symbol; none is zero."""
    marks: dict[str, Mark] = {}
    limits: dict[str, Decimal | None] = {}
    """Set by hand, by `<limit>|<symbol>`; None: no limit."""
    decided: dict[str, None] = {}
    """Digests of the last `WINDOW` signals and commands, oldest first."""
    executions: dict[str, None] = {}
    """The last `WINDOW` booked executions, oldest first."""
    counters: dict[str, int] = {}

    def position(self, strategy_id: str, symbol: str) -> Decimal:
        """What the strategy's fills add up to, signed contracts."""
        return self.positions.get(strategy_id, {}).get(symbol, ZERO)

    def net_position(self, symbol: str) -> Decimal:
        """What all strategies hold together, signed contracts."""
        return sum((held.get(symbol, ZERO) for held in self.positions.values()), ZERO)

    def move(self, strategy_id: str, symbol: str, signed: Decimal) -> None:
        """Book `signed` contracts."""
        held = self.positions.setdefault(strategy_id, {})
        held[symbol] = held.get(symbol, ZERO) + signed
        if not held[symbol]:
            del held[symbol]
        if not held:
            del self.positions[strategy_id]

    def open_of(self, strategy_id: str, symbol: str) -> Iterator[OpenOrder]:
        """Open orders of one strategy in one symbol, oldest first."""
        return (o for o in self.orders.values() if (o.order.strategy_id, o.order.symbol) == (strategy_id, symbol))

    def under_way(self, strategy_id: str, symbol: str, side: Side) -> Decimal:
        """Contracts of the strategy's open market orders of `side`: as good as filled."""
        ours = self.open_of(strategy_id, symbol)
        return sum((o.remaining for o in ours if (o.order.order_type, o.order.side) == ("market", side)), ZERO)

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counters[name] = self.counters.get(name, 0) + 1


def is_new(window: dict[str, None], key: str) -> bool:
    """Remember `key`, forget the oldest beyond `WINDOW`; False where it was there already."""
    if key in window:
        return False
    window[key] = None
    if len(window) > WINDOW:
        del window[next(iter(window))]
    return True
