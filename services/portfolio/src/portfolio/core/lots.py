"""First in, first out: which opening fill each closing one closes, and what that earned. Pure arithmetic, without a division.

Beside the average cost that positions, cash and equity go by; taxes and some brokers go by this one. In sum, once a position is
flat, both have earned the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from barque.instruments import Instrument
from portfolio.core.books import ZERO
from portfolio.core.history import Booked


class Lot(msgspec.Struct, kw_only=True):
    """What one fill opened."""

    exec_id: str
    place: tuple[int, int]
    quantity: Decimal
    """Signed contracts that it opened."""
    price: Decimal
    open_quantity: Decimal
    """Signed contracts that are still open."""
    closed: tuple[int, int] | None = None
    """Place of the fill that closed the last of it."""


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What one fill closed of one lot."""

    lot_exec_id: str
    exec_id: str
    place: tuple[int, int]
    quantity: Decimal
    """Contracts closed, positive."""
    realised_pnl: Decimal


def match(lots: Iterable[Lot], fills: Iterable[Booked], instrument: Instrument) -> tuple[list[Lot], list[Closing]]:
    """`lots`: open ones, oldest first, changed in place. `fills`: by place, all after them. All lots, and the closings."""
    known = list(lots)
    open_lots = deque(known)
    closings: list[Closing] = []
    for fill in fills:
        left = fill.signed
        while left and open_lots and (open_lots[0].open_quantity > 0) != (left > 0):
            lot = open_lots[0]
            closed = min(abs(left), abs(lot.open_quantity))
            sign = 1 if lot.open_quantity > 0 else -1
            earned = sign * closed * instrument.multiplier * (fill.price - lot.price)
            closings.append(
                Closing(lot_exec_id=lot.exec_id, exec_id=fill.exec_id, place=fill.place, quantity=closed, realised_pnl=earned)
            )
            lot.open_quantity -= sign * closed
            left += sign * closed
            if not lot.open_quantity:
                lot.closed = fill.place
                open_lots.popleft()
        if left:
            lot = Lot(exec_id=fill.exec_id, place=fill.place, quantity=left, price=fill.price, open_quantity=left)
            known.append(lot)
            open_lots.append(lot)
    return known, closings


def earned(closings: Iterable[Closing]) -> Decimal:
    """In sum, in the instrument's currency."""
    return sum((closing.realised_pnl for closing in closings), ZERO)
