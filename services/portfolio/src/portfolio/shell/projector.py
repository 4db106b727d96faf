"""The portfolio's rows: the books, valuations, rejections and the archive of bars.

In:   handled messages with what the node said to them, inside the ledger runner's transaction.
Out:  rows; before a batch with fills or changes of cash, what the ledger remembers of them.
Not:  deciding anything; a batch without rows does not touch the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import asyncpg

from barque.instruments import Instrument
from barque.messages import AdjustCash, Bar, BarRevised, CashAdjusted, EquityMarked, Fill, Message, SignalRejected, Topic
from barque.postgres.projector import Handled, Scope
from portfolio.core.books import Position
from portfolio.core.history import Bookings, Forgotten, Recalled
from portfolio.core.journal import Posting, opening
from portfolio.core.valuation import PositionValue
from portfolio.shell import audit
from portfolio.shell.bookkeeping import Books, post
from portfolio.shell.bookkeeping import write as write_books
from portfolio.shell.recall import recall

_CASH = """
INSERT INTO cash (book, lineage, account, currency, amount) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, lineage, account, currency) DO UPDATE SET amount = excluded.amount
"""
_EQUITY = """
INSERT INTO equity (book, lineage, account, ts_event_ns, currency, cash, equity, unrealised_pnl, realised_pnl, flows, peak)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, greatest($7, (SELECT peak - flows + $10 FROM equity
    WHERE book = $1 AND lineage = $2 AND account = $3 AND ts_event_ns < $4 ORDER BY ts_event_ns DESC LIMIT 1)))
ON CONFLICT (book, lineage, account, ts_event_ns) DO UPDATE SET currency = excluded.currency, cash = excluded.cash,
    equity = excluded.equity, unrealised_pnl = excluded.unrealised_pnl, realised_pnl = excluded.realised_pnl,
    flows = excluded.flows, peak = excluded.peak
"""
_DAY = """
INSERT INTO days (book, lineage, account, day, currency, first_equity, highest_equity, lowest_equity, last_equity,
    largest_drawdown, last_ts_ns, first_flows, last_flows)
SELECT $1, $2, $3, day_of($4), $5, $6, $6, $6, $6, drawdown, $4, flows, flows FROM equity
WHERE book = $1 AND lineage = $2 AND account = $3 AND ts_event_ns = $4
ON CONFLICT (book, lineage, account, day) DO UPDATE SET currency = excluded.currency,
    highest_equity = greatest(days.highest_equity, excluded.highest_equity),
    lowest_equity = least(days.lowest_equity, excluded.lowest_equity), last_equity = excluded.last_equity,
    largest_drawdown = greatest(days.largest_drawdown, excluded.largest_drawdown), last_ts_ns = excluded.last_ts_ns,
    last_flows = excluded.last_flows
"""
_VALUATION = """
INSERT INTO valuations (book, lineage, account, strategy_id, symbol, ts_event_ns, quantity, price, currency, unrealised_pnl,
    base_currency, unrealised_pnl_base, realised_pnl_base)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (book, lineage, account, strategy_id, symbol) DO UPDATE SET ts_event_ns = excluded.ts_event_ns,
    quantity = excluded.quantity, price = excluded.price, currency = excluded.currency,
    unrealised_pnl = excluded.unrealised_pnl, base_currency = excluded.base_currency,
    unrealised_pnl_base = excluded.unrealised_pnl_base, realised_pnl_base = excluded.realised_pnl_base
"""
_MARK = """
INSERT INTO marks (book, lineage, symbol, ts_event_ns, price) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, lineage, symbol) DO UPDATE SET ts_event_ns = excluded.ts_event_ns, price = excluded.price
"""
_OPENED = "SELECT 1 FROM journal WHERE book = $1 AND lineage = $2 AND account = $3 AND entry = 'opening' LIMIT 1"
_REJECTION = """
INSERT INTO rejections (book, lineage, signal_id, strategy_id, symbol, reason, detail, ts_event_ns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
_BARS = """
INSERT INTO bars (book, lineage, symbol, "interval", price, ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count,
    seq)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::float8[], $9::float8[],
    $10::float8[], $11::float8[], $12::float8[], $13::bigint[], $14::integer[])
ON CONFLICT DO NOTHING
"""
_REVISED = """
INSERT INTO bars (book, lineage, symbol, "interval", price, ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count,
    seq, revised_ns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (book, lineage, symbol, "interval", price, ts_open_ns, seq) DO UPDATE SET open = excluded.open, high = excluded.high,
    low = excluded.low, close = excluded.close, volume = excluded.volume, tick_count = excluded.tick_count,
    revised_ns = excluded.revised_ns
"""
"""What history told of a bar takes the place of what was published, and says so."""

NS_PER_DAY = 86_400_000_000_000


class NodeBooks(Protocol):
    """Where the projector looks up what no message says: the node's books after the batch."""

    bookings: Bookings

    def cash(self, account: str) -> Mapping[str, Decimal]:
        """Cash of one account by currency."""
        ...

    def starting_cash(self, account: str) -> tuple[str, Decimal] | None:
        """Currency and amount that a configured account begins with."""
        ...

    def position(self, account: str, strategy_id: str, symbol: str) -> Position:
        """One position."""
        ...

    def instrument(self, symbol: str) -> Instrument:
        """A configured instrument."""
        ...

    def values(self, account: str) -> Sequence[PositionValue]:
        """Every position of an account at the latest marks; empty where that cannot be said."""
        ...

    def prices(self) -> Mapping[str, Decimal]:
        """The latest marks."""
        ...


class PortfolioProjector:
    """Writes the books; a `barque.postgres.projector.Projector`, and `Remembering` for its node."""

    remembers = frozenset((Topic.FILLS, Topic.CONTROL))

    def __init__(self, books: NodeBooks) -> None:
        self._books = books
        self._opened: set[tuple[str, str, str]] = set()
        self._days: set[int] = set()

    async def recall(
        self, connection: asyncpg.Connection, scope: Scope, messages: Sequence[Message]
    ) -> tuple[Recalled, Forgotten] | None:
        """What the ledger remembers of the fills and changes of cash among `messages`."""
        fills = [message for message in messages if isinstance(message, Fill)]
        changes = [message for message in messages if isinstance(message, AdjustCash | CashAdjusted)]
        if not fills and not changes:
            return None
        return Recalled(memory=await recall(connection, scope, fills, changes)), Forgotten()

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """The rows of `batch`, in its order."""
        fills: list[Fill] = []
        marked: list[EquityMarked] = []
        rejected: list[SignalRejected] = []
        bars: list[Bar] = []
        revised: list[BarRevised] = []
        adjusted: set[str] = set()
        for handled in batch:
            match handled.message:
                case Bar() as bar:
                    bars.append(bar)
                case BarRevised() as revision:
                    revised.append(revision)
                case SignalRejected() as rejection:
                    rejected.append(rejection)
                case Fill() as fill:
                    fills.append(fill)
                case AdjustCash(account=account) | CashAdjusted(account=account):
                    adjusted.add(account)
            marked += [said for _, said in handled.outputs if isinstance(said, EquityMarked)]
        await audit.write(connection, scope, [handled.message for handled in batch])
        accounts = sorted({fill.account for fill in fills} | {each.account for each in marked} | adjusted)
        await self._open(connection, scope, accounts)
        if fills or adjusted:
            books = self._books
            await write_books(connection, scope, books.bookings, Books(books.position, books.instrument))
        await _execute(connection, _CASH, self._cash_rows(scope, accounts))
        await self._write_equity(connection, scope, marked)
        await _execute(connection, _REJECTION, (_rejection_row(scope, each) for each in rejected))
        if bars:
            await self._ensure_months(connection, bars)
            await connection.execute(_BARS, scope.book, scope.lineage, *_bar_columns(bars))
        if revised:
            await self._ensure_months(connection, [each.bar for each in revised])
            rows = [(scope.book, scope.lineage, *_bar_row(each.bar), each.ts_event_ns) for each in revised]
            await connection.executemany(_REVISED, rows)

    async def _ensure_months(self, connection: asyncpg.Connection, bars: Sequence[Bar]) -> None:
        """A table for each month of `bars`. Days are looked at, not months: a day is in one month only."""
        for day in sorted({bar.ts_open_ns // NS_PER_DAY for bar in bars} - self._days):
            await connection.execute("SELECT ensure_bars_of_month($1)", day * NS_PER_DAY)
            self._days.add(day)

    async def _open(self, connection: asyncpg.Connection, scope: Scope, accounts: Sequence[str]) -> None:
        """The first entry of an account's journal: what it begins with."""
        for name in accounts:
            start = self._books.starting_cash(name)
            if start is None or (scope.book, scope.lineage, name) in self._opened:
                continue
            if await connection.fetchval(_OPENED, scope.book, scope.lineage, name) is None:
                await post(connection, scope, opening_of(name, *start))
            else:
                self._opened.add((scope.book, scope.lineage, name))  # it is durable: no need to look again

    async def _write_equity(self, connection: asyncpg.Connection, scope: Scope, marked: Sequence[EquityMarked]) -> None:
        if not marked:
            return
        here = (scope.book, scope.lineage)
        for each in marked:  # a peak goes by the row before
            money = (each.cash, each.equity, each.unrealised_pnl, each.realised_pnl, each.flows)
            await connection.execute(_EQUITY, *here, each.account, each.ts_event_ns, each.currency, *money)
            await connection.execute(_DAY, *here, each.account, each.ts_event_ns, each.currency, each.equity)
        latest = {each.account: each for each in marked}
        values = [(each, value) for each in latest.values() for value in self._books.values(each.account)]
        await _execute(connection, _VALUATION, (_valuation_row(scope, each, value) for each, value in values))
        now_ns = max(each.ts_event_ns for each in marked)
        prices = self._books.prices().items()
        await _execute(connection, _MARK, ((*here, symbol, now_ns, price) for symbol, price in prices))

    def _cash_rows(self, scope: Scope, accounts: Iterable[str]) -> Iterable[tuple[object, ...]]:
        return (
            (scope.book, scope.lineage, account, currency, amount)
            for account in accounts
            for currency, amount in self._books.cash(account).items()
        )


def opening_of(account: str, currency: str, amount: Decimal) -> list[Posting]:
    """Postings of an account's beginning."""
    return [Posting(account, "opening", "opening", "", "", "", *each) for each in opening(currency, amount)]


async def _execute(connection: asyncpg.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    listed = list(rows)
    if listed:
        await connection.executemany(statement, listed)


def _valuation_row(scope: Scope, marked: EquityMarked, value: PositionValue) -> tuple[object, ...]:
    return (
        *(scope.book, scope.lineage, marked.account, value.strategy_id, value.symbol, marked.ts_event_ns),
        *(value.quantity, value.price, value.currency, value.unrealised),
        *(marked.currency, value.unrealised_base, value.realised_base),
    )


def _rejection_row(scope: Scope, rejected: SignalRejected) -> tuple[object, ...]:
    what = (rejected.signal_id, rejected.strategy_id, rejected.symbol, rejected.reason, rejected.detail, rejected.ts_event_ns)
    return (scope.book, scope.lineage, *what)


_BAR_KEY = ("symbol", "interval", "price", "ts_open_ns", "ts_close_ns")
_BAR_NAMES = (*_BAR_KEY, "open", "high", "low", "close", "volume", "tick_count", "seq")


def _bar_columns(bars: Sequence[Bar]) -> tuple[list[object], ...]:
    return tuple([getattr(bar, name) for bar in bars] for name in _BAR_NAMES)


def _bar_row(bar: Bar) -> tuple[object, ...]:
    return tuple(getattr(bar, name) for name in _BAR_NAMES)
