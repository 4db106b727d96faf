"""Keeps the books: fills become positions, cash and equity; so does cash that comes and goes without a trade.

In:   Fill; AdjustCash, CashAdjusted; Mark, Bar; ClockTicked; Recalled, Forgotten from its shell.
Out:  PositionChanged for each fill, EquityMarked after each fill or change of cash and, when something changed, once per
      `equity_interval_s` of event time (on a wall clock: even when nothing did); Alert where an account cannot be valued, and
      when it can again, or something cannot be booked.
Not:  remembering executions. Before a batch with fills the shell tells what the ledger remembers of them (`history`); then
      a repeated fill changes nothing, a late or corrected one is booked at its place. Without a shell, in one process, every
      fill is taken for the next one. What else is read becomes rows by the projector alone.

A new book's starting cash is its first EquityMarked, at the first tick of the clock. Between fills only the clock asks for
a valuation, when all prices of an instant are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from barque.config import Clock
from barque.instruments import Instrument
from barque.messages import (
    AdjustCash,
    Alert,
    Bar,
    CashAdjusted,
    ClockTicked,
    EquityMarked,
    Fill,
    Mark,
    Message,
    PositionChanged,
    Topic,
)
from barque.messages.control import Severity
from barque.money import MissingPrice
from barque.node import ASLEEP, AWAKE, Output, Rank
from portfolio.config import PortfolioConfig
from portfolio.core import adjustments
from portfolio.core.adjustments import Adjustment
from portfolio.core.books import ZERO, Account, Position
from portfolio.core.history import Bookings, Bookkeeper, Forgotten, Memory, Past, Recalled, Taken
from portfolio.core.state import PortfolioState, Unvalued
from portfolio.core.valuation import PositionValue, Prices

NOTHING: Sequence[Output] = ()
_NAN = float("nan")
LASTS_NS = 300 * 1_000_000_000
"""An account that cannot be valued for so long is critical."""
# Members of an enumeration by names of this module: in Python 3.11 `Topic.MARKS` costs as much as five calls.
_CLOCK, _MARKS, _BARS, _PORTFOLIO = Topic.CLOCK, Topic.MARKS, Topic.BARS, Topic.PORTFOLIO
_decode = msgspec.msgpack.Decoder(PortfolioState).decode
_encode = msgspec.msgpack.Encoder().encode


class PortfolioNode:
    """The books of every account of one book; a `barque.node.Node`."""

    name = "portfolio"
    rank = Rank.PORTFOLIO
    inputs: Sequence[Topic] = (Topic.CONTROL, Topic.CLOCK, Topic.FILLS, Topic.ORDERS, Topic.MARKS, Topic.BARS, Topic.SIGNALS)
    bookings: Bookings
    """What has been booked since the shell told what the ledger remembers."""
    _bookkeeper: Bookkeeper | None
    order_path = True
    for_the_record = frozenset((Topic.SIGNALS,))

    def __init__(self, config: PortfolioConfig, instruments: Iterable[Instrument], clock: Clock = "feed") -> None:
        """`clock`: the book's. On a wall clock an unchanged value is said again, for silence means that nobody knows it."""
        self._only_changes = clock == "feed"
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._configured = config.accounts
        self._currencies = {account.name: account.currency for account in config.accounts}
        self._interval_ns = config.equity_interval_s * 1_000_000_000
        self.handlers: Mapping[type, Callable[[Any], Sequence[Output]]] = {
            Fill: self._book,
            ClockTicked: self._see_time,
            Mark: self._see_mark,
            Bar: self._see_bar,
            AdjustCash: self._adjust_cash,
            CashAdjusted: self._adjust_cash,
        }
        self._of_shell: Mapping[type, Callable[[Any], Sequence[Output]]] = {Recalled: self._recall, Forgotten: self._forget}
        self.restore(b"")

    @property
    def counters(self) -> Mapping[str, int]:
        """`fills_booked`, `fills_unbooked`, `fills_repeated`; `cash_booked`, `cash_unbooked`, `cash_repeated`."""
        return self._state.counters

    def cash(self, account: str) -> Mapping[str, Decimal]:
        """Cash of one account by currency, as it is now; empty for an account without books."""
        return MappingProxyType(self._state.accounts.get(account, Account()).cash)

    def starting_cash(self, account: str) -> tuple[str, Decimal] | None:
        """Currency and amount that a configured account begins with."""
        return next(((each.currency, each.starting_cash) for each in self._configured if each.name == account), None)

    def position(self, account: str, strategy_id: str, symbol: str) -> Position:
        """One position, as it is now."""
        return self._state.accounts.get(account, Account()).positions.get(strategy_id, {}).get(symbol, Position())

    def instrument(self, symbol: str) -> Instrument:
        """A configured instrument."""
        return self._instruments[symbol]

    def values(self, account: str) -> Sequence[PositionValue]:
        """Every position of a configured account at the latest marks; empty where one has no price."""
        books = self._state.accounts.get(account)
        if books is None or account not in self._currencies:
            return ()
        try:
            return self._prices.positions(books, self._currencies[account])
        except MissingPrice:
            return ()

    def prices(self) -> Mapping[str, Decimal]:
        """What positions are valued at now, by symbol; one that never had a price is not there."""
        found: dict[str, Decimal] = {}
        for symbol in self._instruments:
            with suppress(MissingPrice):
                found[symbol] = self._prices.price(symbol)
        return found

    def handle(self, message: Message) -> Sequence[Output]:
        """What the books say after `message`."""
        handler = self.handlers.get(type(message)) or self._of_shell.get(type(message))
        return NOTHING if handler is None else handler(message)

    def sleeps_until(self, topic: Topic) -> int:
        """Time counts when an account is next to be valued; of prices, the latest then."""
        if topic is _CLOCK:
            return self.due_ns
        return ASLEEP if topic is _MARKS or topic is _BARS else AWAKE

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: new books. Accounts configured since then are opened."""
        self._state = _decode(blob) if blob else PortfolioState()
        for account in self._configured:
            self._state.open_account(account.name, account.currency, account.starting_cash)
        self._prices = Prices(self._instruments, self._state.marks, self._state.bar_marks)
        self.due_ns = self._next_due_ns()
        self._open_memory()

    def _next_due_ns(self) -> int:
        """When the first of the accounts is to be valued."""
        dues_ns, first_ns = self._state.due_ns, ASLEEP
        for name in self._currencies:
            due_ns = dues_ns.get(name, AWAKE)
            if due_ns < first_ns:
                first_ns = due_ns
        return first_ns

    def _see_mark(self, mark: Mark) -> Sequence[Output]:
        if mark.symbol in self._instruments:
            self._state.marks[mark.symbol] = mark
        return NOTHING

    def _see_bar(self, bar: Bar) -> Sequence[Output]:
        state = self._state
        if bar.symbol in state.marks:
            state.bar_marks.pop(bar.symbol, None)
        elif bar.symbol in self._instruments:
            mark = state.bar_marks.get(bar.symbol, Mark(symbol=bar.symbol, ts_event_ns=0, bid=_NAN, ask=_NAN, last=_NAN))
            if bar.ts_close_ns >= mark.ts_event_ns:
                side = bar.price if bar.price in ("bid", "ask") else "last"
                state.bar_marks[bar.symbol] = msgspec.structs.replace(mark, ts_event_ns=bar.ts_close_ns, **{side: bar.close})
        return NOTHING

    def _see_time(self, clock: ClockTicked) -> Sequence[Output]:
        state, now_ns = self._state, clock.now_ns
        if now_ns > state.now_ns:
            state.now_ns = now_ns
        if state.now_ns < self.due_ns:
            return NOTHING
        said: list[Output] = []
        for name in self._currencies:
            if state.due_ns.get(name, AWAKE) <= state.now_ns:
                said += self._mark(name, state.now_ns, only_changes=self._only_changes)
        return said

    # -- fills with what the ledger remembers of them -----------------------------------------------------------------

    def _recall(self, recalled: Recalled) -> Sequence[Output]:
        self._state.memory = recalled.memory
        self._open_memory()
        return NOTHING

    def _forget(self, _: Forgotten) -> Sequence[Output]:
        self._state.memory = None
        self._bookkeeper = None
        return NOTHING

    def _open_memory(self) -> None:
        state = self._state
        self.bookings = Bookings()
        self._bookkeeper = None
        if state.memory is not None:
            self._bookkeeper = Bookkeeper(self._instruments, state.accounts, state.memory, self.bookings)

    def _take(self, fill: Fill, bookkeeper: Bookkeeper) -> Sequence[Output]:
        taken = bookkeeper.take(fill)
        if taken.outcome == "repeated":
            self._state.count("fills_repeated")
            return NOTHING
        if taken.outcome != "booked":
            return [self._unbooked(fill, _why(taken, fill))]
        self._state.count("fills_booked")
        changed = [(Topic.PORTFOLIO, self._changed(past, fill)) for past in taken.changed]
        accounts = dict.fromkeys(past.account for past in taken.changed)
        now_ns = max(self._state.now_ns, fill.ts_event_ns)
        return [*changed, *(output for name in accounts for output in self._mark(name, now_ns))]

    def _changed(self, past: Past, fill: Fill) -> PositionChanged:
        position = self._state.accounts[past.account].positions[past.strategy_id][past.symbol]
        return _said(position, past.account, past.strategy_id, self._instruments[past.symbol], fill)

    def _unbooked(self, fill: Fill, why: str) -> Output:
        self._state.count("fills_unbooked")
        return self._alert("fill_unbooked", "critical", f"execution {fill.exec_id} of account {fill.account} {why}")

    # -- cash without a trade -----------------------------------------------------------------------------------------

    def _adjust_cash(self, said: AdjustCash | CashAdjusted) -> Sequence[Output]:
        state, adjustment = self._state, adjustments.adjustment_of(said)
        memory = Memory() if state.memory is None else state.memory
        known = memory.adjustments.get(adjustment.account, {}).get(adjustment.reference)
        if known is not None and adjustment.says_the_same_as(known):
            state.count("cash_repeated")
            return NOTHING
        account = state.accounts.get(adjustment.account)
        why = adjustments.fault_of(adjustment)
        if known is not None:
            why = f"it is in the books as {known.kind} of {known.amount} {known.currency}, and stays so; give another reference"
        elif account is None:
            why = f"the book has no account {adjustment.account}"
        if why or account is None:
            state.count("cash_unbooked")
            what = f"{adjustment.kind} {adjustment.reference} of {adjustment.amount} {adjustment.currency}"
            return [self._alert("cash_unbooked", "critical", f"{what} on account {adjustment.account}: {why}")]
        state.count("cash_booked")
        self._book_cash(account, adjustment)
        marked_ns = state.due_ns.get(adjustment.account, AWAKE) - self._interval_ns  # no valuation goes back before the last one
        return self._mark(adjustment.account, max(state.now_ns or said.ts_event_ns, marked_ns))

    def _book_cash(self, account: Account, adjustment: Adjustment) -> None:
        state, name, currency = self._state, adjustment.account, adjustment.currency
        account.pay(currency, adjustment.amount)
        if adjustment.is_flow:
            due = state.flows_due.setdefault(name, {})
            due[currency] = due.get(currency, ZERO) + adjustment.amount
        self.bookings.adjustments.append(adjustment)
        self.bookings.postings += adjustments.postings(adjustment)
        if state.memory is not None:
            state.memory.adjustments.setdefault(name, {})[adjustment.reference] = adjustment

    # -- fills, each the next one -------------------------------------------------------------------------------------

    def _book(self, fill: Fill) -> Sequence[Output]:
        if self._bookkeeper is not None:
            return self._take(fill, self._bookkeeper)
        state = self._state
        instrument = self._instruments.get(fill.symbol)
        if instrument is None or fill.corrects:
            why = f"it corrects {fill.corrects}" if fill.corrects else _no_instrument(fill)
            return [self._unbooked(fill, f"is not in the books: {why}; book it by hand")]
        account = state.accounts.get(fill.account)
        if account is None:
            account = state.accounts[fill.account] = Account()
        position = account.book(instrument, fill)
        state.count("fills_booked")
        changed = _said(position, fill.account, fill.strategy_id, instrument, fill)
        return [(_PORTFOLIO, changed), *self._mark(fill.account, max(state.now_ns, fill.ts_event_ns))]

    def _mark(self, name: str, ts_ns: int, only_changes: bool = False) -> list[Output]:
        state = self._state
        currency = self._currencies.get(name)
        if currency is None:
            return self._warn_once(f"account {name} has fills but no [[portfolio.accounts]] entry; add one to see its equity")
        state.due_ns[name] = ts_ns + self._interval_ns
        self.due_ns = self._next_due_ns()
        try:
            worth = self._prices.value(state.accounts[name], currency)
            self._convert_flows(name, currency)
        except MissingPrice as missing:
            return self._unvalued(name, ts_ns, missing)
        again = self._valued(name)
        if only_changes and worth == state.published.get(name):
            return again
        state.published[name] = worth
        marked = EquityMarked(
            account=name,
            ts_event_ns=ts_ns,
            currency=currency,
            cash=worth.cash,
            equity=worth.equity,
            unrealised_pnl=worth.unrealised,
            realised_pnl=worth.realised,
            flows=state.flows.get(name, ZERO),
        )
        return [(_PORTFOLIO, marked), *again]

    def _convert_flows(self, name: str, currency: str) -> None:
        """Deposits and withdrawals since the last valuation, at the prices of this one; raises `MissingPrice`."""
        due = self._state.flows_due.get(name)
        if due:
            flows = sum((self._prices.convert(amount, each, currency) for each, amount in due.items()), ZERO)
            self._state.flows[name] = self._state.flows.get(name, ZERO) + flows
            due.clear()

    def _unvalued(self, name: str, ts_ns: int, missing: MissingPrice) -> list[Output]:
        """Told when it begins, and once more where it lasts: breakers and limits that go by equity do not see any more."""
        text = f"account {name} cannot be valued: no price of {missing.what}; check its feed and instruments"
        known = self._state.unvalued.get(name)
        if known is None:
            self._state.unvalued[name] = Unvalued(since_ns=ts_ns)
            return [self._alert("equity_unknown", "warning", text)]
        if known.lasts or ts_ns - known.since_ns < LASTS_NS:
            return []
        known.lasts = True
        since = f"for {(ts_ns - known.since_ns) // 1_000_000_000} s"
        return [self._alert("equity_unknown", "critical", f"{text}. It has been so {since}: losses are not measured")]

    def _valued(self, name: str) -> list[Output]:
        if self._state.unvalued.pop(name, None) is None:
            return []
        return [self._alert("equity_unknown", "info", f"account {name} is valued again")]

    def _warn_once(self, text: str) -> list[Output]:
        if text in self._state.warned:
            return []
        self._state.warned[text] = None
        return [self._alert("equity_unknown", "warning", text)]

    def _alert(self, name: str, severity: Severity, text: str) -> Output:
        return Topic.ALERTS, Alert(name=name, ts_event_ns=self._state.now_ns, severity=severity, source=self.name, text=text)


def _said(position: Position, account: str, strategy_id: str, instrument: Instrument, fill: Fill) -> PositionChanged:
    return PositionChanged(
        account=account,
        strategy_id=strategy_id,
        symbol=instrument.symbol,
        ts_event_ns=fill.ts_event_ns,
        cause=fill.exec_id,
        quantity=position.quantity,
        average_price=position.average_price(instrument),
        realised_pnl=position.realised,
        commission=position.commission,
        currency=instrument.currency,
    )


def _no_instrument(fill: Fill) -> str:
    return f"{fill.symbol} has no [[instruments]] entry"


def _why(taken: Taken, fill: Fill) -> str:
    """Why a fill does not count, and what to do."""
    if taken.outcome == "differs":
        return "is in the books with other figures, and stays as it is; compare it with the broker"
    if taken.outcome == "waiting":
        return (
            f"corrects {fill.corrects}, which is not in the books: it does not count, but in the place of that one should it come"
        )
    if taken.row.currency:
        return f"is not in the books: {fill.quantity} at {fill.price} is no trade; see the broker"
    return f"is not in the books: {_no_instrument(fill)}; add one, then `barque books rebuild --write`"
