"""What a sender's shell tells its core besides the messages of the bus and the events of the venue.

In:   what became of effects, and the broker's books.   Out: values.
Not:  messages of a stream: these never leave the process.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from barque.venue import VenueAccount, VenueExecution, VenueOrder, VenuePosition

Request = Literal["submit", "cancel", "modify"]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """All input of this transaction has been told: what may leave becomes an effect."""

    now_ns: int


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """The request surely did not leave this machine."""

    order_ids: tuple[str, ...]
    request: Request
    detail: str


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody knows whether the broker has these new orders."""

    order_ids: tuple[str, ...]
    detail: str


class LedgerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the portfolio's rows say of the account."""

    positions: dict[str, Decimal]
    """Signed contracts by symbol, all strategies together."""
    cash: dict[str, Decimal]
    """By currency."""
    rates: dict[str, Decimal] = {}
    """By currency: what one unit is worth in the account's own, by our marks; those that have none are not in it."""
    netting: dict[str, Decimal] = {}
    """By currency: by how much cash may differ because a broker nets what strategies hold on margin in one symbol and we do not;
    profit is then realised at other moments. It is how far what the open positions cost lies apart."""


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's books. Asked for in this order: open orders, executions, positions, account; then our ledger."""

    number: int
    """Of the question (`effects.AskBooks`)."""
    open_orders: tuple[VenueOrder, ...]
    executions: tuple[VenueExecution, ...]
    """Oldest first."""
    positions: tuple[VenuePosition, ...]
    account: VenueAccount
    ledger: LedgerFigures | None = None


class BooksUnavailable(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's books could not be read."""

    number: int
    detail: str


class ReconcileAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants the books compared now."""
