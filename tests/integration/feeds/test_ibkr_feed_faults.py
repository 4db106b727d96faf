"""A Gateway that answers nothing, or things that are no figures, for as long as it likes: the feed is bounded, says so, goes on.

Rows 10, 14, 21 and 22 of the page's table, over TCP with the real ib_async; the other rows are in `test_ibkr_feed.py`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from barque.live_feed import core
from barque.messages import Alert, Quote, Topic
from simulators.tws import TwsSimulator
from simulators.tws.wire import UNSET
from tests.support.feeds import RunningFeed
from tests.support.ibkr_feed import Start, moves
from tests.support.tws import connected

QUIET: dict[str, Any] = {"connect_timeout_s": 0.4, "request_timeout_s": 0.4}
OTHER = {"symbol": "USDJPY"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent subscription is renewed after one second, not after 30."""
    monkeypatch.setattr(core, "RENEW_S", (0.0, 1.0, 2.0, 4.0, 8.0))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("request_name", ["reqContractDetails", "reqMktData", "reqTickByTickData"])
async def test_a_request_for_prices_that_is_never_answered_leaves_one_symbol_stale_and_is_made_again(
    tws: TwsSimulator, start: Start, request_name: str
) -> None:
    """Row 10, requests 9, 1 and 97."""
    tws.quote("USDJPY", 150.0, 150.01)
    tws.script.on(request_name, n=1).silence()
    how = "tick_by_tick" if request_name == "reqTickByTickData" else "level1"
    streams = [{"symbol": "EURUSD", "how": how}, OTHER]
    async with start(streams=streams, ibkr=QUIET, stale_after_s=2.0) as feed:
        walking = asyncio.create_task(_walk(tws))
        try:
            await feed.until_live("USDJPY")
            assert await feed.fitness("EURUSD") == ["stale"], "nothing is opened on it"
            await feed.until_live("EURUSD")
        finally:
            walking.cancel()
        assert len(tws.transcript.named(request_name, "in")) <= 5
        assert (await feed.states("")).count("connected") == 1, "the session was kept"


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("how", ["five_seconds", "keep_up_to_date"])
async def test_bars_that_are_never_answered_are_asked_for_again(how: str, start: Start) -> None:
    """Row 10, requests 50 and 20 in their live form."""
    began, began_ns = time.monotonic_ns(), time.time_ns()
    async with TwsSimulator(clock=lambda: began_ns - 300 * 10**9 + 20 * (time.monotonic_ns() - began)) as fast:
        fast.quote("EURUSD", 1.0850, 1.0851)
        name = "reqRealTimeBars" if how == "five_seconds" else "reqHistoricalData"
        fast.script.on(name, n=1).silence()
        stream = {"symbol": "EURUSD", "kind": "bars", "how": how, "interval": "5s", "price": "bid"}
        async with start(streams=[stream], gateway=fast, ibkr=QUIET, stale_after_s=2.0) as feed:
            walking = asyncio.create_task(_walk(fast))
            try:

                async def bars() -> bool:
                    return len(await feed.bars()) >= 3

                await feed.until(bars, "bars all the same", 25)
                await feed.until_live("EURUSD")
            finally:
                walking.cancel()
            assert (await feed.fitness("EURUSD"))[0] == "stale"
            assert len(fast.transcript.named(name, "in")) == 2


@pytest.mark.parametrize("way", ["refused", "accepted_and_closed", "mute", "client_id_in_use"])
async def test_a_gateway_that_lets_nobody_in_for_hours_is_one_alert_and_no_storm(
    tws: TwsSimulator, start: Start, way: str
) -> None:
    """Rows 10 and 22: the week's token has died; every way in which a Gateway keeps us out until a person has confirmed."""
    ibkr = QUIET | {"safe_after_attempts": 3, "reconnect_min_s": 0.1, "reconnect_max_s": 0.4}
    rival = connected(tws, 11) if way == "client_id_in_use" else None
    held = await rival.__aenter__() if rival is not None else None
    if way == "refused":
        await tws.refuse()
    elif way == "accepted_and_closed":
        tws.mishaps.accept_then_close = True
    elif way == "mute":
        tws.script.on("handshake").silence()
    async with start("EURUSD", ibkr=ibkr) as feed:
        await feed.until(lambda: _told(feed, "feed_safe_mode"), "safe mode")
        accepted = tws._accepted
        await asyncio.sleep(1.0)
        assert tws._accepted - accepted <= 5, "further and further apart, one at a time"
        assert await feed.alerts() == ["feed_safe_mode"], "told once"
        assert await feed.fitness("EURUSD") == ["stale"]
        (alert,) = [each for each in await feed.said(Topic.ALERTS) if isinstance(each, Alert)]
        assert WORDS[way] in alert.text
        if rival is not None:
            await rival.__aexit__(None, None, None)
        await tws.listen() if way == "refused" else None
        tws.mishaps.accept_then_close = False
        tws.script.clear()
        await feed.until_live("EURUSD", 20)
        assert await feed.alerts() == ["feed_safe_mode", "feed_disconnected"], "and that it is back"
    del held


WORDS = {
    "refused": "nothing listens there",
    "accepted_and_closed": "accepted and closed again",
    "mute": "no answer to the handshake",
    "client_id_in_use": "client id 11 is in use",
}


async def test_a_read_only_api_has_all_the_data(tws: TwsSimulator, start: Start) -> None:
    """Row 14: only orders are refused."""
    tws.read_only = True
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        await moves(tws, 3, 1.2)
        await feed.until(lambda: _last(feed, 1.2002), "quotes")
        assert await feed.alerts() == []


async def test_a_login_of_several_accounts_feeds_as_one_of_one(start: Start) -> None:
    """Row 21."""
    async with TwsSimulator(accounts=("DU1", "DU2", "DU3")) as several:
        several.quote("EURUSD", 1.0850, 1.0851)
        async with start("EURUSD", gateway=several) as feed:
            await feed.until_live("EURUSD")
            await moves(several, 3, 1.2)
            await feed.until(lambda: _last(feed, 1.2002), "quotes")
            assert await feed.alerts() == []


async def test_figures_that_are_not_known_are_no_prices(tws: TwsSimulator, start: Start) -> None:
    """Row 21: the wire says 1.8e308 where it has none, or -1; of either nothing reaches the streams."""
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        ((_, number),) = tws.quotes._lines
        for price, size in ((UNSET, 100.0), (1.3, UNSET), (-1.0, 0.0), (float("inf"), 100.0)):
            tws.emit((1, 6, number, 2, price, size, 0), (1, 6, number, 1, price, size, 0))
        tws.emit((2, 6, number, 0, UNSET), (2, 6, number, 3, UNSET))
        await moves(tws, 3, 1.2)
        await feed.until(lambda: _last(feed, 1.2002), "quotes after them")
        quotes = await feed.quotes()
    assert all(0 < figure < 1e9 for quote in quotes for figure in (quote.bid, quote.ask, quote.bid_size, quote.ask_size))
    assert len({quote.bid for quote in quotes} - {1.085, 1.2, 1.2001, 1.2002}) == 0


async def _walk(tws: TwsSimulator) -> None:
    for number in range(10_000):
        tws.quote("EURUSD", 1.1 + number % 50 * 0.0001, 1.1001 + number % 50 * 0.0001)
        tws.quote("USDJPY", 150.0 + number % 50 * 0.01, 150.01 + number % 50 * 0.01)
        await asyncio.sleep(0.05)


async def _told(feed: RunningFeed, name: str) -> bool:
    return name in await feed.alerts()


async def _last(feed: RunningFeed, bid: float) -> bool:
    quotes: list[Quote] = await feed.quotes()
    return quotes[-1].bid == bid
