"""The order ledger of a sender with a wire: every order that its node knows as a row, every fill as an execution.

In:   the node's orders as they are at the end of a transaction, and the fills that it said.   Out: `intents`, `executions`,
      and its reconciliation reports.
Not:  deciding anything. A new order whose id is in the table, or an execution that is there already, violates its primary key
      and stops the sender: the last guard against sending or booking twice.

The row of an order, with the token by which the broker's books will show it, is durable before anything leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import asyncpg

from barque.messages import Fill
from barque.postgres.projector import Handled, Scope
from barque.postgres.reports import write_reports
from router.core.sending.node import SendingNode
from router.core.sending.state import Finished, LiveOrder
from router.shell.senders.ledger import execution_row, fixed_columns

Row: TypeAlias = tuple[object, ...]
_INSERT = """
INSERT INTO intents (book, lineage, order_id, quantity, limit_price, stop_price, state, filled, token, venue_order_id, detail,
    updated_ns, epoch, account, strategy_id, signal_id, root, symbol, side, order_type, time_in_force, ts_event_ns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
"""
_UPDATE = """
UPDATE intents SET quantity = $4, limit_price = $5, stop_price = $6, state = $7, filled = $8,
    token = CASE WHEN $9 = '' THEN token ELSE $9 END,
    venue_order_id = CASE WHEN $10 = '' THEN venue_order_id ELSE $10 END,
    detail = CASE WHEN $11 = '' THEN detail ELSE $11 END, updated_ns = $12, epoch = $13
WHERE book = $1 AND lineage = $2 AND order_id = $3
"""
_INSERT_EXECUTION = """
INSERT INTO executions (book, lineage, account, exec_id, order_id, strategy_id, symbol, side, quantity, price, commission,
    commission_currency, ts_event_ns, corrects)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""


class LiveIntents:
    """Writes the orders of one `SendingNode`; a `barque.postgres.projector.Projector`."""

    def __init__(self, node: SendingNode, token: Callable[[str, int], str]) -> None:
        """`token`: what the venue puts on the wire for an order (`Venue.token`)."""
        self._node = node
        self._token = token
        self._written: dict[str, Row] = {}
        """By order: what its row was made of."""

    def loaded(self) -> None:
        """The node has been restored: its orders are the rows that are there."""
        self._written = {order_id: _mark(each) for order_id, each in self._orders().items()}

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """Bring the rows of orders that have changed to where the node has them, then add its executions."""
        details = _details(batch)
        inserts, updates = [], []
        marks: dict[str, Row] = {}
        for order_id, each in self._orders().items():
            before = self._written.get(order_id)
            mark = marks[order_id] = _mark(each)
            if mark == before:
                continue
            values = self._row(scope, each, details.get(order_id, ""))
            if before is None:
                inserts.append((*values, *fixed_columns(each.order)))
            else:
                updates.append(values)
        if inserts:
            await connection.executemany(_INSERT, inserts)
        if updates:
            await connection.executemany(_UPDATE, updates)
        self._written = marks
        await write_reports(connection, scope, batch)
        fills = [output for handled in batch for _, output in handled.outputs if isinstance(output, Fill)]
        if fills:
            rows_of_fills = [(*execution_row(scope, fill), fill.corrects) for fill in fills]
            await connection.executemany(_INSERT_EXECUTION, rows_of_fills)

    def _orders(self) -> dict[str, LiveOrder | Finished]:
        """By id; of an order that ended and was revived, as it is now."""
        live, ended = self._node.orders()
        found: list[LiveOrder | Finished] = [*ended, *live]
        return {each.order.order_id: each for each in found}

    def _row(self, scope: Scope, each: LiveOrder | Finished, detail: str) -> Row:
        """Parameters $1 to $13."""
        order = each.order
        token = self._token(order.order_id, each.number) if each.number else ""
        venue_order_id, since_ns = ("", each.ended_ns) if isinstance(each, Finished) else (each.venue_order_id, each.since_ns)
        terms = (order.order_id, order.quantity, order.limit_price, order.stop_price)
        reached = (each.state.value, each.filled, token, venue_order_id, detail, since_ns)
        return (scope.book, scope.lineage, *terms, *reached, scope.epoch)


def _mark(each: LiveOrder | Finished) -> Row:
    """Equal as long as the order's row is."""
    if isinstance(each, LiveOrder):
        order = each.order
        terms = (order.quantity, order.limit_price, order.stop_price)
        return (*terms, each.state, each.filled, each.number, each.venue_order_id, each.since_ns)
    return (each.state, each.filled)


def _details(batch: Sequence[Handled]) -> dict[str, str]:
    """The last words on each order in this batch."""
    details = {}
    for handled in batch:
        for _, output in handled.outputs:
            detail = getattr(output, "detail", "")
            if detail:
                reason = getattr(output, "reason", "")
                details[output.order_id] = f"{reason}: {detail}" if reason else detail
    return details
