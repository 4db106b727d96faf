"""Double entry: what each booking moves between the accounts of the ledger. Pure arithmetic.

Accounts, each by currency (`docs/guides/books.md` says what stands where). A positive amount is a debit. Every entry sums to
zero in every currency:

    capital        what the account began with, and deposits less withdrawals since; negative
    cash           what is there
    instrument     what open positions cost: the position's own `cost`
    margin         what of that was never paid, because only profit and loss is: minus `instrument`, on margin; else nothing
    realised_pnl   profit, negative; loss, positive
    fees           commissions paid
    interest, dividends, financing, charges, taxes, reconciliation
                   what changed cash without a trade (`adjustments`): what came in, negative; what went out, positive

One formula books every fill, whether it opens, closes or goes through zero: the cost of the position changes by what the trade
is worth plus what it realises.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

from barque.instruments import Instrument
from barque.messages import CashKind

TradeAccount = Literal["capital", "cash", "instrument", "margin", "realised_pnl", "fees"]
OtherAccount = Literal["interest", "dividends", "financing", "charges", "taxes", "reconciliation"]
LedgerAccount = TradeAccount | OtherAccount
PostingKind = Literal["opening", "fill", "reversal", "rebooking"] | CashKind


class Posting(NamedTuple):
    """One line of the journal. `entry` is the execution whose arrival led to it, `exec_id` the one that it is about; of a change
    of cash without a trade, its reference."""

    account: str
    entry: str
    kind: PostingKind
    exec_id: str
    strategy_id: str
    symbol: str
    ledger: LedgerAccount
    currency: str
    amount: Decimal


class Sum(NamedTuple):
    """An amount of one account of the ledger."""

    ledger: LedgerAccount
    currency: str
    amount: Decimal


def opening(currency: str, amount: Decimal) -> Iterator[Sum]:
    """An account begins with `amount`."""
    if amount:
        yield Sum("cash", currency, amount)
        yield Sum("capital", currency, -amount)


def trade(instrument: Instrument, value: Decimal, realised: Decimal) -> Iterator[Sum]:
    """A trade over `value` (signed quantity × multiplier × price) that realises `realised`."""
    currency, cost = instrument.currency, value + realised
    sums = [Sum("instrument", currency, cost), Sum("realised_pnl", currency, -realised)]
    if instrument.on_margin:
        sums += [Sum("margin", currency, -cost), Sum("cash", currency, realised)]
    else:
        sums.append(Sum("cash", currency, -value))
    return (each for each in sums if each.amount)


def fee(currency: str, commission: Decimal) -> Iterator[Sum]:
    """A commission is paid, or (negative) given back."""
    if commission:
        yield Sum("fees", currency, commission)
        yield Sum("cash", currency, -commission)
