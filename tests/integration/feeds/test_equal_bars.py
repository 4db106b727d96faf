"""The same recorded day from either broker: feed, Valkey, bar builder, and bars that equal the vendor's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.bus.node_shell import RunnerOptions
from barque.config import RedisConfig
from barque.messages import Bar, ClockTicked, Topic
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.shell.source import open_source as open_ibkr
from feed_mt5.config import FeedMt5Config
from feed_mt5.shell.source import open_source as open_mt5
from simulators.mt5 import Mt5Simulator
from simulators.tws import TwsSimulator
from tests.support.builders import T0, eurusd
from tests.support.data import data_file, vendor_bars, vendor_ticks
from tests.support.driving import publish, running
from tests.support.feeds import QUICK, RunningFeed, an_instrument, running_feed

OPTIONS = RunnerOptions(service="test", worker="w1", feed_clock=True, clock_interval_ms=50)
MINUTE = 60 * 10**9
Quote = Callable[[int, float, float], None]


@asynccontextmanager
async def through(broker: str, valkey: RedisConfig, book: str) -> AsyncIterator[tuple[RunningFeed, Quote]]:
    """A feed of that broker's simulator, and how its market is moved."""
    instruments = [an_instrument("EURUSD", quantity_step="0.01")]
    async with AsyncExitStack() as stack:
        raw: dict[str, Any] = {"instruments": instruments}
        if broker == "ibkr":
            tws = await stack.enter_async_context(TwsSimulator())
            tws.quote("EURUSD", 1.3, 1.4)
            raw |= {"ibkr": {"port": tws.port}}
            raw |= {"feed_ibkr": QUICK | {"streams": [{"symbol": "EURUSD", "how": "tick_by_tick"}]}}
            feed = await stack.enter_async_context(running_feed(valkey, book, raw, open_ibkr, "feed_ibkr", FeedIbkrConfig))
            await feed.until(lambda: tws.transcript.named("reqTickByTickData", "in"), "a subscription")
            yield feed, lambda at, bid, ask: tws.quote("EURUSD", bid, ask, time_ns=at)
        else:
            sim = stack.enter_context(Mt5Simulator(["EURUSD"]))
            sim.quote("EURUSD", 1.3, 1.4, T0 - 10**9)  # the feed begins after the newest tick that there is
            raw |= {
                "mt5": {"port": sim.port, "clock_wait_s": 0.0},
                "feed_mt5": QUICK | {"symbols": ["EURUSD"], "poll_min_s": 0.01},
            }
            feed = await stack.enter_async_context(running_feed(valkey, book, raw, open_mt5, "feed_mt5", FeedMt5Config))
            await feed.until(lambda: _said(feed, "connected"), "a connection")
            await asyncio.sleep(0.3)
            yield feed, lambda at, bid, ask: sim.quote("EURUSD", bid, ask, at)


async def _said(feed: RunningFeed, state: str) -> bool:
    return state in await feed.states()


async def bars_of(broker: str, valkey: RedisConfig, book: str, ticks: list[tuple[int, float, float]]) -> list[Bar]:
    """Bars of the bar builder, of minutes that are over."""
    builder = BarBuilderNode(BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",)),)), [eurusd()])
    async with through(broker, valkey, book) as (feed, quote), running(feed.bus, builder, OPTIONS):
        for number, tick in enumerate(ticks):
            quote(*tick)
            if number % 20 == 0:
                await asyncio.sleep(0)
                while feed.feed.room() < 5_000:  # noqa: ASYNC110 (a recording is faster than life)
                    await asyncio.sleep(0.01)
        last_bid = ticks[-1][1]

        async def heard() -> bool:
            quotes = await feed.quotes()
            return len(quotes) >= len(ticks) * 0.99 and quotes[-1].bid == last_bid

        await feed.until(heard, "the last tick", 60)
        await publish(feed.bus, Topic.CLOCK, [[ClockTicked(now_ns=(ticks[-1][0] // MINUTE + 2) * MINUTE)]])

        async def at_rest() -> bool:
            return await feed.bus.whose_turn() == ""

        await feed.until(at_rest, "rest", 60)
        return await feed.bars()


async def check(broker: str, valkey: RedisConfig, book: str, minutes: int) -> None:
    ticks = vendor_ticks(data_file("eurusd-oanda-ticks-2014-05-01.csv.gz"))
    truth = vendor_bars(data_file("eurusd-oanda-m1-2014-05-01.csv.gz"))
    end_ns = ticks[0][0] // MINUTE * MINUTE + minutes * MINUTE
    cut = [tick for tick in ticks if tick[0] < end_ns + MINUTE]
    bars = await bars_of(broker, valkey, book, cut)
    found = {(bar.price, bar.ts_open_ns): (bar.open, bar.high, bar.low, bar.close) for bar in bars if bar.ts_open_ns < end_ns}
    assert len(found) == len([bar for bar in bars if bar.ts_open_ns < end_ns]), "each once"
    assert found == {key: bar for key, bar in truth.items() if key[1] < end_ns}
    assert len(found) > minutes


@pytest.mark.parametrize("broker", ["ibkr", "mt5"])
async def test_three_hours_of_ticks_give_the_vendors_bars(broker: str, valkey: RedisConfig, book: str) -> None:
    await check(broker, valkey, book, 180)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["ibkr", "mt5"])
async def test_a_whole_day_of_ticks_gives_the_vendors_bars(broker: str, valkey: RedisConfig, book: str) -> None:
    await check(broker, valkey, book, 1_440)
