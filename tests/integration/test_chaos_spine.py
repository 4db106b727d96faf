"""Killed at any moment: a replay whose services and servers are killed at random says and books what an undisturbed one does.

The truth is threefold: the same nodes in one process (no bus at all), and, for the tables, a run in which nothing is killed.
`make test` runs a short form, `make chaos-spine` the full one. A failure prints its seed; run it again with CHAOS_SEED.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from barque.messages import Fill, Message, SubmitOrder, Topic
from barque_cli.system import System
from tests.support.books import running_book, said, tables, wait_finished
from tests.support.configs import eurusd_ticks
from tests.support.data import data_file, first_rows
from tests.support.memory_books import said_in_memory

TOPICS = (Topic.BARS, Topic.SIGNALS, Topic.ORDERS, Topic.FILLS)
SERVICES = ("barbuilder", "strategy-host", "router", "sender-paper", "portfolio", "feed-replay")


@dataclass
class Plan:
    """What is killed: services `kills` times, each server `crashes` times, a random pause between any two."""

    kills: int
    crashes: int
    pause_s: tuple[float, float]
    seed: int = field(default_factory=lambda: int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6)))))

    def faults(self) -> list[str]:
        """In random order; every service at least once where there are enough kills."""
        chance = random.Random(self.seed)
        found = list(SERVICES) + [chance.choice(SERVICES) for _ in range(self.kills - len(SERVICES))]
        found = found[: self.kills] + ["valkey", "postgres"] * self.crashes
        chance.shuffle(found)
        return found


@dataclass
class Outcome:
    """What a run left behind."""

    streams: dict[Topic, list[Message]]
    tables: dict[str, list[dict[str, Any]]]
    restarts: int
    faults: list[str]


def replay(ticks: Path, folder: Path, plan: Plan | None, timeout_s: float) -> Outcome:
    done: list[str] = []
    with running_book(eurusd_ticks(ticks), folder) as system:
        villain = threading.Thread(target=torment, args=(system, plan, done)) if plan else None
        if villain:
            villain.start()
        wait_finished(system, timeout_s)
        if villain:
            villain.join(timeout=30)
        return Outcome({topic: said(system, topic) for topic in TOPICS}, tables(system), system.supervisor.restarts, done)


def torment(system: System, plan: Plan, done: list[str]) -> None:
    chance = random.Random(plan.seed + 1)
    for fault in plan.faults():
        time.sleep(chance.uniform(*plan.pause_s))
        if "replay_finished" in system.supervisor.child("feed-replay").log_path.read_text():
            return
        if fault == "valkey":
            system.crash_valkey()
        elif fault == "postgres":
            system.crash_postgres()
        elif system.supervisor.child(fault).alive:
            system.supervisor.kill(fault)
        else:
            continue
        done.append(fault)


def compare(plan: Plan, calm: Outcome, stormy: Outcome, truth: dict[Topic, list[Message]]) -> None:
    hint = f"CHAOS_SEED={plan.seed}; faults: {stormy.faults}"
    for topic in TOPICS:
        assert calm.streams[topic] == truth[topic], f"{topic}: undisturbed services differ from memory"
        assert stormy.streams[topic] == truth[topic], f"{topic} differs; {hint}"
    orders = [m.order_id for m in stormy.streams[Topic.ORDERS] if isinstance(m, SubmitOrder)]
    fills = [m.exec_id for m in stormy.streams[Topic.FILLS] if isinstance(m, Fill)]
    assert len(set(orders)) == len(orders) > 0, hint
    assert len(set(fills)) == len(fills) == len(stormy.tables["fills"]) == len(stormy.tables["executions"]) > 0, hint
    for name, expected in calm.tables.items():
        assert stormy.tables[name] == expected, f"table {name} differs; {hint}"


@pytest.mark.timeout(480)
def test_a_replay_that_is_killed_ten_times_equals_an_undisturbed_one(tmp_path: Path) -> None:
    ticks = first_rows(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), 700, tmp_path)
    plan = Plan(kills=8, crashes=1, pause_s=(0.2, 1.2))
    calm = replay(ticks, tmp_path / "calm", None, 200)
    stormy = replay(ticks, tmp_path / "stormy", plan, 250)
    compare(plan, calm, stormy, said_in_memory(tmp_path / "calm" / "barque.toml"))
    assert stormy.restarts >= 4, f"CHAOS_SEED={plan.seed}: too little was killed: {stormy.faults}"


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_day_with_at_least_25_kills_and_two_crashes_of_each_server_equals_an_undisturbed_one(tmp_path: Path) -> None:
    ticks = data_file("eurusd-oanda-ticks-2014-05-01.csv.gz")
    plan = Plan(kills=60, crashes=4, pause_s=(0.5, 4.0))
    calm = replay(ticks, tmp_path / "calm", None, 600)
    stormy = replay(ticks, tmp_path / "stormy", plan, 900)
    compare(plan, calm, stormy, said_in_memory(tmp_path / "calm" / "barque.toml"))
    services = [fault for fault in stormy.faults if fault in SERVICES]
    crashes = {server: stormy.faults.count(server) for server in ("valkey", "postgres")}
    print(f"seed {plan.seed}: {len(services)} kills, crashes {crashes}")
    assert len(services) >= 25, f"CHAOS_SEED={plan.seed}: only {len(services)} kills"
    assert set(services) == set(SERVICES)
    assert min(crashes.values()) >= 2
