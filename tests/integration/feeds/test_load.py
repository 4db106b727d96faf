"""Twenty symbols at fifty ticks a second each, from the simulated terminal to the stream: none lost, and how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from itertools import pairwise

import psutil
import pytest

from barque.config import RedisConfig
from barque.messages import Topic
from feed_mt5.config import FeedMt5Config
from feed_mt5.shell.source import open_source
from simulators.mt5 import Mt5Simulator
from tests.support.feeds import QUICK, an_instrument, running_feed

SYMBOLS = [f"{base}{quote}" for quote in ("USD", "CHF", "CAD", "SGD") for base in ("EUR", "GBP", "AUD", "NZD", "SEK")]
PER_S = 50


async def load(valkey: RedisConfig, book: str, seconds: float) -> None:
    with Mt5Simulator(SYMBOLS) as sim:
        for symbol in SYMBOLS:
            sim.quote(symbol, 1.0, 1.0001)
        raw = {
            "instruments": [
                an_instrument(symbol, tick_size="0.00001", quantity_step="0.01", currency=symbol[3:]) for symbol in SYMBOLS
            ],
            "mt5": {"port": sim.port, "clock_wait_s": 0.0},
            "feed_mt5": QUICK | {"symbols": SYMBOLS},
        }
        async with running_feed(valkey, book, raw, open_source, "feed_mt5", FeedMt5Config) as feed:
            await feed.until(lambda: _connected(feed), "a connection")
            await asyncio.sleep(0.5)
            used, began, said = psutil.Process().cpu_times(), time.monotonic(), 0
            while (elapsed := time.monotonic() - began) < seconds:
                due = int(elapsed * PER_S) + 1
                for number in range(said, due):
                    for symbol in SYMBOLS:
                        sim.quote(symbol, round(1.0 + number * 0.00001, 5), round(1.0001 + number * 0.00001, 5))
                said = due
                await asyncio.sleep(0.005)
            spent = psutil.Process().cpu_times()
            last = round(1.0 + (said - 1) * 0.00001, 5)
            await feed.until(lambda: _all_have(feed, last), "the last tick of each", 30)
            heard: dict[str, list[float]] = defaultdict(list)
            waits: list[float] = []
            after = "-"
            while entries := await feed.bus.range(Topic.TICKS, after, count=2_000):
                after = entries[-1].entry_id
                for entry in entries:
                    published_ns = entry.header().ts_pub_ns
                    for message in entry.messages():
                        if hasattr(message, "bid"):
                            heard[message.symbol].append(message.bid)
                            waits.append((published_ns - message.ts_recv_ns) / 1e6)
            dropped = [state for state in await feed.states() if state == "gap"]
    wanted = [round(1.0 + number * 0.00001, 5) for number in range(said)]
    for symbol in SYMBOLS:
        assert heard[symbol][-said:] == wanted, f"{symbol}: {said - len(heard[symbol])} lost"
        assert all(a <= b for a, b in pairwise(heard[symbol]))
    assert not dropped
    waits.sort()
    cpu = (spent.user + spent.system - used.user - used.system) / seconds
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(f"\n{len(SYMBOLS)} symbols x {said / seconds:.0f} ticks/s: {len(waits):,} ticks, none lost")
    print(f"poll to stream p50 {p50:.1f} ms, p99 {p99:.1f} ms; {cpu:.0%} of a core for feed and simulator together")
    assert p50 < 100.0


async def _connected(feed: object) -> bool:
    return "connected" in await feed.states()  # type: ignore[attr-defined]


async def _all_have(feed: object, bid: float) -> bool:
    quotes = (await feed.quotes())[-20_000:]  # type: ignore[attr-defined]
    return len({quote.symbol for quote in quotes if quote.bid == bid}) == len(SYMBOLS)


async def test_twenty_symbols_at_fifty_ticks_a_second_lose_nothing(valkey: RedisConfig, book: str) -> None:
    await load(valkey, book, 3.0)


@pytest.mark.slow
async def test_and_neither_for_a_minute(valkey: RedisConfig, book: str) -> None:
    await load(valkey, book, 60.0)
