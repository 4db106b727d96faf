"""The halt of a trading book: at once, whatever is dead, through every restart, until somebody with the token lifts it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from barque.bus.feed import FeedWriter
from barque.bus.redis_bus import RedisBus
from barque.bus.wire import id_key
from barque.embedded.process import free_port
from barque.messages import SubmitOrder, Topic
from barque.observability.health import Health
from barque_cli.composition import SERVICES
from barque_cli.system import System
from tests.support.books import on_bus, rows, running_book, wait_until
from tests.support.builders import a_signal
from tests.support.command import BARQUE, barque
from tests.support.configs import live_market

ACCEPTED = ("ACKED", "PARTIALLY_FILLED", "FILLED")
NS_PER_S = 1_000_000_000


class Pump(threading.Thread):
    """Wishes for an order, buy and sell in turn, fifty times a second, for as long as the book lives."""

    def __init__(self, system: System) -> None:
        super().__init__(name="pump", daemon=True)
        self._system = system
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._work())
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join(timeout=10)
        assert not self.is_alive()

    async def _work(self) -> None:
        bus = self._system.bus()
        feed = FeedWriter(bus, "feed.pump", "test", Health("test"), self._ended)
        await feed.load()
        for number in itertools.count():
            if self._ended.is_set():
                break
            wish = a_signal(
                time.time_ns(),
                id=f"eurusd-2/pump/{number}",
                strategy_id="eurusd-2",
                side="buy" if number % 2 else "sell",
                quantity=Decimal(1),
            )
            await feed.write({Topic.SIGNALS: [wish]}, b"")
            await asyncio.sleep(0.02)
        await bus.close()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A live book with its gateway, whose orders never end."""
    folder = tmp_path_factory.mktemp("halt")
    (folder / "token").write_text("let me go on, " * 3)
    (folder / "wrong").write_text("let me go in, " * 3)
    extra = f'\n[gateway]\nport = {free_port()}\ntoken_file = "token"\n'
    with running_book(live_market("halted", extra=extra), folder, SERVICES) as system:
        system.wait_ready(60)
        pump = Pump(system)
        pump.start()
        try:
            yield system
        finally:
            pump.end()


def accepted(system: System) -> int:
    """Orders that the exchange has ever taken."""
    return int(rows(system, "SELECT count(*) FROM intents WHERE state = ANY($1::text[])", list(ACCEPTED))[0][0])


def last_execution_ns(system: System) -> int:
    return int(rows(system, "SELECT max(ts_event_ns) FROM executions")[0][0])


def halted(system: System) -> bool:
    return bool(rows(system, "SELECT halted FROM halts WHERE halted"))


def flagged(system: System) -> bool:
    return on_bus(system, lambda bus: bus.halt_flag()) is not None


def halt(system: System, reason: str) -> tuple[str, int, int]:
    """(what the command said, when it was recorded, when it had said so), ns. From then on the interpreter only clears up, which
    takes its time on a busy machine."""
    command = [*BARQUE, "halt", "--reason", reason, "--config", str(system.config_path)]
    environment = {**os.environ, **system.environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        returned_ns = time.time_ns()
        said += process.stderr.read()
    assert process.returncode == 0, said
    assert "HALTED" in said.splitlines()[0]
    (row,) = rows(system, "SELECT at_ns, reason FROM halts WHERE halted")
    assert row["reason"] == reason
    return said, int(row["at_ns"]), returned_ns


def resume(system: System, file: str = "token") -> tuple[int, str]:
    path = system.folder / file
    answer = barque("resume", "--token-file", path, "--config", system.config_path, environment=system.environment)
    return answer.returncode, answer.stderr


@pytest.fixture
def trading(book: System) -> System:
    """The book, not halted, with orders flowing."""
    if halted(book) or flagged(book):
        assert resume(book)[0] == 0
    wait_until_trading(book)
    return book


def wait_until_trading(system: System) -> None:
    before = accepted(system)
    wait_until(lambda: accepted(system) >= before + 5, 20, "orders that flow")


def submitted_after(system: System, moment_ns: int) -> list[str]:
    """Orders that the router sent out after a moment."""

    async def read(bus: RedisBus) -> list[str]:
        after = f"{moment_ns // 1_000_000}-0"
        entries = [entry for entry in await bus.range(Topic.ORDERS, after) if id_key(entry.entry_id)[0] > moment_ns // 1_000_000]
        return [m.order_id for entry in entries for m in entry.messages() if isinstance(m, SubmitOrder)]

    return list(on_bus(system, read))


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def assert_nothing_more_for(system: System, seconds: float, taken: int) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert accepted(system) == taken, "an order was taken after the halt"
        time.sleep(0.1)


def test_a_halt_stops_orders_that_flow_within_a_second_and_none_is_sent_after_it_returned(trading: System) -> None:
    said, at_ns, returned_ns = halt(trading, "that is enough")
    taken = accepted(trading)
    assert "Redis is away" not in said
    assert_nothing_more_for(trading, 1.2, taken)
    last_ns = last_execution_ns(trading)
    print(f"stopped {(last_ns - at_ns) / 1e6:+.0f} ms after the command; it returned after {(returned_ns - at_ns) / 1e6:.0f} ms")
    assert last_ns - at_ns < NS_PER_S
    assert last_ns <= returned_ns
    assert submitted_after(trading, returned_ns) == []
    assert returned_ns - at_ns < NS_PER_S


def test_only_the_right_token_lifts_a_halt(book: System) -> None:
    if not halted(book):
        halt(book, "again")
    taken = accepted(book)
    code, said = resume(book, "wrong")
    assert code == 2
    assert "is not the gateway's; the book stays halted" in said
    assert (halted(book), flagged(book)) == (True, True)
    assert accepted(book) == taken
    code, said = resume(book)
    assert (code, "RESUMED" in said) == (0, True)
    assert (halted(book), flagged(book)) == (False, False)
    wait_until_trading(book)


def test_a_halt_with_valkey_killed_at_that_moment_holds_and_the_flag_follows_when_it_is_back(trading: System) -> None:
    assert trading.valkey is not None
    trading.valkey.process.kill()
    try:
        said, at_ns, returned_ns = halt(trading, "with Redis dead")
        taken = accepted(trading)
        assert "Redis is away" in said
        assert returned_ns - at_ns < NS_PER_S
        assert_nothing_more_for(trading, 0.3, taken)
    finally:
        trading.valkey.start()
    wait_until(lambda: flagged(trading), 10, "the flag")
    trading.wait_ready(20)
    assert_nothing_more_for(trading, 1.2, taken)
    assert last_execution_ns(trading) <= returned_ns
    assert accepted(trading) == taken


def test_a_halt_with_valkey_frozen_is_in_force_before_valkey_answers(trading: System) -> None:
    assert trading.valkey is not None
    with frozen(trading.valkey.process.pid):
        said, at_ns, returned_ns = halt(trading, "with Redis frozen")
        assert "Redis is away" in said
        assert returned_ns - at_ns < 2 * NS_PER_S
        taken = accepted(trading)
    wait_until(lambda: flagged(trading), 10, "the flag")
    trading.wait_ready(20)
    assert_nothing_more_for(trading, 1.0, taken)


def test_a_halt_survives_the_death_of_every_service_and_both_servers(trading: System) -> None:
    halt(trading, "for the night")
    taken = accepted(trading)
    for child in trading.supervisor.children:
        trading.supervisor.kill(child.name)
    trading.crash_valkey()
    trading.crash_postgres()
    trading.wait_ready(60)
    assert halted(trading)
    assert flagged(trading)
    assert_nothing_more_for(trading, 1.2, taken)
    assert resume(trading, "wrong")[0] == 2
    assert_nothing_more_for(trading, 0.3, taken)
    assert resume(trading)[0] == 0
    wait_until_trading(trading)
    assert all(child.restarts == 1 for child in trading.supervisor.children)
