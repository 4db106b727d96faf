"""Decides which signals become orders.

In:   Signal, CancelRequest, ModifyRequest; every order event and Fill of its account; EquityMarked, PositionChanged,
      ReconciliationReport; Mark; Halt, Resume, Flatten, StopStrategy, StartStrategy, SetLimit; ClockTicked.
Out:  SubmitOrder, CancelOrder, ModifyOrder, SignalRejected, BreakerChanged; Alert; Halt where a breaker stops the book.
Not:  talking to brokers, valuing accounts. A wish that is already true (a target reached, an exit of a flat position) is
      counted, nothing is sent; a wish seen before is counted, never sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from barque.config import Clock
from barque.instruments import Instrument
from barque.messages import (
    AccountSnapshot,
    CancelRejected,
    CancelRequest,
    ClockTicked,
    DataStatus,
    EquityMarked,
    Fill,
    Flatten,
    Halt,
    Mark,
    Message,
    ModifyRejected,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
    ReconciliationReport,
    Resume,
    SetLimit,
    Signal,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    Topic,
    id_of,
)
from barque.node import ASLEEP, AWAKE, Output, Rank
from router.config import RouterConfig
from router.core.commands import Commands
from router.core.desk import Desk
from router.core.limits import check_names
from router.core.orders import order_id_of
from router.core.reports import Reports
from router.core.risk import Risk, Setup
from router.core.state import RouterState, is_new
from router.core.stops import Stops
from router.core.wishes import Decision, Wishes

_decode = msgspec.msgpack.Decoder(RouterState).decode
_encode = msgspec.msgpack.Encoder().encode
_NOTHING: tuple[Output, ...] = ()
_MARKS, _CLOCK = Topic.MARKS, Topic.CLOCK


class RouterNode:
    """The risk node of one book; a `barque.node.Node`."""

    name = "router"
    rank = Rank.ROUTER
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.FILLS, Topic.PORTFOLIO, Topic.MARKS, Topic.SIGNALS)
    order_path = True

    def __init__(
        self, config: RouterConfig, instruments: Iterable[Instrument], strategy_ids: Iterable[str], clock: Clock
    ) -> None:
        """`clock`: the book's. Raises `ConfigError` where the configuration names a strategy or symbol that does not exist."""
        self.handlers: dict[type, Callable[[Any], Sequence[Output]]] = {}
        self._setup = Setup(config.on(clock), {each.symbol: each for each in instruments}, frozenset(strategy_ids), clock)
        check_names(config, self._setup.instruments, self._setup.strategy_ids)
        self.restore(b"")

    @property
    def counters(self) -> Mapping[str, int]:
        """`signals_repeated`, `signals_moot`, `signals_refused`, `orders_sent`, `executions_repeated`."""
        return self._state.counters

    def handle(self, message: Message) -> Sequence[Output]:
        """What follows from `message`."""
        handler = self.handlers.get(type(message))
        return handler(message) if handler is not None else _NOTHING

    def sleeps_until(self, topic: Topic) -> int:
        """Marks only overwrite one another; time counts when a breaker is to be reset, and always where one listens for data."""
        if topic is not _MARKS and topic is not _CLOCK:
            return AWAKE
        if topic is _CLOCK:
            return self.due_ns
        return AWAKE if self._risk.staleness.watches else ASLEEP

    @property
    def due_ns(self) -> int:
        """See `barque.node.Timed`."""
        if self._risk.staleness.watches or self._risk.ages.watches:
            return AWAKE
        return min(self._risk.board.dues_ns(), default=ASLEEP) if self._state.trips else ASLEEP

    @property
    def heedless(self) -> frozenset[type]:
        """See `barque.node.Heedless`: prices matter for wishes, and for the breakers of single strategies."""
        events = {Fill, OrderAccepted, OrderModified, OrderCancelled, OrderExpired, OrderUnknown}
        return frozenset(events if self._risk.losses.need_prices else events | {EquityMarked, PositionChanged})

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: a router that has seen nothing."""
        state = self._state = _decode(blob) if blob else RouterState()
        self._risk = Risk(self._setup, state)
        self._desk = Desk(state, self._risk.rates)
        self._stops = Stops(self._setup, state, self._risk, self._desk)
        self._wishes = Wishes(self._setup, state, self._risk, self._desk)
        commands = Commands(self._setup, state, self._risk, self._stops)
        reports = Reports(self._setup, state, self._risk, self._desk, self._stops)
        self.handlers |= {
            Mark: self._see_mark,
            DataStatus: self._see_data,
            ClockTicked: self._see_time,
            Signal: self._signal,
            CancelRequest: self._cancel_request,
            ModifyRequest: self._modify_request,
            Fill: reports.fill,
            EquityMarked: reports.equity,
            AccountSnapshot: reports.account,
            ReconciliationReport: reports.reconciliation,
            Halt: commands.halt,
            Resume: commands.resume,
            StopStrategy: commands.stop_strategy,
            StartStrategy: commands.start_strategy,
            Flatten: commands.flatten,
            SetLimit: commands.set_limit,
        }
        if self._risk.losses.need_prices:
            self.handlers[PositionChanged] = reports.position
        self.handlers |= dict.fromkeys((OrderRejected, CancelRejected, ModifyRejected), reports.refused)
        self.handlers |= dict.fromkeys((OrderAccepted, OrderModified, OrderCancelled, OrderExpired, OrderUnknown), reports.event)

    # -- market and time ---------------------------------------------------------------------------------------------

    def _see_mark(self, mark: Mark) -> Sequence[Output]:
        if mark.symbol in self._setup.instruments:
            self._state.marks[mark.symbol] = mark
        return _NOTHING

    def _see_data(self, status: DataStatus) -> Sequence[Output]:
        if status.state == "live":
            self._state.unfit.pop(status.symbol, None)
        elif status.symbol in self._setup.instruments:
            self._state.unfit[status.symbol] = status
        return _NOTHING

    def _see_time(self, clock: ClockTicked) -> Sequence[Output]:
        return self._advance(clock.now_ns, clock)

    def _advance(self, now_ns: int, cause: Message) -> Sequence[Output]:
        """It is at least `now_ns`."""
        state = self._state
        before_ns = state.now_ns
        if now_ns > state.now_ns:
            state.now_ns = now_ns
        changes = self._risk.board.reset_due() if state.trips else []
        if self._risk.staleness.watches:
            changes += self._risk.staleness.told_time()
        said = self._stops.carry_out(changes, id_of(cause)) if changes else []
        return [*said, *self._risk.ages.told_time(before_ns)] if self._risk.ages.watches else said

    # -- wishes ------------------------------------------------------------------------------------------------------

    def _signal(self, signal: Signal) -> Sequence[Output]:
        said = self._advance(signal.ts_event_ns, signal)
        state, order_id = self._state, order_id_of(signal.id, "entry")
        if order_id in state.orders or not is_new(state.decided, order_id):
            state.count("signals_repeated")
            return said
        return self._carry_out(signal, self._wishes.signal(signal, order_id), said)

    def _cancel_request(self, request: CancelRequest) -> Sequence[Output]:
        said = self._advance(request.ts_event_ns, request)
        if not is_new(self._state.decided, order_id_of(request.id, "cancel")):
            self._state.count("signals_repeated")
            return said
        return self._carry_out(request, self._wishes.cancel(request), said)

    def _modify_request(self, request: ModifyRequest) -> Sequence[Output]:
        said = self._advance(request.ts_event_ns, request)
        if not is_new(self._state.decided, order_id_of(request.id, "modify")):
            self._state.count("signals_repeated")
            return said
        return self._carry_out(request, self._wishes.modify(request), said)

    def _carry_out(
        self, wish: Signal | CancelRequest | ModifyRequest, decision: Decision, said: Sequence[Output]
    ) -> Sequence[Output]:
        state, refusal = self._state, decision.refusal
        if refusal is None:
            if not decision.requests and not decision.back:
                state.count("signals_moot")
            back = self._desk.withdraw(decision.back) if decision.back else ()
            sent = self._desk.send(decision.requests)
            if decision.exits:
                state.orders[decision.requests[0].order_id].exits = True
            if decision.aim is not None:
                state.orders[decision.requests[0].order_id].aim = decision.aim
            return [*said, *back, *sent] if said or back else sent
        state.count("signals_refused")
        rejection = SignalRejected(
            signal_id=wish.id,
            cause=wish.cause,
            root=wish.root,
            strategy_id=wish.strategy_id,
            symbol=wish.symbol,
            ts_event_ns=state.now_ns,
            reason=refusal.reason,
            detail=f"signal {wish.id}: {refusal.detail}",
            limit=refusal.limit,
            actual=refusal.actual,
        )
        stopped = self._stops.carry_out(decision.changes, wish.id) if decision.changes else ()
        return [*said, (Topic.ORDERS, rejection), *stopped]
