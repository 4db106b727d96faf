"""The books anew from nothing but the fills, in the order in which they were booked, and the changes of cash. Pure.

In:   executions and changes of cash as they are stored, and what accounts began with.   Out: what every table must hold.
Not:  valuations, equity and days, which need prices of their time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from barque.instruments import Instrument
from barque.messages import Fill
from portfolio.core.adjustments import Adjustment, postings
from portfolio.core.books import Account
from portfolio.core.history import Booked, Bookings, Bookkeeper, Memory, Past
from portfolio.core.journal import Posting, opening
from portfolio.core.lots import Closing, Lot, match


@dataclass(slots=True)
class Rebuilt:
    """All that follows from the fills."""

    accounts: dict[str, Account]
    bookings: Bookings
    postings: list[Posting]
    """The openings first."""
    lots: list[tuple[Past, Lot]] = field(default_factory=list)
    closings: list[tuple[Past, Closing]] = field(default_factory=list)


def rebuild(
    instruments: Mapping[str, Instrument],
    starts: Mapping[str, tuple[str, Decimal]],
    rows: Iterable[Booked],
    adjustments: Iterable[Adjustment] = (),
) -> Rebuilt:
    """`rows`: in the order of `booked_seq`; what they say of positions is not looked at. `starts`: by account."""
    accounts = {name: Account(cash={currency: amount}) for name, (currency, amount) in starts.items()}
    openings = [
        Posting(name, "opening", "opening", "", "", "", *each)
        for name, (currency, amount) in starts.items()
        for each in opening(currency, amount)
    ]
    memory, bookings = Memory(), Bookings()
    bookkeeper = Bookkeeper(instruments, accounts, memory, bookings)
    for row in rows:
        memory.next_seq = row.booked_seq
        bookkeeper.take(_fill(row))
    for adjustment in adjustments:
        accounts.setdefault(adjustment.account, Account()).pay(adjustment.currency, adjustment.amount)
        bookings.postings += postings(adjustment)
    rebuilt = Rebuilt(accounts, bookings, openings + bookings.postings)
    for past in bookings.pasts:
        lots, closings = match((), bookings.fills_of(past), instruments[past.symbol])
        rebuilt.lots += [(past, lot) for lot in lots]
        rebuilt.closings += [(past, closing) for closing in closings]
    return rebuilt


def _fill(row: Booked) -> Fill:
    """The report that led to a row."""
    return Fill(
        order_id=row.order_id,
        cause=row.signal_id,
        root=row.root,
        strategy_id=row.strategy_id,
        account=row.account,
        symbol=row.symbol,
        ts_event_ns=row.ts_event_ns,
        exec_id=row.exec_id,
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        commission=row.commission,
        commission_currency=row.commission_currency,
        corrects=row.corrects,
    )
