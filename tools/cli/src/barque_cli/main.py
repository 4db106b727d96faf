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

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barque import limits
from barque.bus.redis_bus import RedisBus
from barque.bus.replay import LiveSource, RecordedSource, Source
from barque.bus.replay import record as record_book
from barque.bus.replay import replay as replay_node
from barque.config import CommonConfig, load_common, read_file
from barque.errors import BarqueError, ConfigError, nearest
from barque.messages import Flatten, SetLimit, StartStrategy, StopStrategy
from barque.messages.market import PriceType
from barque.postgres.migrate import migrate as run_migrations
from barque.postgres.pool import connect_one
from barque.postgres.seed import seed as seed_book
from barque_cli import books, control, data, simulate

app = typer.Typer(
    name="barque",
    help="Run, watch and stop a Barque book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="The configuration file.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(books.app, name="books")
app.add_typer(simulate.app, name="simulate")
strategy_app = typer.Typer(help="Stop and start one strategy.", no_args_is_help=True)
app.add_typer(strategy_app, name="strategy")
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
        console.print(f"[red]barque:[/red] {escape(str(error))}", soft_wrap=True, markup=True)
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
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No live summary.")] = False,
    as_json: JsonOption = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The page's port; 0: any free one.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where data and logs go; what an earlier demo left there is removed.")] = Path(
        ".barque/demo"
    ),
    broker: Annotated[str, typer.Option(help="paper, ibkr-simulator or mt5-simulator.")] = "paper",
) -> None:
    """Bring up the whole system on this machine, on embedded servers, with a seeded market or at a broker's simulator."""
    from barque_cli import demo_run

    result = demo_run.run(console, seconds, live=not headless, port=port, folder=folder.resolve(), broker=broker)
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
    source: Annotated[Path, typer.Argument(help="A file of quotes, trades or bars: CSV or Parquet, plain or gzip.")],
    symbol: Annotated[str, typer.Option(help="Its symbol.")],
    interval: Annotated[str, typer.Option(help="1s … 1w, tick:100, volume:5000, value:1000000, range:10, renko:10.")] = "1m",
    price: Annotated[str, typer.Option(help="bid, ask, mid or last.")] = "bid",
    out: Annotated[Path | None, typer.Option(help="CSV to write; standard output if not given.")] = None,
    fill_gaps: Annotated[bool, typer.Option("--fill-gaps", help="Flat bars for gaps of up to 2 minutes.")] = False,
    made_of: Annotated[str, typer.Option("--from", help="The interval of the bars that the file holds.")] = "ticks",
    anchor: Annotated[str, typer.Option(help="Of time bars: utc, session, or a time zone.")] = "utc",
    calendar: Annotated[str, typer.Option(help="Of sessions: XNYS, FX …")] = "",
    tick_size: Annotated[str, typer.Option(help="Of range and renko bars.")] = "",
    multiplier: Annotated[str, typer.Option(help="Of value bars: units per contract.")] = "1",
) -> None:
    """Build bars of any kind from a recorded file, exactly as the running system would."""
    from barque_cli.bars import Wanted, write_bars

    wanted = Wanted(symbol, interval, _price_type(price), fill_gaps, made_of, anchor, calendar, tick_size, multiplier)
    count = write_bars(source, wanted, out)
    console.print(f"{count} bars")


@app.command()
def strategies(
    names: Annotated[list[str] | None, typer.Argument(help="Installed names, or module:Class; all installed if none.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What strategies there are, and their parameters with type, default and meaning."""
    from barque_cli import strategies as listing

    found = listing.describe(names or ())
    if as_json:
        print(json.dumps([each.as_json() for each in found], indent=2))
    else:
        listing.show(Console(), found)


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
def why(
    name: Annotated[str, typer.Argument(help="An execution's, an order's or a signal's id.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Why did it trade? From a fill back to the order, the checks it passed, the signal, the bar and the ticks, with times."""
    from barque_cli import story_view

    story = _run(story_view.tell(read_file(config, os.environ), name))
    if as_json:
        print(json.dumps(msgspec.to_builtins(story), indent=2, default=str))
    else:
        story_view.show(Console(), story)


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


TokenOption = Annotated[Path, typer.Option("--token-file", help="File with the gateway's token.", envvar="BARQUE_TOKEN_FILE")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; people will read it.")]


def _tell(config: Path, token_file: Path | None, kind: type[Any], reason: str, **fields: str) -> None:
    raw = read_file(config, os.environ)
    if token_file is not None:
        control.authorise(raw, token_file, "nothing was changed")
    _run(control.tell(load_common(raw), kind, reason, **fields))
    console.print("told; see `barque status` and the alerts for what comes of it")


@app.command()
def flatten(
    token_file: TokenOption, reason: ReasonOption = "from the command line", config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Cancel every order and close every position. While the book is halted orders are only cancelled."""
    _tell(config, token_file, Flatten, reason)


@strategy_app.command("stop")
def strategy_stop(
    strategy_id: Annotated[str, typer.Argument(help="As in [[strategies]].")],
    reason: ReasonOption = "from the command line",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let a strategy open nothing more; what it holds it may close."""
    _common_strategy(config, strategy_id)
    _tell(config, None, StopStrategy, reason, strategy_id=strategy_id)


@strategy_app.command("start")
def strategy_start(
    strategy_id: Annotated[str, typer.Argument(help="As in [[strategies]].")],
    token_file: TokenOption,
    reason: ReasonOption = "from the command line",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let a strategy trade again, and reset what has tripped for it."""
    _common_strategy(config, strategy_id)
    _tell(config, token_file, StartStrategy, reason, strategy_id=strategy_id)


@app.command("limit")
def set_limit(
    name: Annotated[str, typer.Argument(help="As in [router.limits]: max_position …")],
    value: Annotated[str, typer.Argument(help="A number; or the word none, which takes it away.")],
    token_file: TokenOption,
    symbol: Annotated[str, typer.Option(help="Only for this symbol.")] = "",
    strategy: Annotated[str, typer.Option(help="Only for this strategy.")] = "",
    reason: ReasonOption = "from the command line",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Change a risk limit at once; it stays until it is changed again."""
    common = _common(config)
    known = [each.symbol for each in common.instruments], [each.id for each in common.strategies]
    if fault := limits.fault_of(name, value, symbol, strategy, *known):
        raise ConfigError(f"nothing was changed: {fault}")
    _tell(config, token_file, SetLimit, reason, limit=name, value=value, symbol=symbol, strategy_id=strategy)


def _common_strategy(config: Path, strategy_id: str) -> None:
    known = [strategy.id for strategy in _common(config).strategies]
    if strategy_id not in known:
        raise ConfigError(f"there is no strategy '{strategy_id}'; {nearest(strategy_id, known)}")


@app.command()
def reconcile(
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the report.")] = 60.0,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Compare the broker's books with ours now. Exit code 1 where they differ, or no report came."""
    found = _run(control.reconcile(_common(config), wait_s))
    if not found:
        console.print(f"asked; no report within {wait_s:g} s. Does the sender run? See `barque status`")
        raise typer.Exit(1)
    for severity, discrepancies in found:
        console.print(severity)
        for text in discrepancies:
            console.print(f"  {escape(text)}")
        if severity != "clean":
            raise typer.Exit(1)


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
    from barque_backtest import nodes

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
        given = f" and {report.given:,} taken as given" if report.given else ""
        console.print(
            f"{node}: {report.commits:,} commits{given}, {report.messages_in:,} messages in, {report.entries_out:,} entries "
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
def backtest(
    config: Annotated[Path, typer.Argument(help="The configuration file.", envvar="BARQUE_CONFIG")] = DEFAULT_CONFIG,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="SYMBOL=FILE, SYMBOL:INTERVAL:PRICE=FILE, an archive's folder, postgres; or what is replayed."
        ),
    ] = None,
    from_: Annotated[str, typer.Option("--from", help="First time, UTC: 2014-05-01 or 2014-05-01T08:00.")] = "",
    to: Annotated[str, typer.Option("--to", help="Time to end before, UTC.")] = "",
    report: Annotated[Path | None, typer.Option(help="Folder to write: HTML report, Parquet tables, every message.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the book over recorded data in one process: the same nodes, the same order, the same result as a replay."""
    from barque_backtest.results import to_json
    from barque_cli import backtesting, result_view

    wanted = backtesting.Wanted(config=read_file(config, os.environ), data=data or (), from_utc=from_, to_utc=to, report=report)
    result = backtesting.run(console, wanted)
    if as_json:
        print(json.dumps(to_json(result), indent=2))
    else:
        result_view.show_result(Console(), result)
    raise typer.Exit(backtesting.STOPPED if result.run.facts.interrupted else 0)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="The configuration file.", envvar="BARQUE_CONFIG")] = DEFAULT_CONFIG,
    grid: Annotated[
        list[str] | None, typer.Option("--grid", help="A parameter and its values: strategies.ID.params.fast=5,10,20 or =5:20:5.")
    ] = None,
    data: Annotated[list[str] | None, typer.Option("--data", help="As of `barque backtest`.")] = None,
    from_: Annotated[str, typer.Option("--from", help="First time, UTC: 2014-05-01 or 2014-05-01T08:00.")] = "",
    to: Annotated[str, typer.Option("--to", help="Time to end before, UTC.")] = "",
    metric: Annotated[
        str, typer.Option(help="What is best: sharpe, net_profit, max_drawdown … (any figure of the report).")
    ] = "sharpe",
    walk_forward: Annotated[
        str, typer.Option("--walk-forward", help="Choose on the first length, try on the second: 30d/10d.")
    ] = "",
    processes: Annotated[int, typer.Option(help="How many at a time; 0: one per processor.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for finished runs, tables and heat map; the same again goes on there.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the book with every combination of parameters, over processes, and rank what comes out."""
    from barque_cli import sweeping

    wanted = sweeping.Sweep(
        config=read_file(config, os.environ),
        grids=grid or (),
        data=data or (),
        from_utc=from_,
        to_utc=to,
        metric=metric,
        walk_forward=walk_forward,
        processes=processes,
        folder=out,
    )
    found = sweeping.run(console, wanted)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        found.show(Console())


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A folder of `barque backtest --report`, or a file of `barque record`.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two runs message by message: signals, orders, fills. Exit code 1 where they differ."""
    from barque_backtest import compare as comparing
    from barque_cli import result_view

    found = comparing.compare(comparing.load(a), comparing.load(b))
    if as_json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        result_view.show_comparison(Console(), found)
    raise typer.Exit(0 if found.equal else 1)


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
def doctor(
    broker: Annotated[str, typer.Argument(help="ibkr, mt5: look at that broker's end instead; no order is sent.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Check everything that the book needs, and say what to do where something is missing."""
    from barque_cli import checks

    findings = _run(checks.probe(broker, config) if broker else checks.run(config))
    if as_json:
        print(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        table = Table(box=None, show_header=False, padding=(0, 2))
        for finding in findings:
            table.add_row("[green]ok[/green]" if finding.ok else "[red]no[/red]", finding.name, escape(finding.text))
        Console().print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command("new-strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by '_'.")],
    folder: Annotated[
        Path, typer.Option(help="Where its folder goes; a checkout of Barque takes it into the workspace.")
    ] = Path(),
) -> None:
    """Write a strategy package that works, with its test, to begin from."""
    from barque_cli import new_strategy as skeleton

    for path in skeleton.write(name, folder.resolve()):
        console.print(f"wrote {path}")


@config_app.command("check")
def config_check(
    file: Annotated[Path | None, typer.Argument(help="The configuration file; as --config.", show_default=False)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Print the effective configuration, secrets masked, or say what is wrong with it."""
    from barque_cli import checks

    effective = checks.effective(file or config, os.environ)
    if as_json:
        print(json.dumps(effective, indent=2, default=str))
    else:
        Console().print_json(json.dumps(effective, default=str))


@config_app.command("import-contracts")
def import_contracts(
    contracts: Annotated[Path, typer.Argument(help='JSON: {"USDJPY": {"lot": 100000, "pip": 0.01, "currency": "JPY"}}.')],
    into: Annotated[
        Path | None, typer.Option("--into", help="A configuration to add them to; standard output if not given.")
    ] = None,
) -> None:
    """Turn an older system's contracts file into [[instruments]]. Symbols that the configuration has stay as they are."""
    from barque_cli import contracts as importing

    found = importing.read(contracts)
    if into is None:
        print(importing.to_toml(found.instruments), end="")
    else:
        new = importing.append(into, found.instruments, os.environ)
        there = len(found.instruments) - len(new)
        console.print(f"{into}: {len(new)} added, {there} there already; see `barque config check`", soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


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
