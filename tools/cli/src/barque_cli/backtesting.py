"""`barque backtest`: one run, watched and stopped like a person expects.

In:   a configuration, where the data is, a span of time.   Out: progress, then figures; with --report a folder.
Not:  anything half-written: a folder is there whole or not at all. Ctrl-C ends the run in order, and what has been said until
      then is judged; a second one ends it at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from barque.errors import ConfigError
from barque_archive.sources import Source
from barque_backtest import engine
from barque_backtest.blocks import blocks
from barque_backtest.data import Data
from barque_backtest.feeding import FOREVER_NS, NEVER_NS, Span
from barque_backtest.folder import check_target, write_folder
from barque_backtest.results import Result, summarise
from barque_cli.data_work import span as parse_span

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was typed."""

    config: Mapping[str, Any]
    data: Sequence[str]
    from_utc: str
    to_utc: str
    report: Path | None


def span_of(from_utc: str, to_utc: str) -> Span:
    """Times as typed; raises `ConfigError`."""
    first, end = parse_span(from_utc, to_utc)
    return Span(from_ns=NEVER_NS if first is None else first, to_ns=FOREVER_NS if end is None else end)


def run(console: Console, wanted: Wanted) -> Result:
    """Play, judge, and write the folder that is wanted; raises `ConfigError` before anything is played where it can."""
    span = span_of(wanted.from_utc, wanted.to_utc)
    if wanted.report is not None:
        check_target(wanted.report)
    past = engine.past_wanted(wanted.config)
    sources = Data(config=wanted.config, typed=wanted.data, span=span, with_past=bool(past.bars or past.days))()
    with _stoppable() as stop, _progress(console, sources) as progress:
        ran = engine.run_backtest(wanted.config, sources, span, engine.Watch(progress=progress, stop=stop))
    facts = ran.facts
    if not facts.first_ns:
        raise ConfigError("there is nothing to play between --from and --to; `barque data list` says what an archive has")
    rows = facts.bars + facts.ticks
    console.print(
        f"{facts.bars:,} bars, {facts.ticks:,} ticks in {facts.wall_s:.1f} s ({rows / max(facts.wall_s, 1e-9):,.0f} a second)"
    )
    played = Span(from_ns=span.from_ns, to_ns=min(span.to_ns, facts.last_ns) if facts.interrupted else span.to_ns)
    with console.status("figures"):
        result = summarise(ran, blocks(sources, played, ran.instruments))
    if wanted.report is not None:
        write_folder(result, wanted.report)
        console.print(f"written: {escape(str(wanted.report / 'report.html'))}", soft_wrap=True)
    return result


@contextmanager
def _progress(console: Console, sources: Sequence[Source]) -> Iterator[Callable[[engine.Progress], None]]:
    """A bar that follows what has been read of the source that is furthest behind."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("backtest", total=1.0, rows="0")

        def follow(at: engine.Progress) -> None:
            bar.update(task, completed=min(source.fraction for source in sources), rows=f"{at.bars + at.ticks:,}")

        yield follow


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM ask the run to stop; the second one raises `KeyboardInterrupt`."""
    asked = 0

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
