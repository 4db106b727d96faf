"""A TWS simulator, and the feed of Interactive Brokers at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from barque.config import RedisConfig
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.shell.source import open_source
from simulators.tws import TwsSimulator
from tests.support.feeds import QUICK, RunningFeed, running_feed
from tests.support.ibkr_feed import Start, instrument_of


@pytest.fixture
async def tws() -> AsyncIterator[TwsSimulator]:
    async with TwsSimulator() as server:
        server.quote("EURUSD", 1.0850, 1.0851)
        yield server


@pytest.fixture
def start(valkey: RedisConfig, book: str, tws: TwsSimulator) -> Start:
    @asynccontextmanager
    async def started(
        *symbols: str,
        ibkr: dict[str, Any] | None = None,
        streams: Any = (),
        calendar: str = "24/7",
        gateway: TwsSimulator | None = None,
        **feed: Any,
    ) -> AsyncIterator[RunningFeed]:
        names = {*symbols, *(stream["symbol"] for stream in streams)}
        raw = {
            "instruments": [instrument_of(name) | {"calendar": calendar} for name in sorted(names)],
            "ibkr": {"port": (gateway or tws).port, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2, **(ibkr or {})},
            "feed_ibkr": QUICK | {"symbols": list(symbols), "streams": list(streams)} | feed,
        }
        async with running_feed(valkey, book, raw, open_source, "feed_ibkr", FeedIbkrConfig) as running:
            yield running

    return started
