"""The `barque` command. Each sub-command is one function here; what it does lives in a module of its own.

What only some sub-commands need is imported by them, so that `barque halt` is quick.
Errors are one line: what happened, to which key or id, what to do; the exit code is the error's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from barque.bus.redis_bus import RedisBus
from barque.bus.replay import LiveSource, RecordedSource, Source
from barque.bus.replay import record as record_book
from barque.bus.replay import replay as replay_node
from barque.config import CommonConfig, load_common, read_file
from barque.errors import BarqueError, ConfigError, nearest
from barque.messages.market import PriceType
from barque.postgres.migrate import migrate as run_migrations
from barque.postgres.pool import connect_one
from barque.postgres.seed import seed as seed_book
from barque_cli import control

app = typer.Typer(
    name="barque",
    help="Run, watch and stop a Barque book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="The configuration file.", no_args_is_help=True)
app.add_typer(config_app, name="config")
console = Console(stderr=True, highlight=False)
T = TypeVar("T")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", envvar="BARQUE_CONFIG")]
DEFAULT_CONFIG = Path("barque.toml")
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def entry_point() -> None:
    """The console script: our errors in one line, with their exit code. Strategies of the working folder can be imported,
    as the services import them."""
    sys.path.insert(0, "")
    try:
        app()
    except BarqueError as error:
        console.print(f"[red]barque:[/red] {error}", soft_wrap=True, markup=True)
        sys.exit(error.exit_code)


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _common(config: Path) -> CommonConfig:
    return load_common(read_file(config, os.environ))


def _price_type(text: str) -> PriceType:
    if text not in get_args(PriceType):
        raise ConfigError(f"option --price: '{text}' is none; {nearest(text, list(get_args(PriceType)))}")
    return cast(PriceType, text)


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option("--for", help="End after so many seconds.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No live summary.")] = False,
    as_json: JsonOption = False,
    port: Annotated[int, typer.Option(help="The page's port; 0: any free one.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where data and logs go; what an earlier demo left there is removed.")] = Path(
        ".barque/demo"
    ),
) -> None:
    """Bring up the whole system on this machine, on embedded servers, with a seeded market."""
    from barque_cli import demo_run

    result = demo_run.run(console, seconds, live=not headless, port=port, folder=folder.resolve())
    if as_json:
        print(json.dumps(result, indent=2))


@app.command()
def up(
    config: ConfigOption = DEFAULT_CONFIG,
    embedded: Annotated[bool, typer.Option("--embedded", help="Start Valkey and Postgres too.")] = False,
    folder: Annotated[Path, typer.Option(help="Where logs and embedded data go.")] = Path(".barque/up"),
) -> None:
    """Run every service of a book as processes on this machine, restarting those that die."""
    from barque_cli import demo_run

    demo_run.up(console, config.resolve(), folder.resolve(), embedded)


@app.command()
def bars(
    source: Annotated[Path, typer.Argument(help="A file of quotes or trades: CSV or Parquet, plain or gzip.")],
    symbol: Annotated[str, typer.Option(help="Its symbol.")],
    interval: Annotated[str, typer.Option(help="1s, 1m, 5m, 1h, 1d …")] = "1m",
    price: Annotated[str, typer.Option(help="bid, ask, mid or last.")] = "bid",
    out: Annotated[Path | None, typer.Option(help="CSV to write; standard output if not given.")] = None,
    fill_gaps: Annotated[bool, typer.Option("--fill-gaps", help="Flat bars for gaps of up to 2 minutes.")] = False,
) -> None:
    """Build bars from a tick file, exactly as the running system would."""
    from barque_cli.bars import write_bars

    count = write_bars(source, symbol, interval, _price_type(price), out, fill_gaps)
    console.print(f"{count} bars")


@app.command()
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """How the book is: halt, nodes, lag, refused commits, positions, equity."""
    from barque_cli import status_view

    found = _run(status_view.gather(_common(config)))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        status_view.show(Console(), found)


@app.command()
def halt(
    reason: Annotated[str, typer.Option(help="Why; people will read it.")] = "halted from the command line",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Stop every new order of the book at once. Works with Redis dead; survives restarts."""
    told = _run(control.halt(_common(config), reason))
    console.print(
        "[bold red]HALTED[/bold red]" + ("" if told else ": senders obey; Redis is away, the gateway tells it when back")
    )


@app.command()
def resume(
    token_file: Annotated[Path, typer.Option(help="File with the gateway's token.", envvar="BARQUE_TOKEN_FILE")],
    reason: Annotated[str, typer.Option(help="Why; people will read it.")] = "resumed from the command line",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Lift a halt. Needs the token of the gateway."""
    raw = read_file(config, os.environ)
    told = _run(control.resume(load_common(raw), raw, token_file, reason))
    console.print("[bold green]RESUMED[/bold green]" + ("" if told else ": orders flow when Redis is back"))


@app.command()
def replay(
    node: Annotated[str, typer.Option(help="barbuilder, router, strategy.<id>")],
    config: ConfigOption = DEFAULT_CONFIG,
    recording: Annotated[Path | None, typer.Option(help="A file of `barque record`; the live streams if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a node again over the recorded period and compare every byte that it says."""
    from barque_cli import nodes

    raw = read_file(config, os.environ)
    common = load_common(raw)
    subject = nodes.make(node, raw)

    async def work() -> Any:
        if recording is not None:
            source: Source = RecordedSource(recording)
            return await replay_node(source, subject, common.book.lockstep)
        bus = await RedisBus.connect(common.redis, common.book.name)
        try:
            return await replay_node(LiveSource(bus), subject, common.book.lockstep)
        finally:
            await bus.close()

    report = _run(work())
    if as_json:
        print(json.dumps({name: getattr(report, name) for name in report.__slots__} | {"identical": report.identical}, indent=2))
    else:
        for altered in report.altered_inputs:
            console.print(f"[red]input changed since it was written:[/red] {altered}")
        verdict = (
            "[green]identical[/green]" if report.identical else f"[red]differs[/red]: {report.difference or 'inputs changed'}"
        )
        console.print(
            f"{node}: {report.commits:,} commits, {report.messages_in:,} messages in, {report.entries_out:,} entries "
            f"({report.bytes_out:,} bytes) out: {verdict}"
        )
    raise typer.Exit(0 if report.identical else 1)


@app.command()
def record(
    out: Annotated[Path, typer.Option(help="File to write.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Save all streams and journals of the book to one file, for audit and replay."""
    common = _common(config)

    async def work() -> Any:
        bus = await RedisBus.connect(common.redis, common.book.name)
        try:
            return await record_book(bus, out)
        finally:
            await bus.close()

    counts = _run(work())
    console.print(f"{out}: " + ", ".join(f"{count:,} {topic}" for topic, count in counts.items() if count))


@app.command()
def migrate(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database schema up to date."""
    common = _common(config)

    async def work() -> list[str]:
        connection = await connect_one(common.postgres)
        try:
            return await run_migrations(connection)
        finally:
            await connection.close()

    ran = _run(work())
    console.print("\n".join(f"ran {name}" for name in ran) or "up to date")


@app.command()
def seed(
    config: ConfigOption = DEFAULT_CONFIG,
    new_lineage: Annotated[bool, typer.Option("--new-lineage", help="Begin the book's history anew.")] = False,
) -> None:
    """Begin the book in both stores, and write its instruments and strategies to the database."""
    common = _common(config)

    async def work() -> str:
        connection = await connect_one(common.postgres)
        bus = await RedisBus.connect(common.redis, common.book.name)
        try:
            return await seed_book(connection, bus, common, new_lineage)
        finally:
            await bus.close()
            await connection.close()

    console.print(f"book '{common.book.name}' has lineage {_run(work())}")


@app.command()
def doctor(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check everything that the book needs, and say what to do where something is missing."""
    from barque_cli import checks

    findings = _run(checks.run(config))
    if as_json:
        print(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        table = Table(box=None, show_header=False, padding=(0, 2))
        for finding in findings:
            table.add_row("[green]ok[/green]" if finding.ok else "[red]no[/red]", finding.name, finding.text)
        Console().print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@config_app.command("check")
def config_check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Print the effective configuration, secrets masked, or say what is wrong with it."""
    from barque_cli import checks

    effective = checks.effective(config, os.environ)
    if as_json:
        print(json.dumps(effective, indent=2, default=str))
    else:
        Console().print_json(json.dumps(effective, default=str))


@config_app.command("init")
def config_init(out: Annotated[Path, typer.Argument(help="File to write.")] = DEFAULT_CONFIG) -> None:
    """Write a configuration to begin with: the demo's."""
    if out.exists():
        raise ConfigError(f"{out} exists; move it away or choose another name")
    from barque_cli import demo_run

    out.write_text(demo_run.TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    console.print(f"wrote {out}; see `barque config check`, then `barque up --embedded`")


if __name__ == "__main__":
    entry_point()
