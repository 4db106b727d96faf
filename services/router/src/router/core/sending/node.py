"""The core of a live sender: which orders leave, what became of them, and what to do where nobody knows.

In:   SubmitOrder, CancelOrder, ModifyOrder of its account; BreakerChanged; ClockTicked; Halt, Resume (from the halt's row);
      the venue's events; what became of effects and the broker's books (`sending.events`).
Out:  order events, Fill, AccountSnapshot, PositionSnapshot, ReconciliationReport, Alert; and effects (`take_effects`).
Not:  the wire. What is decided in one transaction is done once that is durable, and what comes of it is told in a later one.

Within a transaction the shell feeds: the halt's row, the venue's events, the clock, the entries of streams, then `Release`.
The first event of a process is `Disconnected`: whatever was under way when the last one ended has an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from barque.errors import ConfigError
from barque.messages import (
    BreakerChanged,
    CancelOrder,
    ClockTicked,
    Halt,
    Message,
    ModifyOrder,
    Resume,
    SubmitOrder,
    Topic,
)
from barque.node import Output, Rank
from barque.venue import (
    Accepted,
    Capabilities,
    Connected,
    Disconnected,
    Ended,
    Executed,
    Modified,
    Noted,
    Rejected,
    RequestRefused,
    TradingDisabled,
)
from router.core.sending import books, executions, outbound, reports, requests, session
from router.core.sending.config import SendingConfig
from router.core.sending.desk import Desk
from router.core.sending.effects import Effect
from router.core.sending.events import Books, BooksUnavailable, Lost, NotSent, ReconcileAsked, Release
from router.core.sending.state import Finished, LiveOrder, SendingState
from router.core.sending.windows import Cut, Windows, follow

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SendingState).decode


class SendingNode:
    """One broker account's sender; a `barque.node.Node`."""

    rank = Rank.SENDER
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.ORDERS)
    order_path = True

    def __init__(self, config: SendingConfig, capabilities: Capabilities, venue: str, symbols: Iterable[str]) -> None:
        """`symbols`: those of `[[instruments]]`."""
        if config.quiet_s < capabilities.books_lag_s:
            lag = capabilities.books_lag_s
            raise ConfigError(
                f"key 'sender.quiet_s': {config.quiet_s:g} s is too short; the books of {venue} lag, give them {lag:g} s"
            )
        self.name = f"sender.{venue}"
        self._account = config.account
        self._desk = Desk(config, capabilities, self.name, symbols)
        self._cut = Windows()
        """As of the last cut."""
        self._handlers: dict[type, Callable[[Desk, Any], object]] = {
            SubmitOrder: self._if_ours(requests.submit),
            CancelOrder: self._if_ours(requests.cancel),
            ModifyOrder: self._if_ours(requests.modify),
            BreakerChanged: self._if_ours(_follow_breaker),
            ClockTicked: _see_time,
            Release: _release,
            Halt: _halt,
            Resume: _resume,
            Accepted: reports.accepted,
            Rejected: reports.rejected,
            Modified: reports.modified,
            Noted: reports.noted,
            RequestRefused: reports.refused,
            Ended: reports.ended,
            Executed: _execute,
            Connected: reports.connected,
            Disconnected: reports.disconnected,
            TradingDisabled: reports.trading_disabled,
            NotSent: reports.not_sent,
            Lost: reports.lost,
            Books: books.take,
            BooksUnavailable: books.unavailable,
            ReconcileAsked: _reconcile,
        }

    @property
    def counters(self) -> Mapping[str, int]:
        """`orders_repeated`, `orders_revived`, `executions_external`, `executions_too_old`, `books_stale` …"""
        return self._desk.state.counters

    @property
    def ready(self) -> bool:
        """The books have been compared in this session, and nothing in them forbids to send."""
        return self._desk.state.ready

    def handle(self, message: Message) -> Sequence[Output]:
        """What there is to say of `message`; what there is to do waits in `take_effects`."""
        handler = self._handlers.get(type(message))
        if handler is None:
            return ()
        handler(self._desk, message)
        said, self._desk.said = self._desk.said, []
        return said

    def take_effects(self) -> list[Effect]:
        """What is to be done once this transaction is durable. Taken once; never part of a snapshot."""
        effects, self._desk.effects = self._desk.effects, []
        return effects

    def orders(self) -> tuple[Mapping[str, LiveOrder], Mapping[str, Finished]]:
        """By id: orders that may trade, and those of which it is remembered how they ended."""
        return self._desk.state.orders, self._desk.state.finished

    def take_ended(self) -> list[Finished]:
        """Orders that have ended, whatever has left the window since. Taken once; never part of a snapshot."""
        ended, self._desk.ended = self._desk.ended, []
        return ended

    @property
    def waits_for(self) -> str:
        """Why no order may leave now; empty: it may."""
        return session.hindrance(self._desk.state)

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._desk.state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says, a snapshot or the state of this node's last cut; empty: a sender of a history that has not
        begun."""
        state = _decode(blob) if blob else SendingState()
        if state.apart:
            state.apart, state.finished, state.executions = False, dict(self._cut.finished), dict(self._cut.executions)
        self._desk.state = state
        self._desk.said, self._desk.effects, self._desk.ended = [], [], []

    def cut(self) -> Cut:
        """The whole state, in pieces: no more work than what has changed since the last cut."""
        state = self._desk.state
        return Cut(
            _encode(replace(state, finished={}, executions={}, apart=True)),
            follow(self._cut.finished, state.finished),
            follow(self._cut.executions, state.executions),
        )

    def join(self, state: bytes, windows: Windows) -> None:
        """Become what cuts have said: the state of the last one, the windows as all of them left them. A snapshot has its own."""
        self._cut = windows
        self.restore(state)

    def _if_ours(self, handler: Callable[[Desk, Any], object]) -> Callable[[Desk, Any], object]:
        """Messages about other accounts are other senders'."""

        def handle(desk: Desk, message: Any) -> None:
            if message.account == self._account:
                handler(desk, message)

        return handle


def _see_time(desk: Desk, tick: ClockTicked) -> None:
    desk.state.now_ns = max(desk.state.now_ns, tick.now_ns)
    outbound.watch(desk)
    session.watch(desk)


def _release(desk: Desk, event: Release) -> None:
    desk.state.now_ns = max(desk.state.now_ns, event.now_ns)
    outbound.release(desk)


def _execute(desk: Desk, event: Executed) -> None:
    executions.execute(desk, event.execution)


def _reconcile(desk: Desk, _: ReconcileAsked) -> None:
    desk.state.report_due = True
    desk.ask()


def _halt(desk: Desk, _: Halt) -> None:
    desk.state.halted = True


def _resume(desk: Desk, _: Resume) -> None:
    desk.state.halted = False


def _follow_breaker(desk: Desk, change: BreakerChanged) -> None:
    if change.status == "NORMAL":
        desk.state.tripped.pop(change.strategy_id, None)
    else:
        desk.state.tripped[change.strategy_id] = change.status
