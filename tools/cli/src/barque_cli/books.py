"""`barque books`: the tables of the books against what they follow from, and cash that comes and goes without a trade."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import asyncpg
import typer
from msgspec.structs import replace
from rich.console import Console

from barque.config import CommonConfig, load_common, load_section, read_file
from barque.errors import ConfigError, nearest
from barque.messages import AdjustCash, CashKind
from barque.postgres.pool import connect_one, postgres_errors
from barque_cli import control

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


@app.command()
def post(
    account: Annotated[str, typer.Option(help="As in [[portfolio.accounts]].")],
    kind: Annotated[str, typer.Option(help=", ".join(get_args(CashKind)) + ".")],
    amount: Annotated[str, typer.Option(help="By what cash changes; negative: it goes out.")],
    currency: Annotated[str, typer.Option(help="Of the amount: USD.")],
    reference: Annotated[str, typer.Option(help="The broker's; a second one of the same reference is the same.")],
    token_file: Annotated[Path, typer.Option(help="File with the gateway's token.", envvar="BARQUE_TOKEN_FILE")],
    at: Annotated[str, typer.Option(help="When it happened, ISO 8601; now if not given.")] = "",
    reason: Annotated[str, typer.Option(help="Why; people will read it.")] = "from the command line",
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the books.")] = 20.0,
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", envvar="BARQUE_CONFIG")] = Path(
        "barque.toml"
    ),
) -> None:
    """Book cash that came or went without a trade: a deposit, interest, what a broker charged. Exit code 1 where it is not booked
    in time; the portfolio then books it when it runs."""
    raw = read_file(config, os.environ)
    control.authorise(raw, token_file, "nothing was booked")
    common = load_common(raw)
    fields: dict[str, Any] = {"account": account, "kind": kind, "currency": currency, "reference": reference}
    fields |= {"amount": _amount(amount), "at_ns": _ns(at)}
    _require_sound(raw, fields)
    console = Console(stderr=True, highlight=False)
    if asyncio.run(_post(common, reason, fields, wait_s)):
        console.print(f"booked: {kind} {reference} of {amount} {currency} on account {account}", markup=False)
    else:
        console.print(f"told, but not booked within {wait_s:g} s. Does the portfolio run? See `barque status` and the alerts")
        raise typer.Exit(1)


async def _post(common: CommonConfig, reason: str, fields: dict[str, Any], wait_s: float) -> bool:
    """Command it, and wait for the row; False where there is none in time."""
    where = (common.book.name, fields["account"], fields["reference"])
    connection = await connect_one(common.postgres)
    try:
        async with postgres_errors(common.postgres):
            known = await connection.fetchrow(_POSTED, *where)
            if known is not None:
                _require_same(known, fields)
                return True
            await control.tell(common, AdjustCash, reason, **fields)
            deadline = time.monotonic() + wait_s
            while (known := await connection.fetchrow(_POSTED, *where)) is None:
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(0.1)
            _require_same(known, fields)
            return True
    finally:
        await connection.close()


_POSTED = """
SELECT kind, currency, amount FROM cash_adjustments JOIN books USING (book, lineage)
WHERE book = $1 AND account = $2 AND reference = $3
"""


def _require_same(known: asyncpg.Record, fields: dict[str, Any]) -> None:
    if any(known[name] != fields[name] for name in ("kind", "currency", "amount")):
        raise ConfigError(
            f"reference '{fields['reference']}' is in the books as {known['kind']} of {known['amount']} {known['currency']}; "
            "give another reference"
        )


def _require_sound(raw: dict[str, Any], fields: dict[str, Any]) -> None:
    from portfolio.config import PortfolioConfig
    from portfolio.core.adjustments import adjustment_of, fault_of

    kinds: list[str] = list(get_args(CashKind))
    if fields["kind"] not in kinds:
        raise ConfigError(f"there is no kind '{fields['kind']}'; {nearest(fields['kind'], kinds)}")
    accounts = [account.name for account in load_section(raw, "portfolio", PortfolioConfig).accounts]
    if fields["account"] not in accounts:
        raise ConfigError(f"there is no account '{fields['account']}'; {nearest(fields['account'], accounts)}")
    fault = fault_of(adjustment_of(AdjustCash(command_id="", ts_event_ns=0, actor="", **fields)))
    if fault:
        raise ConfigError(fault)


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"--amount '{text}' is no number") from None


def _ns(text: str) -> int:
    """A time as given; 0 where there is none."""
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--at '{text}' is no time; write 2026-11-30T14:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000


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
    if checked.equity_since_ns:
        since = datetime.fromtimestamp(checked.equity_since_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        console.print(f"equity: valuations of before {since} UTC have been retired; peaks are compared from there on")
    if checked.differences:
        done = "put right; start the portfolio" if write else "nothing was changed; stop the portfolio and run it with --write"
        console.print(f"{len(checked.differences):,} differences: {done}")
