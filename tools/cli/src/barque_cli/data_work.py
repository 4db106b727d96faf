"""What the commands of `barque data` do: words to values, work with a progress bar, results to tables.

In:   words as typed.   Out: results as plain objects, and as tables on standard error or output.
Not:  reading, merging or judging data (`barque_archive`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from barque.calendars import calendar as calendar_of
from barque.config import CommonConfig, load_common, read_file
from barque.errors import ConfigError, nearest
from barque.intervals import interval_of
from barque.live_feed.source import HistoryQuery
from barque.messages.market import PriceType
from barque_archive import sources
from barque_archive.archive import Archive, SeriesFacts
from barque_archive.audit import Expectations, Report, audit
from barque_archive.database import DatabaseSource
from barque_archive.edits import Edit
from barque_archive.exporting import export
from barque_archive.files import FileSource, Reading
from barque_archive.importing import Imported, import_into
from barque_archive.merging import Conflicts
from barque_archive.rows import Label
from barque_archive.series import Series, SeriesKind
from barque_archive.sources import Source
from barque_archive.times import TimeFormat, Twice, iso, time_ns
from barque_cli import fetching

console = Console(stderr=True, highlight=False)

MINUTE_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series as typed; empty: not said."""

    symbol: str
    kind: str
    interval: str
    price: str
    span: tuple[int | None, int | None]

    @property
    def series_kind(self) -> SeriesKind | None:
        """Its kind; raises `ConfigError`."""
        return cast(SeriesKind, _one_of("--kind", self.kind, SeriesKind)) if self.kind else None

    @property
    def price_type(self) -> PriceType | None:
        """Its price; raises `ConfigError`."""
        return cast(PriceType, _one_of("--price", self.price, PriceType)) if self.price else None


def span(from_: str, to: str) -> tuple[int | None, int | None]:
    """Times as typed to ns; raises `ConfigError`."""
    first, end = (_time(option, text) for option, text in (("--from", from_), ("--to", to)))
    if first is not None and end is not None and first >= end:
        raise ConfigError(f"option --to: {to} is not after --from {from_}")
    return first, end


# -- import ----------------------------------------------------------------------------------------------------------------


def reading(
    columns: Sequence[str],
    time: tuple[str, str, str],
    label: str,
    kind: str,
    delimiter: str,
    *,
    sort: bool,
    drop: bool,
    skip: bool,
) -> Reading:
    """How files are to be read; raises `ConfigError` naming the option."""
    mapped: dict[str, str] = {}
    for part in (part for text in columns for part in text.split(",")):
        ours, equals, theirs = part.partition("=")
        if not equals or not theirs:
            raise ConfigError(f"option --map: '{part}' is no pair; ours=theirs, such as open=O")
        mapped[ours.strip()] = theirs
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    if len(delimiter) != 1:
        raise ConfigError(f"option --delimiter: '{delimiter}' is not one character; for tabs say tab")
    form, tz, twice = time
    return Reading(
        columns=mapped,
        time=TimeFormat(form=form, tz=tz, twice=cast(Twice, twice)),
        label=cast(Label, _one_of("--label", label, Label)),
        delimiter=delimiter,
        kind=cast(SeriesKind, _one_of("--kind", kind, SeriesKind)) if kind else None,
        order="sort" if sort else "strict",
        bad="skip" if skip else "refuse",
        twins="drop" if drop else "refuse",
    )


def sources_of(files: Sequence[Path], config: Path | None, wanted: Wanted, how: Reading) -> list[Source]:
    """What to import: files, or where `config` is given the bars of the book that it names."""
    if config is None:
        return [FileSource(path, wanted.symbol, wanted.interval, wanted.price_type, how, wanted.span) for path in files]
    if files or not wanted.price:
        raise ConfigError("option --database: with --price and without files, for it reads bars of one price from the database")
    common = load_common(read_file(config, os.environ))
    series = Series(wanted.symbol, "bars", wanted.interval, wanted.price_type or "")
    return [DatabaseSource(common.postgres, common.book.name, series, wanted.span)]


def import_all(root: Path, wanted: Sequence[Source], conflicts: str) -> list[dict[str, Any]]:
    """Import one source after another; what each came to."""
    policy = cast(Conflicts, _one_of("--conflicts", conflicts, Conflicts))
    if not wanted:
        raise ConfigError("nothing to import: name files, or say --database")
    return [_import_one(root, source, policy) for source in wanted]


def _import_one(root: Path, source: Source, conflicts: Conflicts) -> dict[str, Any]:
    name = str(source.path) if isinstance(source, FileSource) else "database"
    with _progress(f"importing {Path(name).name}") as progress:
        result = import_into(root, source, conflicts, progress)
    left_out = source.tally.left_out if isinstance(source, FileSource) else {}
    examples = source.tally.examples if isinstance(source, FileSource) else {}
    return _facts_of(name, result) | {"left_out": left_out, "examples": examples}


def _facts_of(name: str, result: Imported) -> dict[str, Any]:
    return {
        "source": name,
        "series": [str(series) for series in result.series],
        "rows": result.rows,
        "added": result.added,
        "equal": result.equal,
        "conflicts": result.conflicts,
        "conflict": result.example,
        "from": iso(result.first_ns),
        "to": iso(result.last_ns),
    }


def show_imports(results: Sequence[dict[str, Any]]) -> None:
    """One line per source, and what was left out of it."""
    for each in results:
        there = f", {each['equal']:,} there already" if each["equal"] else ""
        line = f"{each['source']}: {each['added']:,} rows added{there}; {each['from']} to {each['to']}"
        console.print(f"{line}; {', '.join(each['series'])}", soft_wrap=True)
        if each["conflicts"]:
            console.print(
                f"  [yellow]{each['conflicts']:,} rows contradict the archive[/yellow], the first: {each['conflict']}",
                soft_wrap=True,
            )
        for why, count in each["left_out"].items():
            console.print(f"  [yellow]left out {count:,}[/yellow]: {why} ({each['examples'][why]})", soft_wrap=True)


# -- fetch -----------------------------------------------------------------------------------------------------------------


def fetch_one(root: Path, source: str, wanted: Wanted, conflicts: str, config: Path) -> dict[str, Any]:
    """A broker's history of one series; raises `ConfigError` naming the option."""
    policy = cast(Conflicts, _one_of("--conflicts", conflicts, Conflicts))
    kind, price = wanted.series_kind or "bars", wanted.price_type or "bid"
    if not interval_of(wanted.interval).is_time:
        raise ConfigError(f"option --interval: brokers have bars of time, such as 1m, not '{wanted.interval}'")
    from_ns, to_ns = wanted.span[0], wanted.span[1] or time.time_ns()
    if from_ns is None or from_ns >= to_ns:
        raise ConfigError("option --from: a time in the past is needed")
    raw = read_file(config, os.environ)
    instrument = load_common(raw).instrument(wanted.symbol)
    query = HistoryQuery(
        symbol=wanted.symbol, kind=kind, from_ns=from_ns, to_ns=min(to_ns, time.time_ns()), interval=wanted.interval, price=price
    )
    opened = fetching.open_history(source, raw, [instrument], wanted.symbol)
    with _warnings_on_stderr(), _progress(f"{source}: {wanted.symbol}") as progress:

        def tell(fraction: float, so_far: fetching.Fetched) -> None:
            progress(fraction)
            if not console.is_terminal:
                console.print(f"{source}: {wanted.symbol}: {fraction:.0%}, {so_far.rows:,} rows")

        result = asyncio.run(fetching.fetch(root, opened, query, policy, tell))
    return {"source": source, "symbol": wanted.symbol, **asdict(result)}


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """What the session with the broker logs, unless it is only information; standard output is for results."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def show_fetch(result: dict[str, Any]) -> None:
    """One line."""
    there = f"; {result['skipped']:,} pieces were there already" if result["skipped"] else ""
    console.print(
        f"{result['source']}: {result['rows']:,} rows of {result['symbol']}, {result['added']:,} added{there}", soft_wrap=True
    )


# -- list, export, prune ---------------------------------------------------------------------------------------------------


def listing(root: Path, symbol: str) -> list[dict[str, Any]]:
    """Every series with its facts."""
    archive = Archive(root)
    return [_as_object(archive.facts(series)) for series in _chosen(archive, symbol)]


def show_listing(root: Path, found: Sequence[dict[str, Any]]) -> None:
    """A table on standard output."""
    if not found:
        console.print(f"{root} has nothing; see `barque data import --help`")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("symbol", "kind", "interval", "price", "from", "to"):
        table.add_column(name)
    for name in ("rows", "days", "size"):
        table.add_column(name, justify="right")
    for each in found:
        names = (each[name] for name in ("symbol", "kind", "interval", "price", "from", "to"))
        table.add_row(*names, f"{each['rows']:,}", f"{each['days']:,}", _size(each["size_bytes"]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def export_one(root: Path, wanted: Wanted, out: Path) -> int:
    """One series to a file; how many rows."""
    source = sources.open_source(
        _existing(root),
        wanted.symbol,
        wanted.interval,
        wanted.price_type,
        kind=wanted.series_kind,
        from_ns=wanted.span[0],
        to_ns=wanted.span[1],
    )
    with _progress(f"writing {out.name}") as progress:
        return export(source, out, progress)


def prune_all(root: Path, symbol: str, kind: str, before: str, yes: bool) -> None:
    """Remove files that end before a time, or say which."""
    archive, before_ns = Archive(_existing(root)), _time("--before", before)
    if before_ns is None:
        raise ConfigError("option --before is empty; give a time such as 2014-05-01")
    if kind:
        _one_of("--kind", kind, SeriesKind)
    for series in _chosen(archive, symbol):
        if kind in ("", series.kind):
            files = _prune(root, series, before_ns) if yes else archive.older(series, before_ns)
            if files:
                names = files[0].name if len(files) == 1 else f"{len(files):,} files, {files[0].name} to {files[-1].name}"
                console.print(f"{series}: {names} {'removed' if yes else 'would go'}", soft_wrap=True)
    if not yes:
        console.print("Nothing is removed without --yes.")


def _prune(root: Path, series: Series, before_ns: int) -> list[Path]:
    with Edit(root, series) as edit:
        return edit.prune(before_ns)


# -- check -----------------------------------------------------------------------------------------------------------------


def check_all(root: Path, symbol: str, config: Path, calendar: str, gap_min: float, spike: float) -> list[Report]:
    """What is found in each series."""
    archive = Archive(_existing(root))
    common = load_common(read_file(config, os.environ)) if config.exists() else CommonConfig()
    if calendar:
        calendar_of(calendar)
    series = _chosen(archive, symbol)
    if not series:
        raise ConfigError(f"{root} has nothing to check; see `barque data import --help`")
    reports = []
    with _progress("checking") as progress:
        for number, each in enumerate(series):
            reports.append(audit(archive, each, _expected(common, each.symbol, calendar, gap_min, spike)))
            progress((number + 1) / len(series))
    return reports


def _expected(common: CommonConfig, symbol: str, calendar: str, gap_min: float, spike: float) -> Expectations:
    instrument = next((each for each in common.instruments if each.symbol == symbol), None)
    name = calendar or (instrument.calendar if instrument is not None else "")
    fraction = spike or (instrument.max_spike_fraction if instrument is not None else 0.1)
    return Expectations(
        calendar=calendar_of(name) if name else None,
        calendar_name=name,
        gap_ns=int(gap_min * MINUTE_NS),
        spike_fraction=fraction,
    )


def as_objects(reports: Sequence[Report]) -> dict[str, Any]:
    """Reports for JSON: times as ISO text."""
    found = []
    for report in reports:
        findings = [
            msgspec.to_builtins(finding) | {"at": None if finding.at_ns is None else iso(finding.at_ns)}
            for finding in report.findings
        ]
        found.append({**report.series._asdict(), "rows": report.rows, "errors": report.errors, "findings": findings})
    return {"errors": sum(report.errors for report in reports), "series": found}


def show_reports(reports: Sequence[Report]) -> None:
    """What was found, series by series, on standard output."""
    out = Console(highlight=False)
    colours = {"error": "red", "warning": "yellow", "note": "dim"}
    for report in reports:
        out.print(f"{report.series}: {report.rows:,} rows" + ("" if report.findings else "  [green]ok[/green]"))
        for finding in report.findings:
            at = "" if finding.at_ns is None else f" \\[{iso(finding.at_ns)}]"
            colour = colours[finding.severity]
            out.print(
                f"  [{colour}]{finding.severity}[/{colour}] {finding.check}: {finding.rows:,} × {finding.text}{at}",
                soft_wrap=True,
            )


# -- words -----------------------------------------------------------------------------------------------------------------


def _existing(root: Path) -> Path:
    if not root.is_dir():
        raise ConfigError(f"there is no archive at {root}; `barque data import` makes one")
    return root


def _chosen(archive: Archive, symbol: str) -> list[Series]:
    known = archive.series()
    found = [series for series in known if symbol in ("", series.symbol)]
    if symbol and not found:
        raise ConfigError(f"archive {archive.root} has no '{symbol}'; {nearest(symbol, sorted({s.symbol for s in known}))}")
    return found


def _one_of(option: str, text: str, kind: Any) -> str:
    valid = list(get_args(kind))
    if text not in valid:
        raise ConfigError(f"option {option}: '{text}' is none; {nearest(text, valid)}")
    return text


def _time(option: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return time_ns(text)
    except ValueError as error:
        raise ConfigError(f"option {option}: {error}") from None


def _as_object(facts: SeriesFacts) -> dict[str, Any]:
    numbers = {"rows": facts.rows, "days": facts.days, "files": facts.files, "size_bytes": facts.size_bytes}
    return facts.series._asdict() | {"from": iso(facts.first_ns), "to": iso(facts.last_ns)} | numbers


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, for as long as the block runs; it is told the fraction done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)
