"""The guide "Your first strategy in ten minutes", followed to the letter: its files written, its commands run, in order."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from barque.embedded.process import free_port
from barque.messages import Bar
from barque.strategy import SMA, Strategy
from tests.support.books import wait_until
from tests.support.builders import T0, a_bar
from tests.support.data import ROOT
from tests.support.hosting import alerts, equity, feed, hosted

GUIDE = (ROOT / "docs" / "guides" / "first-strategy.md").read_text(encoding="utf-8")
UP = "barque up --embedded"


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """(language, the file it is to be written to or "", content) of each block, in order."""
    for match in re.finditer(r"(?:`(\S+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        yield match[2], match[1] or "", match[3]


def environment() -> dict[str, str]:
    """An active environment; the page at a free port, so that nothing else on this machine is in the way."""
    binaries = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "BARQUE__GATEWAY__PORT": str(free_port())}


def shell(commands: str, folder: Path, settings: Mapping[str, str]) -> str:
    """What the commands print; each must succeed."""
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running(command: str, folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """A command that goes on until Ctrl-C."""
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command.split(), cwd=folder, env=settings, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: (folder / ".barque" / "up" / "environment").is_file(), 60, "the file for other terminals")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, (folder / "up.log").read_text()


def test_the_guide_works_when_it_is_followed_to_the_letter(tmp_path: Path) -> None:
    until_package = GUIDE.partition("## What else there is")[0]
    settings, folder, printed = environment(), tmp_path, list[str]()
    steps = list(blocks(until_package))
    assert [name for _, name, _ in steps if name] == ["breakout.py", "test_breakout.py", "walk.py"]
    at_up = next(i for i, (_, _, content) in enumerate(steps) if content.strip() == UP)
    for language, name, content in steps[:at_up]:
        if name:
            (folder / name).write_text(content, encoding="utf-8")
        elif language == "toml":
            with (folder / "barque.toml").open("a", encoding="utf-8") as file:
                file.write("\n" + content)
        else:
            printed.append(shell(content, folder, settings))
    assert any("length" in text and "Bars of the range. (integer, at least 1)" in text for text in printed)
    assert any("1 passed" in text for text in printed)
    assert "breakout-eurusd" in (folder / "report" / "report.html").read_text(encoding="utf-8")
    ((_, _, second_terminal),) = steps[at_up + 1 :]
    with running(UP, folder, settings):
        watch = second_terminal.replace("barque status", "barque status --json")
        assert watch != second_terminal

        def status() -> dict[str, object]:
            return dict(json.loads(shell(watch, folder, settings)))

        def traded() -> bool:
            return "breakout-eurusd" in json.dumps(status().get("positions", ""))

        wait_until(lambda: "strategy.breakout-eurusd" in json.dumps(status()), 60, "the node", every_s=1.0)
        wait_until(traded, 120, "a trade", every_s=1.0)
        assert "strategy.breakout-eurusd" in shell(second_terminal, folder, settings)


# ---- the table of what else there is

_ROW = re.compile(r"^\| [^|]+ \| (.+) \|$", flags=re.MULTILINE)


def snippets() -> list[str]:
    """Every piece of code of the table that speaks of the strategy itself."""
    table = GUIDE.partition("## What else there is")[2].partition("##")[0]
    return [code for row in _ROW.findall(table) for code in re.findall(r"`(self\.[^`]+)`", row)]


def test_what_else_there_is_can_be_written_as_it_stands() -> None:
    found = snippets()
    declared = [code for code in found if re.match(r"self\.(cron|watch_account|average = )", code)]
    said = [code for code in found if code not in declared]
    assert (len(declared), len(said)) == (3, 10)

    class Guided(Strategy):
        def setup(self) -> None:
            for code in declared:
                exec(code, {"self": self, "SMA": SMA})  # noqa: S102 (the guide's own text)

        def on_bar(self, bar: Bar) -> None:
            order = type("Order", (), {"order_id": "o1"})
            for code in said:
                exec(code, {"self": self, "bar": bar, "order": order})  # noqa: S102

    node = hosted(Guided)
    outputs = feed(node, equity(), a_bar(T0))
    assert [alert.name for alert in alerts(outputs)] == ["strategy_notice"]
    kinds = [type(message).__name__ for _, message in outputs]
    assert kinds == [*["Signal"] * 5, "ModifyRequest", "CancelRequest", "Alert"]
