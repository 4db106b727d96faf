"""Market data through the real client: quotes, trades, tick by tick, bars as they happen, history, and their limits."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from ib_async import IB, ContFuture, Contract, Forex, Stock

from simulators.tws import Limits, ManualClock, Noise, TwsSimulator
from tests.support.tws import connected, errors, until

EURUSD = Forex("EURUSD", conId=12087792)
SPY = Stock("SPY", "SMART", "USD", conId=756733, primaryExchange="ARCA")
TUESDAY_10_IN_NEW_YORK = 1_796_137_200
Desk = tuple[TwsSimulator, IB, ManualClock]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A client, a clock that stands at ten in the morning in New York, SPY at 600/600.01."""
    clock = ManualClock(TUESDAY_10_IN_NEW_YORK * 10**9)
    async with TwsSimulator(clock=clock) as tws, connected(tws) as ib:
        tws.quote("SPY", 600.00, 600.01, 300, 200)
        yield tws, ib, clock


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(TUESDAY_10_IN_NEW_YORK + seconds, UTC)


async def test_trades_give_last_volume_time_and_the_days_range(desk: Desk) -> None:
    tws, ib, clock = desk
    ticker = ib.reqMktData(SPY, "233")
    await until(lambda: ticker.ask == 600.01)
    assert math.isnan(ticker.last)
    for price, size in ((600.01, 100), (600.05, 200), (599.95, 300)):
        clock.advance(1)
        tws.trade("SPY", price, size)
    await until(lambda: ticker.last == 599.95)
    assert (ticker.lastSize, ticker.volume, ticker.rtVolume) == (300, 600, 600)
    assert ticker.vwap == pytest.approx((600.01 * 100 + 600.05 * 200 + 599.95 * 300) / 600)
    assert ticker.lastTimestamp == ticker.rtTime == at(3)
    again = ib.reqMktData(Stock("SPY", "SMART", "USD", conId=756733))
    await until(lambda: again.high == 600.05)
    assert (again.low, again.close) == (599.95, 600.00)


async def test_only_what_changed_is_said_with_its_size_said_twice(desk: Desk) -> None:
    tws, ib, _ = desk
    ticker = ib.reqMktData(SPY)
    await until(lambda: ticker.ask == 600.01)
    tws.transcript.clear()
    tws.quote("SPY", 600.00, 600.02, 300, 200)
    said = [(entry.name, entry.fields[2:]) for entry in tws.transcript]
    assert said == [("tickPrice", (2, 600.02, 200.0, 1)), ("tickSize", (3, 200.0))]
    tws.transcript.clear()
    tws.quote("SPY", 600.00, 600.02, 300, 200)
    assert list(tws.transcript) == []


async def test_a_snapshot_comes_to_an_end_and_takes_no_line(desk: Desk) -> None:
    tws, ib, _ = desk
    (ticker,) = await ib.reqTickersAsync(SPY)
    assert (ticker.bid, ticker.ask, tws.quotes.lines()) == (600.00, 600.01, 0)


async def test_tick_by_tick_has_every_quote_and_every_trade(desk: Desk) -> None:
    tws, ib, clock = desk
    quotes = ib.reqTickByTickData(SPY, "BidAsk")
    trades = ib.reqTickByTickData(Stock("SPY", "SMART", "USD", conId=756733), "AllLast")
    assert quotes is trades, "one ticker for both"
    seen: list[tuple[float, ...]] = []

    def note(ticker: object) -> None:
        for tick in quotes.tickByTicks:
            price = getattr(tick, "price", None)
            seen.append((tick.bidPrice, tick.askPrice) if price is None else (price,))

    quotes.updateEvent += note
    await until(lambda: len(tws.quotes._streams) == 2)
    for step in range(5):
        clock.advance(1)
        tws.quote("SPY", 600 + step, 600.01 + step)
        tws.trade("SPY", 600 + step, 7)
    await until(lambda: len(seen) == 10)
    assert seen == [value for step in range(5) for value in ((600.0 + step, 600.01 + step), (600.0 + step,))]
    (stamped,) = [entry for entry in tws.transcript.named("tickByTick") if entry.fields[3] == 604.0 and entry.fields[1] == 2]
    assert stamped.fields[2] == TUESDAY_10_IN_NEW_YORK + 5, "the exchange's time, which the client throws away"


async def test_forex_has_no_trades(desk: Desk) -> None:
    _, ib, _ = desk
    heard = errors(ib)
    ib.reqTickByTickData(EURUSD, "Last")
    assert len(await ib.reqHistoricalDataAsync(EURUSD, "", "1 D", "1 hour", "TRADES", False, 2)) == 0
    ib.reqRealTimeBars(EURUSD, 5, "TRADES", False)
    await until(lambda: len(heard) == 3)
    assert [code for _, code, _ in heard] == [10189, 162, 420]


async def test_five_second_bars_close_with_the_clock(desk: Desk) -> None:
    tws, ib, clock = desk
    bars = ib.reqRealTimeBars(SPY, 5, "TRADES", False)
    await until(lambda: tws.bars.five)
    tws.pulse()
    for price in (600.00, 600.04, 599.98, 600.02):
        tws.trade("SPY", price, 10)
        clock.advance(1)
    tws.pulse()
    assert len(bars) == 0
    clock.advance(1)
    tws.pulse()
    await until(lambda: len(bars) == 1)
    bar = bars[0]
    assert (bar.time, bar.open_, bar.high, bar.low, bar.close) == (at(0), 600.00, 600.04, 599.98, 600.02)
    assert (bar.volume, bar.count, bar.wap) == (40, 4, pytest.approx(600.01))
    clock.advance(10)
    tws.pulse()
    await until(lambda: len(bars) == 3)
    assert [(each.time, each.close, each.volume) for each in bars[1:]] == [(at(5), 600.02, 0), (at(10), 600.02, 0)]


async def test_bars_kept_up_to_date_grow_and_are_followed_by_new_ones(desk: Desk) -> None:
    tws, ib, clock = desk
    tws.trade("SPY", 600.00, 10)
    bars = await ib.reqHistoricalDataAsync(SPY, "", "300 S", "1 min", "TRADES", False, 2, True)
    before = len(bars)
    assert bars[-1].date == at(0)
    tws.pulse()
    for price in (600.10, 600.20, 599.90):
        tws.trade("SPY", price, 10)
        clock.advance(5)
        tws.pulse()
    await until(lambda: bars[-1].close == 599.90)
    assert (len(bars), bars[-1].high, bars[-1].low, bars[-1].volume) == (before, 600.20, 599.90, 40)
    clock.advance(45)
    tws.trade("SPY", 601.00, 5)
    clock.advance(5)
    tws.pulse()
    await until(lambda: len(bars) == before + 1)
    assert (bars[-1].date, bars[-1].open, bars[-1].volume) == (at(60), 601.00, 5)
    ib.cancelHistoricalData(bars)
    await until(lambda: not tws.bars.live)


async def test_history_asked_for_later_has_what_happened(desk: Desk) -> None:
    tws, ib, clock = desk
    for minute in range(5):
        for second in range(0, 60, 10):
            tws.quote("SPY", 600 + minute + second / 100, 600.01 + minute + second / 100)
            clock.advance(10)
    bars = await ib.reqHistoricalDataAsync(SPY, at(300), "300 S", "1 min", "BID", False, 2)
    assert [(bar.date, bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        (at(60 * minute), 600.0 + minute, 600.5 + minute, 600.0 + minute, 600.5 + minute) for minute in range(5)
    ]
    local = await ib.reqHistoricalDataAsync(SPY, at(300), "300 S", "1 min", "BID", False, 1)
    assert [bar.date for bar in local] == [bar.date for bar in bars]


async def test_ticks_of_the_past(desk: Desk) -> None:
    tws, ib, clock = desk
    for step in range(10):
        clock.advance(1)
        tws.quote("SPY", 600 + step, 600.01 + step)
        tws.trade("SPY", 600 + step, step + 1)
    quotes = await ib.reqHistoricalTicksAsync(SPY, at(3), "", 4, "BID_ASK", False)
    assert [(tick.time, tick.priceBid) for tick in quotes] == [(at(3 + n), 602.0 + n) for n in range(4)]
    trades = await ib.reqHistoricalTicksAsync(SPY, "", at(11), 3, "TRADES", False)
    assert [(tick.price, tick.size) for tick in trades] == [(607, 8), (608, 9), (609, 10)]


async def test_delayed_data_have_ids_of_their_own(desk: Desk) -> None:
    tws, ib, _ = desk
    tws.quotes.entitle("*", "delayed")
    ib.reqMarketDataType(3)
    ticker = ib.reqMktData(SPY)
    await until(lambda: ticker.bid == 600.0)
    assert ticker.marketDataType == 3
    assert {entry.fields[2] for entry in tws.transcript.named("tickPrice")} == {66, 67, 75, 72, 73, 76}


async def test_a_closed_market_has_no_quote_but_for_frozen_data(desk: Desk) -> None:
    tws, ib, _ = desk
    live = ib.reqMktData(SPY)
    await until(lambda: live.bid == 600.0)
    tws.switch_market("SPY", False)
    await until(lambda: live.bid == -1)
    assert (live.ask, live.bidSize) == (-1, 0)
    tws.quote("SPY", 700, 700.01)
    tws.switch_market("SPY", True)
    await until(lambda: live.bid == 700.0)
    tws.switch_market("SPY", False)
    async with connected(tws, 8) as other:
        other.reqMarketDataType(2)
        frozen = other.reqMktData(SPY)
        await until(lambda: frozen.bid == 700.0)
        assert frozen.marketDataType == 2


async def test_a_market_keeps_its_hours_where_asked(desk: Desk) -> None:
    clock = ManualClock((TUESDAY_10_IN_NEW_YORK + 11 * 3_600) * 10**9)
    async with TwsSimulator(clock=clock, keep_hours=True) as tws, connected(tws) as ib:
        ticker = ib.reqMktData(SPY)
        await until(lambda: ticker.bid == -1)
        (details,) = await ib.reqContractDetailsAsync(SPY)
        assert details.tradingHours.startswith("20261201:0400-20261201:2000;20261202:0400-20261202:2000;")
        assert "20261205:CLOSED" in details.tradingHours
        sessions = details.liquidSessions()
        assert (sessions[0].start.hour, sessions[0].start.minute, sessions[0].end.hour) == (9, 30, 16)


async def test_a_trading_halt_is_told_and_nothing_matches(desk: Desk) -> None:
    from ib_async import MarketOrder

    tws, ib, _ = desk
    ticker = ib.reqMktData(SPY)
    await until(lambda: ticker.bid == 600.0)
    tws.halt("SPY")
    await until(lambda: ticker.halted == 1)
    trade = ib.placeOrder(SPY, MarketOrder("BUY", 10, tif="DAY"))
    await until(lambda: trade.orderStatus.status == "PreSubmitted")
    tws.quote("SPY", 601, 601.01)
    assert trade.fills == []
    tws.halt("SPY", False)
    await until(lambda: trade.orderStatus.status == "Filled")


async def test_lines_and_streams_are_counted_over_all_clients() -> None:
    async with TwsSimulator(limits=Limits(lines=3, tick_by_tick=2)) as tws, connected(tws, 1) as one, connected(tws, 2) as two:
        heard = errors(two)
        contracts = [Contract(secType="CASH", conId=each.con_id, exchange="IDEALPRO") for each in tws.catalogue if each.is_fx][:4]
        for contract in contracts[:3]:
            one.reqMktData(contract)
        await until(lambda: tws.quotes.lines() == 3)
        two.reqMktData(contracts[3])
        await until(lambda: heard)
        assert heard[0][1] == 101
        one.cancelMktData(contracts[0])
        await until(lambda: tws.quotes.lines() == 2)
        ticker = two.reqMktData(contracts[3])
        await until(lambda: ticker.bid > 0)
        for contract in contracts[:2]:
            one.reqTickByTickData(contract, "MidPoint")
        two.reqTickByTickData(contracts[3], "MidPoint")
        await until(lambda: len(heard) == 2)
        assert heard[1][1] == 10190


async def test_a_request_id_is_used_once_at_a_time(desk: Desk) -> None:
    tws, ib, _ = desk
    heard = errors(ib)
    for _ in range(2):
        ib.client.reqMktData(77, SPY, "", False, False, [])
        ib.client.reqHistoricalData(78, EURUSD, "", "1 D", "1 hour", "BID", False, 2, True, [])
        ib.client.reqRealTimeBars(79, SPY, 5, "BID", False, [])
    await until(lambda: len(heard) == 3)
    assert [(req_id, code) for req_id, code, _ in heard] == [(77, 102), (78, 322), (79, 102)]
    ib.client.cancelMktData(177)
    ib.client.cancelHistoricalData(178)
    ib.client.cancelRealTimeBars(179)
    await until(lambda: len(heard) == 6)
    assert [code for _, code, _ in heard[3:]] == [300, 366, 300]
    assert len(tws.bars.live) == 1


async def test_a_continuous_future_has_history_only(desk: Desk) -> None:
    _, ib, _ = desk
    front = ContFuture("NQ", "CME")
    await ib.qualifyContractsAsync(front)
    assert len(await ib.reqHistoricalDataAsync(front, "", "2 D", "1 hour", "TRADES", False, 2)) > 40
    heard = errors(ib)
    assert len(await ib.reqHistoricalDataAsync(front, at(0), "1 D", "1 hour", "TRADES", False, 2)) == 0
    ib.reqMktData(front)
    await until(lambda: len(heard) == 2)
    assert [code for _, code, _ in heard] == [10339, 321]


async def test_a_tick_comes_after_the_cancel() -> None:
    async with TwsSimulator(noise=Noise(late_ticks=True)) as tws, connected(tws) as ib:
        ticker = ib.reqMktData(SPY)
        await until(lambda: ticker.bid == 600.0)
        tws.mishaps.stop_ticks("SPY")
        tws.quote("SPY", 650.0, 650.01)
        ib.cancelMktData(SPY)
        await until(lambda: ticker.bid == 650.0)
