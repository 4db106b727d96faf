"""Crossings, against an exact computation in fractions over a month of real minutes."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from barque.config import StrategyConfig
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque.messages import Bar, Topic
from barque.node import Output
from barque.strategy.testing import check_strategy, run
from sma_cross import SmaCross
from strategy_host.core.node import StrategyNode
from tests.support.builders import MINUTE, T0, a_bar, clock, eurusd, usdjpy
from tests.support.data import data_file

BTCUSD = Instrument(symbol="BTCUSD", asset_class="crypto", currency="USD", tick_size=Decimal("0.5"))


def a_node(symbols: tuple[str, ...] = ("EURUSD",), **params: Any) -> StrategyNode:
    config = StrategyConfig(id="sma", strategy="sma_cross", symbols=symbols, params=params)
    return StrategyNode(config, SmaCross, [eurusd(), usdjpy(), BTCUSD])


def targets(outputs: list[Output]) -> list[tuple[int, Decimal]]:
    """When which position is wished for."""
    assert all(topic is Topic.SIGNALS and message.action == "target" for topic, message in outputs)
    return [(message.ts_event_ns, message.target) for _, message in outputs]


def closes(*values: float, **changes: Any) -> list[Bar]:
    return [a_bar(T0 + n * MINUTE, close=value, **changes) for n, value in enumerate(values)]


def btc_rows(count: int) -> list[tuple[int, str]]:
    """Open time in ns and closing price, as the exchange wrote it."""
    with gzip.open(data_file("btcusd-perp-m1-2022-01.csv.gz"), "rt") as lines:
        rows = [row for row, _ in zip(csv.DictReader(lines), range(count), strict=False)]
    return [(int(datetime.fromisoformat(r["timestamp"] + "+00:00").timestamp()) * 10**9, r["close"]) for r in rows]


def btc_bars(rows: list[tuple[int, str]]) -> list[Bar]:
    return [a_bar(opens, symbol="BTCUSD", price="last", close=float(close)) for opens, close in rows]


def exact_targets(rows: list[tuple[int, str]], fast: int, slow: int) -> list[tuple[int, Decimal]]:
    """The rules in whole numbers: prices are multiples of a half, and the averages are compared as sums."""
    doubled = [int(Fraction(close) * 2) for _, close in rows]
    direction, wished = 0, []
    for end in range(slow, len(rows) + 1):
        gap = sum(doubled[end - fast : end]) * slow - sum(doubled[end - slow : end]) * fast
        sign = (gap > 0) - (gap < 0)
        if sign and direction and sign != direction:
            wished.append((rows[end - 1][0] + MINUTE, Decimal(sign)))
        direction = sign or direction
    return wished


def test_a_month_of_real_minutes_gives_the_crossings_of_an_exact_computation() -> None:
    rows = btc_rows(45_031)
    expected = exact_targets(rows, 10, 20)
    assert len(expected) > 1_000
    assert targets(run(a_node(("BTCUSD",), price="last"), btc_bars(rows))) == expected


def test_it_keeps_the_promises_of_a_strategy() -> None:
    bars = btc_bars(btc_rows(600))
    messages = [message for bar in bars for message in (bar, clock(bar.ts_close_ns))]
    assert check_strategy(lambda: a_node(("BTCUSD",), price="last"), messages)


def test_the_first_direction_is_not_traded_and_the_first_change_is() -> None:
    # averages of 1 and 2 closes: 2 > 1.5 initialises; 1 < 1.5 turns; 3 > 2 turns back
    outputs = run(a_node(fast=1, slow=2, quantity=3), closes(1.0, 2.0, 1.0, 3.0))
    assert targets(outputs) == [(T0 + 3 * MINUTE, Decimal(-3)), (T0 + 4 * MINUTE, Decimal(3))]


def test_averages_that_touch_change_nothing() -> None:
    # 2 > 1.5 up; 2 = 2 and a hair less than the tolerance below: still up; 3 > 2.5 is no change; 1 < 2 is
    outputs = run(a_node(fast=1, slow=2), closes(1.0, 2.0, 2.0, 2.0 - 1e-7, 3.0, 1.0))
    assert targets(outputs) == [(T0 + 6 * MINUTE, Decimal(-1))]


def test_only_bars_of_its_price_type_count() -> None:
    bid, ask = closes(1.0, 2.0, 1.0), closes(5.0, 1.0, 9.0, price="ask")
    mixed = [bar for pair in zip(bid, ask, strict=True) for bar in pair]
    assert targets(run(a_node(fast=1, slow=2), mixed)) == [(T0 + 3 * MINUTE, Decimal(-1))]


def test_symbols_are_followed_apart() -> None:
    eur, jpy = closes(1.0, 2.0, 1.0), closes(2.0, 1.0, 2.0, symbol="USDJPY")
    mixed = [bar for pair in zip(eur, jpy, strict=True) for bar in pair]
    outputs = run(a_node(("EURUSD", "USDJPY"), fast=1, slow=2), mixed)
    assert [(message.symbol, message.target) for _, message in outputs] == [("EURUSD", -1), ("USDJPY", 1)]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"fast": 20, "slow": 10}, "key 'strategies.sma.params': fast is 20 and slow 10"),
        ({"quantity": 0}, "quantity is 0; it must be positive"),
        ({"price": "middle"}, "key 'strategies.sma.params.price'"),
        ({"fast_length": 3}, "unknown key 'strategies.sma.params.fast_length'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        a_node(**params)
