"""What the router asks for: new orders, cancels, changes.

In:   SubmitOrder, CancelOrder, ModifyOrder.   Out: orders that wait to be released, wishes about them, refusals.
Not:  sending. An order that was never sent is cancelled and changed here, and the broker hears nothing of it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from barque.messages import (
    CancelOrder,
    CancelRejected,
    ModifyOrder,
    ModifyRejected,
    OrderCancelled,
    OrderRejected,
    RejectReason,
    SubmitOrder,
)
from router.core.lifecycle import OrderEvent, OrderState
from router.core.sending import exits
from router.core.sending.desk import TERMS, Desk
from router.core.sending.state import ZERO, Finished, LiveOrder


def submit(desk: Desk, order: SubmitOrder) -> None:
    """Take an order, unless it can never leave. One whose id is known already is the same order again."""
    state = desk.state
    if order.order_id in state.orders or order.order_id in state.finished:
        desk.count("orders_repeated")
        return
    live = LiveOrder(order=order, keep=order.quantity, since_ns=state.now_ns)
    state.orders[order.order_id] = live
    fault = _fault_of(desk, order)
    if fault is None:
        parent = desk.parent_of(order)
        if isinstance(parent, Finished) and not desk.capabilities.brackets:
            live.keep -= parent.order.quantity - parent.filled
        return
    if exits.protects(desk, live):
        exits.warn_unprotected(desk, live, fault[1])
    reject(desk, live, *fault)
    parent = desk.parent_of(order)
    if not isinstance(parent, LiveOrder):
        return
    if parent.has_left:
        exits.end_entry(desk, parent)
    else:
        reject(desk, parent, fault[0], f"its exit {order.order_id} cannot be placed: {fault[1]}")


def reject(desk: Desk, live: LiveOrder, reason: RejectReason, detail: str) -> None:
    """The order has never left, and never will."""
    desk.say(OrderRejected, live.order, reason=reason, detail=f"order {live.order.order_id}: {detail}")
    desk.move(live, OrderEvent.REJECTED)


def cancel(desk: Desk, request: CancelOrder) -> None:
    """Withdraw an order; one of which the broker has not spoken yet waits until it is found."""
    live = desk.state.orders.get(request.order_id)
    if live is None:
        return _unknown(desk, CancelRejected, request, "cancel")
    if live.state is OrderState.NEW:
        live.cancel = request
        end_unsent(desk, live, "cancelled as asked; it had not been sent")
        return
    if live.cancel is None or live.own_cancel:
        live.cancel, live.own_cancel, live.failures, live.wait_until_ns = request, False, 0, 0
        live.cancel_ns = desk.state.now_ns


def modify(desk: Desk, request: ModifyOrder) -> None:
    """Change an order; one of which the broker has not spoken yet waits until it is found."""
    state = desk.state
    live = state.orders.get(request.order_id)
    if live is None:
        return _unknown(desk, ModifyRejected, request, "modify")
    fault = _fault_of_change(desk, live, request)
    if fault is not None:
        refuse_change(desk, request, *fault)
        return
    if live.state is OrderState.NEW:
        before = live.order.quantity
        live.order = changed(live.order, request)
        live.keep += live.order.quantity - before
        grow_exits(desk, live, before)
        desk.say_modified(live, request)
        return
    live.change, live.own_change, live.failures, live.wait_until_ns = request, False, 0, 0


def refuse_change(desk: Desk, request: ModifyOrder, reason: RejectReason, detail: str) -> None:
    """The change is not made, and never leaves."""
    detail = f"order {request.order_id} works on as it was: {detail}"
    desk.say(ModifyRejected, request, reason=reason, detail=detail)


def only_shrinks(order: SubmitOrder, request: ModifyOrder) -> bool:
    """The request takes contracts away and changes nothing else: no halt and no breaker speaks against it."""
    after = changed(order, request)
    return after.quantity < order.quantity and replace(after, quantity=order.quantity) == order


def changed(order: SubmitOrder, request: ModifyOrder) -> SubmitOrder:
    """The order with the terms that `request` names."""
    return replace(order, **{name: value for name in TERMS if (value := getattr(request, name)) is not None})


def grow_exits(desk: Desk, parent: LiveOrder, before: Any) -> None:
    """The entry was changed from `before` contracts: its exits go with it, those that a broker holds by the broker's doing."""
    for child in desk.children_of(parent.order.order_id):
        if not (desk.capabilities.brackets and child.has_left):
            child.keep += parent.order.quantity - before


def end_unsent(desk: Desk, live: LiveOrder, detail: str) -> None:
    """An order that never left is withdrawn."""
    desk.say(OrderCancelled, live.order, filled_quantity=ZERO, detail=detail)
    desk.move(live, OrderEvent.CANCELLED)


def _fault_of(desk: Desk, order: SubmitOrder) -> tuple[RejectReason, str] | None:
    can, state = desk.capabilities, desk.state
    if state.halted and not exits.may_be_needed(desk, order):
        return RejectReason.HALTED, "the book is halted; nothing leaves before `barque resume`"
    if order.order_type not in can.order_types:
        return RejectReason.UNSUPPORTED, f"the broker takes no {order.order_type} orders; it takes {', '.join(can.order_types)}"
    if order.time_in_force not in can.times_in_force:
        what = ", ".join(can.times_in_force)
        return RejectReason.UNSUPPORTED, f"the broker takes no orders with time_in_force {order.time_in_force}; it takes {what}"
    if order.parent_id is not None and not can.brackets and not can.modify:
        return RejectReason.UNSUPPORTED, "the broker neither holds a bracket's exits nor lets them grow with their entry"
    if order.oco_group is not None and not can.oco and not can.modify:
        return RejectReason.UNSUPPORTED, "the broker neither links orders nor lets them shrink with one another"
    return None


def _fault_of_change(desk: Desk, live: LiveOrder, request: ModifyOrder) -> tuple[RejectReason, str] | None:
    stop = desk.stop(live.order)
    if stop is not None and not only_shrinks(live.order, request):
        return stop
    if not desk.capabilities.modify and live.state is not OrderState.NEW:
        return RejectReason.UNSUPPORTED, "the broker changes no orders; cancel it and send another"
    if live.change is not None and not live.own_change:
        return RejectReason.ORDER_STATE, "another change is under way"
    if live.cancel is not None:
        return RejectReason.ORDER_STATE, "it is being cancelled"
    return None


def _unknown(desk: Desk, kind: type[Any], request: CancelOrder | ModifyOrder, verb: str) -> None:
    detail = f"cannot {verb} order {request.order_id}: it has finished or never came here; nothing was changed"
    desk.say(kind, request, reason=RejectReason.UNKNOWN_ORDER, detail=detail)
    finished = desk.state.finished.get(request.order_id)
    if finished is not None and finished.filled < finished.order.quantity:
        detail = f"order {request.order_id} had ended as {finished.state}"  # a bust may have made it look open again
        desk.say(OrderCancelled, finished.order, filled_quantity=finished.filled, detail=detail)
