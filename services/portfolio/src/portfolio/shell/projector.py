"""The portfolio's rows: fills, positions, cash, equity, rejections and the archive of bars.

In:   handled messages with what the node said to them, inside the ledger runner's transaction.
Out:  rows. A fill that is there already violates its primary key and stops the books: nothing is booked twice.
Not:  deciding anything; a batch without rows does not touch the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import asyncpg

from barque.messages import Bar, EquityMarked, Fill, PositionChanged, SignalRejected
from barque.postgres.projector import Handled, Scope

# The statement's own view of `positions` is the one before it, so a fill's realised profit is the difference of totals.
_BOOK = """
WITH moved AS (
    INSERT INTO positions (book, lineage, account, strategy_id, symbol, quantity, average_price, realised_pnl, commission,
        currency, ts_event_ns)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (book, lineage, account, strategy_id, symbol) DO UPDATE SET
        quantity = excluded.quantity, average_price = excluded.average_price, realised_pnl = excluded.realised_pnl,
        commission = excluded.commission, ts_event_ns = excluded.ts_event_ns
)
INSERT INTO fills (book, lineage, account, strategy_id, symbol, realised_pnl, currency, ts_event_ns, exec_id, order_id,
    signal_id, root, side, quantity, price, commission, commission_currency)
SELECT $1, $2, $3, $4, $5,
    $8 - coalesce((SELECT realised_pnl FROM positions
        WHERE book = $1 AND lineage = $2 AND account = $3 AND strategy_id = $4 AND symbol = $5), 0),
    $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
"""
_CASH = """
INSERT INTO cash (book, lineage, account, currency, amount) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, lineage, account, currency) DO UPDATE SET amount = excluded.amount
"""
_EQUITY = """
INSERT INTO equity (book, lineage, account, ts_event_ns, currency, cash, equity, unrealised_pnl, realised_pnl)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (book, lineage, account, ts_event_ns) DO UPDATE SET currency = excluded.currency, cash = excluded.cash,
    equity = excluded.equity, unrealised_pnl = excluded.unrealised_pnl, realised_pnl = excluded.realised_pnl
"""
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


class CashBooks(Protocol):
    """Where the projector looks up what no message says."""

    def cash(self, account: str) -> Mapping[str, Decimal]:
        """Cash of one account by currency, after the batch."""
        ...


class PortfolioProjector:
    """Writes the books; a `barque.postgres.projector.Projector`."""

    def __init__(self, books: CashBooks) -> None:
        self._books = books

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """The rows of `batch`, in its order."""
        fills: list[tuple[Fill, PositionChanged]] = []
        marked: list[EquityMarked] = []
        rejected: list[SignalRejected] = []
        bars: list[Bar] = []
        for handled in batch:
            match handled.message:
                case Bar() as bar:
                    bars.append(bar)
                case SignalRejected() as rejection:
                    rejected.append(rejection)
                case Fill() as fill:
                    fills += [(fill, said) for _, said in handled.outputs if isinstance(said, PositionChanged)]
            marked += [said for _, said in handled.outputs if isinstance(said, EquityMarked)]
        accounts = sorted({fill.account for fill, _ in fills} | {each.account for each in marked})
        await _execute(connection, _BOOK, (_fill_row(scope, fill, changed) for fill, changed in fills))
        await _execute(connection, _CASH, self._cash_rows(scope, accounts))
        await _execute(connection, _EQUITY, (_equity_row(scope, each) for each in marked))
        await _execute(connection, _REJECTION, (_rejection_row(scope, each) for each in rejected))
        if bars:
            await connection.execute(_BARS, scope.book, scope.lineage, *_bar_columns(bars))

    def _cash_rows(self, scope: Scope, accounts: Iterable[str]) -> Iterable[tuple[object, ...]]:
        return (
            (scope.book, scope.lineage, account, currency, amount)
            for account in accounts
            for currency, amount in self._books.cash(account).items()
        )


async def _execute(connection: asyncpg.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    listed = list(rows)
    if listed:
        await connection.executemany(statement, listed)


def _fill_row(scope: Scope, fill: Fill, changed: PositionChanged) -> tuple[object, ...]:
    position = (changed.account, changed.strategy_id, changed.symbol, changed.quantity, changed.average_price)
    totals = (changed.realised_pnl, changed.commission, changed.currency, changed.ts_event_ns)
    names = (fill.exec_id, fill.order_id, fill.cause, fill.root)
    trade = (fill.side, fill.quantity, fill.price, fill.commission, fill.commission_currency or changed.currency)
    return (scope.book, scope.lineage, *position, *totals, *names, *trade)


def _equity_row(scope: Scope, marked: EquityMarked) -> tuple[object, ...]:
    money = (marked.cash, marked.equity, marked.unrealised_pnl, marked.realised_pnl)
    return (scope.book, scope.lineage, marked.account, marked.ts_event_ns, marked.currency, *money)


def _rejection_row(scope: Scope, rejected: SignalRejected) -> tuple[object, ...]:
    what = (rejected.signal_id, rejected.strategy_id, rejected.symbol, rejected.reason, rejected.detail, rejected.ts_event_ns)
    return (scope.book, scope.lineage, *what)


def _bar_columns(bars: Sequence[Bar]) -> tuple[list[object], ...]:
    key = ("symbol", "interval", "price", "ts_open_ns", "ts_close_ns")
    names = (*key, "open", "high", "low", "close", "volume", "tick_count", "seq")
    return tuple([getattr(bar, name) for bar in bars] for name in names)
