"""What people command: halt, resume, stop and start a strategy, flatten, change a limit.

In:   commands, each perhaps more than once.   Out: what they lead to, and the news of it.
Not:  rights; whoever writes to `control` has been asked for them.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from barque.errors import nearest
from barque.messages import Flatten, Halt, Resume, SetLimit, StartStrategy, StopStrategy
from barque.node import Output
from router.config import LIMITS, OVER_ALL_SYMBOLS
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
        fault, value = "", None
        names = {"limit": list(LIMITS), "symbol": sorted(self._setup.instruments), "strategy": sorted(self._setup.strategy_ids)}
        given = {"limit": command.limit, "symbol": command.symbol, "strategy": command.strategy_id}
        for kind, name in given.items():
            if name not in names[kind] and (name or kind == "limit"):
                fault = fault or f"there is no {kind} '{name}'; {nearest(name, names[kind])}"
        if not fault and command.symbol and command.limit in OVER_ALL_SYMBOLS:
            fault = f"{command.limit} is a limit over all symbols; give it without one"
        if not fault and command.strategy_id and command.limit == "margin_fraction":
            fault = "margin_fraction is the account's, not a strategy's; give it without one"
        if not fault and command.value not in ("", "none"):
            value = _number(command.value)
            if value is None:
                fault = f"'{command.value}' is no limit; give a number that is not negative, or none"
        if fault:
            text = f"command {command.command_id} changed nothing: {fault}"
            return [alert("limit_not_set", "warning", self._state.now_ns, text)]
        self._state.limits[key(command.limit, command.symbol, command.strategy_id)] = value
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


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value >= 0 else None
