"""Reconciliation reports as rows, in the transaction of the sender that says them."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from barque.messages import ReconciliationReport
from barque.postgres.projector import Handled, Scope

_REPORT = """
INSERT INTO reconciliations (book, lineage, account, ts_event_ns, severity, discrepancies) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (book, lineage, account, ts_event_ns) DO UPDATE SET severity = excluded.severity,
    discrepancies = excluded.discrepancies
"""


async def write_reports(connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
    """Every report that was said in `batch`; of two of one account and instant the last."""
    reports = [said for handled in batch for _, said in handled.outputs if isinstance(said, ReconciliationReport)]
    if reports:
        here = (scope.book, scope.lineage)
        await connection.executemany(
            _REPORT, [(*here, each.account, each.ts_event_ns, each.severity, list(each.discrepancies)) for each in reports]
        )
