"""From a tick to its order and its fill, through the running services, at a steady rate of ticks.

In:   envelopes' publication times, and when a reader outside saw orders and fills.   Out: percentiles, end to end and hop by hop.
Not:  ticks that closed no bar; bars that the clock closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from barque.bus.redis_bus import RedisBus
from barque.bus.step import Position
from barque.messages import Bar, Fill, Message, Quote, Signal, SubmitOrder, Topic
from barque_cli.system import System
from benchmarks.books import live_book, running_book
from benchmarks.figures import NS_PER_MS, Bench, Budget, Result, Table, percentile

TICKS_PER_S = 1_000
WARM_UP_S = 5
P50_MS, P99_MS = 2.0, 10.0
HOPS: Sequence[tuple[str, str, str]] = (
    ("tick event", "tick", "feed: event → published"),
    ("tick", "bar", "bar builder: tick published → bar published"),
    ("bar", "signal", "strategy: bar published → signal published"),
    ("signal", "order", "router: signal published → order published"),
    ("order", "order seen", "order published → a reader has it (commit and delivery)"),
    ("order", "fill", "sender: order published → fill published (Postgres transaction)"),
    ("fill", "fill seen", "fill published → a reader has it"),
)
PATHS: Sequence[tuple[str, str, str]] = (
    ("tick", "order seen", "tick published → order committed and seen by a reader"),
    ("tick", "order", "tick published → order published"),
    ("tick", "fill", "tick published → fill published"),
    ("tick event", "order seen", "tick's event time → order committed and seen by a reader"),
    ("tick event", "fill", "tick's event time → fill published"),
)


@dataclass(slots=True)
class Trail:
    """What became of one tick: when each thing happened, ns."""

    at: dict[str, int] = field(default_factory=dict)

    def ms(self, begin: str, end: str) -> float | None:
        """How long from one to the other; None where one is missing."""
        if begin not in self.at or end not in self.at:
            return None
        return (self.at[end] - self.at[begin]) / NS_PER_MS


@dataclass(slots=True)
class Watched:
    """What the run left behind."""

    trails: list[Trail]
    seconds: float
    ticks: int
    memory: dict[str, tuple[float, float]]
    """RSS in MiB, after warming up and at the end."""
    cpu: dict[str, float]
    """Share of one core."""


def measure(bench: Bench) -> Result:
    """Run the book, read its streams."""
    bench.say("latency: starting the services")
    with running_book(live_book(TICKS_PER_S), bench.folder) as system:
        system.wait_ready()
        bench.say("latency: measuring")
        watched = asyncio.run(watch(system, WARM_UP_S, bench.size(60, 15)))
    return _result(watched)


async def watch(system: System, warm_up_s: float, seconds: float) -> Watched:
    """Look on for `seconds` after `warm_up_s`."""
    bus, reader = system.bus(), system.bus()
    seen: dict[tuple[Topic, str], int] = {}
    stop = asyncio.Event()
    try:
        await asyncio.sleep(warm_up_s)
        looking = asyncio.create_task(_look_on(reader, seen, stop))
        processes = _processes(system)
        before = {name: (p.memory_info().rss, sum(p.cpu_times()[:2])) for name, p in processes.items()}
        began_ns, began = time.time_ns(), time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - began
        after = {name: (p.memory_info().rss, sum(p.cpu_times()[:2])) for name, p in processes.items()}
        await asyncio.sleep(0.5)
        stop.set()
        await looking
        trails, ticks = await _trails(bus, began_ns, began_ns + int(elapsed * 1e9), seen)
    finally:
        await reader.close()
        await bus.close()
    return Watched(
        trails,
        elapsed,
        ticks,
        {name: (before[name][0] / 2**20, after[name][0] / 2**20) for name in processes},
        {name: (after[name][1] - before[name][1]) / elapsed for name in processes},
    )


async def _look_on(bus: RedisBus, seen: dict[tuple[Topic, str], int], stop: asyncio.Event) -> None:
    """Note when entries of `orders` and `fills` reach a reader of their own."""
    positions = {}
    for topic in (Topic.ORDERS, Topic.FILLS):
        last = await bus.last(topic, 1)
        positions[topic] = Position(last[0].entry_id if last else "0-0")
    while not stop.is_set():
        reply = await bus.wait(bus.wait_to_read(positions, 1_000, 200))
        now_ns = time.time_ns()
        for entry in bus.entries(reply):
            seen[entry.topic, entry.entry_id] = now_ns
            positions[entry.topic] = Position(entry.entry_id)


async def _trails(bus: RedisBus, begin_ns: int, end_ns: int, seen: Mapping[tuple[Topic, str], int]) -> tuple[list[Trail], int]:
    """The trail of each tick that led to an order and fell into the time watched, and how many ticks there were."""
    trails: dict[str, Trail] = {}
    count = 0
    bars: dict[str, int] = {}
    for topic in (Topic.BARS, Topic.SIGNALS, Topic.ORDERS, Topic.FILLS):
        async for published_ns, entry_id, message in all_messages(bus, topic):
            root = getattr(message, "root", "")
            match message:
                case Bar() if root:
                    bars[root] = published_ns
                case Signal() if root in bars:
                    trails[root] = Trail({"bar": bars[root], "signal": published_ns})
                case SubmitOrder() if root in trails:
                    trails[root].at["order"] = published_ns
                    if (topic, entry_id) in seen:
                        trails[root].at["order seen"] = seen[topic, entry_id]
                case Fill() if root in trails:
                    trails[root].at["fill"] = published_ns
                    if (topic, entry_id) in seen:
                        trails[root].at["fill seen"] = seen[topic, entry_id]
    found = []
    async for published_ns, _, message in all_messages(bus, Topic.TICKS):
        if isinstance(message, Quote) and begin_ns <= message.ts_event_ns < end_ns:
            count += 1
            trail = trails.get(message.id)
            if trail is not None:
                trail.at |= {"tick event": message.ts_event_ns, "tick": published_ns}
                found.append(trail)
    return found, count


async def all_messages(bus: RedisBus, topic: Topic) -> AsyncIterator[tuple[int, str, Message]]:
    """Each message of a topic with its entry's publication time and id."""
    after = "-"
    while page := await bus.range(topic, after, count=2_000):
        after = page[-1].entry_id
        for entry in page:
            published_ns = entry.header().ts_pub_ns
            for message in entry.messages():
                yield published_ns, entry.entry_id, message


def _processes(system: System) -> dict[str, psutil.Process]:
    pids = {child.name: child.process.pid for child in system.supervisor.children if child.process is not None}
    if system.valkey is not None:
        pids["valkey"] = system.valkey.process.pid
    return {name: psutil.Process(pid) for name, pid in pids.items()}


def rows_of(trails: Sequence[Trail], pairs: Sequence[tuple[str, str, str]]) -> list[tuple[str, ...]]:
    """Percentiles per pair of moments."""
    rows = []
    for begin, end, label in pairs:
        values = [ms for trail in trails if (ms := trail.ms(begin, end)) is not None]
        if values:
            shares = (0.5, 0.9, 0.99, 1.0)
            rows.append((label, f"{len(values):,}", *(f"{percentile(values, share):.2f}" for share in shares)))
    return rows


def _result(watched: Watched) -> Result:
    columns = ("", "samples", "p50 ms", "p90 ms", "p99 ms", "max ms")
    values = [ms for trail in watched.trails if (ms := trail.ms("tick", "order seen")) is not None]
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    holds = _slowest_hops(watched.trails)
    what = f"tick → bar → signal → order committed at {TICKS_PER_S:,} ticks/s"
    budgets = [
        Budget(f"{what}, p50", f"< {P50_MS:g} ms", f"{p50:.2f} ms", p50 < P50_MS, holds),
        Budget(f"{what}, p99", f"< {P99_MS:g} ms", f"{p99:.2f} ms", p99 < P99_MS, holds),
    ]
    processes = [
        (name, f"{100 * watched.cpu[name]:.0f} %", f"{begin:.1f}", f"{end:.1f}", f"{end - begin:+.1f}")
        for name, (begin, end) in watched.memory.items()
    ]
    tables = [
        Table("Tick to order and fill", columns, rows_of(watched.trails, PATHS)),
        Table("Hop by hop", columns, rows_of(watched.trails, HOPS)),
        Table("Processes", ("", "of one core", "RSS at start, MiB", "at end", "growth"), processes),
    ]
    about = (
        f"Every service a process of its own, {watched.ticks / watched.seconds:,.0f} ticks/s over four symbols for "
        f"{watched.seconds:.0f} s after {WARM_UP_S} s; one strategy per symbol turns its position around at every 1 s bar. All "
        "bars of a second end at the same instant, so each second is a small burst. Only what a tick began is counted."
    )
    return Result("latency", about, tables, budgets)


def _slowest_hops(trails: Sequence[Trail]) -> str:
    """The largest hops of the path of the budget, by their median and their 99th percentile."""
    found = []
    for begin, end, label in HOPS[1:5]:
        values = [ms for trail in trails if (ms := trail.ms(begin, end)) is not None]
        found.append((percentile(values, 0.5), percentile(values, 0.99), label.partition(":")[0]))
    found.sort(reverse=True)
    return "hops p50/p99: " + ", ".join(f"{label} {p50:.2f}/{p99:.2f} ms" for p50, p99, label in found)
