"""A whole stage over Valkey: read ticks, build bars, commit what they lead to. Ours, and FastStream's subscriber.

Every variant starts on a stream that is full already and ends when its last tick has had its effect.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from statistics import median
from typing import Any

import structlog

from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import Commit, Committed, RedisBus
from barque.bus.runner import RedisRunner
from barque.config import RedisConfig
from barque.embedded.valkey import EmbeddedValkey
from barque.messages import Topic
from barque.observability.health import Health
from benchmarks.figures import Bench, Budget, Result, Table, interleaved, ratio, spread
from benchmarks.peers import faststream, framed
from benchmarks.workload import T0, bar_builder, fill_plain, fill_ticks, ticks

ROUNDS = 5
PACKS = (1_000, 256)
TIMES_FASTSTREAM = 15.0
TIMES_SINGLE = 5.0
TICKS_PER_S = 200_000


def measure(bench: Bench) -> Result:
    """Ticks per second of each variant, in turn."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return _result(asyncio.run(_rates(bench)))


async def _rates(bench: Bench) -> dict[str, list[float]]:
    server = EmbeddedValkey(bench.folder / "valkey")
    try:
        config = server.start()
        bench.say("stage: filling the streams")
        sizes = {
            **{f"ours, {pack:,} ticks an entry": (bench.size(600_000, 100_000), pack) for pack in PACKS},
            "ours, one tick an entry": (bench.size(60_000, 12_000), 1),
        }
        variants: dict[str, Any] = {}
        for name, (count, pack) in sizes.items():
            bus = await RedisBus.connect(config, f"pack{pack}")
            entries = await fill_ticks(config, bus, count, pack)
            await bus.close()
            variants[name] = partial(_ours, config, bus.book, count, entries)
        for name, batch, count in (
            ("FastStream, one message a call", False, bench.size(10_000, 3_000)),
            ("FastStream, `batch=True`", True, bench.size(40_000, 10_000)),
        ):
            stream = f"faststream:{batch}"
            await fill_plain(config, stream, b"__data__", await framed(ticks(count)))
            variants[name] = partial(faststream, config, stream, count, batch)
        bench.say("stage: measuring")
        return await interleaved(ROUNDS, variants)
    finally:
        server.stop()


class _Ends(RedisBus):
    """A bus that notices when a node has committed all that there is."""

    wanted = 0
    finished_at = 0.0
    stop: asyncio.Event

    async def commit(self, commit: Commit, then: Any = None) -> Committed:
        answer = await super().commit(commit, then)
        if commit.positions[Topic.TICKS].count >= self.wanted:
            self.finished_at = time.perf_counter()
            self.stop.set()
        return answer


async def _ours(config: RedisConfig, book: str, count: int, entries: int) -> float:
    """The bar builder in the runner of every service, on a wall clock that stands still so that only ticks close bars."""
    bus = _Ends.open(config, book)
    assert isinstance(bus, _Ends)
    bus.stop, bus.wanted = asyncio.Event(), entries
    node = bar_builder()
    options = RunnerOptions(service="bench", worker="bench", clock_interval_ms=1, wall_ns=lambda: T0)
    try:
        await bus.call(
            "DEL", bus.node_key(node.name), bus.journal_key(node.name), bus.stream(Topic.BARS), bus.stream(Topic.MARKS)
        )
        inputs = [topic for topic in node.inputs if topic is not Topic.CLOCK]
        await bus.register(node.name, node.rank, inputs, False, "bench")
        began = time.perf_counter()
        async with asyncio.timeout(120):
            await RedisRunner(node, bus, options, Health("bench")).run(bus.stop)
        assert node.counters["ticks"] == count, node.counters
        return count / (bus.finished_at - began)
    finally:
        await bus.close()


def _result(rates: dict[str, list[float]]) -> Result:
    packed, *_, single, per_message, batched = rates
    rows = [
        (
            name,
            f"{median(found):,.0f}",
            spread(found),
            f"{ratio(found, rates[per_message]):.1f}",
            f"{ratio(found, rates[batched]):.1f}",
        )
        for name, found in rates.items()
    ]
    table = Table("Stage", ("", "ticks/s", "lowest – highest", "× FastStream per message", "× FastStream batch"), rows)
    shipped, singly = (ratio(rates[name], rates[per_message]) for name in (packed, single))
    packs = ratio(rates[packed], rates[single])
    speed = median(rates[packed])
    budgets = [
        Budget(
            "stage over Valkey against FastStream, as each ships under load: packed entries, one message a call",
            f"≥ {TIMES_FASTSTREAM:.0f} ×",
            f"{shipped:.1f} ×",
            shipped >= TIMES_FASTSTREAM,
        ),
        Budget(
            "the same, both one tick an entry",
            f"≥ {TIMES_FASTSTREAM:.0f} ×",
            f"{singly:.1f} ×",
            singly >= TIMES_FASTSTREAM,
            "work per entry in the reader and the step: an `Entry`, an envelope, a `Position` and a sort key for each",
        ),
        Budget("packed entries against single ones", f"≥ {TIMES_SINGLE:.0f} ×", f"{packs:.1f} ×", packs >= TIMES_SINGLE),
        Budget("ticks/s through the bar builder, packed", f"≥ {TICKS_PER_S:,}", f"{speed:,.0f}", speed >= TICKS_PER_S),
    ]
    about = (
        "`RedisRunner` with the real bar builder over pre-filled `ticks`: bars, marks, state, position and journal in one "
        "commit, read-ahead in the same write. FastStream: per-tick bars in plain Python, the bar published when the minute "
        "changes; no state, no position, no marks."
    )
    return Result("stage", about, [table], budgets)
