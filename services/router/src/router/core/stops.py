"""What is done when a breaker trips or is reset, and when positions are to be closed at once.

In:   changes of breakers, a scope to flatten.   Out: cancels, closing orders, `BreakerChanged`, `Alert`, `Halt`.
Not:  whether it is time for it.

A flatten leaves market orders that only close to do their work. What trades of an order that was withdrawn, because the cancel
came too late, is made up for as it trades.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from barque.messages import BreakerChanged, Fill, Halt, SubmitOrder, Topic
from barque.node import Output
from router.core.alerts import SOURCE, alert
from router.core.breakers.board import Change, how_to_reset, whose
from router.core.desk import Desk
from router.core.orders import order_id_of
from router.core.risk import Risk, Setup
from router.core.state import ZERO, OpenOrder, RouterState


class Stops:
    """Stops the flow, over one state."""

    def __init__(self, setup: Setup, state: RouterState, risk: Risk, desk: Desk) -> None:
        self._account = setup.config.account
        self._state = state
        self._board = risk.board
        self._desk = desk

    def carry_out(self, changes: Iterable[Change], cause: str) -> list[Output]:
        """What the changes ask for, and the news of them."""
        said: list[Output] = []
        for change in changes:
            trip = change.trip
            if trip is None:
                said += self.tell(change, cause)
                text = f"breaker {change.breaker} of {whose(change.scope)} is reset ({cause}); it measures anew from here"
                said.append(alert("breaker_reset", "info", self._state.now_ns, text))
            else:
                if change.on_trip == "halt":
                    said += self._halt(change, cause)
                said += self.tell(change, cause)
                ends = f"resets itself at {trip.until_ns}" if trip.until_ns else f"stays until {how_to_reset(change.scope)}"
                text = (
                    f"breaker {change.breaker} of {whose(change.scope)} tripped at {trip.actual}, its limit is {trip.limit} "
                    f"({cause}). {_CONSEQUENCES[change.on_trip]}. It {ends}"
                )
                said.append(alert("breaker_tripped", "critical", self._state.now_ns, text))
                said += self._act(change, cause)
        return said

    def tell(self, change: Change, cause: str) -> list[Output]:
        """The news of a change, for programs."""
        state, trip = self._state, change.trip
        changed = BreakerChanged(
            account=self._account,
            strategy_id=change.scope,
            breaker=change.breaker,
            status=self._board.status(change.scope),
            ts_event_ns=state.now_ns,
            cause=cause,
            tripped=trip is not None,
            limit=trip.limit if trip is not None else "",
            actual=trip.actual if trip is not None else "",
            until_ns=trip.until_ns if trip is not None else 0,
        )
        return [(Topic.ORDERS, changed)]

    def flatten(self, scope: str, cause: str, ts_ns: int, reason: str) -> list[Output]:
        """Cancel every order of the scope and close every position, but for what is being closed already."""
        state = self._state
        mine = [each for each in state.orders.values() if not scope or each.order.strategy_id == scope]
        leaving = [each for each in mine if not self._does_its_work(each)]
        for each in mine:
            each.withdrawn = True
        said = self._desk.send(self._desk.cancels(leaving, cause, cause, ts_ns, flat=True))
        held = [
            (strategy_id, symbol)
            for strategy_id in sorted(state.positions)
            if not scope or strategy_id == scope
            for symbol in sorted(state.positions[strategy_id])
        ]
        if state.halted:
            text = (
                f"flatten {cause}: the book is halted, so {len(said)} orders were cancelled and {len(held)} positions kept;"
                " resume, then flatten again"
            )
            return [*said, alert("flatten_while_halted", "critical", state.now_ns, text)]
        for place in held:
            left = self._beyond(place)
            if left and (left > 0) == (state.position(*place) > 0):
                said += self._close(place, left, (cause, f"flatten|{'|'.join(place)}", cause, ts_ns), reason)
        return said

    def make_up(self, open_order: OpenOrder, fill: Fill) -> list[Output]:
        """An order that was withdrawn has traded: close what it opened, or open again what it closed twice. Where a target is
        under way, that is what lies beyond it."""
        state, order = self._state, open_order.order
        legs = [each for each in state.orders.values() if each.order.parent_id == order.order_id]
        said = self._desk.send(self._desk.cancels(legs, fill.exec_id, fill.root, fill.ts_event_ns))
        place = (order.strategy_id, order.symbol)
        left = self._beyond(place)
        if not left or (left > 0) != (fill.side == "buy"):
            return said
        if state.halted:
            text = (
                f"order {order.order_id} traded {fill.quantity} {order.symbol} after it was withdrawn, and the book is halted;"
                " resume, then flatten again"
            )
            return [*said, alert("flatten_while_halted", "critical", state.now_ns, text)]
        quantity = min(abs(left), fill.quantity).copy_sign(left)
        origin = (fill.exec_id, "make up", fill.root, fill.ts_event_ns)
        return said + self._close(place, quantity, origin, f"{order.order_id} traded after it was withdrawn")

    def _does_its_work(self, open_order: OpenOrder) -> bool:
        """It closes at once what there is to close. A correction may have left it nothing: then it would open a position."""
        order = open_order.order
        position = self._state.position(order.strategy_id, order.symbol)
        return _closes_at_once(open_order) and (position > 0 if order.side == "sell" else position < 0)

    def _beyond(self, place: tuple[str, str]) -> Decimal:
        """The position once all has traded that is closing it at once or leads to a target, less that target. One that was
        withdrawn leads nowhere."""
        left, aim = self._state.position(*place), ZERO
        opened = ZERO  # by market orders since the latest target, which are none of its business
        for each in self._state.open_of(*place):
            if each.order.order_type != "market" or each.state == "PENDING_CANCEL":
                continue
            signed = each.remaining if each.order.side == "buy" else -each.remaining
            if each.aim is not None and not each.withdrawn:
                left, opened, aim = left + opened + signed, ZERO, each.aim
            elif each.order.closes:
                left += signed
            else:
                opened += signed
        return left - aim

    def _close(self, place: tuple[str, str], signed: Decimal, origin: tuple[str, str, str, int], reason: str) -> list[Output]:
        """Trade `signed` contracts away. `origin`: cause, leg, root, time."""
        cause, leg, root, ts_ns = origin
        closing = SubmitOrder(
            order_id=order_id_of(cause, leg),
            cause=cause,
            root=root,
            strategy_id=place[0],
            account=self._account,
            symbol=place[1],
            ts_event_ns=ts_ns,
            side="sell" if signed > 0 else "buy",
            quantity=abs(signed),
            reason=reason,
            closes=True,
        )
        return self._desk.send([closing])

    def _act(self, change: Change, cause: str) -> list[Output]:
        state, on_trip = self._state, change.on_trip
        if on_trip == "flatten":
            reason = f"breaker {change.breaker} of {whose(change.scope)}"
            return self.flatten(change.scope, f"breaker/{change.scope}/{change.breaker}/{state.now_ns}", state.now_ns, reason)
        if on_trip == "cancel":
            opening = [
                each
                for each in state.orders.values()
                if not each.order.closes and (not change.scope or each.order.strategy_id == change.scope)
            ]
            return self._desk.send(self._desk.cancels(opening, cause, cause, state.now_ns))
        return []

    def _halt(self, change: Change, cause: str) -> list[Output]:
        state = self._state
        if state.halted:
            return []
        state.halted = True
        reason = f"breaker {change.breaker} tripped ({cause})"
        command_id = f"breaker/{change.breaker}/{state.now_ns}"
        return [(Topic.CONTROL, Halt(command_id=command_id, ts_event_ns=state.now_ns, actor=SOURCE, reason=reason))]


_CONSEQUENCES = {
    "refuse": "No position is opened; orders at work stay, exits pass",
    "cancel": "No position is opened, orders that would are cancelled; exits pass",
    "flatten": "Every order is cancelled, every position closed, none is opened",
    "halt": "The book is halted: nothing goes out, exits neither",
}


def _closes_at_once(open_order: OpenOrder) -> bool:
    order = open_order.order
    return order.closes and order.order_type == "market" and open_order.state != "PENDING_CANCEL"
