"""Fills that are not simply the next one: repeated, late, corrected, taken back. The books become what they would be had every
execution come once, as it is now known to have been, in the order in which they were executed.

In:   what the ledger remembers of the positions that a batch of fills touches (`Memory`), then the fills.
Out:  each fill's `Taken`: rows that changed, postings of the journal; positions and cash moved.
Not:  remembering itself. The node's state stays small: the shell tells what is needed before the fills, and that it may be
      forgotten after them.

A fill's *place* is when it was executed and, at equal times, which was booked first. A correction takes the place of what it
corrects. One that names an execution that was replaced already means the one that replaced it; one that comes before what it
corrects waits for it. What follows a place that changed is computed again from there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

from barque.instruments import Instrument
from barque.messages import Fill
from barque.messages.signals import Side
from portfolio.core import journal
from portfolio.core.adjustments import Adjustment
from portfolio.core.books import ZERO, Account, Position
from portfolio.core.journal import Posting, PostingKind, Sum

FillState = Literal["booked", "replaced", "waiting", "unbooked"]
Outcome = Literal["booked", "repeated", "waiting", "unbooked", "differs"]


class Booked(msgspec.Struct, kw_only=True):
    """One execution, as a row of `fills`."""

    account: str
    exec_id: str
    order_id: str
    signal_id: str
    root: str
    strategy_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_currency: str
    currency: str
    ts_event_ns: int
    corrects: str
    booked_seq: int
    """The how-manieth fill of the book it is."""
    place_ns: int
    place_seq: int
    """Its place among the executions of its position."""
    state: FillState = "booked"
    replaced_by: str = ""
    realised_pnl: Decimal = ZERO
    position_quantity: Decimal | None = None
    position_cost: Decimal | None = None
    """Of the position, after it; None where it does not count (or was booked before there were these)."""

    @property
    def place(self) -> tuple[int, int]:
        """What positions are computed in the order of."""
        return self.place_ns, self.place_seq

    @property
    def signed(self) -> Decimal:
        """Quantity with the side's sign."""
        return self.quantity if self.side == "buy" else -self.quantity

    def says_the_same_as(self, other: Booked) -> bool:
        """Whether both are reports of one execution: all that money depends on is equal."""
        return all(getattr(self, name) == getattr(other, name) for name in _FIGURES)


_FIGURES = ("strategy_id", "symbol", "side", "quantity", "price", "commission", "commission_currency", "corrects")


class Past(msgspec.Struct, kw_only=True):
    """What counts in one position from some place on, and what it was before."""

    account: str
    strategy_id: str
    symbol: str
    from_ns: int = 0
    """Place from which on `fills` is whole."""
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    """Before the first of `fills`."""
    fills: list[str] = []
    """`exec_id`s of what counts, by place."""


class Memory(msgspec.Struct, kw_only=True):
    """What the ledger remembers of the executions, positions and changes of cash that a batch is about."""

    next_seq: int = 1
    rows: dict[str, dict[str, Booked]] = {}
    """By account and `exec_id`: the executions that the batch names, those that replaced them, and all of `pasts`."""
    pasts: list[Past] = []
    corrections: dict[str, dict[str, str]] = {}
    """By account: the first correction of an execution, whether that has come or not."""
    adjustments: dict[str, dict[str, Adjustment]] = {}
    """By account and reference: changes of cash that the batch names, where they are in the books."""

    def row(self, account: str, exec_id: str) -> Booked | None:
        """An execution, where it is known."""
        return self.rows.get(account, {}).get(exec_id)

    def add(self, row: Booked) -> None:
        """One more execution."""
        self.rows.setdefault(row.account, {})[row.exec_id] = row
        if row.corrects and row.state != "unbooked":
            self.corrections.setdefault(row.account, {}).setdefault(row.corrects, row.exec_id)

    def last(self, account: str, exec_id: str) -> Booked | None:
        """The execution that stands for `exec_id` now."""
        row = self.row(account, exec_id)
        while row is not None and row.replaced_by:
            row = self.row(account, row.replaced_by)
        return row

    def waiting_for(self, account: str, exec_id: str) -> Booked | None:
        """The correction that came before the execution that it corrects."""
        last = self.last(account, self.corrections.get(account, {}).get(exec_id, ""))
        return last if last is not None and last.state == "waiting" else None

    def past(self, row: Booked) -> Past:
        """Of the position of `row`; a new one where nothing is known of it."""
        for past in self.pasts:
            if (past.symbol, past.strategy_id, past.account) == (row.symbol, row.strategy_id, row.account):
                return past
        past = Past(account=row.account, strategy_id=row.strategy_id, symbol=row.symbol)
        self.pasts.append(past)
        return past


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """The shell tells what the ledger remembers, before a batch with fills."""

    memory: Memory


class Forgotten(msgspec.Struct, frozen=True):
    """The batch has been told: what was remembered for it is not needed any more."""


@dataclass(slots=True)
class Bookings:
    """What a batch has changed: the rows that its transaction writes."""

    first_seq: int = 1
    """Rows with a `booked_seq` from here on are new."""
    rows: dict[tuple[str, str], Booked] = field(default_factory=dict)
    """New and changed executions, by account and `exec_id`."""
    postings: list[Posting] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    """New ones."""
    pasts: list[Past] = field(default_factory=list)
    """Positions that changed, with all that counts in them from the first change on, or from before it."""
    memory: Memory = field(default_factory=Memory)

    def fills_of(self, past: Past) -> list[Booked]:
        """What counts in a position, by place."""
        rows = self.memory.rows.get(past.account, {})
        return [rows[exec_id] for exec_id in past.fills]

    def is_new(self, row: Booked) -> bool:
        """Whether the row is not in the ledger yet."""
        return row.booked_seq >= self.first_seq


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a fill, and the positions that it changed."""

    outcome: Outcome
    row: Booked
    changed: tuple[Past, ...] = ()


class Bookkeeper:
    """Takes fills into the books of all accounts, with the ledger's memory at hand."""

    def __init__(
        self, instruments: Mapping[str, Instrument], accounts: dict[str, Account], memory: Memory, bookings: Bookings
    ) -> None:
        """Moves positions and cash of `accounts`; what is to be written goes into `bookings`."""
        self._instruments = instruments
        self._accounts = accounts
        self._memory = memory
        self._bookings = bookings
        bookings.memory, bookings.first_seq = memory, memory.next_seq

    def take(self, fill: Fill) -> Taken:
        """Book `fill`, or say why it is not booked."""
        memory = self._memory
        row = self._row_of(fill)
        known = memory.row(row.account, row.exec_id)
        if known is not None:
            return Taken("repeated" if row.says_the_same_as(known) else "differs", row)
        before = None
        if row.corrects:
            before = memory.last(row.account, row.corrects) or memory.waiting_for(row.account, row.corrects)
        memory.next_seq += 1
        memory.add(row)
        self._bookings.rows[row.account, row.exec_id] = row
        if row.state == "unbooked":
            return Taken("unbooked", row)
        heir = memory.waiting_for(row.account, row.exec_id)  # its own correction has come before it
        changed: list[Past] = []
        if row.corrects not in ("", row.exec_id):
            if before is None or before.state == "waiting":
                return self._wait(row, before, heir)
            row.place_ns, row.place_seq = before.place
            changed += [self._take_out(before, entry=row.exec_id)] if before.state == "booked" else []
            self._replace(before, row)
        if heir is not None:
            heir.state, heir.place_ns, heir.place_seq = "booked", *row.place
            self._replace(row, heir)
        past = self._put_in(heir or row, entry=row.exec_id)
        return Taken("booked", heir or row, (*(each for each in changed if each is not past), past))

    def _wait(self, row: Booked, before: Booked | None, heir: Booked | None) -> Taken:
        """A correction that has come before what it corrects; `before` waits for the same, `heir` for `row`."""
        row.state = "waiting"
        if before is not None:
            self._replace(before, row)
        if heir is not None:
            self._replace(row, heir)
        return Taken("waiting", row)

    def _replace(self, old: Booked, new: Booked) -> None:
        old.state, old.replaced_by = "replaced", new.exec_id
        old.realised_pnl, old.position_quantity, old.position_cost = ZERO, None, None
        for each in (old, new):
            self._bookings.rows[each.account, each.exec_id] = each

    # -- positions ---------------------------------------------------------------------------------------------------

    def _put_in(self, row: Booked, entry: str) -> Past:
        """`row` counts from now on, at its place."""
        instrument = self._instruments[row.symbol]
        past = self._memory.past(row)
        at = bisect_left(past.fills, row.place, key=lambda exec_id: self._row(past, exec_id).place)
        past.fills.insert(at, row.exec_id)
        further = self._again(past, at, instrument, new=row)
        self._post(row, entry, "fill", journal.trade(instrument, _value(row, instrument), row.realised_pnl))
        self._post(row, entry, "fill", journal.fee(row.commission_currency, row.commission))
        self._post(row, entry, "rebooking", journal.trade(instrument, ZERO, further))
        self._commission(row, instrument, row.commission)
        return past

    def _take_out(self, row: Booked, entry: str) -> Past:
        """`row` counts no more."""
        instrument = self._instruments[row.symbol]
        past = self._memory.past(row)
        at = past.fills.index(row.exec_id)
        del past.fills[at]
        further = self._again(past, at, instrument)
        self._post(row, entry, "reversal", _negative(journal.trade(instrument, _value(row, instrument), row.realised_pnl)))
        self._post(row, entry, "reversal", journal.fee(row.commission_currency, -row.commission))
        self._post(row, entry, "rebooking", journal.trade(instrument, ZERO, further))
        position = self._commission(row, instrument, -row.commission)
        position.realised -= row.realised_pnl
        return past

    def _again(self, past: Past, at: int, instrument: Instrument, new: Booked | None = None) -> Decimal:
        """Compute the position again from the fill at `at` on; returns by how much the profit of those that counted before has
        changed in sum."""
        while at and self._row(past, past.fills[at - 1]).position_quantity is None:  # booked before that was kept
            at -= 1
        scratch = Position(quantity=past.quantity, cost=past.cost)
        if at:
            before = self._row(past, past.fills[at - 1])
            scratch.quantity, scratch.cost = before.position_quantity or ZERO, before.position_cost or ZERO
        further = ZERO
        for exec_id in past.fills[at:]:
            row = self._row(past, exec_id)
            signed = row.signed
            realised = scratch.trade(instrument, signed, row.price) if signed else ZERO
            if row is not new:
                if (realised, scratch.quantity, scratch.cost) == (row.realised_pnl, row.position_quantity, row.position_cost):
                    break  # from here on nothing differs
                further += realised - row.realised_pnl
            row.realised_pnl, row.position_quantity, row.position_cost = realised, scratch.quantity, scratch.cost
            self._bookings.rows[row.account, row.exec_id] = row
        else:
            position = self._position(past)
            position.quantity, position.cost = scratch.quantity, scratch.cost
        self._position(past).realised += further + (new.realised_pnl if new is not None else ZERO)
        if not any(each is past for each in self._bookings.pasts):
            self._bookings.pasts.append(past)
        return further

    def _row(self, past: Past, exec_id: str) -> Booked:
        return self._memory.rows[past.account][exec_id]

    def _position(self, past: Past) -> Position:
        account = self._accounts.setdefault(past.account, Account())
        return account.positions.setdefault(past.strategy_id, {}).setdefault(past.symbol, Position())

    def _commission(self, row: Booked, instrument: Instrument, amount: Decimal) -> Position:
        position = self._position(self._memory.past(row))
        if row.commission_currency == instrument.currency:
            position.commission += amount
        return position

    # -- the journal -------------------------------------------------------------------------------------------------

    def _post(self, row: Booked, entry: str, kind: PostingKind, sums: Iterator[Sum]) -> None:
        cash = self._accounts.setdefault(row.account, Account()).cash
        for ledger, currency, amount in sums:
            self._bookings.postings.append(
                Posting(row.account, entry, kind, row.exec_id, row.strategy_id, row.symbol, ledger, currency, amount)
            )
            if ledger == "cash":
                cash[currency] = cash.get(currency, ZERO) + amount

    def _row_of(self, fill: Fill) -> Booked:
        instrument = self._instruments.get(fill.symbol)
        sound = fill.quantity.is_finite() and fill.quantity >= 0 and fill.price.is_finite() and fill.commission.is_finite()
        currency = instrument.currency if instrument is not None else ""
        return Booked(
            account=fill.account,
            exec_id=fill.exec_id,
            order_id=fill.order_id,
            signal_id=fill.cause,
            root=fill.root,
            strategy_id=fill.strategy_id,
            symbol=fill.symbol,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            commission=fill.commission,
            commission_currency=fill.commission_currency or currency,
            currency=currency,
            ts_event_ns=fill.ts_event_ns,
            corrects=fill.corrects,
            booked_seq=self._memory.next_seq,
            place_ns=fill.ts_event_ns,
            place_seq=self._memory.next_seq,
            state="booked" if instrument is not None and sound else "unbooked",
        )


def _value(row: Booked, instrument: Instrument) -> Decimal:
    return row.signed * instrument.multiplier * row.price


def _negative(sums: Iterator[Sum]) -> Iterator[Sum]:
    return (Sum(ledger, currency, -amount) for ledger, currency, amount in sums)
