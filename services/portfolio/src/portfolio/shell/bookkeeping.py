"""The rows of the books: fills, positions, lots, changes of cash, the journal. What was booked is decided in the core; here it
becomes rows.

In:   the core's `Bookings` of one transaction.   Out: rows.
Not:  booking. A new row that is there already violates its primary key, an entry that does not balance a constraint: both stop
      the books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
from msgspec.structs import astuple

from barque.instruments import Instrument
from barque.postgres.projector import Scope
from portfolio.core.adjustments import Adjustment
from portfolio.core.books import Position
from portfolio.core.history import Booked, Bookings, Past
from portfolio.core.journal import Posting
from portfolio.core.lots import Closing, Lot, earned, match
from portfolio.core.rebuilding import Rebuilt

_NUMERIC = frozenset({"quantity", "price", "commission", "realised_pnl", "position_quantity", "position_cost", "open_quantity"})
_BIGINT = frozenset({"ts_event_ns", "booked_seq", "place_ns", "place_seq", "closed_ns", "closed_seq"})
FILL_COLUMNS = Booked.__struct_fields__
CHANGING = ("state", "replaced_by", "place_ns", "place_seq", "realised_pnl", "position_quantity", "position_cost")
LOT_COLUMNS = (
    *("account", "exec_id", "strategy_id", "symbol", "place_ns", "place_seq", "quantity", "price"),
    *("open_quantity", "closed_ns", "closed_seq"),
)
CLOSING_COLUMNS = (
    *("account", "lot_exec_id", "exec_id", "strategy_id", "symbol", "place_ns", "place_seq"),
    *("quantity", "realised_pnl"),
)
POSITION_COLUMNS = ("quantity", "average_price", "realised_pnl", "commission", "currency", "ts_event_ns", "cost")


def _arrays(columns: Sequence[str]) -> str:
    """`$3::text[], $4::numeric[] …`: one array per column, after book and lineage."""
    kinds = ("numeric" if name in _NUMERIC else "bigint" if name in _BIGINT else "text" for name in columns)
    return ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(kinds, 3))


def _insert(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} (book, lineage, {names}) SELECT $1, $2, * FROM unnest({_arrays(columns)})"  # noqa: S608


ANALYZE_FROM = 9
"""From 2⁸ fills on, each time their number has doubled, the tables' statistics are taken at once: Postgres would within a minute,
and a burst of fills does not wait for that."""

# Whole columns in one statement: quicker than row by row, and no plan made for an empty table is used for a full one.
_INSERT_FILLS = _insert("fills", FILL_COLUMNS)
_UPDATE_FILLS = _INSERT_FILLS + (
    " ON CONFLICT (book, lineage, account, exec_id) DO UPDATE SET "  # by the primary key, whatever the statistics are
    + ", ".join(f"{name} = excluded.{name}" for name in CHANGING)
)
_POSITION = f"""
INSERT INTO positions (book, lineage, account, strategy_id, symbol, {", ".join(POSITION_COLUMNS)}, fifo_realised_pnl)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (book, lineage, account, strategy_id, symbol) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in POSITION_COLUMNS)},
    fifo_realised_pnl = positions.fifo_realised_pnl + excluded.fifo_realised_pnl
"""  # noqa: S608
_HERE = "book = $1 AND lineage = $2 AND account = $3 AND strategy_id = $4 AND symbol = $5"
_UNDO_CLOSINGS = f"""
DELETE FROM lot_closings WHERE {_HERE} AND place_ns >= $6 RETURNING lot_exec_id, quantity, realised_pnl
"""  # noqa: S608
_UNDO_LOTS = f"DELETE FROM lots WHERE {_HERE} AND place_ns >= $6"  # noqa: S608
_LOTS_LEFT = f"""
SELECT exec_id, place_ns, place_seq, quantity, price, open_quantity, closed_ns, closed_seq
FROM lots WHERE {_HERE} AND place_ns < $6 AND (closed_ns IS NULL OR closed_ns >= $6)
ORDER BY place_ns, place_seq
"""  # noqa: S608
_LOTS = _insert("lots", LOT_COLUMNS) + (
    " ON CONFLICT (book, lineage, account, exec_id) DO UPDATE SET open_quantity = excluded.open_quantity,"
    " closed_ns = excluded.closed_ns, closed_seq = excluded.closed_seq"
)
_CLOSINGS = _insert("lot_closings", CLOSING_COLUMNS)
_ADJUSTMENT = (
    f"INSERT INTO cash_adjustments (book, lineage, {', '.join(Adjustment.__struct_fields__)})"  # noqa: S608 (columns)
    f" VALUES ($1, $2, {', '.join(f'${i}' for i, _ in enumerate(Adjustment.__struct_fields__, 3))})"
)
_JOURNAL = """
INSERT INTO journal (book, lineage, account, entry, line, kind, exec_id, strategy_id, symbol, ledger, currency, amount)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::numeric[])
"""


@dataclass(frozen=True, slots=True)
class Books:
    """Where the rest of a row is looked up: the core's books after the batch."""

    position: Callable[[str, str, str], Position]
    instrument: Callable[[str], Instrument]


async def write(connection: asyncpg.Connection, scope: Scope, bookings: Bookings, books: Books) -> None:
    """All rows of `bookings`."""
    new = [row for row in bookings.rows.values() if bookings.is_new(row)]
    old = [row for row in bookings.rows.values() if not bookings.is_new(row)]
    await _columns(connection, scope, _INSERT_FILLS, map(fill_row, new))
    await _columns(connection, scope, _UPDATE_FILLS, map(fill_row, old))
    positions = []
    for past in bookings.pasts:
        fills = bookings.fills_of(past)
        gained = await _write_lots(connection, scope, past, fills, books.instrument(past.symbol), bookings)
        positions.append((scope.book, scope.lineage, *position_row(past, fills, books, gained)))
    if positions:
        await connection.executemany(_POSITION, positions)
    if bookings.adjustments:
        here = (scope.book, scope.lineage)
        await connection.executemany(_ADJUSTMENT, [(*here, *astuple(each)) for each in bookings.adjustments])
    await post(connection, scope, bookings.postings)
    if new and bookings.first_seq.bit_length() != (new[-1].booked_seq + 1).bit_length() >= ANALYZE_FROM:
        await connection.execute("ANALYZE fills, lots, lot_closings, journal")


async def replace_all(connection: asyncpg.Connection, scope: Scope, rebuilt: Rebuilt) -> None:
    """Fills as they are to be; lots and journal into empty tables."""
    await _columns(connection, scope, _UPDATE_FILLS, map(fill_row, rebuilt.bookings.rows.values()))
    await _columns(connection, scope, _LOTS, (lot_row(past, lot) for past, lot in rebuilt.lots))
    await _columns(connection, scope, _CLOSINGS, (closing_row(past, closing) for past, closing in rebuilt.closings))
    await post(connection, scope, rebuilt.postings)


async def post(connection: asyncpg.Connection, scope: Scope, postings: Sequence[Posting]) -> None:
    """Add to the journal, in one statement: whether entries balance is looked at statement by statement."""
    if postings:
        await connection.execute(_JOURNAL, scope.book, scope.lineage, *journal_columns(postings))


def journal_columns(postings: Sequence[Posting]) -> tuple[list[Any], ...]:
    """Columns of `journal` from `account` on; the lines of an entry are numbered."""
    lines: dict[tuple[str, str], int] = {}
    numbers = []
    for posting in postings:
        key = posting.account, posting.entry
        numbers.append(lines.setdefault(key, 0))
        lines[key] += 1
    columns = {name: [getattr(posting, name) for posting in postings] for name in Posting._fields}
    after = ("kind", "exec_id", "strategy_id", "symbol", "ledger", "currency", "amount")
    return columns["account"], columns["entry"], numbers, *(columns[name] for name in after)


async def _write_lots(
    connection: asyncpg.Connection, scope: Scope, past: Past, fills: list[Booked], instrument: Instrument, bookings: Bookings
) -> Decimal:
    """Match the position's fills again from the first place that changed on; by how much the profit of its lots has changed."""
    key = (scope.book, scope.lineage, past.account, past.strategy_id, past.symbol)
    undone, reopened = Decimal(0), dict[str, Decimal]()
    if not all(map(bookings.is_new, (*fills, *bookings.rows.values()))):  # something before has changed
        for row in await connection.fetch(_UNDO_CLOSINGS, *key, past.from_ns):
            undone += row["realised_pnl"]
            reopened[row["lot_exec_id"]] = reopened.get(row["lot_exec_id"], Decimal(0)) + row["quantity"]
        await connection.execute(_UNDO_LOTS, *key, past.from_ns)
    stored = {row["exec_id"]: row for row in await connection.fetch(_LOTS_LEFT, *key, past.from_ns)}
    lots, closings = match([_lot(row, reopened) for row in stored.values()], fills, instrument)
    touched = [lot for lot in lots if lot.exec_id not in stored or _differs(lot, stored[lot.exec_id])]
    await _columns(connection, scope, _LOTS, (lot_row(past, lot) for lot in touched))
    await _columns(connection, scope, _CLOSINGS, (closing_row(past, closing) for closing in closings))
    return earned(closings) - undone


def _lot(row: asyncpg.Record, reopened: Mapping[str, Decimal]) -> Lot:
    quantity, again = row["quantity"], reopened.get(row["exec_id"], Decimal(0))
    return Lot(
        exec_id=row["exec_id"],
        place=(row["place_ns"], row["place_seq"]),
        quantity=quantity,
        price=row["price"],
        open_quantity=row["open_quantity"] + (again if quantity > 0 else -again),
    )


def _differs(lot: Lot, row: asyncpg.Record) -> bool:
    closed = lot.closed or (None, None)
    return (lot.open_quantity, *closed) != (row["open_quantity"], row["closed_ns"], row["closed_seq"])


def fill_row(row: Booked) -> tuple[object, ...]:
    """A row of `fills`, as in `FILL_COLUMNS`."""
    return tuple(getattr(row, name) for name in FILL_COLUMNS)


def lot_row(past: Past, lot: Lot) -> tuple[object, ...]:
    """A row of `lots`, as in `LOT_COLUMNS`."""
    closed = lot.closed or (None, None)
    which = (past.account, lot.exec_id, past.strategy_id, past.symbol, *lot.place)
    return (*which, lot.quantity, lot.price, lot.open_quantity, *closed)


def closing_row(past: Past, closing: Closing) -> tuple[object, ...]:
    """A row of `lot_closings`, as in `CLOSING_COLUMNS`."""
    which = (past.account, closing.lot_exec_id, closing.exec_id, past.strategy_id, past.symbol, *closing.place)
    return (*which, closing.quantity, closing.realised_pnl)


def position_row(past: Past, fills: list[Booked], books: Books, gained: Decimal) -> tuple[object, ...]:
    """A row of `positions`; `gained`: by FIFO."""
    position, instrument = books.position(past.account, past.strategy_id, past.symbol), books.instrument(past.symbol)
    last_ns = fills[-1].place_ns if fills else past.from_ns
    return (
        *(past.account, past.strategy_id, past.symbol),
        *(position.quantity, position.average_price(instrument), position.realised, position.commission, instrument.currency),
        *(last_ns, position.cost, gained),
    )


async def _columns(connection: asyncpg.Connection, scope: Scope, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Run a statement that takes whole columns; with no rows, nothing."""
    columns = list(zip(*rows, strict=True))
    if columns:
        await connection.execute(statement, scope.book, scope.lineage, *columns)
