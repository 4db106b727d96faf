"""What the ledger remembers of the executions and changes of cash of a batch, read in the transaction that books them.

In:   fills; changes of cash.
Out:  a `Memory`: the executions that they repeat or correct, and, of each position that they touch, all that counts in it from
      the first place that changes; the changes of cash that have the same references.
Not:  the whole past: of fills that come in order that is nothing but the position before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import asyncpg

from barque.messages import AdjustCash, CashAdjusted, Fill
from barque.postgres.projector import Scope
from portfolio.core.adjustments import Adjustment
from portfolio.core.history import Booked, Memory, Past

COLUMNS = ", ".join(Booked.__struct_fields__)
_KNOWN = f"""
WITH RECURSIVE known AS (
    SELECT {COLUMNS} FROM fills WHERE book = $1 AND lineage = $2 AND account = ANY($3::text[]) AND exec_id = ANY($4::text[])
    UNION
    SELECT {COLUMNS} FROM fills WHERE book = $1 AND lineage = $2 AND account = ANY($3::text[]) AND corrects = ANY($4::text[])
        AND corrects <> ''
    UNION
    SELECT {", ".join(f"f.{name}" for name in Booked.__struct_fields__)} FROM known JOIN fills f
        ON f.book = $1 AND f.lineage = $2 AND f.account = known.account AND f.exec_id = known.replaced_by
)
SELECT * FROM known
"""  # noqa: S608 (names of columns)
_BEFORE = """
SELECT p.account, p.strategy_id, p.symbol, p.cut_ns, before.position_quantity AS quantity, before.position_cost AS cost,
    before.found
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) AS p (account, strategy_id, symbol, cut_ns)
LEFT JOIN LATERAL (
    SELECT true AS found, position_quantity, position_cost FROM fills f
    WHERE f.book = $1 AND f.lineage = $2 AND f.account = p.account AND f.strategy_id = p.strategy_id AND f.symbol = p.symbol
        AND f.state = 'booked' AND f.place_ns < p.cut_ns
    ORDER BY f.place_ns DESC, f.place_seq DESC LIMIT 1
) before ON true
"""
_FROM_THE_CUT = f"""
SELECT {", ".join(f"f.{name}" for name in Booked.__struct_fields__)}
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) AS p (account, strategy_id, symbol, cut_ns)
JOIN fills f ON f.book = $1 AND f.lineage = $2 AND f.account = p.account AND f.strategy_id = p.strategy_id
    AND f.symbol = p.symbol AND f.state = 'booked' AND f.place_ns >= p.cut_ns
ORDER BY f.place_ns, f.place_seq
"""  # noqa: S608 (names of columns)
ADJUSTMENT_COLUMNS = ", ".join(Adjustment.__struct_fields__)
_ADJUSTMENTS = f"""
SELECT {ADJUSTMENT_COLUMNS} FROM cash_adjustments
WHERE book = $1 AND lineage = $2 AND account = ANY($3::text[]) AND reference = ANY($4::text[])
"""  # noqa: S608 (names of columns)
_NEXT_SEQ = "SELECT coalesce(max(booked_seq), 0) + 1 FROM fills WHERE book = $1 AND lineage = $2"

Key = tuple[str, str, str]
"""Account, strategy, symbol."""


async def recall(
    connection: asyncpg.Connection, scope: Scope, fills: Sequence[Fill], changes: Sequence[AdjustCash | CashAdjusted] = ()
) -> Memory:
    """What the ledger remembers of `fills` and of `changes` of cash."""
    memory = Memory(next_seq=await connection.fetchval(_NEXT_SEQ, scope.book, scope.lineage))
    if changes:
        named = sorted({each.account for each in changes}), sorted({each.reference for each in changes})
        for row in await connection.fetch(_ADJUSTMENTS, scope.book, scope.lineage, *named):
            memory.adjustments.setdefault(row["account"], {})[row["reference"]] = adjustment(row)
    if fills:
        await _recall_fills(connection, scope, fills, memory)
    return memory


async def _recall_fills(connection: asyncpg.Connection, scope: Scope, fills: Sequence[Fill], memory: Memory) -> None:
    names = {fill.exec_id for fill in fills} | {fill.corrects for fill in fills if fill.corrects}
    accounts = sorted({fill.account for fill in fills})
    known = await connection.fetch(_KNOWN, scope.book, scope.lineage, accounts, sorted(names))
    for row in _in_order(known):
        memory.add(row)
    cuts = _cuts(memory, fills)
    columns = _columns(cuts)
    found = await connection.fetch(_BEFORE, scope.book, scope.lineage, *columns)
    for place in [
        row for row in found if row["found"] and row["quantity"] is None
    ]:  # booked before that was kept: from the start
        cuts[place["account"], place["strategy_id"], place["symbol"]] = 0
    after = await connection.fetch(_FROM_THE_CUT, scope.book, scope.lineage, *_columns(cuts))
    pasts = {(row["account"], row["strategy_id"], row["symbol"]): _past(row) for row in found}
    for row in map(booked, after):
        memory.add(memory.row(row.account, row.exec_id) or row)
        pasts[row.account, row.strategy_id, row.symbol].fills.append(row.exec_id)
    memory.pasts = list(pasts.values())


def adjustment(row: Any) -> Adjustment:
    """A row of `cash_adjustments`."""
    return Adjustment(**{name: row[name] for name in Adjustment.__struct_fields__})


def booked(row: Any) -> Booked:
    """A row of `fills`."""
    return Booked(**{name: row[name] for name in Booked.__struct_fields__})


def _in_order(rows: Iterable[Any]) -> list[Booked]:
    return sorted(map(booked, rows), key=lambda row: row.booked_seq)


def _cuts(memory: Memory, fills: Sequence[Fill]) -> dict[Key, int]:
    """The first place that changes, by position: when a fill was executed; of a correction, when what it corrects was."""
    cuts: dict[Key, int] = {}

    def cut(account: str, strategy_id: str, symbol: str, ns: int) -> None:
        key = account, strategy_id, symbol
        cuts[key] = min(cuts.get(key, ns), ns)

    executed_ns = {(fill.account, fill.exec_id): fill.ts_event_ns for fill in fills}
    for fill in fills:
        if memory.row(fill.account, fill.exec_id) is not None:
            continue
        cut(fill.account, fill.strategy_id, fill.symbol, fill.ts_event_ns)
        waiting = memory.waiting_for(fill.account, fill.exec_id)
        if waiting is not None:
            cut(waiting.account, waiting.strategy_id, waiting.symbol, fill.ts_event_ns)
        before = memory.last(fill.account, fill.corrects) if fill.corrects else None
        if before is not None:
            for each in (before, fill, waiting or fill):
                cut(each.account, each.strategy_id, each.symbol, before.place_ns)
        elif (fill.account, fill.corrects) in executed_ns:  # of the same batch
            cut(fill.account, fill.strategy_id, fill.symbol, executed_ns[fill.account, fill.corrects])
    return cuts


def _columns(cuts: dict[Key, int]) -> tuple[list[str], list[str], list[str], list[int]]:
    keys = list(cuts)
    return [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys], [cuts[key] for key in keys]


def _past(row: Any) -> Past:
    legacy = row["found"] and row["quantity"] is None
    return Past(
        account=row["account"],
        strategy_id=row["strategy_id"],
        symbol=row["symbol"],
        from_ns=0 if legacy else row["cut_ns"],
        quantity=row["quantity"] or Decimal(0),
        cost=row["cost"] or Decimal(0),
    )
