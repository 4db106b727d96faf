"""A recording in lockstep through the running services, and the same one through a single process."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

from barque.bus.memory import MemoryRunner
from barque.config import read_file
from barque.instruments import Instrument
from barque.messages import ClockTicked, Topic
from barque_backtest import nodes
from barque_cli.system import System
from benchmarks.books import lockstep_book, running_book
from benchmarks.figures import Bench, Result, Table
from benchmarks.workload import T0
from feed_replay.shell.files import merge, open_source
from simulators.market import Market

ROUNDS = 5
LIMIT_S = 120.0


def measure(bench: Bench) -> Result:
    """Steps per second; a step is one instant of the recording."""
    count = bench.size(2_000, 300)
    recording = bench.folder / "ticks.csv"
    _record(recording, count)
    bench.say("lockstep: starting the services")
    with running_book(lockstep_book(recording), bench.folder / "book") as system:
        bench.say("lockstep: replaying")
        seconds = _replay_s(system)
    bench.say("memory")
    alone = [_in_memory(bench.folder / "book" / "barque.toml", recording) for _ in range(ROUNDS)]
    rows = [
        ("services, in lockstep", f"{count:,}", f"{count / seconds:,.0f}"),
        ("the same nodes in one process", f"{count:,}", f"{count / median(alone):,.0f}"),
    ]
    about = (
        "Quotes of one symbol, 1 s apart on average; bars of 5 s, a strategy that trades at every bar, paper exchange, portfolio."
    )
    return Result("lockstep", about, [Table("Replay", ("", "steps", "steps/s"), rows)])


def _record(path: Path, count: int) -> None:
    instrument = Instrument(symbol="EURUSD", currency="USD", base_currency="EUR", tick_size=Decimal("0.00001"))
    market = Market(1, 1.0, {"EURUSD": 1.38}, {"EURUSD": instrument}, T0)
    quotes = market.advance(T0 + 2 * count * 1_000_000_000)[:count]
    lines = [f"{_timestamp(quote.ts_event_ns)},{quote.bid:.5f},{quote.ask:.5f}" for quote in quotes]
    path.write_text("\n".join(["timestamp,bid,ask", *lines, ""]), encoding="utf-8")


def _timestamp(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).isoformat(timespec="microseconds")


def _replay_s(system: System) -> float:
    """From the first step to the book's rest, by the feed's own log."""
    log = system.supervisor.child("feed-replay").log_path
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        at = {}
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{"):
                said = json.loads(line)
                at[said["event"]] = datetime.fromisoformat(said["timestamp"])
        if "replay_finished" in at:
            return (at["replay_finished"] - at["replay_started"]).total_seconds()
        time.sleep(0.2)
    raise TimeoutError(f"the replay did not end within {LIMIT_S:.0f} s; see {log}")


def _in_memory(config: Path, recording: Path) -> float:
    book = MemoryRunner(nodes.make_all(read_file(config, {})))
    began = time.perf_counter()
    for at_ns, messages in merge([open_source(recording, "EURUSD")]):
        book.publish("feed.replay", [(Topic.CLOCK, ClockTicked(now_ns=at_ns)), *((Topic.TICKS, m) for m in messages)])
    return time.perf_counter() - began
