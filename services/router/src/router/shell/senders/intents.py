"""The order ledger of a sender with a wire: every order that its node knows as a row, every fill as an execution.

In:   the node's orders as they are at the end of a transaction, the fills that it said, and its cut.   Out: `intents`,
      `executions`, its reconciliation reports, the broker's figures of the account, and the windows that its state leaves out.
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
from barque.postgres.projector import Handled, Scope
from router.core.sending.node import SendingNode
from router.core.sending.state import Booked, Finished, LiveOrder
from router.core.sending.windows import Change, Cut, Windows

_encode = msgspec.json.encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = {"finished": msgspec.msgpack.Decoder(Finished).decode, "executions": msgspec.msgpack.Decoder(Booked).decode}
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
    , forgotten AS (
        DELETE FROM node_windows AS old USING moved, unnest($16::text[], $17::text[]) AS gone (part, key)
        WHERE old.book = $1 AND old.lineage = $2 AND old.node = $3 AND old.part = gone.part AND old.key = gone.key
    )
    , remembered AS (
        INSERT INTO node_windows (book, lineage, node, part, key, number, body) SELECT $1, $2, $3, entry.*
        FROM moved, unnest($18::text[], $19::text[], $20::bigint[], $21::bytea[]) AS entry
        ON CONFLICT (book, lineage, node, part, key) DO UPDATE SET number = excluded.number, body = excluded.body
    )
"""  # noqa: S608
_WINDOWS = "SELECT part, key, number, body FROM node_windows WHERE book = $1 AND lineage = $2 AND node = $3 ORDER BY number"
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
        """Of orders that may trade or are remembered."""
        self._number = 0
        """Of the newest entry in `node_windows`."""

    async def begin(self, session: asyncpg.Connection, scope: Scope, state: bytes) -> None:
        """Give the node what it had; its orders are the rows that are there. `session` is going to write. The venue hears of
        each of them again: what its broker shows may be told by their numbers alone."""
        await session.execute(_BY_KEY)
        entries = await session.fetch(_WINDOWS, scope.book, scope.lineage, scope.node)
        windows: dict[str, dict[str, Any]] = {part: {} for part in _unpack}
        for entry in entries:
            windows[entry["part"]][entry["key"]] = _unpack[entry["part"]](entry["body"])
        self._number = entries[-1]["number"] if entries else 0
        self._node.join(state, Windows(**windows))
        live, remembered = self._node.orders()
        orders: dict[str, LiveOrder | Finished] = {**remembered, **live}
        self._written = {order_id: _mark(each) for order_id, each in orders.items()}
        for each in orders.values():
            self._name(each)

    def rows(self, epoch: int, batch: Sequence[Handled], cut: Cut) -> Rows:
        """What brings the rows of orders that have changed, and the windows, to where the node has them, and adds what was said
        in `batch`. An order that has ended and was revived is as it is now."""
        rows = _Rows()
        details = _details(batch)
        live, remembered = self._node.orders()
        ended = {each.order.order_id: each for each in self._node.take_ended()}
        orders: dict[str, LiveOrder | Finished] = {**ended, **cut.finished.new, **live}
        for order_id, each in orders.items():
            before, mark = self._written.get(order_id), _mark(each)
            if mark == before:
                continue
            self._written[order_id] = mark
            row = self._changing(each, details.get(order_id, ""), epoch)
            if before is None:
                rows.told.append({**asdict(each.order), "signal_id": each.order.cause, **row})
            else:
                rows.changed.append(row)
        for order_id in (*cut.finished.gone, *ended):
            if order_id not in live and order_id not in remembered:
                self._written.pop(order_id, None)
        said = [output for handled in batch for _, output in handled.outputs]
        rows.booked = [asdict(each) for each in said if isinstance(each, Fill)]
        reports = {each.ts_event_ns: each for each in said if isinstance(each, ReconciliationReport)}
        rows.reported = [asdict(each) for each in reports.values()]
        rows.valued = [asdict(each) for each in said if isinstance(each, AccountSnapshot)][-1:]
        by_statement = (rows.told, rows.changed, rows.booked, rows.reported, rows.valued)
        return Rows(_WRITE, [*(_encode(each).decode() for each in by_statement), *self._windows(cut)])

    def _windows(self, cut: Cut) -> tuple[Sequence[object], ...]:
        """The arrays of `forgotten` and `remembered`."""
        changes: Sequence[tuple[str, Change[Any]]] = (("finished", cut.finished), ("executions", cut.executions))
        gone = [(part, key) for part, change in changes for key in change.gone]
        new = [(part, key, entry) for part, change in changes for key, entry in change.new.items()]
        numbers = list(range(self._number + 1, self._number + 1 + len(new)))
        self._number += len(new)
        parts, keys = [part for part, _, _ in new], [key for _, key, _ in new]
        return [part for part, _ in gone], [key for _, key in gone], parts, keys, numbers, [_pack(entry) for _, _, entry in new]

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
