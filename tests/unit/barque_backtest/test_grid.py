"""Grids: what is written on the command line becomes configurations, or an error that says what to write."""

from __future__ import annotations

from typing import Any

import pytest

from barque.errors import ConfigError
from barque_backtest.grid import combinations, fault_of, parse_axis, with_values

CONFIG: dict[str, Any] = {
    "book": {"name": "x"},
    "instruments": [{"symbol": "EURUSD", "currency": "USD", "base_currency": "EUR", "tick_size": "0.00001"}],
    "strategies": [
        {"id": "sma", "strategy": "sma_cross", "symbols": ["EURUSD"], "params": {"fast": 5, "slow": 20}},
        {"id": "other", "strategy": "sma_cross", "symbols": ["EURUSD"]},
    ],
}


@pytest.mark.parametrize(
    ("listed", "values"),
    [
        ("5,10,20", (5, 10, 20)),
        ("0.5,1e-3", (0.5, 0.001)),
        ("true,false", (True, False)),
        ("bid, ask", ("bid", "ask")),
        ('"5",6', ("5", 6)),
        ("5:20:5", (5, 10, 15, 20)),
        ("1:3,10", (1, 2, 3, 10)),
        ("-2:0", (-2, -1, 0)),
        ("2014-05-01", ("2014-05-01",)),
    ],
)
def test_values_are_read_as_toml_reads_them_and_the_rest_is_text(listed: str, values: tuple[Any, ...]) -> None:
    axis = parse_axis(f"strategies.sma.params.x={listed}")
    assert axis.values == values
    assert [type(v) for v in axis.values] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fast=5", "write a path"),
        ("strategies.sma.params.fast", "write a path"),
        ("strategies..fast=5", "write a path"),
        ("strategies.sma.params.fast=5,,6", "a value is missing"),
        ("strategies.sma.params.fast=5,5", "given twice"),
        ("strategies.sma.params.fast=9:5", "no range"),
        ("strategies.sma.params.fast=5:9:0", "no range"),
        ("strategies.sma.params.fast=1:1000000", "more than"),
    ],
)
def test_a_grid_that_cannot_be_read_says_what_to_write(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        parse_axis(text)


def test_combinations_come_in_order_the_last_axis_fastest() -> None:
    axes = [parse_axis("strategies.sma.params.fast=1,2"), parse_axis("paper.latency_ms=10,20")]
    assert [tuple(c.values()) for c in combinations(axes)] == [(1, 10), (1, 20), (2, 10), (2, 20)]


def test_too_many_combinations_none_and_one_axis_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        combinations([parse_axis(f"paper.{name}=1:1000") for name in ("a", "b")])
    with pytest.raises(ConfigError, match="at least one"):
        combinations([])
    with pytest.raises(ConfigError, match="given twice"):
        combinations([parse_axis("paper.a=1"), parse_axis("paper.a=2")])


def test_values_go_where_the_path_leads_and_the_table_stays_as_it_was() -> None:
    axes = [
        parse_axis("strategies.sma.params.fast=7"),
        parse_axis("strategies.other.interval=5m"),
        parse_axis("router.limits.max_position=3"),
    ]
    changed = with_values(CONFIG, axes, combinations(axes)[0])
    assert changed["strategies"][0]["params"] == {"fast": 7, "slow": 20}
    assert changed["strategies"][1]["interval"] == "5m"
    assert changed["router"] == {"limits": {"max_position": 3}}
    assert CONFIG["strategies"][0]["params"]["fast"] == 5
    assert "router" not in CONFIG


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("strategies.smaa.params.fast", "did you mean 'sma'"),
        ("strategys.sma.params.fast", "did you mean 'strategies'"),
        ("strategies.sma", "strategies.<id>"),
        ("instruments.EURUSD.tick_size", "lists cannot be reached"),
        ("book.name.deeper", "lists cannot be reached"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, what: str) -> None:
    axis = parse_axis(f"{path}=1")
    with pytest.raises(ConfigError, match=what):
        with_values(CONFIG, [axis], {axis.name: 1})


def test_a_book_that_cannot_be_made_says_why() -> None:
    axis = parse_axis("strategies.sma.params.fast=5,20")
    assert fault_of(with_values(CONFIG, [axis], {axis.name: 5})) == ""
    assert "slow must be more than fast" in fault_of(with_values(CONFIG, [axis], {axis.name: 20}))
    unknown = parse_axis("strategies.sma.params.quick=5")
    assert "quick" in fault_of(with_values(CONFIG, [unknown], {unknown.name: 5}))
