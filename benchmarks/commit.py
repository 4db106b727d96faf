"""One fenced commit: 1 KB of state, positions, a journal record and one output message, over one connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from barque.bus.redis_bus import Commit, RedisBus
from barque.bus.step import Position
from barque.config import RedisConfig
from barque.embedded.valkey import EmbeddedValkey
from barque.messages import Mark, Topic
from benchmarks.figures import Bench, Result, Table, interleaved, percentile

STATE = bytes(range(256)) * 4
ROUNDS = 5
FSYNC = ("everysec", "always")


def measure(bench: Bench) -> Result:
    """Commits by themselves, and with the wait for the next batch in the same write, as the runner sends them."""
    servers = {fsync: EmbeddedValkey(bench.folder / fsync, fsync=fsync) for fsync in FSYNC}
    latencies: dict[str, list[float]] = {}
    try:
        variants: dict[str, Callable[[], Awaitable[float]]] = {}
        for fsync, server in servers.items():
            config = server.start()
            for label, waits in (("alone", False), ("with the next read", True)):
                name = f"{label}, AOF {fsync}"
                latencies[name] = []
                variants[name] = partial(_round, config, bench.size(2_000, 300), waits, latencies[name])
        bench.say("commit")
        rates = asyncio.run(interleaved(ROUNDS, variants))
    finally:
        for server in servers.values():
            server.stop()
    rows = [
        (
            name,
            f"{sorted(rates[name])[ROUNDS // 2]:,.0f}",
            f"{percentile(latencies[name], 0.5):.3f}",
            f"{percentile(latencies[name], 0.99):.3f}",
        )
        for name in variants
    ]
    table = Table("Commits, one after another", ("", "commits/s", "p50 ms", "p99 ms"), rows)
    return Result(
        "commit", "One `RedisBus.commit` after another on one connection: 1 KB of state, a journal record, one output.", [table]
    )


async def _round(config: RedisConfig, count: int, waits: bool, latencies: list[float]) -> float:
    """Commits per second of one round."""
    bus = await RedisBus.connect(config, "commit")
    try:
        await bus.call("FLUSHALL")
        await bus.call("XADD", bus.stream(Topic.TICKS), "1-1", "e", "", "m", "")
        wait = bus.wait_to_read({Topic.TICKS: Position()}, 256, 1) if waits else None
        outs: dict[str, tuple[int, bytes]] = {}
        began = time.perf_counter()
        for number in range(count):
            asked = time.perf_counter()
            commit = Commit(
                node="barbuilder",
                expected_seq=number,
                state=STATE,
                positions={Topic.TICKS: Position(f"{number + 1}-0", number), Topic.BARS: Position(f"{number + 1}-0", number)},
                outputs={Topic.MARKS: [Mark(symbol="EURUSD", ts_event_ns=number, bid=1.1, ask=1.2, last=1.1)]},
                outs=outs,
                fed=[(number + 1, {Topic.TICKS: Position(f"{number + 1}-0", number)})],
            )
            answer = await bus.commit(commit, wait)
            assert answer.verdict == "OK"
            outs = answer.outs
            latencies.append((time.perf_counter() - asked) * 1e3)
        return count / (time.perf_counter() - began)
    finally:
        await bus.close()
