"""The feed of Interactive Brokers against the TWS simulator, over TCP, with the real ib_async and a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barque.messages import Topic
from simulators.tws import TwsSimulator
from tests.support.feeds import RunningFeed
from tests.support.ibkr_feed import Start, moves
from venues.ibkr import pacing

NS = 10**9


@asynccontextmanager
async def hurrying(times: int = 20, behind_s: float = 300.0) -> AsyncIterator[TwsSimulator]:
    """A Gateway whose clock runs faster than ours, and so begins in the past."""
    began_ns, began = time.time_ns() - int(behind_s * NS), time.monotonic_ns()
    async with TwsSimulator(clock=lambda: began_ns + times * (time.monotonic_ns() - began)) as server:
        server.quote("EURUSD", 1.0850, 1.0851)
        yield server


async def test_quotes_reach_the_stream_in_order_and_the_symbol_is_live(tws: TwsSimulator, start: Start) -> None:
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        await moves(tws, 20)

        async def there() -> bool:
            return len(await feed.quotes()) >= 21

        await feed.until(there, "20 quotes")
        quotes = await feed.quotes()
    assert [quote.bid for quote in quotes] == [1.085, *(round(1.086 + i * 0.0001, 5) for i in range(20))]
    assert all(abs(quote.ts_event_ns - time.time_ns()) < 60 * NS for quote in quotes)


async def test_a_dropped_socket_is_a_gap_that_is_filled_from_history_and_each_quote_goes_out_once(
    tws: TwsSimulator, start: Start
) -> None:
    """Ten quotes before, ten while nobody listens, ten after: §9 row 8 and 9 for a feed."""
    async with start("EURUSD", ibkr={"reconnect_min_s": 3.0, "reconnect_max_s": 3.0}) as feed:
        await feed.until_live("EURUSD")
        await moves(tws, 10, 1.1)
        await feed.until(lambda: _count(feed, 11), "quotes before")
        tws.mishaps.drop_sockets()
        await asyncio.sleep(1.1)  # history has whole seconds
        await moves(tws, 10, 1.2)
        await feed.until(lambda: _said(feed, "connected", 2), "a second connection")
        await asyncio.sleep(0.5)
        await moves(tws, 10, 1.3)
        await feed.until(lambda: _said(feed, "filled"), "a filled gap")
        await feed.until_live("EURUSD")
        bids = [quote.bid for quote in await feed.quotes()]
        states = await feed.states("EURUSD")
    missed = [round(1.2 + i * 0.0001, 5) for i in range(10)]
    assert [bid for bid in bids if bid in missed] == missed, "each once, in order"
    assert bids[-10:] == [round(1.3 + i * 0.0001, 5) for i in range(10)]
    assert bids.index(missed[-1]) < bids.index(1.3)
    assert states[-4:] == ["stale", "gap", "filled", "live"] or states[-3:] == ["gap", "filled", "live"], states


async def test_lost_at_the_broker_and_kept_the_stream_goes_on_by_itself(tws: TwsSimulator, start: Start) -> None:
    """§9 row 6: 1100, then 1102 with the data alive: verified, not asked for anew."""
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        tws.mishaps.lose_ibkr()
        tws.mishaps.lose_ibkr()
        await feed.until(lambda: _fit(feed, "stale"), "paused")
        tws.mishaps.restore_ibkr("kept")
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")
        asked = _asked(tws)
        states = await feed.states("")
    assert asked == 1
    assert states[:3] == ["connected", "disconnected", "connected"]


@pytest.mark.parametrize("data", ["lost", "secretly_dead"])
async def test_lost_at_the_broker_and_not_kept_it_is_asked_for_anew(tws: TwsSimulator, start: Start, data: Any) -> None:
    """§9 row 6: 1101, at once; and 1102 that keeps nothing, which only silence shows."""
    async with start("EURUSD", verify_s=60.0 if data == "lost" else 1.0) as feed:
        await feed.until_live("EURUSD")
        tws.mishaps.lose_ibkr()
        await feed.until(lambda: _fit(feed, "stale"), "paused")
        tws.mishaps.restore_ibkr(data)
        await feed.until(lambda: _asked(tws) == 2, "asked anew")
        await moves(tws, 5, 1.2)
        await feed.until_live("EURUSD")
        assert 1.2004 in [quote.bid for quote in await feed.quotes()]


async def test_farm_notices_at_the_start_mean_nothing_and_a_broken_farm_is_verified(tws: TwsSimulator, start: Start) -> None:
    """§9 row 7: 2103 and 2104 with a dead stream after it; 2105 to 2108 are no concern of quotes."""
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        for code in (2105, 2106, 2107, 2108):
            tws.mishaps.farm(code)
        await moves(tws, 3)
        assert (await feed.states("EURUSD"), _asked(tws)) == (["stale", "live"], 1)
        tws.mishaps.farm(2103)
        tws.mishaps.farm(2104)
        tws.quotes.forget_subscriptions(tws.session(11))
        await feed.until(lambda: _asked(tws) == 2, "asked anew")
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")


async def test_a_stream_that_goes_silent_is_stale_and_asked_for_again_while_pings_are_answered(
    tws: TwsSimulator, start: Start
) -> None:
    """§9 row 12: ticks stop and nobody says so."""
    async with start("EURUSD", stale_after_s=1.0) as feed:
        await feed.until_live("EURUSD")
        tws.mishaps.stop_ticks("EURUSD")
        await feed.until(lambda: _asked(tws) >= 2, "asked anew")
        assert (await feed.fitness("EURUSD"))[-1] == "stale", "the snapshot of a dead stream is no sign of life"
        tws.mishaps.resume_ticks("EURUSD")
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")


async def test_a_half_open_connection_is_found_and_replaced(tws: TwsSimulator, start: Start) -> None:
    """§9 row 12: the socket is open, nothing is read or answered."""
    async with start("EURUSD", ibkr={"ping_interval_s": 0.2, "ping_timeout_s": 0.3}) as feed:
        await feed.until_live("EURUSD")
        tws.mishaps.stall()
        await feed.until(lambda: _said(feed, "connected", 2), "a second connection")
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")


async def test_a_restart_of_the_gateway_is_outlived(tws: TwsSimulator, start: Start) -> None:
    """§9 row 9: refused, accepted and closed, client id in use, up."""
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        await tws.mishaps.restart(refuse_s=0.5, socat_s=0.5, in_use_s=0.5)
        await feed.until(lambda: _said(feed, "connected", 2), "a second connection", 20)
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")
        states = await feed.states("")
    assert states.count("disconnected") == 1, "one outage, however many attempts"


async def test_delayed_data_are_published_marked_and_never_fit(tws: TwsSimulator, start: Start) -> None:
    """§9 row 13: 10167 and ticks of type 3."""
    tws.quotes.entitle("EURUSD", "delayed")
    async with start("EURUSD", ibkr={"market_data_type": "delayed"}) as feed:
        await feed.until(lambda: _fit(feed, "delayed"), "delayed")
        await moves(tws, 5)
        await feed.until(lambda: _count(feed, 5), "quotes all the same")
        assert await feed.fitness("EURUSD") == ["stale", "delayed"]
        assert await feed.alerts() == ["feed_delayed"]


@pytest.mark.parametrize("right", ["none", "delayed", "delayed_disabled"])
async def test_what_the_login_may_not_see_is_said_once_with_what_to_do(tws: TwsSimulator, start: Start, right: Any) -> None:
    """§9 row 13: 354, 10089, 10168; the other symbol goes on."""
    tws.quote("USDJPY", 150.0, 150.01)
    tws.quotes.entitle("EURUSD", right)
    async with start("EURUSD", "USDJPY") as feed:
        await feed.until_live("USDJPY")
        await feed.until(lambda: _alerted(feed, "feed_refused"), "an alert")
        (alert,) = await feed.said(Topic.ALERTS)
        assert "EURUSD" in alert.text and "Market Data Subscriptions" in alert.text
        assert await feed.fitness("EURUSD") == ["stale"]


async def test_stolen_data_are_one_alert_and_come_back_by_themselves(tws: TwsSimulator, start: Start) -> None:
    """§9 row 13: 10197 in a burst, and recovery."""
    tws.quote("USDJPY", 150.0, 150.01)
    async with start("EURUSD", "USDJPY") as feed:
        await feed.until_live("EURUSD")
        await feed.until_live("USDJPY")
        tws.quotes.steal(True)
        tws.quotes.steal(True)
        await feed.until(lambda: _fit(feed, "stale"), "stale")
        tws.quotes.steal(False)
        await moves(tws, 3, 1.2)
        await feed.until_live("EURUSD")
        assert await feed.alerts() == ["feed_data_stolen"]


async def test_five_second_bars_and_bars_kept_up_to_date_survive_10182(tws: TwsSimulator, start: Start) -> None:
    """§9 row 15: 10182 ends both streams; they are asked for again, and no bar comes twice or is missing."""
    streams = [
        {"symbol": "EURUSD", "kind": "bars", "how": "five_seconds", "price": "mid"},
        {"symbol": "EURUSD", "kind": "bars", "how": "keep_up_to_date", "interval": "5s", "price": "bid"},
    ]
    async with hurrying() as fast, start(streams=streams, gateway=fast) as feed:
        walk = asyncio.create_task(moves(fast, 2_000, 1.1, pause_s=0.01))
        await feed.until(lambda: _bars(feed, 4), "bars")
        fast.mishaps.drop_bar_streams()
        before = len(await feed.bars())
        await feed.until(lambda: _bars(feed, before + 6), "bars again")
        walk.cancel()
        bars = await feed.bars()
    for price in ("mid", "bid"):
        opens = [bar.ts_open_ns for bar in bars if bar.price == price]
        assert opens == list(range(opens[0], opens[-1] + 1, 5 * NS)), f"{price}: each once, none missing"


async def test_tick_by_tick_carries_the_venues_seconds_and_level_1_takes_over_where_it_is_not_to_be_had(
    tws: TwsSimulator, start: Start
) -> None:
    tws.limits.tick_by_tick = 1
    tws.quote("USDJPY", 150.0, 150.01)
    streams = [{"symbol": symbol, "how": "tick_by_tick"} for symbol in ("EURUSD", "USDJPY")]
    async with start(streams=streams) as feed:
        await feed.until(lambda: _asked(tws) == 1, "level 1 of the second")
        at = (time.time_ns() // NS - 5) * NS
        tws.quote("EURUSD", 1.09, 1.0901, time_ns=at)
        await moves(tws, 3, 151.0, "USDJPY")
        await feed.until_live("USDJPY")
        await feed.until_live("EURUSD")
        (quote,) = await feed.quotes("EURUSD")
    assert (quote.ts_event_ns, quote.bid, quote.ask) == (at, 1.09, 1.0901)


async def test_trades_of_a_stock_come_with_the_venues_time_and_its_quotes_on_the_same_line(
    tws: TwsSimulator, start: Start
) -> None:
    tws.quote("SPY", 600.0, 600.01)
    async with start("SPY") as feed:
        await feed.until_live("SPY")
        at = time.time_ns() // 1_000_000 * 1_000_000
        for number in range(5):
            tws.trade("SPY", 600.01, 100 + number, time_ns=at + number * 1_000_000)
        await feed.until(lambda: _count(feed, 5, "trades"), "trades")
        trades = await feed.trades()
    assert [(trade.ts_event_ns - at, trade.size) for trade in trades] == [(i * 1_000_000, 100.0 + i) for i in range(5)]
    assert _asked(tws) == 1


async def test_no_quote_of_a_closed_market_reaches_the_stream(tws: TwsSimulator, start: Start) -> None:
    async with start("EURUSD") as feed:
        await feed.until_live("EURUSD")
        tws.switch_market("EURUSD", False)
        tws.quote("EURUSD", 2.0, 2.1)
        tws.switch_market("EURUSD", True)
        await moves(tws, 3, 1.2)
        await feed.until(lambda: _count(feed, 4), "quotes")
        assert all(quote.bid > 0 for quote in await feed.quotes())


async def test_an_unknown_symbol_is_said_and_the_others_go_on(tws: TwsSimulator, start: Start) -> None:
    async with start("EURUSD", "NOPE") as feed:
        await feed.until_live("EURUSD")
        await feed.until(lambda: _alerted(feed, "feed_refused"), "an alert")
        (alert,) = await feed.said(Topic.ALERTS)
        assert "NOPE" in alert.text and "does not know the symbol" in alert.text


async def test_history_that_does_not_answer_holds_nothing_back_for_long(tws: TwsSimulator, start: Start) -> None:
    """§9 row 10, request 96: the gap stays and is an alert; what is heard since goes on."""
    async with start("EURUSD", ibkr={"reconnect_min_s": 4.0, "reconnect_max_s": 4.0}, backfill_wait_s=1.0) as feed:
        await feed.until_live("EURUSD")
        await moves(tws, 3, 1.1)
        await feed.until(lambda: _heard(feed, 1.1), "a quote from before the gap")
        tws.script.on("reqHistoricalTicks").silence()
        tws.mishaps.drop_sockets()
        await feed.until(lambda: _said(feed, "connected", 2), "a second connection")
        await moves(tws, 10, 1.3)
        await feed.until(lambda: _alerted(feed, "feed_gap"), "an alert")
        await feed.until_live("EURUSD")
        assert [quote.bid for quote in await feed.quotes()][-10:] == [round(1.3 + i * 0.0001, 5) for i in range(10)]


async def test_a_history_that_paces_us_is_asked_again_later(
    tws: TwsSimulator, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§9 row 15: 162 with a pacing violation; the gap is filled all the same."""
    monkeypatch.setattr(pacing, "PAUSE_MIN_S", 0.5)
    monkeypatch.setattr(pacing, "IDENTICAL_S", 0.2)
    async with start("EURUSD", ibkr={"reconnect_min_s": 4.0, "reconnect_max_s": 4.0}) as feed:
        await feed.until_live("EURUSD")
        await moves(tws, 3, 1.1)
        await feed.until(lambda: _heard(feed, 1.1), "a quote from before the gap")
        text = "Historical Market Data Service error message:Historical data request pacing violation"
        tws.script.on("reqHistoricalTicks", n=1).error(162, text)
        tws.mishaps.drop_sockets()
        await asyncio.sleep(1.1)
        await moves(tws, 5, 1.2)
        await feed.until(lambda: _said(feed, "connected", 2), "a second connection")
        await moves(tws, 5, 1.3)
        await feed.until(lambda: _said(feed, "filled"), "a filled gap")
        bids = [quote.bid for quote in await feed.quotes()]
        assert [bid for bid in bids if 1.2 <= bid < 1.3] == [round(1.2 + i * 0.0001, 5) for i in range(5)]
        assert await feed.alerts() == []


async def test_when_the_front_month_rolls_the_next_one_is_listened_to(tws: TwsSimulator, start: Start) -> None:
    """§9 row 20."""
    future = {"symbol": "NQ", "exchange": "CME", "multiplier": "20", "trading_class": "NQ"}
    async with start(streams=[{"symbol": "NQ"}], ibkr={"contracts": [future]}) as feed:
        await feed.until(lambda: _asked(tws) == 1, "a subscription")
        (first,) = tws.quotes._lines.values()
        tws.quote(first.lane.listing.name, 21_000.0, 21_000.25)
        await feed.until_live("NQ")
        today = datetime.now(UTC).date()
        await feed.source.roll({"NQ"}, today)  # type: ignore[attr-defined]
        assert _asked(tws) == 1, "it is not due"
        await feed.source.roll({"NQ"}, today + timedelta(days=95))  # type: ignore[attr-defined]
        await feed.until(lambda: _asked(tws) == 2, "a subscription to the next")
        (second,) = tws.quotes._lines.values()
        assert second.lane.listing.expiry > first.lane.listing.expiry
        tws.quote(second.lane.listing.name, 22_000.0, 22_000.25)
        await feed.until(lambda: _reached(feed, 22_000.0), "a quote of the next")


async def _reached(feed: RunningFeed, bid: float) -> bool:
    return bid in [quote.bid for quote in await feed.quotes()]


async def test_a_feed_that_stops_says_so_and_recent_bars_are_shown_as_old_meanwhile(tws: TwsSimulator, start: Start) -> None:
    async with start("EURUSD", recent_bars=100, calendar="FX") as feed:
        await feed.until_live("EURUSD")

        def seeded() -> bool:
            shown = feed.feed.recent("EURUSD")
            return shown is not None and len(shown["bars"]) >= 100

        await feed.until(seeded, "bars of the past")
        shown = feed.feed.recent("EURUSD")
        assert shown is not None and not shown["stale"]
        tws.mishaps.drop_sockets()
        await tws.refuse()
        await feed.until(lambda: _fit(feed, "stale"), "stale")
        shown = feed.feed.recent("EURUSD")
        assert shown is not None and shown["stale"] and len(shown["bars"]) == 100
        assert feed.feed.recent("GBPUSD") is None
        feed.context.stop.set()
        await feed.until(lambda: _said(feed, "disconnected", 2), "its last word")


async def _count(feed: RunningFeed, count: int, kind: str = "quotes") -> bool:
    return len(await getattr(feed, kind)()) >= count


async def _bars(feed: RunningFeed, count: int) -> bool:
    bars = await feed.bars()
    return all(sum(bar.price == price for bar in bars) >= count // 2 for price in ("mid", "bid"))


async def _said(feed: RunningFeed, state: str, times: int = 1) -> bool:
    return (await feed.states()).count(state) >= times


async def _fit(feed: RunningFeed, state: str) -> bool:
    return (await feed.fitness("EURUSD"))[-1:] == [state]


async def _heard(feed: RunningFeed, bid: float) -> bool:
    return any(quote.bid == bid for quote in await feed.quotes())


async def _alerted(feed: RunningFeed, name: str) -> bool:
    return name in await feed.alerts()


def _asked(tws: TwsSimulator) -> int:
    return len(tws.transcript.named("reqMktData", "in"))
