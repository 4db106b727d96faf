"""The book that is timed: a seeded market at a given rate, bars of a second, strategies that trade at every bar."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from barque_cli.composition import ServiceSpec
from barque_cli.system import System, only

SERVICES = only("barbuilder", "router", "sender-paper", "portfolio", "strategy-host", "feed-replay")
ROOT = Path(__file__).resolve().parent.parent
NAMES = ("EURUSD", "GBPUSD", "AUDUSD", "NZDUSD")


def instruments(symbols: Sequence[str] = NAMES) -> str:
    """`[[instruments]]` of currency pairs."""
    return "".join(
        f'[[instruments]]\nsymbol = "{s}"\ncurrency = "USD"\nbase_currency = "{s[:3]}"\ntick_size = "0.00001"\n\n'
        for s in symbols
    )


def strategies(symbols: Sequence[str], interval: str) -> str:
    """One strategy node per symbol, turning its position around at every bar."""
    return "".join(
        f'[[strategies]]\nid = "flip-{s.lower()}"\nstrategy = "benchmarks.strategies:Flip"\nsymbols = ["{s}"]\n'
        f'interval = "{interval}"\n\n'
        for s in symbols
    )


def bars(symbols: Sequence[str], interval: str) -> str:
    """Mid bars of every symbol."""
    quoted = ", ".join(f'"{s}"' for s in symbols)
    return f'[[barbuilder.bars]]\nsymbols = [{quoted}]\ninterval = "{interval}"\nprices = ["mid"]\n\n'


ACCOUNT = """
[paper]
slippage_fraction = "0"
commission_fraction = "0.00002"
commission_min = "0"

[router.limits]
max_position = "10"

[router.breakers.order_rate]
per_minute = 1000000

[portfolio]
equity_interval_s = {equity_s}

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "1000000"
"""


def live_book(ticks_per_s: int) -> str:
    """A market in real time, `ticks_per_s` over all its symbols."""
    prices = ", ".join(f"{symbol} = {1.1 - 0.1 * index:.2f}" for index, symbol in enumerate(NAMES))
    return f"""
[book]
name = "bench"
clock_interval_ms = 250

[feed_replay]
source = "market"

[feed_replay.market]
seed = 20140501
ticks_per_s = {ticks_per_s / len(NAMES)}
symbols = {{ {prices} }}

{instruments()}{bars(NAMES, "1s")}{strategies(NAMES, "1s")}{ACCOUNT.format(equity_s=1)}"""


def lockstep_book(recording: Path) -> str:
    """A recording of quotes in lockstep."""
    return f"""
[book]
name = "bench"
clock = "feed"
lockstep = true

[feed_replay]
source = "files"
speed = "max"

[[feed_replay.files]]
path = "{recording}"
symbol = "EURUSD"

{instruments(NAMES[:1])}{bars(NAMES[:1], "5s")}{strategies(NAMES[:1], "5s")}{ACCOUNT.format(equity_s=3600)}"""


@contextmanager
def running_book(config: str, folder: Path, services: Sequence[ServiceSpec] = SERVICES) -> Iterator[System]:
    """A book on servers of its own, every service a process, from start to an orderly end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "barque.toml"
    path.write_text(config, encoding="utf-8")
    search = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    system = System(path, folder, services, environment={"PYTHONPATH": search})
    try:
        system.start_servers()
        system.start_services()
        yield system
    finally:
        system.stop()
