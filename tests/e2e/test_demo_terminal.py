"""`barque demo` at a terminal, as a person sees it: the live figures, and Ctrl-C at any moment."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "barque_cli.main", *arguments]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        os.set_blocking(ours, False)
        self._file = ours
        self.text = ""

    def read(self) -> None:
        try:
            while piece := os.read(self._file, 65_536):
                self.text += STYLE.sub("", piece.decode(errors="replace"))
        except OSError:
            return

    def until(self, condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.read()
            assert time.monotonic() < deadline, self.text[-3000:]
            time.sleep(0.02)

    def ended(self) -> bool:
        return self.process.poll() is not None


def test_the_figures_are_drawn_until_the_end(tmp_path: Path) -> None:
    terminal = Terminal("demo", "--for", "4", "--port", "0", "--folder", str(tmp_path / "demo"))
    terminal.until(terminal.ended)
    terminal.read()
    assert terminal.process.returncode == 0, terminal.text[-3000:]
    for words in ("ready after", "running", "ticks", "alerts", "refused commits", "stopped; nothing is left running"):
        assert words in terminal.text


@pytest.mark.parametrize(
    "moment",
    ["starting router", *(pytest.param(when, marks=pytest.mark.slow) for when in ("starting Postgres", "barbuilder is ready"))],
)
def test_ctrl_c_while_it_starts_ends_it_at_once(moment: str, tmp_path: Path) -> None:
    terminal = Terminal("demo", "--port", "0", "--folder", str(tmp_path / "demo"))
    terminal.until(lambda: moment in terminal.text)
    children = psutil.Process(terminal.process.pid).children(recursive=True)
    began = time.monotonic()
    os.killpg(terminal.process.pid, signal.SIGINT)  # as a terminal does: the whole group
    terminal.until(terminal.ended)
    terminal.read()
    assert terminal.process.returncode == 130, terminal.text[-3000:]
    assert "stopped while starting; nothing is left running" in terminal.text
    assert time.monotonic() - began < 20
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
