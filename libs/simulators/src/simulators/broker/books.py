"""The simulated broker's books: what it was asked, what it has executed, what the account holds.

In:   requests as they arrive, prices, corrections and trades by hand.   Out: events for the customer, the books.
Not:  the wire, faults. Nothing here depends on what the customer believes: these books are what tests compare with.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from barque.instruments import Instrument
from barque.messages import (
    CancelRejected,
    ClockTicked,
    Fill,
    Message,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    Quote,
    SubmitOrder,
)
from barque.messages.signals import Side
from barque.node import Output
from barque.venue import (
    Accepted,
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
from barque_paper import PaperConfig, PaperNode

ZERO = Decimal(0)


class BrokerBooks:
    """One account at a broker whose exchange is the paper exchange."""

    def __init__(self, config: PaperConfig, instruments: Sequence[Instrument], live: bool = False) -> None:
        self.submissions: Counter[str] = Counter()
        """How often each token arrived in a new order. More than 1: somebody sent an order twice."""
        self.orders: dict[str, SubmitOrder] = {}
        """By token, as they came in."""
        self.executions: list[VenueExecution] = []
        """All that was ever executed, corrections and busts included, oldest first."""
        self._exchange = PaperNode(config, instruments)
        self._account = config.account
        self._live = live
        self._numbers = 0
        self._by_hand = 0

    # -- requests and prices ------------------------------------------------------------------------------------------

    def submit(self, order: SubmitOrder, token: str) -> list[VenueEvent]:
        """A new order has arrived."""
        self.submissions[token] += 1
        self.orders.setdefault(token, order)
        return self._handle(replace(order, account=self._account))

    def handle(self, request: Message) -> list[VenueEvent]:
        """A request to cancel or change has arrived, or prices, or time."""
        return self._handle(request)

    def tick(self, now_ns: int) -> list[VenueEvent]:
        """Time passes: orders run out."""
        return self._handle(ClockTicked(now_ns=now_ns))

    def quote(self, symbol: str, bid: float, ask: float, size: float = 0.0) -> list[VenueEvent]:
        """The market moves; with `max_volume_fraction` an order trades no more than its part of `size`."""
        now_ns = time.time_ns()
        tick = Quote(symbol=symbol, ts_event_ns=now_ns, ts_recv_ns=now_ns, bid=bid, ask=ask, bid_size=size, ask_size=size)
        return [*self.tick(now_ns), *self._handle(tick)]

    def _handle(self, message: Message) -> list[VenueEvent]:
        return list(self._translate(self._exchange.handle(message)))

    def _translate(self, outputs: Iterable[Output]) -> Iterable[VenueEvent]:
        for _, said in outputs:
            event = self._event(said)
            if isinstance(event, Executed):
                self.executions.append(event.execution)
            if event is not None:
                yield event

    def _event(self, said: Any) -> VenueEvent | None:
        about: dict[str, Any] = {"order_id": getattr(said, "order_id", ""), "ts_event_ns": getattr(said, "ts_event_ns", 0)}
        if isinstance(said, OrderAccepted):
            return Accepted(venue_order_id=said.venue_order_id, **about)
        if isinstance(said, OrderRejected):
            return Rejected(reason=said.reason, detail=said.detail, **about)
        if isinstance(said, OrderCancelled):
            return Ended(how="cancelled", detail=said.detail, **about)
        if isinstance(said, OrderExpired):
            return Ended(how="expired", detail="its time is over", **about)
        if isinstance(said, OrderModified):
            terms: dict[str, Any] = {
                name: getattr(said, name) for name in ("quantity", "limit_price", "stop_price", "trail_amount")
            }
            return Modified(**terms, **about)
        if isinstance(said, CancelRejected | ModifyRejected):
            about["request"] = "cancel" if isinstance(said, CancelRejected) else "modify"
            return RequestRefused(reason=said.reason, detail=said.detail, **about)
        if isinstance(said, Fill):
            return Executed(execution=self._execution(said))
        return None

    def _execution(self, fill: Fill) -> VenueExecution:
        return VenueExecution(
            exec_id=self._next_exec_id(),
            order_id=fill.order_id,
            venue_order_id=f"P-{fill.order_id}",
            symbol=fill.symbol,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            ts_event_ns=fill.ts_event_ns,
            commission=fill.commission,
            commission_currency=fill.commission_currency,
        )

    def _next_exec_id(self) -> str:
        self._numbers += 1
        return f"x{self._numbers}"

    # -- what happens to a broker -------------------------------------------------------------------------------------

    def correct(self, exec_id: str, quantity: Decimal, price: Decimal) -> VenueEvent:
        """An execution is replaced; quantity 0 busts it."""
        old = next(each for each in self.executions if each.exec_id == exec_id)
        new = replace(old, exec_id=self._next_exec_id(), corrects=exec_id, quantity=quantity, price=price)
        self.executions.append(new)
        return Executed(execution=new)

    def trade_by_hand(self, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> VenueEvent:
        """Somebody trades on the account by other means."""
        self._by_hand += 1
        execution = VenueExecution(
            exec_id=self._next_exec_id(),
            order_id="",
            venue_order_id=f"hand-{self._by_hand}",
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            ts_event_ns=time.time_ns(),
            commission=ZERO,
            commission_currency="USD",
        )
        self.executions.append(execution)
        return Executed(execution=execution)

    # -- the books ----------------------------------------------------------------------------------------------------

    def standing(self) -> list[VenueExecution]:
        """Executions that count: not replaced, not busted."""
        replaced = {each.corrects for each in self.executions if each.corrects}
        return [each for each in self.executions if each.exec_id not in replaced and each.quantity]

    def open_orders(self) -> list[VenueOrder]:
        """Orders that may trade."""
        return self._exchange.open_orders()

    def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        """Executions from `ts_ns` on, oldest first."""
        return [each for each in self.executions if each.ts_event_ns >= ts_ns]

    def positions(self) -> list[VenuePosition]:
        """What the account holds, by what was executed."""
        held: dict[str, Decimal] = {}
        prices: dict[str, Decimal] = {}
        for each in self.standing():
            held[each.symbol] = held.get(each.symbol, ZERO) + (each.quantity if each.side == "buy" else -each.quantity)
            prices[each.symbol] = each.price
        return [
            VenuePosition(symbol=symbol, quantity=quantity, average_price=prices[symbol])
            for symbol, quantity in sorted(held.items())
            if quantity
        ]

    def account(self) -> VenueAccount:
        """Money of the account."""
        return replace(self._exchange.account(), live=self._live)
