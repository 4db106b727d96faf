"""A strategy that rebalances at the end of each trading day, over Thanksgiving 2013: a holiday and a half day.

Two stocks of the New York exchange, half of 100,000 USD each; A rises by 10 a day, B stays at 50. Ten minutes before the close,
that is at 20:50 UTC and on Friday the 29th, a half day, at 17:50, it asks for 50,000 / price. By hand, whole shares:

    day            price of A    shares of A       traded
    Tuesday 26     100           500               +500
    Wednesday 27   110           454 (454.5)        -46
    Friday 29      120           416 (416.7)        -38
    Monday 2       130           384 (384.6)        -32

and 1,000 shares of B on the first day, nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from barque.bus.memory import MemoryRunner
from barque.config import read_file
from barque.messages import Bar, ClockTicked, Fill, Message, Signal, Topic
from barque.node import Node, Output
from barque_backtest import nodes
from tests.support.configs import FREE

NS = 10**9
STEP_NS = 600 * NS

SESSIONS = [
    ("2013-11-26", "14:30", "21:00", 100.0),
    ("2013-11-27", "14:30", "21:00", 110.0),
    ("2013-11-29", "14:30", "18:00", 120.0),
    ("2013-12-02", "14:30", "21:00", 130.0),
]

CONFIG = f"""
[book]
name = "rebalance"
clock = "feed"
lockstep = true

[feed_replay]
source = "files"

[[instruments]]
symbol = "A"
asset_class = "stock"
currency = "USD"
tick_size = "0.01"
calendar = "XNYS"

[[instruments]]
symbol = "B"
asset_class = "stock"
currency = "USD"
tick_size = "0.01"
calendar = "XNYS"

[[strategies]]
id = "halves"
strategy = "tests.support.scheduled:Rebalance"
symbols = ["A", "B"]
interval = "10m"
params = {{ capital = "100000", weights = {{ A = "0.5", B = "0.5" }} }}
{FREE}
[router.limits]
max_position = "2000"
max_order_quantity = "2000"

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "100000"
"""


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def instants() -> Iterator[tuple[int, list[Bar]]]:
    """Every ten minutes of a week, with the bars that close then."""
    prices: dict[int, float] = {}
    for day, opens, closes, price in SESSIONS:
        prices |= dict.fromkeys(range(at(f"{day}T{opens}") + STEP_NS, at(f"{day}T{closes}") + 1, STEP_NS), price)
    for moment in range(at("2013-11-26T12:00"), at("2013-12-03T00:00"), STEP_NS):
        price_of_a = prices.get(moment)
        yield moment, [] if price_of_a is None else [a_bar("A", moment, price_of_a), a_bar("B", moment, 50.0)]


def a_bar(symbol: str, closes_ns: int, price: float) -> Bar:
    """Ten minutes at one price."""
    return Bar(
        symbol=symbol,
        interval="10m",
        price="last",
        ts_open_ns=closes_ns - STEP_NS,
        ts_close_ns=closes_ns,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=100_000.0,
    )


@dataclass
class Restarted:
    """A node that is thrown away after every message and made anew from its bytes."""

    node: Node
    spare: Node

    def __post_init__(self) -> None:
        self.name, self.rank, self.inputs, self.order_path = (
            self.node.name,
            self.node.rank,
            self.node.inputs,
            self.node.order_path,
        )

    def handle(self, message: Message) -> list[Output]:
        said = list(self.node.handle(message))
        self.spare.restore(self.node.snapshot())
        self.node, self.spare = self.spare, self.node
        return said

    def snapshot(self) -> bytes:
        return self.node.snapshot()

    def restore(self, blob: bytes) -> None:
        self.node.restore(blob)


def run(folder: Path, restarted: bool, away: tuple[str, str] | None = None) -> list[tuple[Topic, Message]]:
    """What is said on the topics of orders; `away`: from when until when nothing is published."""
    path = folder / "barque.toml"
    path.write_text(CONFIG, encoding="utf-8")
    raw, heard = read_file(path, {}), []
    book = [Restarted(one, other) for one, other in zip(nodes.make_all(raw), nodes.make_all(raw), strict=True)]
    runner = MemoryRunner(
        book if restarted else nodes.make_all(raw), lambda source, topic, message: heard.append((topic, message))
    )
    for moment, bars in instants():
        if away is None or not at(away[0]) <= moment < at(away[1]):
            runner.publish("feed", [(Topic.CLOCK, ClockTicked(now_ns=moment)), *((Topic.BARS, bar) for bar in bars)])
    return heard


def asked(said: list[tuple[Topic, Message]]) -> list[tuple[str, str, Decimal | None]]:
    """When which position is wished for."""
    signals = [message for _, message in said if isinstance(message, Signal)]
    return [(f"{datetime.fromtimestamp(s.ts_event_ns / NS, UTC):%d %H:%M}", s.symbol, s.target) for s in signals]


def traded(said: list[tuple[Topic, Message]]) -> list[tuple[str, str, Decimal, Decimal]]:
    """On which day what was filled at which price."""
    fills = [message for _, message in said if isinstance(message, Fill)]
    days = [datetime.fromtimestamp(fill.ts_event_ns / NS, UTC) - timedelta(minutes=1) for fill in fills]
    return [(f"{day:%d}", fill.symbol, fill.signed_quantity, fill.price) for day, fill in zip(days, fills, strict=True)]


@pytest.mark.parametrize("restarted", [False, True])
def test_positions_follow_the_weights_at_the_end_of_each_trading_day(tmp_path: Path, restarted: bool) -> None:
    said = run(tmp_path, restarted)
    assert asked(said) == [
        ("26 20:50", "A", Decimal(500)),
        ("26 20:50", "B", Decimal(1_000)),
        ("27 20:50", "A", Decimal(454)),
        ("27 20:50", "B", Decimal(1_000)),
        ("29 17:50", "A", Decimal(416)),
        ("29 17:50", "B", Decimal(1_000)),
        ("02 20:50", "A", Decimal(384)),
        ("02 20:50", "B", Decimal(1_000)),
    ]
    assert traded(said) == [
        ("26", "A", Decimal(500), Decimal("100.00")),
        ("26", "B", Decimal(1_000), Decimal("50.00")),
        ("27", "A", Decimal(-46), Decimal("110.00")),
        ("29", "A", Decimal(-38), Decimal("120.00")),
        ("02", "A", Decimal(-32), Decimal("130.00")),
    ]


def test_a_rebalance_that_was_missed_comes_once_with_the_next_time_that_is_told(tmp_path: Path) -> None:
    said = run(tmp_path, False, away=("2013-11-27T20:50", "2013-11-29T15:00"))
    assert asked(said)[2:5] == [
        ("29 15:00", "A", Decimal(454)),  # Wednesday's run, at the last price it knows
        ("29 15:00", "B", Decimal(1_000)),
        ("29 17:50", "A", Decimal(416)),
    ]
