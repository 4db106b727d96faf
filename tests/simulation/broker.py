"""A broker with books of its own: the truth that all our books have to come to.

In:   effects of a sender; what the market and the broker's own people do.   Out: events on a wire that may lose them; books.
Not:  code under test: orders, executions, positions and cash are counted here by themselves.

Two kinds: one holds brackets and OCO groups by itself, the other knows single orders only (`native`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from barque.instruments import Instrument
from barque.messages import RejectReason, SubmitOrder
from barque.venue import (
    Accepted,
    Capabilities,
    Ended,
    Executed,
    Modified,
    Rejected,
    RequestRefused,
    VenueAccount,
    VenueEvent,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from router.core.sending.effects import AskBooks, Change, Effect, Send, Withdraw
from router.core.sending.events import Books, LedgerFigures

ZERO = Decimal(0)
OPENING_CASH = {"JPY": ZERO, "USD": Decimal(1_000_000)}
TERMS = ("quantity", "limit_price", "stop_price", "trail_amount")


@dataclass
class BookedOrder:
    """An order in the broker's book."""

    order: SubmitOrder
    number: int
    submissions: int = 1
    filled: Decimal = ZERO
    open: bool = True
    released: Decimal | None = None
    """Of an exit that waits for its entry: what that has filled; None: it waits for nothing."""

    @property
    def room(self) -> Decimal:
        """Contracts that may trade now."""
        left = self.order.quantity - self.filled
        return left if self.released is None else min(left, self.released - self.filled)


@dataclass
class Broker:
    """One account."""

    instruments: dict[str, Instrument]
    native: bool
    """It holds brackets and OCO groups."""
    dedupe: bool
    """It refuses a token that it has ever seen."""
    now_ns: int = 0
    prices: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, BookedOrder] = field(default_factory=dict)
    executions: list[VenueExecution] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    fees: dict[str, Decimal] = field(default_factory=dict)
    """Commissions by execution, also those that nobody has been told yet."""
    numbers: list[int] = field(default_factory=list)
    session: bool = False
    refuses_all: bool = False
    wire: list[VenueEvent] = field(default_factory=list)
    """Events under way to whoever holds the session."""
    spoken: list[VenueEvent] = field(default_factory=list)
    """All that were ever said."""
    externals: dict[str, VenueOrder] = field(default_factory=dict)
    """Open orders of others."""
    moved: dict[str, Decimal] = field(default_factory=dict)
    """Contracts that came or went without an execution."""
    money: dict[str, Decimal] = field(default_factory=dict)
    """Paid in or out."""

    def capabilities(self) -> Capabilities:
        """What it can do by itself."""
        return Capabilities(
            order_types=("market", "limit", "stop", "stop_limit", "trailing_stop"),
            times_in_force=("day", "gtc", "ioc", "fok", "gtd"),
            modify=True,
            brackets=self.native,
            oco=self.native,
            dedupe="forever" if self.dedupe else "none",
        )

    # -- requests ------------------------------------------------------------------------------------------------------------

    def receive(self, effect: Effect, refuses: bool = False) -> None:
        """A request has come. `refuses`: the broker says no, for reasons of its own."""
        refuses = refuses or self.refuses_all
        if isinstance(effect, Send):
            for order, number in effect.orders:
                self._submit(order, number, refuses)
        elif isinstance(effect, Withdraw):
            self._cancel(effect.request.order_id, refuses)
        elif isinstance(effect, Change):
            self._change(effect, refuses)

    def _submit(self, order: SubmitOrder, number: int, refuses: bool) -> None:
        known = self.orders.get(order.order_id)
        if known is not None:
            if self.dedupe:
                self._say(Rejected, order.order_id, reason=RejectReason.DUPLICATE, detail="known")
            else:
                known.submissions += 1
            return
        self.numbers.append(number)
        booked = self.orders[order.order_id] = BookedOrder(order, number)
        parent = self.orders.get(order.parent_id or "")
        orphaned = order.parent_id is not None and (parent is None or (not parent.open and not parent.filled))
        if refuses or orphaned:
            booked.open = False
            self._say(Rejected, order.order_id, reason=RejectReason.VENUE, detail="not today")
            return
        if parent is not None:
            booked.released = parent.filled if parent.open else None
        self._say(Accepted, order.order_id, venue_order_id=f"v-{order.order_id}")

    def _cancel(self, order_id: str, refuses: bool) -> None:
        booked = self.orders.get(order_id)
        if booked is None or not booked.open or refuses:
            self._refuse(order_id, "cancel")
        else:
            self.end(order_id)

    def _change(self, effect: Change, refuses: bool) -> None:
        order_id, request = effect.request.order_id, effect.request
        booked = self.orders.get(order_id)
        if refuses or booked is None or not booked.open or (request.quantity is not None and request.quantity <= booked.filled):
            self._refuse(order_id, "modify")
        else:
            self.amend(order_id, **{name: value for name in TERMS if (value := getattr(request, name)) is not None})

    def _refuse(self, order_id: str, request: str) -> None:
        reason = RejectReason.ORDER_STATE if order_id in self.orders else RejectReason.UNKNOWN_ORDER
        self._say(RequestRefused, order_id, request=request, reason=reason, detail="no")

    # -- what happens to orders ----------------------------------------------------------------------------------------------

    def at_work(self) -> list[str]:
        """Orders that may trade now, oldest first."""
        return [order_id for order_id, booked in self.orders.items() if booked.open and booked.room > 0]

    def open_ids(self) -> list[str]:
        """Open orders, oldest first."""
        return [order_id for order_id, booked in self.orders.items() if booked.open]

    def trade(self, order_id: str, quantity: Decimal, priced: bool = True) -> None:
        """So much of an order trades, or what is left of it. `priced`: its commission is told at once."""
        booked = self.orders[order_id]
        order, quantity = booked.order, min(quantity, booked.room)
        booked.filled += quantity
        booked.open = booked.filled < order.quantity
        self._execute(order_id, order.symbol, order.side, quantity, self.prices[order.symbol], priced)
        for child in self._children(order_id):
            if child.released is not None:
                child.released = None if not booked.open else child.released + quantity
        if self.native and order.oco_group is not None:
            for other in list(self.orders.values()):
                if other is not booked and other.open and other.order.oco_group == order.oco_group:
                    if other.released is not None:
                        other.released -= quantity
                    self._lose(other, quantity)

    def end(self, order_id: str, how: str = "cancelled") -> None:
        """The rest of an order is withdrawn, or its time is over."""
        booked = self.orders[order_id]
        booked.open = False
        missing = booked.order.quantity - booked.filled
        self._say(Ended, order_id, how=how, detail="")
        for child in self._children(order_id):
            child.released = None
            self._lose(child, missing)

    def amend(self, order_id: str, **terms: Decimal) -> None:
        """An order has other terms."""
        booked = self.orders[order_id]
        booked.order = replace(booked.order, **terms)
        self._say(Modified, order_id, **{name: getattr(booked.order, name) for name in TERMS})

    def by_hand(self, symbol: str, side: Any, quantity: Decimal) -> None:
        """Somebody trades in our account with the broker's own program."""
        self._execute("", symbol, side, quantity, self.prices[symbol], priced=True)

    def price_late(self, execution: VenueExecution) -> None:
        """The commission of an execution becomes known."""
        at = self.executions.index(execution)
        self.executions[at] = replace(execution, commission=self.fees[execution.exec_id])
        self._speak(Executed(execution=self.executions[at]))

    def correct(self, execution: VenueExecution, quantity: Decimal, price: Decimal) -> None:
        """An execution is replaced by another; of `quantity` 0 it is busted. The order lives on as it was."""
        self.replaced.add(execution.exec_id)
        booked = self.orders.get(execution.order_id)
        if booked is not None:
            booked.filled += quantity - execution.quantity
        about = (execution.order_id, execution.symbol, execution.side)
        self._execute(*about, quantity, price, priced=True, corrects=execution.exec_id)

    def standing(self) -> list[VenueExecution]:
        """Executions that nothing has replaced."""
        return [each for each in self.executions if each.exec_id not in self.replaced]

    def _execute(
        self, order_id: str, symbol: str, side: Any, quantity: Decimal, price: Decimal, priced: bool, corrects: str = ""
    ) -> None:
        exec_id = f"x{len(self.executions) + 1}"
        self.fees[exec_id] = quantity * 2
        execution = VenueExecution(
            exec_id=exec_id,
            order_id=order_id,
            venue_order_id=f"v-{order_id}",
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            ts_event_ns=self.now_ns,
            commission=self.fees[exec_id] if priced else None,
            commission_currency="USD",
            corrects=corrects,
        )
        self.executions.append(execution)
        self._speak(Executed(execution=execution))

    def _lose(self, booked: BookedOrder, quantity: Decimal) -> None:
        """A part of an exit is not needed any more."""
        left = booked.order.quantity - quantity
        if not booked.open or not quantity:
            return
        if left <= booked.filled:
            booked.open = False
            self._say(Ended, booked.order.order_id, how="cancelled", detail="another has traded")
        else:
            self.amend(booked.order.order_id, quantity=left)

    def _children(self, order_id: str) -> Iterator[BookedOrder]:
        return (booked for booked in list(self.orders.values()) if booked.order.parent_id == order_id)

    # -- saying --------------------------------------------------------------------------------------------------------------

    def _say(self, kind: type[Any], order_id: str, **fields: Any) -> None:
        self._speak(kind(order_id=order_id, ts_event_ns=self.now_ns, **fields))

    def _speak(self, event: VenueEvent) -> None:
        self.spoken.append(event)
        if self.session:
            self.wire.append(event)

    # -- books ---------------------------------------------------------------------------------------------------------------

    def positions(self) -> dict[str, Decimal]:
        """Signed contracts by symbol, none of them zero."""
        held = dict(self.moved)
        for each in self.standing():
            held[each.symbol] = held.get(each.symbol, ZERO) + (each.quantity if each.side == "buy" else -each.quantity)
        return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity}

    def cash(self, with_fees_to_come: bool = True) -> dict[str, Decimal]:
        """What was paid for all that was bought, received for all that was sold, and paid in fees."""
        cash = {currency: amount + self.money.get(currency, ZERO) for currency, amount in OPENING_CASH.items()}
        for each in self.standing():
            instrument = self.instruments[each.symbol]
            value = each.quantity * instrument.multiplier * each.price
            cash[instrument.currency] += -value if each.side == "buy" else value
            if with_fees_to_come or each.commission is not None:
                cash["USD"] -= self.fees[each.exec_id]
        return cash

    def books(self, ask: AskBooks, ledger: LedgerFigures | None, hidden: str = "") -> Books:
        """The answer to a question; the order `hidden` is not shown."""
        shown = [self._show(self.orders[order_id]) for order_id in self.open_ids() if order_id != hidden]
        cash = self.cash(with_fees_to_come=False)
        return Books(
            number=ask.number,
            open_orders=(*shown, *self.externals.values()),
            executions=tuple(each for each in self.executions if each.ts_event_ns >= ask.since_ns),
            positions=tuple(
                VenuePosition(symbol=symbol, quantity=quantity, average_price=self.prices[symbol])
                for symbol, quantity in self.positions().items()
            ),
            account=VenueAccount(
                account="paper", live=False, currency="USD", cash=cash, equity=cash["USD"], buying_power=Decimal(10) ** 9
            ),
            ledger=ledger,
        )

    def _show(self, booked: BookedOrder) -> VenueOrder:
        order = booked.order
        return VenueOrder(
            order_id=order.order_id,
            venue_order_id=f"v-{order.order_id}",
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            filled=booked.filled,
            order_type=order.order_type,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
        )
