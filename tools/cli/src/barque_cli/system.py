"""A whole book on this machine: embedded servers if asked for, then every service as a process. Used by demo, up and tests.

In:   a configuration file.   Out: running processes, their health, and an orderly end.
Not:  changes to the configuration file: where the embedded servers are is told through the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig, PostgresConfig, RedisConfig, load_common, read_file
from barque.embedded.postgres import EmbeddedPostgres
from barque.embedded.process import free_port
from barque.embedded.valkey import EmbeddedValkey
from barque.errors import BusUnavailable
from barque.postgres.migrate import migrate
from barque.postgres.pool import connect_one
from barque.postgres.seed import seed
from barque_cli.composition import BROKER_FEEDS, SERVICES, ServiceSpec, services_of
from barque_cli.supervisor import Child, Supervisor

Progress = Callable[[str], None]


class System:
    """Servers and services of one book."""

    def __init__(
        self,
        config_path: Path,
        folder: Path,
        services: Sequence[ServiceSpec] | None = None,
        embedded: bool = True,
        environment: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        """`folder` holds logs and, where `embedded`, the servers' data. `services`: else those that the configuration needs.
        `durable`: as of `EmbeddedPostgres`."""
        self.config_path = config_path
        self.folder = folder
        self.services = services_of(read_file(config_path, os.environ)) if services is None else services
        self.valkey = EmbeddedValkey(folder / "valkey") if embedded else None
        self.postgres = EmbeddedPostgres(folder / "postgres", durable=durable) if embedded else None
        self.environment: dict[str, str] = dict(environment or {})
        self.supervisor = Supervisor()

    # -- configuration ------------------------------------------------------------------------------------------------

    def common(self) -> CommonConfig:
        """The configuration as the services see it."""
        return load_common(read_file(self.config_path, {**os.environ, **self.environment}))

    def bus(self) -> RedisBus:
        """A bus on this book."""
        common = self.common()
        return RedisBus.open(common.redis, common.book.name, common.book.lockstep)

    # -- start --------------------------------------------------------------------------------------------------------

    def start_servers(self, progress: Progress = lambda _: None) -> None:
        """Valkey, Postgres, schema and book."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.valkey is not None:
            progress("starting Valkey")
            self._point_at_redis(self.valkey.start())
        if self.postgres is not None:
            progress("starting Postgres")
            self._point_at_postgres(self.postgres.start())
        if self.environment:
            self._tell_other_terminals()
        progress("preparing the database")
        asyncio.run(self.prepare())

    async def prepare(self) -> None:
        """Migrate and seed; raises `BusUnavailable` where a store is away."""
        common = self.common()
        connection = await connect_one(common.postgres)
        bus = await RedisBus.connect(common.redis, common.book.name)
        try:
            await migrate(connection)
            await seed(connection, bus, common)
        finally:
            await bus.close()
            await connection.close()

    def start_services(self, progress: Progress = lambda _: None) -> None:
        """Every service as a process of its own."""
        for spec in self.services:
            progress(f"starting {spec.name}")
            self.start_service(spec)

    def start_service(self, spec: ServiceSpec, instance: str = "") -> Child:
        """One more process of a service, under `instance` (its name where there is only one)."""
        name, port = instance or spec.name, free_port()
        child = Child(
            name,
            spec.command(self.config_path, port, name),
            self.folder / "logs" / f"{name}.log",
            health_port=port,
            environment=self.environment,
        )
        self.supervisor.start(child)
        return child

    def wait_ready(
        self, timeout_s: float = 60.0, progress: Progress = lambda _: None, go_on: Callable[[], None] = lambda: None
    ) -> None:
        """Until every service says that it is ready; raises `BusUnavailable` with the reason where one does not, and what `go_on`
        raises, which is called all the while."""
        deadline = time.monotonic() + timeout_s
        waiting = {child.name: "starting" for child in self.supervisor.children if child.health_port}
        while waiting:
            go_on()
            for child in self.supervisor.children:
                if child.given_up:
                    raise BusUnavailable(f"{child.name} ended: {child.reason()} (log: {child.log_path})")
                if child.name in waiting:
                    reason = readiness(child.health_port)
                    if reason:
                        waiting[child.name] = reason
                    else:
                        del waiting[child.name]
                        progress(f"{child.name} is ready")
            if time.monotonic() > deadline:
                raise BusUnavailable("; ".join(f"{name}: {reason}" for name, reason in waiting.items()))
            time.sleep(0.05)

    # -- faults and end -----------------------------------------------------------------------------------------------

    def crash_valkey(self) -> None:
        """Kill Valkey and start it again on the same port with the same data."""
        if self.valkey is not None:
            self.valkey.process.kill()
            self.valkey.start()

    def crash_postgres(self) -> None:
        """Kill Postgres and start it again on the same port with the same data."""
        if self.postgres is not None:
            self.postgres.process.kill()
            self.postgres.start()

    def stop(self) -> None:
        """Services first, then the servers."""
        self.supervisor.stop()
        if self.postgres is not None:
            self.postgres.stop()
        if self.valkey is not None:
            self.valkey.stop()

    @property
    def environment_file(self) -> Path:
        """What another terminal sources, to reach the embedded servers with `barque status` and the like."""
        return self.folder / "environment"

    def _tell_other_terminals(self) -> None:
        settings = {"BARQUE_CONFIG": str(self.config_path), **self.environment}
        if "BARQUE__GATEWAY__TOKEN_FILE" in settings:
            settings["BARQUE_TOKEN_FILE"] = settings["BARQUE__GATEWAY__TOKEN_FILE"]
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items())]
        self.environment_file.write_text("".join(lines), encoding="utf-8")

    def _point_at_redis(self, config: RedisConfig) -> None:
        self.environment["BARQUE__REDIS__URL"] = config.url
        self.environment["BARQUE__REDIS__PASSWORD_FILE"] = str(config.password_file)

    def _point_at_postgres(self, config: PostgresConfig) -> None:
        self.environment["BARQUE__POSTGRES__URL"] = config.url
        self.environment["BARQUE__POSTGRES__PASSWORD_FILE"] = str(config.password_file)


def readiness(port: int) -> str:
    """Why the service at a health port is not ready; empty where it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return ""
    except urllib.error.HTTPError as error:
        with suppress(ValueError):
            return "; ".join(json.load(error)["reasons"].values())
        return f"HTTP {error.code}"
    except OSError:
        return "not answering"


def only(*names: str) -> tuple[ServiceSpec, ...]:
    """Some of the services, in the usual order."""
    return tuple(spec for spec in (*SERVICES, *BROKER_FEEDS) if spec.name in names)
