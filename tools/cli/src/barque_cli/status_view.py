"""What `barque status` shows: gathered once, as plain data; then as tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig
from barque.control import halt_state
from barque.postgres.pool import connect_one, postgres_errors
from barque_cli import summary


async def gather(common: CommonConfig) -> dict[str, Any]:
    """The book as it is now; raises `BusUnavailable` where a store is away."""
    book = common.book.name
    bus = await RedisBus.connect(common.redis, book)
    try:
        connection = await connect_one(common.postgres)
        try:
            async with postgres_errors(common.postgres):
                halt = await halt_state(connection, book)
                lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", book)
                return {
                    "book": book,
                    "lineage": lineage,
                    "clock": common.book.clock,
                    "halt": asdict(halt),
                    "nodes": [asdict(node) for node in await bus.status()],
                    "positions": await summary.positions(connection, book, lineage),
                    "equity": await summary.equity(connection, book, lineage),
                }
        finally:
            await connection.close()
    finally:
        await bus.close()


def show(console: Console, found: dict[str, Any]) -> None:
    """The same for people."""
    halt = found["halt"]
    state = f"[bold red]HALTED[/bold red] by {halt['actor']}: {halt['reason']}" if halt["halted"] else "[green]trading[/green]"
    console.print(f"book [bold]{found['book']}[/bold], lineage {found['lineage']}, clock {found['clock']}: {state}")
    nodes = Table("node", "worker", "commits", "lag", "seen", "refused", box=None)
    for node in found["nodes"]:
        lag = sum(node["lag_entries"].values())
        refused = ", ".join(f"{verdict} {count}" for verdict, count in node["refused"].items()) or "–"
        nodes.add_row(
            node["name"], node["worker"], f"{node['seq']:,}", f"{lag:,}", f"{node['last_seen_ms'] / 1000:.1f} s", refused
        )
    console.print(nodes)
    positions = Table("account", "strategy", "symbol", "quantity", "average", "realised", box=None)
    for p in found["positions"]:
        realised = f"{p['realised_pnl']} {p['currency']}"
        positions.add_row(p["account"], p["strategy_id"], p["symbol"], p["quantity"], p["average_price"], realised)
    console.print(positions if found["positions"] else "no positions")
    for account, amount in found["equity"].items():
        console.print(f"equity of {account}: [bold]{amount}[/bold]")
