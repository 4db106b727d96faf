"""What changed at the terminal since the last look, as events: the platform has no push, so it is looked at again and again.

In:   open orders, then positions (in this order), each time as a whole; what became of orders that are gone.   Out: events.
Not:  executions: they come from deals, and are told before what is told here.

An order that waits and a position belong together by their ticket, so an exit goes on from one to the other unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from barque.messages import RejectReason, SubmitOrder
from barque.venue import Ended, Modified, Rejected, VenueEvent
from venues.mt5.reports import Leg, Names, legs_of, open_order
from venues.mt5.structs import Order, Position
from venues.mt5.tokens import Tokens

CANCELED, PARTIAL, FILLED, REJECTED, EXPIRED = 2, 3, 4, 5, 6
"""States of orders."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order of ours has at the broker."""

    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None


class Watch:
    """The last look."""

    def __init__(self, tokens: Tokens, names: Names) -> None:
        self._tokens = tokens
        self._names = names
        self.comments: dict[int, str] = {}
        """Of orders of ours by ticket: brokers may write others into positions and deals."""
        self._orders: dict[int, tuple[str, Terms]] = {}
        self._legs: dict[str, Leg] = {}

    def gone(self, orders: Sequence[Order]) -> list[int]:
        """Tickets of ours that waited at the last look and do not wait now; their history is needed for `look`."""
        there = {order.ticket for order in orders}
        return [ticket for ticket in self._orders if ticket not in there]

    def remember(self, ticket: int, comment: str) -> None:
        """An order of ours has this ticket."""
        self.comments.pop(ticket, None)
        self.comments[ticket] = comment
        if len(self.comments) > 4_096:
            del self.comments[next(iter(self.comments))]

    def expect(self, ticket: int, orders: Sequence[SubmitOrder]) -> None:
        """An order and its exits have just been placed: what ends before the first look at them is noticed by that look."""
        order, *exits = orders
        if order.order_type != "market":
            self.follow(ticket, order)
        for each in exits:
            is_limit = each.order_type == "limit"
            price = each.limit_price if is_limit else each.stop_price
            if price is not None:
                self._legs[each.order_id] = Leg(
                    order_id=each.order_id,
                    kind=each.order_type,
                    venue_order_id=f"{ticket}/{'tp' if is_limit else 'sl'}",
                    symbol=each.symbol,
                    side=each.side,
                    quantity=each.quantity,
                    price=price,
                )

    def follow(self, ticket: int, order: SubmitOrder) -> None:
        """What becomes of this ticket is not known yet; looks find its end."""
        if ticket:
            terms = Terms(quantity=order.quantity, limit_price=order.limit_price, stop_price=order.stop_price)
            self._orders[ticket] = (order.order_id, terms)

    def replace(self, ticket: int, by: int) -> None:
        """An order of ours was taken away and placed anew: the first one's end is no news."""
        before = self._orders.pop(ticket, None)
        if before is not None:
            self._orders[by] = before

    def legs(self, orders: Sequence[Order], positions: Sequence[Position]) -> list[Leg]:
        """Our exits that the broker holds; of an entry that has filled in part, those of its position."""
        found: dict[str, Leg] = {}
        entries: list[Order | Position] = [*orders, *positions]
        for entry in entries:
            for leg in legs_of(entry, self._tokens, self._names, self.comments.get(entry.ticket, "")):
                found[leg.order_id] = leg
        return list(found.values())

    def look(
        self, orders: Sequence[Order], positions: Sequence[Position], ended: Mapping[int, Order], now_ns: int
    ) -> list[VenueEvent]:
        """Follow a look. `ended`: orders of the history, by ticket; of one that is in neither, the next look may know more."""
        events: list[VenueEvent] = []
        waiting: dict[int, tuple[str, Terms]] = {}
        for order in orders:
            known = self._tokens.read(order.comment)
            if known is None:
                continue
            self.remember(order.ticket, order.comment)
            shown = open_order(order, known, self._names)
            terms = Terms(quantity=shown.quantity, limit_price=shown.limit_price, stop_price=shown.stop_price)
            before = self._orders.get(order.ticket)
            if before is not None and before[1] != terms:
                events.append(_modified(known.order_id, terms, now_ns))
            waiting[order.ticket] = (known.order_id, terms)
        replaced = {order_id for order_id, _ in waiting.values()}
        for ticket, (order_id, terms) in self._orders.items():
            if ticket in waiting:
                continue
            if ticket not in ended:
                waiting[ticket] = (order_id, terms)
            elif order_id not in replaced:
                events += _end_of(ended[ticket], order_id, now_ns)
        self._orders = waiting
        for position in positions:
            if self._tokens.read(position.comment) is not None:
                self.remember(position.ticket, position.comment)
            elif position.ticket in self.comments:  # the broker wrote its own over it
                self.remember(position.ticket, self.comments[position.ticket])
        return events + self._follow_legs(self.legs(orders, positions), now_ns)

    def _follow_legs(self, legs: Sequence[Leg], now_ns: int) -> list[VenueEvent]:
        events: list[VenueEvent] = []
        now = {leg.order_id: leg for leg in legs}
        for order_id, leg in now.items():
            before = self._legs.get(order_id)
            if before is not None and (before.price, before.quantity) != (leg.price, leg.quantity):
                events.append(_modified(order_id, _terms_of(leg), now_ns))
        for order_id in self._legs:
            if order_id not in now:
                detail = "its position is closed, or it was taken away"
                events.append(Ended(order_id=order_id, how="cancelled", detail=detail, ts_event_ns=now_ns))
        self._legs = now
        return events


def _terms_of(leg: Leg) -> Terms:
    is_limit = leg.kind == "limit"
    return Terms(quantity=leg.quantity, limit_price=leg.price if is_limit else None, stop_price=None if is_limit else leg.price)


def _modified(order_id: str, terms: Terms, now_ns: int) -> Modified:
    return Modified(
        order_id=order_id,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        trail_amount=None,
        ts_event_ns=now_ns,
    )


def _end_of(order: Order, order_id: str, now_ns: int) -> list[VenueEvent]:
    if order.state == FILLED:
        return []  # its deals have told
    if order.state == EXPIRED:
        return [Ended(order_id=order_id, how="expired", detail="its time at the broker was over", ts_event_ns=now_ns)]
    if order.state == REJECTED:
        detail = "the broker rejected the order when it was triggered"
        return [Rejected(order_id=order_id, reason=RejectReason.VENUE, detail=detail, ts_event_ns=now_ns)]
    return [Ended(order_id=order_id, how="cancelled", detail="withdrawn at the broker", ts_event_ns=now_ns)]
