"""What the router knows: open orders, positions, marks, equity, limits changed by hand, breakers, and what it has decided."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import TypeVar

import msgspec

from barque.messages import AccountSnapshot, DataStatus, EquityMarked, Mark, ModifyOrder, PositionChanged, SubmitOrder
from barque.messages.signals import Side
from router.core.lifecycle import OrderState

WINDOW = 1024
"""At least so many decisions and executions are remembered, to know a repeated one."""
SLACK = 256
"""At most so many more."""

ZERO = Decimal(0)
T = TypeVar("T")


class OpenOrder(msgspec.Struct, kw_only=True):
    """An order that may still trade, UNKNOWN ones included."""

    order: SubmitOrder
    """With the terms that the broker has confirmed."""
    state: OrderState = OrderState.NEW
    filled: Decimal = ZERO
    asked: ModifyOrder | None = None
    """The change that is under way."""
    withdrawn: bool = False
    """A flatten was to end it, or an exit took it back: what trades of it all the same must not carry the position past zero."""
    aim: Decimal | None = None
    """The position to which it leads, with what was under way before it: of a target at market that opens something."""
    exits: bool = False
    """It rests to close a position and has no parent: it is never to be larger than what there is to close."""

    @property
    def quantity(self) -> Decimal:
        """Contracts of the whole order; while a change is under way, the larger of before and after."""
        asked = self.asked
        if asked is None or asked.quantity is None:
            return self.order.quantity
        return max(self.order.quantity, asked.quantity)

    @property
    def remaining(self) -> Decimal:
        """Contracts that may still trade."""
        remaining = self.quantity - self.filled
        return remaining if remaining > ZERO else ZERO


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit breaker that has tripped."""

    ts_ns: int
    limit: str
    actual: str
    until_ns: int = 0
    """When it resets itself; 0: a person has to."""


class Loss(msgspec.Struct, kw_only=True):
    """What the losses of a scope are measured from: equity of the book, profit and loss of a strategy; base currency."""

    now: Decimal = ZERO
    peak: Decimal = ZERO
    day_start: Decimal = ZERO
    day_end_ns: int = 0
    flows: Decimal = ZERO
    """Deposits less withdrawals so far, of the book; they are in all of the above."""
    peak_whole: Decimal | None = None
    """What a fraction of the drawdown is a part of, where that is not `peak`: since the first flow."""
    day_whole: Decimal | None = None
    """The same of the day's loss, where that is not `day_start`."""


class RouterState(msgspec.Struct, kw_only=True):
    """The whole state of a `RouterNode`. A scope is a strategy's id, or empty for the book."""

    now_ns: int = 0
    halted: bool = False
    manual: bool = False
    """Halted by somebody else than a breaker of ours."""
    stopped: dict[str, None] = {}
    """Strategies that a person has stopped."""
    orders: dict[str, OpenOrder] = {}
    """By order id, oldest first."""
    positions: dict[str, dict[str, Decimal]] = {}
    """Signed contracts by strategy, then symbol; none is zero."""
    marks: dict[str, Mark] = {}
    equity: EquityMarked | None = None
    """Of our account, the latest."""
    broker: AccountSnapshot | None = None
    """The broker's figures for our account, the latest."""
    books: dict[str, dict[str, PositionChanged]] = {}
    """Of strategies whose losses a breaker watches, by strategy, then symbol."""
    limits: dict[str, Decimal | None] = {}
    """Set by hand, by key (`router.core.limits.key`); None: no limit."""
    decided: dict[str, None] = {}
    """Digests of the last `WINDOW` wishes and commands, oldest first."""
    executions: dict[str, Decimal] = {}
    """Signed contracts booked for the last `WINDOW` executions, oldest first."""
    replaced: dict[str, str] = {}
    """Which execution took the place of which, oldest first."""
    waiting: dict[str, Decimal] = {}
    """Signed contracts of corrections that came before what they correct, oldest first."""
    sent: dict[str, list[int]] = {}
    """When orders and changes of orders went out within the last minute, by scope."""
    refused: dict[str, list[int]] = {}
    """When brokers refused within the last minute, by scope."""
    intents: dict[str, int] = {}
    """When an order of such a kind last went out, to know a duplicate; oldest first."""
    trips: dict[str, dict[str, Trip]] = {}
    """Breakers that have tripped, by scope, then name."""
    losses: dict[str, Loss] = {}
    """By scope."""
    counters: dict[str, int] = {}
    unfit: dict[str, DataStatus] = {}
    """By symbol, what a live feed says of its prices where they may not be traded on."""
    listening_ns: int = 0
    """Since when time has been told without a pause."""
    broker_held: dict[str, Decimal] = {}
    """Contracts held when `broker` came, long and short added, by symbol: the margin of these is in its figures."""
    refused_causes: dict[str, None] = {}
    """Causes of the last refusals that were counted, oldest first."""
    equity_unknown: bool = False
    """People have been told that the account's equity is not known."""

    def position(self, strategy_id: str, symbol: str) -> Decimal:
        """What the strategy's fills add up to, signed contracts."""
        held = self.positions.get(strategy_id)
        return held.get(symbol, ZERO) if held is not None else ZERO

    def move(self, strategy_id: str, symbol: str, signed: Decimal) -> None:
        """Book `signed` contracts."""
        held = self.positions.setdefault(strategy_id, {})
        position = held.get(symbol, ZERO) + signed
        if position:
            held[symbol] = position
            return
        held.pop(symbol, None)
        if not held:
            del self.positions[strategy_id]

    def open_of(self, strategy_id: str, symbol: str) -> Iterator[OpenOrder]:
        """Open orders of one strategy in one symbol, oldest first."""
        return (o for o in self.orders.values() if o.order.symbol == symbol and o.order.strategy_id == strategy_id)

    def under_way(self, strategy_id: str, symbol: str, side: Side) -> Decimal:
        """Contracts of the strategy's open market orders of `side`: as good as filled."""
        total = ZERO
        for each in self.orders.values():
            order = each.order
            if order.order_type == "market" and (order.side, order.symbol, order.strategy_id) == (side, symbol, strategy_id):
                total += each.remaining
        return total

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counters[name] = self.counters.get(name, 0) + 1


def is_new(window: dict[str, None], key: str) -> bool:
    """Remember `key`, forget what is older than the last `WINDOW`; False where it was there already."""
    if key in window:
        return False
    remember(window, key, None)
    return True


def remember(window: dict[str, T], key: str, value: T) -> None:
    """Keep `value` for `key`; forget what is older than the last `WINDOW`, some at a time, for that is much cheaper."""
    window[key] = value
    if len(window) > WINDOW + SLACK:
        for old in list(islice(window, SLACK)):
            del window[old]
