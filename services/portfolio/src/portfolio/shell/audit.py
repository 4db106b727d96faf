"""What answers "why did it trade?" once the streams have been trimmed: wishes, orders, and what was said of orders, as rows.

In:   messages of `signals`, `orders` and `fills`.   Out: rows of `signals`, `orders`, `order_events`.
Not:  fills, which are in the books.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from barque.messages import (
    CancelOrder,
    CancelRejected,
    CancelRequest,
    Message,
    ModifyOrder,
    ModifyRejected,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    Signal,
    SubmitOrder,
)
from barque.postgres.projector import Scope

WISHES = (Signal, CancelRequest, ModifyRequest)
EVENTS = (
    *(CancelOrder, ModifyOrder, OrderAccepted, OrderRejected, OrderCancelled, OrderExpired, OrderModified),
    *(CancelRejected, ModifyRejected, OrderUnknown),
)
_SIGNAL = """
INSERT INTO signals (book, lineage, signal_id, kind, cause, root, strategy_id, symbol, ts_event_ns, said)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
"""
_ORDER = """
INSERT INTO orders (book, lineage, order_id, account, strategy_id, symbol, cause, root, parent_id, ts_event_ns, said)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING
"""
_EVENT = "INSERT INTO order_events (book, lineage, order_id, event, ts_event_ns, said) VALUES ($1, $2, $3, $4, $5, $6)"
_json = msgspec.json.Encoder().encode


async def write(connection: asyncpg.Connection, scope: Scope, messages: Sequence[Message]) -> None:
    """Rows for those of `messages` that belong here. A wish or an order that is said again is the same."""
    here = (scope.book, scope.lineage)
    signals = [(*here, *_signal(each)) for each in messages if isinstance(each, WISHES)]
    orders = [(*here, *_order(each)) for each in messages if isinstance(each, SubmitOrder)]
    events = [(*here, *_event(each)) for each in messages if isinstance(each, EVENTS)]
    for statement, rows in ((_SIGNAL, signals), (_ORDER, orders), (_EVENT, events)):
        if rows:
            await connection.executemany(statement, rows)


def _signal(wish: Message) -> tuple[object, ...]:
    what = (wish.cause, wish.root, wish.strategy_id, wish.symbol, wish.ts_event_ns)
    return (wish.id, type(wish).__name__, *what, _said(wish))


def _order(order: SubmitOrder) -> tuple[object, ...]:
    whose = (order.order_id, order.account, order.strategy_id, order.symbol)
    return (*whose, order.cause, order.root, order.parent_id, order.ts_event_ns, _said(order))


def _event(event: Message) -> tuple[object, ...]:
    return (event.order_id, type(event).__name__, event.ts_event_ns, _said(event))


def _said(message: Message) -> str:
    return _json(message).decode()
