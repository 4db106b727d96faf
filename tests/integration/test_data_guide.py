"""The guide to market data, followed to the letter: its commands run in order, and print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from barque.config import load_section, read_file
from feed_replay.config import FeedReplayConfig
from feed_replay.shell.files import recording_of
from portfolio.config import PortfolioConfig
from tests.support.data import ROOT

GUIDE = (ROOT / "docs" / "guides" / "data.md").read_text(encoding="utf-8")


def blocks() -> Iterator[tuple[str, str]]:
    """(language, content) of each block, in order."""
    return ((match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL))


def shell(commands: str, folder: Path) -> str:
    """What the commands print on either stream; they must succeed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}"
    return done.stdout


def words(text: str) -> list[list[str]]:
    """Lines of words; how wide a table is set does not matter, nor how large a file is."""
    return [re.sub(r"[\d.]+ k?B\s*$", "", line).split() for line in text.splitlines() if line.strip()]


def test_the_guide_works_when_it_is_followed_to_the_letter(tmp_path: Path) -> None:
    printed, compared, toml = "", 0, []
    for language, content in blocks():
        if language == "sh":
            printed = shell(content, tmp_path)
        elif language == "python":
            printed = shell(f"python - <<'END'\n{content}END\n", tmp_path)
            assert printed.splitlines()[-1] == "EURUSD.1m.bid.1399032000000000000"
        elif language == "toml":
            toml.append(content)
        elif content.startswith("archive/"):
            files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("archive/**/*.parquet"))
            assert files == content.split()
        else:
            assert words(printed) == words(content)
            compared += 1
    assert compared == 7
    (tmp_path / "barque.toml").write_text("\n".join(toml))
    raw = read_file(tmp_path / "barque.toml", {})
    archive = load_section(raw, "portfolio", PortfolioConfig).archive
    assert archive is not None
    assert archive.path == tmp_path / "archive"
    (file,) = load_section(raw, "feed_replay", FeedReplayConfig).files
    assert next(bar.id for row in recording_of(file) for bar in row) == "EURUSD.1m.bid.1399032000000000000"
