"""Hosts one configured strategy.

In:   bars (and ticks) of its symbols, its own orders, fills and rejections, its account's figures, the clock, commands.
Out:  the strategy's wishes on `signals`; `Alert` where it raises, runs too long, skips a run or has something to say.
Not:  trust. Whatever a hook raises pauses this strategy alone; its position and orders go on being kept.

The type of a message decides who listens. A listener first keeps the books, then has the strategy hear of it (`_tell`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any, TypeAlias

import msgspec

from barque.config import StrategyConfig, convert
from barque.errors import ConfigError, InvariantError, Overrun, StrategyError, nearest
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.messages import (
    Bar,
    CancelRejected,
    ClockTicked,
    EquityMarked,
    Fill,
    Halt,
    Message,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    Quote,
    RejectReason,
    Resume,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
    Trade,
)
from barque.node import ASLEEP, AWAKE, Output, Rank
from barque.strategy import BarHistory, Strategy, WarmUp, due_schedules, next_due_ns, recall, remember
from barque.strategy.schedules import NOTICES
from strategy_host.config import node_name
from strategy_host.core.desk import StrategyDesk
from strategy_host.core.failure import place_of, said_by
from strategy_host.core.state import StrategyNodeState

Hook: TypeAlias = Callable[[Any], None]
Listener: TypeAlias = Callable[[Any], Sequence[Output]]

NOTHING: Sequence[Output] = ()
_CLOCK, _BARS = Topic.CLOCK, Topic.BARS


def _keep(state: StrategyNodeState, event: CancelRejected | ModifyRejected) -> None:
    """The order is as it was, unless the broker does not know it."""
    if event.reason is RejectReason.UNKNOWN_ORDER:
        state.mark(event.order_id, "unknown")


_BOOKING: Mapping[type, Callable[[StrategyNodeState, Any], None]] = {
    SubmitOrder: StrategyNodeState.open,
    OrderAccepted: lambda state, event: state.mark(event.order_id, "working"),
    OrderUnknown: lambda state, event: state.mark(event.order_id, "unknown"),
    OrderModified: StrategyNodeState.amend,
    OrderRejected: lambda state, event: state.finish(event.order_id),
    OrderCancelled: lambda state, event: state.finish(event.order_id),
    OrderExpired: lambda state, event: state.finish(event.order_id),
    CancelRejected: _keep,
    ModifyRejected: _keep,
}
"""What an order event does to the books."""


class StrategyNode:
    """A node around one strategy object, which is made anew at every `restore`."""

    rank = Rank.STRATEGY
    order_path = False

    def __init__(self, config: StrategyConfig, strategy_cls: type[Strategy], instruments: Iterable[Instrument]) -> None:
        """Raises `ConfigError` for parameters, symbols, intervals or a `setup` that cannot be."""
        self.name = node_name(config.id)
        self.overruns = 0
        """How often the outside has stopped a hook that ran too long; see `barque.node.Interruptible`."""
        self._id = config.id
        self._class = strategy_cls
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self.symbols = config.symbols
        self.intervals = tuple(dict.fromkeys((config.interval, *config.intervals)))
        self._check_subscription(config)
        self._watched = dict.fromkeys(self.symbols, frozenset(self.intervals))
        self._params = convert(config.params, strategy_cls.Params, f"strategies.{config.id}.params")
        self._listeners = self._make_listeners()
        self.restore(b"")
        self.inputs = self._make_inputs()

    def handle(self, message: Message) -> Sequence[Output]:
        """What the strategy wishes on hearing `message`."""
        listen = self._listeners.get(type(message))
        return NOTHING if listen is None else listen(message)

    def snapshot(self) -> bytes:
        """The node's state and the strategy's memory."""
        self._state.memory = remember(self._strategy)
        return msgspec.msgpack.encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says, with a strategy object made anew; raises `StrategyError` where the state does not fit."""
        try:
            state = msgspec.msgpack.decode(blob, type=StrategyNodeState) if blob else StrategyNodeState()
        except msgspec.DecodeError as error:
            raise StrategyError(f"the kept state of node '{self.name}' cannot be read: {error}") from error
        desk = StrategyDesk(self._id, self.name, self.symbols, self.intervals, self._instruments)
        strategy = self._set_up(desk)
        if state.memory is not None:
            recall(strategy, state.memory)
        desk.state = state
        self._state, self._desk, self._strategy = state, desk, strategy
        self._listen_for(strategy)
        self.due_ns = self._next_due_ns()

    def sleeps_until(self, topic: Topic) -> int:
        """See `barque.node.Sleeper`: the clock counts from the next schedule on, bars only for a strategy that hears them."""
        if topic is _CLOCK:
            return self.due_ns
        deaf = self._state.started and (self._bar_hook is None or self._state.failure)
        return ASLEEP if topic is _BARS and deaf else AWAKE

    @property
    def handlers(self) -> Mapping[type, Listener]:
        """See `barque.node.Selective`."""
        return self._listeners

    # ---- the past

    @property
    def warm_up_wanted(self) -> WarmUp | None:
        """How much of the past the strategy asks for; None where it asks for none, or has begun already."""
        begun = self._state.started or self._state.now_ns > 0
        return None if begun else self._strategy._barque.warm_up

    def warm_up(self, bars: Iterable[Bar]) -> Sequence[Output]:
        """Let a new strategy hear bars of the past, in order of time; all older than the first message that it will be fed.

        A bar that comes again later is not heard twice. What is said is an alert where the strategy raises.
        """
        if self._state.started:
            raise InvariantError(f"node '{self.name}' has begun; its past cannot be given to it any more")
        said: list[Output] = []
        self._desk.warming = True
        try:
            for bar in bars:
                if self._watches(bar):
                    self._pass(bar.ts_close_ns)
                    said += self._tell(self._bar_hook, bar)
                    self._state.warm(bar)
        finally:
            self._desk.warming = False
        return said

    # ---- the market and the time

    def _on_bar(self, bar: Bar) -> Sequence[Output]:
        if bar.interval not in self._watched.get(bar.symbol, NOTHING):
            return NOTHING
        state, desk, hook = self._state, self._desk, self._bar_hook
        if state.warmed and state.is_warmed(bar):
            return NOTHING
        now_ns = bar.ts_close_ns
        if now_ns > state.now_ns:
            state.now_ns = now_ns
        if hook is None or state.failure or not state.started:
            return self._tell(hook, bar)
        desk.message = bar
        try:  # `_tell`, written out: it is once a bar
            hook(bar)
        except (Exception, Overrun) as error:
            self._pause(error)
        return self._take() if desk.tray else NOTHING

    def _watches(self, bar: Bar) -> bool:
        return bar.interval in self._watched.get(bar.symbol, ())

    def _on_tick(self, tick: Quote | Trade) -> Sequence[Output]:
        if tick.symbol not in self._watched:
            return NOTHING
        self._pass(tick.ts_event_ns)
        return self._tell(self._tick_hook, tick)

    def _on_clock(self, tick: ClockTicked) -> Sequence[Output]:
        state = self._state
        if tick.now_ns > state.now_ns:
            state.now_ns = tick.now_ns
        if state.now_ns < self.due_ns:
            return NOTHING
        said = self._tell(self._run_schedules, tick)
        self.due_ns = self._next_due_ns()
        return said

    def _next_due_ns(self) -> int:
        """Before which time the clock changes nothing."""
        state = self._state
        if not state.started:
            return AWAKE
        return ASLEEP if state.failure else next_due_ns(self._strategy)

    def _pass(self, ts_ns: int) -> None:
        """Time never goes back."""
        if ts_ns > self._state.now_ns:
            self._state.now_ns = ts_ns

    # ---- its orders and its account

    def _on_order(self, event: Any) -> Sequence[Output]:
        if event.strategy_id != self._id:
            return NOTHING
        self._pass(event.ts_event_ns)
        _BOOKING[type(event)](self._state, event)
        return self._tell(self._order_hook, event)

    def _on_fill(self, fill: Fill) -> Sequence[Output]:
        if fill.strategy_id != self._id:
            return NOTHING
        self._pass(fill.ts_event_ns)
        booked = self._state.book(fill)
        if booked == "booked":
            return self._tell(self._fill_hook, fill)
        if booked == "orphaned":
            self._report_orphan(fill)
        return self._take()

    def _on_rejection(self, rejection: SignalRejected) -> Sequence[Output]:
        if rejection.strategy_id != self._id:
            return NOTHING
        self._pass(rejection.ts_event_ns)
        return self._tell(self._rejection_hook, rejection)

    def _on_equity(self, figures: EquityMarked) -> Sequence[Output]:
        watched, known = self._strategy._barque.account, self._state.account
        if watched is None or watched not in ("", figures.account):
            return NOTHING
        self._pass(figures.ts_event_ns)
        if not watched and known is not None and known.account != figures.account:
            return self._tell(self._refuse_to_choose, figures)
        self._state.account = figures
        return self._tell(None, figures)

    def _refuse_to_choose(self, figures: EquityMarked) -> None:
        known = self._state.account
        first = known.account if known is not None else ""
        raise StrategyError(
            f"the book has two accounts, '{first}' and '{figures.account}'; say which in setup: self.watch_account('{first}')"
        )

    # ---- commands

    def _on_halt(self, command: Halt | Resume) -> Sequence[Output]:
        self._pass(command.ts_event_ns)
        self._state.halted = type(command) is Halt
        return self._tell(None, command)

    def _on_start(self, command: StartStrategy) -> Sequence[Output]:
        if command.strategy_id != self._id:
            return NOTHING
        self._pass(command.ts_event_ns)
        self._state.stopped, self._state.failure = False, ""
        said = self._tell(None, command)
        self.due_ns = self._next_due_ns()
        return said

    def _on_stop(self, command: StopStrategy) -> Sequence[Output]:
        if command.strategy_id != self._id:
            return NOTHING
        self._pass(command.ts_event_ns)
        said = self._tell(self._stop_hook, command)
        self._state.stopped = True
        return said

    # ---- the strategy

    def _tell(self, hook: Hook | None, message: Message) -> Sequence[Output]:
        """Let the strategy hear `message`, unless it is paused; all that is said until then."""
        state, desk = self._state, self._desk
        if not state.failure:
            desk.message = message
            try:
                if not state.started and not desk.warming:
                    self._strategy.on_start()
                    state.started = True
                if hook is not None:
                    hook(message)
            except (Exception, Overrun) as error:  # isolates: a user's code may raise whatever it likes
                self._pause(error)
        tray = desk.tray
        if not tray:
            return NOTHING
        desk.tray = []
        return tray

    def _take(self) -> Sequence[Output]:
        said, self._desk.tray = self._desk.tray, []
        return said

    def _hear_bar(self, bar: Bar) -> None:
        """For a strategy with histories: they know a bar before `on_bar` does."""
        for window in self._windows.get((bar.symbol, bar.interval), ()):
            window.push(bar)
        self._strategy.on_bar(bar)

    def _run_schedules(self, message: Message) -> None:
        for name, strike in due_schedules(self._strategy, self._state.now_ns):
            if strike == "run":
                self._strategy.on_schedule(name)
            else:
                self._desk.notify(f"schedule '{name}' {NOTICES[strike]}", "warning")

    # ---- what a person has to know

    def _pause(self, error: BaseException) -> None:
        if isinstance(error, Overrun):
            self.overruns += 1
        said, place = said_by(error), place_of(error)
        self._state.failure = said
        self._desk.tray = []
        self._desk.alert(
            "strategy_failed",
            f"strategy '{self._id}' is paused: {said}{f' ({place})' if place else ''}. Its position and open orders stay, and "
            "nobody manages them. Correct its code or its parameters and restart the host if need be; then start it again, or "
            "flatten the book.",
            "critical",
        )

    def _report_orphan(self, fill: Fill) -> None:
        kept = f"its virtual position of {fill.symbol} stays {self._state.positions.get(fill.symbol, 0)}"
        self._desk.alert(
            "fill_correction_unknown",
            f"fill '{fill.exec_id}' corrects '{fill.corrects}', which strategy '{self._id}' does not know any more; "
            f"{kept}. Compare it with the portfolio.",
            "warning",
        )

    # ---- making the strategy

    @classmethod
    def user_calls(cls) -> frozenset[CodeType]:
        """The functions that call a user's code, and stand what it raises: where a watch on its time may break in."""
        return frozenset(function.__code__ for function in (cls._tell, cls._on_bar, cls._set_up))

    def _check_subscription(self, config: StrategyConfig) -> None:
        key = f"key 'strategies.{self._id}"
        if not self.symbols:
            raise ConfigError(f"{key}.symbols': at least one symbol is needed")
        for symbol in self.symbols:
            if symbol not in self._instruments:
                hint = nearest(symbol, list(self._instruments))
                raise ConfigError(f"{key}.symbols': '{symbol}' has no [[instruments]] entry; {hint}")
        for name, intervals in (("interval", (config.interval,)), ("intervals", config.intervals)):
            for interval in intervals:
                try:
                    interval_of(interval)
                except ValueError as error:
                    raise ConfigError(f"{key}.{name}': {error}") from None

    def _set_up(self, desk: StrategyDesk) -> Strategy:
        try:
            return self._class(desk, self._params)
        except (Exception, Overrun) as error:  # a user's setup may raise whatever it likes
            place = place_of(error)
            raise ConfigError(
                f"strategy '{self._id}' cannot be set up: {said_by(error)}{f' ({place})' if place else ''}"
            ) from error

    def _make_inputs(self) -> tuple[Topic, ...]:
        """What a strategy does not ask for is not read."""
        wanted = {Topic.PORTFOLIO: self._strategy._barque.account is not None, Topic.TICKS: self._tick_hook is not None}
        topics = (Topic.CONTROL, Topic.CLOCK, Topic.FILLS, Topic.ORDERS, Topic.PORTFOLIO, Topic.TICKS, Topic.BARS)
        return tuple(topic for topic in topics if wanted.get(topic, True))

    def _make_listeners(self) -> dict[type, Listener]:
        return {
            Bar: self._on_bar,
            Quote: self._on_tick,
            Trade: self._on_tick,
            ClockTicked: self._on_clock,
            Fill: self._on_fill,
            **dict.fromkeys(_BOOKING, self._on_order),
            SignalRejected: self._on_rejection,
            EquityMarked: self._on_equity,
            Halt: self._on_halt,
            Resume: self._on_halt,
            StartStrategy: self._on_start,
            StopStrategy: self._on_stop,
        }

    def _listen_for(self, strategy: Strategy) -> None:
        """Which of its hooks the strategy has; one that it has not overridden is not called."""

        def hook(name: str) -> Hook | None:
            return None if getattr(type(strategy), name) is getattr(Strategy, name) else getattr(strategy, name)

        self._tick_hook, self._fill_hook, self._order_hook = hook("on_tick"), hook("on_fill"), hook("on_order")
        self._rejection_hook = hook("on_signal_rejected")
        self._stop_hook: Hook | None = lambda command: strategy.on_stop()
        self._windows: dict[tuple[str, str], list[BarHistory]] = {}
        for window in strategy._barque.histories:
            self._windows.setdefault((window.symbol, window.interval), []).append(window)
        self._bar_hook = self._hear_bar if self._windows else hook("on_bar")
