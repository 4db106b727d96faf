"""The scenarios that an adapter has to survive, produced by the simulator and seen by the real client.

Numbered as the reference of the wire numbers them. What is asserted here is what a client sees and what the broker's book says;
what an adapter makes of it is tested with the adapter. 1 (a normal day) and parts of 3 are in `test_basics` and `test_orders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from itertools import pairwise

import pytest
from ib_async import IB, ContFuture, Forex, LimitOrder, MarketOrder, Order, Stock, Trade

from simulators.market.chance import seeded
from simulators.tws import Limits, ManualClock, Noise, TwsSimulator
from simulators.tws.place_order import PlaceOrder
from simulators.tws.wire import frame
from tests.support.tws import connected, errors, until

EURUSD = Forex("EURUSD", conId=12087792)
SPY = Stock("SPY", "SMART", "USD", conId=756733, primaryExchange="ARCA")
Desk = tuple[TwsSimulator, IB]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A client, and EURUSD at 1.1000/1.1001."""
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.quote("EURUSD", 1.1000, 1.1001)
        yield tws, ib


def state(trade: Trade) -> str:
    return str(trade.orderStatus.status)


def market(ref: str = "it", quantity: float = 30_000) -> Order:
    return MarketOrder("BUY", quantity, tif="DAY", orderRef=ref)


def limit(ref: str = "it", price: float = 1.0990, quantity: float = 30_000) -> Order:
    return LimitOrder("BUY", quantity, price, tif="GTC", orderRef=ref)


async def working(ib: IB, order: Order) -> Trade:
    trade = ib.placeOrder(EURUSD, order)
    await until(lambda: state(trade) == "Submitted")
    return trade


async def gone(ib: IB) -> None:
    """Until this client has noticed that its connection is broken."""
    await until(lambda: not ib.isConnected())


async def test_02_three_partial_fills_a_cancel_and_a_fill_after_it(desk: Desk) -> None:
    tws, ib = desk
    tws.plan("it", 5_000, 10_000, 5_000)
    trade = await working(ib, limit())
    for pips in range(3):
        tws.quote("EURUSD", 1.0980 - pips / 10_000, 1.0990 - pips / 10_000)
    await until(lambda: trade.filled() == 20_000)
    ib.cancelOrder(trade.order)
    await until(lambda: state(trade) == "Cancelled")
    assert (trade.orderStatus.filled, trade.orderStatus.remaining) == (20_000, 10_000)
    tws.mishaps.fill(tws.book.order("it"), 10_000)
    await until(lambda: trade.filled() == 30_000)
    assert tws.book.position("EURUSD") == 30_000


@pytest.mark.parametrize(
    ("code", "client_says"), [(201, "Cancelled"), (110, "Cancelled"), (321, "ValidationError"), (200, "Cancelled")]
)
async def test_03_a_new_order_is_refused(desk: Desk, code: int, client_says: str) -> None:
    tws, ib = desk
    tws.script.on("placeOrder", n=1).error(code, "no")
    trade = ib.placeOrder(EURUSD, limit())
    await until(lambda: state(trade) != "PendingSubmit")
    assert state(trade) == client_says
    assert tws.book.orders == []


@pytest.mark.parametrize("code", [110, 321, 329])
async def test_03_a_change_is_refused_and_the_order_lives(desk: Desk, code: int) -> None:
    tws, ib = desk
    trade = await working(ib, limit())
    tws.script.on("placeOrder", n=1).error(code, "no")
    trade.order.lmtPrice = 1.0980
    ib.placeOrder(EURUSD, trade.order)
    await until(lambda: state(trade) == "ValidationError")
    assert tws.book.order("it").is_open


@pytest.mark.parametrize("code", [399, 404, 2109, 10349])
async def test_04_a_notice_looks_like_an_end_and_the_order_fills(desk: Desk, code: int) -> None:
    tws, ib = desk
    trade = await working(ib, limit())
    tws.mishaps.notice(tws.book.order("it"), code, "something to know")
    await until(lambda: state(trade) == ("Cancelled" if code == 10349 else "ValidationError"))
    tws.quote("EURUSD", 1.0980, 1.0985)
    await until(lambda: trade.filled() == 30_000)
    assert tws.book.order("it").status == "Filled"


async def test_05_a_cancel_is_answered_with_an_error_while_the_order_lives(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    trade = await working(ib, limit())
    tws.script.on("cancelOrder", n=1).error(161, "Cancel attempted when order is not in a cancellable state")
    ib.cancelOrder(trade.order)
    await until(lambda: heard)
    assert heard[0][1] == 161 and tws.book.order("it").is_open


async def test_05_a_cancel_comes_too_late_or_for_an_unknown_order(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    tws.script.on("placeOrder", n=1).silence(handled=True)
    trade = ib.placeOrder(EURUSD, market())
    ib.cancelOrder(trade.order)
    ib.client.cancelOrder(9_999)
    await until(lambda: len(heard) == 2)
    assert [code for _, code, _ in heard] == [10148, 10147]
    assert heard[0][2].endswith("state: Filled.")
    assert state(trade) == "Cancelled", "what the client makes of 10148"
    assert tws.book.order("it").status == "Filled"


async def test_05_an_order_is_cancelled_though_nobody_asked(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    trade = await working(ib, limit())
    tws.mishaps.cancel(tws.book.order("it"), "Exchange closed")
    await until(lambda: state(trade) == "Cancelled" and heard)
    assert heard[0][1:] == (202, "Order Canceled - reason:Exchange closed")


async def test_06_connectivity_goes_and_comes_and_a_fill_happens_meanwhile(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    ticker = ib.reqMktData(EURUSD)
    trade = await working(ib, limit())
    tws.mishaps.lose_ibkr()
    tws.mishaps.lose_ibkr()
    tws.quote("EURUSD", 1.0980, 1.0985)
    await until(lambda: trade.filled() == 30_000)
    assert ib.isConnected() and ticker.bid == 1.1
    tws.mishaps.restore_ibkr()
    tws.quote("EURUSD", 1.0981, 1.0986)
    await until(lambda: ticker.bid == 1.0981)
    assert [code for _, code, _ in heard if code != 10349] == [1100, 1100, 1102]


@pytest.mark.parametrize(("data", "code"), [("lost", 1101), ("secretly_dead", 1102)])
async def test_06_data_are_lost_openly_or_secretly_until_asked_for_anew(desk: Desk, data: str, code: int) -> None:
    tws, ib = desk
    heard = errors(ib)
    ticker = ib.reqMktData(EURUSD)
    await until(lambda: ticker.bid == 1.1)
    tws.mishaps.lose_ibkr()
    tws.mishaps.restore_ibkr(data)  # type: ignore[arg-type]
    tws.quote("EURUSD", 1.2000, 1.2001)
    await until(lambda: len(heard) == 2)
    assert [code for _, code, _ in heard] == [1100, code] and ticker.bid == 1.1
    await ib.reqCurrentTimeAsync()
    assert ticker.bid == 1.1
    ticker = ib.reqMktData(EURUSD)
    await until(lambda: ticker.bid == 1.2)


async def test_07_data_farms_flap(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    ticker = ib.reqMktData(EURUSD)
    await until(lambda: ticker.bid == 1.1)
    codes = [2103, 2104, 2105, 2106, 2107, 2108, 2110, 2104]
    for code in codes:
        tws.mishaps.farm(code)
        tws.quote("EURUSD", 1.1 + len(heard) / 1000, 1.2)
    await until(lambda: len(heard) == len(codes))
    assert [code for _, code, _ in heard] == codes


@pytest.mark.parametrize("when", ["before", "after", "inside", "answered"])
async def test_08_the_socket_breaks_around_an_order_and_the_book_tells(when: str) -> None:
    async with TwsSimulator() as tws:
        tws.plan("it", 10_000)
        tws.script.on("placeOrder", n=1).drop(when)  # type: ignore[arg-type]
        ib = IB()
        await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=10)
        ib.placeOrder(EURUSD, market())
        await gone(ib)
        async with connected(tws) as ib:
            refs = [trade.order.orderRef for trade in ib.openTrades()]
            fills = [fill.execution.shares for fill in ib.fills()]
        assert (refs, fills) == (([], []) if when == "before" else (["it"], [10_000]))


async def test_08_inside_a_frame_is_half_a_message(desk: Desk) -> None:
    tws, _ = desk
    tws.script.on("reqCurrentTime", client_id=9).drop("inside")
    reader, writer = await asyncio.open_connection(tws.host, tws.port)
    writer.write(b"API\0" + b"\0\0\0\x09v157..178" + frame((71, 2, 9, "")))
    heard = b""
    while b"2158" not in heard:
        heard += await asyncio.wait_for(reader.read(1_000), 5)
    writer.write(frame((49, 1)))
    rest = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert 4 < len(rest) < 4 + int.from_bytes(rest[:4], "big"), "a length, and less than it promises"
    assert rest[4:].startswith(b"49\0")


async def test_08_the_socket_breaks_between_two_partial_fills(desk: Desk) -> None:
    tws, ib = desk
    tws.plan("it", 10_000, 20_000)
    trade = ib.placeOrder(EURUSD, market())
    await until(lambda: trade.filled() == 10_000)
    tws.mishaps.cut_inside_frame(7)
    await gone(ib)
    tws.quote("EURUSD", 1.1002, 1.1003)
    async with connected(tws) as again:
        assert [fill.execution.shares for fill in again.fills()] == [10_000, 20_000]
        assert again.openTrades() == []
        (done,) = [trade for trade in again.trades() if trade.order.orderRef == "it"]
        assert (done.order.orderId, done.order.permId) == (0, trade.order.permId), "as a completed order"


def _note(met: list[str], text: str) -> None:
    met.append("closed")


async def test_09_a_restart_refuses_then_accepts_and_closes_then_says_that_the_id_is_taken(desk: Desk) -> None:
    tws, ib = desk
    restart = asyncio.create_task(tws.mishaps.restart(refuse_s=0.2, socat_s=0.3, in_use_s=0.3))
    await gone(ib)
    with pytest.raises(ConnectionRefusedError):
        await IB().connectAsync(tws.host, tws.port, clientId=7, timeout=1)
    await restart
    met: list[str] = []
    for _ in range(40):
        ib = IB()
        heard = errors(ib)
        ib.client.apiError += partial(_note, met)
        try:
            await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=0.15)
        except (TimeoutError, ConnectionError):
            met += [str(code) for _, code, _ in heard]
            continue
        break
    assert ib.isConnected()
    assert met[0] == "closed" and "326" in met
    ib.disconnect()


@pytest.mark.parametrize("request_name", ["reqOpenOrders", "reqCompletedOrders", "reqExecutions", "reqPositions"])
async def test_10_a_request_of_the_start_is_never_answered(request_name: str) -> None:
    async with TwsSimulator() as tws:
        tws.script.on(request_name).silence()
        with pytest.raises(ConnectionError, match="timed out"):
            async with connected(tws, timeout=0.3):
                pass


@pytest.mark.parametrize("request_name", ["connect", "handshake", "startApi"])
async def test_10_a_gateway_is_mute(request_name: str) -> None:
    async with TwsSimulator() as tws:
        tws.script.on(request_name).silence()
        with pytest.raises(TimeoutError):
            async with connected(tws, timeout=0.2):
                pass


async def test_10_contracts_and_history_are_not_answered(desk: Desk) -> None:
    tws, ib = desk
    tws.script.on("reqContractDetails").silence()
    tws.script.on("reqHistoricalData").silence()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.reqContractDetailsAsync(SPY), 0.1)
    bars = await ib.reqHistoricalDataAsync(SPY, "", "1 D", "1 hour", "TRADES", False, 2, timeout=0.1)
    assert len(bars) == 0, "an empty list, as for no data"


async def test_11_an_execution_is_repeated_replayed_and_corrected(desk: Desk) -> None:
    tws, ib = desk
    live: list[str] = []
    ib.execDetailsEvent += lambda trade, fill: live.append(fill.execution.execId)
    trade = ib.placeOrder(EURUSD, market())
    await until(lambda: state(trade) == "Filled")
    (execution,) = tws.book.executions
    tws.mishaps.repeat(execution)
    corrected = tws.mishaps.correct(execution, Decimal("1.0999"))
    await until(lambda: len(live) == 2)
    assert live == [execution.exec_id, corrected.exec_id]
    assert execution.exec_id.endswith(".01") and corrected.exec_id.endswith(".02")
    assert corrected.exec_id[:-3] == execution.exec_id[:-3]
    assert [each.price for each in tws.book.executions] == [Decimal("1.0999")]
    assert tws.book.accounts["DU1234567"].cash["USD"] == 1_000_000 - 30_000 * Decimal("1.0999") - 2
    ib.disconnect()
    await gone(ib)
    async with connected(tws) as again:
        assert [fill.execution.execId for fill in again.fills()] == live


async def test_11_two_clients_hear_of_the_same_fill(desk: Desk) -> None:
    tws, ib = desk
    async with connected(tws, 8) as other:
        trade = ib.placeOrder(EURUSD, market())
        await until(lambda: state(trade) == "Filled")
        tws.mishaps.repeat(tws.book.executions[0], client_id=8)
        await until(lambda: other.fills())
        assert other.fills()[0].execution.execId == ib.fills()[0].execution.execId


async def test_12_ticks_stop_while_pings_are_answered(desk: Desk) -> None:
    tws, ib = desk
    ticker = ib.reqMktData(EURUSD)
    await until(lambda: ticker.bid == 1.1)
    tws.mishaps.stop_ticks("EURUSD")
    tws.quote("EURUSD", 1.2, 1.3)
    await ib.reqCurrentTimeAsync()
    assert ticker.bid == 1.1
    tws.mishaps.resume_ticks("EURUSD")
    tws.quote("EURUSD", 1.25, 1.3)
    await until(lambda: ticker.bid == 1.25)


async def test_12_a_connection_is_half_dead(desk: Desk) -> None:
    tws, ib = desk
    tws.mishaps.stall(7)
    ib.placeOrder(EURUSD, market())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.reqCurrentTimeAsync(), 0.2)
    assert ib.isConnected() and tws.book.orders == []


@pytest.mark.parametrize(
    ("entitled", "asked", "code", "kind"),
    [
        ("live", 1, None, 1),
        ("live", 3, None, 1),
        ("delayed", 3, 10167, 3),
        ("delayed", 1, 10089, None),
        ("none", 1, 354, None),
        ("delayed_disabled", 3, 10168, None),
    ],
)
async def test_13_what_a_login_may_see(desk: Desk, entitled: str, asked: int, code: int | None, kind: int | None) -> None:
    tws, ib = desk
    heard = errors(ib)
    tws.quotes.entitle("SPY", entitled)  # type: ignore[arg-type]
    ib.reqMarketDataType(asked)
    ticker = ib.reqMktData(SPY)
    if kind is not None:
        await until(lambda: ticker.bid == 600.0)
        assert ticker.marketDataType == kind
    if code is not None:
        await until(lambda: heard)
    assert [each for _, each, _ in heard] == ([] if code is None else [code])
    if kind is None:
        tws.quote("SPY", 601, 602)
        await ib.reqCurrentTimeAsync()
        assert ticker.bid != ticker.bid, "nan: no quote came"


async def test_13_another_session_takes_the_data_and_gives_them_back(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    tickers = [ib.reqMktData(contract) for contract in (EURUSD, SPY)]
    await until(lambda: all(ticker.bid > 0 for ticker in tickers))
    tws.quotes.steal(True)
    tws.quote("EURUSD", 1.3, 1.4)
    await until(lambda: len(heard) == 2)
    assert {code for _, code, _ in heard} == {10197} and tickers[0].bid == 1.1
    tws.quotes.steal(False)
    await until(lambda: tickers[0].bid == 1.3)


async def test_14_a_read_only_api_refuses_orders_and_gives_data() -> None:
    async with TwsSimulator() as tws:
        tws.read_only = True
        ib = IB()
        heard = errors(ib)
        with pytest.raises(ConnectionError, match="open orders"):
            await ib.connectAsync(tws.host, tws.port, clientId=7, timeout=0.3, raiseSyncErrors=True)
        assert [(req_id, code) for req_id, code, _ in heard if code == 321] == [(-1, 321), (-1, 321)]
        async with connected(tws, readonly=True) as ib:
            heard = errors(ib)
            trade = ib.placeOrder(EURUSD, market())
            ib.client.cancelOrder(trade.order.orderId)
            ticker = ib.reqMktData(EURUSD)
            await until(lambda: ticker.bid > 0 and len(heard) == 2)
            assert [(req_id, code) for req_id, code, _ in heard] == [(trade.order.orderId, 321)] * 2
            assert all("Read-Only" in text for *_, text in heard)


async def test_15_bar_streams_die_and_can_be_asked_for_again(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    bars = await ib.reqHistoricalDataAsync(EURUSD, "", "600 S", "1 min", "MIDPOINT", False, 2, True)
    five = ib.reqRealTimeBars(EURUSD, 5, "MIDPOINT", False)
    await ib.reqCurrentTimeAsync()
    assert len(tws.bars.live) == len(tws.bars.five) == 1
    tws.mishaps.drop_bar_streams(10182)
    await until(lambda: len(heard) == 2)
    assert {code for _, code, _ in heard} == {10182}
    assert len(tws.bars.live) == len(tws.bars.five) == 0
    again = await ib.reqHistoricalDataAsync(EURUSD, "", "600 S", "1 min", "MIDPOINT", False, 2, True)
    assert len(again) >= len(bars) and len(tws.bars.live) == 1
    assert five.reqId not in [req_id for _, req_id in tws.bars.five]


async def test_15_after_a_bust_the_client_asks_again_by_itself(desk: Desk) -> None:
    tws, ib = desk
    five = ib.reqRealTimeBars(EURUSD, 5, "MIDPOINT", False)
    await until(lambda: tws.bars.five)
    tws.mishaps.drop_bar_streams(10225)
    await until(lambda: [req_id for _, req_id in tws.bars.five] == [five.reqId])


async def test_15_history_is_paced(desk: Desk) -> None:
    _, ib = desk
    heard = errors(ib)
    request = (EURUSD, "", "60 S", "5 secs", "MIDPOINT", False, 2)
    assert len(await ib.reqHistoricalDataAsync(*request)) in (12, 13)
    assert len(await ib.reqHistoricalDataAsync(*request)) == 0
    assert heard[0][1] == 162 and "pacing violation" in heard[0][2]


async def test_16_the_next_order_id_lies_behind_or_ahead(desk: Desk) -> None:
    tws, ib = desk
    first = ib.placeOrder(EURUSD, market("first"))
    await until(lambda: state(first) == "Filled")
    ib.disconnect()
    await gone(ib)
    tws.next_valid_id = 1
    async with connected(tws) as ib:
        heard = errors(ib)
        stale = ib.client.getReqId()
        assert stale <= first.order.orderId
        ib.client.placeOrder(first.order.orderId, EURUSD, market("second"))
        await until(lambda: heard)
        assert heard[0][1] in (103, 104)
    tws.next_valid_id = 5_000
    async with connected(tws) as ib:
        assert ib.client.getReqId() >= 5_000
    assert tws.book.submissions == {"first": 1}


async def test_16_the_next_order_id_is_higher_than_any_that_was_used_after_all_orders_are_done(desk: Desk) -> None:
    tws, ib = desk
    trade = ib.placeOrder(EURUSD, market())
    await until(lambda: state(trade) == "Filled")
    async with connected(tws, 8):
        told = tws.transcript.named("nextValidId")[-1]
    assert told.fields[1] == trade.order.orderId + 1


async def test_16_ids_are_reset_and_completed_orders_have_no_reference(desk: Desk) -> None:
    tws, ib = desk
    trade = ib.placeOrder(EURUSD, market())
    await until(lambda: state(trade) == "Filled")
    ib.disconnect()
    await gone(ib)
    tws.exchange.register.reset_order_ids()
    tws.blank_completed_refs = True
    async with connected(tws) as ib:
        (completed,) = await ib.reqCompletedOrdersAsync(False)
        assert (completed.order.orderId, completed.order.orderRef) == (0, "")
        assert completed.order.permId == trade.order.permId
        assert ib.client.getReqId() < 20
        again = ib.placeOrder(EURUSD, market("again"))
        await until(lambda: state(again) == "Filled")


async def test_17_orders_of_others_and_by_hand_are_visible(desk: Desk) -> None:
    tws, ib = desk
    tws.mishaps.enter_by_hand("EURUSD", "BUY", 40_000)
    by_hand = tws.mishaps.enter_by_hand("EURUSD", "BUY", 50_000, Decimal("1.0900"))
    await until(lambda: ib.positions())
    assert ib.positions()[0].position == 40_000
    assert await ib.reqOpenOrdersAsync() == []
    async with connected(tws, 8) as other:
        await working(other, limit("theirs"))
        seen = await ib.reqAllOpenOrdersAsync()
    assert {(trade.order.clientId, trade.order.orderId > 0) for trade in seen} == {(0, False), (8, True)}
    assert {trade.order.permId for trade in seen} == {by_hand.perm_id, tws.book.order("theirs").perm_id}


async def test_18_a_client_holds_itself_back_and_loses_what_waits(desk: Desk) -> None:
    tws, ib = desk
    for _ in range(200):
        ib.client.reqCurrentTime()
    trade = ib.placeOrder(EURUSD, market())
    await asyncio.sleep(0.1)
    tws.mishaps.drop_sockets()
    await gone(ib)
    assert state(trade) == "PendingSubmit" and tws.book.orders == []


async def test_18_a_client_that_does_not_hold_itself_back_is_warned_and_closed() -> None:
    async with TwsSimulator(limits=Limits(strikes=2)) as tws, connected(tws) as ib:
        heard = errors(ib)
        ib.client.MaxRequests = 0
        for _ in range(70):
            ib.client.reqCurrentTime()
        await until(lambda: heard)
        assert ib.isConnected()
        await asyncio.sleep(1.05)
        for _ in range(70):
            ib.client.reqCurrentTime()
        await gone(ib)
        assert [code for _, code, _ in heard] == [100, 100]


async def test_19_a_parent_that_the_exchange_refuses_takes_its_children_along(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    orders = ib.bracketOrder("BUY", 30_000, 1.0990, 1.1050, 1.0950, tif="GTC")
    for order, ref in zip(orders, ("entry", "profit", "stop"), strict=True):
        order.orderRef = ref
    trades = [ib.placeOrder(EURUSD, order) for order in orders]
    await until(lambda: state(trades[2]) == "PreSubmitted")
    tws.mishaps.reject(tws.book.order("entry"))
    await until(lambda: all(state(trade) == "Cancelled" for trade in trades))
    assert [code for _, code, _ in heard] == [201, 202, 202]


async def test_19_a_bracket_that_was_cut_off_is_not_at_the_exchange_and_can_be_sent_whole(desk: Desk) -> None:
    tws, ib = desk
    orders = ib.bracketOrder("BUY", 30_000, 1.0990, 1.1050, 1.0950, tif="GTC")
    tws.script.on("placeOrder", n=3).drop("before")
    for order, ref in zip(orders, ("entry", "profit", "stop"), strict=True):
        order.orderRef = ref
        ib.placeOrder(EURUSD, order)
    await gone(ib)
    assert tws.book.open_orders == []
    async with connected(tws) as ib:
        assert ib.openTrades() == []
        for order in orders:
            ib.client.placeOrder(order.orderId, EURUSD, order)
        await until(lambda: len(tws.book.open_orders) == 3)
        assert tws.book.submissions == {"entry": 1, "profit": 1, "stop": 1}


async def test_19_a_restart_forgets_a_bracket_that_was_cut_off_and_its_ids_are_free(desk: Desk) -> None:
    tws, ib = desk
    orders = ib.bracketOrder("BUY", 30_000, 1.0990, 1.1050, 1.0950, tif="GTC")
    for order, ref in zip(orders[:2], ("entry", "profit"), strict=True):
        order.orderRef = ref
        ib.placeOrder(EURUSD, order)
    await until(lambda: len(tws.book.orders) == 2)
    await tws.mishaps.restart()
    await gone(ib)
    assert tws.book.orders == []
    async with connected(tws) as ib:
        for order in orders:
            ib.client.placeOrder(order.orderId, EURUSD, order)
        await until(lambda: len(tws.book.open_orders) == 3)


async def test_19_a_bracket_that_the_account_cannot_bear_is_refused_whole(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    trades = [ib.placeOrder(EURUSD, order) for order in ib.bracketOrder("BUY", 90_000_000, 1.0990, 1.1050, 1.0950, tif="GTC")]
    await until(lambda: all(state(trade) == "Cancelled" for trade in trades))
    assert [code for _, code, _ in heard] == [201, 202, 202]
    assert tws.book.open_orders == []


async def test_an_inactive_order_does_not_fill_and_may_come_back_to_life(desk: Desk) -> None:
    tws, ib = desk
    trade = await working(ib, limit())
    tws.mishaps.deactivate(tws.book.order("it"))
    await until(lambda: state(trade) == "Inactive")
    tws.quote("EURUSD", 1.0980, 1.0981)
    assert tws.book.order("it").filled == 0
    tws.mishaps.revive(tws.book.order("it"))
    await until(lambda: state(trade) == "Filled")


async def test_20_the_front_month_expires(desk: Desk) -> None:
    tws, ib = desk
    first, second = sorted(
        (each for each in tws.catalogue if each.sec_type == "FUT" and each.symbol == "NQ"), key=lambda e: e.expiry
    )[:2]
    front = ContFuture("NQ", "CME")
    await ib.qualifyContractsAsync(front)
    assert front.conId == first.con_id
    tws.catalogue.fronts["NQ"] = second.expiry
    tws.catalogue.remove(first.name)
    heard = errors(ib)
    gone_contract = Stock(conId=first.con_id, exchange="CME")
    gone_contract.secType = "FUT"
    assert await ib.reqContractDetailsAsync(gone_contract) == []
    assert heard[0][1] == 200
    rolled = ContFuture("NQ", "CME")
    await ib.qualifyContractsAsync(rolled)
    assert rolled.conId == second.con_id


async def test_21_several_accounts_and_figures_that_are_not_known() -> None:
    async with TwsSimulator(accounts=["DU1", "DU2"]) as tws, connected(tws) as ib:
        assert ib.managedAccounts() == ["DU1", "DU2"]
        pnl = ib.reqPnL("DU1")
        await until(lambda: pnl.unrealizedPnL == 0)
        assert pnl.realizedPnL > 1.7e308, "not known, and the client passes it on"
        order = market()
        order.account = "DU1"
        trade = ib.placeOrder(EURUSD, order)
        await until(lambda: trade.fills and trade.fills[0].commissionReport.commission)
        await until(lambda: pnl.realizedPnL == -2.0)
        single = ib.reqPnLSingle("DU1", "", 12087792)
        await until(lambda: single.position == 30_000)
        summary = await ib.accountSummaryAsync("DU2")
        assert {value.value for value in summary if value.tag == "NetLiquidation"} == {"1000000.00"}


async def test_22_a_port_refuses_for_hours(desk: Desk) -> None:
    tws, ib = desk
    tws.mishaps.drop_sockets()
    await tws.refuse()
    await gone(ib)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await IB().connectAsync(tws.host, tws.port, clientId=7, timeout=1)
    await tws.listen()
    async with connected(tws):
        pass


async def test_every_byte_in_a_segment_of_its_own_changes_nothing() -> None:
    async with TwsSimulator(noise=Noise(pieces="bytes")) as tws, connected(tws, timeout=30) as ib:
        (details,) = await ib.reqContractDetailsAsync(EURUSD)
        assert details.longName == "EUR/USD"
        trade = ib.placeOrder(EURUSD, market())
        await until(lambda: trade.fills and trade.fills[0].commissionReport.commission, 30)
        assert state(trade) == "Filled"


@pytest.mark.parametrize("seed", range(5))
async def test_with_all_noise_a_client_still_learns_the_truth(seed: int) -> None:
    """Twenty orders at random; in the end the client's fills, positions and open orders are those of the book."""
    chance = seeded("noise", seed)
    async with TwsSimulator(noise=Noise.all(), seed=seed) as tws, connected(tws) as ib:
        for number in range(20):
            kind = chance.uniform()
            action = "BUY" if chance.uniform() < 0.5 else "SELL"
            order = Order(
                action=action,
                totalQuantity=30_000,
                orderType="MKT" if kind < 0.4 else "LMT",
                lmtPrice=1.7976931348623157e308 if kind < 0.4 else round(1.09 + 0.0005 * int(20 * chance.uniform()), 4),
                tif="GTC",
                orderRef=f"order {number}",
            )
            trade = ib.placeOrder(EURUSD, order)
            if chance.uniform() < 0.3:
                await asyncio.sleep(0.02)
                ib.client.cancelOrder(trade.order.orderId)
            bid = 1.085 + 0.02 * chance.uniform()
            tws.quote("EURUSD", round(bid, 5), round(bid + 0.0001, 5))
            await asyncio.sleep(0.005)
        await until(lambda: {f.execution.execId for f in ib.fills()} == {e.exec_id for e in tws.book.executions})
        await until(lambda: all(fill.commissionReport.commission for fill in ib.fills()))
        await until(
            lambda: ({p.contract.conId: p.position for p in ib.positions()}.get(12087792, 0)) == tws.book.position("EURUSD")
        )
        await asyncio.sleep(0.1)
        assert {t.order.orderRef for t in await ib.reqOpenOrdersAsync()} == {o.ref for o in tws.book.open_orders}
        assert set(tws.book.submissions.values()) == {1}
        assert all(a.time_ns <= b.time_ns for a, b in pairwise(tws.book.executions))


async def test_17_orders_by_hand_are_bound_to_client_0_which_may_cancel_them() -> None:
    async with TwsSimulator() as tws, connected(tws, 0) as ib:
        await until(lambda: tws.session(0).auto_open_orders)
        order = tws.mishaps.enter_by_hand("EURUSD", "BUY", 50_000, Decimal("1.0500"))
        await until(lambda: ib.openTrades())
        assert ib.openTrades()[0].order.permId == order.perm_id and order.order_id < 0
        ib.client.cancelOrder(order.order_id)
        await until(lambda: order.status == "Cancelled")


async def test_executions_and_completed_orders_are_those_of_the_day() -> None:
    """Seven in the evening in New York; five hours later is the next day there."""
    clock = ManualClock(1_796_169_600 * 10**9)
    async with TwsSimulator(clock=clock) as tws:
        async with connected(tws) as ib:
            trade = ib.placeOrder(EURUSD, market())
            await until(lambda: state(trade) == "Filled")
        clock.advance(5 * 3_600 - 1)
        async with connected(tws) as ib:
            assert (len(ib.fills()), len(ib.trades())) == (1, 1)
        clock.advance(1)
        async with connected(tws) as ib:
            assert (ib.fills(), ib.trades()) == ([], [])
            assert ib.positions()[0].position == 30_000


async def test_an_order_for_a_closed_market_waits_for_its_opening() -> None:
    """Tuesday 1 December 2026, half past three and four in the morning in New York."""
    clock = ManualClock((1_796_137_200 - 6 * 3_600 - 1_800) * 10**9)
    async with TwsSimulator(clock=clock, keep_hours=True) as tws, connected(tws) as ib:
        heard = errors(ib)
        trade = ib.placeOrder(SPY, LimitOrder("BUY", 10, 590.0, tif="GTC", orderRef="it"))
        at_once = ib.placeOrder(SPY, MarketOrder("BUY", 10, tif="DAY", orderRef="at once"))
        await until(lambda: len(heard) == 2)
        assert {code for _, code, _ in heard} == {399} and "market opens" in heard[0][2]
        assert tws.book.order("it").status == tws.book.order("at once").status == "PreSubmitted"
        clock.advance(1_800)
        tws.pulse()
        await until(lambda: state(at_once) == "Filled")
        await until(lambda: state(trade) == "Submitted")


async def test_things_happen_at_a_time_and_answers_can_be_written_late_or_left_out(desk: Desk) -> None:
    tws, ib = desk
    ticker = ib.reqMktData(EURUSD)
    tws.script.at(0.05).do(lambda: tws.quote("EURUSD", 1.2, 1.2001))
    await until(lambda: ticker.bid == 1.2)
    tws.script.on("reqCurrentTime", n=1).reply((49, 1, 1_700_000_000))
    assert (await ib.reqCurrentTimeAsync()).timestamp() == 1_700_000_000
    tws.script.on("reqCurrentTime", n=1).delay(0.1)
    started = asyncio.get_running_loop().time()
    await ib.reqCurrentTimeAsync()
    assert asyncio.get_running_loop().time() - started >= 0.1
    tws.script.on("reqCurrentTime", n=1).close()
    with pytest.raises(ConnectionError):
        await ib.reqCurrentTimeAsync()


async def test_what_was_said_can_be_looked_up_decoded(desk: Desk) -> None:
    tws, ib = desk
    await working(ib, limit("mine", 1.05))
    (placed,) = tws.transcript.named("placeOrder")
    assert isinstance(placed.request, PlaceOrder)
    assert (placed.request.order_ref, placed.request.limit_price) == ("mine", Decimal("1.05"))
    assert "orderStatus" in str(tws.transcript)


def test_a_version_in_between_is_not_spoken() -> None:
    with pytest.raises(ValueError, match="only 178"):
        TwsSimulator(version=165)
