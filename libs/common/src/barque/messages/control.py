"""Time, commands, alerts and what could not be read."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from barque.messages.cash import CashKind

Severity = Literal["info", "warning", "critical"]


class ClockTicked(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="ck"):
    """Time is a message: it is now `now_ns`. On a `wall` clock each shell feeds it; on a `feed` clock the feed writes it."""

    now_ns: int


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    command_id: str
    """Given by whoever commands, so that a repeat is known as one."""
    ts_event_ns: int
    actor: str
    reason: str = ""


class Halt(_Command, frozen=True, kw_only=True, tag="Halt"):
    """Stop every new order of the book. Written by gateway, operators, nodes that must stop; read by router and strategies
    (senders obey the row in Postgres)."""


class Resume(_Command, frozen=True, kw_only=True, tag="Resume"):
    """Lift a halt. Written by gateway or an operator with the token; read by router and strategies."""


class Flatten(_Command, frozen=True, kw_only=True, tag="Flatten"):
    """Cancel every order and close every position. Written by gateway; read by the router."""


class StartStrategy(_Command, frozen=True, kw_only=True, tag="StartStrategy"):
    """Let a strategy trade again. Written by gateway; read by that strategy's node."""

    strategy_id: str


class StopStrategy(_Command, frozen=True, kw_only=True, tag="StopStrategy"):
    """Let a strategy send no more signals. Written by gateway; read by that strategy's node."""

    strategy_id: str


class SetLimit(_Command, frozen=True, kw_only=True, tag="SetLimit"):
    """Change one risk limit; it stays until changed again. Written by operators; read by the router."""

    limit: str
    value: str
    """A number; or `none`, which takes the limit away."""
    symbol: str = ""
    """Empty: all symbols."""
    strategy_id: str = ""
    """Empty: the book."""


class AdjustCash(_Command, frozen=True, kw_only=True, tag="AdjustCash"):
    """Book cash that came in or went out without a trade. Written by gateway, operators; read by portfolio."""

    account: str
    kind: CashKind
    currency: str
    amount: Decimal
    """By what cash changes; negative: it goes out."""
    reference: str
    """The broker's, or another that the account has not had; a second one of the same reference is the same."""
    at_ns: int = 0
    """When it happened at the broker; 0: when this was commanded."""


class Alert(msgspec.Struct, frozen=True, kw_only=True, tag="Alert"):
    """Something a person should know. Written by everyone; each name has a page in `docs/runbooks/`."""

    name: str
    """snake_case; each has a page in `docs/runbooks/`."""
    ts_event_ns: int
    severity: Severity
    source: str
    text: str
    """What happened, to which id, what to do next."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag="DeadLetter"):
    """An entry or message that could not be handled: its bytes and where it was. Written by any shell."""

    node: str
    stream: str
    entry_id: str
    reason: str
    raw: bytes
    index: int = -1
    """Position inside the entry's batch; -1: the whole entry."""
