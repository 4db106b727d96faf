"""Exits that rest: how many of them another exit takes back, so that none is left to open the opposite position.

In:   a strategy's position and open orders.   Out: cancels and changes, newest bracket first.
Not:  exits that still wait for their entry; those of an `enter` the other way, which is a trade of its own.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from barque.messages import CancelOrder, ModifyOrder
from barque.messages.signals import Side
from router.core.lifecycle import WORKING, OrderState
from router.core.orders import cancel_of, modify_of
from router.core.state import ZERO, OpenOrder, RouterState

Cause = tuple[str, str, int]
"""Id of what led to it, its root, and when."""


def take_back(
    state: RouterState, place: tuple[str, str], side: Side, keep: Decimal, cause: Cause
) -> list[CancelOrder | ModifyOrder]:
    """Bring the guards of `side` in `place` (strategy, symbol) down to `keep` contracts. Orders that a broker has not confirmed
    yet can only be cancelled whole. With none to keep, those of the other side go too, and entries that have filled in part,
    with their exits. Then exits of their own that are larger than that."""
    cuts: list[list[CancelOrder | ModifyOrder]] = []
    kept = ZERO
    for legs in _groups(state, place, with_working_entries=not keep).values():
        if keep and legs[0].order.side != side:
            continue
        room = max(keep - kept, ZERO)
        size = max(_wanted(leg) for leg in legs)
        kept += min(size, room)
        if size > room:
            cuts.append([request for leg in reversed(legs) if (request := _cut(leg, room, cause)) is not None])
            entry = state.orders.get(legs[0].order.parent_id or "")
            if entry is not None and entry.state is not OrderState.PENDING_CANCEL:
                cuts[-1].append(cancel_of(entry.order, *cause))
    return [*(request for cut in reversed(cuts) for request in cut), *larger_than(state, place, side, keep, cause)]


def larger_than(
    state: RouterState, place: tuple[str, str], side: Side, left: Decimal, cause: Cause
) -> list[CancelOrder | ModifyOrder]:
    """Cut the resting exits of `side` that have no parent to what is `left` to close, each by itself: which of them trades first
    nobody knows. With nothing left those of the other side go too."""
    found = [leg for leg in state.open_of(*place) if leg.exits and (leg.order.side == side or not left)]
    return [request for leg in found if (request := _cut(leg, left, cause)) is not None]


def _groups(state: RouterState, place: tuple[str, str], with_working_entries: bool) -> dict[str, list[OpenOrder]]:
    """Guards by bracket, oldest first; perhaps also the exits of entries that have filled in part."""
    groups: dict[str, list[OpenOrder]] = {}
    for leg in state.open_of(*place):
        parent_id = leg.order.parent_id
        if parent_id is None:
            continue
        entry = state.orders.get(parent_id)
        if entry is None or (with_working_entries and entry.filled > 0):
            groups.setdefault(parent_id, []).append(leg)
    return groups


def _wanted(leg: OpenOrder) -> Decimal:
    """Contracts that the leg is to have once all that is asked of it has happened."""
    if leg.state is OrderState.PENDING_CANCEL:
        return ZERO
    asked = leg.asked.quantity if leg.asked is not None else None
    return (leg.order.quantity if asked is None else asked) - leg.filled


def _cut(leg: OpenOrder, to: Decimal, cause: Cause) -> CancelOrder | ModifyOrder | None:
    order = leg.order
    if _wanted(leg) <= to:
        return None
    if not to:
        return cancel_of(order, *cause)
    if leg.state not in WORKING:
        return None
    return modify_of(order, msgspec.structs.replace(order, quantity=to + leg.filled), *cause)
