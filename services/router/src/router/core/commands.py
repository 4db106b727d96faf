"""What people command: halt, resume, stop and start a strategy, flatten, change a limit.

In:   commands, each perhaps more than once.   Out: what they lead to, and the news of it.
Not:  rights; whoever writes to `control` has been asked for them.
"""

from __future__ import annotations

from barque import limits
from barque.messages import Flatten, Halt, Resume, SetLimit, StartStrategy, StopStrategy
from barque.node import Output
from router.core.alerts import SOURCE, alert
from router.core.breakers.board import BOOK, Change
from router.core.limits import key
from router.core.orders import order_id_of
from router.core.risk import Risk, Setup
from router.core.state import RouterState, Trip, is_new
from router.core.stops import Stops


class Commands:
    """Obeys, over one state."""

    def __init__(self, setup: Setup, state: RouterState, risk: Risk, stops: Stops) -> None:
        self._setup = setup
        self._state = state
        self._board = risk.board
        self._limits = risk.limits
        self._stops = stops

    def halt(self, command: Halt) -> list[Output]:
        """No order goes out any more, exits neither."""
        state = self._state
        news = not state.manual and not (state.halted and command.actor == SOURCE)
        state.halted = True
        if not news:
            return []
        state.manual = True
        return self._changed(BOOK, command.command_id, f"halted by {command.actor}: {command.reason}", stopped=True)

    def resume(self, command: Resume) -> list[Output]:
        """Orders may go out again, and what has tripped for the book is reset."""
        state = self._state
        manual, state.halted, state.manual = state.manual, False, False
        said = self._stops.carry_out(self._board.reset_all(BOOK), command.command_id)
        text = f"resumed by {command.actor}: {command.reason}"
        return [*said, *self._changed(BOOK, command.command_id, text, stopped=False)] if manual else said

    def stop_strategy(self, command: StopStrategy) -> list[Output]:
        """The strategy can only close."""
        state, strategy_id = self._state, command.strategy_id
        if strategy_id in state.stopped or strategy_id not in self._setup.strategy_ids:
            return []
        state.stopped[strategy_id] = None
        return self._changed(strategy_id, command.command_id, f"stopped by {command.actor}: {command.reason}", stopped=True)

    def start_strategy(self, command: StartStrategy) -> list[Output]:
        """The strategy may open positions again, and what has tripped for it is reset."""
        state, strategy_id = self._state, command.strategy_id
        was_stopped = strategy_id in state.stopped
        state.stopped.pop(strategy_id, None)
        said = self._stops.carry_out(self._board.reset_all(strategy_id), command.command_id)
        text = f"started by {command.actor}: {command.reason}"
        return [*said, *self._changed(strategy_id, command.command_id, text, stopped=False)] if was_stopped else said

    def flatten(self, command: Flatten) -> list[Output]:
        """Cancel everything and close everything; while the book is halted, only cancel."""
        state, cause = self._state, command.command_id
        if not is_new(state.decided, order_id_of(cause, "flatten")):
            return []
        reason = f"flatten by {command.actor}: {command.reason}"
        return self._stops.flatten(BOOK, cause, state.now_ns or command.ts_event_ns, reason)

    def set_limit(self, command: SetLimit) -> list[Output]:
        """Change one figure, or take it away with `none`."""
        names = self._setup.instruments, self._setup.strategy_ids
        fault = limits.fault_of(command.limit, command.value, command.symbol, command.strategy_id, *names)
        if fault:
            text = f"command {command.command_id} changed nothing: {fault}"
            return [alert("limit_not_set", "warning", self._state.now_ns, text)]
        place = key(command.limit, command.symbol, command.strategy_id)
        self._state.limits[place] = limits.figure(command.value)
        self._limits.changed()
        return []

    def _changed(self, scope: str, cause: str, text: str, stopped: bool) -> list[Output]:
        now_ns = self._state.now_ns
        trip = Trip(ts_ns=now_ns, limit="", actual="") if stopped else None
        whose = f"strategy {scope}" if scope else "the book"
        said = self._stops.tell(Change(scope, "manual", trip), cause)
        if stopped:
            return [*said, alert("breaker_tripped", "warning", now_ns, f"{whose} is {text}")]
        return [*said, alert("breaker_reset", "info", now_ns, f"{whose} is {text}")]
