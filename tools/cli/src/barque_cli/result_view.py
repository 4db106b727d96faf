"""What backtests, sweeps and comparisons found, on a terminal.

In:   results.   Out: tables.   Not:  figures of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from rich.cells import cell_len
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

TOP = 20
GAP = 2
"""Spaces between columns."""
NONE = "–"


class Column(NamedTuple):
    """A column of figures. Numbers are never cut: what does not fit is left out, and that is said."""

    name: str
    cells: Sequence[str]
    left: bool = False

    @property
    def width(self) -> int:
        """In characters, the space to the next one included."""
        return max(cell_len(text) for text in (self.name, *self.cells)) + GAP


def fitting(columns: Sequence[Column], width: int) -> int:
    """How many of them, the first ones, fit; the first always does."""
    ends = accumulate(column.width for column in columns)
    return max(1, sum(end - GAP <= width for end in ends))


def show_result(console: Console, result: Result) -> None:
    """The figures of the account and of its strategies."""
    of = [("account", result.total)]
    if len(result.strategies) > 1:
        of += [(figures.name, figures) for figures in result.strategies]
    groups = figure_rows([figures for _, figures in of])
    rows = [row for group in groups for row in group]
    names = Column(f"in {result.currency}", [name for name, _ in rows], left=True)
    columns = [Column(name, [values[place] for _, values in rows]) for place, (name, _) in enumerate(of)]
    count = fitting(columns, console.width - names.width)
    ends = set(accumulate(len(group) for group in groups))
    console.print(_table([names, *columns[:count]], ends))
    if more := len(columns) - count:
        word = "strategy" if more == 1 else "strategies"
        console.print(f"[dim]{more} more {word} in the report (--report FOLDER) and with --json[/dim]", soft_wrap=True)
    refused = len(result.run.rejections)
    if refused:
        console.print(f"{refused:,} signals were refused; the first: {escape(result.run.rejections[0].detail)}", soft_wrap=True)
    for note in result.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)


def show_sweep(console: Console, records: Sequence[Record], axes: Sequence[Axis], metric: str) -> None:
    """The best runs, as many figures as fit, and how many runs were refused or failed."""
    best = best_of(records, metric)
    axis_columns = [Column(short(axis.name), [_value(axis.name, record) for record in best[:TOP]], left=True) for axis in axes]
    figures = [
        Column(name.replace("_", " "), [_figure(name, record) for record in best[:TOP]])
        for name in (metric, *(name for name in SHOWN if name != metric))
    ]
    _show_columns(console, axis_columns, figures)
    if len(best) > TOP:
        console.print(f"[dim]the best {TOP} of {len(best):,}[/dim]")
    _show_unfinished(console, records)


def show_walk(console: Console, walked: WalkForward, axes: Sequence[Axis], metric: str) -> None:
    """The windows, and the tests together."""
    folds = walked.folds
    begins = Column("tested from", [iso(fold.window.test.from_ns)[:16].replace("T", " ") for fold in folds], left=True)
    others = [name for name in ("net_profit", "trades") if name != metric]

    def column(name: str, text: Callable[[Record], str], of: str, left: bool = False) -> Column:
        pairs = [(fold.train, fold.test) for fold in folds]
        records = [train if of == "train" else test if train is not None else None for train, test in pairs]
        return Column(name, [NONE if record is None else text(record) for record in records], left)

    axis_columns = [column(short(axis.name), partial(_value, axis.name), "train", left=True) for axis in axes]
    figures = [
        column("trained", partial(_figure, metric), "train"),
        column("tested", partial(_figure, metric), "test"),
        *(column(name.replace("_", " "), partial(_figure, name), "test") for name in others),
    ]
    _show_columns(console, [begins, *axis_columns], figures)
    console.print(f"[dim]trained, tested: {metric.replace('_', ' ')}[/dim]")
    _show_unfinished(console, [*walked.trained, *(fold.test for fold in folds if fold.test is not None)])
    if walked.statistics is None:
        text = f"no test was made: no training run has the figure {metric}; take longer stretches, or another --metric"
        console.print(f"[yellow]{text}[/yellow]", soft_wrap=True)
        return
    figures_of_all = ", ".join(f"{name.replace('_', ' ')} {shown(name, getattr(walked.statistics, name))}" for name in SHOWN)
    console.print(f"[bold]out of sample[/bold]: {figures_of_all}", soft_wrap=True)


def _show_unfinished(console: Console, records: Sequence[Record]) -> None:
    """How many runs were refused or failed, and why the first one."""
    for status, word in (("invalid", "refused"), ("failed", "failed")):
        others = [record for record in records if record.status == status]
        if others:
            chosen = ", ".join(f"{short(name)}={written(value)}" for name, value in others[0].parameters.items())
            text = f"[yellow]{len(others):,} {word}[/yellow], the first with {escape(chosen)}: {escape(others[0].reason)}"
            console.print(text, soft_wrap=True)


def _value(name: str, record: Record) -> str:
    return written(record.parameters[name])


def _figure(name: str, record: Record) -> str:
    return shown(name, record.metric(name))


def _show_columns(console: Console, given: Sequence[Column], figures: Sequence[Column]) -> None:
    """What was given, then as many figures as fit beside it; where that is too wide for one figure, less of what was given."""
    room = console.width - figures[0].width
    kept = given[: fitting(given, room)] if given else given
    shown_figures = figures[: fitting(figures, console.width - sum(column.width for column in kept))]
    console.print(_table([*kept, *shown_figures], set()))
    out = [column.name for column in (*given[len(kept) :], *figures[len(shown_figures) :])]
    if out:
        console.print(f"[dim]too wide for this terminal, and in --json and --out: {escape(', '.join(out))}[/dim]", soft_wrap=True)


def _table(columns: Sequence[Column], sections: Container[int]) -> Table:
    """`sections`: so many rows are above a gap."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(escape(column.name), justify="left" if column.left else "right", overflow="fold")
    for number, cells in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        table.add_row(*map(escape, cells), end_section=number in sections)
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
