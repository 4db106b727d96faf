"""A backtest whose strategy heard no bar says so; one that heard its bars says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from barque_backtest.engine import run_backtest
from barque_backtest.hearing import deaf
from barque_backtest.results import summarise
from tests.support.backtests import ColumnsSource, a_book, quotes, walk

MADE = {"bars": [{"symbols": ["EURUSD"], "interval": "1m", "prices": ["bid", "ask"]}]}


def notes(data: Any, interval: str = "1m", price: str = "bid", symbol: str = "EURUSD", **sections: Any) -> list[str]:
    """Of a run with one crossing strategy."""
    sma = {"id": "sma", "strategy": "sma_cross", "symbols": [symbol], "interval": interval, "params": {"price": price}}
    return deaf(run_backtest(a_book(["EURUSD", "USDJPY"], [sma], **sections), [ColumnsSource(data)]))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "it asks for EURUSD 1m bid, there were EURUSD 1m last"),
        ({"price": "last", "interval": "5m"}, "it asks for EURUSD 5m last, there were EURUSD 1m last"),
        ({"price": "last", "symbol": "USDJPY"}, "it asks for USDJPY 1m last, the data have EURUSD"),
    ],
)
def test_a_strategy_that_asks_for_other_bars_heard_none(asked: dict[str, Any], told: str) -> None:
    assert notes(walk(50, 1, price="last"), **asked) == [f"strategy sma heard no bar: {told}"]


def test_a_strategy_over_ticks_that_nobody_makes_bars_of_heard_none() -> None:
    wanted = 'add [[barbuilder.bars]] with symbols = ["EURUSD"], interval = "1m"'
    assert notes(quotes(50, 1)) == [f"strategy sma heard no bar: it asks for EURUSD 1m bid, and the data have quotes: {wanted}"]


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_bars_that_are_asked_for_of_data_that_cannot_give_them_are_not_there(interval: str) -> None:
    """Nobody makes mid bars of bids."""
    asked = {"bars": [{"symbols": ["EURUSD"], "interval": interval, "prices": ["mid"]}]}
    told = f"strategy sma heard no bar: it asks for EURUSD {interval} mid, there were EURUSD 1m bid"
    assert notes(walk(50, 1, price="bid"), interval, "mid", barbuilder=asked) == [told]
    assert not notes(walk(50, 1, price="mid"), interval, "mid", barbuilder=asked)


def test_each_series_that_it_asks_for_and_there_is_not_is_named() -> None:
    both = {"id": "h", "strategy": "tests.support.strategies:Heard", "symbols": ["EURUSD", "USDJPY"], "intervals": ["1h", "4h"]}
    hours = {"bars": [{"symbols": ["EURUSD"], "interval": "1h", "prices": ["last"]}]}
    (note,) = deaf(run_backtest(a_book(["EURUSD", "USDJPY"], [both], barbuilder=hours), [ColumnsSource(walk(50, 1))]))
    assert note.startswith("strategy h heard no bar of EURUSD 4h, USDJPY 1m, USDJPY 1h, USDJPY 4h: neither the data nor")


def test_a_derived_symbol_is_heard_where_its_source_is() -> None:
    config = a_book(["USDJPY"], [{"id": "h", "strategy": "tests.support.strategies:Heard", "symbols": ["JPYUSD"]}])
    config["instruments"] += [
        {"symbol": "JPYUSD", "currency": "USD", "base_currency": "JPY", "tick_size": "0.0000001", "inverts": "USDJPY"}
    ]
    config["instruments"][0] |= {"currency": "JPY", "base_currency": "USD"}
    run = run_backtest(config, [ColumnsSource(walk(50, 1, "USDJPY"))])
    assert run.rejections and not deaf(run)


def test_who_hears_its_bars_is_not_spoken_of() -> None:
    assert not notes(walk(50, 1, price="last"), price="last")
    assert not notes(quotes(50, 1), barbuilder=MADE)


def test_the_note_is_among_those_of_the_result() -> None:
    data = walk(50, 1, price="last")
    sma = {"id": "sma", "strategy": "sma_cross", "symbols": ["EURUSD"], "params": {"price": "bid"}}
    result = summarise(run_backtest(a_book(["EURUSD"], [sma]), [ColumnsSource(data)]), [[data]])
    assert [note for note in result.notes if "heard no bar" in note]
