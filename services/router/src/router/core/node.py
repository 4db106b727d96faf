"""Decides which signals become orders.

In:   Signal, CancelRequest; every order event and Fill of its account; Mark; Halt, Resume, Flatten, SetLimit; ClockTicked.
Out:  SubmitOrder, CancelOrder, SignalRejected; Alert.
Not:  talking to brokers, valuing accounts. A wish that is already true (a target reached, an exit of a flat position) is
      counted, nothing is sent; a signal seen before is counted, never sent again.

A full exit (or a target of zero) first cancels the bracket legs that guarded the position: filled later, they would open
the opposite one. Cancels go out newest first, so that a leg is withdrawn before its entry takes it along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from barque.errors import nearest
from barque.instruments import Instrument
from barque.messages import (
    Alert,
    CancelOrder,
    CancelRequest,
    ClockTicked,
    Fill,
    Flatten,
    Halt,
    Mark,
    Message,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    OrderUnknown,
    RejectReason,
    Resume,
    SetLimit,
    Signal,
    SignalRejected,
    SubmitOrder,
    Topic,
)
from barque.messages.control import Severity
from barque.node import Output, Rank
from router.config import LIMITS, RouterConfig
from router.core.lifecycle import FINAL, OrderEvent, after, event_of
from router.core.orders import cancel_of, entry_order, exit_orders, opposite, order_id_of
from router.core.risk import refusal_of
from router.core.sizing import Refusal, size
from router.core.state import OpenOrder, RouterState, is_new

_decode = msgspec.msgpack.Decoder(RouterState).decode
_encode = msgspec.msgpack.Encoder().encode


class RouterNode:
    """The risk node of one book; a `barque.node.Node`."""

    name = "router"
    rank = Rank.ROUTER
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.FILLS, Topic.MARKS, Topic.SIGNALS)
    order_path = True

    def __init__(self, config: RouterConfig, instruments: Iterable[Instrument], strategy_ids: Iterable[str]) -> None:
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._strategy_ids = frozenset(strategy_ids)
        self._limits = config.limit_table()
        self._state = RouterState()

    @property
    def counters(self) -> Mapping[str, int]:
        """`signals_repeated`, `signals_moot`, `signals_refused`, `orders_sent`, `executions_repeated`."""
        return self._state.counters

    def handle(self, message: Message) -> list[Output]:
        """What follows from `message`."""
        state = self._state
        match message:
            case Mark() if message.symbol in self._instruments:
                state.marks[message.symbol] = message
            case ClockTicked():
                state.now_ns = max(state.now_ns, message.now_ns)
            case Signal():
                return self._signal(message)
            case CancelRequest():
                return self._cancel_request(message)
            case Fill() if message.account == self._config.account:
                return self._fill(message)
            case OrderAccepted() | OrderRejected() | OrderCancelled() | OrderExpired() | OrderUnknown():
                self._advance(message.order_id, message)
            case Halt():
                state.halted = True
            case Resume():
                state.halted = False
            case Flatten():
                return self._flatten(message)
            case SetLimit():
                return self._set_limit(message)
        return []

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: a router that has seen nothing."""
        self._state = _decode(blob) if blob else RouterState()

    # -- wishes ------------------------------------------------------------------------------------------------------

    def _signal(self, signal: Signal) -> list[Output]:
        state = self._state
        state.now_ns = max(state.now_ns, signal.ts_event_ns)
        order_id = order_id_of(signal.id, "entry")
        if order_id in state.orders or not is_new(state.decided, order_id):
            state.count("signals_repeated")
            return []
        decision = self._decide(signal)
        if isinstance(decision, Refusal):
            return [self._refused(signal, decision)]
        if not decision:
            state.count("signals_moot")
        return self._send(decision)

    def _decide(self, signal: Signal) -> Sequence[SubmitOrder | CancelOrder] | Refusal:
        instrument = self._instruments.get(signal.symbol)
        if self._state.halted:
            return Refusal(RejectReason.HALTED, "the book is halted; resume it first")
        if signal.strategy_id not in self._strategy_ids:
            known = nearest(signal.strategy_id, sorted(self._strategy_ids))
            return Refusal(RejectReason.UNKNOWN_STRATEGY, f"strategy {signal.strategy_id} is not configured; {known}")
        if instrument is None:
            known = nearest(signal.symbol, sorted(self._instruments))
            return Refusal(RejectReason.UNKNOWN_SYMBOL, f"symbol {signal.symbol} has no [[instruments]] entry; {known}")
        if signal.valid_until_ns is not None and signal.valid_until_ns < self._state.now_ns:
            late, now = str(signal.valid_until_ns), str(self._state.now_ns)
            return Refusal(RejectReason.EXPIRED, "its valid_until_ns has passed; see why it came late", limit=late, actual=now)
        return self._orders_for(signal, instrument)

    def _orders_for(self, signal: Signal, instrument: Instrument) -> Sequence[SubmitOrder | CancelOrder] | Refusal:
        wanted = size(signal, instrument, self._state, self._config.default_quantity)
        if isinstance(wanted, Refusal):
            return wanted
        legs = self._guards(signal) if wanted.closes else []
        if not wanted.quantity:
            return legs
        entry = entry_order(signal, wanted, self._config.account, instrument)
        if isinstance(entry, Refusal):
            return entry
        refusal = None if wanted.closes else refusal_of(entry, instrument, self._state, (self._state.limits, self._limits))
        return refusal or [*legs, entry, *exit_orders(signal, entry, instrument)]

    def _guards(self, signal: Signal) -> list[CancelOrder]:
        """Cancels of the bracket legs that a full exit makes pointless; not of those whose entry may still fill."""
        full = signal.quantity is None if signal.action == "exit" else signal.action == "target" and not signal.target
        if not full:
            return []
        open_orders = self._state.orders
        legs = [o for o in self._state.open_of(signal.strategy_id, signal.symbol) if o.order.parent_id is not None]
        guards = [leg for leg in legs if leg.order.parent_id not in open_orders]
        return _cancels(guards, signal.id, signal.root, signal.ts_event_ns)

    def _cancel_request(self, request: CancelRequest) -> list[Output]:
        state = self._state
        state.now_ns = max(state.now_ns, request.ts_event_ns)
        if not is_new(state.decided, order_id_of(request.id, "cancel")):
            state.count("signals_repeated")
            return []
        mine = list(state.open_of(request.strategy_id, request.symbol))
        if request.order_id is not None:
            mine = [each for each in mine if each.order.order_id == request.order_id]
            if not mine:
                detail = f"order {request.order_id} is not an open order of this strategy; nothing to cancel"
                return [self._refused(request, Refusal(RejectReason.UNKNOWN_ORDER, detail))]
        cancels = _cancels(mine, request.id, request.root, request.ts_event_ns)
        if not cancels:
            state.count("signals_moot")
        return self._send(cancels)

    def _refused(self, wish: Signal | CancelRequest, refusal: Refusal) -> Output:
        self._state.count("signals_refused")
        rejection = SignalRejected(
            signal_id=wish.id,
            cause=wish.cause,
            root=wish.root,
            strategy_id=wish.strategy_id,
            symbol=wish.symbol,
            ts_event_ns=self._state.now_ns,
            reason=refusal.reason,
            detail=f"signal {wish.id}: {refusal.detail}",
            limit=refusal.limit,
            actual=refusal.actual,
        )
        return Topic.ORDERS, rejection

    def _send(self, requests: Iterable[SubmitOrder | CancelOrder]) -> list[Output]:
        said: list[Output] = []
        for request in requests:
            if isinstance(request, SubmitOrder):
                self._state.orders[request.order_id] = OpenOrder(order=request)
                self._state.count("orders_sent")
            else:
                self._advance(request.order_id, request)
            said.append((Topic.ORDERS, request))
        return said

    # -- what the broker says ----------------------------------------------------------------------------------------

    def _fill(self, fill: Fill) -> list[Output]:
        state = self._state
        if not is_new(state.executions, f"{fill.account}|{fill.exec_id}"):
            state.count("executions_repeated")
            return []
        if fill.corrects:
            text = (
                f"execution {fill.exec_id} corrects {fill.corrects}, which is booked as it was;"
                f" compare {fill.symbol} with the broker and flatten or book the difference by hand"
            )
            return [self._alert("execution_corrected", "critical", text)]
        state.move(fill.strategy_id, fill.symbol, fill.signed_quantity)
        open_order = state.orders.get(fill.order_id)
        if open_order is not None:
            open_order.filled += fill.quantity
            self._advance(fill.order_id, fill)
        return []

    def _advance(self, order_id: str, message: Message) -> None:
        open_order = self._state.orders.get(order_id)
        if open_order is None:
            return
        event: OrderEvent | None = event_of(message, open_order.order.quantity, open_order.filled)
        if event is not None:
            open_order.state = after(open_order.state, event)
        if open_order.state in FINAL:
            del self._state.orders[order_id]

    # -- commands ----------------------------------------------------------------------------------------------------

    def _flatten(self, command: Flatten) -> list[Output]:
        state = self._state
        cause, ts_ns = command.command_id, state.now_ns or command.ts_event_ns
        if not is_new(state.decided, order_id_of(cause, "flatten")):
            return []
        said = self._send(_cancels(state.orders.values(), cause, cause, ts_ns, again=True))
        held = [(s, symbol, quantity) for s, of in sorted(state.positions.items()) for symbol, quantity in sorted(of.items())]
        if state.halted:
            text = (
                f"flatten {cause}: the book is halted, so {len(said)} orders were cancelled and {len(held)} positions kept;"
                " resume, then flatten again"
            )
            return [*said, self._alert("flatten_while_halted", "critical", text)]
        closing = [
            SubmitOrder(
                order_id=order_id_of(cause, f"flatten|{strategy_id}|{symbol}"),
                cause=cause,
                root=cause,
                strategy_id=strategy_id,
                account=self._config.account,
                symbol=symbol,
                ts_event_ns=ts_ns,
                side=opposite("buy" if quantity > 0 else "sell"),
                quantity=abs(quantity),
                reason=f"flatten by {command.actor}: {command.reason}",
            )
            for strategy_id, symbol, quantity in held
        ]
        return said + self._send(closing)

    def _set_limit(self, command: SetLimit) -> list[Output]:
        fault = ""
        value: Decimal | None = None
        if command.limit not in LIMITS:
            fault = f"there is no limit '{command.limit}'; {nearest(command.limit, list(LIMITS))}"
        elif command.symbol and command.symbol not in self._instruments:
            fault = f"there is no symbol '{command.symbol}'; {nearest(command.symbol, sorted(self._instruments))}"
        elif command.value not in ("", "none"):
            try:
                value = Decimal(command.value)
            except InvalidOperation:
                value = Decimal("NaN")
            if not value.is_finite() or value < 0:
                fault = f"'{command.value}' is no limit; give a number that is not negative, or none"
        if fault:
            return [self._alert("limit_not_set", "warning", f"command {command.command_id} changed nothing: {fault}")]
        self._state.limits[f"{command.limit}|{command.symbol}"] = value
        return []

    def _alert(self, name: str, severity: Severity, text: str) -> Output:
        return Topic.ALERTS, Alert(name=name, ts_event_ns=self._state.now_ns, severity=severity, source=self.name, text=text)


def _cancels(orders: Iterable[OpenOrder], cause: str, root: str, ts_ns: int, again: bool = False) -> list[CancelOrder]:
    """Cancels, newest first; of orders that are being cancelled already only if `again`."""
    wanted = [each for each in orders if again or each.state != "PENDING_CANCEL"]
    return [cancel_of(each.order, cause, root, ts_ns) for each in reversed(wanted)]
