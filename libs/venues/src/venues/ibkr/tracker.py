"""The state of our orders at the wire, by what the Gateway itself says: what of it is news, as events of a venue.

In:   orders written to the wire; echoes, statuses, executions, commissions, errors, in any order.   Out: `VenueEvent`s.
Not:  ib_async's own idea of an order, which is dead for a note about a preset and alive for ever where validation refused it.

An order is known by its reference, else by (client id, order id), else by the permanent id. A restart begins empty: what is open
comes back with its reference in the first echoes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any, Literal, TypeVar

import msgspec

from barque.messages import RejectReason, SubmitOrder
from barque.venue import Accepted, Ended, Executed, Modified, Noted, Rejected, RequestRefused, VenueEvent, VenueExecution
from venues.ibkr.codes import Reaction, explain, reaction_of
from venues.ibkr.orders import NS, Terms, compared
from venues.ibkr.reports import AT_WORK, GONE, ZERO, Completed, Seen, reject_reason, venue_order_id

K = TypeVar("K")
V = TypeVar("V")
ORDERS_WINDOW = 10_000
EXECUTIONS_WINDOW = 50_000
SLACK = 1_000
HELD = (399, 404)
"""Notes about an order that say that it waits: for its market, for shares to sell short."""


class AtWire(msgspec.Struct, kw_only=True):
    """One order of ours."""

    order_id: str
    wire_id: int
    order_type: str
    told: Terms
    """The terms that our side has been told."""
    perm_id: int = 0
    parent_wire_id: int = 0
    held: bool = False
    """The broker is known to have it."""
    inactive: bool = False
    """The broker holds it without working it."""
    done: bool = False
    refused: bool = False
    """It is done because a code said that it was refused."""
    asked: Terms | None = None
    """Of a change under way."""
    cancelling: bool = False
    expires_ns: int | None = None
    unit: Decimal = Decimal(1)


class Tracker:
    """Our orders and the account's executions. `on_missing` is called where a status speaks of fills that nobody has reported."""

    def __init__(self, client_id: int, emit: Callable[[VenueEvent], None], on_missing: Callable[[], None]) -> None:
        self._client_id = client_id
        self._emit = emit
        self._on_missing = on_missing
        self._orders: dict[str, AtWire] = {}
        self._by_wire: dict[int, str] = {}
        self._by_perm: dict[int, str] = {}
        self._executions: dict[str, VenueExecution] = {}
        self._fills: dict[str, dict[str, Decimal]] = {}
        """By order: contracts of each execution that has not been replaced."""
        self._replaced: dict[str, None] = {}
        self._commissions: dict[str, tuple[Decimal, str]] = {}
        self._completed: dict[str, None] = {}
        """Orders whose end was told from the list of those that had ended."""

    # -- what we do ----------------------------------------------------------------------------------------------------

    def sent(
        self, order: SubmitOrder, told: Terms, wire_id: int, parent_wire_id: int, unit: Decimal, day_ends_ns: int | None = None
    ) -> None:
        """It is being written to the wire. `told`: the terms as our side has them, before any rounding. `day_ends_ns`: when the
        broker ends an order of the day."""
        at_wire = AtWire(
            order_id=order.order_id,
            wire_id=wire_id,
            order_type=order.order_type,
            told=told,
            parent_wire_id=parent_wire_id,
            expires_ns={"gtd": order.valid_until_ns, "day": day_ends_ns}.get(order.time_in_force),
            unit=unit,
        )
        _remember(self._orders, order.order_id, at_wire, ORDERS_WINDOW)
        _remember(self._by_wire, wire_id, order.order_id, ORDERS_WINDOW)

    def find(self, order_id: str) -> AtWire | None:
        """The order, where this process knows where it is."""
        return self._orders.get(order_id)

    def filled(self, order_id: str) -> Decimal:
        """Contracts that known executions of the order come to."""
        return sum(self._fills.get(order_id, {}).values(), ZERO)

    def executions(self, since_ns: int) -> list[VenueExecution]:
        """All that are known from the second of `since_ns` on, oldest first: the Gateway tells times in seconds."""
        from_ns = since_ns - since_ns % NS
        found = [each for each in self._executions.values() if each.ts_event_ns >= from_ns]
        return sorted(found, key=lambda each: (each.ts_event_ns, each.exec_id))

    # -- what the Gateway says -----------------------------------------------------------------------------------------

    def order_of(self, token_order_id: str, client_id: int, wire_id: int, perm_id: int) -> str:
        """Our id of an order that the Gateway names; empty: not ours."""
        if token_order_id:
            return token_order_id
        if client_id == self._client_id and wire_id in self._by_wire:
            return self._by_wire[wire_id]
        return self._by_perm.get(perm_id, "") if perm_id else ""

    def on_order(self, seen: Seen, now_ns: int) -> None:
        """An echo of an order."""
        order_id = self.order_of(seen.order_id, seen.client_id, seen.wire_id, seen.perm_id)
        if not order_id or seen.client_id != self._client_id:
            return
        order = self._orders.get(order_id) or self._adopt(order_id, seen)
        order.parent_wire_id = seen.parent_wire_id or order.parent_wire_id
        self._follow(order, seen.status, seen.perm_id, now_ns, "")
        if order.held and not order.done:
            self._compare(order, compared(seen.terms, order.order_type), now_ns)

    def on_status(self, client_id: int, wire_id: int, perm_id: int, status: str, filled: Decimal, now_ns: int, why: str) -> None:
        """A status. `filled`: in units of theirs."""
        order = self._orders.get(self.order_of("", client_id, wire_id, perm_id))
        if order is None:
            return
        self._follow(order, status, perm_id, now_ns, why)
        if filled / order.unit > self.filled(order.order_id):
            self._on_missing()

    def on_execution(self, execution: VenueExecution) -> bool:
        """An execution, live or replayed; said once, and once more when its commission is known. False: it was known."""
        if execution.exec_id in self._executions:
            return False
        known = self._commissions.get(execution.exec_id)
        if known is not None:
            execution = msgspec.structs.replace(execution, commission=known[0], commission_currency=known[1])
        _remember(self._executions, execution.exec_id, execution, EXECUTIONS_WINDOW)
        self._count(execution)
        order = self._orders.get(execution.order_id)
        if order is not None:
            order.held = True
        self._emit(Executed(execution=execution))
        return True

    def on_commission(self, exec_id: str, commission: Decimal | None, currency: str) -> None:
        """What an execution cost; it may come before the execution, or long after."""
        if commission is None:
            return
        _remember(self._commissions, exec_id, (commission, currency), EXECUTIONS_WINDOW)
        execution = self._executions.get(exec_id)
        if execution is None or execution.commission is not None:
            return
        execution = msgspec.structs.replace(execution, commission=commission, commission_currency=currency)
        self._executions[exec_id] = execution
        self._emit(Executed(execution=execution))

    def on_error(self, wire_id: int, code: int, text: str, now_ns: int) -> None:
        """An error or a note about one of our orders."""
        order = self._orders.get(self._by_wire.get(wire_id, ""))
        if order is None:
            return
        reaction, detail = reaction_of(code, text), explain(code, text)
        if reaction in (Reaction.REJECT, Reaction.UNKNOWN_CONTRACT, Reaction.READ_ONLY):
            self._on_refusal(order, code, text, now_ns)
        elif code in HELD:
            self._emit(Noted(order_id=order.order_id, detail=detail, ts_event_ns=now_ns))
        elif reaction is Reaction.CANCELLED:
            self._end(order, detail, now_ns, said=text.partition("reason:")[2].strip())
        elif reaction is Reaction.CHANGE_REFUSED:
            self._refuse_change(order, RejectReason.ORDER_STATE, detail, now_ns)
        elif reaction is Reaction.CANCEL_REFUSED:
            self._refuse_cancel(order, RejectReason.ORDER_STATE, detail, now_ns)
            self._on_missing()  # often it has just filled
        elif reaction in (Reaction.NOT_FOUND, Reaction.DUPLICATE_ID):
            if order.cancelling:
                self._refuse_cancel(order, RejectReason.UNKNOWN_ORDER, detail, now_ns)
            else:
                self._refuse_change(order, RejectReason.UNKNOWN_ORDER, detail, now_ns)

    def _count(self, execution: VenueExecution) -> None:
        if not execution.order_id:
            return
        fills = self._fills.get(execution.order_id)
        if fills is None:
            fills = {}
            _remember(self._fills, execution.order_id, fills, ORDERS_WINDOW)
        fills.pop(execution.corrects, None)
        if execution.exec_id not in self._replaced:
            fills[execution.exec_id] = execution.quantity
        if execution.corrects:
            _remember(self._replaced, execution.corrects, None, EXECUTIONS_WINDOW)

    def open_ids(self) -> set[str]:
        """Orders of ours that have not ended, as far as is known."""
        return {order_id for order_id, order in self._orders.items() if not order.done}

    def on_completed(self, completed: Completed, now_ns: int) -> None:
        """An order that had ended when the Gateway was asked; said once, and only where its executions are known."""
        order_id = self.order_of(completed.order_id, 0, 0, completed.perm_id)
        order = self._orders.get(order_id)
        if not order_id or order_id in self._completed or (order is not None and order.done):
            return
        if completed.filled > self.filled(order_id):
            self._on_missing()
            return
        if completed.status == "Filled":
            return  # its executions have said so
        _remember(self._completed, order_id, None, ORDERS_WINDOW)
        if order is not None:
            order.done, order.refused, order.asked, order.cancelling = True, completed.how == "rejected", None, False
        about: dict[str, Any] = {"order_id": order_id, "detail": completed.text, "ts_event_ns": now_ns}
        if completed.how == "rejected":
            self._emit(Rejected(reason=reject_reason(201, completed.text), **about))
        else:
            self._emit(Ended(how=completed.how, **about))

    # -- following -----------------------------------------------------------------------------------------------------

    def _adopt(self, order_id: str, seen: Seen) -> AtWire:
        """An order of an earlier process: what it shows is what our side believes, or its books will say."""
        order = AtWire(
            order_id=order_id,
            wire_id=seen.wire_id,
            order_type=seen.order_type,
            told=compared(seen.terms, seen.order_type),
            parent_wire_id=seen.parent_wire_id,
            unit=seen.unit,
            expires_ns=seen.expires_ns,
        )
        _remember(self._orders, order_id, order, ORDERS_WINDOW)
        _remember(self._by_wire, seen.wire_id, order_id, ORDERS_WINDOW)
        return order

    def _follow(self, order: AtWire, status: str, perm_id: int, now_ns: int, why: str) -> None:
        if perm_id and not order.perm_id:
            order.perm_id = perm_id
            _remember(self._by_perm, perm_id, order.order_id, ORDERS_WINDOW)
        if order.refused and status in AT_WORK and status != "Inactive":
            order.done = order.refused = order.held = False  # we took a note for a refusal
        if order.done:
            return
        if status in AT_WORK:
            self._hold(order, now_ns)
            self._note_inactive(order, status == "Inactive", now_ns)
        elif status in GONE:
            self._end(order, why, now_ns)

    def _hold(self, order: AtWire, now_ns: int) -> None:
        if not order.held:
            order.held = True
            number = venue_order_id(order.perm_id, order.wire_id)
            self._emit(Accepted(order_id=order.order_id, venue_order_id=number, ts_event_ns=now_ns))

    def _note_inactive(self, order: AtWire, inactive: bool, now_ns: int) -> None:
        if inactive and not order.inactive:
            detail = "Inactive: the broker holds the order without working it; nothing of it fills until it is at work again"
            self._emit(Noted(order_id=order.order_id, detail=detail, ts_event_ns=now_ns, works=False))
        order.inactive = inactive

    def _compare(self, order: AtWire, terms: Terms, now_ns: int) -> None:
        """News where the terms are others than our side has been told, or are those that it has asked for."""
        if order.asked is not None and terms != compared(order.asked, order.order_type):
            return  # an echo from before the change
        if order.asked is None and terms == compared(order.told, order.order_type):
            return
        order.asked, order.told = None, terms
        self._emit(
            Modified(
                order_id=order.order_id,
                quantity=terms.quantity,
                limit_price=terms.limit_price,
                stop_price=terms.stop_price,
                trail_amount=terms.trail_amount,
                ts_event_ns=now_ns,
            )
        )

    def _end(self, order: AtWire, detail: str, now_ns: int, said: str = "") -> None:
        """The broker's word for both is `Cancelled`: it is out of time where its time is over, nobody asked, and no reason is
        `said`."""
        if order.done:
            return
        over = order.expires_ns is not None and now_ns >= order.expires_ns - NS
        expired = over and not order.cancelling and not said
        order.done, order.asked, order.cancelling = True, None, False
        how: Literal["cancelled", "expired"] = "expired" if expired else "cancelled"
        self._emit(Ended(order_id=order.order_id, how=how, detail=detail, ts_event_ns=now_ns))

    def _on_refusal(self, order: AtWire, code: int, text: str, now_ns: int) -> None:
        """Of a new order, of a change, of a cancel; or, where nothing was asked, words about an order that lives on. An order
        that the broker had taken is ended by 201 alone."""
        reason, detail = reject_reason(code, text), explain(code, text)
        if order.asked is not None:
            self._refuse_change(order, reason, detail, now_ns)
        elif order.cancelling:
            self._refuse_cancel(order, reason, detail, now_ns)
        elif not order.done and (not order.held or code == 201):
            order.done = order.refused = True
            self._emit(Rejected(order_id=order.order_id, reason=reason, detail=detail, ts_event_ns=now_ns))

    def _refuse_change(self, order: AtWire, reason: RejectReason, detail: str, now_ns: int) -> None:
        if order.asked is not None:
            order.asked = None
            self._refuse(order, "modify", reason, detail, now_ns)

    def _refuse_cancel(self, order: AtWire, reason: RejectReason, detail: str, now_ns: int) -> None:
        if order.cancelling:
            order.cancelling = False
            self._refuse(order, "cancel", reason, detail, now_ns)

    def _refuse(
        self, order: AtWire, request: Literal["cancel", "modify"], reason: RejectReason, detail: str, now_ns: int
    ) -> None:
        event = RequestRefused(order_id=order.order_id, request=request, reason=reason, detail=detail, ts_event_ns=now_ns)
        self._emit(event)


def _remember(window: dict[K, V], key: K, value: V, size: int) -> None:
    window[key] = value
    if len(window) > size + SLACK:
        for old in list(islice(window, SLACK)):
            del window[old]
