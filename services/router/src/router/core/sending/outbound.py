"""What leaves, and in what order: cancels, changes, orders that close, orders that open; never faster than the broker bears.

In:   orders and wishes that wait, the time.   Out: effects; refusals of what may not leave any more.
Not:  the wire. An order becomes SENDING here, and its token's number is given here, before anything leaves.
"""

from __future__ import annotations

from msgspec.structs import replace

from barque.messages import OrderExpired, RejectReason, SubmitOrder
from router.core.lifecycle import WORKING, OrderEvent, OrderState
from router.core.sending import exits, requests, session
from router.core.sending.config import NS, ns
from router.core.sending.desk import Desk
from router.core.sending.effects import Change, Send, Withdraw
from router.core.sending.state import ZERO, LiveOrder

_CANCELLABLE = (*WORKING, OrderState.PENDING_MODIFY)


def release(desk: Desk) -> None:
    """Turn what waits into effects, as far as it may leave now."""
    _drop(desk)
    exits.settle(desk)
    exits.tell_missed(desk)
    _again(desk, desk.state.connected and not desk.state.disabled)
    if desk.state.connected:
        _cancels(desk)
        _changes(desk)
        if desk.state.ready and not desk.state.halted and not desk.state.disabled:
            _orders(desk)
    desk.pose()


def watch(desk: Desk) -> None:
    """The time: what has not been answered is UNKNOWN, or the books are asked what came of it."""
    state, config = desk.state, desk.config
    exits.resolve_doubts(desk, state.now_ns - ns(config.unknown_alert_s))  # whether there are books or not
    for live in list(state.orders.values()):
        age = state.now_ns - live.since_ns
        if live.state is OrderState.SENDING and age >= ns(config.ack_timeout_s):
            desk.lose(live, f"the broker has not answered for {config.ack_timeout_s:g} s; its books are asked")
        elif live.state in (OrderState.PENDING_CANCEL, OrderState.PENDING_MODIFY) and age >= ns(config.ack_timeout_s):
            desk.ask(config.quiet_s)
        elif live.state is OrderState.UNKNOWN:
            _warn_unknown(desk, live)
        if live.cancel is not None and live.state is not OrderState.UNKNOWN:
            _warn_uncancelled(desk, live)


def lose_under_way(desk: Desk, detail: str) -> None:
    """The session is gone: whatever was being sent has an unknown outcome."""
    for live in list(desk.state.orders.values()):
        live.absent_ns = 0
        if live.state is OrderState.SENDING:
            desk.lose(live, detail)


def resend(desk: Desk, live: LiveOrder) -> bool:
    """Have an order sent again that the broker's books do not have, where the broker itself refuses a token that it has seen."""
    if desk.capabilities.dedupe != "forever" or live.resent or not _may_leave_again(desk, live):
        return False
    live.resent, live.again, live.absent_ns, live.since_ns = True, True, 0, desk.state.now_ns
    return True


def _may_leave_again(desk: Desk, live: LiveOrder) -> bool:
    until = live.order.valid_until_ns
    in_time = until is None or until > desk.state.now_ns
    return in_time and live.state is OrderState.UNKNOWN and live.cancel is None and desk.stop(live.order) is None


def _again(desk: Desk, connected: bool) -> None:
    """What is to be sent again leaves now or never: what came after the books in this transaction may speak against it."""
    for live in desk.state.orders.values():
        if live.again:
            live.again = False
            if connected and _may_leave_again(desk, live):
                desk.effects.append(Send(orders=(_at_wire(desk, live),)))


def _warn_unknown(desk: Desk, live: LiveOrder) -> None:
    age = desk.state.now_ns - live.unknown_ns
    if live.alerted or age < ns(desk.config.unknown_alert_s):
        return
    live.alerted = True
    text = (
        f"order {live.order.order_id} ({live.order.side} {live.order.quantity} {live.order.symbol}) has been UNKNOWN for "
        f"{age // NS} s; look for it at the broker. It counts as live until the broker's books say what became of it"
    )
    desk.alert("order_unknown", "critical", text)


def _warn_uncancelled(desk: Desk, live: LiveOrder) -> None:
    age = desk.state.now_ns - live.cancel_ns
    if not live.cancel_ns or age < ns(desk.config.unknown_alert_s):
        return
    live.cancel_ns = 0
    order, why = live.order, session.hindrance(desk.state) or "the broker has not answered"
    text = (
        f"{desk.config.account}: order {order.order_id} ({order.side} {order.quantity.normalize():f} {order.symbol}) was to be "
        f"cancelled {age // NS} s ago and may still trade: {why}. It is asked for again; where it must not trade, cancel it there"
    )
    desk.alert("order_not_cancelled", "warning", text)


def _drop(desk: Desk) -> None:
    """Refuse what waits and may not leave any more. An exit of an entry at work is left alone by a halt: it may yet be needed."""
    state = desk.state
    for live in list(state.orders.values()):
        if live.state is not OrderState.NEW:
            continue
        order = live.order
        waited = state.now_ns - order.ts_event_ns  # what nobody read while this process was down has waited too
        is_exit = order.parent_id is not None
        if order.valid_until_ns is not None and order.valid_until_ns <= state.now_ns:
            if exits.protects(desk, live):
                exits.warn_unprotected(desk, live, "its time was over before it could leave")
            desk.say(OrderExpired, order, filled_quantity=ZERO)
            desk.move(live, OrderEvent.EXPIRED)
        elif is_exit:
            _warn_waiting(desk, live)
        elif state.halted:
            requests.reject(desk, live, RejectReason.HALTED, "the book was halted before it had left")
        elif (stop := desk.stop(order)) is not None:
            requests.reject(desk, live, *stop)
        elif waited < ns(desk.config.max_wait_s):
            continue
        elif order.closes:
            exits.warn_waits(desk, live, f"it has waited for {waited // NS} s: {session.hindrance(state) or 'its turn is next'}")
        else:
            waits = f"it was decided {waited // NS} s ago and may leave for {desk.config.max_wait_s:g} s"
            requests.reject(desk, live, RejectReason.EXPIRED, waits)


def _warn_waiting(desk: Desk, live: LiveOrder) -> None:
    state = desk.state
    long = bool(state.waiting_ns) and state.now_ns - state.waiting_ns >= ns(desk.config.alert_after_s)
    waits = state.halted or bool(state.disabled) or long
    if waits and not live.alerted and exits.protects(desk, live):
        live.alerted = True
        why = session.hindrance(state)
        if state.halted:
            why = "the book is halted; it leaves after `barque resume`"
        exits.warn_unprotected(desk, live, why)


def _cancels(desk: Desk) -> None:
    state = desk.state
    for live in list(state.orders.values()):
        if live.cancel is None or live.state not in _CANCELLABLE or live.wait_until_ns > state.now_ns:
            continue
        if not _take(desk, 1):
            return
        desk.effects.append(Withdraw(request=live.cancel, number=live.number))
        desk.move(live, OrderEvent.CANCEL_ASKED)
        live.since_ns = state.now_ns


def _changes(desk: Desk) -> None:
    """Under a halt only what lowers a quantity leaves, or lets an exit follow its position; while a breaker is open, nothing that
    could open more."""
    state = desk.state
    for live in list(state.orders.values()):
        request = live.change
        if request is None or live.cancel is not None or live.state not in WORKING or live.wait_until_ns > state.now_ns:
            continue
        if live.own_change:
            # An exit is made as large as its position, or smaller: once the books have been compared either opens nothing.
            under_halt = state.ready or (request.quantity is not None and request.quantity < live.at_venue)
        else:
            under_halt = requests.only_shrinks(live.order, request)
            if not under_halt and not state.halted and (stop := desk.stop(live.order)) is not None:
                live.change = None
                requests.refuse_change(desk, request, *stop)
                continue
        if (state.halted or not state.ready) and not under_halt:
            continue
        if not _take(desk, 1):
            return
        if request.quantity is not None and not live.own_change:
            grows = request.quantity - live.order.quantity
            request = replace(request, quantity=max(exits.wanted(desk, live) + grows, live.filled))
        live.asked_quantity = live.at_venue if request.quantity is None else request.quantity
        order = replace(live.order, quantity=live.at_venue)
        desk.effects.append(Change(request=request, order=order, number=live.number, under_halt=under_halt))
        desk.move(live, OrderEvent.MODIFY_ASKED)
        live.since_ns = state.now_ns


def _orders(desk: Desk) -> None:
    waiting = [live for live in desk.state.orders.values() if _may_leave(desk, live)]
    for closing in (True, False):
        for live in waiting:
            if (live.order.closes or live.order.parent_id is not None) is not closing:
                continue
            bracket = [live, *_with(desk, live)]
            if not _take(desk, len(bracket)):
                return
            _send(desk, bracket)


def _may_leave(desk: Desk, live: LiveOrder) -> bool:
    if live.state is not OrderState.NEW or live.wait_until_ns > desk.state.now_ns:
        return False
    if desk.capabilities.brackets:
        parent = desk.state.orders.get(live.order.parent_id or "")
        return parent is None or parent.accepted or parent.filled > 0  # else with it: by itself it would open a position
    return exits.wanted(desk, live) > 0


def _with(desk: Desk, live: LiveOrder) -> list[LiveOrder]:
    """The exits that leave together with their entry, where the broker holds them."""
    if not desk.capabilities.brackets:
        return []
    return [child for child in desk.children_of(live.order.order_id) if child.state is OrderState.NEW]


def _send(desk: Desk, bracket: list[LiveOrder]) -> None:
    state = desk.state
    for live in bracket:
        if not live.number:
            state.number += 1
            live.number = state.number
        live.at_venue = exits.wanted(desk, live)
        desk.move(live, OrderEvent.SENT)
    desk.effects.append(Send(orders=tuple(_at_wire(desk, live) for live in bracket)))


def _at_wire(desk: Desk, live: LiveOrder) -> tuple[SubmitOrder, int]:
    """The order as the broker is to have it: links that the broker does not know are ours to keep."""
    can, order = desk.capabilities, live.order
    parent_id = order.parent_id if can.brackets else None
    oco_group = order.oco_group if can.oco else None
    return replace(order, quantity=live.at_venue, parent_id=parent_id, oco_group=oco_group), live.number


def _take(desk: Desk, requests_: int) -> bool:
    """Take so many requests from the allowance (generic cell rate algorithm); a bracket may borrow."""
    state, config = desk.state, desk.config
    each = int(NS / config.max_requests_per_s)
    rests = max(state.paced_until_ns, state.now_ns)
    if rests - state.now_ns > each * (config.burst - 1):
        return False
    state.paced_until_ns = rests + each * requests_
    return True
