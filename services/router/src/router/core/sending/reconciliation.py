"""Compares the broker's books with ours and with the portfolio's rows. Pure: figures in, differences out.

In:   what this sender believes, the broker's books, tolerances.   Out: differences, each with its severity, in a fixed order.
Not:  doing anything about them; executions that were missing, for those are simply booked.

Two books are never read at the same instant, so one look proves nothing: a difference counts once it is seen again, with the
same figures, a quiet period later (`books.take`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from barque.messages import SubmitOrder
from barque.venue import VenueOrder, VenuePosition
from router.core.sending.config import ReconcilePolicy
from router.core.sending.events import LedgerFigures

Kind = Literal[
    "position",
    "ledger_position",
    "position_elsewhere",
    "cash",
    "order_terms",
    "order_filled",
    "order_ended",
    "order_external",
    "order_unknown_ours",
]
Severity = Literal["minor", "critical"]
ZERO = Decimal(0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that is not the same on both sides."""

    kind: Kind
    about: str
    """Symbol, currency or order id."""
    ours: str
    theirs: str
    severity: Severity

    @property
    def text(self) -> str:
        """For people, and the key by which a difference is known again."""
        if self.kind == "position_elsewhere":
            return f"{self.kind} {self.about}: the broker has {self.theirs}, had {self.ours}; no [[instruments]] entry is of it"
        who = "the ledger" if self.kind == "ledger_position" else "the broker"
        return f"{self.kind} {self.about}: we have {self.ours or 'nothing'}, {who} has {self.theirs or 'nothing'}"


class AtWork(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours that the broker should show as open."""

    order: SubmitOrder
    """With its quantity at the broker."""
    filled: Decimal
    steady: bool
    """Nothing is asked of it: its terms can be compared."""


class OurBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What this sender believes."""

    at_work: Mapping[str, AtWork]
    ended: Mapping[str, str]
    """Orders that had ended before the broker's books were asked, with their states."""
    recent: Container[str] = ()
    """Orders that have ended since: the broker may have shown them as they were before."""
    external: Mapping[str, None]
    """Orders of others that are known, by the broker's id."""
    positions: Mapping[str, Decimal]
    cash: Mapping[str, Decimal] | None = None
    """What the portfolio's ledger leads us to expect at the broker; None: not known."""
    cash_is_shared: bool = False
    """What others hold in symbols that are not configured may have moved cash."""
    rates: Mapping[str, Decimal] = {}
    """What one unit of a currency is worth in the account's own, where that is known."""


def compare(
    ours: OurBooks,
    orders: Sequence[VenueOrder],
    positions: Sequence[VenuePosition],
    cash: Mapping[str, Decimal],
    ledger: LedgerFigures | None,
    policy: ReconcilePolicy,
) -> list[Difference]:
    """All differences: orders in the broker's order, then positions, the ledger's positions and cash by name."""
    found = [difference for order in orders for difference in _order(ours, order)]
    theirs = {position.symbol: position.quantity for position in positions}
    found += _positions("position", ours.positions, theirs, policy.quantity_tolerance)
    if ledger is not None:
        found += _positions("ledger_position", ours.positions, ledger.positions, policy.quantity_tolerance)
    if ours.cash is not None:
        found += _cash(ours, ours.cash, cash, ledger.netting if ledger is not None else {}, policy)
    return found


def elsewhere(known: Mapping[str, Decimal], shown: Mapping[str, Decimal]) -> list[Difference]:
    """Positions of somebody else's, in symbols that are not configured, that are not as they were `known`."""
    found = []
    for symbol in sorted({*known, *shown}):
        before, now = (each.get(symbol, ZERO).normalize() for each in (known, shown))
        if before != now:
            about = {"ours": f"{before:f}", "theirs": f"{now:f}"}
            found.append(Difference(kind="position_elsewhere", about=symbol, severity="minor", **about))
    return found


def _order(ours: OurBooks, order: VenueOrder) -> list[Difference]:
    if not order.order_id:
        if order.venue_order_id in ours.external:
            return []
        return [Difference(kind="order_external", about=order.venue_order_id, ours="", theirs=_words(order), severity="minor")]
    known = ours.at_work.get(order.order_id)
    if known is None:
        state = ours.ended.get(order.order_id)
        if state is None and order.order_id in ours.recent:
            return []
        if state is None:
            theirs = f"it open with our mark: {_words(order)}, the broker's number {order.venue_order_id}"
            return [Difference(kind="order_unknown_ours", about=order.order_id, ours="", theirs=theirs, severity="critical")]
        return [Difference(kind="order_ended", about=order.order_id, ours=state, theirs="open", severity="critical")]
    found = []
    if order.filled > known.filled:
        about, filled = order.order_id, str(known.filled)
        found.append(Difference(kind="order_filled", about=about, ours=filled, theirs=str(order.filled), severity="critical"))
    mine, theirs = _terms(known.order, order), _terms(order, known.order)
    if known.steady and mine != theirs:
        found.append(Difference(kind="order_terms", about=order.order_id, ours=mine, theirs=theirs, severity="minor"))
    return found


def _words(order: VenueOrder) -> str:
    return f"{order.side} {order.quantity} {order.symbol} {order.order_type}"


def _terms(one: SubmitOrder | VenueOrder, other: SubmitOrder | VenueOrder) -> str:
    """Quantity, and the prices that both sides name."""
    words = [f"quantity {one.quantity.normalize():f}"]
    for name in ("limit_price", "stop_price"):
        price = getattr(one, name)
        if price is not None and getattr(other, name) is not None:
            words.append(f"{name} {price.normalize():f}")
    return ", ".join(words)


def _positions(kind: Kind, ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], tolerance: Decimal) -> list[Difference]:
    found = []
    for symbol in sorted({*ours, *theirs}):
        mine, other = ours.get(symbol, ZERO), theirs.get(symbol, ZERO)
        if abs(mine - other) > tolerance:
            found.append(Difference(kind=kind, about=symbol, ours=str(mine), theirs=str(other), severity="critical"))
    return found


def _cash(
    books: OurBooks,
    ours: Mapping[str, Decimal],
    theirs: Mapping[str, Decimal],
    netting: Mapping[str, Decimal],
    policy: ReconcilePolicy,
) -> list[Difference]:
    """A currency whose worth nobody knows is taken for the account's own: most are worth less."""
    found = []
    for currency in sorted({*ours, *theirs}):
        mine, other = ours.get(currency, ZERO), theirs.get(currency, ZERO)
        apart = (abs(mine - other) - netting.get(currency, ZERO)) * books.rates.get(currency, Decimal(1))
        if apart > policy.cash_tolerance:
            critical = apart >= policy.cash_critical and not books.cash_is_shared
            severity: Severity = "critical" if critical else "minor"
            found.append(Difference(kind="cash", about=currency, ours=str(mine), theirs=str(other), severity=severity))
    return found
