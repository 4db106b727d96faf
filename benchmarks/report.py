"""What was measured, on a terminal and as `docs/benchmarks.md`."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from barque.embedded.valkey import server_binary
from benchmarks.figures import Budget, Result

LIBRARIES = ("hiredis", "msgspec", "asyncpg", "faststream", "redis")
HOW_TO_READ = """\
Absolute figures belong to the machine; ratios are taken within one run, variants in turn, median of five rounds. Clients and
servers share the cores. A round trip costs two to three times as much where client and server sit on different cores, so
the same figure may come out in two heights from run to run. `published` is when the writer stamped the entry, just before
it committed; `seen by a reader` is when a process that only reads had it, so the commit is over by then.
"""


def print_results(console: Console, results: Sequence[Result]) -> None:
    """Every table, then the budgets."""
    for result in results:
        for table in result.tables:
            console.print(_rich(f"{result.name}: {table.title}", table.columns, table.rows))
    budgets = _budgets(results)
    if budgets:
        console.print(_rich("Budgets", ("", "wanted", "measured", "", "held by"), _budget_rows(budgets)))


def write_report(path: Path, results: Sequence[Result], seconds: float) -> None:
    """The page, whole."""
    lines = ["# Benchmarks", "", "Written by `make bench`; do not edit.", "", *_markdown(("", ""), _machine(seconds)), ""]
    lines += ["## Budgets", "", *_markdown(("", "wanted", "measured", "", "what holds it"), _budget_rows(_budgets(results))), ""]
    lines += ["## How to read this", "", HOW_TO_READ]
    for result in results:
        lines += [_heading(result), "", *_section(result)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def update_report(path: Path, result: Result, seconds: float) -> None:
    """One section of the page anew, with its own budgets and when it was measured; the rest stays."""
    page = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    head, *sections = page.split("\n## ")
    lines = [f"Measured by itself, {_when(seconds)}, commit {_commit()}, Python {platform.python_version()}.", ""]
    lines += [*_markdown(("", "wanted", "measured", "", "what holds it"), _budget_rows(result.budgets)), "", *_section(result)]
    text = "\n".join([_heading(result), "", *lines]).removeprefix("## ").rstrip() + "\n"
    title = text.partition("\n")[0]
    others = [section for section in sections if section.partition("\n")[0] != title]
    path.write_text("\n## ".join(part.rstrip() + "\n" for part in (head, *others, text)), encoding="utf-8")


def _heading(result: Result) -> str:
    return f"## {result.name.capitalize()}"


def _section(result: Result) -> list[str]:
    lines = [result.about, ""]
    for table in result.tables:
        lines += [f"**{table.title}**", "", *_markdown(table.columns, table.rows), ""]
    return lines + [f"- {note}" for note in result.notes] + ([""] if result.notes else [])


def _budgets(results: Sequence[Result]) -> list[Budget]:
    return [budget for result in results for budget in result.budgets]


def _budget_rows(budgets: Iterable[Budget]) -> list[tuple[str, ...]]:
    return [(b.what, b.wanted, b.measured, "met" if b.met else "**missed**", "" if b.met else b.holds) for b in budgets]


def _machine(seconds: float) -> list[tuple[str, str]]:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        ("Machine", f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}"),
        ("Python", platform.python_version()),
        ("Valkey", _valkey_version()),
        ("Libraries", libraries),
        ("Commit", _commit()),
        ("Date", _when(seconds)),
    ]


def _when(seconds: float) -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {seconds:.0f} s"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _valkey_version() -> str:
    said = subprocess.run([server_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return next((word.partition("=")[2] for word in said.split() if word.startswith("v=")), said.strip())


def _commit() -> str:
    root = Path(__file__).resolve().parent
    asked = [("git", "rev-parse", "--short", "HEAD"), ("git", "status", "--porcelain", "--", ":(top)", ":(top,exclude)docs")]
    said = [subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip() for command in asked]
    return (said[0] or "unknown") + (" and changes not committed" if said[1] else "")


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ["---"] + ["---:" if _is_figure(table_column) else "---" for table_column in columns[1:]]
    return [_line(columns), _line(marks), *(_line(row) for row in rows)]


def _is_figure(column: str) -> bool:
    return column not in ("", "what holds it")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rich(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> RichTable:
    table = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index and _is_figure(column) and column != "held by" else "left")
    for row in rows:
        table.add_row(*(cell.replace("**", "") for cell in row))
    return table
