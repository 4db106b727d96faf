"""A child process that is started, watched and ended by its id; nothing else is ever killed."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from barque.errors import BusUnavailable

PORTS = range(15_000, 32_000)
"""Below those that a system gives to outgoing connections: of these one may be taken before whoever asked has opened it."""


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago; raises `BusUnavailable` where there is none."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BusUnavailable("100 ports between 15000 and 32000 were tried, and all are in use: which process holds them?")


def password_in(folder: Path) -> Path:
    """A server's folder, for nobody else to look into, and the file with its password; both made when not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    return path


class ChildProcess:
    """One server: its command, log file and process."""

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self._command = list(command)
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; raises where it was not started."""
        if self._process is None:
            raise BusUnavailable(f"{self.name} has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start it; its output goes to the log file."""
        with self._log_path.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.running():
            os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 10.0) -> None:
        """Ask it to end, and make it end after `timeout_s`."""
        if self._process is None:
            return
        if self.running():
            os.kill(self.pid, number)
            try:
                self._process.wait(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def wait_for_port(self, port: int, timeout_s: float = 15.0) -> None:
        """Until the port answers; raises `BusUnavailable` with the log's last line where the process ends first."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.running():
                raise BusUnavailable(f"{self.name} ended at once: {self.last_line()} (log: {self._log_path})")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise BusUnavailable(f"{self.name} did not answer on port {port} within {timeout_s:.0f} s (log: {self._log_path})")

    def last_line(self) -> str:
        """The last line of its log."""
        try:
            lines = self._log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "no log"
        return lines[-1] if lines else "no output"
