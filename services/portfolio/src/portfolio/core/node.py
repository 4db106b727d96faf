"""Keeps the books: fills become positions, cash and equity.

In:   Fill; Mark, Bar; SignalRejected; ClockTicked.
Out:  PositionChanged for each fill, EquityMarked after each fill and, when something changed, once per
      `equity_interval_s` of event time; Alert (once each) where an account cannot be valued or a fill cannot be booked.
Not:  telling a repeated fill: the ledger's primary key refuses it. Orders are read for their rejections, bars for the
      archive; both become rows by the projector alone.

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

from barque.instruments import Instrument
from barque.messages import Alert, Bar, ClockTicked, EquityMarked, Fill, Mark, Message, PositionChanged, Topic
from barque.messages.control import Severity
from barque.money import MissingPrice
from barque.node import ASLEEP, AWAKE, Output, Rank
from portfolio.config import PortfolioConfig
from portfolio.core.books import Account
from portfolio.core.state import PortfolioState
from portfolio.core.valuation import Prices

NOTHING: Sequence[Output] = ()
_NAN = float("nan")
_decode = msgspec.msgpack.Decoder(PortfolioState).decode
_encode = msgspec.msgpack.Encoder().encode


class PortfolioNode:
    """The books of every account of one book; a `barque.node.Node`."""

    name = "portfolio"
    rank = Rank.PORTFOLIO
    inputs: Sequence[Topic] = (Topic.CLOCK, Topic.FILLS, Topic.ORDERS, Topic.MARKS, Topic.BARS)
    order_path = True

    def __init__(self, config: PortfolioConfig, instruments: Iterable[Instrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._configured = config.accounts
        self._currencies = {account.name: account.currency for account in config.accounts}
        self._interval_ns = config.equity_interval_s * 1_000_000_000
        self.handlers: Mapping[type, Callable[[Any], Sequence[Output]]] = {
            Fill: self._book,
            ClockTicked: self._see_time,
            Mark: self._see_mark,
            Bar: self._see_bar,
        }
        self.restore(b"")

    @property
    def counters(self) -> Mapping[str, int]:
        """`fills_booked`, `fills_unbooked`."""
        return self._state.counters

    def cash(self, account: str) -> Mapping[str, Decimal]:
        """Cash of one account by currency, as it is now; empty for an account without books."""
        return MappingProxyType(self._state.accounts.get(account, Account()).cash)

    def prices(self) -> Mapping[str, Decimal]:
        """What positions are valued at now, by symbol; one that never had a price is not there."""
        found: dict[str, Decimal] = {}
        for symbol in self._instruments:
            with suppress(MissingPrice):
                found[symbol] = self._prices.price(symbol)
        return found

    def handle(self, message: Message) -> Sequence[Output]:
        """What the books say after `message`."""
        handler = self.handlers.get(type(message))
        return NOTHING if handler is None else handler(message)

    def sleeps_until(self, topic: Topic) -> int:
        """Time counts when an account is next to be valued; of prices, the latest then."""
        if topic is Topic.CLOCK:
            return self._due_ns
        return ASLEEP if topic is Topic.MARKS or topic is Topic.BARS else AWAKE

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        return _encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty: new books. Accounts configured since then are opened."""
        self._state = _decode(blob) if blob else PortfolioState()
        for account in self._configured:
            self._state.open_account(account.name, account.currency, account.starting_cash)
        self._prices = Prices(self._instruments, self._state.marks, self._state.bar_marks)
        self._due_ns = self._next_due_ns()

    def _next_due_ns(self) -> int:
        """When the first of the accounts is to be valued."""
        due_ns = self._state.due_ns
        return min([due_ns.get(name, AWAKE) for name in self._currencies], default=ASLEEP)

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
        if state.now_ns < self._due_ns:
            return NOTHING
        said: list[Output] = []
        for name in self._currencies:
            if state.due_ns.get(name, AWAKE) <= state.now_ns:
                said += self._mark(name, state.now_ns, only_changes=True)
        return said

    def _book(self, fill: Fill) -> list[Output]:
        state = self._state
        instrument = self._instruments.get(fill.symbol)
        if instrument is None or fill.corrects:
            state.count("fills_unbooked")
            why = f"it corrects {fill.corrects}" if fill.corrects else f"{fill.symbol} has no [[instruments]] entry"
            text = f"execution {fill.exec_id} of account {fill.account} is not in the books: {why}; book it by hand"
            return [self._alert("fill_unbooked", "critical", text)]
        account = state.accounts.get(fill.account)
        if account is None:
            account = state.accounts[fill.account] = Account()
        position = account.book(instrument, fill)
        state.count("fills_booked")
        changed = PositionChanged(
            account=fill.account,
            strategy_id=fill.strategy_id,
            symbol=fill.symbol,
            ts_event_ns=fill.ts_event_ns,
            cause=fill.exec_id,
            quantity=position.quantity,
            average_price=position.average_price(instrument),
            realised_pnl=position.realised,
            commission=position.commission,
            currency=instrument.currency,
        )
        return [(Topic.PORTFOLIO, changed), *self._mark(fill.account, max(state.now_ns, fill.ts_event_ns))]

    def _mark(self, name: str, ts_ns: int, only_changes: bool = False) -> list[Output]:
        state = self._state
        currency = self._currencies.get(name)
        if currency is None:
            return self._warn_once(f"account {name} has fills but no [[portfolio.accounts]] entry; add one to see its equity")
        state.due_ns[name] = ts_ns + self._interval_ns
        self._due_ns = self._next_due_ns()
        try:
            worth = self._prices.value(state.accounts[name], currency)
        except MissingPrice as missing:
            return self._warn_once(f"account {name} cannot be valued: no price of {missing.what}; check its feed and instruments")
        if only_changes and worth == state.published.get(name):
            return []
        state.published[name] = worth
        marked = EquityMarked(
            account=name,
            ts_event_ns=ts_ns,
            currency=currency,
            cash=worth.cash,
            equity=worth.equity,
            unrealised_pnl=worth.unrealised,
            realised_pnl=worth.realised,
        )
        return [(Topic.PORTFOLIO, marked)]

    def _warn_once(self, text: str) -> list[Output]:
        if text in self._state.warned:
            return []
        self._state.warned[text] = None
        return [self._alert("equity_unknown", "warning", text)]

    def _alert(self, name: str, severity: Severity, text: str) -> Output:
        return Topic.ALERTS, Alert(name=name, ts_event_ns=self._state.now_ns, severity=severity, source=self.name, text=text)
