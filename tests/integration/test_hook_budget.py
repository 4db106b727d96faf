"""A hook that never ends, and a past to begin with, in real services: that strategy is paused, the others trade on, and a replay
of either is the same to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from barque.bus.node_shell import RunnerOptions
from barque.bus.redis_bus import RedisBus
from barque.bus.replay import LiveSource, RecordedSource, record, replay
from barque.bus.runner import RedisRunner
from barque.config import StrategyConfig
from barque.messages import Alert, Signal, StartStrategy, Topic
from barque.observability.health import Health
from barque.strategy import Strategy
from barque_cli.composition import service
from barque_cli.system import System, only
from strategy_host.core.node import StrategyNode
from strategy_host.shell.budget import hook_budget
from tests.support.books import on_bus, rows, wait_until
from tests.support.books import said as said_in
from tests.support.builders import MINUTE, T0, a_bar, eurusd
from tests.support.clusters import cluster_in
from tests.support.command import barque, parsed
from tests.support.configs import EURUSD, live_market
from tests.support.data import ROOT
from tests.support.driving import publish, said, until
from tests.support.hosting import command
from tests.support.strategies import Heard, Stuck

WALL = RunnerOptions(service="test", worker="w1", clock_interval_ms=20)
BARS = [a_bar(T0 + n * MINUTE, close=1.3 + n / 1_000) for n in range(9)]


def a_node(name: str, cls: type[Strategy], **params: int) -> StrategyNode:
    return StrategyNode(StrategyConfig(id=name, strategy="t", symbols=("EURUSD",), params=params), cls, [eurusd()])


@asynccontextmanager
async def worker(bus: RedisBus) -> AsyncIterator[None]:
    """One process with two strategies."""
    stop, connections, tasks = asyncio.Event(), [bus.another(), bus.another()], []
    nodes = (a_node("stuck", Stuck), a_node("other", Heard, length=2))
    with hook_budget(0.3):
        for node, own in zip(nodes, connections, strict=True):
            tasks.append(asyncio.create_task(RedisRunner(node, own, WALL, Health("test")).run(stop)))
        await until(lambda: registered(bus))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 10)
            for own in connections:
                await own.close()


async def registered(bus: RedisBus) -> bool:
    return len(await bus.registered()) == 2


async def causes(bus: RedisBus, strategy_id: str) -> list[str]:
    return [s.cause for s in await said(bus, Topic.SIGNALS) if s.strategy_id == strategy_id]


async def test_the_worker_goes_on_without_the_strategy_that_hangs_and_the_journal_knows_what_happened(
    bus: RedisBus, tmp_path: Path
) -> None:
    async with worker(bus):
        for bar in BARS[:6]:
            await publish(bus, Topic.BARS, [[bar]])

        async def paused() -> bool:
            return await bus.length(Topic.ALERTS) == 1 and len(await causes(bus, "other")) >= 3

        await until(paused)
    (alert,) = await said(bus, Topic.ALERTS)
    assert (alert.name, alert.source, alert.severity) == ("strategy_failed", "strategy.stuck", "critical")
    assert "it ran longer than 0.3 s for one message (strategies.py:" in alert.text
    assert await causes(bus, "stuck") == [BARS[0].id, BARS[1].id]
    async with worker(bus):
        await publish(bus, Topic.CONTROL, [[command(StartStrategy, strategy_id="stuck")]], feed="operator")
        await publish(bus, Topic.BARS, [[bar] for bar in BARS[6:]])

        async def resumed() -> bool:
            return BARS[8].id in await causes(bus, "stuck")

        await until(resumed)
    path = tmp_path / "day.barque"
    await record(bus, path)
    for source in (LiveSource(bus), RecordedSource(path)):
        stuck = await asyncio.wait_for(replay(source, a_node("stuck", Stuck), lockstep=False), 20)
        other = await replay(source, a_node("other", Heard, length=2), lockstep=False)
        assert (stuck.identical, stuck.given) == (True, 1)
        assert (other.identical, other.given) == (True, 0)


# ---- through services


def a_book() -> str:
    """A live market of one symbol; three strategies of which one hangs at its fourth bar."""
    market, _, rest = live_market("hanging").partition("[[strategies]]")
    end = rest[rest.rindex("params = ") :].partition("\n")[2]
    strategies = "".join(
        f'[[strategies]]\nid = "{name}"\nstrategy = "{cls}"\nsymbols = ["EURUSD"]\ninterval = "1s"\nparams = {params}\n\n'
        for name, cls, params in (
            ("heard", "tests.support.strategies:Heard", "{ length = 3, past = 6 }"),
            ("stuck", "tests.support.strategies:Stuck", "{ bars = 4 }"),
            ("cross", "sma_cross", '{ fast = 1, slow = 2, price = "mid", warm_up = true }'),
        )
    )
    assert EURUSD.splitlines()[2] in market
    return f"{market}{strategies}\n[strategy_host]\nhook_timeout_s = 0.5\n{end}"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A market that has gone on for some seconds when the strategies join it."""
    folder = tmp_path_factory.mktemp("hanging")
    path = folder / "barque.toml"
    path.write_text(a_book(), encoding="utf-8")
    without_strategies = only("barbuilder", "router", "sender-paper", "portfolio", "feed-replay")
    system = System(path, folder, without_strategies, environment={"PYTHONPATH": str(ROOT)}, durable=False)
    cluster_in(folder / "postgres")
    try:
        system.start_servers()
        system.start_services()
        wait_until(lambda: len(rows(system, "SELECT 1 FROM bars WHERE symbol = 'EURUSD'")) >= 5, 40, "a past")
        system.start_service(service("strategy-host"))
        wait_until(lambda: bool(alerts(system)), 30, "the alert")
        at_alert = len(said_in(system, Topic.SIGNALS))
        wait_until(lambda: len(said_in(system, Topic.SIGNALS)) >= at_alert + 4, 30, "trading of the others")
        system.supervisor.kill("strategy-host")
        wait_until(lambda: len(said_in(system, Topic.SIGNALS)) >= at_alert + 8, 30, "trading after a restart")
        system.supervisor.stop()
        yield system
    finally:
        system.stop()


def alerts(system: System) -> list[Alert]:
    return [alert for alert in said_in(system, Topic.ALERTS) if alert.name == "strategy_failed"]


def test_the_hanging_strategy_is_paused_for_good_and_the_others_trade_on(market: System) -> None:
    (alert,) = alerts(market)
    assert alert.source == "strategy.stuck"
    assert "it ran longer than 0.5 s for one message (strategies.py:" in alert.text
    signals = [s for s in said_in(market, Topic.SIGNALS) if isinstance(s, Signal)]
    assert len([s for s in signals if s.strategy_id == "stuck"]) == 3
    later = {s.strategy_id for s in signals if s.ts_event_ns > alert.ts_event_ns}
    assert later == {"heard", "cross"}


def test_the_bars_that_a_strategy_has_heard_are_those_of_the_stream_without_a_gap_or_a_repeat(market: System) -> None:
    async def remembered(bus: RedisBus) -> bytes:
        return (await bus.load("strategy.heard")).state

    node = a_node("heard", Heard, length=3, past=6)
    node.restore(on_bus(market, remembered))
    state = node._strategy.state
    assert isinstance(state, Heard.State)
    assert 5 <= len(state.past) <= 6
    heard = state.past + state.live
    everything = [bar.id for bar in said_in(market, Topic.BARS) if bar.symbol == "EURUSD"]
    first = everything.index(heard[0])
    assert heard == everything[first : first + len(heard)]
    assert state.first_mean is not None, "the first live bar found a filled average"


@pytest.mark.parametrize(("name", "given"), [("heard", 1), ("stuck", 1), ("cross", 1)])
def test_the_replay_command_says_that_it_was_the_same(market: System, name: str, given: int) -> None:
    answer = barque(
        "replay", "--node", f"strategy.{name}", "--json", "--config", market.config_path, environment=market.environment
    )
    assert answer.returncode == 0, answer.stderr + answer.stdout
    report = parsed(answer)
    assert (report["identical"], report["given"]) == (True, given)
    assert report["entries_out"] > 0
