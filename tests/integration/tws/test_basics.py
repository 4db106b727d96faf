"""The simulator and the unmodified ib_async client over TCP: connecting, contracts, quotes, orders, accounts, history."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal

import pytest
from ib_async import IB, ContFuture, Contract, Forex, Future, LimitOrder, MarketOrder, Option, Stock, StopOrder

from simulators.tws import TwsSimulator
from tests.support.tws import connected, errors, until

USDJPY = Forex("USDJPY", conId=15016059)


def buy(quantity: float, ref: str = "entry") -> MarketOrder:
    return MarketOrder("BUY", quantity, tif="DAY", orderRef=ref)


async def test_a_client_is_in_sync_after_connecting_and_knows_its_account() -> None:
    async with TwsSimulator(accounts=["DU42"], cash=50_000) as tws, connected(tws) as ib:
        assert ib.managedAccounts() == ["DU42"]
        assert ib.client.serverVersion() == 178
        values = {(value.tag, value.currency): value.value for value in ib.accountValues()}
        assert values["NetLiquidation", "USD"] == "50000.00"
        assert [entry.name for entry in tws.transcript if entry.way == "in"] == [
            "handshake",
            "startApi",
            "reqPositions",
            "reqOpenOrders",
            "reqCompletedOrders",
            "reqAccountUpdates",
            "reqAccountUpdatesMulti",
            "reqExecutions",
        ]


async def test_a_server_that_is_too_old_is_refused_by_the_client() -> None:
    async with TwsSimulator(version=156) as tws:
        ib = IB()
        with pytest.raises((ConnectionError, TimeoutError)):
            await ib.connectAsync(tws.host, tws.port, clientId=1, timeout=0.5)


async def test_a_client_id_is_used_once_at_a_time() -> None:
    async with TwsSimulator() as tws, connected(tws, 7):
        second = IB()
        heard = errors(second)
        with pytest.raises((ConnectionError, TimeoutError)):
            await second.connectAsync(tws.host, tws.port, clientId=7, timeout=0.5)
        assert [(req_id, code) for req_id, code, _ in heard] == [(-1, 326)]


async def test_contracts_of_every_kind_are_qualified() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        forex, stock = Forex("EURUSD"), Stock("SPY", "SMART", "USD")
        await ib.qualifyContractsAsync(forex, stock)
        assert (forex.conId, stock.conId, stock.primaryExchange) == (12087792, 756733, "ARCA")
        months = await ib.reqContractDetailsAsync(Future("NQ", exchange="CME", currency="USD"))
        assert len(months) == 5
        assert {month.contract.multiplier for month in months if month.contract} == {"20"}
        front = ContFuture("NQ", "CME")
        await ib.qualifyContractsAsync(front)
        assert front.localSymbol == tws.catalogue.front("NQ").local_symbol
        option = next(each for each in tws.catalogue if each.sec_type == "OPT" and each.symbol == "SPY")
        assert option.strike is not None
        wanted = Option("SPY", option.expiry, float(option.strike), option.right, "SMART")
        await ib.qualifyContractsAsync(wanted)
        assert wanted.conId == option.con_id
        (chain, *_) = await ib.reqSecDefOptParamsAsync("SPY", "", "STK", 756733)
        assert float(option.strike) in chain.strikes and option.expiry in chain.expirations


async def test_symbols_are_found_by_their_beginning_and_history_has_one() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        found = await ib.reqMatchingSymbolsAsync("SP")
        assert found is not None
        assert [(each.contract.symbol, each.contract.conId) for each in found if each.contract] == [("SPY", 756733)]
        epoch = await ib.reqHeadTimeStampAsync(USDJPY, "MIDPOINT", False, 2)
        text = await ib.reqHeadTimeStampAsync(USDJPY, "MIDPOINT", False, 1)
        assert isinstance(epoch, datetime) and isinstance(text, datetime)
        assert epoch.replace(tzinfo=None) == text


async def test_market_rules_give_the_order_step_of_a_contract() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        (details,) = await ib.reqContractDetailsAsync(Forex("USDJPY"))
        rule = await ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0]))
        assert rule is not None
        assert [(each.lowEdge, each.increment) for each in rule] == [(0.0, 0.005)]
        assert details.minTick == 0.005


async def test_an_unknown_and_an_ambiguous_contract_are_error_200() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        heard = errors(ib)
        assert await ib.reqContractDetailsAsync(Stock("NOSUCH", "SMART", "USD")) == []
        ib.placeOrder(Future("NQ", exchange="CME", currency="USD"), buy(1))
        await until(lambda: len(heard) == 2)
        assert [code for _, code, _ in heard] == [200, 200]
        assert "ambiguous" in heard[1][2]


async def test_a_subscriber_sees_every_quote() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.quote("USDJPY", 150.001, 150.011, 2_000_000, 3_000_000)
        ticker = ib.reqMktData(USDJPY)
        await until(lambda: ticker.ask == 150.011)
        assert (ticker.bid, ticker.bidSize, ticker.askSize, ticker.marketDataType) == (150.001, 2_000_000, 3_000_000, 1)
        seen: list[tuple[float, float]] = []
        ticker.updateEvent += lambda t: seen.append((t.bid, t.ask))
        for pips in range(1, 21):
            tws.quote("USDJPY", 150 + pips / 1000, 150.01 + pips / 1000)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await until(lambda: ticker.bid == 150.02)
        assert len(set(seen)) >= 15


async def test_a_market_order_fills_at_the_other_side_and_says_so_in_the_order_of_a_gateway() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.quote("USDJPY", 150.00, 150.01)
        trade = ib.placeOrder(USDJPY, buy(30_000))
        await until(lambda: trade.fills and trade.fills[0].commissionReport.commission)
        fill = trade.fills[0]
        assert (trade.orderStatus.status, fill.execution.price, fill.execution.shares) == ("Filled", 150.01, 30_000)
        assert fill.execution.orderRef == "entry"
        assert fill.commissionReport.commission == 2.0
        about = ("openOrder", "orderStatus", "execDetails", "commissionReport")
        assert [entry.name for entry in tws.transcript if entry.name in about] == [
            "openOrder",
            "orderStatus",
            "execDetails",
            "openOrder",
            "orderStatus",
            "openOrder",
            "commissionReport",
        ]
        assert tws.book.submissions == {"entry": 1}
        assert tws.book.position("USDJPY") == 30_000


async def test_limit_and_stop_orders_wait_for_their_price_and_can_be_changed_and_cancelled() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.quote("EURUSD", 1.1000, 1.1001)
        contract = Forex("EURUSD", conId=12087792)
        limit = ib.placeOrder(contract, LimitOrder("BUY", 50_000, 1.0950, tif="GTC", orderRef="limit"))
        stop = ib.placeOrder(contract, StopOrder("SELL", 50_000, 1.0900, tif="GTC", orderRef="stop"))
        await until(lambda: stop.orderStatus.status == "PreSubmitted" and limit.orderStatus.status == "Submitted")
        stop.order.auxPrice = 1.0960
        ib.placeOrder(contract, stop.order)
        ib.cancelOrder(limit.order)
        await until(lambda: limit.orderStatus.status == "Cancelled")
        await until(lambda: tws.book.order("stop").submissions == 2)
        tws.quote("EURUSD", 1.0960, 1.0961)
        await until(lambda: stop.orderStatus.status == "Filled")
        assert stop.fills[0].execution.price == 1.0960
        assert tws.book.fills("limit") == []


async def test_positions_and_account_figures_follow_from_fills() -> None:
    """30,000 USD bought at 150.00 and sold at 150.30: 9,000 JPY, at 150.30 59.88 USD, less two commissions of 2 USD."""
    async with TwsSimulator(cash=100_000) as tws, connected(tws) as ib:
        tws.quote("USDJPY", 149.99, 150.00)
        ib.placeOrder(USDJPY, buy(30_000))
        await until(lambda: ib.positions())
        assert (ib.positions()[0].position, ib.positions()[0].avgCost) == (30_000, 150.00)
        tws.quote("USDJPY", 150.30, 150.30)
        closing = ib.placeOrder(USDJPY, MarketOrder("SELL", 30_000, tif="DAY", orderRef="exit"))
        await until(lambda: closing.fills and closing.fills[0].commissionReport.realizedPNL)
        await until(lambda: not ib.positions())
        worth = {(v.tag, v.currency): v.value for v in ib.accountValues()}
        assert worth["NetLiquidation", "USD"] == "100055.88"
        assert worth["CashBalance", "JPY"] == "9000.00"
        assert closing.fills[0].commissionReport.realizedPNL == pytest.approx(59.88 - 2, abs=0.005)
        summary = {value.tag: value.value for value in await ib.accountSummaryAsync()}
        assert summary["NetLiquidation"] == "100055.88"
        assert tws.book.accounts["DU1234567"].net_liquidation().quantize(Decimal("0.01")) == Decimal("100055.88")


async def test_what_a_client_did_is_there_after_it_reconnects() -> None:
    async with TwsSimulator() as tws:
        tws.quote("USDJPY", 150.00, 150.01)
        async with connected(tws) as ib:
            filled = ib.placeOrder(USDJPY, buy(30_000))
            resting = ib.placeOrder(USDJPY, LimitOrder("SELL", 30_000, 151.0, tif="GTC", orderRef="exit"))
            await until(lambda: filled.orderStatus.status == "Filled" and resting.orderStatus.status == "Submitted")
            last_id = resting.order.orderId
        async with connected(tws) as ib:
            assert [trade.order.orderRef for trade in ib.openTrades()] == ["exit"]
            assert [fill.execution.orderRef for fill in ib.fills()] == ["entry"]
            assert ib.positions()[0].position == 30_000
            assert ib.client.getReqId() > last_id


async def test_history_is_there_for_any_bar_size_and_joins_the_present() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        stock = Stock("SPY", "SMART", "USD")
        await ib.qualifyContractsAsync(stock)
        days = await ib.reqHistoricalDataAsync(stock, "", "2 W", "1 day", "TRADES", True, 1)
        assert 8 <= len(days) <= 11
        minutes = await ib.reqHistoricalDataAsync(USDJPY, "20261112 15:00:00 UTC", "3600 S", "1 min", "BID", False, 2)
        assert len(minutes) == 60
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in minutes)
        tws.quote("USDJPY", 140.0, 140.01)
        (*_, last) = await ib.reqHistoricalDataAsync(USDJPY, "", "60 S", "5 secs", "BID", False, 2)
        assert last.close == 140.0


async def test_the_time_is_told_and_answers_as_a_ping() -> None:
    async with TwsSimulator(clock=lambda: 1_780_000_000 * 10**9) as tws, connected(tws) as ib:
        assert (await ib.reqCurrentTimeAsync()).timestamp() == 1_780_000_000


async def test_a_message_that_cannot_be_read_fails_the_test() -> None:
    from simulators.tws import UnreadableRequests

    with pytest.raises(UnreadableRequests, match="999"):
        async with TwsSimulator() as tws, connected(tws) as ib:
            heard = errors(ib)
            ib.client.send(999, 1, "what")
            await until(lambda: heard)
            assert heard[0][1] == 320


async def test_a_broken_socket_is_noticed_and_state_stays() -> None:
    async with TwsSimulator() as tws:
        ib = IB()
        await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=10)
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        tws.mishaps.drop_sockets()
        await asyncio.wait_for(gone.wait(), 5)
        await tws.refuse()
        with pytest.raises(ConnectionRefusedError):
            await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=2)
        await tws.listen()
        async with connected(tws):
            pass


@pytest.mark.parametrize("when", ["before", "after", "inside", "answered"])
async def test_a_socket_can_break_around_a_placement(when: str) -> None:
    async with TwsSimulator() as tws:
        ib = IB()
        await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=10)
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        tws.script.on("placeOrder", n=1).drop(when)  # type: ignore[arg-type]
        trade = ib.placeOrder(USDJPY, buy(30_000))
        seen: list[str] = []
        trade.statusEvent += lambda t: seen.append(t.orderStatus.status)
        await asyncio.wait_for(gone.wait(), 5)
        assert len(tws.book.orders) == (0 if when == "before" else 1)
        assert ("Filled" in seen) == (when == "answered")


async def test_a_request_can_stay_without_an_answer_or_get_another() -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.script.on("reqCurrentTime", n=1).silence()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.reqCurrentTimeAsync(), 0.2)
        tws.script.on("reqContractDetails").error(200, "not today")
        heard = errors(ib)
        assert await ib.reqContractDetailsAsync(Contract(conId=756733)) == []
        assert heard[0][1:] == (200, "not today")
