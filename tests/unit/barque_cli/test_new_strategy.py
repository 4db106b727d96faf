"""A new strategy's skeleton works before a line of it is changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from barque.errors import ConfigError
from barque_cli.new_strategy import write

ROOT = Path(__file__).resolve().parents[3]


def pytest_on(package: Path, tests: Path) -> None:
    """Its own test, in a process that can import it."""
    code = f"import sys; sys.path.insert(0, {str(package / 'src')!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--import-mode=importlib", f"--rootdir={tests}", "-W", "error"]
    done = subprocess.run([sys.executable, "-c", code, *options, str(tests)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_strategy_in_a_folder_of_its_own_passes_its_test(tmp_path: Path) -> None:
    written = write("opening_range", tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in written} == {
        "opening_range/pyproject.toml",
        "opening_range/README.md",
        "opening_range/src/opening_range/__init__.py",
        "opening_range/src/opening_range/strategy.py",
        "opening_range/src/opening_range/py.typed",
        "opening_range/tests/test_opening_range.py",
    }
    project = tomllib.loads((tmp_path / "opening_range" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["barque.strategies"] == {"opening_range": "opening_range:OpeningRange"}
    pytest_on(tmp_path / "opening_range", tmp_path / "opening_range" / "tests")


def test_a_strategy_in_the_workspace_is_checked_like_the_others(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("libs", "services"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    write("night_owl", tmp_path)
    tools = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]
    assert "strategies/night_owl/src" in tools["mypy"]["mypy_path"].split(":")
    rules = tools["importlinter"]
    assert "night_owl" in rules["root_packages"]
    layers, strategies = rules["contracts"][0]["layers"], rules["contracts"][1]["source_modules"]
    assert any("night_owl" in layer.split(" | ") and "gotobi" in layer for layer in layers)
    assert "night_owl" in strategies
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "strategies", "tests"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", "Bad", "1st", "a-b", "class", "a__b", "ä"])
def test_what_cannot_be_a_name_is_refused_with_an_example(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="opening_range"):
        write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["gotobi", "json"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="already"):
        write(name, tmp_path)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    write("night_owl", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="exists"):
        write("night_owl", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_workspace_whose_lists_are_not_found_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "barque-workspace"\n')
    with pytest.raises(ConfigError, match="by hand"):
        write("night_owl", tmp_path)
    assert not (tmp_path / "strategies").exists()
