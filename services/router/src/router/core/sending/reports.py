"""What the broker says of orders, requests and the session, live, and what became of effects.

In:   events of the venue, NotSent, Lost.   Out: order events; orders moved by the table of states.
Not:  executions (`executions`), the books (`books`). An event about an order that has ended changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from barque.messages import (
    CancelRejected,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    RejectReason,
)
from barque.venue import Accepted, Connected, Disconnected, Ended, Modified, Noted, Rejected, RequestRefused, TradingDisabled
from router.core.lifecycle import OrderEvent, OrderState
from router.core.sending import exits, outbound, requests, session
from router.core.sending.config import NS
from router.core.sending.desk import Desk
from router.core.sending.events import Lost, NotSent
from router.core.sending.state import ZERO, LiveOrder, NoSession, is_whole

RETRY_NS = NS
"""A request that failed is not repeated before."""
LONGEST_RETRY_NS = 30 * NS
"""What closes is tried again and again, at longer and longer intervals up to this."""


def accepted(desk: Desk, event: Accepted) -> None:
    """The broker holds it."""
    live = desk.state.orders.get(event.order_id)
    if live is None:
        finished = desk.state.finished.get(event.order_id)
        if finished is not None and finished.state is OrderState.REJECTED:
            desk.ask()
        return
    hold(desk, live, event.venue_order_id, event.ts_event_ns)


def hold(desk: Desk, live: LiveOrder, venue_order_id: str, at_ns: int) -> None:
    """The broker has shown that it holds the order; said once, and again after it was UNKNOWN."""
    live.venue_order_id = venue_order_id or live.venue_order_id
    if live.state in (OrderState.SENDING, OrderState.UNKNOWN):
        live.failures, live.wait_until_ns = 0, 0  # they were of sending it
    desk.state.refused.pop(live.order.symbol, None)
    if not live.accepted or live.state is OrderState.UNKNOWN:
        live.accepted = True
        desk.say(OrderAccepted, live.order, at_ns, venue_order_id=live.venue_order_id)
    desk.move(live, OrderEvent.ACCEPTED)


def rejected(desk: Desk, event: Rejected) -> None:
    """The broker refuses the order. That it knows the token of one that was sent again means that it has it."""
    live = desk.state.orders.get(event.order_id)
    if live is None:
        return
    if live.resent and event.reason is RejectReason.DUPLICATE:
        desk.ask()
        return
    _warn(desk, live, f"the broker refused it: {event.detail}")
    if not exits.protects(desk, live):
        _say_rejected(desk, live, event)
    if live.filled > 0:
        desk.say(OrderCancelled, live.order, event.ts_event_ns, filled_quantity=live.filled, detail=event.detail)
    else:
        desk.say(OrderRejected, live.order, event.ts_event_ns, reason=event.reason, detail=event.detail)
    desk.move(live, OrderEvent.REJECTED)
    entry = desk.state.orders.get(live.order.parent_id or "")
    if entry is not None:
        exits.end_entry(desk, entry)


def noted(desk: Desk, event: Noted) -> None:
    """It is open, and perhaps waits for something: a person is told once. A guard that does not work guards nothing."""
    live = desk.state.orders.get(event.order_id)
    if live is not None and not event.works and exits.protects(desk, live):
        exits.warn_unprotected(desk, live, event.detail)
    elif live is not None and not live.noted:
        live.noted = True
        said = event.detail.rstrip(".")
        text = f"{desk.config.account}: {_words(live)} is at the broker, which says: {said}. Cancel it if that is not wanted"
        desk.alert("order_noted", "info", text)


def ended(desk: Desk, event: Ended) -> None:
    """The rest of the order is withdrawn or ran out of time."""
    live = desk.state.orders.get(event.order_id)
    if live is None:
        return
    if live.cancel is None:
        exits.doubt(desk, live, f"the broker ended it: {event.detail or event.how}")
    end(desk, live, event.how == "expired", event.detail, event.ts_event_ns)


def end(desk: Desk, live: LiveOrder, expired: bool, detail: str, at_ns: int = 0) -> None:
    """Nothing more of the order will trade. One that is whole, but for a change that was under way, is filled."""
    if live.filled >= live.order.quantity:
        live.asked_quantity = ZERO
        desk.move(live, OrderEvent.FILLED)
    elif expired:
        desk.say(OrderExpired, live.order, at_ns, filled_quantity=live.filled)
        desk.move(live, OrderEvent.EXPIRED)
    else:
        desk.say(OrderCancelled, live.order, at_ns, filled_quantity=live.filled, detail=detail)
        desk.move(live, OrderEvent.CANCELLED)


def modified(desk: Desk, event: Modified) -> None:
    """The order works on with these terms, asked or unasked. One of no contracts does not: somebody has taken them all away."""
    if event.quantity <= 0:
        detail = "it was changed to no contracts at all"
        ended(desk, Ended(order_id=event.order_id, how="cancelled", detail=detail, ts_event_ns=event.ts_event_ns))
        return
    live = desk.state.orders.get(event.order_id)
    if live is None:
        return
    request = live.change if live.state is OrderState.PENDING_MODIFY else None
    own = live.own_change
    before = live.order
    live.at_venue = event.quantity
    live.keep = _kept(desk, live, event.quantity)
    prices = {name: getattr(event, name) for name in ("limit_price", "stop_price", "trail_amount")}
    whole = live.filled >= max(live.keep, live.at_venue)
    # What is to keep no more than it has filled, and has more at the broker, is about to be cancelled: its quantity stays.
    quantity = live.keep if whole or live.keep > live.filled else before.quantity
    live.order = replace(before, quantity=quantity, **{name: value for name, value in prices.items() if value is not None})
    if request is not None:
        forget_change(live)
        live.failures, live.wait_until_ns = 0, 0
    answers = request if request is not None and not own else None
    if answers is not None or live.order != before:
        desk.say_modified(live, answers, event.ts_event_ns)
    requests.grow_exits(desk, live, before.quantity)
    desk.move(live, OrderEvent.FILLED if whole else OrderEvent.MODIFIED)


def refused(desk: Desk, event: RequestRefused) -> None:
    """The broker did not do what was asked. If it does not know the order, only its books can tell what the order is."""
    live = desk.state.orders.get(event.order_id)
    if live is None:
        return
    cancels = event.request == "cancel"
    pending = OrderState.PENDING_CANCEL if cancels else OrderState.PENDING_MODIFY
    request, own = (live.cancel, live.own_cancel) if cancels else (live.change, live.own_change)
    if live.state is not pending or request is None:
        return
    _forget_request(live, cancels)
    if not own:
        kind: type[Any] = CancelRejected if cancels else ModifyRejected
        desk.say(kind, request, event.ts_event_ns, reason=event.reason, detail=event.detail)
    if event.reason is RejectReason.UNKNOWN_ORDER:
        desk.lose(live, f"the broker does not know it: {event.detail}")
        return
    desk.move(live, OrderEvent.CANCEL_REFUSED if cancels else OrderEvent.MODIFY_REFUSED)
    if not cancels and live.filled > 0 and is_whole(live):
        desk.move(live, OrderEvent.FILLED)
    elif own:
        fail(desk, live, f"the broker refused to {event.request} it: {event.detail}")


def fail(desk: Desk, live: LiveOrder, why: str) -> None:
    """What this sender itself wanted of the order did not happen: again a little later, but not for ever."""
    live.failures += 1
    live.wait_until_ns = desk.state.now_ns + RETRY_NS
    if live.failures == exits.MOST_FAILURES:
        text = (
            f"{live.order.symbol}: order {live.order.order_id} has {live.at_venue} contracts at the broker and is to have "
            f"{max(exits.wanted(desk, live), live.filled)}; {why}. Bring it there by hand at the broker"
        )
        desk.alert("exit_not_adjusted", "critical", text)


def not_sent(desk: Desk, event: NotSent) -> None:
    """It surely did not leave: it waits again."""
    for order_id in event.order_ids:
        live = desk.state.orders.get(order_id)
        if live is None:
            continue
        live.wait_until_ns = desk.state.now_ns + RETRY_NS
        if event.request == "submit":
            _back(desk, live, event.detail)
        elif event.request == "cancel" and live.state is OrderState.PENDING_CANCEL:
            desk.move(live, OrderEvent.CANCEL_REFUSED)
        elif event.request == "modify" and live.state is OrderState.PENDING_MODIFY:
            live.asked_quantity = ZERO
            whole = live.filled > 0 and is_whole(live)
            desk.move(live, OrderEvent.FILLED if whole else OrderEvent.MODIFY_REFUSED)


def lost(desk: Desk, event: Lost) -> None:
    """Nobody knows whether it left."""
    for order_id in event.order_ids:
        live = desk.state.orders.get(order_id)
        if live is not None and live.state is OrderState.SENDING:
            desk.lose(live, event.detail)


def connected(desk: Desk, event: Connected) -> None:
    """The session works: nothing new leaves before the books have been compared."""
    _begin_session(desk, "the session with the broker began anew; its books are asked")
    desk.state.connected, desk.state.disabled, desk.state.report_due = True, "", True
    desk.state.lost, desk.state.books_detail, desk.state.connected_ns = NoSession(), "", desk.state.now_ns
    desk.ask()


def disconnected(desk: Desk, event: Disconnected) -> None:
    """The session is gone."""
    _begin_session(desk, f"the session with the broker ended: {event.detail}")
    session.lose(desk.state, event)


def trading_disabled(desk: Desk, event: TradingDisabled) -> None:
    """The broker takes no orders; what is there works on."""
    desk.state.disabled = event.detail or "trading is disabled"
    session.watch(desk)


def _begin_session(desk: Desk, detail: str) -> None:
    state = desk.state
    state.ready, state.asked, state.suspects = False, 0, {}
    outbound.lose_under_way(desk, detail)


def _kept(desk: Desk, live: LiveOrder, quantity: Decimal) -> Decimal:
    """What the order is to have in the end, now that the broker's order has `quantity`."""
    asked = live.state is OrderState.PENDING_MODIFY and live.change is not None and quantity == live.asked_quantity
    if not asked or live.change is None:
        return quantity + exits.held(desk, live)
    if live.own_change or live.change.quantity is None:
        return live.keep
    return live.keep + live.change.quantity - live.order.quantity


def _forget_request(live: LiveOrder, cancels: bool) -> None:
    if cancels:
        live.cancel, live.own_cancel = None, False
    else:
        forget_change(live)


def forget_change(live: LiveOrder) -> None:
    """The change was made, or will not be."""
    live.change, live.own_change, live.asked_quantity = None, False, ZERO


def _back(desk: Desk, live: LiveOrder, detail: str) -> None:
    if live.state is not OrderState.SENDING:
        return
    live.failures += 1
    desk.move(live, OrderEvent.NOT_SENT)
    if live.cancel is not None:
        requests.end_unsent(desk, live, "cancelled as asked; it had not left")
        return
    is_exit = live.order.parent_id is not None
    if is_exit or live.order.closes:
        live.wait_until_ns = desk.state.now_ns + min(RETRY_NS << min(live.failures - 1, 10), LONGEST_RETRY_NS)
    if live.failures < exits.MOST_FAILURES:
        return
    why = f"it could not be sent {live.failures} times: {detail}"
    if not is_exit and not live.order.closes:
        requests.reject(desk, live, RejectReason.NOT_SENT, why)
    elif exits.protects(desk, live) or not is_exit:  # an exit whose entry has not filled has nothing to close yet
        exits.warn_waits(desk, live, why)


def _say_rejected(desk: Desk, live: LiveOrder, event: Rejected) -> None:
    """Once for a symbol and a reason, until the broker takes an order of that symbol."""
    symbol = live.order.symbol
    if desk.state.refused.get(symbol) != event.reason.value:
        desk.state.refused[symbol] = event.reason.value
        what, said = event.reason.value.replace("_", " "), event.detail.rstrip(".")
        text = (
            f"{desk.config.account}: the broker refused {_words(live)} ({what}): {said}. It is not sent again; others of "
            f"{symbol} are not told of before the broker takes one"
        )
        desk.alert("order_rejected", "warning", text)


def _words(live: LiveOrder) -> str:
    order = live.order
    return f"order {order.order_id} ({order.side} {order.quantity.normalize():f} {order.symbol} {order.order_type})"


def _warn(desk: Desk, live: LiveOrder, why: str) -> None:
    if exits.protects(desk, live):
        exits.warn_unprotected(desk, live, why)
