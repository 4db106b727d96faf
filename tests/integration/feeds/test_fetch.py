"""`barque data fetch` from both simulators: what is in the archive is what the broker has, however often it was broken off."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from barque_archive.archive import Archive
from barque_archive.columns import BarColumns, QuoteColumns, concat
from barque_archive.series import Series
from barque_cli.data import app
from simulators.mt5 import Mt5Simulator
from simulators.tws import TwsSimulator
from tests.support.data import data_file

NS = 10**9
INSTRUMENT = """
[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00001"
quantity_step = "0.01"
"""


def last_tuesday() -> datetime:
    """Noon UTC of a Tuesday that is over, when currencies trade."""
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    return now - timedelta(days=(now.weekday() - 1) % 7)


async def fetch(folder: Path, source: str, *arguments: str) -> Result:
    """The command, on a thread and a loop of its own, while a simulator runs on this one."""
    paths = ["--config", str(folder / "barque.toml"), "--archive", str(folder / "archive"), "--json"]
    words = ["fetch", "--symbol", "EURUSD", "--source", source, *arguments, *paths]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


def said(done: Result) -> dict[str, int]:
    if done.exception is not None:
        raise done.exception
    found: dict[str, int] = json.loads(done.stdout)
    return found


def bars_in(folder: Path) -> BarColumns:
    columns = concat(list(Archive(folder / "archive").read(Series("EURUSD", "bars", "1m", "bid"))))
    assert isinstance(columns, BarColumns)
    return columns


async def test_bars_of_interactive_brokers_are_all_there_after_a_fetch_that_was_broken_off(tmp_path: Path) -> None:
    start = last_tuesday() - timedelta(days=14)
    end = start + timedelta(days=4)
    span = ("--from", f"{start:%Y-%m-%dT%H:%M}", "--to", f"{end:%Y-%m-%dT%H:%M}")
    async with TwsSimulator() as tws:
        (tmp_path / "barque.toml").write_text(f"[ibkr]\nport = {tws.port}\nreconnect_min_s = 0.05\n{INSTRUMENT}")
        tws.script.on("reqHistoricalData", n=3).error(162, "Historical Market Data Service error message:invalid step")
        broken = await fetch(tmp_path, "ibkr", *span)
        assert "invalid step" in str(broken.exception)
        second = said(await fetch(tmp_path, "ibkr", *span))
        asked = len(tws.transcript.named("reqHistoricalData", "in"))
        third = said(await fetch(tmp_path, "ibkr", *span))
        assert (third["rows"], third["pieces"], third["skipped"]) == (0, 0, second["pieces"] + second["skipped"])
        assert len(tws.transcript.named("reqHistoricalData", "in")) == asked, "nothing is asked for again"
        lane = tws.market.named("EURUSD")
        first_s, end_s = int(start.timestamp()), int(end.timestamp())
        truth = tws.bars.past.bars(lane, "BID", 60, first_s, end_s)
    assert second["rows"] > 0 and second["skipped"] > 0
    bars = bars_in(tmp_path)
    assert len(bars) == len(truth) > 3_000
    assert bars.ts_open_ns.tolist() == [bar.start_s * NS for bar in truth]
    assert bars.close.tolist() == [bar.close for bar in truth]


@pytest.fixture
def terminal() -> Iterator[Mt5Simulator]:
    with Mt5Simulator(["EURUSD"]) as sim:
        yield sim


async def test_ticks_of_metatrader_are_those_that_it_keeps(tmp_path: Path, terminal: Mt5Simulator) -> None:
    """The recorded day of 1 May 2014, tick by tick, and the bars that the terminal makes of it."""
    with gzip.open(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    times = np.array([round(datetime.fromisoformat(r["timestamp"]).timestamp() * 1_000) * 10**6 for r in rows], np.int64)
    bids, asks = ([float(row[side]) for row in rows] for side in ("bid", "ask"))
    terminal.load("EURUSD", times, bids, asks)
    (tmp_path / "barque.toml").write_text(f"[mt5]\nport = {terminal.port}\nclock_wait_s = 0.0\n{INSTRUMENT}")
    day = ("--from", "2014-05-01", "--to", "2014-05-02")
    assert said(await fetch(tmp_path, "mt5", "--kind", "quotes", *day))["rows"] == len(rows)
    assert said(await fetch(tmp_path, "mt5", "--kind", "quotes", *day))["skipped"] == 1
    quotes = concat(list(Archive(tmp_path / "archive").read(Series("EURUSD", "quotes"))))
    assert isinstance(quotes, QuoteColumns)
    assert quotes.ts_event_ns.tolist() == sorted(times.tolist())
    assert (quotes.bid.tolist(), quotes.ask.tolist()) == (bids, asks)
    assert said(await fetch(tmp_path, "mt5", *day))["rows"] == 1_363, "as many minutes as the vendor has"


async def test_what_cannot_be_fetched_is_said(tmp_path: Path, terminal: Mt5Simulator) -> None:
    (tmp_path / "barque.toml").write_text(f"[mt5]\nport = {terminal.port}\nclock_wait_s = 0.0\n{INSTRUMENT}")
    for arguments, says in (
        (("mt5", "--from", "2014-05-01", "--price", "ask"), "Of ask fetch quotes"),
        (("mt5", "--from", "2014-05-01", "--interval", "7m"), "no bars of 7m"),
        (("mt4", "--from", "2014-05-01"), "did you mean 'mt5'"),
        (("mt5", "--from", "2114-05-01"), "a time in the past is needed"),
        (("mt5", "--from", "2014-05-01", "--interval", "tick:100"), "brokers have bars of time"),
    ):
        done = await fetch(tmp_path, *arguments)
        assert says in str(done.exception), done.output
