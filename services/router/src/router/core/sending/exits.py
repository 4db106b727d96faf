"""Brackets and OCO groups for brokers that have none: exits follow what their entry fills, and lose what another of them fills.

In:   orders as they are now.   Out: exits that end or shrink unsent, wishes to change or cancel those at the broker, alerts.
Not:  state of its own: all follows from the orders, so that a sender that starts anew goes on where the last one stopped.

Of an exit only as much is at the broker as its entry has filled. Its quantity, as it is told, shrinks when the entry ends with a
part unfilled, or when another of its group fills. An exit whose part at the broker has filled while its entry is still at work
ends the entry: the price to leave at has been reached. Until the entry has ended the other exit stays, for it may fill further.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from barque.messages import ModifyOrder, OrderCancelled, SubmitOrder
from router.core.lifecycle import WORKING, OrderEvent, OrderState
from router.core.orders import cancel_of, modify_of
from router.core.sending.config import ns
from router.core.sending.desk import Desk
from router.core.sending.state import ZERO, Doubted, Finished, LiveOrder

MOST_FAILURES = 5
"""So often in a row a request may fail before a person is told. It is then given up, but for an order that closes."""


def settle(desk: Desk) -> None:
    """Bring every exit and every order of a group to where the others leave it."""
    for order_id in list(desk.state.orders):
        live = desk.state.orders.get(order_id)
        if live is None:
            continue
        if live.state is OrderState.NEW:
            _settle_unsent(desk, live)
        elif live.state in WORKING and _is_ours_to_keep(desk, live):
            _settle_working(desk, live)


def held(desk: Desk, live: LiveOrder) -> Decimal:
    """Contracts of an exit that wait for its entry to fill."""
    if live.order.parent_id is None or desk.capabilities.brackets:
        return ZERO
    parent = desk.state.orders.get(live.order.parent_id)
    return max(parent.order.quantity - parent.filled, ZERO) if parent is not None else ZERO


def wanted(desk: Desk, live: LiveOrder) -> Decimal:
    """Contracts that the broker's order is to have, what it has filled included."""
    return live.keep - held(desk, live)


def protects(desk: Desk, live: LiveOrder) -> bool:
    """True for a bracket's exit that has something to close: its entry has filled, and its twin has not closed all of that."""
    return exposed(desk, live.order, live.keep - live.filled) > 0


def may_be_needed(desk: Desk, order: SubmitOrder) -> bool:
    """An exit whose entry is at work, or has ended with a fill."""
    parent = desk.parent_of(order)
    return isinstance(parent, LiveOrder) or (parent is not None and parent.filled > 0)


def exposed(desk: Desk, order: SubmitOrder, left: Decimal) -> Decimal:
    """Of the `left` contracts of a bracket's exit, those that its entry has filled and none of its exits has closed."""
    if order.parent_id is None:
        return ZERO
    parent = desk.parent_of(order)
    if parent is None:
        return left
    own = desk.state.orders.get(order.order_id) or desk.state.finished.get(order.order_id)
    closed = desk.closed(order) + (own.filled if own is not None else ZERO)
    return min(left, parent.filled - closed)


def warn_unprotected(desk: Desk, live: LiveOrder, why: str) -> None:
    """A position has lost an exit."""
    _say_unprotected(desk, live.order, exposed(desk, live.order, live.keep - live.filled), why)


def warn_waits(desk: Desk, live: LiveOrder, why: str) -> None:
    """What closes is never given up, and somebody is told once that it waits."""
    if live.told:
        return
    live.told = True
    if protects(desk, live):
        warn_unprotected(desk, live, why)
        return
    order = live.order
    text = (
        f"{desk.config.account}: order {order.order_id} ({order.side} {order.quantity.normalize():f} {order.symbol}), which "
        f"closes, has not left: {why}. It leaves as soon as it can. Before you close by hand, `barque halt`: that withdraws it"
    )
    desk.alert("exit_waits", "critical", text)


def doubt(desk: Desk, live: LiveOrder, why: str) -> None:
    """The broker has ended an exit that has something to close. Perhaps it did so because the other has filled, which it has not
    reported yet: where the broker links orders a look at its books, a quiet period later, comes before the warning."""
    if protects(desk, live):
        _doubt(desk, live.order, live.keep - live.filled, why)


def _doubt(desk: Desk, order: SubmitOrder, left: Decimal, why: str) -> None:
    if order.oco_group is None or not desk.capabilities.oco:
        _say_unprotected(desk, order, exposed(desk, order, left), why)
        return
    desk.state.doubted[order.order_id] = Doubted(order=order, left=left, why=why, since_ns=desk.state.now_ns)
    desk.ask(desk.config.quiet_s)


def resolve_doubts(desk: Desk, asked_ns: int) -> None:
    """The books as they were at `asked_ns` have been booked: what has not been closed by then is without its exit."""
    for order_id, doubted in list(desk.state.doubted.items()):
        contracts = exposed(desk, doubted.order, doubted.left)
        if contracts > 0 and asked_ns - doubted.since_ns < ns(desk.config.quiet_s):
            continue
        del desk.state.doubted[order_id]
        if contracts > 0:
            _say_unprotected(desk, doubted.order, contracts, doubted.why)


def tell_missed(desk: Desk) -> None:
    """Of exits that had ended before: their entry has filled, or has ended too."""
    for order_id, missed in list(desk.state.missed.items()):
        if exposed(desk, missed.order, missed.left) > 0:
            _doubt(desk, missed.order, missed.left, missed.why)
        elif isinstance(desk.parent_of(missed.order), LiveOrder):
            continue
        del desk.state.missed[order_id]


def _say_unprotected(desk: Desk, order: SubmitOrder, contracts: Decimal, why: str) -> None:
    guards = order.stop_price is not None or order.trail_amount is not None
    text = (
        f"{order.symbol}: {order.order_type} order {order.order_id}, an exit of {order.parent_id}, is not at work at the broker: "
        f"{why}. "
        f"{contracts} contracts are without it; place one at the broker, or close the position"
    )
    desk.alert("position_unprotected", "critical" if guards else "warning", text)


def _room(desk: Desk, live: LiveOrder) -> Decimal:
    """What an exit may have that a broker would hold, but has not got: of that the broker cuts nothing."""
    parent = desk.parent_of(live.order)
    if parent is None or not desk.capabilities.brackets:
        return live.keep
    most = parent.filled if isinstance(parent, Finished) else max(parent.order.quantity, parent.filled)
    return most - desk.closed(live.order)


def _is_ours_to_keep(desk: Desk, live: LiveOrder) -> bool:
    can, order = desk.capabilities, live.order
    return (order.parent_id is not None and not can.brackets) or (order.oco_group is not None and not can.oco)


def _settle_unsent(desk: Desk, live: LiveOrder) -> None:
    live.keep = min(live.keep, _room(desk, live))
    if live.keep <= 0:
        desk.say(OrderCancelled, live.order, filled_quantity=ZERO, detail="its entry or another of its group left nothing of it")
        desk.move(live, OrderEvent.CANCELLED)
    elif live.keep != live.order.quantity:
        live.order = replace(live.order, quantity=live.keep)
        desk.say_modified(live)


def _settle_working(desk: Desk, live: LiveOrder) -> None:
    if live.filled >= live.at_venue:
        _settle_done(desk, live)
        return
    if live.cancel is not None or live.change is not None or live.failures >= MOST_FAILURES:
        return
    quantity = wanted(desk, live)
    if quantity <= live.filled:
        parent = desk.state.orders.get(live.order.parent_id or "")
        if parent is not None:
            end_entry(desk, parent)  # should it fill further first, this one has to be there
            return
        wish_cancel(live, desk.state.now_ns)
    elif quantity != live.at_venue:
        live.change, live.own_change = _request(live, desk.state.now_ns, quantity), True


def _settle_done(desk: Desk, live: LiveOrder) -> None:
    """The broker's order is whole, and ours is not: it waited for more of its entry."""
    parent = desk.state.orders.get(live.order.parent_id or "")
    if parent is not None:
        end_entry(desk, parent)
        return
    if live.keep > live.filled:
        warn_unprotected(desk, live, "its part at the broker had filled before its entry filled further")
    detail = "it has filled as far as its entry had"
    desk.say(OrderCancelled, live.order, filled_quantity=live.filled, detail=detail)
    desk.move(live, OrderEvent.CANCELLED)


def end_entry(desk: Desk, entry: LiveOrder) -> None:
    """No more of it is wanted: its exits have closed what it had filled, or one of them cannot be placed."""
    if entry.cancel is None and entry.state is not OrderState.NEW and entry.failures < MOST_FAILURES:
        wish_cancel(entry, desk.state.now_ns)


def wish_cancel(live: LiveOrder, now_ns: int) -> None:
    """This sender wants the order gone."""
    order = live.order
    live.cancel, live.own_cancel, live.cancel_ns = cancel_of(order, order.cause, order.root, now_ns), True, now_ns


def _request(live: LiveOrder, now_ns: int, quantity: Decimal) -> ModifyOrder:
    order = live.order
    at_venue = replace(order, quantity=live.at_venue)
    return modify_of(at_venue, replace(order, quantity=quantity), order.cause, order.root, now_ns)
