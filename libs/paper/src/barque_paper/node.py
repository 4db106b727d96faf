"""The pure exchange model: what backtests, the paper sender and the simulators trade against.

In:   SubmitOrder, CancelOrder, ModifyOrder, BreakerChanged of its account; Quote, Trade, Bar; ClockTicked; Halt, Resume.
Out:  OrderAccepted, OrderRejected, OrderModified, ModifyRejected, OrderCancelled, CancelRejected, OrderExpired, Fill.
Not:  market impact, queues, margin. A bar that closed before an order came never fills it, unless `fill_at` is `close`.

Halts and circuit breakers are obeyed here once more, whatever the router let pass: while the book is halted nothing is taken
but cancels and changes that only make an order smaller; while a breaker is open nothing besides that opens a position.

Every rule, with numbers: docs/fill-model.md. Prices. A symbol with quotes or trades trades at its latest one (at the first
one `latency_ms` later where there is latency), and its bars are ignored. A symbol that only ever had bars trades at the
open of the next bar, resting orders inside it too. A bar that opens no later than the last one of its side is ignored: of
several intervals the finest serves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from barque.calendars import calendar
from barque.errors import ConfigError, nearest
from barque.instruments import LARGEST, Instrument
from barque.messages import (
    Bar,
    BreakerChanged,
    CancelOrder,
    CancelRejected,
    ClockTicked,
    Halt,
    Message,
    ModifyOrder,
    ModifyRejected,
    OrderAccepted,
    OrderRejected,
    Quote,
    RejectReason,
    Resume,
    SubmitOrder,
    Topic,
    Trade,
)
from barque.messages.market import PriceType
from barque.node import ASLEEP, AWAKE, Output, Rank
from barque.venue import VenueAccount, VenueExecution, VenueOrder, VenuePosition
from barque_paper import reports
from barque_paper.config import PaperConfig
from barque_paper.costs import Costs
from barque_paper.faults import Fault, fault_of_change, fault_of_order
from barque_paper.floor import Floor, about
from barque_paper.state import ZERO, Market, PaperState, WorkingOrder

BOOK = ""
"""The scope of a circuit breaker that is the whole book's."""
_LARGEST = float(LARGEST)
_TERMS = ("quantity", "limit_price", "stop_price", "trail_amount")
# Members of an enumeration by names of this module: in Python 3.11 `Topic.FILLS` costs as much as five calls.
_BARS, _TICKS, _CLOCK, _FILLS = Topic.BARS, Topic.TICKS, Topic.CLOCK, Topic.FILLS
_decode = msgspec.msgpack.Decoder(PaperState).decode
_encode = msgspec.msgpack.Encoder().encode


class PaperNode:
    """One paper account's exchange; a `barque.node.Node` and a `barque.node.Sleeper`."""

    name = "sender.paper"
    rank = Rank.SENDER
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.ORDERS, Topic.TICKS, Topic.BARS)
    order_path = True

    def __init__(self, config: PaperConfig, instruments: Iterable[Instrument]) -> None:
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        for each in config.symbols:
            if each.symbol not in self._instruments:
                hint = nearest(each.symbol, list(self._instruments))
                raise ConfigError(f"[[paper.symbols]]: symbol '{each.symbol}' has no [[instruments]] entry; {hint}")
        self._costs = {symbol: Costs(config, instrument) for symbol, instrument in self._instruments.items()}
        self._latency_ns = config.latency_ms * 1_000_000
        self.handlers: Mapping[type, Callable[[Any], Sequence[Output]]] = {
            Bar: self._see_bar,
            Quote: self._see_quote,
            Trade: self._see_trade,
            ClockTicked: self._see_time,
            SubmitOrder: self._submit,
            CancelOrder: self._cancel,
            ModifyOrder: self._modify,
            Halt: self._halt,
            Resume: self._resume,
            BreakerChanged: self._follow_breaker,
        }
        self.restore(b"")

    @property
    def counters(self) -> Mapping[str, int]:
        """`orders_repeated`: ids that had been submitted before."""
        return self._state.counters

    def handle(self, message: Message) -> Sequence[Output]:
        """What the exchange says to `message`."""
        handler = self.handlers.get(type(message))
        return () if handler is None else handler(message)

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: an exchange that has seen nothing."""
        state = self._state = _decode(blob) if blob else self._fresh()
        for symbol in self._instruments:
            state.markets.setdefault(symbol, Market())
        self._floor = Floor(self._costs, self._latency_ns, state)

    def sleeps_until(self, topic: Topic) -> int:
        """Prices only overwrite while no order works: bars, and per symbol quotes (with both sides) and trades. The clock does
        nothing before an order's time is over."""
        if topic is _BARS or topic is _TICKS:
            return AWAKE if self._state.working else ASLEEP
        return self.due_ns if topic is _CLOCK else AWAKE

    @property
    def due_ns(self) -> int:
        """See `barque.node.Timed`."""
        due_ns = self._floor.next_due_ns()
        return ASLEEP if due_ns is None else due_ns + 1

    # -- what a broker would tell ------------------------------------------------------------------------------------

    def open_orders(self) -> list[VenueOrder]:
        """See `reports.open_orders`."""
        return reports.open_orders(self._state)

    def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        """See `reports.executions_since`."""
        return reports.executions_since(self._state, ts_ns)

    def positions(self) -> list[VenuePosition]:
        """See `reports.positions`."""
        return reports.positions(self._state, self._costs)

    def account(self) -> VenueAccount:
        """See `reports.account`."""
        return reports.account(self._state, self._config, self._costs)

    # -- prices and time ---------------------------------------------------------------------------------------------

    def _see_bar(self, bar: Bar) -> Sequence[Output]:
        state = self._state
        market = state.markets.get(bar.symbol)
        if market is None:
            return ()
        if bar.ts_close_ns > state.now_ns:
            state.now_ns = bar.ts_close_ns
        bars, kind = market.bars, bar.price
        known = bars.get(kind)
        if known is None:
            if market.ticked:
                return ()
        elif bar.ts_open_ns <= known.ts_open_ns and not _continues(bar, known):
            return ()
        bars[kind] = bar
        if market.taken:
            market.taken.pop(kind, None)
        if not state.working:
            return ()
        self._floor.arrived(bar.symbol, (kind,), known is not None)
        return self._take()

    def _see_quote(self, quote: Quote) -> Sequence[Output]:
        market = self._state.markets.get(quote.symbol)
        if market is None:
            return ()
        known = market.quote
        if not (0 < quote.bid < _LARGEST and 0 < quote.ask < _LARGEST):
            completed = _completed(quote, known)
            if completed is None:
                return ()
            quote = completed
        if known is not None and quote.ts_event_ns < known.ts_event_ns:
            return ()
        market.quote = quote
        return self._ticked(market, quote, ("bid", "ask"))

    def _see_trade(self, trade: Trade) -> Sequence[Output]:
        market = self._state.markets.get(trade.symbol)
        if market is None or not 0 < trade.price < _LARGEST:
            return ()
        known = market.trade
        if known is not None and trade.ts_event_ns < known.ts_event_ns:
            return ()
        market.trade = trade
        return self._ticked(market, trade, ("last",))

    def _ticked(self, market: Market, tick: Quote | Trade, kinds: tuple[PriceType, ...]) -> Sequence[Output]:
        state = self._state
        state.now_ns = max(state.now_ns, tick.ts_event_ns)
        if market.bars:
            market.bars.clear()
        if market.taken:
            for kind in kinds:
                market.taken.pop(kind, None)
        if not state.working:
            return ()
        self._floor.arrived(tick.symbol, kinds)
        return self._take()

    def _see_time(self, tick: ClockTicked) -> Sequence[Output]:
        state = self._state
        if tick.now_ns > state.now_ns:
            state.now_ns = tick.now_ns
        if not state.working:
            return ()
        self._floor.expire_due(tick.now_ns)
        return self._take()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _submit(self, order: SubmitOrder) -> Sequence[Output]:
        state, floor = self._state, self._floor
        if order.account != self._config.account:
            return ()
        if order.order_id in state.working or order.order_id in state.finished:
            state.count("orders_repeated")
            return ()
        now_ns = order.ts_event_ns if order.ts_event_ns > state.now_ns else state.now_ns
        state.now_ns = now_ns
        deadline_ns, fault = self._terms(order, now_ns)
        if fault is not None:
            return self._reject(order, now_ns, fault)
        working = WorkingOrder(order=order, active_ns=now_ns + self._latency_ns, deadline_ns=deadline_ns)
        floor.book.add(working)
        accepted = OrderAccepted(
            order_id=order.order_id,
            cause=order.cause,
            root=order.root,
            strategy_id=order.strategy_id,
            account=order.account,
            symbol=order.symbol,
            ts_event_ns=now_ns,
            venue_order_id=f"{reports.VENUE_PREFIX}{order.order_id}",
        )
        floor.said.append((_FILLS, accepted))
        self._begin(working, now_ns)
        return self._take()

    def _terms(self, order: SubmitOrder, now_ns: int) -> tuple[int | None, Fault | None]:
        """The last instant at which `order` may trade, and why it cannot be taken."""
        stop = self._stop(order.strategy_id, order.closes)
        if stop is not None:
            return None, stop
        instrument = self._instruments.get(order.symbol)
        fault = fault_of_order(order, instrument, self._config, now_ns) or self._orphan(order)
        if fault is not None or instrument is None or order.time_in_force != "day":
            return order.valid_until_ns, fault
        try:
            day = calendar(instrument.calendar).trading_day_from(now_ns)
        except ConfigError as error:
            return None, (RejectReason.UNSUPPORTED, f"the end of its day is not known: {error}")
        if day is None:
            return None, (RejectReason.UNSUPPORTED, f"calendar {instrument.calendar} knows no day of trading after {now_ns} ns")
        end_ns = day.close_ns - 1
        return (end_ns if order.valid_until_ns is None else min(order.valid_until_ns, end_ns)), None

    def _orphan(self, order: SubmitOrder) -> Fault | None:
        parent_id = order.parent_id
        if parent_id is None or parent_id in self._state.working or self._state.finished.get(parent_id):
            return None
        return RejectReason.UNKNOWN_ORDER, f"its parent {parent_id} is neither at work nor filled"

    def _begin(self, working: WorkingOrder, now_ns: int) -> None:
        """The first moments of an accepted order: what its parent and its group leave of it, then its first look."""
        floor, order = self._floor, working.order
        if working.is_past(now_ns):
            floor.expire(working, now_ns)
            return
        if order.parent_id is not None or order.oco_group is not None:
            self._fit(working, now_ns)
            if order.order_id not in self._state.working or not working.open:
                return
        if order.time_in_force in ("ioc", "fok") and not self._state.markets[order.symbol].priced:
            floor.withdraw(working, now_ns, f"{order.time_in_force} cannot fill at once: {order.symbol} has no price yet")
        else:
            floor.start(working, self._config.fill_at == "close")

    def _fit(self, working: WorkingOrder, now_ns: int) -> None:
        """Hold what its parent has not filled; take away what its parent will not fill and what its group has filled."""
        state, order = self._state, working.order
        lost, why = ZERO, ""
        if order.parent_id is not None:
            parent = state.working.get(order.parent_id)
            of_parent = parent.filled if parent is not None else state.finished[order.parent_id]
            unfilled = max(ZERO, order.quantity - of_parent)
            if parent is not None:
                working.held = unfilled
            elif unfilled:
                lost, why = unfilled, f"its parent {order.parent_id} ended with {of_parent} filled"
        group = None if order.oco_group is None else state.groups.get(order.oco_group)
        if group is not None:
            lost, why = lost + group.quantity, f"{group.order_id} of its group has filled"
            if group.done:
                lost = order.quantity
        if lost:
            self._floor.shrink(working, lost, now_ns, why)

    def _reject(self, order: SubmitOrder, now_ns: int, fault: Fault) -> Sequence[Output]:
        reason, detail = fault
        self._floor.remember_end(order.order_id, ZERO)
        said = about(OrderRejected, order, now_ns, reason=reason, detail=f"order {order.order_id}: {detail}")
        return [(_FILLS, said)]

    def _cancel(self, request: CancelOrder) -> Sequence[Output]:
        if request.account != self._config.account:
            return ()
        now_ns = self._state.now_ns = max(self._state.now_ns, request.ts_event_ns)
        working = self._state.working.get(request.order_id)
        if working is None:
            return self._unknown(CancelRejected, request, "cancel")
        self._floor.withdraw(working, now_ns, "cancelled as asked")
        return self._take()

    def _modify(self, request: ModifyOrder) -> Sequence[Output]:
        if request.account != self._config.account:
            return ()
        state, floor = self._state, self._floor
        now_ns = state.now_ns = max(state.now_ns, request.ts_event_ns)
        working = state.working.get(request.order_id)
        if working is None:
            return self._unknown(ModifyRejected, request, "modify")
        terms = {name: value for name in _TERMS if (value := getattr(request, name)) is not None}
        order = replace(working.order, **terms)
        fault = self._stop_change(working.order, order)
        fault = fault or fault_of_change(working, order, self._instruments[order.symbol], self._config)
        if fault is not None:
            reason, detail = fault
            detail = f"order {order.order_id} works on as it was: {detail}"
            return [(_FILLS, about(ModifyRejected, request, now_ns, reason=reason, detail=detail))]
        self._change(working, order, now_ns)
        floor.say_modified(working, now_ns, request)
        if order.quantity == working.filled:
            floor.withdraw(working, now_ns, f"its quantity was lowered to the {working.filled} that have filled")
        elif working.open:
            floor.start(working, at_close=False)
        return self._take()

    def _change(self, working: WorkingOrder, order: SubmitOrder, now_ns: int) -> None:
        """Take the new terms; more contracts wait for the parent, fewer wait less."""
        released = working.open
        working.order = order
        self._floor.changed(working)
        waits = order.parent_id is not None and order.parent_id in self._state.working
        working.held = max(ZERO, order.quantity - working.filled - released) if waits else ZERO
        working.active_ns = max(working.active_ns, now_ns + self._latency_ns)

    def _unknown(self, kind: type[Any], request: CancelOrder | ModifyOrder, verb: str) -> Sequence[Output]:
        detail = f"cannot {verb} order {request.order_id}: it has finished or never came here; nothing was changed"
        said = about(kind, request, self._state.now_ns, reason=RejectReason.UNKNOWN_ORDER, detail=detail)
        return [(_FILLS, said)]

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _halt(self, _: Halt) -> Sequence[Output]:
        self._state.halted = True
        return ()

    def _resume(self, _: Resume) -> Sequence[Output]:
        self._state.halted = False
        return ()

    def _follow_breaker(self, change: BreakerChanged) -> Sequence[Output]:
        if change.account == self._config.account:
            if change.status == "NORMAL":
                self._state.tripped.pop(change.strategy_id, None)
            else:
                self._state.tripped[change.strategy_id] = change.status
        return ()

    def _stop(self, strategy_id: str, closes: bool) -> Fault | None:
        """Why nothing of the strategy is taken now, or nothing that opens a position."""
        state = self._state
        if state.halted:
            return RejectReason.HALTED, "the book is halted; resume it and let the strategy decide anew"
        if not state.tripped or closes:
            return None
        for scope in (BOOK, strategy_id):
            if scope in state.tripped:
                whose = f"strategy {scope}" if scope else "the book"
                return RejectReason.BREAKER, f"a circuit breaker of {whose} is {state.tripped[scope]}; only exits pass"
        return None

    def _stop_change(self, before: SubmitOrder, after: SubmitOrder) -> Fault | None:
        """A change that only takes contracts away always passes."""
        if after.quantity < before.quantity and replace(after, quantity=before.quantity) == before:
            return None
        return self._stop(before.strategy_id, before.closes)

    def _take(self) -> list[Output]:
        said, self._floor.said = self._floor.said, []
        return said

    def _fresh(self) -> PaperState:
        state = PaperState()
        if self._config.currency:
            state.account.cash[self._config.currency] = self._config.starting_cash
        return state


def _continues(bar: Bar, known: Bar) -> bool:
    """Of two bars that open at the same time: whether `bar` is the later one of its series, or the finer one."""
    if bar.ts_open_ns != known.ts_open_ns:
        return False
    return bar.seq > known.seq or (bar.seq == known.seq and bar.ts_close_ns < known.ts_close_ns)


def _completed(quote: Quote, known: Quote | None) -> Quote | None:
    """A quote of which a side cannot be used, with that side as it was before; None where neither can be used."""
    nan = float("nan")
    sides = {}
    for side in ("bid", "ask"):
        if not 0 < getattr(quote, side) < _LARGEST:
            sides[side] = nan if known is None else getattr(known, side)
            sides[f"{side}_size"] = 0.0 if known is None else getattr(known, f"{side}_size")
    return replace(quote, **sides) if len(sides) < 4 else None
