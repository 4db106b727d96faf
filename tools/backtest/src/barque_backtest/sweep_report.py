"""What a sweep or a walk-forward found, as files: JSON, Parquet and a page with a heat map.

In:   records in the order of the grid, or the folds of a walk-forward.   Out: `sweep.json`, `sweep.parquet`, `sweep.html` in
      the sweep's folder.
Not:  the runs themselves; `barque_backtest.sweep.Store` keeps them.

The heat map lays the first axis down and the second across. Where there are more, each cell is the best over the others.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from barque.errors import ConfigError
from barque_backtest.feeding import Span
from barque_backtest.folder import write_json
from barque_backtest.grid import Axis
from barque_backtest.report import asset, heat_cell
from barque_backtest.statistics import Statistics
from barque_backtest.sweep import LESS_IS_BETTER, METRICS, Record, best_of
from barque_backtest.walk_forward import Fold, WalkForward

SHOWN = ("net_profit", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "trades", "costs")
"""Figures beside the chosen one."""
MOST_ROWS = 1_000
"""Of the page's table; the files have all."""


def sweep_json(records: Sequence[Record], axes: Sequence[Axis], metric: str, walked: WalkForward | None = None) -> dict[str, Any]:
    """Everything as JSON-compatible values."""
    best = best_of(records, metric)
    found: dict[str, Any] = {
        "axes": [{"name": axis.name, "values": list(axis.values)} for axis in axes],
        "metric": metric,
        "runs": [record_json(record) for record in records],
        "best": [dict(record.parameters) for record in best[:10]] if walked is None else [],
    }
    if walked is not None:
        found["walk_forward"] = {
            "folds": [_fold_json(fold) for fold in walked.folds],
            "out_of_sample": None if walked.statistics is None else msgspec.to_builtins(walked.statistics),
        }
    return found


def write_sweep(
    folder: Path, records: Sequence[Record], axes: Sequence[Axis], metric: str, walked: WalkForward | None = None
) -> None:
    """Write the three files, each whole or not at all. Raises `ConfigError`."""
    try:
        write_json(folder / "sweep.json", sweep_json(records, axes, metric, walked))
        part = folder / ".sweep.parquet.part"
        parquet.write_table(_table(records, axes), part, compression="zstd")
        part.replace(folder / "sweep.parquet")
        part = folder / ".sweep.html.part"
        part.write_text(page(records, axes, metric, walked), encoding="utf-8")
        part.replace(folder / "sweep.html")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from None


def page(records: Sequence[Record], axes: Sequence[Axis], metric: str, walked: WalkForward | None = None) -> str:
    """One HTML page that needs nothing else."""
    sections = [] if walked is None else [_walk_section(walked, axes, metric)]
    if walked is None:
        if len(axes) > 1:
            sections.append(_heat_section(records, axes, metric))
        sections.append(_table_section(records, axes, metric))
    names = ", ".join(short(axis.name) for axis in axes)
    return Template(asset("sweep.html")).substitute(
        title=html.escape(f"Sweep of {names}"),
        style=asset("report.css"),
        heading=html.escape(f"{'Walk-forward' if walked else 'Sweep'} of {names}"),
        facts=_facts(records, metric),
        sections="".join(sections),
    )


def short(name: str) -> str:
    """`strategies.sma.params.fast` as `sma.fast`."""
    parts = name.split(".")
    return ".".join([parts[1], *parts[3:]]) if parts[0] == "strategies" and len(parts) > 3 else name


def shown(metric: str, value: float | None) -> str:
    """A figure as people write it."""
    if value is None:
        return "–"
    if metric in ("total_return", "cagr", "volatility", "max_drawdown", "win_rate", "exposure"):
        return f"{value * 100:,.2f} %"
    return f"{value:,.0f}" if isinstance(value, int) else f"{value:,.2f}"


def written(value: Any) -> str:
    """A parameter's value as TOML has it, text without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def cells_of(records: Sequence[Record], axes: Sequence[Axis], metric: str) -> dict[tuple[Any, Any], float | None]:
    """The best figure for each pair of values of the first two axes; None where no run has one."""
    first, second = axes[0].name, axes[1].name
    pick = min if metric in LESS_IS_BETTER else max
    found: dict[tuple[Any, Any], float | None] = {}
    for record in records:
        key = record.parameters[first], record.parameters[second]
        value = record.metric(metric) if record.status == "ok" else None
        known = found.get(key)
        found[key] = value if known is None else known if value is None else pick(known, value)
    return found


def record_json(record: Record) -> dict[str, Any]:
    """One run without its path."""
    return {
        "parameters": dict(record.parameters),
        "status": record.status,
        "reason": record.reason,
        "statistics": None if record.statistics is None else msgspec.to_builtins(record.statistics),
        "strategies": [msgspec.to_builtins(figures) for figures in record.strategies],
    }


def _fold_json(fold: Fold) -> dict[str, Any]:
    return {
        "train": _span_json(fold.window.train),
        "test": _span_json(fold.window.test),
        "chosen": None if fold.train is None else dict(fold.train.parameters),
        "in_sample": None if fold.train is None else record_json(fold.train)["statistics"],
        "out_of_sample": None if fold.test is None else record_json(fold.test)["statistics"],
    }


def _span_json(span: Span) -> dict[str, str]:
    return {"from": iso(span.from_ns), "to": iso(span.to_ns)}


def iso(ns: int) -> str:
    """ISO 8601 to the second."""
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(records: Sequence[Record], axes: Sequence[Axis]) -> pa.Table:
    columns: dict[str, Any] = {axis.name: _uniform([record.parameters[axis.name] for record in records]) for axis in axes}
    columns["status"] = [record.status for record in records]
    columns["reason"] = [record.reason for record in records]
    for metric in METRICS:
        columns[metric] = pa.array([record.metric(metric) for record in records])
    return pa.table(columns)


def _uniform(values: Sequence[Any]) -> Sequence[Any]:
    """Values of one type; text where they are of several."""
    return values if len({type(value) for value in values}) == 1 else [str(value) for value in values]


def _facts(records: Sequence[Record], metric: str) -> str:
    counts = {status: sum(1 for record in records if record.status == status) for status in ("ok", "invalid", "failed")}
    rows = [f"<b>{counts['ok']:,}</b> runs", f"by {html.escape(metric)}"]
    rows += [f"{counts['invalid']:,} refused"] * bool(counts["invalid"]) + [f"{counts['failed']:,} failed"] * bool(
        counts["failed"]
    )
    return "".join(f"<span>{row}</span>" for row in rows)


def _heat_section(records: Sequence[Record], axes: Sequence[Axis], metric: str) -> str:
    cells = cells_of(records, axes, metric)
    known = [value for value in cells.values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    down, across = axes[0], axes[1]
    names = short(down.name), short(across.name)

    def cell(row: Any, column: Any) -> str:
        value = cells[row, column]
        return heat_cell(
            _warmth(value, low, high, metric), 1.0, lambda _: shown(metric, value), f"{names[0]} {row}, {names[1]} {column}"
        )

    head = "".join(f"<th>{html.escape(written(value))}</th>" for value in across.values)
    body = "".join(
        f"<tr><td>{html.escape(written(row))}</td>{''.join(cell(row, column) for column in across.values)}</tr>"
        for row in down.values
    )
    others = f", the best over {', '.join(short(axis.name) for axis in axes[2:])}" if len(axes) > 2 else ""
    note = html.escape(f"{names[0]} down, {names[1]} across{others}; green is best, red worst")
    title = f"{html.escape(metric)} <small>{note}</small>"
    return _section(title, f"<table class='rows heat'><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>")


def _warmth(value: float | None, low: float, high: float, metric: str) -> float | None:
    """From -1, the worst, to 1, the best."""
    if value is None:
        return None
    place = 2 * (value - low) / (high - low) - 1 if high > low else 0.0
    return -place if metric in LESS_IS_BETTER else place


def _table_section(records: Sequence[Record], axes: Sequence[Axis], metric: str) -> str:
    best = best_of(records, metric)
    others = [record for record in records if record.status != "ok"]
    figures = [metric, *(name for name in SHOWN if name != metric)]
    head = "".join(f"<th>{html.escape(short(axis.name))}</th>" for axis in axes)
    head += "".join(f"<th class='n'>{name.replace('_', ' ')}</th>" for name in figures)
    body = []
    for record in [*best, *others][:MOST_ROWS]:
        cells = "".join(f"<td>{html.escape(written(record.parameters[axis.name]))}</td>" for axis in axes)
        if record.status == "ok":
            cells += "".join(f"<td class='n'>{shown(name, record.metric(name))}</td>" for name in figures)
        else:
            cells += f"<td class='faint' colspan='{len(figures)}'>{record.status}: {html.escape(record.reason)}</td>"
        body.append(f"<tr>{cells}</tr>")
    more = len(records) - MOST_ROWS
    title = "Runs, best first" + (f" <small>{more:,} more in sweep.parquet</small>" if more > 0 else "")
    return _section(title, f"<table class='rows'><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>")


def _walk_section(walked: WalkForward, axes: Sequence[Axis], metric: str) -> str:
    head = "<th>test from</th><th>to</th>" + "".join(f"<th>{html.escape(short(axis.name))}</th>" for axis in axes)
    head += f"<th class='n'>{metric}, trained</th><th class='n'>tested</th><th class='n'>net profit</th><th class='n'>trades</th>"
    body = []
    for fold in walked.folds:
        cells = f"<td>{iso(fold.window.test.from_ns)}</td><td>{iso(fold.window.test.to_ns)}</td>"
        if fold.train is None or fold.test is None:
            cells += (
                f"<td class='faint' colspan='{len(axes) + 4}'>no run of the training stretch has a {html.escape(metric)}</td>"
            )
        else:
            cells += "".join(f"<td>{html.escape(written(fold.train.parameters[axis.name]))}</td>" for axis in axes)
            figures = [(metric, fold.train), (metric, fold.test), ("net_profit", fold.test), ("trades", fold.test)]
            cells += "".join(f"<td class='n'>{shown(name, record.metric(name))}</td>" for name, record in figures)
        body.append(f"<tr>{cells}</tr>")
    folds = _section("Windows", f"<table class='rows'><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>")
    if walked.curve is None or walked.statistics is None:
        return folds
    return _section("Out of sample, the tests one after another", _line(walked) + _figures(walked.statistics)) + folds


def _figures(figures: Statistics) -> str:
    values: Mapping[str, Any] = msgspec.structs.asdict(figures)
    tiles = "".join(
        f"<div class='tile'><small>{name.replace('_', ' ')}</small><b>{shown(name, values[name])}</b></div>" for name in SHOWN
    )
    return f"<div class='tiles'>{tiles}</div>"


def _line(walked: WalkForward) -> str:
    """The curve as a drawing of 1000 x 240."""
    if walked.curve is None:
        return ""
    rows = walked.curve.picture
    values = [walked.curve.start, *rows.equity.tolist()]
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    points = " ".join(
        f"{1000 * i / max(len(values) - 1, 1):.1f},{230 - 220 * (value - low) / reach:.1f}" for i, value in enumerate(values)
    )
    return (
        "<svg viewBox='0 0 1000 240' preserveAspectRatio='none' style='width: 100%; height: 260px' role='img'>"
        f"<title>equity from {low:,.2f} to {high:,.2f}</title>"
        f"<polyline points='{points}' fill='none' stroke='var(--c1)' stroke-width='1.6' "
        "vector-effect='non-scaling-stroke'/></svg>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2><div class='scroll'>{content}</div></section>"
