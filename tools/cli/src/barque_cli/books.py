"""`barque books`: the tables of the books against the fills that they follow from."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace
from rich.console import Console

from barque.config import load_common, load_section, read_file
from barque.errors import ConfigError
from barque.postgres.pool import connect_one, postgres_errors

if TYPE_CHECKING:
    from portfolio.shell.rebuild import Checked

app = typer.Typer(help="The books in Postgres.", no_args_is_help=True)
PATIENCE_S = 900.0
"""A long history takes longer to compare than a service may wait for Postgres."""
SHOWN = 20
"""Differences that are printed, of each table."""


@app.callback()
def books() -> None:
    """The books in Postgres."""


@app.command()
def rebuild(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", envvar="BARQUE_CONFIG")] = Path(
        "barque.toml"
    ),
    check: Annotated[bool, typer.Option("--check", help="Compare and change nothing; what is done without options.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put right what differs; the portfolio must not run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Work out every table of the books from the fills, and compare. Exit code 1 where something differs and stays so."""
    if check and write:
        raise ConfigError("options --check and --write exclude one another; --write compares first")
    checked = asyncio.run(_rebuild(config, write))
    if as_json:
        print(json.dumps(asdict(checked), indent=2))
    else:
        _show(checked, write)
    raise typer.Exit(1 if checked.differences and not write else 0)


async def _rebuild(config: Path, write: bool) -> Checked:
    from portfolio.config import PortfolioConfig
    from portfolio.shell.rebuild import Rebuild

    raw = read_file(config, os.environ)
    common = load_common(raw)
    patient = replace(common.postgres, timeout_s=PATIENCE_S)
    connection = await connect_one(patient)
    try:
        async with postgres_errors(patient):
            work = Rebuild(connection, common, load_section(raw, "portfolio", PortfolioConfig))
            return await (work.write() if write else work.check())
    finally:
        await connection.close()


def _show(checked: Checked, write: bool) -> None:
    console = Console(highlight=False)
    for table, count in checked.rows.items():
        off = [each for each in checked.differences if each.table == table]
        verdict = f"[red]{len(off):,} differ[/red]" if off else "[green]equal[/green]"
        console.print(f"{table}: {count:,} rows: {verdict}")
    shown: dict[str, int] = {}
    for difference in checked.differences:
        shown[difference.table] = shown.get(difference.table, 0) + 1
        if shown[difference.table] <= SHOWN:
            console.print(f"  {difference}", markup=False)
    if checked.differences:
        done = "put right; start the portfolio" if write else "nothing was changed; stop the portfolio and run it with --write"
        console.print(f"{len(checked.differences):,} differences: {done}")
