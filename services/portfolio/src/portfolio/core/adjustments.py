"""Cash that comes in or goes out without a trade: deposits, interest, dividends, what a broker charges. Pure.

In:   AdjustCash, CashAdjusted.   Out: what is booked of them, or why it is not.
Not:  whether it has been booked before: the ledger remembers that (`history.Memory`).

Of the account's equity, deposits and withdrawals are *flows*; all else is profit or loss, what could not be explained too: a
breaker that looks at losses must see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from barque.messages import AdjustCash, CashAdjusted, CashKind
from portfolio.core.journal import LedgerAccount, Posting, Sum

Source = Literal["control", "sender"]

AGAINST: Mapping[CashKind, LedgerAccount] = {
    "deposit": "capital",
    "withdrawal": "capital",
    "interest": "interest",
    "dividend": "dividends",
    "financing": "financing",
    "fee": "charges",
    "tax": "taxes",
    "reconciliation": "reconciliation",
}
"""The account of the journal that stands against cash."""
FLOWS = frozenset[CashKind](("deposit", "withdrawal"))


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """One change of cash, as a row of `cash_adjustments`."""

    account: str
    reference: str
    kind: CashKind
    currency: str
    amount: Decimal
    ts_event_ns: int
    source: Source
    command_id: str = ""
    actor: str = ""
    reason: str = ""

    @property
    def is_flow(self) -> bool:
        """Money of the owner's, no profit and no loss."""
        return self.kind in FLOWS

    def says_the_same_as(self, other: Adjustment) -> bool:
        """Whether both are reports of one change: all that money depends on is equal."""
        return (self.kind, self.currency, self.amount) == (other.kind, other.currency, other.amount)


def adjustment_of(said: AdjustCash | CashAdjusted) -> Adjustment:
    """What was commanded, or reported."""
    about = {name: getattr(said, name) for name in ("account", "reference", "kind", "currency", "amount", "reason")}
    if isinstance(said, CashAdjusted):
        return Adjustment(**about, ts_event_ns=said.ts_event_ns, source="sender")
    at_ns = said.at_ns or said.ts_event_ns
    return Adjustment(**about, ts_event_ns=at_ns, source="control", command_id=said.command_id, actor=said.actor)


def fault_of(adjustment: Adjustment) -> str:
    """Why it cannot be booked, whatever the books say; empty where it can."""
    amount = adjustment.amount
    if not amount.is_finite() or not amount:
        return f"{amount} is no amount of money"
    if adjustment.kind == "deposit" and amount < 0:
        return "a deposit brings money in: its amount is positive; money that goes out is a withdrawal"
    if adjustment.kind == "withdrawal" and amount > 0:
        return "a withdrawal takes money out: its amount is negative; money that comes in is a deposit"
    if not adjustment.reference:
        return "it has no reference, so a repeat of it could not be told from another one"
    currency = adjustment.currency
    if not (currency.isalnum() and currency.isupper()):
        return f"'{currency}' is no currency; write it as USD"
    return ""


def entry_of(adjustment: Adjustment) -> str:
    """What the journal calls it."""
    return f"cash/{adjustment.reference}"


def postings(adjustment: Adjustment) -> Iterator[Posting]:
    """The two lines of its entry."""
    currency, amount = adjustment.currency, adjustment.amount
    sums = (Sum("cash", currency, amount), Sum(AGAINST[adjustment.kind], currency, -amount))
    about = (adjustment.account, entry_of(adjustment), adjustment.kind, adjustment.reference, "", "")
    return (Posting(*about, *each) for each in sums)
