"""The bar builder by itself: no store, no wire, one call per tick."""

from __future__ import annotations

import asyncio
import time

from barque.messages import Topic, decode_batch, encode_batch
from benchmarks.figures import Bench, Result, Table, interleaved
from benchmarks.workload import bar_builder, batches, ticks

ROUNDS = 5
PACK = 1_000


def measure(bench: Bench) -> Result:
    """Ticks per second through `BarBuilderNode.handle`, and through decoding packed entries as well."""
    quotes = ticks(bench.size(400_000, 50_000))
    bodies = [encode_batch(batch) for batch in batches(quotes, PACK)]

    async def bare() -> float:
        node, began = bar_builder(), time.perf_counter()
        for quote in quotes:
            node.handle(quote)
        return len(quotes) / (time.perf_counter() - began)

    async def decoded() -> float:
        node, began = bar_builder(), time.perf_counter()
        for body in bodies:
            for quote in decode_batch(Topic.TICKS, body):
                node.handle(quote)
        return len(quotes) / (time.perf_counter() - began)

    bench.say("core")
    rates = asyncio.run(interleaved(ROUNDS, {"handle": bare, "decode and handle": decoded}))
    rows = [(name, f"{sorted(found)[ROUNDS // 2]:,.0f}") for name, found in rates.items()]
    return Result(
        "core", "`BarBuilderNode` alone, in process; four symbols, bid and ask bars.", [Table("Core", ("", "ticks/s"), rows)]
    )
