"""`barque sweep`: many backtests over processes, watched and stopped like a person expects.

In:   a configuration, grids, where the data is.   Out: progress, a table, and with --out the sweep's folder.
Not:  anything lost by Ctrl-C: with --out what is done is kept, and the same command goes on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from barque.errors import ConfigError
from barque_backtest.data import Data
from barque_backtest.feeding import Source, Span
from barque_backtest.grid import Axis, combinations, parse_axis, with_values
from barque_backtest.sweep import Job, Record, Store, check_metric, fingerprint, run_jobs
from barque_backtest.sweep_report import sweep_json, write_sweep
from barque_backtest.walk_forward import WalkForward, data_span, parse_lengths, walk, windows
from barque_cli import result_view
from barque_cli.backtesting import STOPPED, span_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is wanted, as it was typed."""

    config: Mapping[str, Any]
    grids: Sequence[str]
    metric: str
    processes: int
    folder: Path | None
    walk_forward: str
    data: Sequence[str]
    from_utc: str
    to_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it."""

    records: list[Record]
    axes: list[Axis]
    metric: str
    walked: WalkForward | None

    def as_json(self) -> dict[str, Any]:
        """As `sweep.json`."""
        return sweep_json(self.records, self.axes, self.metric, self.walked)

    def show(self, console: Console) -> None:
        """As tables."""
        if self.walked is None:
            result_view.show_sweep(console, self.records, self.axes, self.metric)
        else:
            result_view.show_walk(console, self.walked, self.axes, self.metric)


def run(console: Console, wanted: Sweep) -> Found:
    """Make the runs that are wanted. Raises `ConfigError`; on Ctrl-C and SIGTERM ends its workers and raises `SystemExit`."""
    metric = check_metric(wanted.metric)
    axes = [parse_axis(text) for text in wanted.grids]
    tables = [(chosen, with_values(wanted.config, axes, chosen)) for chosen in combinations(axes)]
    span = span_of(wanted.from_utc, wanted.to_utc)
    opener = partial(open_data, tuple(wanted.data), span)
    opener(wanted.config)  # what is not there is said at once
    store = (
        None
        if wanted.folder is None
        else Store(wanted.folder, fingerprint(Data(config=wanted.config, typed=wanted.data).paths()))
    )
    processes = check_processes(wanted.processes) or os.cpu_count() or 1
    walked = None
    with _interruptible(console, wanted.folder), _progress(console) as expect:
        if wanted.walk_forward:
            lengths = parse_lengths(wanted.walk_forward)
            spans = windows(*data_span(opener(wanted.config), span), *lengths)
            done = expect(len(spans) * (len(tables) + 1))
            walked = walk(wanted.config, axes, spans, opener, metric, processes=processes, store=store, done=done)
            records = walked.trained
        else:
            jobs = [Job(parameters=chosen, config=table, span=span) for chosen, table in tables]
            records = run_jobs(jobs, opener, processes=processes, store=store, done=expect(len(jobs)))
        if wanted.folder is not None:
            write_sweep(wanted.folder, records, axes, metric, walked)
    return Found(records=records, axes=axes, metric=metric, walked=walked)


def open_data(typed: Sequence[str], span: Span, config: Mapping[str, Any]) -> Sequence[Source]:
    """The data that `config` asks for, in any process; what came before the span too, for warm-up."""
    return Data(config=config, typed=typed, span=span)()


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int], Callable[[Record, bool], None]]]:
    """A bar: give it the number of runs, it gives what to tell each finished one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:

        def expect(total: int) -> Callable[[Record, bool], None]:
            task = bar.add_task("runs", total=total)

            def done(record: Record, known: bool) -> None:
                bar.advance(task)

            return done

        yield expect


@contextmanager
def _interruptible(console: Console, folder: Path | None) -> Iterator[None]:
    """Ctrl-C (also where a shell has it ignored) and SIGTERM end the sweep with a sentence on how to go on."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        kept = "" if folder is None else f"; finished runs are in {folder}, the same command goes on with the others"
        console.print(f"[yellow]stopped[/yellow]{kept}", soft_wrap=True)
        raise SystemExit(STOPPED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_processes(count: int) -> int:
    """`count`, or a `ConfigError`; 0 is one per processor."""
    if not 0 <= count <= 256:
        raise ConfigError(f"option --processes: {count} is not between 0 (one per processor) and 256")
    return count
