"""`barque data`: recorded market data in and out of an archive, and whether it can be relied upon.

In:   options as typed.   Out: tables, progress and reports; with --json one JSON object on standard output.
Not:  the work (`barque_cli.data_work`), which is imported when it is asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Recorded market data: import, list, export, check.", no_args_is_help=True)

ArchiveOption = Annotated[Path, typer.Option("--archive", help="The archive's folder.", envvar="BARQUE_ARCHIVE")]
SymbolOption = Annotated[str, typer.Option("--symbol", help="Our name for what is traded.")]
IntervalOption = Annotated[str, typer.Option("--interval", help="Of bars: 1m, 1h, 1d, tick:100 …")]
PriceOption = Annotated[str, typer.Option("--price", help="Of bars: bid, ask, mid or last.")]
KindOption = Annotated[str, typer.Option("--kind", help="quotes, trades or bars; as a file's columns say, if not given.")]
FromOption = Annotated[str, typer.Option("--from", help="First time, UTC: 2014-05-01 or 2014-05-01T08:00.")]
ToOption = Annotated[str, typer.Option("--to", help="Time to end before, UTC.")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", envvar="BARQUE_CONFIG")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
ARCHIVE, CONFIG = Path("archive"), Path("barque.toml")


@app.command("import")
def import_(
    symbol: SymbolOption,
    files: Annotated[list[Path] | None, typer.Argument(help="CSV or Parquet files, plain or .gz.")] = None,
    archive: ArchiveOption = ARCHIVE,
    interval: IntervalOption = "1m",
    price: PriceOption = "",
    kind: KindOption = "",
    database: Annotated[bool, typer.Option("--database", help="Bars of the book's database instead of files.")] = False,
    columns: Annotated[list[str] | None, typer.Option("--map", help="Foreign columns: timestamp=Date,open=O …")] = None,
    time: Annotated[str, typer.Option("--time", help="auto, iso, s, ms, us, ns, or a pattern such as '%Y%m%d %H%M%S'.")] = "auto",
    tz: Annotated[str, typer.Option("--tz", help="Zone of times that name none: Europe/Stockholm; UTC if not given.")] = "",
    twice: Annotated[str, typer.Option("--twice", help="Times that a clock shows twice: refuse, first or second.")] = "refuse",
    label: Annotated[str, typer.Option("--label", help="Which end of a bar its time is: open or close.")] = "open",
    delimiter: Annotated[str, typer.Option("--delimiter", help="Between the values of a CSV file.")] = ",",
    sort: Annotated[bool, typer.Option("--sort", help="Sort rows by time (the file goes through memory).")] = False,
    drop_duplicates: Annotated[bool, typer.Option("--drop-duplicates", help="Drop rows that equal the one before.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out and report them.")] = False,
    conflicts: Annotated[str, typer.Option(help="Other values there already: refuse, keep them, or replace.")] = "refuse",
    from_: FromOption = "",
    to: ToOption = "",
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read files into the archive: each wholly, or not at all. The same rows again change nothing."""
    from barque_cli import data_work

    wanted = data_work.Wanted(symbol, kind, interval, price, data_work.span(from_, to))
    reading = data_work.reading(
        columns or [], (time, tz, twice), label, kind, delimiter, sort=sort, drop=drop_duplicates, skip=skip_bad
    )
    sources = data_work.sources_of(files or [], config if database else None, wanted, reading)
    results = data_work.import_all(archive, sources, conflicts)
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        data_work.show_imports(results)


@app.command()
def fetch(
    symbol: SymbolOption,
    source: Annotated[str, typer.Option("--source", help="The broker: ibkr or mt5.")],
    from_: FromOption,
    to: ToOption = "",
    archive: ArchiveOption = ARCHIVE,
    kind: Annotated[str, typer.Option("--kind", help="bars, quotes or trades.")] = "bars",
    interval: IntervalOption = "1m",
    price: PriceOption = "bid",
    conflicts: Annotated[str, typer.Option(help="Other values there already: keep them, replace, or refuse.")] = "keep",
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """A broker's history into the archive, as fast as it lets us; repeated, it goes on where it was."""
    from barque_cli import data_work

    wanted = data_work.Wanted(symbol, kind, interval, price, data_work.span(from_, to))
    result = data_work.fetch_one(archive, source, wanted, conflicts, config)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        data_work.show_fetch(result)


@app.command("list")
def list_(
    archive: ArchiveOption = ARCHIVE,
    symbol: Annotated[str, typer.Option("--symbol", help="Only this one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """What the archive has."""
    from barque_cli import data_work

    found = data_work.listing(archive, symbol)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        data_work.show_listing(archive, found)


@app.command()
def export(
    symbol: SymbolOption,
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv, .csv.gz or .parquet.")],
    archive: ArchiveOption = ARCHIVE,
    kind: KindOption = "",
    interval: IntervalOption = "1m",
    price: PriceOption = "",
    from_: FromOption = "",
    to: ToOption = "",
) -> None:
    """Write one series to a file; `barque data import` reads it back."""
    from barque_cli import data_work

    rows = data_work.export_one(archive, data_work.Wanted(symbol, kind, interval, price, data_work.span(from_, to)), out)
    data_work.console.print(f"{out}: {rows:,} rows")


@app.command()
def check(
    archive: ArchiveOption = ARCHIVE,
    symbol: Annotated[str, typer.Option("--symbol", help="Only this one.")] = "",
    calendar: Annotated[str, typer.Option(help="Whose hours count; the instrument's in the configuration, if not given.")] = "",
    gap_min: Annotated[float, typer.Option("--gap", help="Minutes of open hours without a row that are worth a warning.")] = 60.0,
    spike: Annotated[float, typer.Option(help="Fraction; the instrument's in the configuration, or 0.1, if not given.")] = 0.0,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Gaps, duplicates, bad rows, spikes, hours and zones. Exit code 1 where there are errors."""
    from barque_cli import data_work

    reports = data_work.check_all(archive, symbol, config, calendar, gap_min, spike)
    if as_json:
        print(json.dumps(data_work.as_objects(reports), indent=2))
    else:
        data_work.show_reports(reports)
    raise typer.Exit(1 if any(report.errors for report in reports) else 0)


@app.command()
def prune(
    before: Annotated[str, typer.Option("--before", help="Time, UTC: files that end by then go.")],
    archive: ArchiveOption = ARCHIVE,
    symbol: Annotated[str, typer.Option("--symbol", help="Only this one.")] = "",
    kind: KindOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it only say what would go.")] = False,
) -> None:
    """Remove old files, whole days or months."""
    from barque_cli import data_work

    data_work.prune_all(archive, symbol, kind, before, yes)
