"""Starts processes, restarts at once those that die, and ends exactly those that it started.

In:   commands.   Out: child processes with a log file each; how often each was restarted.
Not:  killing by name, restarting what ended for good (configuration, our own bug, forked history: exit codes 2, 3, 4).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOR_GOOD = (2, 3, 4)
BACKOFF_S = (0.0, 0.1, 0.3, 1.0, 2.0, 5.0)
STEADY_S = 10.0
"""After living this long a process has earned a prompt restart again."""
POLL_S = 0.02


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    command: Sequence[str]
    log_path: Path
    health_port: int = 0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    failures: int = 0
    started_at: float = 0.0
    not_before: float = 0.0
    given_up: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """True while the process lives."""
        return self.process is not None and self.process.poll() is None

    def last_line(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def reason(self) -> str:
        """What it said last, for people: of a line of its log the reason alone."""
        line = self.last_line()
        try:
            said = json.loads(line)
        except ValueError:
            return line
        if not isinstance(said, dict):
            return line
        return str(said.get("reason") or said.get("error") or said.get("event") or line)


class Supervisor:
    """Watches its children on a thread of its own, so that a restart never waits for anything else."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    @property
    def children(self) -> list[Child]:
        """All children, in order of start."""
        with self._lock:
            return list(self._children.values())

    def child(self, name: str) -> Child:
        """One child; raises KeyError."""
        return self._children[name]

    @property
    def restarts(self) -> int:
        """Restarts of all children so far."""
        return sum(child.restarts for child in self.children)

    def start(self, child: Child) -> None:
        """Start a child and watch it from now on."""
        with self._lock:
            self._children[child.name] = child
            _launch(child)
        if not self._thread.is_alive() and not self._stopping.is_set():
            self._thread.start()

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to one child, by its process id; returns the id."""
        process = self._children[name].process
        if process is None:
            raise ProcessLookupError(name)
        os.kill(process.pid, number)
        return process.pid

    def remove(self, name: str, timeout_s: float = 8.0) -> None:
        """End one child and watch it no more."""
        with self._lock:
            child = self._children.pop(name)
        _end([child], timeout_s)

    def stop(self, timeout_s: float = 8.0) -> None:
        """End every child: ask, wait, insist."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        _end(self.children, timeout_s)

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            with self._lock:
                for child in self._children.values():
                    self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.given_up or child.alive:
            return
        if child.process is not None:
            code = child.process.returncode
            child.process = None
            if code in FOR_GOOD:
                child.given_up = True
                return
            if now - child.started_at > STEADY_S:
                child.failures = 0
            child.not_before = now + BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
            child.failures += 1
        if now >= child.not_before:
            child.restarts += 1
            _launch(child)


def _launch(child: Child) -> None:
    child.log_path.parent.mkdir(parents=True, exist_ok=True)
    with child.log_path.open("ab") as out:
        child.process = subprocess.Popen(  # noqa: S603 (our own command)
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **child.environment},
        )
    child.started_at = time.monotonic()


def _end(children: Sequence[Child], timeout_s: float) -> None:
    living = [child.process for child in children if child.process is not None and child.alive]
    for process in living:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    deadline = time.monotonic() + timeout_s
    for process in living:
        try:
            process.wait(timeout=max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
