"""Every table of the books against what the fills say, and put right where they differ: `barque books rebuild`.

In:   Postgres, the configuration.   Out: the differences; with `write`, tables and the portfolio's state as the fills have them.
Not:  fills and changes of cash themselves: `fills` and `cash_adjustments` are what everything else follows from. While it writes
      it holds the portfolio's lock, so it cannot run beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from barque.bus.ledger_row import lock_key
from barque.config import CommonConfig
from barque.errors import BusUnavailable, ConfigError
from barque.postgres.projector import Scope
from portfolio.config import PortfolioConfig
from portfolio.core.books import ZERO
from portfolio.core.lots import earned
from portfolio.core.node import PortfolioNode
from portfolio.core.rebuilding import Rebuilt, rebuild
from portfolio.core.state import PortfolioState
from portfolio.shell import bookkeeping
from portfolio.shell.recall import ADJUSTMENT_COLUMNS, COLUMNS, adjustment, booked

Row = Mapping[str, Any]
Table = dict[tuple[Any, ...], dict[str, Any]]

TABLES: dict[str, tuple[str, ...]] = {
    "fills": ("account", "exec_id"),
    "positions": ("account", "strategy_id", "symbol"),
    "cash": ("account", "currency"),
    "lots": ("account", "exec_id"),
    "lot_closings": ("account", "lot_exec_id", "exec_id"),
    "journal": ("account", "entry", "line"),
}
"""What follows from the fills, and what tells its rows apart."""
_FILLS = f"SELECT {COLUMNS} FROM fills WHERE book = $1 AND lineage = $2 ORDER BY booked_seq"  # noqa: S608
_ADJUSTMENTS = f"SELECT {ADJUSTMENT_COLUMNS} FROM cash_adjustments WHERE book = $1 AND lineage = $2"  # noqa: S608
_OPENINGS = """
SELECT account, currency, amount FROM journal WHERE book = $1 AND lineage = $2 AND entry = 'opening' AND ledger = 'cash'
"""
_RETIRED = "SELECT before_ns FROM retired WHERE book = $1 AND lineage = $2 AND name = 'equity'"
# Where valuations have been retired, the first that is left has its peak from them.
_PEAKS = """
SELECT account, ts_event_ns, peak, flows + greatest(
    max(equity - flows) OVER (PARTITION BY account ORDER BY ts_event_ns),
    CASE WHEN EXISTS (SELECT 1 FROM retired r WHERE r.book = $1 AND r.lineage = $2 AND r.name = 'equity')
        THEN first_value(peak - flows) OVER (PARTITION BY account ORDER BY ts_event_ns) END) AS must
FROM equity WHERE book = $1 AND lineage = $2
"""
_MEND_PEAKS = f"""
UPDATE equity SET peak = must FROM ({_PEAKS}) old WHERE equity.book = $1 AND equity.lineage = $2
    AND equity.account = old.account AND equity.ts_event_ns = old.ts_event_ns AND equity.peak IS DISTINCT FROM must
"""  # noqa: S608 (two statements of ours)
_JOURNAL_COLUMNS = ("account", "entry", "line", "kind", "exec_id", "strategy_id", "symbol", "ledger", "currency", "amount")


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as the fills have it."""

    table: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.text}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a comparison has found."""

    rows: dict[str, int]
    """How many rows each table must have."""
    differences: list[Difference]
    equity_since_ns: int = 0
    """Valuations of before have been retired; 0: none have."""


class Rebuild:
    """One book's tables, compared with its fills."""

    def __init__(self, connection: asyncpg.Connection, common: CommonConfig, config: PortfolioConfig) -> None:
        self._connection = connection
        self._book = common.book.name
        self._node = PortfolioNode(config, common.instruments, common.book.clock)
        self._instruments = {each.symbol: each for each in common.instruments}
        self._starts = {each.name: (each.currency, each.starting_cash) for each in config.accounts}

    async def check(self) -> Checked:
        """Compare, at one instant; changes nothing."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            return (await self._compare(await self._scope()))[1]

    async def write(self) -> Checked:
        """Compare, and put right what differs; raises `BusUnavailable` while the portfolio runs."""
        connection, scope = self._connection, await self._scope()
        key = lock_key(scope.book, scope.lineage, scope.node)
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
            raise BusUnavailable("the portfolio is running; stop it, then rebuild")
        try:
            async with connection.transaction():
                rebuilt, checked = await self._compare(scope)
                if checked.differences:
                    await self._replace(scope, rebuilt)
                return checked
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", key)

    async def _scope(self) -> Scope:
        lineage = await self._connection.fetchval("SELECT lineage FROM books WHERE book = $1", self._book)
        if lineage is None:
            raise ConfigError(f"book '{self._book}' has not been begun in Postgres; run `barque seed`")
        return Scope(self._book, lineage, self._node.name, 0)

    async def _compare(self, scope: Scope) -> tuple[Rebuilt, Checked]:
        here = (scope.book, scope.lineage)
        openings = {row["account"]: (row["currency"], row["amount"]) for row in await self._connection.fetch(_OPENINGS, *here)}
        rows = [booked(row) for row in await self._connection.fetch(_FILLS, *here)]
        changes = [adjustment(row) for row in await self._connection.fetch(_ADJUSTMENTS, *here)]
        paid = {row["account"] for row in await self._stored("cash", scope)}
        touched = paid | {row.account for row in rows} | {change.account for change in changes}
        starts = {name: start for name, start in (self._starts | openings).items() if name in touched}
        rebuilt = rebuild(self._instruments, starts, rows, changes)
        differences: list[Difference] = []
        counts: dict[str, int] = {}
        for table, expected in _expected(rebuilt, self._node).items():
            stored = _table(table, await self._stored(table, scope))
            counts[table] = len(expected)
            differences += _differences(table, stored, expected)
        for row in await self._connection.fetch(_PEAKS, *here):
            if row["peak"] != row["must"]:
                text = f"peak is {row['peak']}, must be {row['must']}"
                differences.append(Difference("equity", f"{row['account']} {row['ts_event_ns']}", text))
        return rebuilt, Checked(counts, differences, await self._connection.fetchval(_RETIRED, *here) or 0)

    async def _stored(self, table: str, scope: Scope) -> list[Row]:
        query = f"SELECT * FROM {table} WHERE book = $1 AND lineage = $2"  # noqa: S608 (one of ours)
        return [dict(row) for row in await self._connection.fetch(query, scope.book, scope.lineage)]

    async def _replace(self, scope: Scope, rebuilt: Rebuilt) -> None:
        """All rows of the book anew."""
        connection, here = self._connection, (scope.book, scope.lineage)
        await connection.execute("SET LOCAL barque.rebuilding = 'on'")
        await connection.execute("SET LOCAL statement_timeout = 0")
        for table in TABLES:
            if table != "fills":
                await connection.execute(f"DELETE FROM {table} WHERE book = $1 AND lineage = $2", *here)  # noqa: S608
        await bookkeeping.replace_all(connection, scope, rebuilt)
        expected = _expected(rebuilt, self._node)
        for table in ("positions", "cash"):
            rows = [{**dict(zip(TABLES[table], key, strict=True)), **row} for key, row in expected[table].items()]
            await _insert(connection, table, scope, rows)
        await self._replace_state(scope, rebuilt)
        await connection.execute(_MEND_PEAKS, *here)

    async def _replace_state(self, scope: Scope, rebuilt: Rebuilt) -> None:
        """What the portfolio goes on from."""
        where = "WHERE book = $1 AND lineage = $2 AND node = $3"
        key = (scope.book, scope.lineage, scope.node)
        blob = await self._connection.fetchval(f"SELECT state FROM node_state {where}", *key)  # noqa: S608
        if blob:
            state = msgspec.msgpack.decode(blob, type=PortfolioState)
            state.accounts = rebuilt.accounts
            blob = msgspec.msgpack.encode(state)
            await self._connection.execute(f"UPDATE node_state SET state = $4 {where}", *key, blob)  # noqa: S608


def _expected(rebuilt: Rebuilt, node: PortfolioNode) -> dict[str, Table]:
    fifo: dict[tuple[str, str, str], Decimal] = {}
    for past, closing in rebuilt.closings:
        key = (past.account, past.strategy_id, past.symbol)
        fifo[key] = fifo.get(key, ZERO) + earned((closing,))
    positions: list[Row] = []
    for past in rebuilt.bookings.pasts:
        key = (past.account, past.strategy_id, past.symbol)
        books = bookkeeping.Books(lambda a, s, m: rebuilt.accounts[a].positions[s][m], node.instrument)
        fills = rebuilt.bookings.fills_of(past)
        names = ("account", "strategy_id", "symbol", *bookkeeping.POSITION_COLUMNS, "fifo_realised_pnl")
        positions.append(dict(zip(names, bookkeeping.position_row(past, fills, books, fifo.get(key, ZERO)), strict=True)))
    lots = [bookkeeping.lot_row(past, lot) for past, lot in rebuilt.lots]
    closings = [bookkeeping.closing_row(past, closing) for past, closing in rebuilt.closings]
    postings = zip(*bookkeeping.journal_columns(rebuilt.postings), strict=True)
    cash = [
        {"account": name, "currency": currency, "amount": amount}
        for name, account in rebuilt.accounts.items()
        for currency, amount in account.cash.items()
    ]
    return {
        "fills": _table("fills", [msgspec.structs.asdict(row) for row in rebuilt.bookings.rows.values()]),
        "positions": _table("positions", positions),
        "cash": _table("cash", cash),
        "lots": _table("lots", (dict(zip(bookkeeping.LOT_COLUMNS, row, strict=True)) for row in lots)),
        "lot_closings": _table("lot_closings", (dict(zip(bookkeeping.CLOSING_COLUMNS, row, strict=True)) for row in closings)),
        "journal": _table("journal", (dict(zip(_JOURNAL_COLUMNS, row, strict=True)) for row in postings)),
    }


def _table(name: str, rows: Iterable[Row]) -> Table:
    """Rows by key, without what is the same for the whole book."""
    keys = TABLES[name]
    left_out = {*keys, "book", "lineage"}
    return {tuple(row[k] for k in keys): {n: v for n, v in row.items() if n not in left_out} for row in rows}


def _differences(table: str, stored: Table, expected: Table) -> list[Difference]:
    found: list[Difference] = []
    for key in [*expected, *(key for key in stored if key not in expected)]:
        name = "/".join(map(str, key))
        have, must = stored.get(key), expected.get(key)
        if have is None:
            found.append(Difference(table, name, "is not there"))
        elif must is None:
            if table != "cash" or have["amount"]:
                found.append(Difference(table, name, "follows from nothing"))
        else:
            off = [f"{n} is {_text(have[n])}, must be {_text(v)}" for n, v in must.items() if not _same(have[n], v)]
            if off:
                found.append(Difference(table, name, "; ".join(off)))
    return found


def _same(a: Any, b: Any) -> bool:
    """NaN is the same as NaN: an execution over no number is kept as it came."""
    return bool(a == b) or (isinstance(a, Decimal) and isinstance(b, Decimal) and a.is_nan() and b.is_nan())


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)


async def _insert(connection: asyncpg.Connection, table: str, scope: Scope, rows: Sequence[Row]) -> None:
    if rows:
        names = ("book", "lineage", *rows[0])
        values = ", ".join(f"${i}" for i in range(1, len(names) + 1))
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 (names of ours)
        await connection.executemany(statement, [(scope.book, scope.lineage, *row.values()) for row in rows])
