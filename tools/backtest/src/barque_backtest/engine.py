"""Runs a book over recorded data in one process: the very nodes of the services, in the order of lockstep.

In:   a configuration, sources of market data, a span of time.   Out: a `BacktestRun`.
Not:  a mode of its own. No node knows that this is a backtest; the run equals a replay of the same data through the services.

After the data the clock moves on by `[feed_replay] tail_s`, as after a replay, so that the last bars and timers come due.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from barque.bus.memory import MemoryRunner
from barque.config import CommonConfig, load_common, load_section
from barque.messages import (
    Bar,
    BreakerChanged,
    ClockTicked,
    EquityMarked,
    FeedStatus,
    Fill,
    Message,
    PositionChanged,
    SetupChanged,
    SignalRejected,
    Topic,
)
from barque.node import Node
from barque_backtest import nodes as book_nodes
from barque_backtest.feeding import EVERYTHING, Feeding, Past, Source, Span
from barque_backtest.run import BacktestRun, RunFacts, clocks_of
from feed_replay.config import FeedReplayConfig
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from strategy_host.config import StrategyHostConfig, enabled_strategies
from strategy_host.core.node import StrategyNode
from strategy_host.core.past import warm_up_bars
from strategy_host.shell.budget import hook_budget

FEED = "feed.replay"
EQUITY_INTERVAL_S = 3_600
"""Event time between two valuations that no fill asked for, where the configuration does not say."""
KEPT = (Topic.SIGNALS, Topic.ORDERS, Topic.FILLS, Topic.PORTFOLIO, Topic.ALERTS, Topic.DEAD)
SECTIONS = ("book", "instruments", "strategies", "strategy_host", "barbuilder", "router", "paper", "portfolio")
"""What of a configuration decides the outcome."""
NS = 1_000_000_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come."""

    at_ns: int
    """Event time."""
    bars: int
    ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who looks on."""

    progress: Callable[[Progress], None] | None = None
    """Told some ten times a second."""
    stop: Callable[[], bool] | None = None
    """Asked as often; true ends the run where it is."""


UNWATCHED = Watch()


def run_backtest(
    config: Mapping[str, Any], sources: Sequence[Source], span: Span = EVERYTHING, watch: Watch = UNWATCHED
) -> BacktestRun:
    """One run from beginning to end.

    `config` is the table of `barque.toml`. Raises `ConfigError` for a configuration that cannot be, and what the sources
    raise where a row cannot be read.
    """
    began = time.monotonic()
    raw = effective(config)
    common = load_common(raw)
    nodes = book_nodes.make_all(raw, "feed")
    kept: dict[Topic, list[Message]] = {topic: [] for topic in KEPT}
    feeding = Feeding(sources, span, _past_wanted(nodes))
    book = MemoryRunner(nodes, keep=kept)
    with _hook_budget(load_section(raw, "strategy_host", StrategyHostConfig)):
        history = feeding.history()
        _warm_up(book, nodes, history, feeding.begins_ns())
        interrupted = _play(book, feeding, watch)
        end_ns = feeding.last_ns
        if feeding.first_ns and not interrupted:
            end_ns += int(load_section(raw, "feed_replay", FeedReplayConfig).tail_s * NS)
            _finish(book, end_ns)
    book.catch_up()
    facts = RunFacts(
        bars=feeding.bars,
        ticks=feeding.ticks,
        warm_up_bars=len(history),
        first_ns=feeding.first_ns,
        last_ns=feeding.last_ns,
        end_ns=end_ns,
        wall_s=time.monotonic() - began,
        interrupted=interrupted,
        series=tuple(series for source in sources for series in source.series),
    )
    return _result(raw, common, nodes, kept, facts)


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with a backtest's own default, an equity mark an hour."""
    portfolio = {"equity_interval_s": EQUITY_INTERVAL_S, **config.get("portfolio", {})}
    return {**config, "portfolio": portfolio}


def _play(book: MemoryRunner, feeding: Feeding, watch: Watch) -> bool:
    """All of the data; true where it was stopped before."""
    for stretch in feeding:
        book.play(FEED, stretch)
        if watch.progress is not None:
            watch.progress(Progress(at_ns=feeding.last_ns, bars=feeding.bars, ticks=feeding.ticks))
        if watch.stop is not None and watch.stop():
            return True
    return False


def _finish(book: MemoryRunner, end_ns: int) -> None:
    status = FeedStatus(feed=FEED, ts_event_ns=end_ns, state="finished")
    book.publish(FEED, [(Topic.CLOCK, ClockTicked(now_ns=end_ns)), (Topic.TICKS, status)])


def past_wanted(config: Mapping[str, Any]) -> Past:
    """How much history the strategies of a configuration ask for; raises `ConfigError`."""
    return _past_wanted(book_nodes.make_all(config))


def _past_wanted(nodes: Iterable[Node]) -> Past:
    """What the greediest strategy asks for."""
    wanted = [w for node in nodes if isinstance(node, StrategyNode) and (w := node.warm_up_wanted) is not None]
    return Past(bars=max((w.bars for w in wanted), default=0), days=max((w.days for w in wanted), default=0.0))


def _warm_up(book: MemoryRunner, nodes: Iterable[Node], history: Sequence[Bar], first_ns: int) -> None:
    """Give each strategy the past that it asks for, as the strategy host does before a new one's first message."""
    for node in nodes:
        wanted = node.warm_up_wanted if isinstance(node, StrategyNode) else None
        if wanted is not None and isinstance(node, StrategyNode):
            book.publish(node.name, node.warm_up(warm_up_bars(history, wanted, node.symbols, node.intervals, first_ns)))


def _hook_budget(config: StrategyHostConfig) -> AbstractContextManager[object]:
    """Signals reach the main thread alone: elsewhere nobody watches."""
    in_main = threading.current_thread() is threading.main_thread()
    return hook_budget(config.hook_timeout_s) if in_main else nullcontext()


def _result(
    raw: Mapping[str, Any], common: CommonConfig, nodes: Iterable[Node], kept: Mapping[Topic, list[Any]], facts: RunFacts
) -> BacktestRun:
    config = {name: raw[name] for name in SECTIONS if name in raw}
    portfolio = next((node for node in nodes if isinstance(node, PortfolioNode)), None)
    accounts = load_section(raw, "portfolio", PortfolioConfig).accounts
    fills = _of(Fill, kept[Topic.FILLS])
    return BacktestRun(
        config=config,
        config_digest=blake2b(msgspec.json.encode(config, order="deterministic"), digest_size=8).hexdigest(),
        facts=facts,
        instruments=common.instruments,
        strategies=enabled_strategies(common),
        accounts=accounts,
        wishes=[message for message in kept[Topic.SIGNALS] if type(message) is not SetupChanged],
        setups=_of(SetupChanged, kept[Topic.SIGNALS]),
        requests=[message for message in kept[Topic.ORDERS] if type(message) not in (SignalRejected, BreakerChanged)],
        rejections=_of(SignalRejected, kept[Topic.ORDERS]),
        breaker_changes=_of(BreakerChanged, kept[Topic.ORDERS]),
        order_events=[message for message in kept[Topic.FILLS] if type(message) is not Fill],
        fills=fills,
        fill_clock_ns=clocks_of(fills, kept[Topic.PORTFOLIO]),
        position_changes=_of(PositionChanged, kept[Topic.PORTFOLIO]),
        equity=_of(EquityMarked, kept[Topic.PORTFOLIO]),
        alerts=kept[Topic.ALERTS],
        dead_letters=kept[Topic.DEAD],
        cash={} if portfolio is None else {account.name: dict(portfolio.cash(account.name)) for account in accounts},
        prices={} if portfolio is None else dict(portfolio.prices()),
    )


def _of(kind: type[T], messages: Iterable[Any]) -> list[T]:
    return [message for message in messages if type(message) is kind]
