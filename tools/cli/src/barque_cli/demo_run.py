"""`barque demo` and `barque up`: a whole book as processes of this machine, watched, and ended in order.

In:   a configuration (the demo brings its own).   Out: progress, the page's address, a live summary, at the end figures.
Not:  anything left behind: every process that was started is ended, by its id, on Ctrl-C, SIGTERM and errors alike.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from barque.bus.redis_bus import NodeStatus
from barque.embedded.process import free_port
from barque.errors import BarqueError, BusUnavailable
from barque.postgres.pool import connect_one, postgres_errors
from barque_cli import summary
from barque_cli.demo_brokers import PAPER, DemoBroker, broker_of, configuration, simulator
from barque_cli.own_folder import check_port, emptied, held
from barque_cli.supervisor import Child
from barque_cli.system import System

TEMPLATE = files("barque_cli").joinpath("demo.toml")
REFRESH_S = 1.0


def run(console: Console, seconds: float | None, live: bool, port: int, folder: Path, broker: str = PAPER) -> dict[str, Any]:
    """The demo; returns its figures. `broker`: `paper`, or one of `demo_brokers.BROKERS`."""
    at = None if broker == PAPER else broker_of(broker)
    check_port(port)
    with held(folder):
        emptied(folder)
        return _demo(console, seconds, live, port or free_port(), folder, at)


def _demo(console: Console, seconds: float | None, live: bool, port: int, folder: Path, at: DemoBroker | None) -> dict[str, Any]:
    broker_port = free_port()
    (folder / "logs").mkdir()
    config = folder / "barque.toml"
    text = TEMPLATE.read_text(encoding="utf-8") if at is None else configuration(at, broker_port)
    config.write_text(text, encoding="utf-8")
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    environment = {"BARQUE__GATEWAY__PORT": str(port), "BARQUE__GATEWAY__TOKEN_FILE": str(token_file)}
    system = System(config, folder, environment=environment)
    with _until_signal() as stop:
        _start(console, system, stop, [] if at is None else [simulator(at, broker_port, folder)])
        console.print(f"page: [bold]http://127.0.0.1:{port}/[/bold]   token to resume after a halt: {token_file}", soft_wrap=True)
        console.print(f"logs: {folder / 'logs'}   other terminals: . {system.environment_file}   stop: Ctrl-C", soft_wrap=True)
        try:
            return _watch(console, system, stop, seconds, live)
        finally:
            with console.status("stopping"):
                system.stop()
            console.print("stopped; nothing is left running")


def up(console: Console, config: Path, folder: Path, embedded: bool) -> None:
    """Every service of a configured book, until a signal."""
    system = System(config, folder, embedded=embedded)
    system.common()
    with held(folder), _until_signal() as stop:
        _start(console, system, stop)
        others = f"other terminals: . {system.environment_file}   " if embedded else ""
        console.print(f"running; logs: {folder / 'logs'}   {others}stop: Ctrl-C", soft_wrap=True)
        try:
            _watch(console, system, stop, None, live=console.is_terminal)
        finally:
            system.stop()
            console.print("stopped; nothing is left running")


def _start(console: Console, system: System, stop: threading.Event, before: Sequence[Child] = ()) -> None:
    """Servers, services, and until all are ready. `stop` meanwhile ends what was started, and the program with code 130."""
    began = time.monotonic()

    def go_on() -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    try:
        with console.status("starting") as spinner:

            def progress(text: str) -> None:
                go_on()
                spinner.update(text)
                console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {text}")

            for child in before:
                system.supervisor.start(child)
            system.start_servers(progress)
            system.start_services(progress)
            system.wait_ready(60.0, progress, go_on)
    except BaseException:
        system.stop()
        if not stop.is_set():
            raise
        console.print("stopped while starting; nothing is left running")
        raise SystemExit(130) from None
    console.print(f"[green]ready[/green] after {time.monotonic() - began:.1f} s")


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the handlers of before come back afterwards."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(console: Console, system: System, stop: threading.Event, seconds: float | None, live: bool) -> dict[str, Any]:
    return asyncio.run(_watch_async(console, system, stop, seconds, live))


async def _watch_async(
    console: Console, system: System, stop: threading.Event, seconds: float | None, live: bool
) -> dict[str, Any]:
    began = time.monotonic()
    figures = summary.Summary()
    bus = system.bus()
    view = Live(console=console, refresh_per_second=2, transient=True) if live else None
    try:
        if view is not None:
            view.start()
        while not stop.is_set() and (seconds is None or time.monotonic() - began < seconds):
            await asyncio.sleep(REFRESH_S if seconds is None else min(REFRESH_S, max(0.0, began + seconds - time.monotonic())))
            _raise_given_up(system)
            try:
                await figures.update(bus)
                if view is not None:
                    view.update(_table(figures, await bus.status(), system, time.monotonic() - began))
            except BusUnavailable as error:
                if view is not None:
                    view.update(f"[yellow]{error}[/yellow]")
        return await _result(figures, system, time.monotonic() - began)
    finally:
        if view is not None:
            view.stop()
        await bus.close()


def _raise_given_up(system: System) -> None:
    for child in system.supervisor.children:
        if child.given_up:
            raise BarqueError(f"{child.name} ended for good: {child.reason()} (log: {child.log_path})")


async def _result(figures: summary.Summary, system: System, seconds: float) -> dict[str, Any]:
    common = system.common()
    bus = system.bus()
    try:
        await figures.update(bus)
        connection = await connect_one(common.postgres)
        try:
            async with postgres_errors(common.postgres):
                lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", common.book.name)
                positions = await summary.positions(connection, common.book.name, lineage)
                equity = await summary.equity(connection, common.book.name, lineage)
        finally:
            await connection.close()
    finally:
        await bus.close()
    return {
        "seconds": round(seconds, 1),
        **figures.counts,
        "positions": positions,
        "equity": equity,
        "restarts": system.supervisor.restarts,
        "tick_to_fill_ms": {
            "count": len(figures.latencies_ms),
            "p50": figures.percentile_ms(0.50),
            "p99": figures.percentile_ms(0.99),
        },
    }


def _table(figures: summary.Summary, nodes: list[NodeStatus], system: System, seconds: float) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_row("[dim]running[/dim]", f"{seconds:.0f} s", "[dim]restarts[/dim]", str(system.supervisor.restarts))
    counts = [(name.replace("_", " "), f"{count:,}") for name, count in figures.counts.items()]
    for left, right in zip_longest(counts[::2], counts[1::2], fillvalue=("", "")):
        table.add_row(f"[dim]{left[0]}[/dim]", left[1], f"[dim]{right[0]}[/dim]", right[1])
    p50, p99 = figures.percentile_ms(0.50), figures.percentile_ms(0.99)
    table.add_row("[dim]tick → fill[/dim]", "–" if p50 is None else f"p50 {p50:.1f} ms   p99 {p99:.1f} ms")
    lag = sum(sum(node.lag_entries.values()) for node in nodes)
    refused = sum(sum(node.refused.values()) for node in nodes)
    table.add_row("[dim]lag[/dim]", f"{lag} entries", "[dim]refused commits[/dim]", str(refused))
    return table
