"""The order ledger of a sender whose exchange is pure: intents and executions, row by row.

In:   handled orders with what the exchange said to them, inside the ledger runner's transaction.
Out:  `intents` (one per SubmitOrder, moved by the lifecycle table) and `executions` (one per Fill).
Not:  deciding anything. An order or execution that is there already violates its primary key and stops the sender: that
      is the last guard against sending or booking twice.

The paper exchange has no wire, so intent, broker answer, execution, exchange state and outbox all commit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import asyncpg

from barque.messages import (
    CancelOrder,
    CancelRejected,
    Fill,
    Message,
    ModifyOrder,
    ModifyRejected,
    OrderModified,
    OrderRejected,
    SubmitOrder,
    time_of,
)
from barque.postgres.projector import Handled, Scope
from router.core.lifecycle import OrderState, after, event_of

_SELECT = """
SELECT order_id, quantity, limit_price, stop_price, state, detail, venue_order_id, filled, updated_ns
FROM intents WHERE book = $1 AND lineage = $2 AND order_id = ANY($3::text[])
"""
_INSERT = """
INSERT INTO intents (book, lineage, order_id, quantity, limit_price, stop_price, state, detail, venue_order_id, filled,
    updated_ns, epoch, account, strategy_id, signal_id, root, symbol, side, order_type, time_in_force, ts_event_ns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
"""
_UPDATE = """
UPDATE intents SET quantity = $4, limit_price = $5, stop_price = $6, state = $7, detail = $8, venue_order_id = $9,
    filled = $10, updated_ns = $11, epoch = $12
WHERE book = $1 AND lineage = $2 AND order_id = $3
"""
_INSERT_EXECUTION = """
INSERT INTO executions (book, lineage, account, exec_id, order_id, strategy_id, symbol, side, quantity, price, commission,
    commission_currency, ts_event_ns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


@dataclass(slots=True)
class _Intent:
    """The columns of an intent that change, in the order of the statements above."""

    order_id: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    state: OrderState = OrderState.NEW
    detail: str = ""
    venue_order_id: str = ""
    filled: Decimal = Decimal(0)
    updated_ns: int = 0

    def apply(self, message: Message) -> None:
        """Follow one request or event."""
        if isinstance(message, Fill):
            self.filled += message.quantity
        event = event_of(message, self.quantity, self.filled)
        if event is not None:
            self.state = after(self.state, event, traded=self.filled > 0)
        self.updated_ns = max(self.updated_ns, time_of(message))
        self.detail = getattr(message, "detail", "") or self.detail
        self.venue_order_id = getattr(message, "venue_order_id", "") or self.venue_order_id

    def change_terms(self, modified: OrderModified) -> None:
        """The order works on with these."""
        self.quantity, self.limit_price, self.stop_price = modified.quantity, modified.limit_price, modified.stop_price

    def columns(self) -> tuple[object, ...]:
        """Parameters $3 to $11."""
        return (
            self.order_id,
            self.quantity,
            self.limit_price,
            self.stop_price,
            self.state,
            self.detail,
            self.venue_order_id,
            self.filled,
            self.updated_ns,
        )


class IntentProjector:
    """Writes the orders of one account; a `barque.postgres.projector.Projector`."""

    def __init__(self, account: str) -> None:
        self._account = account

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """Bring intents to where this batch left them, then add its executions."""
        ours = [handled for handled in batch if handled.outputs]
        submitted = {
            handled.message.order_id: handled.message
            for handled in ours
            if isinstance(handled.message, SubmitOrder) and handled.message.account == self._account
        }
        named = sorted({output.order_id for handled in ours for _, output in handled.outputs} - submitted.keys())
        if not submitted and not named:
            return
        intents = {o.order_id: _Intent(o.order_id, o.quantity, o.limit_price, o.stop_price) for o in submitted.values()}
        intents |= await self._stored(connection, scope, named)
        for handled in ours:
            _follow(intents, handled)
        await self._write_intents(connection, scope, intents.values(), submitted)
        fills = [output for handled in ours for _, output in handled.outputs if isinstance(output, Fill)]
        await self._write_executions(connection, scope, fills)

    async def _stored(self, connection: asyncpg.Connection, scope: Scope, order_ids: list[str]) -> dict[str, _Intent]:
        if not order_ids:
            return {}
        rows = await connection.fetch(_SELECT, scope.book, scope.lineage, order_ids)
        return {row["order_id"]: _Intent(**{**row, "state": OrderState(row["state"])}) for row in rows}

    async def _write_intents(
        self, connection: asyncpg.Connection, scope: Scope, intents: Iterable[_Intent], submitted: dict[str, SubmitOrder]
    ) -> None:
        inserts, updates = [], []
        for intent in intents:
            row = (scope.book, scope.lineage, *intent.columns(), scope.epoch)
            order = submitted.get(intent.order_id)
            if order is None:
                updates.append(row)
            else:
                inserts.append((*row, *fixed_columns(order)))
        if inserts:
            await connection.executemany(_INSERT, inserts)
        if updates:
            await connection.executemany(_UPDATE, updates)

    async def _write_executions(self, connection: asyncpg.Connection, scope: Scope, fills: Sequence[Fill]) -> None:
        if fills:
            await connection.executemany(_INSERT_EXECUTION, [execution_row(scope, fill) for fill in fills])


def _follow(intents: dict[str, _Intent], handled: Handled) -> None:
    """Move the intents along: first the request itself, then each thing the exchange said."""
    request = handled.message
    asked = isinstance(request, CancelOrder | ModifyOrder)
    if asked and request.order_id in intents:
        intents[request.order_id].apply(request)
    for _, output in handled.outputs:
        intent = intents.get(output.order_id)
        if intent is None:
            continue
        if isinstance(output, OrderModified):
            intent.change_terms(output)
        intent.apply(output)
        if isinstance(output, OrderRejected | CancelRejected | ModifyRejected):
            intent.detail = f"{output.reason}: {output.detail}"


def fixed_columns(order: SubmitOrder) -> tuple[object, ...]:
    """Parameters $13 to $21: what an intent says once."""
    return (
        order.account,
        order.strategy_id,
        order.cause,
        order.root,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.ts_event_ns,
    )


def execution_row(scope: Scope, fill: Fill) -> tuple[object, ...]:
    return (
        scope.book,
        scope.lineage,
        fill.account,
        fill.exec_id,
        fill.order_id,
        fill.strategy_id,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        fill.commission,
        fill.commission_currency,
        fill.ts_event_ns,
    )
