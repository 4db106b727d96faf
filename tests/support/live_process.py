"""A live book whose sender is a process of its own, to be killed at a named point or at any moment.

In:   as `live_book`.   Out: as `live_book`, and how the process ended.
Not:  a shared clock or loop: the sender runs as a user runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.embedded.process import free_port
from barque.faults import EXIT_CODE
from simulators.broker.server import SimulatedBroker
from tests.support.brokers import Broker, Simulated
from tests.support.live_book import LiveBook
from tests.support.servers import begin_book


class LiveProcess(LiveBook):
    """The sender as `python -m router.shell.senders`."""

    folder: Path
    redis: RedisConfig
    process: subprocess.Popen[bytes] | None = None
    _port: int = 0
    _why: str = "not started"

    def start(self, crash_at: str = "") -> None:
        """A process begins; `crash_at`: the point of `barque.faults` at which it ends itself."""
        self._port = free_port()
        path = self.folder / "barque.toml"
        path.write_text(self._config())
        environment = {**os.environ, **({"CRASH_AT": crash_at} if crash_at else {})}
        command = [sys.executable, "-m", "router.shell.senders", "--config", str(path), "--health-port", str(self._port)]
        with (self.folder / "sender.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    async def start_and_wait(self, crash_at: str = "") -> None:
        """A process begins and gets ready."""
        self.start(crash_at)
        await self.until_ready()

    async def kill(self, by: int = signal.SIGKILL) -> None:
        """End the process."""
        process = self.running()
        process.send_signal(by)
        await asyncio.to_thread(process.wait, 20)

    async def crashed(self) -> None:
        """Wait for the process to end itself at its point."""
        deadline = time.monotonic() + 30
        while self.running().poll() is None:
            assert time.monotonic() < deadline, f"the process has not come to its point; said: {self.summary()}"
            await asyncio.sleep(0.02)
        assert self.running().returncode == EXIT_CODE, (self.folder / "sender.log").read_text()[-2000:]

    def freeze(self) -> None:
        """As if the machine had stopped giving it time."""
        self.running().send_signal(signal.SIGSTOP)

    async def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            await self.kill(signal.SIGTERM)
        await super().end()

    async def alive(self) -> None:
        process = self.process
        if process is not None and process.poll() is not None and process.returncode not in (0, 4, EXIT_CODE, -signal.SIGKILL):
            raise AssertionError(f"the sender ended with {process.returncode}: {self.log()[-2000:]}")

    @property
    def simulator(self) -> SimulatedBroker:
        """The broker, where it is the simulated one."""
        assert isinstance(self.broker, Simulated)
        return self.broker.broker

    def log(self) -> str:
        """What the processes have logged so far."""
        return (self.folder / "sender.log").read_text()

    def why_not(self) -> str:
        return self._why

    async def until_ready(self) -> None:
        await self.until(self.is_ready, "the sender to be ready")

    async def is_ready(self) -> bool:
        """`ready`, asked in a thread: the broker's simulator lives in this loop, and the sender may be waiting for it."""
        return await asyncio.to_thread(self.ready)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=1) as reply:
                body = reply.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        except OSError as error:
            body = json.dumps({"reasons": {"process": str(error)}}).encode()
        self._why = body.decode()
        return json.loads(self._why).get("ready") is True

    def running(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self.process is not None
        return self.process

    def _config(self) -> str:
        sender: dict[str, Any] = {
            name: getattr(self.config, name)
            for name in ("account", "venue", "quiet_s", "ack_timeout_s", "max_requests_per_s", "burst")
        }
        instrument = self.broker.instrument
        parts = {
            "book": {"name": self.bus.book, "clock_interval_ms": 50},
            "redis": {"url": self.redis.url, "password_file": self.redis.password_file},
            "postgres": {"url": self.database.url, "password_file": self.database.password_file},
            "log": {"format": "json"},
            "sender": sender,
            **self._sections,
        }
        names = ("symbol", "currency", "base_currency", "tick_size", "calendar")
        lines = ["[[instruments]]", *(f'{name} = "{getattr(instrument, name)}"' for name in names)]
        for section, keys in parts.items():
            lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None)]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | int | float) else json.dumps(str(value))


@asynccontextmanager
async def live_process(
    broker: Broker,
    folder: Path,
    bus: RedisBus,
    connection: asyncpg.Connection,
    database: PostgresConfig,
    redis: RedisConfig,
    **sender: Any,
) -> AsyncIterator[LiveProcess]:
    """A book that has begun, from its first clean comparison to an orderly end."""
    await begin_book(bus, connection)
    sections = await broker.start(folder)
    book = LiveProcess(broker, sections, bus, database, **sender)
    book.folder, book.redis = folder, redis
    try:
        await book.begin()
        yield book
    finally:
        try:
            await book.end()
        finally:
            await broker.stop()
