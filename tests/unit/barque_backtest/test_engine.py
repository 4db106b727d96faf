"""A run from beginning to end: its facts, its past, its ends, and what it does with strategies that misbehave."""

from __future__ import annotations

import threading
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from barque.config import read_file
from barque.errors import ConfigError
from barque.messages import Topic
from barque_backtest import feeding
from barque_backtest.data import Data
from barque_backtest.engine import Progress, Watch, past_wanted, run_backtest
from barque_backtest.feeding import Past, Span
from barque_backtest.run import BacktestRun
from tests.support.backtests import ColumnsSource, a_book, by_kind, said, walk
from tests.support.builders import MINUTE, T0
from tests.support.configs import eurusd_ticks, usdjpy_month
from tests.support.data import data_file, first_rows
from tests.support.memory_books import said_in_memory

HOUR = 60 * MINUTE
SMA = {"id": "sma", "strategy": "sma_cross", "symbols": ["EURUSD"], "params": {"fast": 2, "slow": 5, "price": "last"}}


def run(config: dict[str, Any] | None = None, rows: int = 300, **more: Any) -> BacktestRun:
    """An SMA cross over a walk."""
    return run_backtest(config or a_book(["EURUSD"], [SMA]), [ColumnsSource(walk(rows, 3))], **more)


def test_facts_say_what_was_played_and_when() -> None:
    facts = run(rows=100).facts
    assert (facts.bars, facts.ticks, facts.warm_up_bars, facts.interrupted) == (100, 0, 0, False)
    assert (facts.first_ns, facts.last_ns) == (T0 + MINUTE, T0 + 100 * MINUTE)
    assert facts.end_ns == T0 + 100 * MINUTE + HOUR
    assert facts.wall_s > 0


def test_the_tail_is_that_of_a_replay() -> None:
    assert run(a_book(["EURUSD"], [SMA], feed_replay={"tail_s": 90}), rows=10).facts.end_ns == T0 + 10 * MINUTE + 90 * 10**9


def test_without_data_nothing_is_said() -> None:
    ran = run(rows=0)
    assert (ran.facts.first_ns, ran.facts.end_ns, ran.fills, ran.prices) == (0, 0, [], {})
    assert ran.cash == {"paper": {"USD": Decimal(100_000)}}


def test_the_same_configuration_has_the_same_digest_and_no_addresses_in_it() -> None:
    config = a_book(["EURUSD"], [SMA], redis={"url": "redis://elsewhere"}, postgres={"url": "postgresql://secret@elsewhere"})
    one, other = run(config, rows=5), run({**config, "redis": {}}, rows=7)
    assert one.config_digest == other.config_digest
    assert "elsewhere" not in str(one.config)
    assert run(a_book(["EURUSD"], [SMA | {"id": "other"}]), rows=5).config_digest != one.config_digest


def test_equity_is_marked_after_each_fill_and_each_hour_unless_the_configuration_says_otherwise() -> None:
    never = a_book(["EURUSD"], [{"id": "still", "strategy": "sma_cross", "symbols": ["EURUSD"], "params": {"price": "bid"}}])
    assert len(run(never, rows=300).equity) == 1  # the beginning; then nothing changes
    trades = run(rows=600)
    marked = [mark.ts_event_ns for mark in trades.equity]
    assert set(trades.fill_clock_ns) <= set(marked)
    assert max(late - early for early, late in pairwise(marked)) <= HOUR
    often = run(a_book(["EURUSD"], [SMA], portfolio={"equity_interval_s": 60}), rows=600)
    assert len(often.equity) > 500 > len(trades.equity)


def test_every_list_is_of_its_kind() -> None:
    config = a_book(
        ["EURUSD"],
        [{"id": "r", "strategy": "tests.support.restless:Restless", "symbols": ["EURUSD"], "params": {"seed": 3, "calm": 3}}],
        router={"limits": {"max_position": "1"}},
    )
    ran = run(config, rows=800)
    assert set(by_kind(ran.wishes)) <= {"Signal", "CancelRequest", "ModifyRequest"}
    assert set(by_kind(ran.setups)) == {"SetupChanged"}
    assert set(by_kind(ran.requests)) <= {"SubmitOrder", "CancelOrder", "ModifyOrder"}
    assert set(by_kind(ran.rejections)) == {"SignalRejected"}
    assert set(by_kind(ran.fills)) == {"Fill"}
    assert "Fill" not in by_kind(ran.order_events)
    assert set(by_kind(ran.position_changes)) == {"PositionChanged"}
    assert set(by_kind(ran.equity)) == {"EquityMarked"}
    assert {order.order_id for order in ran.orders} >= {fill.order_id for fill in ran.fills}
    assert len(ran.signals) == len(by_kind(ran.wishes)["Signal"])


def test_a_strategy_begins_with_the_past_that_it_asks_for() -> None:
    heard = {"id": "h", "strategy": "tests.support.strategies:Heard", "symbols": ["EURUSD"], "params": {"past": 4, "length": 3}}
    config = a_book(["EURUSD"], [heard, heard | {"id": "more", "params": {"past": 9, "length": 3}}])
    bars = walk(50, 3)
    ran = run_backtest(config, [ColumnsSource(bars, rows=7)], Span(from_ns=T0 + 20 * MINUTE, to_ns=T0 + 40 * MINUTE))
    assert past_wanted(config) == Past(bars=9)
    assert (ran.facts.warm_up_bars, ran.facts.bars) == (9, 20)
    # By hand: it buys at the first live bar whose close is above the mean of the three closes up to it, so none is wanting.
    closes = bars.close.tolist()
    above = [n for n in range(20, 40) if closes[n] > sum(closes[n - 2 : n + 1]) / 3]
    first = {wish.strategy_id: wish.ts_event_ns for wish in reversed(ran.signals)}
    assert first == dict.fromkeys(("h", "more"), T0 + (above[0] + 1) * MINUTE)


def test_what_is_played_of_a_span_equals_a_run_over_that_part_alone() -> None:
    bars = walk(200, 3)
    span = Span(from_ns=T0 + 50 * MINUTE, to_ns=T0 + 150 * MINUTE)
    config = a_book(["EURUSD"], [SMA])
    part = run_backtest(config, [ColumnsSource(bars)], span)
    columns = {name: getattr(bars, name) for name in type(bars).__slots__}
    alone = type(bars)(**{name: value if isinstance(value, str) else value[50:150] for name, value in columns.items()})
    assert said(part) == said(run_backtest(config, [ColumnsSource(alone)]))


def test_progress_is_told_and_a_run_that_is_stopped_is_the_beginning_of_a_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "CHUNK_ROWS", 100)
    told: list[Progress] = []
    stopped = run(rows=1_000, watch=Watch(progress=told.append, stop=lambda: len(told) == 3))
    assert [(at.bars, at.ticks, at.at_ns) for at in told] == [(n, 0, T0 + n * MINUTE) for n in (100, 200, 300)]
    assert stopped.facts.interrupted
    assert stopped.facts.last_ns == stopped.facts.end_ns == T0 + 300 * MINUTE
    whole = said(run(rows=1_000))
    for topic, messages in said(stopped).items():
        for kind, found in by_kind(messages).items():
            assert found == by_kind(whole[topic])[kind][: len(found)]
    assert stopped.fills


def test_an_endless_loop_pauses_its_strategy_and_the_run_goes_on() -> None:
    stuck = {"id": "stuck", "strategy": "tests.support.strategies:Stuck", "symbols": ["EURUSD"]}
    ran = run(a_book(["EURUSD"], [SMA, stuck], strategy_host={"hook_timeout_s": 0.3}), rows=200)
    (alert,) = ran.alerts
    assert (alert.name, alert.source) == ("strategy_failed", "strategy.stuck")
    assert "it ran longer than 0.3 s" in alert.text
    assert {fill.strategy_id for fill in ran.fills if fill.ts_event_ns > T0 + 10 * MINUTE} == {"sma"}


def test_outside_of_the_main_thread_nobody_watches_the_clock() -> None:
    found: list[BacktestRun] = []
    thread = threading.Thread(target=lambda: found.append(run(rows=100)))
    thread.start()
    thread.join(30)
    assert said(found[0]) == said(run(rows=100))


def test_a_configuration_that_cannot_be_is_refused_before_anything_is_read() -> None:
    class Unread(ColumnsSource):
        def __iter__(self) -> Any:
            raise AssertionError("read")

    for change in ({"strategies": [SMA | {"params": {"slwo": 5}}]}, {"paper": {"fill_at": "never"}}, {"portfolio": {"x": 1}}):
        with pytest.raises(ConfigError):
            run_backtest({**a_book(["EURUSD"], [SMA]), **change}, [Unread(walk(10, 1))])


def lockstep_equals(config_path: Path) -> int:
    """Compare a backtest of what a configuration replays with the replay in one process; how many fills there were."""
    raw = read_file(config_path, {})
    ran = run_backtest(raw, Data(config=raw)())
    replayed = said_in_memory(config_path)
    for topic, messages in said(ran).items():
        ours, theirs = by_kind(messages), by_kind([m for m in replayed.get(topic, []) if type(m).__name__ != "Mark"])
        assert ours.keys() == theirs.keys(), topic
        for kind, expected in theirs.items():
            assert sorted(map(repr, ours[kind])) == sorted(map(repr, expected)), kind
    assert Topic.DEAD not in replayed
    return len(ran.fills)


def test_a_real_week_of_bid_and_ask_bars_is_what_a_replay_says(tmp_path: Path) -> None:
    bid, ask = data_file("usdjpy-fxcm-m1-bid-2013-02.csv.gz"), data_file("usdjpy-fxcm-m1-ask-2013-02.csv.gz")
    sides = [first_rows(path, 6_000, _folder(tmp_path / name)) for name, path in (("bid", bid), ("ask", ask))]
    path = tmp_path / "barque.toml"
    path.write_text(usdjpy_month(*sides))
    assert lockstep_equals(path) == 2


def test_a_real_morning_of_ticks_is_what_a_replay_says(tmp_path: Path) -> None:
    ticks = first_rows(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"), 6_000, tmp_path)
    path = tmp_path / "barque.toml"
    path.write_text(eurusd_ticks(ticks))
    assert lockstep_equals(path) > 40


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
