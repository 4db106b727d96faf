"""The order ledger of a sender with a wire: every order that its node knows as a row, every fill as an execution.

In:   the node's orders as they are at the end of a transaction, and the fills that it said.   Out: `intents`, `executions`,
      its reconciliation reports, and the broker's figures of the account.
Not:  deciding anything. A new order whose id is in the table, or an execution that is there already, violates its primary key
      and stops the sender: the last guard against sending or booking twice.

The row of an order, with the token by which the broker's books will show it, is durable before anything leaves. All rows go
along in the statement that moves the node: it is one round trip from the decision to the moment at which it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
import msgspec
from msgspec.structs import asdict

from barque.bus.ledger_row import Rows
from barque.messages import AccountSnapshot, Fill, ReconciliationReport
from barque.postgres.projector import Handled
from router.core.sending.node import SendingNode
from router.core.sending.state import Finished, LiveOrder

_encode = msgspec.json.encode
Mark: TypeAlias = tuple[object, ...]
Row: TypeAlias = dict[str, Any]
"""By column; fields of a message that are no column are passed over by Postgres."""
_CHANGING = "quantity, limit_price, stop_price, state, filled, token, venue_order_id, detail, updated_ns, epoch"
_SAID_ONCE = "order_id, account, strategy_id, signal_id, root, symbol, side, order_type, time_in_force, ts_event_ns"
_TRADED = "order_id, exec_id, corrects, symbol, side, quantity, price, commission, commission_currency"
_EXECUTION = f"account, strategy_id, {_TRADED}, ts_event_ns"
_REPORT = "account, ts_event_ns, severity, discrepancies"
_FIGURES = ("ts_event_ns", "currency", "cash", "equity", "buying_power", "daily_pnl", "unrealised_pnl", "realised_pnl")


def _insert(table: str, columns: str, parameter: int) -> str:
    """Rows of the JSON in `$parameter`, into the node's book and lineage."""
    return f"""INSERT INTO {table} (book, lineage, {columns})
        SELECT $1, $2, {columns} FROM moved, jsonb_populate_recordset(NULL::{table}, ${parameter})"""  # noqa: S608


_WRITE = f"""
    , told AS ({_insert("intents", f"{_SAID_ONCE}, {_CHANGING}", 11)})
    , changed AS (
        UPDATE intents SET quantity = now.quantity, limit_price = now.limit_price, stop_price = now.stop_price, state = now.state,
            filled = now.filled, token = coalesce(nullif(now.token, ''), intents.token),
            venue_order_id = coalesce(nullif(now.venue_order_id, ''), intents.venue_order_id),
            detail = coalesce(nullif(now.detail, ''), intents.detail), updated_ns = now.updated_ns, epoch = now.epoch
        FROM moved, jsonb_populate_recordset(NULL::intents, $12) AS now
        WHERE intents.book = $1 AND intents.lineage = $2 AND intents.order_id = now.order_id
    )
    , booked AS ({_insert("executions", _EXECUTION, 13)})
    , reported AS ({_insert("reconciliations", _REPORT, 14)}
        ON CONFLICT (book, lineage, account, ts_event_ns)
        DO UPDATE SET severity = excluded.severity, discrepancies = excluded.discrepancies)
    , valued AS ({_insert("broker_accounts", f"account, {', '.join(_FIGURES)}", 15)}
        ON CONFLICT (book, lineage, account) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _FIGURES)})
"""  # noqa: S608
_BY_KEY = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan"
"""A sender changes few rows of tables that grow for years. The planner cannot know how few are in the JSON."""


@dataclass(slots=True)
class _Rows:
    """By statement of `_WRITE`."""

    told: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    booked: list[Row] = field(default_factory=list)
    reported: list[Row] = field(default_factory=list)
    valued: list[Row] = field(default_factory=list)


class LiveIntents:
    """The rows of one `SendingNode`'s orders."""

    def __init__(self, node: SendingNode, token: Callable[[str, int, str], str]) -> None:
        """`token`: what the venue puts on the wire for an order (`Venue.token`)."""
        self._node = node
        self._token = token
        self._written: dict[str, Mark] = {}

    async def begin(self, session: asyncpg.Connection) -> None:
        """The node has been restored, and its orders are the rows that are there; `session` is going to write. The venue hears
        of each of them again: what its broker shows may be told by their numbers alone."""
        await session.execute(_BY_KEY)
        orders = self._orders()
        self._written = {order_id: _mark(each) for order_id, each in orders.items()}
        for each in orders.values():
            self._name(each)

    def rows(self, epoch: int, batch: Sequence[Handled]) -> Rows:
        """What brings the rows of orders that have changed to where the node has them, and adds what was said in `batch`."""
        rows = _Rows()
        details = _details(batch)
        marks: dict[str, Mark] = {}
        for order_id, each in self._orders().items():
            before = self._written.get(order_id)
            mark = marks[order_id] = _mark(each)
            if mark == before:
                continue
            row = self._changing(each, details.get(order_id, ""), epoch)
            if before is None:
                rows.told.append({**asdict(each.order), "signal_id": each.order.cause, **row})
            else:
                rows.changed.append(row)
        self._written = marks
        said = [output for handled in batch for _, output in handled.outputs]
        rows.booked = [asdict(each) for each in said if isinstance(each, Fill)]
        reports = {each.ts_event_ns: each for each in said if isinstance(each, ReconciliationReport)}
        rows.reported = [asdict(each) for each in reports.values()]
        rows.valued = [asdict(each) for each in said if isinstance(each, AccountSnapshot)][-1:]
        by_statement = (rows.told, rows.changed, rows.booked, rows.reported, rows.valued)
        return Rows(_WRITE, [_encode(each).decode() for each in by_statement])

    def _orders(self) -> dict[str, LiveOrder | Finished]:
        """By id, those that may trade last; of an order that ended and was revived, as it is now."""
        live, ended = self._node.orders()
        found: list[LiveOrder | Finished] = [*ended, *live]
        return {each.order.order_id: each for each in found}

    def _changing(self, each: LiveOrder | Finished, detail: str, epoch: int) -> Row:
        order = each.order
        venue_order_id, since_ns = ("", each.ended_ns) if isinstance(each, Finished) else (each.venue_order_id, each.since_ns)
        return {
            "order_id": order.order_id,
            "quantity": order.quantity,
            "limit_price": order.limit_price,
            "stop_price": order.stop_price,
            "state": each.state,
            "filled": each.filled,
            "token": self._name(each),
            "venue_order_id": venue_order_id,
            "detail": detail,
            "updated_ns": since_ns,
            "epoch": epoch,
        }

    def _name(self, each: LiveOrder | Finished) -> str:
        """Its token; empty where it has none yet."""
        order = each.order
        return self._token(order.order_id, each.number, order.parent_id or "") if each.number else ""


def _mark(each: LiveOrder | Finished) -> Mark:
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
