"""What somebody else holds on the account in symbols that are not configured: told, never booked.

In:   the broker's books.   Out: differences of kind `position_elsewhere`, an Alert for each change, whether cash is shared.
Not:  orders of others (`books`); what others trade (`executions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from router.core.sending.desk import Desk
from router.core.sending.events import Books
from router.core.sending.reconciliation import Difference, OurBooks, elsewhere
from router.core.sending.state import ZERO


def part(desk: Desk, books: Books) -> tuple[Books, dict[str, Decimal]]:
    """The books without the holdings of others; and these, by symbol."""
    others: dict[str, Decimal] = {}
    for position in books.positions:
        if not desk.is_ours(position.symbol):
            others[position.symbol] = others.get(position.symbol, ZERO) + position.quantity
    positions = tuple(position for position in books.positions if desk.is_ours(position.symbol))
    ledger = books.ledger
    if ledger is not None:
        ledger = replace(ledger, positions=ours(desk, ledger.positions))
    return replace(books, positions=positions, ledger=ledger), others


def ours(desk: Desk, positions: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Those in symbols of ours."""
    return {symbol: quantity for symbol, quantity in positions.items() if desk.is_ours(symbol)}


def changes(desk: Desk, shown: Mapping[str, Decimal]) -> list[Difference]:
    """What people have not been told yet. From now on cash may be others' doing."""
    found = elsewhere(desk.state.elsewhere, shown)
    if shown or found:
        desk.state.cash_is_shared = True
    return found


def settle_cash(desk: Desk, shown: Mapping[str, Decimal], our_books: OurBooks, found: Sequence[Difference]) -> None:
    """Cash is ours alone again once it has been found right, with nothing of others there and nothing of theirs changed."""
    if our_books.cash is not None and not shown and all(each.kind not in ("cash", "position_elsewhere") for each in found):
        desk.state.cash_is_shared = False


def tell(desk: Desk, difference: Difference) -> None:
    """Two looks have shown it."""
    symbol, quantity = difference.about, Decimal(difference.theirs)
    if quantity:
        desk.state.elsewhere[symbol] = quantity
    else:
        desk.state.elsewhere.pop(symbol, None)
    text = (
        f"{desk.config.account}: the account has {difference.theirs} {symbol}, and had {difference.ours}. No [[instruments]] "
        f"entry is of it, so it is taken for somebody else's: nothing of it is booked, and cash that differs is a minor matter "
        f"while it is there"
    )
    desk.alert("position_elsewhere", "info", text)
