"""A live sender's core and a broker with books of its own: effects go out, events and books come back, luck decides what is lost.

In:   messages and events for the core; what becomes of each effect.   Out: what the core says; the broker's books.
Not:  code under test: the broker counts orders, executions and positions by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from barque.config import load_section
from barque.messages import Message, RejectReason, SubmitOrder
from barque.venue import (
    Accepted,
    Capabilities,
    Connected,
    Disconnected,
    Ended,
    Executed,
    Modified,
    Rejected,
    RequestRefused,
    VenueAccount,
    VenueEvent,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from router.core.sending.config import SendingConfig
from router.core.sending.effects import AskBooks, Change, Effect, HaltBook, Send, Withdraw
from router.core.sending.events import Books, Lost, NotSent, Release
from router.core.sending.node import SendingNode
from router.core.sending.state import Booked, Finished
from router.core.sending.windows import Cut, Windows
from tests.support.builders import NS, T0, an_order, clock

Luck = Literal["ok", "not_sent", "lost_before", "lost_after"]
D = Decimal
ZERO = Decimal(0)
PRICE = Decimal("1.3")
SYMBOLS = ("EURUSD", "USDJPY")
"""Those that are configured."""


def capabilities(**changes: Any) -> Capabilities:
    """A broker that takes everything and links nothing."""
    base: dict[str, Any] = {
        "order_types": ("market", "limit", "stop", "stop_limit", "trailing_stop"),
        "times_in_force": ("day", "gtc", "ioc", "fok", "gtd"),
        "modify": True,
        "brackets": False,
        "oco": False,
    }
    return Capabilities(**(base | changes))


def a_sender(can: Capabilities | None = None, symbols: Iterable[str] = SYMBOLS, **section: Any) -> SendingNode:
    """A sender of account `paper` with the keys of its section."""
    config = load_section({"sender": {"account": "paper", "venue": "model"} | section}, "sender", SendingConfig)
    return SendingNode(config, can or capabilities(), "model", symbols)


def a_bracket(name: str, quantity: int = 10) -> list[SubmitOrder]:
    """An entry to buy at 1.30, its take profit at 1.50 and its stop at 1.20."""
    entry = an_order(order_id=name, quantity=D(quantity), order_type="limit", limit_price=D("1.30"))
    leg: dict[str, Any] = {"side": "sell", "quantity": D(quantity), "parent_id": name, "oco_group": name, "closes": True}
    profit = an_order(order_id=f"{name}-tp", order_type="limit", limit_price=D("1.50"), **leg)
    return [entry, profit, an_order(order_id=f"{name}-sl", order_type="stop", stop_price=D("1.20"), **leg)]


@dataclass
class BookedOrder:
    """An order in the broker's book."""

    order: SubmitOrder
    number: int
    filled: Decimal = ZERO
    open: bool = True
    submissions: int = 1


@dataclass
class ModelBroker:
    """Books of one account. `pending` are events that have not been delivered."""

    dedupe: bool = False
    orders: dict[str, BookedOrder] = field(default_factory=dict)
    executions: list[VenueExecution] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    pending: list[VenueEvent] = field(default_factory=list)
    sent_numbers: list[int] = field(default_factory=list)
    now_ns: int = T0

    def receive(self, effect: Effect) -> None:
        """A request has arrived."""
        if isinstance(effect, Send):
            for order, number in effect.orders:
                self._submit(order, number)
        elif isinstance(effect, Withdraw):
            self._cancel(effect.request.order_id)
        elif isinstance(effect, Change):
            self._change(effect)

    def trade(
        self, order_id: str, quantity: Decimal, commission: Decimal | None = ZERO, price: Decimal = PRICE
    ) -> VenueExecution:
        """So much of an open order trades, or what is left of it."""
        booked = self.orders[order_id]
        quantity = min(quantity, booked.order.quantity - booked.filled)
        booked.filled += quantity
        booked.open = booked.filled < booked.order.quantity
        order = booked.order
        return self.execute(order_id, order.side, quantity, commission, price, symbol=order.symbol)

    def execute(
        self,
        order_id: str,
        side: Any,
        quantity: Decimal,
        commission: Decimal | None = ZERO,
        price: Decimal = PRICE,
        corrects: str = "",
        symbol: str = "EURUSD",
    ) -> VenueExecution:
        """An execution enters the book; its report waits to be delivered."""
        execution = VenueExecution(
            exec_id=f"x{len(self.executions) + 1}",
            order_id=order_id,
            venue_order_id=f"v-{order_id}",
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            ts_event_ns=self.now_ns,
            commission=commission,
            corrects=corrects,
        )
        self.executions.append(execution)
        self.pending.append(Executed(execution=execution))
        return execution

    def correct(self, execution: VenueExecution, quantity: Decimal) -> VenueExecution:
        """An execution is replaced by one of `quantity`; 0: it is busted. The order stays as it was."""
        self.replaced.append(execution.exec_id)
        booked = self.orders.get(execution.order_id)
        if booked is not None:
            booked.filled += quantity - execution.quantity
        return self.execute(execution.order_id, execution.side, quantity, corrects=execution.exec_id, symbol=execution.symbol)

    def positions(self) -> dict[str, Decimal]:
        """Signed contracts by symbol, none of them zero."""
        held: dict[str, Decimal] = {}
        for each in self.executions:
            if each.exec_id not in self.replaced:
                signed = each.quantity if each.side == "buy" else -each.quantity
                held[each.symbol] = held.get(each.symbol, ZERO) + signed
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def open_ids(self) -> list[str]:
        """Orders at work, oldest first."""
        return [order_id for order_id, booked in self.orders.items() if booked.open]

    def books(self, ask: AskBooks, **changes: Any) -> Books:
        """The answer to a question."""
        shown = [self._show(self.orders[order_id]) for order_id in self.open_ids()]
        positions = [VenuePosition(symbol=s, quantity=q, average_price=D("1.3")) for s, q in self.positions().items()]
        base: dict[str, Any] = {
            "number": ask.number,
            "open_orders": tuple(shown),
            "executions": tuple(each for each in self.executions if each.ts_event_ns >= ask.since_ns),
            "positions": tuple(positions),
            "account": an_account(),
        }
        return Books(**(base | changes))

    def _show(self, booked: BookedOrder) -> VenueOrder:
        order = booked.order
        return VenueOrder(
            order_id=order.order_id,
            venue_order_id=f"v-{order.order_id}",
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            filled=booked.filled,
            order_type=order.order_type,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
        )

    def _submit(self, order: SubmitOrder, number: int) -> None:
        at = self.now_ns
        known = self.orders.get(order.order_id)
        if known is not None and self.dedupe:
            refusal = {"reason": RejectReason.DUPLICATE, "detail": "known", "ts_event_ns": at}
            self.pending.append(Rejected(order_id=order.order_id, **refusal))
            return
        if known is not None:
            known.submissions += 1
            return
        self.sent_numbers.append(number)
        self.orders[order.order_id] = BookedOrder(order, number)
        self.pending.append(Accepted(order_id=order.order_id, venue_order_id=f"v-{order.order_id}", ts_event_ns=at))

    def _cancel(self, order_id: str) -> None:
        booked = self.orders.get(order_id)
        if booked is None or not booked.open:
            self._refuse(order_id, "cancel")
            return
        booked.open = False
        self.pending.append(Ended(order_id=order_id, how="cancelled", detail="", ts_event_ns=self.now_ns))

    def _change(self, effect: Change) -> None:
        order_id, request = effect.request.order_id, effect.request
        booked = self.orders.get(order_id)
        if booked is None or not booked.open or (request.quantity is not None and request.quantity <= booked.filled):
            self._refuse(order_id, "modify")
            return
        names = ("quantity", "limit_price", "stop_price", "trail_amount")
        booked.order = replace(booked.order, **{n: v for n in names if (v := getattr(request, n)) is not None})
        terms = {name: getattr(booked.order, name) for name in names}
        self.pending.append(Modified(order_id=order_id, ts_event_ns=self.now_ns, **terms))

    def _refuse(self, order_id: str, request: Any) -> None:
        reason = RejectReason.ORDER_STATE if order_id in self.orders else RejectReason.UNKNOWN_ORDER
        said = {"reason": reason, "detail": "not open", "ts_event_ns": self.now_ns}
        self.pending.append(RequestRefused(order_id=order_id, request=request, **said))


def an_account(**changes: Any) -> VenueAccount:
    """100,000 USD, nothing else."""
    base: dict[str, Any] = {"account": "paper", "live": False, "currency": "USD", "cash": {"USD": D(100_000)}}
    return VenueAccount(**(base | {"equity": D(100_000), "buying_power": D(100_000)} | changes))


class Kept:
    """A sender's cuts, put together as the ledger does it: all that a process that starts anew finds."""

    def __init__(self) -> None:
        self.state = b""
        self._rows: dict[str, dict[str, tuple[int, bytes]]] = {"finished": {}, "executions": {}}
        self._number = 0

    def add(self, cut: Cut) -> None:
        self.state = cut.state
        for part, change in (("finished", cut.finished), ("executions", cut.executions)):
            rows = self._rows[part]
            for key in change.gone:
                del rows[key]
            for key, entry in change.new.items():
                self._number += 1
                rows[key] = self._number, msgspec.msgpack.encode(entry)

    def reborn(self, node: SendingNode) -> SendingNode:
        """`node`, as the last cut left it."""
        windows: dict[str, dict[str, Any]] = {}
        for part, kind in (("finished", Finished), ("executions", Booked)):
            rows = sorted(self._rows[part].items(), key=lambda row: row[1][0])
            windows[part] = {key: msgspec.msgpack.decode(body, type=kind) for key, (_, body) in rows}
        node.join(self.state, Windows(**windows))
        return node


class Sending:
    """A sender and its broker, transaction by transaction, as a shell would drive them."""

    def __init__(self, can: Capabilities | None = None, **section: Any) -> None:
        self.symbols = SYMBOLS
        """Configured when a process begins."""
        self._make = lambda: a_sender(can, self.symbols, **section)
        self.node = self._make()
        self.broker = ModelBroker(dedupe=(can or capabilities()).dedupe == "forever")
        self.now_ns = T0
        self.luck: list[Luck] = []
        """What becomes of the next effects; `ok` when it is used up."""
        self.said: list[Message] = []
        self.effects: list[Effect] = []
        """All that the core ever wanted done."""
        self.questions: list[AskBooks] = []
        """Questions to the books that nobody has answered."""
        self.halts: list[HaltBook] = []
        self.kept = Kept()
        self._waiting: list[Effect] = []

    def tell(self, *messages: Any) -> list[Message]:
        """One transaction: what is said, then what is done about its effects."""
        said = [m for message in (clock(self.now_ns), *messages, Release(now_ns=self.now_ns)) for m in self._handle(message)]
        self.said += said
        effects, self._waiting = self._waiting, []
        outcome = [event for effect in effects for event in self._act(effect)]
        if outcome:
            said = said + self.tell(*outcome)
        return said

    def wait(self, seconds: float, *messages: Any) -> list[Message]:
        """Time passes; nothing comes from the broker."""
        self.now_ns += int(seconds * NS)
        self.broker.now_ns = self.now_ns
        return self.tell(*messages)

    def deliver(self, count: int | None = None) -> list[Message]:
        """The oldest events arrive, all unless told otherwise."""
        take = len(self.broker.pending) if count is None else count
        events, self.broker.pending = self.broker.pending[:take], self.broker.pending[take:]
        return self.tell(*events)

    def answer(self, **changes: Any) -> list[Message]:
        """The broker shows its books, as they are now but for `changes`."""
        asked, self.questions = self.questions, []
        return [m for ask in asked for m in self.tell(self.broker.books(ask, **changes))]

    def connect(self) -> list[Message]:
        """A session begins; the books are clean."""
        return self.tell(Connected(ts_event_ns=self.now_ns)) + self.answer()

    def crash(self) -> list[Message]:
        """The process dies after its last commit and starts anew; what the broker meant to say is lost with the session."""
        self.node = self.kept.reborn(self._make())
        self.broker.pending, self.questions = [], []
        return self.tell(Disconnected(ts_event_ns=self.now_ns, detail="the sender has started"))

    def restore(self, blob: bytes) -> None:
        """The sender becomes what a snapshot says."""
        self.node.restore(blob)
        self.kept.add(self.node.cut())

    def rest(self, rounds: int = 12) -> None:
        """Everything arrives, every question is answered, and time passes until nothing is left to say."""
        for _ in range(rounds):
            while self.broker.pending or self.questions:
                self.deliver()
                self.answer()
            self.wait(6)

    def state(self) -> dict[str, Any]:
        """The core's state, plain."""
        return msgspec.msgpack.decode(self.node.snapshot())  # type: ignore[no-any-return]

    def state_of(self, order_id: str) -> str:
        """How far an order has come; empty: unknown here."""
        state = self.state()
        known = state["orders"].get(order_id) or state["finished"].get(order_id)
        return str(known["state"]) if known is not None else ""

    def positions(self) -> dict[str, Decimal]:
        """What the core believes the account to hold."""
        return {symbol: D(quantity) for symbol, quantity in self.state()["positions"].items()}

    def _handle(self, message: Any) -> Iterable[Message]:
        """A core made anew from what is kept does what the living one does."""
        reborn = self.kept.reborn(self._make())
        said = list(self.node.handle(message))
        effects = self.node.take_effects()
        assert list(reborn.handle(message)) == said, message
        assert reborn.take_effects() == effects, message
        assert reborn.snapshot() == self.node.snapshot(), message
        self.kept.add(self.node.cut())
        self._waiting += effects
        return [m for _, m in said]

    def _act(self, effect: Effect) -> list[Any]:
        self.effects.append(effect)
        if isinstance(effect, AskBooks):
            self.questions.append(effect)
            return []
        if isinstance(effect, HaltBook):
            self.halts.append(effect)
            return []
        luck = self.luck.pop(0) if self.luck else "ok"
        if luck in ("ok", "lost_after"):
            before = len(self.broker.pending)
            self.broker.receive(effect)
            if luck == "lost_after":
                del self.broker.pending[before:]
        request: Any = {Send: "submit", Withdraw: "cancel", Change: "modify"}[type(effect)]
        ids = tuple(o.order_id for o, _ in effect.orders) if isinstance(effect, Send) else (effect.request.order_id,)
        if luck == "not_sent":
            return [NotSent(order_ids=ids, request=request, detail="no route")]
        if luck != "ok" and request == "submit":
            return [Lost(order_ids=ids, detail="cut")]
        return []
