"""The diagram in the guide to senders is the table of states."""

from __future__ import annotations

import re
from pathlib import Path

from router.core.lifecycle import TABLE, OrderEvent

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "senders.md"


def test_the_diagram_draws_each_row_of_the_table_but_that_a_fill_makes_whole() -> None:
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", diagram, re.MULTILINE)
    drawn = {(before, event, to) for before, to, events in arrows for event in events.split(", ")}
    table = {
        (before.value, event.value, to.value)
        for (before, event), to in TABLE.items()
        if before is not to and event is not OrderEvent.FILLED
    }
    assert drawn == table
