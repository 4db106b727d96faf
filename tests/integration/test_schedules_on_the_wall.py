"""How late a schedule runs on a wall clock, through the real strategy host: a process, its runner, its commit."""

from __future__ import annotations

from pathlib import Path

from barque.bus.redis_bus import RedisBus
from barque.messages import Alert, Topic
from barque_cli.system import only
from tests.support.books import on_bus, running_book, wait_until
from tests.support.configs import EURUSD

NS = 10**9
RUNS = 5

CONFIG = f"""
[book]
name = "punctual"
{EURUSD}
[[strategies]]
id = "beeper"
strategy = "tests.support.scheduled:Beeper"
symbols = ["EURUSD"]

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "100000"
"""


async def beeps(bus: RedisBus) -> list[tuple[int, int]]:
    """(Scheduled for, published at) of each run, ns: the entry's own time is taken by Redis as it is committed."""
    return [
        (int(message.text.removeprefix("beeper: ")), int(entry.entry_id.split("-")[0]) * 1_000_000)
        for entry in await bus.range(Topic.ALERTS)
        for message in entry.messages()
        if isinstance(message, Alert)
    ]


def test_every_run_is_told_within_a_second_of_its_time_and_none_is_left_out(tmp_path: Path) -> None:
    with running_book(CONFIG, tmp_path, only("strategy-host")) as system:
        wait_until(lambda: len(on_bus(system, beeps)) >= RUNS, 30, f"{RUNS} runs")
        told = on_bus(system, beeps)
    scheduled = [run for run, _ in told]
    assert scheduled == list(range(scheduled[0], scheduled[0] + len(told) * NS, NS))
    assert all(0 <= published - run < NS for run, published in told[1:]), [(p - run) / NS for run, p in told]
