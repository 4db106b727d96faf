"""From a signal to its order at a broker's socket, through the router and a sender with a wire: intent in Postgres included.

In:   envelopes' publication times, and when orders arrived at the simulated broker.   Out: percentiles.
Not:  the broker's own time, a network.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from barque.config import convert
from barque.embedded.process import free_port
from barque.instruments import Instrument
from barque.messages import Signal, SubmitOrder, Topic
from barque_cli.system import System
from barque_paper import PaperConfig
from benchmarks.books import NAMES, bars, live_book, running_book, strategies
from benchmarks.figures import NS_PER_MS, Bench, Budget, Result, Table, percentile
from benchmarks.latency import all_messages
from simulators.broker.server import SimulatedBroker

TICKS_PER_S = 1_000
WARM_UP_S = 5
P99_MS = 25.0
SPREAD = ("2s", "3s", "5s", "7s")
ACCOUNT = "SIM1"
MEMORY = Path("/dev/shm")  # noqa: S108
IN_MEMORY = "stores in memory"
Trails: TypeAlias = list[tuple[float, float]]
"""Of each order: milliseconds from its signal, and from its own publication, to the broker's socket."""


def measure(bench: Bench) -> Result:
    """Run the book with a live sender, on the disk and with its stores in memory; read its streams and the broker's arrivals."""
    seconds = bench.size(120, 20)
    trails = _both(bench, bench.folder, "", seconds)
    bench.say("broker: the disk by itself")
    disk = _disk_ms(bench.folder, bench.size(30, 5))
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(prefix="barque-bench-", dir=MEMORY) as folder:
            trails |= _both(bench, Path(folder), f", {IN_MEMORY}", seconds)
    return _result(trails, disk, seconds)


def _both(bench: Bench, folder: Path, where: str, seconds: int) -> dict[str, Trails]:
    forms = {"one by one": (SPREAD, seconds), "four at once": (("1s",) * len(NAMES), seconds * 2 // 3)}
    return {name + where: _run(bench, folder, name + where, *form) for name, form in forms.items()}


def _run(bench: Bench, folder: Path, name: str, intervals: Sequence[str], seconds: int) -> Trails:
    bench.say(f"broker, {name}: starting the services")
    port = free_port()
    folder = folder / name.replace(" ", "-").replace(",", "")
    with broker(port) as simulated, running_book(_book(port, intervals), folder) as system:
        system.wait_ready()
        bench.say(f"broker, {name}: measuring")
        time.sleep(WARM_UP_S)
        began_ns = time.time_ns()
        time.sleep(seconds)
        return asyncio.run(_trails(system, simulated, began_ns))


def _book(port: int, intervals: Sequence[str]) -> str:
    whole = live_book(TICKS_PER_S)
    for name, interval in zip(NAMES, intervals, strict=True):
        whole = whole.replace(strategies([name], "1s"), strategies([name], interval))
        whole = whole.replace(
            bars(NAMES, "1s"), bars(NAMES, "1s") + bars([name], interval) if interval != "1s" else bars(NAMES, "1s")
        )
    text = whole.replace("[router.limits]", f'[router]\naccount = "{ACCOUNT}"\n\n[router.limits]')
    text = text.replace('name = "paper"\ncurrency', f'name = "{ACCOUNT}"\ncurrency')
    limits = "max_requests_per_s = 1000\nburst = 100\n"
    return f'{text}\n[sender]\naccount = "{ACCOUNT}"\nvenue = "simulated"\n{limits}\n[simulated]\nport = {port}\n'


@contextmanager
def broker(port: int) -> Iterator[SimulatedBroker]:
    """A simulated broker in a thread of its own; its market stands still, and market orders trade at once."""
    instruments = [
        convert({"symbol": name, "currency": "USD", "base_currency": name[:3], "tick_size": "0.00001"}, Instrument, "")
        for name in NAMES
    ]
    config = convert({"account": ACCOUNT, "currency": "USD", "starting_cash": "1000000"}, PaperConfig, "paper")
    simulated = SimulatedBroker(config, instruments)
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        await simulated.start(port)
        for index, name in enumerate(NAMES):
            simulated.quote(name, 1.1 - 0.1 * index, 1.1001 - 0.1 * index)
        ready.set()
        await stop.wait()
        await simulated.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="broker")
    thread.start()
    try:
        ready.wait(10)
        yield simulated
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def _disk_ms(folder: Path, seconds: float) -> list[float]:
    """How long the disk takes to keep 8 kB, while nothing else asks it to."""
    took = []
    until = time.monotonic() + seconds
    with (folder / "disk").open("wb", buffering=0) as file:
        while time.monotonic() < until:
            file.seek(0)
            file.write(bytes(8_192))
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter_ns() - began) / NS_PER_MS)
            time.sleep(0.02)
    return took


async def _trails(system: System, simulated: SimulatedBroker, began_ns: int) -> Trails:
    """Of each order since `began_ns`: milliseconds from its signal, and from its own publication, to the broker."""
    bus = system.bus()
    try:
        signals = {m.id: at async for at, _, m in all_messages(bus, Topic.SIGNALS) if isinstance(m, Signal)}
        found = []
        async for at, _, message in all_messages(bus, Topic.ORDERS):
            if isinstance(message, SubmitOrder) and at >= began_ns and message.cause in signals:
                arrived_ns = simulated.arrived_ns.get(message.order_id)
                if arrived_ns is not None:
                    found.append(((arrived_ns - signals[message.cause]) / NS_PER_MS, (arrived_ns - at) / NS_PER_MS))
        return found
    finally:
        await bus.close()


def _result(trails: Mapping[str, Trails], disk: list[float], seconds: int) -> Result:
    columns = ("", "samples", "p50 ms", "p90 ms", "p99 ms", "max ms")
    labels = ("signal published → order at the broker's socket", "order published → order at the broker's socket")
    rows = []
    for name, found in trails.items():
        for index, label in enumerate(labels):
            values = [trail[index] for trail in found]
            figures = (f"{percentile(values, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0))
            rows.append((f"{name}: {label}", f"{len(values):,}", *figures))
    quiet = tuple(f"{percentile(disk, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0))
    rows.append(("the disk by itself: 8 kB kept (fdatasync)", f"{len(disk):,}", *quiet))
    budgets = []
    for name, found in trails.items():
        p99 = percentile([trail[0] for trail in found], 0.99)
        what = f"signal → order at the broker's socket, {name}, p99"
        holds = "several processes on each core"
        if IN_MEMORY not in name:
            holds = f"the intent is on the disk first, and this disk by itself takes {quiet[2]} ms at p99"
        budgets.append(Budget(what, f"< {P99_MS:g} ms", f"{p99:.2f} ms", p99 < P99_MS, "" if p99 < P99_MS else holds))
    about = (
        f"Every service a process of its own at {TICKS_PER_S:,} ticks/s, {seconds} s. The sender writes each order's intent "
        f"to Postgres, and keeps halts off while it writes to the socket. The simulated broker is another process. One by "
        f"one: strategies on bars of {', '.join(SPREAD)}; four at once: all on bars of 1 s, which end at the same instant. With "
        f"its stores in memory the same book shows what is left without the disk."
    )
    return Result("broker", about, [Table("Signal to the broker's socket", columns, rows)], budgets)
