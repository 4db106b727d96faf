"""What backtests, sweeps and comparisons found, on a terminal.

In:   results.   Out: tables.   Not:  figures of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barque_backtest.compare import Comparison, Difference
from barque_backtest.grid import Axis
from barque_backtest.report import figure_rows
from barque_backtest.results import Result
from barque_backtest.sweep import Record, best_of
from barque_backtest.sweep_report import SHOWN, iso, short, shown, written
from barque_backtest.walk_forward import WalkForward

MOST_COLUMNS = 6
TOP = 20
FIGURE_WIDTH = 15


def show_result(console: Console, result: Result) -> None:
    """The figures of the account and of its strategies."""
    columns = [("account", result.total)]
    if len(result.strategies) > 1:
        columns += [(figures.name, figures) for figures in result.strategies]
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column(f"in {result.currency}")
    for name, _ in columns[:MOST_COLUMNS]:
        table.add_column(escape(name), justify="right")
    for group in figure_rows([figures for _, figures in columns[:MOST_COLUMNS]]):
        for name, values in group:
            table.add_row(name, *values)
        table.add_section()
    console.print(table)
    if len(columns) > MOST_COLUMNS:
        console.print(f"[dim]{len(columns) - MOST_COLUMNS} more strategies in the report[/dim]")
    refused = len(result.run.rejections)
    if refused:
        console.print(f"{refused:,} signals were refused; the first: {escape(result.run.rejections[0].detail)}", soft_wrap=True)
    for note in result.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)


def show_sweep(console: Console, records: Sequence[Record], axes: Sequence[Axis], metric: str) -> None:
    """The best runs, as many figures as fit, and how many runs were refused or failed."""
    best = best_of(records, metric)
    table = _table([short(axis.name) for axis in axes])
    figures = [metric, *(name for name in SHOWN if name != metric)]
    room = console.width - sum(max(len(short(axis.name)), 6) + 2 for axis in axes)
    figures = figures[: max(1, room // FIGURE_WIDTH)]
    for name in figures:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for record in best[:TOP]:
        values = [escape(written(record.parameters[axis.name])) for axis in axes]
        table.add_row(*values, *(shown(name, record.metric(name)) for name in figures))
    console.print(table)
    if len(best) > TOP:
        console.print(f"[dim]the best {TOP} of {len(best):,}[/dim]")
    for status, word in (("invalid", "refused"), ("failed", "failed")):
        others = [record for record in records if record.status == status]
        if others:
            chosen = ", ".join(f"{short(name)}={written(value)}" for name, value in others[0].parameters.items())
            text = f"[yellow]{len(others):,} {word}[/yellow], the first with {escape(chosen)}: {escape(others[0].reason)}"
            console.print(text, soft_wrap=True)


def show_walk(console: Console, walked: WalkForward, axes: Sequence[Axis], metric: str) -> None:
    """The windows, and the tests together."""
    table = _table(["tested from", *(short(axis.name) for axis in axes)])
    others = [name for name in ("net_profit", "trades") if name != metric]
    for name in ("trained", "tested", *others):
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for fold in walked.folds:
        begins = iso(fold.window.test.from_ns)[:16].replace("T", " ")
        if fold.train is None or fold.test is None:
            table.add_row(begins, *("–" for _ in range(len(axes) + 2 + len(others))))
            continue
        chosen = (escape(written(fold.train.parameters[axis.name])) for axis in axes)
        figures = [(metric, fold.train), (metric, fold.test), *((name, fold.test) for name in others)]
        table.add_row(begins, *chosen, *(shown(name, record.metric(name)) for name, record in figures))
    console.print(table)
    console.print(f"[dim]trained, tested: {metric.replace('_', ' ')}[/dim]")
    if walked.statistics is None:
        console.print("[yellow]no test was made: no training run has the figure[/yellow]")
        return
    figures_of_all = ", ".join(f"{name.replace('_', ' ')} {shown(name, getattr(walked.statistics, name))}" for name in SHOWN)
    console.print(f"[bold]out of sample[/bold]: {figures_of_all}", soft_wrap=True)


def _table(names: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in names:
        table.add_column(escape(name), no_wrap=True)
    return table


def show_comparison(console: Console, found: Comparison) -> None:
    """Counts, the first difference, correlations."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for name in ("A", "B", "equal", "different", "only A", "only B"):
        table.add_column(name, justify="right")
    for kind, count in found.counts.items():
        numbers = (count.a, count.b, count.equal, count.different, count.only_a, count.only_b)
        table.add_row(kind.replace("_", " "), *(f"{number:,}" for number in numbers))
    console.print(f"A: {escape(found.a)}\nB: {escape(found.b)}", soft_wrap=True)
    console.print(table)
    for name, value in (("positions", found.position_correlation), ("daily PnL", found.daily_pnl_correlation)):
        console.print(f"correlation of {name}: {'–' if value is None else f'{value:.6f}'}")
    if found.first is None:
        console.print("[green]equal[/green]")
    else:
        _show_difference(console, found.first)


def _show_difference(console: Console, first: Difference) -> None:
    place = f"{first.kind.replace('_', ' ')}, number {first.index + 1}"
    console.print(f"[red]first difference[/red] at {first.time}: {place}: {escape(first.message)}", soft_wrap=True)
    if first.only_in:
        console.print(f"  only in {first.only_in}: {escape(first.text)}", soft_wrap=True)
        other = "B" if first.only_in == "A" else "A"
        console.print(f"  {other} has there: {escape(first.instead) or 'nothing, it has ended'}", soft_wrap=True)
        return
    for each in first.fields:
        console.print(f"  {each.field}: A {escape(each.a)}   B {escape(each.b)}", soft_wrap=True)
