"""Bars of real ticks, against the vendor's own bars of those ticks and against plain arithmetic."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime

import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, Message, Quote, Trade
from tests.support.builders import MINUTE, clock, eurusd
from tests.support.data import data_file

PARTS = ("open", "high", "low", "close")


def rows(name: str) -> Iterator[dict[str, str]]:
    """The file's rows, read without our own reader."""
    with gzip.open(data_file(name), "rt", newline="") as file:
        yield from csv.DictReader(file)


def ns(text: str) -> int:
    """`2014-05-01T00:00:00.292Z` in ns; the vendors' files have ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000) * 10**6


def bars_of(messages: list[Message], prices: tuple[str, ...], **spike: float) -> list[Bar]:
    """One-minute bars of the node, the last one closed by the clock."""
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",), prices=prices),))  # type: ignore[arg-type]
    node = BarBuilderNode(config, [eurusd(**spike)])
    messages = [*messages, clock(messages[-1].ts_event_ns + 2 * MINUTE)]
    outputs = [output for message in messages for _, output in node.handle(message)]
    assert {name: count for name, count in node.counters.items() if count and name not in ("ticks", "bars", "marks")} == {}
    return [output for output in outputs if isinstance(output, Bar)]


@pytest.mark.parametrize(("day", "count"), [("2014-05-01", 1_363), ("2014-05-02", 1_222)])
def test_every_bar_of_the_vendor_is_ours_and_no_bar_more(day: str, count: int) -> None:
    ticks: list[Message] = []
    for row in rows(f"eurusd-oanda-ticks-{day}.csv.gz"):
        at = ns(row["timestamp"])
        ticks.append(Quote(symbol="EURUSD", ts_event_ns=at, ts_recv_ns=at, bid=float(row["bid"]), ask=float(row["ask"])))
    ours = bars_of(ticks, ("bid", "ask"))
    vendors = list(rows(f"eurusd-oanda-m1-{day}.csv.gz"))
    assert len(vendors) == count
    for side in ("bid", "ask"):
        assert [(bar.ts_open_ns, bar.open, bar.high, bar.low, bar.close) for bar in ours if bar.price == side] == [
            (ns(row["timestamp"]), *(float(row[f"{side}_{part}"]) for part in PARTS)) for row in vendors
        ]
    assert sum(bar.tick_count for bar in ours if bar.price == "bid") == len(ticks)


def test_trade_bars_of_a_whole_day_are_what_plain_arithmetic_gives() -> None:
    trades: list[Message] = []
    minutes: dict[int, list[tuple[float, float]]] = {}
    for row in rows("spy-trades-2013-10-07.csv.gz"):
        at, price, size = ns(row["timestamp"]), float(row["price"]), float(row["size"])
        trades.append(Trade(symbol="EURUSD", ts_event_ns=at, ts_recv_ns=at, price=price, size=size))
        minutes.setdefault(at // MINUTE, []).append((price, size))
    assert len(trades) == 250_601
    ours = bars_of(trades, ("last",))
    assert [(bar.ts_open_ns // MINUTE, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.tick_count) for bar in ours] == [
        (minute, t[0][0], max(p for p, _ in t), min(p for p, _ in t), t[-1][0], sum(s for _, s in t), len(t))
        for minute, t in minutes.items()
    ]
