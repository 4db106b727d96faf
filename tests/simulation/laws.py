"""What must hold after every step; reckoned from the streams and from the broker's books, by nothing that is under test.

I4, I5, I6, I8, I9 and I10 of the reliability page; I7 is `money`, I1 is checked by the shells at every commit.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec

from barque.messages import (
    Alert,
    BreakerChanged,
    CancelOrder,
    Fill,
    Halt,
    Message,
    ModifyOrder,
    ModifyRejected,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    RejectReason,
    Resume,
    SubmitOrder,
    Topic,
)
from barque.messages.signals import Side
from router.core.sending.effects import Send
from router.core.sending.events import NotSent
from router.core.sending.state import SendingState
from router.core.state import RouterState
from tests.simulation.broker import Broker
from tests.simulation.shells import Handled, Turn

ZERO = Decimal(0)
NS = 1_000_000_000
MINUTE_NS = 60 * NS

_router_state = msgspec.msgpack.Decoder(RouterState).decode
_sender_state = msgspec.msgpack.Decoder(SendingState).decode

FINAL = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"}
EDGES: dict[str, str] = {
    "NEW": "SENDING ACKED REJECTED PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED EXPIRED UNKNOWN",
    "SENDING": "NEW ACKED REJECTED PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED EXPIRED UNKNOWN",
    "ACKED": "PARTIALLY_FILLED FILLED PENDING_CANCEL PENDING_MODIFY CANCELLED EXPIRED REJECTED UNKNOWN",
    "PARTIALLY_FILLED": "FILLED PENDING_CANCEL PENDING_MODIFY CANCELLED EXPIRED REJECTED UNKNOWN",
    "PENDING_CANCEL": "ACKED PARTIALLY_FILLED FILLED CANCELLED EXPIRED REJECTED UNKNOWN",
    "PENDING_MODIFY": "ACKED PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED EXPIRED REJECTED UNKNOWN",
    "UNKNOWN": "ACKED PARTIALLY_FILLED FILLED CANCELLED EXPIRED REJECTED",
    "FILLED": "",
    "CANCELLED": "FILLED",
    "REJECTED": "UNKNOWN FILLED",
    "EXPIRED": "FILLED",
}
"""The states that may follow one another; drawn by hand. Where a batch holds several events, a path of them."""


def reachable(state: str) -> set[str]:
    """Every state that a life may come to from `state`."""
    found, waiting = {state}, [state]
    while waiting:
        for to in EDGES[waiting.pop()].split():
            if to not in found:
                found.add(to)
                waiting.append(to)
    return found


REACHABLE = {state: reachable(state) for state in EDGES}


class Executions:
    """Fills as they were said: which still count, and what they come to."""

    def __init__(self) -> None:
        self.fills: dict[str, Fill] = {}
        self._replaced: set[str] = set()

    def add(self, fill: Fill) -> None:
        """I6: each execution counts once; a correction counts in the place of what it names."""
        assert fill.exec_id not in self.fills, f"I6: execution {fill.exec_id} was said twice"
        assert fill.corrects not in self._replaced or not fill.corrects, f"I6: {fill.corrects} was corrected twice"
        self.fills[fill.exec_id] = fill
        if fill.corrects:
            self._replaced.add(fill.corrects)

    def standing(self) -> list[Fill]:
        """The fills that count."""
        return [fill for exec_id, fill in self.fills.items() if exec_id not in self._replaced]

    def positions(self) -> dict[tuple[str, str], Decimal]:
        """Signed contracts by strategy and symbol, none of them zero."""
        held: Counter[tuple[str, str]] = Counter()
        for fill in self.standing():
            held[fill.strategy_id, fill.symbol] += fill.signed_quantity  # type: ignore[assignment]
        return {place: Decimal(quantity) for place, quantity in held.items() if quantity}

    def by_symbol(self) -> dict[str, Decimal]:
        """The same of the whole account."""
        held: dict[str, Decimal] = {}
        for (_, symbol), quantity in self.positions().items():
            held[symbol] = held.get(symbol, ZERO) + quantity
        return {symbol: quantity for symbol, quantity in sorted(held.items()) if quantity}

    def filled(self, order_id: str) -> Decimal:
        """Contracts of one order."""
        return sum((fill.quantity for fill in self.standing() if fill.order_id == order_id), ZERO)


class Known:
    """Open orders as the messages that somebody has read tell of them; the least that can be open, UNKNOWN ones included."""

    def __init__(self) -> None:
        self.orders: dict[str, SubmitOrder] = {}
        self.asked: dict[str, Decimal] = {}
        self.executions = Executions()

    def see(self, message: Message) -> None:
        """A request that was made, or an event that was read."""
        if isinstance(message, SubmitOrder):
            self.orders[message.order_id] = message
            return
        if isinstance(message, Fill):
            self.executions.add(message)
        order = self.orders.get(getattr(message, "order_id", ""))
        if order is None:
            return
        order_id = order.order_id
        if isinstance(message, ModifyOrder) and message.quantity is not None:
            self.asked[order_id] = message.quantity
        elif isinstance(message, OrderModified | ModifyRejected):
            self.asked.pop(order_id, None)
            if isinstance(message, OrderModified):
                self.orders[order_id] = order = msgspec.structs.replace(order, quantity=message.quantity)
        elif isinstance(message, OrderRejected | OrderCancelled | OrderExpired):
            del self.orders[order_id]
            return
        if isinstance(message, Fill | OrderModified | ModifyRejected) and self.left(order) <= 0:
            del self.orders[order_id]

    def left(self, order: SubmitOrder) -> Decimal:
        """Contracts that may still trade."""
        quantity = max(order.quantity, self.asked.get(order.order_id, ZERO))
        return quantity - self.executions.filled(order.order_id)

    def worst(self, symbol: str, side: Side, strategy_id: str = "") -> Decimal:
        """Contracts on `side` if every order of that side trades and none of the other; strategies do not cover one another."""
        held = self.executions.positions()
        opened: dict[str, dict[str, Decimal]] = {}
        for order in self.orders.values():
            waits = order.parent_id is not None and order.parent_id in self.orders
            if (order.symbol, order.side) == (symbol, side) and not waits:
                groups = opened.setdefault(order.strategy_id, {})
                group = order.oco_group or order.order_id
                groups[group] = max(groups.get(group, ZERO), self.left(order))
        total = ZERO
        for each in {*opened, *(owner for owner, of in held if of == symbol)}:
            if strategy_id in ("", each):
                position = held.get((each, symbol), ZERO)
                sum_open = sum(opened.get(each, {}).values(), ZERO)
                total += max((position if side == "buy" else -position) + sum_open, ZERO)
        return total


class RouterLaws:
    """What the router may send."""

    def __init__(self, max_position: Decimal, own: dict[str, Decimal], per_minute: int) -> None:
        self.known = Known()
        self._most = {"": max_position} | own
        self._per_minute = per_minute
        self._ids: set[str] = set()
        self._causes: set[str] = set()
        self._legs: Counter[tuple[str, str]] = Counter()
        self._halted = False
        self._tripped: set[str] = set()
        self._sent_ns: list[int] = []
        self._states: dict[str, str] = {}

    def committed(self, turn: Turn, blob: bytes) -> None:
        """The router has committed a turn."""
        for each in turn.handled:
            self._told(each)
            for _, message in each.said:
                self._said(message, turn.now_ns)
            self._news(each)
        self._state(_router_state(blob))

    def _told(self, each: Handled) -> None:
        message = each.message
        if isinstance(message, Halt | Resume):
            self._halted = isinstance(message, Halt)
        for name in ("id", "command_id", "exec_id"):
            self._causes.add(getattr(message, name, ""))
        self.known.see(message)

    def _said(self, message: Message, now_ns: int) -> None:
        if isinstance(message, BreakerChanged):
            self._breaker(message)
        elif isinstance(message, Halt):
            self._halted = True
        elif isinstance(message, SubmitOrder):
            self._order(message, now_ns)
            self._sent_ns.append(now_ns)
        elif isinstance(message, ModifyOrder):
            self._sent_ns.append(now_ns)
        if isinstance(message, SubmitOrder | ModifyOrder | CancelOrder):
            self.known.see(message)

    def _breaker(self, change: BreakerChanged) -> None:
        if change.status == "NORMAL":
            self._tripped.discard(change.strategy_id)
        else:
            self._tripped.add(change.strategy_id)
        if change.breaker == "order_rate" and not change.tripped and not change.strategy_id:
            self._sent_ns.clear()

    def _news(self, each: Handled) -> None:
        """A person is told of each change of a breaker."""
        said = [message for _, message in each.said]
        changes = sum(isinstance(message, BreakerChanged) for message in said)
        alerts = sum(isinstance(m, Alert) and m.name in ("breaker_tripped", "breaker_reset") for m in said)
        assert changes == alerts, f"{changes} breakers changed and {alerts} alerts were raised on {each.message}"

    def _order(self, order: SubmitOrder, now_ns: int) -> None:
        assert order.order_id not in self._ids, f"I4: order {order.order_id} was sent twice"
        self._ids.add(order.order_id)
        by_breaker = order.cause.startswith("breaker/")
        assert order.cause in self._causes or by_breaker, f"I4: order {order.order_id} has no cause: {order.cause}"
        place = f"{order.strategy_id}/{order.symbol}"
        leg = place if order.parent_id is None else "profit" if order.order_type == "limit" else "stop"
        self._legs[order.cause, leg] += 1
        assert self._legs[order.cause, leg] == 1, f"I4: two orders of one leg because of {order.cause}"
        assert not self._halted, f"I9: order {order.order_id} was sent though the book is halted"
        if order.parent_id is None and order.closes:
            self._exit(order)
        elif not order.closes:
            self._entry(order, now_ns)

    def _exit(self, order: SubmitOrder) -> None:
        """By itself it brings no position through zero; what opens again what was closed twice may."""
        if order.reason.endswith("traded after it was withdrawn"):
            return
        held = self.known.executions.positions().get((order.strategy_id, order.symbol), ZERO)
        right = order.side == ("sell" if held > 0 else "buy") and order.quantity <= abs(held)
        assert right, f"I10: {order.side} {order.quantity} is said to close a position of {held}: {order}"

    def _entry(self, order: SubmitOrder, now_ns: int) -> None:
        stopped = self._tripped & {"", order.strategy_id}
        assert not stopped, f"I10: order {order.order_id} opens though a breaker of {stopped} is open"
        for scope, most in self._most.items():
            if scope in ("", order.strategy_id):
                before = self.known.worst(order.symbol, order.side, scope)
                after = self._with(order).worst(order.symbol, order.side, scope)
                assert after <= most or after == before, f"I10: {after} of at most {most} at worst, after {order}"
        recent = [at for at in self._sent_ns if at > now_ns - MINUTE_NS]
        assert len(recent) < self._per_minute, f"I10: more than {self._per_minute} orders in a minute"

    def _with(self, order: SubmitOrder) -> Known:
        known = Known()
        known.orders = self.known.orders | {order.order_id: order}
        known.asked, known.executions = self.known.asked, self.known.executions
        return known

    def _state(self, state: RouterState) -> None:
        """I6 and I8: what it believes is what it was told."""
        held = {(owner, symbol): q for owner, by_symbol in state.positions.items() for symbol, q in by_symbol.items()}
        assert held == self.known.executions.positions(), f"I6: {held} is not what the fills come to"
        states: dict[str, str] = {}
        for order_id, each in state.orders.items():
            assert each.state not in FINAL, f"I8: order {order_id} has ended and is kept"
            assert ZERO <= each.filled <= each.quantity, f"I8: {each.filled} of {each.quantity} of order {order_id}"
            assert each.filled == self.known.executions.filled(order_id), f"I8: order {order_id}: filled {each.filled}"
            before = self._states.get(order_id, "NEW")
            assert each.state in REACHABLE[before], f"I8: order {order_id} went from {before} to {each.state}"
            states[order_id] = each.state
        missing = set(self.known.orders) - set(states)
        assert not missing, f"I10: the router has forgotten {missing}, which may still trade"
        self._states = states


class SenderLaws:
    """What a sender may let go out, and what it has to say."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.intents: dict[str, SubmitOrder] = {}
        """Orders that the router has sent, by id."""
        self.executions = Executions()
        self._tripped: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._unknown_ns: dict[str, int] = {}
        self._alerted: set[str] = set()
        self._left: set[str] = set()
        """Orders that the broker may have: sent, and not told to have stayed."""
        self.opened = False
        """The broker's positions have been taken over as what the book begins with."""

    def committed(self, turn: Turn, blob: bytes, halted: bool) -> None:
        """The sender has committed a turn that began with the halt's row saying `halted`."""
        for each in turn.handled:
            if isinstance(each.message, BreakerChanged):
                self._tripped[each.message.strategy_id] = each.message.status
            elif isinstance(each.message, NotSent) and each.message.request == "submit":
                self._left -= set(each.message.order_ids)
            for topic, message in each.said:
                if topic is Topic.FILLS:
                    self._said(message)
                elif isinstance(message, Alert) and message.name == "order_unknown":
                    self._alerted.add(message.text.split()[1])
        for effect in turn.effects:
            if isinstance(effect, Send):
                for order, _ in effect.orders:
                    self._sends(order, turn.now_ns, halted)
        self._state(_sender_state(blob), turn.now_ns)

    def _said(self, message: Message) -> None:
        if isinstance(message, Fill):
            self.executions.add(message)
        if isinstance(message, OrderRejected) and message.reason is RejectReason.NOT_SENT:
            self._alerted.discard(message.order_id)

    def _sends(self, order: SubmitOrder, now_ns: int, halted: bool) -> None:
        assert not halted, f"I9: order {order.order_id} left though the book is halted"
        with_entry = order.parent_id is None or order.parent_id in self._left
        assert with_entry, f"I10: {order.order_id} left without its entry, which would open a position of its own"
        self._left.add(order.order_id)
        until_ns = order.valid_until_ns
        assert until_ns is None or until_ns > now_ns, f"I9: order {order.order_id} left after its time"
        for scope in ("", order.strategy_id):
            stopped = self._tripped.get(scope, "NORMAL") != "NORMAL"
            assert order.closes or not stopped, f"I10: order {order.order_id} left though a breaker of '{scope}' is open"

    def _state(self, state: SendingState, now_ns: int) -> None:
        self.opened = state.opened
        assert state.positions == self.executions.by_symbol(), f"I6: {state.positions} is not what was said to have traded"
        states = {order_id: each.state.value for order_id, each in (state.orders | state.finished).items()}
        for order_id, after in states.items():
            before = self._states.get(order_id, "NEW")
            assert after in REACHABLE[before], f"I8: order {order_id} went from {before} to {after}"
        for order_id, live in state.orders.items():
            filled = self.executions.filled(order_id)
            assert live.state not in FINAL, f"I8: order {order_id} has ended and is kept"
            assert live.filled == filled, f"I8: order {order_id}: filled {live.filled}, said {filled}"
            self._wait(order_id, live.state.value, now_ns)
        self._unknown_ns = {order_id: at for order_id, at in self._unknown_ns.items() if order_id in state.orders}
        self._states |= states

    def _wait(self, order_id: str, state: str, now_ns: int) -> None:
        """L2: nobody waits a minute for an outcome without a person being told."""
        if state != "UNKNOWN":
            self._unknown_ns.pop(order_id, None)
            self._alerted.discard(order_id)
            return
        since_ns = self._unknown_ns.setdefault(order_id, now_ns)
        told = order_id in self._alerted or now_ns - since_ns < MINUTE_NS
        assert told, f"L2: order {order_id} has been UNKNOWN for {(now_ns - since_ns) / NS:.0f} s and nobody was told"

    def at_broker(self) -> None:
        """I5: the broker has each order once, and none that nobody sent."""
        numbers = self._broker.numbers
        assert len(numbers) == len(set(numbers)), "I5: two orders have one token"
        for order_id, booked in self._broker.orders.items():
            assert booked.submissions == 1, f"I5: the broker was sent order {order_id} {booked.submissions} times"
            intent = self.intents.get(order_id)
            assert intent is not None, f"I5: the broker has order {order_id}, which nobody sent"
            assert (intent.side, intent.symbol) == (booked.order.side, booked.order.symbol), f"I5: order {order_id} is another"
