"""What all parts of a sender's core work at: its state, and what they want said and done.

In:   decisions of the other modules.   Out: messages for the streams, effects for the shell.
Not:  decisions, but for one: an order that reaches a final state leaves the desk.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from msgspec.structs import asdict

from barque.messages import Alert, Message, ModifyRejected, OrderModified, OrderUnknown, RejectReason, SubmitOrder, Topic
from barque.messages.control import Severity
from barque.node import Output
from barque.venue import Capabilities
from router.core.lifecycle import FINAL, OrderEvent, OrderState, after
from router.core.sending.config import SendingConfig, ns
from router.core.sending.effects import AskBooks, Effect
from router.core.sending.state import (
    EXECUTIONS_WINDOW,
    FINISHED_LEAST,
    FINISHED_MOST,
    FINISHED_NS,
    SLACK,
    ZERO,
    Booked,
    Doubted,
    EndedOrder,
    Finished,
    LiveOrder,
    SendingState,
)
from router.core.sending.windows import renew

_ABOUT = ("order_id", "cause", "root", "strategy_id", "account", "symbol")
TERMS = ("quantity", "limit_price", "stop_price", "trail_amount")
"""Of an order, those that can be changed."""
OVERLAP_NS = 60_000_000_000
"""Executions are asked for from so long before the last good look at the books."""
PRICED_NS = 3_600_000_000_000
"""For a commission we ask no longer than this."""


class Desk:
    """State, configuration, and what is to be said and done."""

    def __init__(self, config: SendingConfig, capabilities: Capabilities, node: str, symbols: Iterable[str]) -> None:
        self.config = config
        self.symbols = frozenset(symbols)
        self.capabilities = capabilities
        self.node = node
        self.state = SendingState()
        self.said: list[Output] = []
        self.effects: list[Effect] = []
        self.ended: list[Finished] = []

    # -- saying ------------------------------------------------------------------------------------------------------

    def say(self, kind: type[Any], order: Any, at_ns: int = 0, **fields: Any) -> None:
        """Publish a message about `order`, or about a request for one. `at_ns` 0: it happens now."""
        about = {name: getattr(order, name) for name in _ABOUT}
        self.said.append((Topic.FILLS, kind(**about, ts_event_ns=at_ns or self.state.now_ns, **fields)))

    def say_modified(self, live: LiveOrder, about: Any = None, at_ns: int = 0) -> None:
        """The order's terms are these; `about` is the request that this answers."""
        terms = {name: getattr(live.order, name) for name in TERMS}
        self.say(OrderModified, about or live.order, at_ns, **terms)

    def tell(self, topic: Topic, message: Message) -> None:
        """Publish a message that is about no order."""
        self.said.append((topic, message))

    def alert(self, name: str, severity: Severity, text: str) -> None:
        """`name` has a page in `docs/runbooks/`."""
        message = Alert(name=name, ts_event_ns=self.state.now_ns, severity=severity, source=self.node, text=text)
        self.said.append((Topic.ALERTS, message))

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.state.counters[name] = self.state.counters.get(name, 0) + 1

    # -- orders ------------------------------------------------------------------------------------------------------

    def move(self, live: LiveOrder, event: OrderEvent) -> None:
        """Follow the table of states; a final state ends the order here."""
        before = live.state
        live.state = after(before, event, traded=live.filled > 0)
        if live.state is not before:
            live.since_ns = self.state.now_ns
            live.absent_ns = 0
            live.unknown_ns = self.state.now_ns if live.state is OrderState.UNKNOWN else 0
            live.alerted = False
        if live.state in FINAL:
            self._finish(live)

    def lose(self, live: LiveOrder, detail: str) -> None:
        """Nobody knows whether the broker has it: only the broker's books will tell."""
        if live.state is OrderState.UNKNOWN:
            return
        self.move(live, OrderEvent.LOST)
        self.say(OrderUnknown, live.order, detail=detail)
        self.ask()

    def revive(self, finished: Finished) -> LiveOrder:
        """An order that was thought to have ended without a trade is at the broker after all."""
        order = SubmitOrder(**asdict(finished.order))
        live = LiveOrder(order=order, keep=order.quantity, state=finished.state, number=finished.number)
        live.at_venue = order.quantity
        del self.state.finished[order.order_id]
        self.state.orders[order.order_id] = live
        return live

    def stop(self, order: SubmitOrder) -> tuple[RejectReason, str] | None:
        """Why nothing leaves now, or nothing that could open a position as `order` could."""
        state = self.state
        if state.halted:
            return RejectReason.HALTED, "the book is halted"
        if not order.closes:
            for scope in ("", order.strategy_id):
                if scope in state.tripped:
                    return RejectReason.BREAKER, f"a circuit breaker of {scope or 'the book'} is {state.tripped[scope]}"
        return None

    def miss(self, order: SubmitOrder, left: Decimal, why: str) -> None:
        """An exit has ended with `left` contracts to close, should its entry fill."""
        if left > 0:
            self.state.missed[order.order_id] = Doubted(order=order, left=left, why=why, since_ns=self.state.now_ns)

    def parent_of(self, order: SubmitOrder) -> LiveOrder | Finished | None:
        """The entry of a bracket's exit, as far as it is remembered."""
        if order.parent_id is None:
            return None
        return self.state.orders.get(order.parent_id) or self.state.finished.get(order.parent_id)

    def children_of(self, order_id: str) -> list[LiveOrder]:
        """Open exits of a bracket's entry."""
        return [live for live in self.state.orders.values() if live.order.parent_id == order_id]

    def closed(self, order: SubmitOrder) -> Decimal:
        """Contracts that the other exits of an exit's entry have closed."""
        others: Iterable[LiveOrder | Finished] = chain(self.state.orders.values(), self.state.finished.values())
        return sum((each.filled for each in others if _are_twins(each.order, order)), ZERO)

    def _finish(self, live: LiveOrder) -> None:
        state, order = self.state, live.order
        state.orders.pop(order.order_id, None)
        terms = EndedOrder(**asdict(order) | {"reason": "", "checks": ()})
        ended = Finished(order=terms, state=live.state, filled=live.filled, ended_ns=state.now_ns, number=live.number)
        self.ended.append(ended)
        self._remember(ended)
        if live.change is not None and not live.own_change:
            detail = f"order {order.order_id} has ended; nothing of it was changed"
            self.say(ModifyRejected, live.change, reason=RejectReason.UNKNOWN_ORDER, detail=detail)
        parent = state.orders.get(order.parent_id or "")
        if live.state is not OrderState.FILLED and live.cancel is None and parent is not None and not parent.filled:
            self.miss(order, live.keep - live.filled, f"it ended as {live.state} before its entry had filled")
        if not self.capabilities.brackets:
            missing = order.quantity - live.filled
            for child in self.children_of(order.order_id):
                child.keep -= missing

    def _remember(self, ended: Finished) -> None:
        """The oldest leave the window: what is many and old, or too many."""
        window, now_ns = self.state.finished, self.state.now_ns
        renew(window, ended.order.order_id, ended)
        while len(window) > FINISHED_LEAST:
            oldest = next(iter(window))
            if len(window) <= FINISHED_MOST and now_ns - window[oldest].ended_ns < FINISHED_NS:
                break
            del window[oldest]

    # -- executions --------------------------------------------------------------------------------------------------

    def remember_execution(self, exec_id: str, booked: Booked) -> None:
        """It has been booked; what leaves the window is known by its time."""
        state = self.state
        renew(state.executions, exec_id, booked)
        if len(state.executions) > EXECUTIONS_WINDOW + SLACK:
            for old in list(islice(state.executions, SLACK)):
                state.forgotten_ns = max(state.forgotten_ns, state.executions.pop(old).ts_event_ns)

    def move_position(self, symbol: str, signed: Decimal, by_order: bool) -> None:
        """The account has `signed` contracts more. `by_order`: a strategy's order has brought them."""
        if by_order:
            _add(self.state.by_orders, symbol, signed)
        _add(self.state.positions, symbol, signed)

    def is_ours(self, symbol: str) -> bool:
        """It is configured, or orders of ours have traded in it: what the account holds in others is somebody else's."""
        return symbol in self.symbols or symbol in self.state.by_orders

    # -- the books ---------------------------------------------------------------------------------------------------

    def ask(self, in_s: float = 0.0) -> None:
        """The broker's books are to be read in `in_s` seconds, or before."""
        due = self.state.now_ns + ns(in_s)
        known = self.state.ask_due_ns
        self.state.ask_due_ns = due if known is None else min(known, due)

    def pose(self) -> None:
        """Put the question, if it is due and none is under way."""
        state = self.state
        if state.asked and state.now_ns - state.asked_ns >= ns(self.config.books_timeout_s):
            state.asked = 0
            self.ask()
        if not state.connected or state.asked or state.ask_due_ns is None or state.ask_due_ns > state.now_ns:
            return
        state.questions += 1
        state.asked, state.asked_ns, state.ask_due_ns = state.questions, state.now_ns, None
        self.effects.append(AskBooks(number=state.asked, since_ns=self._since_ns()))

    def _since_ns(self) -> int:
        """From shortly before the last good look, and from the oldest execution whose commission is not known yet."""
        state = self.state
        since_ns = max(state.reconciled_ns - OVERLAP_NS, 0)
        unpriced = (each.ts_event_ns for each in state.executions.values() if not each.priced)
        return min(since_ns, max(min(unpriced, default=since_ns), state.now_ns - PRICED_NS))


def _are_twins(one: SubmitOrder, other: SubmitOrder) -> bool:
    return one.parent_id is not None and one.parent_id == other.parent_id and one.order_id != other.order_id


def _add(held: dict[str, Decimal], symbol: str, signed: Decimal) -> None:
    quantity = held.get(symbol, ZERO) + signed
    if quantity:
        held[symbol] = quantity
    else:
        held.pop(symbol, None)
