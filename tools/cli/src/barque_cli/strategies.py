"""`barque strategies`: which strategies are installed, and what each can be told.

In:   names, or none for every installed one.   Out: a table per strategy, or JSON.
Not:  which of them a book runs; that is `barque config check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barque.errors import BarqueError
from barque.strategy import ParamDescription, describe_params
from strategy_host.core.loading import GROUP, load_strategy


@dataclass(frozen=True)
class Description:
    """One strategy."""

    name: str
    summary: str
    """First line of its docstring."""
    params: tuple[ParamDescription, ...] = ()
    fault: str = ""
    """Why it cannot be loaded."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        found: dict[str, Any] = {"name": self.name, "summary": self.summary, "params": [p._asdict() for p in self.params]}
        return found | ({"fault": self.fault} if self.fault else {})


def describe(names: Sequence[str]) -> list[Description]:
    """The strategies of these names, which may be `module:Class`; without any, every installed one, also those that cannot be
    loaded. Raises `ConfigError` for a name that means nothing."""
    if names:
        return [_describe(name) for name in names]
    return [_described_or_faulty(point.name) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]


def show(console: Console, found: Sequence[Description]) -> None:
    """For people."""
    if not found:
        console.print("no strategy is installed; a package offers one as an entry point of group `barque.strategies`")
    for each in found:
        console.print(f"[bold]{each.name}[/bold]  {escape(each.summary)}", highlight=False)
        if each.fault:
            console.print(f"  [red]{escape(each.fault)}[/red]")
            continue
        table = Table(box=None, padding=(0, 2), header_style="dim")
        table.add_column("parameter", no_wrap=True)
        table.add_column("default", overflow="fold")
        table.add_column("meaning")
        for param in each.params:
            table.add_row(param.name, escape(param.default) or "required", escape(f"{param.meaning} ({param.type})".strip()))
        console.print(table if each.params else "  no parameters")


def _describe(name: str) -> Description:
    cls = load_strategy(name)
    return Description(name, (cls.__doc__ or "").strip().partition("\n")[0], describe_params(cls))


def _described_or_faulty(name: str) -> Description:
    try:
        return _describe(name)
    except BarqueError as error:
        return Description(name, "", fault=str(error))
