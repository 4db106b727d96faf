"""Backtests for tests: sources out of columns, a small book, and the slow way to run it: every instant to every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from barque.bus.memory import MemoryRunner
from barque.messages import Bar, ClockTicked, FeedStatus, Message, Topic
from barque_archive.columns import BarColumns, MarketColumns, QuoteColumns, TradeColumns, concat, series_of, take
from barque_archive.series import Series
from barque_archive.structs import in_chunks, messages_of
from barque_backtest import nodes
from barque_backtest.engine import KEPT, effective
from barque_backtest.run import BacktestRun
from feed_replay.core.steps import merge
from tests.support.builders import MINUTE, T0

TAIL_NS = 3_600 * 10**9
"""Of a configuration that says nothing of it."""


class ColumnsSource:
    """A source of columns in memory. Several columns are one recording's series, row by row side by side."""

    def __init__(self, *columns: Any, rows: int = 1_000) -> None:
        self.series: Sequence[Series] = tuple(series_of(each) for each in columns)
        self.fraction = 1.0
        self._columns, self._rows = columns, rows

    def __iter__(self) -> Iterator[MarketColumns]:
        for parts in zip(*(in_chunks(each, self._rows) for each in self._columns), strict=True):
            yield from parts

    def as_rows(self) -> Iterator[list[Message]]:
        """What a replay reads: the messages of one row at a time."""
        return map(list, zip(*map(messages_of, self._columns), strict=True))


def played_slowly(config: Mapping[str, Any], sources: Sequence[ColumnsSource]) -> dict[Topic, list[Message]]:
    """What is said when each step of a replay is published to every node in turn."""
    kept: dict[Topic, list[Message]] = {topic: [] for topic in KEPT}
    book = MemoryRunner(nodes.make_all(effective(config), "feed"), observe=lambda *_: None, keep=kept)
    at_ns = 0
    for at_ns, messages in merge([source.as_rows() for source in sources]):
        rows = [(Topic.BARS if isinstance(m, Bar) else Topic.TICKS, m) for m in messages]
        book.publish("feed.replay", [(Topic.CLOCK, ClockTicked(now_ns=at_ns)), *rows])
    if at_ns:
        end_ns = at_ns + TAIL_NS
        finished = FeedStatus(feed="feed.replay", ts_event_ns=end_ns, state="finished")
        book.publish("feed.replay", [(Topic.CLOCK, ClockTicked(now_ns=end_ns)), (Topic.TICKS, finished)])
    return kept


def said(run: BacktestRun) -> dict[Topic, list[Message]]:
    """What a backtest kept, as `played_slowly` gives it; messages of one topic that are kept in several lists are left apart."""
    return {
        Topic.SIGNALS: [*run.wishes, *run.setups],
        Topic.ORDERS: [*run.requests, *run.rejections, *run.breaker_changes],
        Topic.FILLS: [*run.order_events, *run.fills],
        Topic.PORTFOLIO: [*run.position_changes, *run.equity],
        Topic.ALERTS: list(run.alerts),
        Topic.DEAD: list(run.dead_letters),
    }


def by_kind(messages: Sequence[Message]) -> dict[str, list[Message]]:
    """Messages by the name of their type, in the order of saying."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(type(message).__name__, []).append(message)
    return found


def a_book(symbols: Sequence[str], strategies: Sequence[Mapping[str, Any]], **sections: Any) -> dict[str, Any]:
    """Currency pairs on a grid of 0.00001 with one unit a contract, a paper account without frictions, no limits."""
    instruments = [
        {"symbol": s, "currency": "USD", "base_currency": s[:3], "tick_size": "0.00001", "contract_size": "1", "calendar": "24/7"}
        for s in symbols
    ]
    free = {"slippage_fraction": "0", "commission_fraction": "0", "commission_min": "0"}
    return {
        "book": {"name": "test", "clock": "feed", "lockstep": True},
        "instruments": instruments,
        "strategies": list(strategies),
        **sections,
        "paper": {**free, **sections.get("paper", {})},
        "portfolio": {
            "accounts": [{"name": "paper", "currency": "USD", "starting_cash": "100000"}],
            **sections.get("portfolio", {}),
        },
    }


def walk(count: int, seed: int, symbol: str = "EURUSD", price: Any = "last", reach: int = 9, interval: str = "1m") -> BarColumns:
    """Bars of a random walk from `T0`, minute after minute, on a grid of 0.00001."""
    chance = np.random.default_rng(seed)
    closes = 110_000 + np.cumsum(chance.integers(-reach, reach + 1, count))
    opens = np.concatenate(([110_000], closes[:-1])) + chance.integers(-2, 3, count)
    highs = np.maximum(opens, closes) + chance.integers(0, 5, count)
    lows = np.minimum(opens, closes) - chance.integers(0, 5, count)
    at = T0 + np.arange(count, dtype=np.int64) * MINUTE
    prices = {name: np.round(ticks * 1e-5, 5) for name, ticks in _named(opens, highs, lows, closes)}
    volume = chance.integers(0, 50, count).astype(np.float64)
    return BarColumns(
        symbol=symbol,
        interval=interval,
        price=price,
        ts_open_ns=at,
        ts_close_ns=at + MINUTE,
        volume=volume,
        tick_count=np.zeros(count, np.int64),
        **prices,
    )


def shifted(bars: BarColumns, price: Any, ticks: int) -> BarColumns:
    """The same bars, dearer by some ticks, as those of another price."""
    prices = {name: np.round(getattr(bars, name) + ticks * 1e-5, 5) for name in ("open", "high", "low", "close")}
    arrays = {name: getattr(bars, name) for name in ("ts_open_ns", "ts_close_ns", "volume", "tick_count")}
    return BarColumns(symbol=bars.symbol, interval=bars.interval, price=price, **arrays, **prices)


def quotes(count: int, seed: int, symbol: str = "EURUSD", mean_ns: int = 2 * 10**9) -> QuoteColumns:
    """Quotes of a random walk from `T0`, some of them at the same time."""
    chance = np.random.default_rng(seed)
    at = T0 + np.cumsum(chance.integers(0, 2 * mean_ns, count)) // 10**6 * 10**6
    bids = 110_000 + np.cumsum(chance.integers(-3, 4, count))
    spreads = chance.integers(1, 6, count)
    sizes = chance.integers(1, 9, count).astype(np.float64)
    bid, ask = np.round(bids * 1e-5, 5), np.round((bids + spreads) * 1e-5, 5)
    return QuoteColumns(symbol=symbol, ts_event_ns=at, bid=bid, ask=ask, bid_size=sizes, ask_size=sizes)


def trades(count: int, seed: int, symbol: str = "EURUSD", mean_ns: int = 2 * 10**9) -> TradeColumns:
    """Trades of a random walk from `T0`."""
    found = quotes(count, seed, symbol, mean_ns)
    return TradeColumns(symbol=symbol, ts_event_ns=found.ts_event_ns, price=found.bid, size=found.bid_size)


def damaged(columns: Any, seed: int, share: float) -> Any:
    """The same with faults: rows missing, twice there, late, without a price."""
    chance = np.random.default_rng(seed)
    count = len(columns)
    if not count or not share:
        return columns
    missing = take(columns, chance.random(count) >= share)
    twice = np.sort(np.concatenate((np.arange(len(missing)), np.flatnonzero(chance.random(len(missing)) < share / 3))))
    again = take(missing, twice)
    for name in ("open", "low", "close", "bid", "ask", "price"):
        if hasattr(again, name) and not isinstance(getattr(again, name), str):
            values = getattr(again, name)
            values[chance.random(len(values)) < share / 6] = chance.choice((np.nan, 0.0, -1.0, np.inf))
    swapped = np.arange(len(again))
    for place in np.flatnonzero(chance.random(max(len(again) - 1, 0)) < share / 4):
        swapped[[place, place + 1]] = swapped[[place + 1, place]]
    return concat([take(again, swapped)])


def _named(*prices: Any) -> Iterator[tuple[str, Any]]:
    return zip(("open", "high", "low", "close"), prices, strict=True)
