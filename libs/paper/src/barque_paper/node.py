"""The pure exchange model: what backtests, the paper sender and the simulators trade against.

In:   SubmitOrder, CancelOrder, ModifyOrder of its account; Quote, Trade, Bar; ClockTicked; Halt, Resume.
Out:  OrderAccepted, OrderRejected, OrderCancelled, OrderExpired, Fill.
Not:  partial fills, market impact, trailing stops. A bar that closed before an order came never fills it.

Prices. A symbol with quotes or trades trades at its latest one (at the first one `latency_ms` later where there is
latency), and its bars are ignored. A symbol that only ever had bars trades at the open of the next bar, resting orders
inside it too. A bar that opens no later than the last one of its side is ignored: of several intervals the finest serves.
Time in force. `day` ends with the UTC day of its acceptance. `ioc` and `fok` get one attempt, at the first price they may
trade at. `valid_until_ns` ends any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from barque.instruments import LARGEST, Instrument
from barque.messages import (
    Bar,
    CancelOrder,
    ClockTicked,
    Fill,
    Halt,
    Message,
    ModifyOrder,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    Quote,
    RejectReason,
    Resume,
    SubmitOrder,
    Topic,
    Trade,
)
from barque.messages.market import PriceType
from barque.node import Output, Rank
from barque_paper.config import PaperConfig
from barque_paper.matching import Match, fault_of, match, with_slippage
from barque_paper.state import Market, PaperState, Span, WorkingOrder

DAY_NS = 86_400_000_000_000
_LARGEST = float(LARGEST)
_decode = msgspec.msgpack.Decoder(PaperState).decode
_encode = msgspec.msgpack.Encoder().encode


class PaperNode:
    """One paper account's exchange; a `barque.node.Node`."""

    name = "sender.paper"
    rank = Rank.SENDER
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.ORDERS, Topic.TICKS, Topic.BARS)
    order_path = True

    def __init__(self, config: PaperConfig, instruments: Iterable[Instrument]) -> None:
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._latency_ns = config.latency_ms * 1_000_000
        self._state = PaperState()
        self._said: list[Output] = []

    @property
    def counters(self) -> Mapping[str, int]:
        """`orders_repeated`: ids that had been submitted before."""
        return self._state.counters

    def handle(self, message: Message) -> list[Output]:
        """What the exchange says to `message`."""
        self._said = []
        match message:
            case Bar():
                self._see_bar(message)
            case Quote():
                self._see_tick(message.symbol, message.ts_event_ns, (("bid", message.bid), ("ask", message.ask)))
            case Trade():
                self._see_tick(message.symbol, message.ts_event_ns, (("last", message.price),))
            case ClockTicked():
                self._see_time(message.now_ns)
            case SubmitOrder() if message.account == self._config.account:
                self._submit(message)
            case CancelOrder() if message.account == self._config.account:
                self._cancel(message)
            case ModifyOrder() if message.account == self._config.account:
                self._modify(message)
            case Halt():
                self._state.halted = True
            case Resume():
                self._state.halted = False
        return self._said

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: an exchange that has seen nothing."""
        self._state = _decode(blob) if blob else PaperState()

    # -- prices and time ---------------------------------------------------------------------------------------------

    def _see_bar(self, bar: Bar) -> None:
        state = self._state
        if bar.symbol not in self._instruments or not (_usable(bar.open) and _usable(bar.high) and _usable(bar.low)):
            return
        state.now_ns = max(state.now_ns, bar.ts_close_ns)
        market = state.markets.setdefault(bar.symbol, Market())
        known = market.spans.get(bar.price)
        if market.ticked or (known is not None and bar.ts_open_ns <= known.from_ns):
            return
        market.spans[bar.price] = Span(
            open=bar.open, high=bar.high, low=bar.low, from_ns=bar.ts_open_ns, until_ns=bar.ts_close_ns
        )
        self._trade(self._at_work(bar.symbol))

    def _see_tick(self, symbol: str, ts_ns: int, prices: tuple[tuple[PriceType, float], ...]) -> None:
        state = self._state
        usable = [(side, price) for side, price in prices if _usable(price)]
        if symbol not in self._instruments or not usable:
            return
        state.now_ns = max(state.now_ns, ts_ns)
        market = state.markets.setdefault(symbol, Market())
        if not market.ticked:
            market.ticked = True
            market.spans.clear()
        for side, price in usable:
            known = market.spans.get(side)
            if known is None or ts_ns >= known.from_ns:
                market.spans[side] = Span(open=price, high=price, low=price, from_ns=ts_ns, until_ns=ts_ns)
        self._trade(self._at_work(symbol))

    def _see_time(self, now_ns: int) -> None:
        self._state.now_ns = max(self._state.now_ns, now_ns)
        for working in list(self._state.working.values()):
            if working.is_past(now_ns):
                self._expire(working, now_ns)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _submit(self, order: SubmitOrder) -> None:
        state = self._state
        if order.order_id in state.working or order.order_id in state.finished:
            state.count("orders_repeated")
            return
        accepted_ns = state.now_ns = max(state.now_ns, order.ts_event_ns)
        fault = self._refusal(order)
        if fault is not None:
            reason, detail = fault
            state.finish(order, filled=False)
            self._say(OrderRejected, order, accepted_ns, reason=reason, detail=f"order {order.order_id}: {detail}")
            return
        working = WorkingOrder(
            order=order,
            active_ns=accepted_ns + self._latency_ns,
            deadline_ns=_deadline(order, accepted_ns),
            held=order.parent_id in state.working,
        )
        state.working[order.order_id] = working
        self._say(OrderAccepted, order, accepted_ns, venue_order_id=f"P-{order.order_id}")
        self._start(working, accepted_ns)

    def _start(self, working: WorkingOrder, accepted_ns: int) -> None:
        order, state = working.order, self._state
        if working.is_past(accepted_ns):
            self._expire(working, accepted_ns)
        elif order.oco_group is not None and order.oco_group in state.filled_groups:
            self._withdraw(working, accepted_ns, f"{state.filled_groups[order.oco_group]} of its group has filled")
        elif order.time_in_force in ("ioc", "fok") and order.symbol not in state.markets:
            self._withdraw(working, accepted_ns, f"{order.time_in_force} cannot fill at once: {order.symbol} has no price yet")
        elif not working.held:
            self._trade([working])

    def _refusal(self, order: SubmitOrder) -> tuple[RejectReason, str] | None:
        if self._state.halted:
            return RejectReason.HALTED, "the book is halted; resume it and let the strategy decide anew"
        fault = fault_of(order, order.symbol in self._instruments)
        if fault is not None or order.parent_id is None or order.parent_id in self._state.working:
            return fault
        if self._state.finished.get(order.parent_id, False):
            return None
        return RejectReason.UNKNOWN_ORDER, f"its parent {order.parent_id} is neither at work nor filled"

    def _cancel(self, request: CancelOrder) -> None:
        working = self._state.working.get(request.order_id)
        now_ns = self._state.now_ns = max(self._state.now_ns, request.ts_event_ns)
        if working is None:
            self._say_not_working(request, "cancel")
        else:
            self._withdraw(working, now_ns, "cancelled as asked")

    def _modify(self, request: ModifyOrder) -> None:
        working = self._state.working.get(request.order_id)
        now_ns = self._state.now_ns = max(self._state.now_ns, request.ts_event_ns)
        if working is None:
            self._say_not_working(request, "modify")
            return
        terms = {name: getattr(request, name) for name in ("quantity", "limit_price", "stop_price")}
        order = msgspec.structs.replace(working.order, **{k: v for k, v in terms.items() if v is not None})
        fault = fault_of(order, known=True)
        if fault is not None:
            reason, detail = fault
            detail = f"order {order.order_id} works on as it was: {detail}"
            self._say(OrderRejected, working.order, now_ns, reason=reason, detail=detail)
            return
        working.order = order
        working.active_ns = max(working.active_ns, now_ns + self._latency_ns)
        self._say(OrderAccepted, order, now_ns, venue_order_id=f"P-{order.order_id}")
        if not working.held:
            self._trade([working])

    # -- trading -----------------------------------------------------------------------------------------------------

    def _at_work(self, symbol: str) -> list[WorkingOrder]:
        return [w for w in self._state.working.values() if w.order.symbol == symbol and not w.held]

    def _trade(self, orders: list[WorkingOrder]) -> None:
        """Match `orders` with the latest prices: at the open first, then stops, then limits, each by acceptance."""
        found = [(working, hit) for working in orders if (hit := self._look(working)) is not None]
        for working, hit in sorted(found, key=lambda pair: pair[1].turn):
            if working.order.order_id in self._state.working and hit.price is not None:
                self._fill(working, hit.price, max(working.active_ns, hit.ts_ns))

    def _look(self, working: WorkingOrder) -> Match | None:
        """The trade that the latest prices give `working`; ends it where its time or its one attempt is over."""
        order = working.order
        market = self._state.markets.get(order.symbol)
        span = market.span(order.side) if market is not None else None
        if market is None or span is None:
            return None
        if working.is_past(span.from_ns):
            self._expire(working, span.from_ns)
            return None
        if span.from_ns >= working.active_ns or (market.ticked and not self._latency_ns):
            hit = match(working, span, self._instruments[order.symbol])
            if hit is not None and hit.price is not None:
                return hit
            if hit is not None:
                working.triggered = True
                working.active_ns = max(working.active_ns, hit.ts_ns)
            if order.time_in_force in ("ioc", "fok"):
                self._withdraw(working, max(working.active_ns, span.from_ns), f"{order.time_in_force} could not fill at once")
                return None
        if working.is_past(span.until_ns):
            self._expire(working, span.until_ns)
        return None

    def _fill(self, working: WorkingOrder, price: Decimal, ts_ns: int) -> None:
        order, config = working.order, self._config
        instrument = self._instruments[order.symbol]
        price = with_slippage(order, price, config.slippage_fraction, instrument)
        self._say(
            Fill,
            order,
            ts_ns,
            exec_id=f"{order.order_id}-1",
            side=order.side,
            quantity=order.quantity,
            price=price,
            commission=max(config.commission_min, config.commission_fraction * instrument.notional(price, order.quantity)),
            commission_currency=instrument.currency,
        )
        self._state.finish(order, filled=True)
        if order.oco_group is not None:
            for other in self._where(oco_group=order.oco_group):
                self._withdraw(other, ts_ns, f"{order.order_id} of its group has filled")
        children = self._where(parent_id=order.order_id)
        for child in children:
            child.held = False
            child.active_ns = max(child.active_ns, ts_ns)
        self._trade(children)

    def _withdraw(self, working: WorkingOrder, ts_ns: int, detail: str) -> None:
        if working.order.order_id in self._state.working:
            self._say(OrderCancelled, working.order, ts_ns, detail=detail)
            self._end(working, ts_ns)

    def _expire(self, working: WorkingOrder, ts_ns: int) -> None:
        if working.order.order_id in self._state.working:
            self._say(OrderExpired, working.order, ts_ns)
            self._end(working, ts_ns)

    def _end(self, working: WorkingOrder, ts_ns: int) -> None:
        """It will not trade, so neither will the orders that wait for it."""
        order_id = working.order.order_id
        self._state.finish(working.order, filled=False)
        for child in self._where(parent_id=order_id):
            self._withdraw(child, ts_ns, f"its parent {order_id} ended without a fill")

    def _where(self, **fields: str) -> list[WorkingOrder]:
        ((name, value),) = fields.items()
        return [w for w in self._state.working.values() if getattr(w.order, name) == value]

    # -- what is said ------------------------------------------------------------------------------------------------

    def _say(self, kind: type[Any], subject: SubmitOrder | CancelOrder | ModifyOrder, ts_ns: int, **fields: Any) -> None:
        event = kind(
            order_id=subject.order_id,
            cause=subject.cause,
            root=subject.root,
            strategy_id=subject.strategy_id,
            account=subject.account,
            symbol=subject.symbol,
            ts_event_ns=ts_ns,
            **fields,
        )
        self._said.append((Topic.FILLS, event))

    def _say_not_working(self, request: CancelOrder | ModifyOrder, verb: str) -> None:
        detail = f"cannot {verb} order {request.order_id}: it has finished or never came here; nothing was changed"
        self._say(OrderRejected, request, self._state.now_ns, reason=RejectReason.UNKNOWN_ORDER, detail=detail)


def _deadline(order: SubmitOrder, accepted_ns: int) -> int | None:
    """The last instant at which `order` may trade."""
    if order.time_in_force != "day":
        return order.valid_until_ns
    end_of_day = (accepted_ns // DAY_NS + 1) * DAY_NS - 1
    return end_of_day if order.valid_until_ns is None else min(order.valid_until_ns, end_of_day)


def _usable(price: float) -> bool:
    """False for NaN, infinities, zero, negative and absurd prices."""
    return 0 < price < _LARGEST
