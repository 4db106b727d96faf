"""The feed of MetaTrader 5 against the terminal simulator, over RPyC and in process, with a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from barque.config import RedisConfig, load_common
from barque.errors import ConfigError
from barque.live_feed.source import HistoryQuery
from feed_mt5.config import FeedMt5Config
from feed_mt5.shell.source import Mt5Source, open_source
from simulators.mt5 import Mt5Simulator
from tests.support.feeds import QUICK, RunningFeed, an_instrument, running_feed
from tests.support.mt5 import TRANSPORTS, reachable
from venues.mt5 import session as mt5_session

NS = 10**9
Start = Callable[..., AbstractAsyncContextManager[RunningFeed]]
FAST = {"poll_min_s": 0.01, "poll_max_s": 0.05, "poll_closed_s": 0.1}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost terminal is tried again at once."""
    monkeypatch.setattr(mt5_session, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(mt5_session.Mt5Session.__init__, "__defaults__", (None, 0.05))


@pytest.fixture(params=TRANSPORTS)
def sim(request: pytest.FixtureRequest) -> Iterator[Mt5Simulator]:
    with reachable(Mt5Simulator(["EURUSD", "USDJPY"]), request.param) as terminal:
        terminal.transport = request.param  # type: ignore[attr-defined]
        terminal.quote("EURUSD", 1.0850, 1.0851)
        terminal.quote("USDJPY", 150.0, 150.01)
        yield terminal


@pytest.fixture
def start(valkey: RedisConfig, book: str, sim: Mt5Simulator) -> Start:
    @asynccontextmanager
    async def started(*symbols: str, **feed: Any) -> AsyncIterator[RunningFeed]:
        raw = raw_of(sim, *symbols or ("EURUSD",), **feed)
        async with running_feed(valkey, book, raw, open_source, "feed_mt5", FeedMt5Config) as running:
            yield running

    return started


def raw_of(sim: Mt5Simulator, *symbols: str, **feed: Any) -> dict[str, Any]:
    """What `barque.toml` would say."""
    transport = getattr(sim, "transport", "rpyc")
    terminal: dict[str, Any] = {"transport": transport, "ping_s": 0.1, "clock_wait_s": 0.0}
    if transport == "rpyc":
        terminal["port"] = sim.port
    return {
        "instruments": [an_instrument(symbol, quantity_step="0.01") for symbol in symbols],
        "mt5": terminal,
        "feed_mt5": QUICK | FAST | {"symbols": list(symbols)} | feed,
    }


def bids(first: float, count: int) -> list[float]:
    return [round(first + number * 0.00001, 5) for number in range(count)]


def say(sim: Mt5Simulator, prices: list[float], symbol: str = "EURUSD") -> None:
    for bid in prices:
        sim.quote(symbol, bid, round(bid + 0.0001, 5))


async def spoken_to(sim: Mt5Simulator, feed: RunningFeed) -> None:
    """Until a tick has come through."""

    async def live() -> bool:
        sim.quote("EURUSD", 1.0, 1.1)
        return (await feed.fitness("EURUSD"))[-1:] == ["live"]

    await feed.until(live, "live")


async def test_every_tick_comes_once_and_in_order_however_many_share_a_millisecond(sim: Mt5Simulator, start: Start) -> None:
    async with start() as feed:
        await spoken_to(sim, feed)
        wanted = bids(1.2, 3_000)
        for part in range(0, 3_000, 100):
            say(sim, wanted[part : part + 100])
            await asyncio.sleep(0.003)
        await feed.until(lambda: _has(feed, wanted[-1]), "the last")
        heard = [quote.bid for quote in await feed.quotes() if quote.bid >= 1.2]
    assert heard == wanted


async def test_equal_ticks_are_all_there(sim: Mt5Simulator, start: Start) -> None:
    async with start() as feed:
        await spoken_to(sim, feed)
        say(sim, [1.3] * 50)
        await asyncio.sleep(0.05)
        say(sim, [1.3] * 50 + [1.4])
        await feed.until(lambda: _has(feed, 1.4), "the last")
        assert sum(quote.bid == 1.3 for quote in await feed.quotes()) == 100


async def test_what_was_said_while_the_terminal_was_lost_is_brought_marked_and_not_traded_on(
    sim: Mt5Simulator, start: Start
) -> None:
    async with start() as feed:
        await spoken_to(sim, feed)
        sim.lose_ipc()
        say(sim, bids(1.5, 500))
        await feed.until(lambda: _has(feed, bids(1.5, 500)[-1]), "what was missed")
        say(sim, [1.6])
        await feed.until_live("EURUSD")
        heard = [quote.bid for quote in await feed.quotes() if 1.5 <= quote.bid < 1.6]
        states = await feed.states()
    assert heard == bids(1.5, 500)
    assert states.count("disconnected") == 1
    assert states.index("gap") < states.index("filled")


async def test_a_process_that_starts_again_goes_on_with_the_very_next_tick(
    sim: Mt5Simulator, start: Start, valkey: RedisConfig, book: str
) -> None:
    async with start() as feed:
        await spoken_to(sim, feed)
        say(sim, bids(1.2, 100))
        await feed.until(lambda: _has(feed, bids(1.2, 100)[-1]), "the first part")
    say(sim, bids(1.3, 100))
    async with start() as feed:
        await feed.until(lambda: _has(feed, bids(1.3, 100)[-1]), "what was said meanwhile")
        say(sim, bids(1.4, 100))
        await feed.until(lambda: _has(feed, bids(1.4, 100)[-1]), "the last part")
        heard = [quote.bid for quote in await feed.quotes() if quote.bid >= 1.2]
    assert heard == [*bids(1.2, 100), *bids(1.3, 100), *bids(1.4, 100)]


async def test_a_hanging_terminal_is_given_up_and_its_ticks_come_later(sim: Mt5Simulator, start: Start) -> None:
    if getattr(sim, "transport", "") == "in_process":
        pytest.skip("a call into the package cannot be interrupted")
    async with start() as feed:
        await spoken_to(sim, feed)
        sim.cut()
        say(sim, [1.7])
        await feed.until(lambda: _has(feed, 1.7), "the tick")


async def test_utc_is_right_on_both_sides_of_both_changes_of_the_brokers_clock(valkey: RedisConfig, book: str) -> None:
    """EET to EEST on 30 March 2014 at 01:00 UTC, and back on 26 October: the Fridays before and the Mondays after."""
    days = [datetime(2014, 3, 28, 12, tzinfo=UTC), datetime(2014, 3, 31, 12, tzinfo=UTC)]
    days += [datetime(2014, 10, 24, 12, tzinfo=UTC), datetime(2014, 10, 27, 12, tzinfo=UTC)]
    times = np.array([int(day.timestamp()) * NS for day in days], np.int64)
    with Mt5Simulator(["EURUSD"], zone="Europe/Athens") as sim:
        for at in times:
            sim.load("EURUSD", np.array([at]), [1.1], [1.2])
        raw = raw_of(sim, "EURUSD")
        async with _connected(raw) as source:
            ticks = await _history(source, kind="quotes", from_ns=times[0], to_ns=times[-1] + 1)
            bars = await _history(source, kind="bars", from_ns=times[0], to_ns=times[-1] + 1, interval="1m")
    assert [tick.ts_event_ns for tick in ticks] == times.tolist()
    assert [bar.ts_open_ns for bar in bars] == times.tolist()
    assert [bar.ts_close_ns - bar.ts_open_ns for bar in bars] == [60 * NS] * 4


async def test_an_unknown_symbol_ends_the_feed_with_what_the_broker_has(valkey: RedisConfig, book: str) -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        raw = raw_of(sim, "GBPUSD")
        with pytest.raises(ConfigError, match="the broker has no symbol 'GBPUSD'"):
            async with running_feed(valkey, book, raw, open_source, "feed_mt5", FeedMt5Config) as feed:
                await feed.until(lambda: False, "an end", 3)


async def test_a_bridge_that_is_not_there_is_waited_for(sim: Mt5Simulator, valkey: RedisConfig, book: str) -> None:
    if getattr(sim, "transport", "") == "in_process":
        pytest.skip("there is no bridge")
    raw = raw_of(sim, "EURUSD")
    sim.stop_serving()
    async with running_feed(valkey, book, raw, open_source, "feed_mt5", FeedMt5Config) as feed:
        await asyncio.sleep(0.3)
        sim.serve()
        await spoken_to(sim, feed)


async def _has(feed: RunningFeed, bid: float) -> bool:
    quotes = await feed.quotes()
    return any(quote.bid == bid for quote in quotes[-300:])


@asynccontextmanager
async def _connected(raw: dict[str, Any]) -> AsyncIterator[Mt5Source]:
    """A source with a session, without a feed."""
    source = open_source(raw, load_common({"instruments": raw["instruments"]}).instruments)
    task = asyncio.create_task(source.connect(_Nobody()))
    deadline = time.monotonic() + 10
    while source._session is None or not source._session.up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.close()


class _Nobody:
    """A sink that hears nothing."""

    def heard(self, messages: Any, missed: bool = False) -> None:
        """Nothing is subscribed."""

    def told(self, event: Any) -> None:
        """Nobody asks."""

    def room(self) -> int:
        return 0


async def _history(source: Mt5Source, **query: Any) -> list[Any]:
    asked = HistoryQuery(symbol="EURUSD", **{name: int(v) if name.endswith("_ns") else v for name, v in query.items()})
    return [message async for page in source.history(asked) for message in page.messages]
