"""Two workers on one node, and nodes that move: what is said is the same, and who was refused is counted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from barque.bus.redis_bus import NodeStatus, RedisBus
from barque.messages import SubmitOrder, Topic
from barque_cli.composition import service
from barque_cli.system import System, only
from tests.support.books import on_bus, rows, running_book, said, wait_finished, wait_until
from tests.support.configs import eurusd_ticks
from tests.support.data import ROOT, data_file, first_rows
from tests.support.memory_books import said_in_memory

SHARED = ("barbuilder", "strategy.sma-a")
"""Nodes that two processes run at once."""
SECOND = "strategy-host-2"
STOPS = 8


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A lockstep replay whose bar builder and first strategy are to be brought by the test."""
    folder = tmp_path_factory.mktemp("two")
    ticks = first_rows(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), 260, folder)
    with running_book(eurusd_ticks(ticks), folder, only("router", "sender-paper", "portfolio", "feed-replay")) as system:
        yield system


@contextmanager
def process(system: System, command: list[str], name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody supervises; ended at the end, if it lives."""
    environment = {**os.environ, **system.environment, "PYTHONPATH": str(ROOT), **environment}
    with (system.folder / "logs" / f"{name}.log").open("ab") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGCONT)
            started.terminate()
            started.wait(timeout=10)


def lone(system: System, instance: str) -> list[str]:
    return [sys.executable, "-m", "tests.support.lone_runner", "--config", str(system.config_path), "--instance", instance]


def statuses(system: System) -> dict[str, NodeStatus]:
    async def read(bus: RedisBus) -> list[NodeStatus]:
        return await bus.status()

    return {status.name: status for status in on_bus(system, read)}


def finished(system: System) -> bool:
    return "replay_finished" in system.supervisor.child("feed-replay").log_path.read_text()


def test_two_workers_on_one_node_one_of_them_stopped_now_and_then_say_what_memory_says(book: System) -> None:
    chance = random.Random(11)
    with ExitStack() as stack:
        pairs: list[list[subprocess.Popen[bytes]]] = []
        for node in SHARED:
            slow = {"LONE_NODE": node, "LONE_SLOW_S": "0.003"}
            names = [f"{node}-{i}" for i in (1, 2)]
            pairs.append([stack.enter_context(process(book, lone(book, n), n, **slow)) for n in names])
        stack.enter_context(process(book, lone(book, "b"), "strategy.sma-b-1", LONE_NODE="strategy.sma-b"))
        wait_until(lambda: set(SHARED) <= set(statuses(book)), 20, "the workers' start")
        stops = 0
        while stops < STOPS and not finished(book):
            time.sleep(chance.uniform(0.1, 0.3))
            victim = chance.choice(chance.choice(pairs))
            victim.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.05, 0.35))  # a twin looks by itself after 250 ms
            victim.send_signal(signal.SIGCONT)
            stops += 1
        wait_finished(book, 60)
    truth = said_in_memory(book.config_path)
    for topic in (Topic.BARS, Topic.SIGNALS, Topic.ORDERS, Topic.FILLS):
        assert said(book, topic) == truth[topic], f"{topic} differs after {stops} stops"
    assert any(isinstance(order, SubmitOrder) for order in truth[Topic.ORDERS])
    refused = {name: statuses(book)[name].refused for name in SHARED}
    assert stops >= 6
    assert sum(sum(counts.values()) for counts in refused.values()) > 0, f"no commit was ever refused: {refused}"
    fills = rows(book, "SELECT exec_id FROM fills")
    assert len(fills) == len({row["exec_id"] for row in fills}) > 0


def workers(system: System) -> dict[str, str]:
    return {name: status.worker for name, status in statuses(system).items() if name.startswith("strategy.")}


def test_a_second_worker_takes_nodes_over_and_gives_them_back_when_it_is_killed(book: System) -> None:
    book.start_service(service("strategy-host"))
    first, both = {"strategy-host"}, {"strategy-host", SECOND}
    wait_until(lambda: set(workers(book).values()) == first, 10, "the first worker's start")
    command = [sys.executable, "-m", "strategy_host", "--config", str(book.config_path), "--instance", SECOND]
    began = time.monotonic()
    with process(book, command, SECOND) as second:
        wait_until(lambda: set(workers(book).values()) == both, 5, "taking over nodes")
        took_s = time.monotonic() - began
        assert workers(book) == {"strategy.sma-a": "strategy-host", "strategy.sma-b": SECOND}
        second.kill()
        second.wait()
        died = time.monotonic()
        wait_until(lambda: set(workers(book).values()) == first, 5, "giving nodes back")
        back_s = time.monotonic() - died
    print(f"taken over after {took_s:.1f} s, back after {back_s:.1f} s")
    assert took_s < 5
    assert back_s < 5


def test_a_worker_that_ends_in_order_gives_its_nodes_back_at_once(book: System) -> None:
    wait_until(lambda: set(workers(book).values()) == {"strategy-host"}, 10, "the first worker")
    command = [sys.executable, "-m", "strategy_host", "--config", str(book.config_path), "--instance", SECOND]
    with process(book, command, SECOND) as second:
        wait_until(lambda: SECOND in workers(book).values(), 5, "taking over nodes")
        second.terminate()
        assert second.wait(timeout=5) == 0
        left = time.monotonic()
        wait_until(lambda: set(workers(book).values()) == {"strategy-host"}, 5, "giving nodes back")
        assert time.monotonic() - left < 2
