"""Bars of every kind over Redis and into Postgres, in lockstep: what one process says, bar by bar."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

from barque.messages import Bar, Topic
from barque_cli.system import only
from tests.support.books import rows, running_book, said, wait_finished
from tests.support.data import data_file
from tests.support.memory_books import said_in_memory

SERVICES = only("barbuilder", "portfolio", "feed-replay")
FIELDS = (
    "symbol",
    "interval",
    "price",
    "ts_open_ns",
    "seq",
    "ts_close_ns",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "tick_count",
)
PAIRS = (("EURUSD", "USD", "EUR", ""), ("USDEUR", "EUR", "USD", "EURUSD"), ("MINUTES", "USD", "EUR", ""))


def config(ticks: Path, minutes: Path) -> str:
    """Ticks of one pair, minutes of another that has no ticks, and the inverse of the first."""
    files = "".join(
        f'\n[[feed_replay.files]]\npath = "{path}"\nsymbol = "{symbol}"\n'
        for path, symbol in ((ticks, "EURUSD"), (minutes, "MINUTES"))
    )
    instruments = "".join(
        f'\n[[instruments]]\nsymbol = "{symbol}"\ncurrency = "{currency}"\nbase_currency = "{base}"\ntick_size = "0.00001"\n'
        f'inverts = "{inverts}"\n'
        for symbol, currency, base, inverts in PAIRS
    )
    bars = "".join(
        f'\n[[barbuilder.bars]]\nsymbols = ["EURUSD", "USDEUR"]\ninterval = "{interval}"\nfrom = "{source}"\n'
        for interval, source in (("1m", ""), ("5m", "1m"), ("tick:50", ""), ("range:5", ""), ("renko:3", ""))
    )
    return f"""
[book]
name = "kinds"
clock = "feed"
lockstep = true
lineage = "replayed"
nodes = ["barbuilder", "portfolio"]

[feed_replay]
source = "files"
speed = "max"
{files}{instruments}{bars}
[[barbuilder.bars]]
symbols = ["MINUTES"]
interval = "15m"

[[barbuilder.bars]]
symbols = ["MINUTES"]
interval = "1d"
anchor = "Asia/Tokyo"
"""


def shorter(name: str, count: int, folder: Path) -> Path:
    path = folder / name.removesuffix(".gz")
    with gzip.open(data_file(name), "rt") as file:
        path.write_text("".join(islice(file, count + 1)), encoding="utf-8")
    return path


def test_what_the_services_build_is_what_one_process_builds(tmp_path: Path) -> None:
    ticks = shorter("eurusd-oanda-ticks-2014-05-01.csv.gz", 1_200, tmp_path)
    minutes = shorter("eurusd-oanda-m1-2014-05-01.csv.gz", 200, tmp_path)
    with running_book(config(ticks, minutes), tmp_path / "book", SERVICES) as system:
        wait_finished(system, 120)
        streamed = [bar for bar in said(system, Topic.BARS) if isinstance(bar, Bar)]
        names = ", ".join(f'"{name}"' for name in FIELDS)
        stored = {tuple(row) for row in rows(system, f"SELECT {names} FROM bars WHERE lineage = 'replayed'")}
    expected = [bar for bar in said_in_memory(tmp_path / "book" / "barque.toml")[Topic.BARS] if isinstance(bar, Bar)]
    assert streamed == expected
    assert stored == {tuple(getattr(bar, name) for name in FIELDS) for bar in expected}
    counts = {
        (symbol, interval): sum((bar.symbol, bar.interval) == (symbol, interval) for bar in expected)
        for symbol, interval in {(bar.symbol, bar.interval) for bar in expected}
    }
    assert counts["EURUSD", "tick:50"] == counts["USDEUR", "tick:50"] == 2 * 24
    assert counts["EURUSD", "5m"] == counts["USDEUR", "5m"] > 10
    assert counts["MINUTES", "15m"] > 20
    assert counts["EURUSD", "renko:3"] > 10
    assert any(bar.seq for bar in expected), "some opened at one instant"
