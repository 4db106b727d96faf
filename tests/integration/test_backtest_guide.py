"""The guide to backtests, followed to the letter: its commands run in order and print what it says, to the services."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from barque.embedded.process import free_port
from tests.support.books import wait_until
from tests.support.data import ROOT

GUIDE = (ROOT / "docs" / "guides" / "backtest.md").read_text(encoding="utf-8")
UP = "barque up --embedded"
FILES = {"python": "make_bars.py", "toml": "barque.toml"}
"""Where the first block of a language is to be saved."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of each block, in order."""
    return ((match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


def environment() -> dict[str, str]:
    """An active environment and a wide terminal; the page at a free port."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "100", "BARQUE__GATEWAY__PORT": str(free_port())}


def shell(commands: list[str], folder: Path, settings: dict[str, str]) -> str:
    """What the commands print; they must succeed."""
    done = subprocess.run(commands, cwd=folder, env=settings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{commands[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def words(text: str) -> list[list[str]]:
    """Lines of words: how wide a table is set does not matter."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_guide_works_when_it_is_followed_to_the_letter(tmp_path: Path) -> None:
    settings, printed, compared, saved = environment(), "", 0, set[str]()
    before, _, after = GUIDE.partition(f"```sh\n{UP}\n```")
    for language, content in blocks(before):
        if language in FILES and language not in saved:
            saved.add(language)
            (tmp_path / FILES[language]).write_text(content, encoding="utf-8")
        elif language == "text":
            assert words(printed) == words(content)
            compared += 1
        else:
            run = ["bash", "-euc", content] if language == "sh" else [sys.executable, "-c", content]
            printed = shell(run, tmp_path, settings)
    assert compared == 5
    assert (tmp_path / "first" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "sweep" / "sweep.html").is_file()
    ((_, second_terminal),) = blocks(after)
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(UP.split(), cwd=tmp_path, env=settings, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        feed_log = tmp_path / ".barque" / "up" / "logs" / "feed-replay.log"
        wait_until(lambda: feed_log.is_file() and "replay_finished" in feed_log.read_text(), 150, "the end of the replay")
        said = shell(["bash", "-euc", second_terminal], tmp_path, settings)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, (tmp_path / "up.log").read_text()
    assert said.splitlines()[-1] == "equal"
    assert ["fills", "4", "4", "4", "0", "0", "0"] in words(said)
