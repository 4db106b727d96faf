"""A feed of MetaTrader 5 as a process of its own, killed in the middle of its work: no tick is lost, none comes twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import RedisConfig
from barque.messages import Quote, Topic
from simulators.mt5 import Mt5Simulator

CONFIG = """
[book]
name = "{book}"
[redis]
url = "{url}"
password_file = "{password_file}"
[mt5]
port = {port}
clock_wait_s = 0.0
[feed_mt5]
symbols = ["EURUSD"]
poll_min_s = 0.01
recent_bars = 0
[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00001"
quantity_step = "0.01"
calendar = "24/7"
"""


@contextmanager
def a_process(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "feed_mt5", "--config", str(config)], stdout=out, stderr=out, env=os.environ
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def quotes(bus: RedisBus) -> list[float]:
    found: list[float] = []
    after = "-"
    while entries := await bus.range(Topic.TICKS, after, count=5_000):
        after = entries[-1].entry_id
        found += [m.bid for entry in entries for m in entry.messages() if isinstance(m, Quote)]
    return found


async def run(folder: Path, valkey: RedisConfig, bus: RedisBus, kills: int, seed: int) -> None:
    chance, number = random.Random(seed), 0
    with Mt5Simulator(["EURUSD"]) as sim:
        config = folder / "barque.toml"
        config.write_text(CONFIG.format(book=bus.book, url=valkey.url, password_file=valkey.password_file, port=sim.port))

        async def walk(until: int, seconds: float = 20.0) -> None:
            """The market goes on until the stream has so many quotes."""
            nonlocal number
            deadline = asyncio.get_running_loop().time() + seconds
            while len(await quotes(bus)) < until:
                assert asyncio.get_running_loop().time() < deadline, (folder / "feed.log").read_text()[-2_000:]
                for _ in range(20):
                    number += 1
                    sim.quote("EURUSD", round(1.0 + number * 0.00001, 5), round(1.0001 + number * 0.00001, 5))
                await asyncio.sleep(0.02)

        sim.quote("EURUSD", 1.0, 1.0001)
        for _ in range(kills):
            with a_process(config, folder / "feed.log"):
                await walk(len(await quotes(bus)) + chance.randint(1, 400))
        with a_process(config, folder / "feed.log"):
            await walk(len(await quotes(bus)) + 1)
            last = round(1.0 + number * 0.00001, 5)
            deadline = asyncio.get_running_loop().time() + 20
            while (await quotes(bus))[-1] != last:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.05)
    heard = await quotes(bus)
    first = round((heard[0] - 1.0) * 100_000)
    assert heard == [round(1.0 + step * 0.00001, 5) for step in range(first, number + 1)], f"seed {seed}"


async def test_a_killed_feed_goes_on_with_the_very_next_tick(tmp_path: Path, valkey: RedisConfig, bus: RedisBus) -> None:
    await run(tmp_path, valkey, bus, 1, 1)


@pytest.mark.slow
async def test_however_often_it_is_killed(tmp_path: Path, valkey: RedisConfig, bus: RedisBus) -> None:
    await run(tmp_path, valkey, bus, 12, 7)
