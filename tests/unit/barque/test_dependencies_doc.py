"""Each direct dependency has a line in docs/dependencies.md, and each line a dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def name_of(requirement: str) -> str:
    """`redis[hiredis]>=8.1` -> `redis`."""
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert match is not None, requirement
    return match[0].lower().replace("_", "-")


def direct() -> set[str]:
    """Third-party names in every pyproject.toml: dependencies, extras, groups, build systems."""
    names: set[str] = set()
    ours: set[str] = set()
    for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("*/*/pyproject.toml"))]:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        project = data["project"]
        ours.add(name_of(project["name"]))
        lists = [
            project.get("dependencies", []),
            data.get("build-system", {}).get("requires", []),
            *project.get("optional-dependencies", {}).values(),
            *data.get("dependency-groups", {}).values(),
        ]
        names |= {name_of(requirement) for requirements in lists for requirement in requirements}
    return names - ours


def test_every_direct_dependency_is_listed_with_its_reason_and_nothing_else_is() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z0-9.-]+)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE))
    assert set(listed) == direct()
    assert all(len(reason.strip()) > 10 for reason in listed.values())
