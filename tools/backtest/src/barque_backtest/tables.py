"""The tables of a result as Parquet: for pandas, a spreadsheet or a database.

In:   a `Result`.   Out: one Arrow table per name.
Not:  exact money: amounts are float64 here, because that is what one computes with; the messages beside them are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from barque.messages import CancelOrder, CancelRequest, Fill, ModifyOrder, ModifyRequest, Signal, SubmitOrder
from barque_archive.columns import Floats, Integers
from barque_backtest.analysis import TOTAL
from barque_backtest.results import Result
from barque_backtest.run import Request, Wish
from barque_backtest.trades import RoundTrip

_TIME = pa.timestamp("ns", tz="UTC")
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

Column = tuple[str, pa.DataType, Callable[[Any], Any]]


def tables(result: Result) -> dict[str, pa.Table]:
    """`signals`, `orders`, `fills`, `trades`, `equity` and `days`, each with its rows in order of time."""
    run = result.run
    return {
        "signals": _table(run.wishes, _SIGNALS),
        "orders": _table(run.requests, _ORDERS),
        "fills": _table(run.fills, _FILLS),
        "trades": _table(result.trips, _TRADES),
        "equity": _equity(result),
        "days": pa.table({"time": _times(result.days.ts_ns), "equity": result.days.equity}),
    }


def _number(value: Decimal | float | None) -> float | None:
    return None if value is None else float(value)


def _same(name: str, kind: pa.DataType = _TEXT) -> Column:
    return name, kind, lambda row: getattr(row, name, None)


def _amount(name: str) -> Column:
    return name, _NUMBER, lambda row: _number(getattr(row, name, None))


def _kind(names: Mapping[type, str]) -> Column:
    return "kind", _TEXT, lambda row: names[type(row)]


_AT: Column = ("time", _TIME, lambda row: row.ts_event_ns)
_SIGNAL_KINDS: dict[type, str] = {Signal: "signal", CancelRequest: "cancel", ModifyRequest: "modify"}
_ORDER_KINDS: dict[type, str] = {SubmitOrder: "submit", CancelOrder: "cancel", ModifyOrder: "modify"}

_SIGNALS: Sequence[Column] = (
    _AT,
    _kind(_SIGNAL_KINDS),
    *(_same(name) for name in ("id", "strategy_id", "symbol", "action", "side", "order_type")),
    *(_amount(name) for name in ("quantity", "target", "limit_price", "stop_price", "take_profit", "stop_loss")),
    *(_same(name) for name in ("order_id", "tag", "reason", "cause", "root")),
)
_ORDERS: Sequence[Column] = (
    _AT,
    _kind(_ORDER_KINDS),
    *(_same(name) for name in ("order_id", "strategy_id", "account", "symbol", "side", "order_type")),
    *(_amount(name) for name in ("quantity", "limit_price", "stop_price")),
    *(_same(name) for name in ("time_in_force", "parent_id", "oco_group", "tag", "reason", "cause", "root")),
)
_FILLS: Sequence[Column] = (
    _AT,
    *(_same(name) for name in ("exec_id", "order_id", "strategy_id", "account", "symbol", "side")),
    *(_amount(name) for name in ("quantity", "price", "commission", "leaves_quantity")),
    *(_same(name) for name in ("commission_currency", "cause", "root")),
)
_TRADES: Sequence[Column] = (
    *(_same(name) for name in ("strategy_id", "account", "symbol", "direction")),
    ("entry_time", _TIME, lambda trip: trip.entry_ns),
    ("exit_time", _TIME, lambda trip: trip.exit_ns),
    *(_amount(name) for name in ("quantity", "entry_price", "exit_price", "gross_pnl", "commission", "net_pnl", "net_base")),
    *(_amount(name) for name in ("worst_pnl", "best_pnl")),
    _same("currency"),
    ("duration_s", _NUMBER, lambda trip: None if trip.duration_ns is None else trip.duration_ns / 1e9),
    _same("fills", _COUNT),
    *(_same(name) for name in ("tag", "reason", "exit_tag", "exit_reason")),
)


def _table(
    rows: Sequence[Wish] | Sequence[Request] | Sequence[Fill] | Sequence[RoundTrip], columns: Iterable[Column]
) -> pa.Table:
    return pa.table({name: pa.array([value(row) for row in rows], type=kind) for name, kind, value in columns})


def _equity(result: Result) -> pa.Table:
    """The account, its drawdown and each strategy, at every price or at the end of each `Result.detail_interval`; null where not
    known."""
    curves = {name: rows for name, curve in result.curves.items() if (rows := curve.detail) is not None}
    if TOTAL not in curves:
        return pa.table({"time": pa.array([], type=_TIME)})
    times = curves[TOTAL].ts_ns
    if any(len(rows) != len(times) for rows in curves.values()):
        times = np.unique(np.concatenate([rows.ts_ns for rows in curves.values()]))
    columns: dict[str, Any] = {"time": _times(times)}
    for name, rows in curves.items():
        columns[name if name == TOTAL else f"strategy.{name}"] = _at(times, rows.ts_ns, rows.equity)
        if name == TOTAL:
            columns["drawdown"] = _at(times, rows.ts_ns, -rows.underwater)
    return pa.table(columns)


def _at(times: Integers, known: Integers, values: Floats) -> Any:
    """`values` known at some of `times`, null at the others."""
    if len(known) == len(times):
        return values
    spread = np.full(len(times), np.nan)
    spread[np.searchsorted(times, known)] = values
    return pa.array(spread, from_pandas=True)


def _times(ts_ns: Integers) -> pa.Array:
    return pa.array(ts_ns, type=pa.int64()).cast(_TIME)
