"""Each alert that the sources can send has a page in docs/runbooks, and the index has each page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
PARTS = ("What you see", "Check", "Do", "Undo")


def alerts_in(path: Path) -> Iterator[str]:
    """Names given to `Alert(name=…)`, `alert(…)` and `_alert(…)`; one that is no literal must come through one of the latter."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {id(node): f.name for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("alert", "_alert"):
            name: ast.expr | None = node.args[0]
        elif called == "Alert":
            name = next(keyword.value for keyword in node.keywords if keyword.arg == "name")
        else:
            continue
        if isinstance(name, ast.Constant):
            yield str(name.value)
        else:
            assert within.get(id(node)) in ("alert", "_alert"), f"{path}:{node.lineno}: an alert without a fixed name"


@cache
def emitted() -> set[str]:
    sources = [path for folder in ("libs", "services", "strategies", "tools") for path in ROOT.glob(f"{folder}/*/src/**/*.py")]
    return {name for path in sources for name in alerts_in(path)}


def test_every_alert_has_a_page() -> None:
    assert "book_stopped" in emitted()
    missing = {name for name in emitted() if not (RUNBOOKS / f"{name}.md").is_file()}
    assert not missing


def test_a_page_says_what_you_see_what_to_check_what_to_do_and_how_to_undo_it() -> None:
    for name in emitted():
        text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
        assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == PARTS, name


def test_the_index_has_every_page_and_every_page_is_an_alert_or_said_to_be_none() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    alerts, _, others = index.partition("## Not alerts")
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert {name for name in pages if f"({name}.md)" in alerts} == emitted()
    assert {name for name in pages if f"({name}.md)" in others} == pages - emitted()
