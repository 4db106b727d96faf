"""What every service does the same way: read its configuration, say how it is, run until told to stop, end with a clear code.

`python -m <package> --config barque.toml [--health-port N] [--instance NAME]`

Exit codes: 0 stopped as asked · 2 configuration · 3 our bug (state kept) · 4 history forked · 1 anything else.
This module and each service's `__main__` are the only readers of the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog

from barque import faults
from barque.bus.node_shell import BACKOFF_S, RunnerOptions, pause_until
from barque.bus.redis_bus import RedisBus
from barque.bus.runner import RedisRunner
from barque.config import CommonConfig, load_common, load_section, read_file
from barque.errors import BarqueError, BusUnavailable
from barque.node import Node
from barque.observability.health import Health, HealthServer
from barque.observability.logs import configure

T = TypeVar("T")
DRAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service's `run` works with."""

    service: str
    instance: str
    raw: Mapping[str, Any]
    common: CommonConfig
    health: Health
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def section(self, name: str, kind: type[T]) -> T:
        """The service's own section; raises `ConfigError`."""
        return load_section(self.raw, name, kind)

    def bus(self) -> RedisBus:
        """A bus of its own for one consumer."""
        return RedisBus.open(self.common.redis, self.common.book.name, self.common.book.lockstep)

    def options(self) -> RunnerOptions:
        """How runners of this book work."""
        book = self.common.book
        return RunnerOptions(
            service=self.service,
            worker=self.instance,
            lockstep=book.lockstep,
            feed_clock=book.clock == "feed",
            clock_interval_ms=book.clock_interval_ms,
            trim_window_s=book.trim_window_s,
        )

    async def until_available(self, component: str, attempt: Callable[[], Awaitable[T]]) -> T | None:
        """Call `attempt` until it works; None where the service is told to stop first. One log line per new reason."""
        failures = 0
        while not self.stop.is_set():
            try:
                result = await attempt()
            except BusUnavailable as error:
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                if self.health.not_ready(component, str(error)):
                    structlog.get_logger().warning("waiting_for_store", component=component, reason=str(error), retry_s=pause)
                await pause_until(self.stop, pause)
            else:
                self.health.ready(component)
                return result
        return None


async def run_node(context: ServiceContext, node: Node) -> None:
    """Host one node that keeps its position in Redis, until the service stops."""
    bus = context.bus()
    try:
        await RedisRunner(node, bus, context.options(), context.health).run(context.stop)
    finally:
        await bus.close()


Run = Callable[[ServiceContext], Coroutine[Any, Any, None]]


def main(service: str, run: Run) -> None:
    """Run a service's `run` as the process; never returns normally."""
    sys.exit(_main(service, run))


def _main(service: str, run: Run) -> int:
    arguments = _arguments(service)
    try:
        if "CRASH_AT" in os.environ:
            faults.arm(os.environ["CRASH_AT"])
        raw = read_file(arguments.config, os.environ)
        common = load_common(raw)
        configure(common.log, service=service, instance=arguments.instance, book=common.book.name)
        health = Health(service)
        server = HealthServer(health, arguments.health_host, arguments.health_port)
    except BarqueError as error:
        print(f"{service}: {error}", file=sys.stderr)
        return error.exit_code
    context = ServiceContext(service, arguments.instance, raw, common, health)
    log = structlog.get_logger()
    log.info("service_started", pid=os.getpid(), health_port=server.port)
    gc.collect()
    gc.freeze()  # what has been imported stays: looking through it takes tens of milliseconds, and an order may be waiting
    try:
        asyncio.run(_supervise(context, run))
    except BarqueError as error:
        log.error("service_failed", reason=str(error), disposition=error.disposition, exit_code=error.exit_code)
        return error.exit_code
    except Exception:
        log.exception("service_crashed", exit_code=1)
        return 1
    finally:
        server.close()
    log.info("service_stopped")
    return 0


async def _supervise(context: ServiceContext, run: Run) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, context.stop.set)
    beat = asyncio.create_task(_beat(context.health))
    work = asyncio.create_task(run(context))
    stopping = asyncio.create_task(context.stop.wait())
    try:
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait((work,), timeout=DRAIN_S)
        if work.done():
            work.result()
    finally:
        for task in (beat, stopping, work):
            task.cancel()
        await asyncio.gather(beat, stopping, work, return_exceptions=True)


async def _beat(health: Health) -> None:
    while True:
        health.beat()
        await asyncio.sleep(1.0)


def _arguments(service: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {service.replace('-', '_')}")
    parser.add_argument("--config", type=Path, default=Path("barque.toml"), help="the configuration file")
    parser.add_argument("--health-host", default="127.0.0.1", help="address of /healthz, /readyz and /metrics")
    parser.add_argument("--health-port", type=int, default=0, help="its port; 0: any free one, see the log")
    parser.add_argument("--instance", default=f"{service}@{socket.gethostname()}:{os.getpid()}", help="name of this process")
    return parser.parse_args()
