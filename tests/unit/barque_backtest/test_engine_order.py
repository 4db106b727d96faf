"""A backtest says, message by message, what a replay of the same rows says: nothing that it holds back from a node matters.

The other side of the comparison is `tests.support.backtests.played_slowly`: rows merged by the replay feed's own function, each
instant published to every node in the order of lockstep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barque_backtest import feeding
from barque_backtest.engine import run_backtest
from tests.support.backtests import (
    ColumnsSource,
    a_book,
    by_kind,
    damaged,
    played_slowly,
    quotes,
    said,
    shifted,
    trades,
    walk,
)

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD")
RESTLESS = "tests.support.restless:Restless"
TICKS = "tests.support.restless:RestlessTicks"


def a_restless(number: int, symbols: Sequence[str], **changes: Any) -> dict[str, Any]:
    """One of several restless strategies."""
    params = {"seed": number * 7 + 1, "calm": 3 + number % 5, **changes.pop("params", {})}
    return {"id": f"r{number}", "strategy": RESTLESS, "symbols": list(symbols), "params": params, **changes}


def same(config: Mapping[str, Any], sources: Sequence[ColumnsSource]) -> int:
    """Compare the two ways; how many fills there were."""
    run = run_backtest(config, sources)
    slowly = played_slowly(config, sources)
    for topic, messages in said(run).items():
        fast, slow = by_kind(messages), by_kind(slowly[topic])
        assert fast.keys() == slow.keys(), topic
        for kind, expected in slow.items():
            for index, (ours, theirs) in enumerate(zip(fast[kind], expected, strict=False)):
                assert ours == theirs, f"{kind} {index}"
            assert len(fast[kind]) == len(expected), kind
    return len(run.fills)


@pytest.mark.parametrize("fill_at", ["next_open", "close"])
def test_one_series_of_bars(fill_at: str) -> None:
    config = a_book(SYMBOLS[:1], [a_restless(n, SYMBOLS[:1]) for n in range(3)], paper={"fill_at": fill_at})
    assert same(config, [ColumnsSource(walk(1_500, 1))]) > 100


def test_bid_and_ask_bars_of_several_symbols() -> None:
    bids = [walk(500, seed, symbol, "bid") for seed, symbol in enumerate(SYMBOLS)]
    sources = [ColumnsSource(bid, shifted(bid, "ask", 3)) for bid in bids]
    config = a_book(SYMBOLS, [a_restless(n, SYMBOLS[n % 3 :]) for n in range(4)], portfolio={"equity_interval_s": 600})
    assert same(config, sources) > 100


def test_bid_and_ask_bars_of_which_some_are_missing() -> None:
    bid = walk(1_500, 5, price="bid")
    sources = [ColumnsSource(damaged(bid, 1, 0.1)), ColumnsSource(damaged(shifted(bid, "ask", 2), 2, 0.1))]
    assert same(a_book(SYMBOLS[:1], [a_restless(1, SYMBOLS[:1], params={"seed": 5})]), sources) > 50


def test_ticks_of_which_bars_are_built() -> None:
    bars = [{"symbols": ["EURUSD"], "interval": "1m", "prices": ["bid", "ask"]}, {"symbols": ["GBPUSD"], "prices": ["last"]}]
    strategies = [a_restless(0, ["EURUSD"]), a_restless(1, ["EURUSD", "GBPUSD"], strategy=TICKS, params={"calm": 40})]
    sources = [ColumnsSource(quotes(4_000, 1)), ColumnsSource(trades(2_000, 2, "GBPUSD"))]
    assert same(a_book(SYMBOLS[:2], strategies, barbuilder={"bars": bars}), sources) > 50


def test_ticks_of_one_symbol_and_bars_of_another() -> None:
    bars = [{"symbols": ["EURUSD"], "interval": "1m", "prices": ["mid"]}]
    sources = [ColumnsSource(quotes(3_000, 1)), ColumnsSource(walk(120, 2, "GBPUSD"))]
    assert same(a_book(SYMBOLS[:2], [a_restless(n, SYMBOLS[:2]) for n in range(3)], barbuilder={"bars": bars}), sources) > 20


def test_longer_bars_made_of_shorter_ones() -> None:
    bars = [{"symbols": ["EURUSD"], "interval": "5m", "prices": ["last"], "from": "1m"}]
    strategies = [a_restless(0, ["EURUSD"], interval="5m"), a_restless(1, ["EURUSD"])]
    assert same(a_book(SYMBOLS[:1], strategies, barbuilder={"bars": bars}), [ColumnsSource(walk(2_000, 3))]) > 50


def test_breakers_limits_and_a_venue_with_frictions() -> None:
    router = {
        "limits": {"max_position": "3", "max_orders_per_minute": 4, "stale_after_s": "90", "max_leverage": "2"},
        "breakers": {"drawdown": {"fraction": "0.00002", "on_trip": "flatten", "cool_down_s": 900}},
    }
    paper = {"latency_ms": 1_500, "slippage_fraction": "0.0001", "commission_min": "0.01", "max_volume_fraction": "0.1"}
    config = a_book(SYMBOLS[:2], [a_restless(n, SYMBOLS[:2]) for n in range(3)], router=router, paper=paper)
    assert same(config, [ColumnsSource(walk(1_500, seed, symbol)) for seed, symbol in enumerate(SYMBOLS[:2])]) > 20


def test_breakers_of_single_strategies_which_look_at_prices() -> None:
    trips = [
        {"strategy": f"r{n}", "drawdown": {"amount": "0.0009", "cool_down_s": 600 + 60 * n}, "daily_loss": {"amount": "0.0015"}}
        for n in range(3)
    ]
    limits = {"max_orders_per_minute": 50}
    config = a_book(
        SYMBOLS[:2],
        [a_restless(n, SYMBOLS[:2]) for n in range(3)],
        router={"limits": limits, "strategy_breakers": trips, "breakers": {"order_rate": {"enabled": False}}},
    )
    assert same(config, [ColumnsSource(walk(1_000, seed, symbol)) for seed, symbol in enumerate(SYMBOLS[:2])]) > 50


KINDS = ("last", "mid", "bid and ask", "bid, ask apart", "quotes", "trades", "quotes and bars")


@st.composite
def books(draw: st.DrawFn) -> tuple[dict[str, Any], list[ColumnsSource], int]:
    """A configuration, its data, and how many rows are played in one go."""
    symbols = SYMBOLS[: draw(st.integers(1, 3))]
    sources: list[ColumnsSource] = []
    built: list[dict[str, Any]] = []
    for symbol in symbols:
        kind, seed, share = draw(st.sampled_from(KINDS)), draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 0.0, 0.05, 0.3]))
        rows, size = draw(st.integers(1, 250)), draw(st.sampled_from([7, 64, 1_000]))
        if kind in ("last", "mid"):
            sources.append(ColumnsSource(damaged(walk(rows, seed, symbol, kind), seed, share), rows=size))
        elif kind == "bid and ask":
            bid = damaged(walk(rows, seed, symbol, "bid"), seed, share)
            sources.append(ColumnsSource(bid, shifted(bid, "ask", 3), rows=size))
        elif kind == "bid, ask apart":
            bid = walk(rows, seed, symbol, "bid")
            parts = (shifted(bid, "ask", 2), bid) if seed % 2 else (bid, shifted(bid, "ask", 2))
            sources += [ColumnsSource(damaged(part, seed + n, share), rows=size) for n, part in enumerate(parts)]
        else:
            make = trades if kind == "trades" else quotes
            mean_ns = draw(st.sampled_from([10**8, 10**9, 20 * 10**9]))
            sources.append(ColumnsSource(damaged(make(rows * 3, seed, symbol, mean_ns), seed, share / 2), rows=size))
            built.append({"symbols": [symbol], "interval": "1m", "prices": ["last" if kind == "trades" else "mid"]})
            if kind == "quotes and bars":
                sources.append(ColumnsSource(walk(rows // 10 + 1, seed, symbol, "bid"), rows=size))
    strategies = [
        a_restless(n, symbols, strategy=draw(st.sampled_from([RESTLESS, TICKS])), params={"seed": draw(st.integers(1, 500))})
        for n in range(draw(st.integers(1, 3)))
    ]
    config = a_book(
        symbols,
        strategies,
        barbuilder={"bars": built, "mark_interval_ms": draw(st.sampled_from([0, 250, 5_000]))},
        paper={"fill_at": draw(st.sampled_from(["next_open", "close"]))},
        portfolio={"equity_interval_s": draw(st.sampled_from([1, 90, 3_600]))},
    )
    return config, sources, draw(st.sampled_from([5, 100, 16_384]))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(books())
def test_any_book_on_any_data(made: tuple[dict[str, Any], list[ColumnsSource], int]) -> None:
    config, sources, rows = made
    before, feeding.CHUNK_ROWS = feeding.CHUNK_ROWS, rows
    try:
        same(config, sources)
    finally:
        feeding.CHUNK_ROWS = before
