"""Hosts one configured strategy.

In:   bars (and ticks) of its symbols, its own orders, fills and rejections, the clock, commands.
Out:  the strategy's wishes as `Signal` and `CancelRequest`; `Alert` where it raises, skips a run or has something to say.
Not:  trust. Whatever a hook raises pauses this strategy alone; its position and orders go on being kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from traceback import extract_tb, format_exception_only
from typing import Any

import msgspec

from barque.config import StrategyConfig, convert
from barque.errors import BarqueError, ConfigError, StrategyError, nearest
from barque.instruments import Instrument
from barque.intervals import parse_interval
from barque.messages import (
    Bar,
    ClockTicked,
    Fill,
    Halt,
    Message,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    OrderUnknown,
    Quote,
    Resume,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
    Trade,
    time_of,
)
from barque.node import Output, Rank
from barque.strategy import Strategy, due_schedules, recall, remember
from strategy_host.config import node_name
from strategy_host.core.desk import StrategyDesk
from strategy_host.core.state import StrategyNodeState

Hook = Callable[[Any], None]


class StrategyNode:
    """A node around one strategy object, which is made anew at every `restore`."""

    rank = Rank.STRATEGY
    order_path = False

    def __init__(self, config: StrategyConfig, strategy_cls: type[Strategy], instruments: Iterable[Instrument]) -> None:
        """Raises `ConfigError` for parameters, symbols or a `setup` that cannot be."""
        self.name = node_name(config.id)
        wants_ticks = strategy_cls.on_tick is not Strategy.on_tick
        market = (Topic.TICKS, Topic.BARS) if wants_ticks else (Topic.BARS,)
        self.inputs: tuple[Topic, ...] = (Topic.CONTROL, Topic.CLOCK, Topic.FILLS, Topic.ORDERS, *market)
        self._config = config
        self._class = strategy_cls
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._check_subscription()
        self._params = convert(config.params, strategy_cls.Params, f"strategies.{config.id}.params")
        self.restore(b"")

    def handle(self, message: Message) -> list[Output]:
        """What the strategy wishes on hearing `message`."""
        if not self._concerns(message):
            return []
        state, desk = self._state, self._desk
        state.now_ns = max(state.now_ns, time_of(message))
        desk.begin(message)
        told = self._book(message)
        if told and not state.failure:
            try:
                self._tell(message)
            except Exception as error:  # isolates: a user's code may raise whatever it likes
                self._pause(error)
        if isinstance(message, StopStrategy):
            state.stopped = True
        return desk.take()

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
        desk = StrategyDesk(self._config.id, self.name, self._config.symbols, self._config.interval, self._instruments)
        strategy = self._set_up(desk)
        if state.memory is not None:
            recall(strategy, state.memory)
        desk.state = state
        self._state, self._desk, self._strategy, self._hooks = state, desk, strategy, _hooks(strategy)

    # ---- one message

    def _concerns(self, message: Message) -> bool:
        if isinstance(message, Bar):
            return message.symbol in self._config.symbols and message.interval == self._config.interval
        if isinstance(message, Quote | Trade):
            return message.symbol in self._config.symbols
        if isinstance(message, ClockTicked | Halt | Resume):
            return True
        return getattr(message, "strategy_id", None) == self._config.id

    def _book(self, message: Message) -> bool:
        """Keep the books; False: there is nothing in it for the strategy."""
        state = self._state
        match message:
            case StartStrategy():
                state.stopped, state.failure = False, ""
            case Halt() | Resume():
                state.halted = isinstance(message, Halt)
            case SubmitOrder():
                state.open(message)
            case OrderAccepted():
                state.mark(message.order_id, "working")
            case OrderUnknown():
                state.mark(message.order_id, "unknown")
            case OrderRejected() | OrderCancelled() | OrderExpired():
                state.finish(message.order_id)
            case Fill():
                booked = state.book(message)
                if booked == "orphaned":
                    self._report_orphan(message)
                return booked == "booked"
        return True

    def _tell(self, message: Message) -> None:
        if not self._state.started:
            self._strategy.on_start()
            self._state.started = True
        if isinstance(message, ClockTicked):
            self._run_schedules()
        elif isinstance(message, StopStrategy):
            self._strategy.on_stop()
        else:
            hook = self._hooks.get(type(message))
            if hook is not None:
                hook(message)

    def _run_schedules(self) -> None:
        for name, strike in due_schedules(self._strategy, self._state.now_ns):
            if strike == "run":
                self._strategy.on_schedule(name)
            else:
                self._desk.notify(f"schedule '{name}' was missed and is skipped, as its policy says", "warning")

    # ---- what a person has to know

    def _pause(self, error: Exception) -> None:
        said = format_exception_only(error)[-1].strip()[:500]
        frame = extract_tb(error.__traceback__)[-1]
        self._state.failure = said
        self._desk.drop()
        place = f"{PurePath(frame.filename).name}:{frame.lineno}, in {frame.name}"
        self._desk.alert(
            "strategy_failed",
            f"strategy '{self._config.id}' is paused: {said} ({place}). Its position and open orders stay, and nobody manages "
            "them. Correct its code or its parameters and restart the host if need be; then start it again, or flatten the book.",
            "critical",
        )

    def _report_orphan(self, fill: Fill) -> None:
        kept = f"its virtual position of {fill.symbol} stays {self._desk.position(fill.symbol)}"
        self._desk.alert(
            "fill_correction_unknown",
            f"fill '{fill.exec_id}' corrects '{fill.corrects}', which strategy '{self._config.id}' does not know any more; "
            f"{kept}. Compare it with the portfolio.",
            "warning",
        )

    # ---- making the strategy

    def _check_subscription(self) -> None:
        key = f"key 'strategies.{self._config.id}"
        if not self._config.symbols:
            raise ConfigError(f"{key}.symbols': at least one symbol is needed")
        for symbol in self._config.symbols:
            if symbol not in self._instruments:
                hint = nearest(symbol, list(self._instruments))
                raise ConfigError(f"{key}.symbols': '{symbol}' has no [[instruments]] entry; {hint}")
        try:
            parse_interval(self._config.interval)
        except ValueError as error:
            raise ConfigError(f"{key}.interval': {error}") from None

    def _set_up(self, desk: StrategyDesk) -> Strategy:
        try:
            return self._class(desk, self._params)
        except Exception as error:  # a user's setup may raise whatever it likes
            said = str(error) if isinstance(error, BarqueError) else format_exception_only(error)[-1].strip()
            raise ConfigError(f"strategy '{self._config.id}' cannot be set up: {said}") from error


def _hooks(strategy: Strategy) -> dict[type, Hook]:
    """Which hook hears which message."""
    hooks: dict[type, Hook] = {
        Bar: strategy.on_bar,
        Quote: strategy.on_tick,
        Trade: strategy.on_tick,
        SignalRejected: strategy.on_signal_rejected,
        Fill: strategy.on_fill,
    }
    for kind in (SubmitOrder, OrderAccepted, OrderRejected, OrderCancelled, OrderExpired, OrderUnknown):
        hooks[kind] = strategy.on_order
    return hooks
