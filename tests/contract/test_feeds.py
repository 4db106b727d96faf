"""What every live feed promises, whatever broker it listens to. A broker here is a simulator that can be moved and broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from typing import Any, Protocol

import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import RedisConfig
from barque.errors import ConfigError
from barque.live_feed.config import LiveFeedConfig
from barque.messages import FeedStatus, Quote, Topic
from feed_ibkr.config import FeedIbkrConfig
from feed_mt5.config import FeedMt5Config
from simulators.mt5 import Mt5Simulator
from simulators.tws import TwsSimulator
from tests.support.feeds import QUICK, RunningFeed, an_instrument, running_feed
from tests.support.mt5 import reachable
from venues.mt5 import session as mt5_session

SYMBOLS = ("EURUSD", "USDJPY")


class Broker(Protocol):
    """A broker to be broken."""

    section: str
    config: type[LiveFeedConfig]
    source: str
    """Name of its entry point."""

    def raw(self) -> dict[str, Any]:
        """Its sections of `barque.toml`."""
        ...

    def quote(self, symbol: str, bid: float) -> None:
        """The market moves."""
        ...

    async def lose(self) -> None:
        """The session ends; it can be had again at once."""
        ...

    async def be_away(self) -> None:
        """There is no broker any more."""
        ...

    async def be_back(self) -> None:
        """There is one again."""
        ...


class Tws:
    section, config, source = "feed_ibkr", FeedIbkrConfig, "ibkr"

    def __init__(self, tws: TwsSimulator) -> None:
        self.tws = tws

    def raw(self) -> dict[str, Any]:
        return {
            "ibkr": {"port": self.tws.port, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2},
            "feed_ibkr": {"symbols": SYMBOLS},
        }

    def quote(self, symbol: str, bid: float) -> None:
        self.tws.quote(symbol, bid, round(bid * 1.0001, 5))

    async def lose(self) -> None:
        self.tws.mishaps.drop_sockets()

    async def be_away(self) -> None:
        await self.tws.refuse()
        self.tws.mishaps.drop_sockets()

    async def be_back(self) -> None:
        await self.tws.listen()


class Mt5:
    section, config, source = "feed_mt5", FeedMt5Config, "mt5"

    def __init__(self, sim: Mt5Simulator, transport: str) -> None:
        self.sim, self.transport = sim, transport
        self.port = sim.port if transport == "rpyc" else 1

    def raw(self) -> dict[str, Any]:
        terminal = {"transport": self.transport, "port": self.port, "ping_s": 0.1, "clock_wait_s": 0.0}
        return {"mt5": terminal, "feed_mt5": {"symbols": SYMBOLS, "poll_min_s": 0.01, "poll_max_s": 0.05}}

    def quote(self, symbol: str, bid: float) -> None:
        self.sim.quote(symbol, bid, round(bid * 1.0001, 5))

    async def lose(self) -> None:
        self.sim.lose_ipc()

    async def be_away(self) -> None:
        if self.transport == "rpyc":
            self.sim.stop_serving()
        else:
            self.sim.fault(function="account_info", times=10**6)
            self.sim.lose_ipc()

    async def be_back(self) -> None:
        if self.transport == "rpyc":
            self.sim.serve()
        else:
            self.sim.faults.coming.clear()


@pytest.fixture(params=["ibkr", "mt5-rpyc", "mt5-in_process"])
async def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    async with AsyncExitStack() as stack:
        found: Broker
        if request.param == "ibkr":
            found = Tws(await stack.enter_async_context(TwsSimulator()))
        else:
            monkeypatch.setattr(mt5_session, "FIRST_WAIT_S", 0.05)
            monkeypatch.setattr(mt5_session.Mt5Session.__init__, "__defaults__", (None, 0.05))
            transport = request.param.removeprefix("mt5-")
            found = Mt5(stack.enter_context(reachable(Mt5Simulator(SYMBOLS), transport)), transport)
        found.quote("EURUSD", 1.1)
        found.quote("USDJPY", 150.0)
        yield found


Start = Callable[..., AbstractAsyncContextManager[RunningFeed]]


@pytest.fixture
def start(valkey: RedisConfig, book: str, broker: Broker) -> Start:
    @asynccontextmanager
    async def started(**feed: Any) -> AsyncIterator[RunningFeed]:
        (entry,) = entry_points(group="barque.market_sources", name=broker.source)
        raw = broker.raw() | {"instruments": [an_instrument(symbol, quantity_step="0.01") for symbol in SYMBOLS]}
        raw[broker.section] = QUICK | raw[broker.section] | feed
        async with running_feed(valkey, book, raw, entry.load(), broker.section, broker.config) as running:
            yield running

    return started


async def speaking(broker: Broker, feed: RunningFeed, level: float, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """The market moves around `level` until every symbol is live."""
    step = 0

    async def live() -> bool:
        nonlocal step
        step += 1
        for symbol in symbols:
            broker.quote(symbol, round(level + step % 7 * 0.0001, 5))
        return all([(await feed.fitness(symbol))[-1:] == ["live"] for symbol in symbols])

    await feed.until(live, "every symbol live", 20)


async def walk(broker: Broker, feed: RunningFeed, bids: list[float]) -> None:
    """The market goes through these, and they reach the stream."""
    for bid in bids:
        broker.quote("EURUSD", bid)
        await asyncio.sleep(0.002)
    await feed.until(lambda: _reached(feed, bids[-1]), f"the quote {bids[-1]}")


async def _reached(feed: RunningFeed, bid: float) -> bool:
    return any(quote.bid == bid for quote in (await feed.quotes("EURUSD"))[-50:])


def steps(first: float, count: int = 30) -> list[float]:
    return [round(first + number * 0.0001, 4) for number in range(count)]


def among(quotes: list[Quote], bids: list[float]) -> list[float]:
    return [quote.bid for quote in quotes if quote.bid in bids]


async def test_each_quote_is_published_once_in_order_of_time(broker: Broker, start: Start) -> None:
    async with start() as feed:
        await speaking(broker, feed, 1.1)
        await walk(broker, feed, steps(1.2))
        quotes = await feed.quotes("EURUSD")
    assert among(quotes, steps(1.2)) == steps(1.2)
    assert [quote.ts_event_ns for quote in quotes] == sorted(quote.ts_event_ns for quote in quotes)
    assert all(0 < quote.bid <= quote.ask for quote in quotes)


async def test_it_is_stale_first_and_live_with_the_first_tick(broker: Broker, start: Start) -> None:
    async with start() as feed:
        await speaking(broker, feed, 1.1)
        assert await feed.fitness("EURUSD") == ["stale", "live"]
        assert (await feed.states(""))[0] == "connected"


async def test_it_says_that_it_lives(broker: Broker, start: Start) -> None:
    async with start(heartbeat_s=0.3) as feed:

        async def beats() -> bool:
            said = [m for m in await feed.said(Topic.TICKS) if isinstance(m, FeedStatus)]
            return sum(m.state == "heartbeat" for m in said) >= 3

        await feed.until(beats, "three heartbeats")


async def test_a_lost_session_is_had_again_and_nothing_comes_twice(broker: Broker, start: Start) -> None:
    async with start() as feed:
        await speaking(broker, feed, 1.1)
        await walk(broker, feed, steps(1.2))
        await broker.lose()
        await feed.until(lambda: _times(feed, "connected", 2), "a second connection")
        await speaking(broker, feed, 1.3)
        await walk(broker, feed, steps(1.4))
        quotes = await feed.quotes("EURUSD")
    assert among(quotes, steps(1.2)) == steps(1.2)
    assert among(quotes, steps(1.4)) == steps(1.4)


async def test_while_there_is_no_broker_nothing_is_fit_and_it_is_an_alert_and_all_comes_back(
    broker: Broker, start: Start
) -> None:
    async with start(alert_after_s=1.0, expected_alert_after_s=1.0) as feed:
        await speaking(broker, feed, 1.1)
        await broker.be_away()
        for symbol in SYMBOLS:
            await feed.until(lambda symbol=symbol: _unfit(feed, symbol), f"{symbol} not fit")  # type: ignore[misc]
        await feed.until(lambda: _alerted(feed, "feed_disconnected"), "an alert")
        assert list(feed.context.health.reasons()) == [f"{feed.feed.feed}.session"]
        await broker.be_back()
        await speaking(broker, feed, 1.3)
        states = await feed.states("")
    assert states.count("disconnected") == 1


async def test_a_process_that_starts_again_repeats_nothing(broker: Broker, start: Start) -> None:
    async with start() as feed:
        await speaking(broker, feed, 1.1)
        await walk(broker, feed, steps(1.2))
    async with start() as feed:
        await speaking(broker, feed, 1.3)
        await walk(broker, feed, steps(1.4))
        quotes = await feed.quotes("EURUSD")
        fitness = await feed.fitness("EURUSD")
    assert among(quotes, steps(1.2)) == steps(1.2)
    assert among(quotes, steps(1.4)) == steps(1.4)
    assert fitness[:3] == ["stale", "live", "stale"], "it said so when it stopped"


async def test_of_two_feeds_of_one_book_only_one_goes_on(broker: Broker, start: Start, bus: RedisBus) -> None:
    with pytest.raises(ConfigError, match="another process feeds book"):
        async with start() as feed:
            await speaking(broker, feed, 1.1)
            record = await bus.load(feed.feed.feed)
            await bus.call("HSET", bus.node_key(feed.feed.feed), "seq", record.seq + 5)
            await speaking(broker, feed, 1.2)
            await feed.until(lambda: False, "an end", 5)


async def _times(feed: RunningFeed, state: str, times: int) -> bool:
    return (await feed.states("")).count(state) >= times


async def _unfit(feed: RunningFeed, symbol: str) -> bool:
    return (await feed.fitness(symbol))[-1:] == ["stale"]


async def _alerted(feed: RunningFeed, name: str) -> bool:
    return name in await feed.alerts()
