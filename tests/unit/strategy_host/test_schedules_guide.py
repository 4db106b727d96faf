"""The guide to schedules: every declaration of its table, and its examples, do what it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.messages import Signal
from barque.strategy import Cron, Strategy
from strategy_host.core.node import StrategyNode
from tests.support.builders import clock, eurusd
from tests.support.data import ROOT

NS = 10**9
GUIDE = (ROOT / "docs" / "guides" / "schedules.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(self\..+)` \| (.+) \|$", GUIDE, re.MULTILINE)
SPY = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"), calendar="XNYS")


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def a_node(kind: type[Strategy]) -> StrategyNode:
    return StrategyNode(StrategyConfig(id="s1", strategy="x:Y", symbols=("SPY", "EURUSD")), kind, [SPY, eurusd()])


def examples() -> dict[str, Any]:
    """What the guide's Python defines."""
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
        exec(compile(block, "schedules.md", "exec"), found)  # noqa: S102 (our own guide)
    return found


@pytest.mark.parametrize(("declaration", "expected"), ROWS)
def test_a_declaration_of_the_table_runs_when_the_table_says(declaration: str, expected: str) -> None:
    ran: list[str] = []

    class Declared(Strategy):
        def setup(self) -> None:
            eval(declaration, {"self": self})  # noqa: S307 (our own guide)

        def on_schedule(self, name: str) -> None:
            ran.append(f"{datetime.fromtimestamp(self.scheduled_for(name) / NS, UTC):%d %H:%M:%S}".removesuffix(":00"))

    node = a_node(Declared)
    for moment in range(at("2013-11-27"), at("2013-12-01"), 30 * NS):
        node.handle(clock(moment))
    assert ran == ([] if expected.startswith("none") else expected.split(", "))


def test_the_table_has_every_verb() -> None:
    verbs = {re.match(r"self\.(\w+)\(", declaration)[1] for declaration, _ in ROWS}  # type: ignore[index]
    assert verbs == {"daily", "cron", "every", "at_open", "at_close", "pre_market", "after_hours", "month_end", "quarter_end"}


def test_the_quarter_ends_when_the_table_says() -> None:
    node = a_node(type("Quarterly", (Strategy,), {"setup": lambda self: self.quarter_end("x", "SPY")}))
    node.handle(clock(at("2013-11-30")))
    assert node._strategy._barque.schedules["x"].due_ns == at("2013-12-31T21:00:00")


def test_the_first_example_holds_over_night() -> None:
    node = a_node(examples()["EndOfDay"])
    moments = [at("2013-11-26T23:00") + n * 600 * NS for n in range(6 * 24 * 4)]
    signals = [said for moment in moments for _, said in node.handle(clock(moment)) if isinstance(said, Signal)]
    assert [(f"{datetime.fromtimestamp(s.ts_event_ns / NS, UTC):%d %H:%M}", s.target) for s in signals] == [
        ("27 14:40", 0),
        ("27 20:50", 100),
        ("29 14:40", 0),
        ("29 17:50", 100),
    ]


def test_the_second_example_counts_the_nights_that_were_missed() -> None:
    node = a_node(examples()["Interest"])
    node.handle(clock(at("2013-11-27")))
    node.handle(clock(at("2013-12-03T12:00")))
    nights = [f"{datetime.fromtimestamp(night / NS, UTC):%d %H}" for night in node._strategy.state.nights]  # type: ignore[attr-defined]
    assert nights == ["27 22", "28 22", "29 22", "02 22"]


def test_the_message_for_a_wrong_expression_is_the_one_that_is_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        Cron("0 9 30 * * MON-FRI", "UTC")
    assert str(refused.value) in GUIDE
