"""Orders of every kind through the real client: triggers, brackets, OCA groups, times in force, changes, refusals, what-ifs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from ib_async import IB, Forex, LimitOrder, MarketOrder, Order, StopLimitOrder, StopOrder, Trade

from simulators.tws import Limits, TwsSimulator
from tests.support.tws import connected, errors, until

EURUSD = Forex("EURUSD", conId=12087792)
Desk = tuple[TwsSimulator, IB]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A client, and EURUSD at 1.1000/1.1001."""
    async with TwsSimulator() as tws, connected(tws) as ib:
        tws.quote("EURUSD", 1.1000, 1.1001)
        yield tws, ib


def an_order(kind: str, action: str, **terms: Any) -> Order:
    return Order(orderType=kind, action=action, totalQuantity=30_000, **({"tif": "GTC", "orderRef": "it"} | terms))


def state(trade: Trade) -> str:
    return str(trade.orderStatus.status)


async def known(ib: IB, order: Order) -> Trade:
    """Placed, and heard of."""
    trade = ib.placeOrder(EURUSD, order)
    await until(lambda: state(trade) != "PendingSubmit")
    return trade


@pytest.mark.parametrize(
    ("order", "held", "triggering", "price"),
    [
        (an_order("STP", "SELL", auxPrice=1.0950), "trigger", (1.0950, 1.0951), 1.0950),
        (an_order("STP", "BUY", auxPrice=1.1050), "trigger", (1.1049, 1.1050), 1.1050),
        (an_order("STP LMT", "SELL", auxPrice=1.0950, lmtPrice=1.0945), "trigger", (1.0949, 1.0950), 1.0949),
        (an_order("MIT", "BUY", auxPrice=1.0950), "trigger", (1.0949, 1.0950), 1.0950),
        (an_order("LIT", "SELL", auxPrice=1.1050, lmtPrice=1.1050), "trigger", (1.1051, 1.1052), 1.1051),
        (an_order("LMT", "BUY", lmtPrice=1.0950), "", (1.0940, 1.0945), 1.0950),
        (an_order("LMT", "SELL", lmtPrice=1.1050), "", (1.1060, 1.1061), 1.1050),
    ],
    ids=lambda value: f"{value.orderType} {value.action}" if isinstance(value, Order) else "",
)
async def test_an_order_waits_for_its_price(
    desk: Desk, order: Order, held: str, triggering: tuple[float, float], price: float
) -> None:
    tws, ib = desk
    trade = await known(ib, order)
    assert (state(trade), trade.orderStatus.whyHeld) == ("PreSubmitted" if held else "Submitted", held)
    tws.quote("EURUSD", 1.1001, 1.1002)
    tws.quote("EURUSD", *triggering)
    await until(lambda: state(trade) == "Filled")
    assert trade.fills[0].execution.price == price


async def test_a_stop_limit_that_is_jumped_over_rests_at_its_limit(desk: Desk) -> None:
    tws, ib = desk
    trade = await known(ib, StopLimitOrder("SELL", 30_000, 1.0945, 1.0950, tif="GTC"))
    tws.quote("EURUSD", 1.0900, 1.0901)
    await until(lambda: state(trade) == "Submitted")
    tws.quote("EURUSD", 1.0946, 1.0947)
    await until(lambda: state(trade) == "Filled")
    assert trade.fills[0].execution.price == 1.0945


@pytest.mark.parametrize("terms", [{"auxPrice": 0.0050}, {"trailingPercent": 0.5, "auxPrice": 1.7976931348623157e308}])
async def test_a_trailing_stop_follows_and_never_goes_back(desk: Desk, terms: dict[str, float]) -> None:
    tws, ib = desk
    trade = await known(ib, an_order("TRAIL", "SELL", **terms))
    tws.quote("EURUSD", 1.1100, 1.1101)
    tws.quote("EURUSD", 1.1060, 1.1061)
    assert tws.book.order("it").stop == (Decimal("1.1050") if "trailingPercent" not in terms else Decimal("1.10445"))
    tws.quote("EURUSD", 1.1040, 1.1041)
    await until(lambda: state(trade) == "Filled")
    assert trade.fills[0].execution.price == 1.1040


def bracket(ib: IB, quantity: float = 30_000) -> list[Order]:
    orders = ib.bracketOrder("BUY", quantity, 1.0990, takeProfitPrice=1.1050, stopLossPrice=1.0950, tif="GTC")
    for order, ref in zip(orders, ("entry", "profit", "stop"), strict=True):
        order.orderRef = ref
    return list(orders)


async def test_a_bracket_waits_for_its_last_part_and_its_exits_for_the_entry(desk: Desk) -> None:
    tws, ib = desk
    entry, profit, stop = bracket(ib)
    trades = [ib.placeOrder(EURUSD, order) for order in (entry, profit)]
    await ib.reqCurrentTimeAsync()
    assert [state(trade) for trade in trades] == ["PendingSubmit", "PendingSubmit"]
    assert tws.book.open_orders == []
    trades.append(ib.placeOrder(EURUSD, stop))
    await until(lambda: all(state(trade) in ("Submitted", "PreSubmitted") for trade in trades))
    assert [trade.orderStatus.whyHeld for trade in trades] == ["", "child", "child,trigger"]
    assert [trade.orderStatus.parentId for trade in trades] == [0, entry.orderId, entry.orderId]
    tws.quote("EURUSD", 1.0989, 1.0990)
    await until(lambda: state(trades[0]) == "Filled" and state(trades[1]) == "Submitted")
    tws.quote("EURUSD", 1.1050, 1.1051)
    await until(lambda: state(trades[1]) == "Filled" and state(trades[2]) == "Cancelled")
    assert tws.book.position("EURUSD") == 0


async def test_exits_work_for_as_much_as_their_entry_has_filled(desk: Desk) -> None:
    tws, ib = desk
    tws.plan("entry", 10_000)
    trades = [ib.placeOrder(EURUSD, order) for order in bracket(ib)]
    tws.quote("EURUSD", 1.0989, 1.0990)
    await until(lambda: trades[0].filled() == 10_000 and state(trades[1]) == "Submitted")
    tws.quote("EURUSD", 1.1050, 1.1051)
    await until(lambda: trades[1].filled() == 10_000)
    assert tws.book.position("EURUSD") == 0
    ib.cancelOrder(trades[0].order)
    await until(lambda: all(not trade.isActive() for trade in trades))
    assert tws.book.position("EURUSD") == 0 and tws.book.open_orders == []


async def test_an_entry_that_is_cancelled_takes_its_exits_along(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    trades = [ib.placeOrder(EURUSD, order) for order in bracket(ib)]
    await until(lambda: state(trades[2]) == "PreSubmitted")
    ib.cancelOrder(trades[0].order)
    await until(lambda: all(state(trade) == "Cancelled" for trade in trades))
    assert sorted(req_id for req_id, code, _ in heard if code == 202) == [trade.order.orderId for trade in trades]
    assert tws.book.executions == []


async def test_a_child_whose_parent_was_refused_is_error_135(desk: Desk) -> None:
    _, ib = desk
    heard = errors(ib)
    entry, profit, stop = bracket(ib)
    entry.lmtPrice = 1.09901
    for order in (entry, profit, stop):
        ib.placeOrder(EURUSD, order)
    await until(lambda: len(heard) == 3)
    assert [(req_id, code) for req_id, code, _ in heard] == [
        (entry.orderId, 110),
        (profit.orderId, 135),
        (stop.orderId, 135),
    ]


@pytest.mark.parametrize(("oca_type", "left"), [(1, None), (2, 20_000), (3, 20_000)])
async def test_one_of_an_oca_group_fills_and_the_others_are_cancelled_or_reduced(
    desk: Desk, oca_type: int, left: int | None
) -> None:
    tws, ib = desk
    tws.plan("a", 10_000)
    first = await known(
        ib, LimitOrder("BUY", 30_000, 1.0990, tif="GTC", ocaGroup="one", ocaType=oca_type, orderRef="a", transmit=True)
    )
    other = await known(ib, LimitOrder("BUY", 30_000, 1.0980, tif="GTC", ocaGroup="one", ocaType=oca_type, orderRef="b"))
    tws.quote("EURUSD", 1.0985, 1.0990)
    await until(lambda: first.filled() == 10_000)
    if left is None:
        await until(lambda: state(other) == "Cancelled")
    else:
        await until(lambda: other.order.totalQuantity == left)
        assert state(other) == "Submitted"


async def test_ioc_fills_what_it_can_and_fok_all_or_nothing(desk: Desk) -> None:
    tws, ib = desk
    tws.exchange.match_sizes = True
    tws.quote("EURUSD", 1.1000, 1.1001, 20_000, 20_000)
    ioc = ib.placeOrder(EURUSD, LimitOrder("BUY", 30_000, 1.1001, tif="IOC", orderRef="ioc"))
    fok = ib.placeOrder(EURUSD, LimitOrder("BUY", 30_000, 1.1001, tif="FOK", orderRef="fok"))
    late = ib.placeOrder(EURUSD, LimitOrder("BUY", 30_000, 1.0990, tif="IOC", orderRef="late"))
    await until(lambda: all(state(trade) == "Cancelled" for trade in (ioc, fok, late)))
    assert [tws.book.order(ref).filled for ref in ("ioc", "fok", "late")] == [20_000, 0, 0]


async def test_day_and_gtd_orders_end_with_their_time() -> None:
    from simulators.tws import ManualClock

    clock = ManualClock(1_796_137_200 * 10**9)  # Tuesday 1 December 2026, 15:00 UTC, 10:00 in New York
    async with TwsSimulator(clock=clock) as tws, connected(tws) as ib:
        tws.quote("EURUSD", 1.1000, 1.1001)
        day = await known(ib, LimitOrder("BUY", 30_000, 1.0990, tif="DAY"))
        dated = await known(ib, LimitOrder("BUY", 30_000, 1.0980, tif="GTD", goodTillDate="20261201-16:00:00"))
        good = await known(ib, LimitOrder("BUY", 30_000, 1.0970, tif="GTC"))
        clock.advance(3_599)
        tws.pulse()
        assert len(tws.book.open_orders) == 3
        clock.advance(1)
        tws.pulse()
        await until(lambda: state(dated) == "Cancelled")
        clock.advance(6 * 3_600)  # 17:00 in New York
        tws.pulse()
        await until(lambda: state(day) == "Cancelled")
        assert state(good) == "Submitted"


async def test_a_change_that_is_refused_leaves_the_order_as_it_was(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    trade = await known(ib, LimitOrder("BUY", 30_000, 1.0990, tif="GTC", orderRef="it"))
    order = trade.order
    order.lmtPrice = 1.09901
    ib.placeOrder(EURUSD, order)
    await until(lambda: heard)
    assert heard[0][:2] == (order.orderId, 110)
    assert (tws.book.order("it").terms.limit_price, tws.book.order("it").is_open) == (Decimal("1.099"), True)
    order.lmtPrice, order.orderType = 1.0990, "STP"
    order.auxPrice = 1.12
    ib.placeOrder(EURUSD, order)
    await until(lambda: len(heard) == 2)
    assert heard[1][1] == 329 and tws.book.order("it").is_open


async def test_a_filled_and_a_cancelled_order_cannot_be_sent_again(desk: Desk) -> None:
    tws, ib = desk
    heard = errors(ib)
    filled = await known(ib, MarketOrder("BUY", 30_000, tif="DAY", orderRef="filled"))
    await until(lambda: state(filled) == "Filled")
    ib.client.placeOrder(filled.order.orderId, EURUSD, filled.order)
    cancelled = await known(ib, LimitOrder("BUY", 30_000, 1.09, tif="GTC", orderRef="cancelled"))
    ib.cancelOrder(cancelled.order)
    await until(lambda: state(cancelled) == "Cancelled")
    ib.client.placeOrder(cancelled.order.orderId, EURUSD, cancelled.order)
    await until(lambda: len(heard) == 3)
    assert [code for _, code, _ in heard] == [104, 202, 103]
    assert tws.book.submissions == {"filled": 1, "cancelled": 1}
    assert len(tws.book.executions) == 1


async def test_an_order_that_is_open_and_is_sent_again_is_a_change_of_nothing(desk: Desk) -> None:
    tws, ib = desk
    trade = await known(ib, LimitOrder("BUY", 30_000, 1.09, tif="GTC", orderRef="it"))
    ib.client.placeOrder(trade.order.orderId, EURUSD, trade.order)
    await until(lambda: tws.book.order("it").submissions == 2)
    assert tws.book.submissions == {"it": 1}


REFUSED = [
    (LimitOrder("BUY", 30_000, 1.09901, tif="GTC"), 110),
    (LimitOrder("BUY", 0, 1.0990, tif="GTC"), 434),
    (LimitOrder("BUY", 30_000.5, 1.0990, tif="GTC"), 201),
    (an_order("REL", "BUY"), 387),
    (LimitOrder("BUY", 30_000, 1.0990, tif="EVER"), 321),
    (LimitOrder("BUY", 30_000, 1.0990, tif="GTD", goodTillDate="soon"), 391),
    (LimitOrder("BUY", 30_000, 1.0990, tif="GTC", algoStrategy="Adaptive", algoParams=[]), 321),
    (LimitOrder("BUY", 30_000, 1.0990, tif="GTC", account="DU404"), 321),
    (StopOrder("SELL", 30_000, 1.7976931348623157e308, tif="GTC"), 321),
    (MarketOrder("BUY", 900_000_000, tif="DAY"), 201),
]


@pytest.mark.parametrize(("order", "code"), REFUSED, ids=lambda value: str(value) if isinstance(value, int) else value.orderType)
async def test_an_order_that_cannot_be_is_refused_with_the_code_of_tws(desk: Desk, order: Order, code: int) -> None:
    tws, ib = desk
    heard = errors(ib)
    trade = ib.placeOrder(EURUSD, order)
    await until(lambda: heard)
    assert heard[0][:2] == (trade.order.orderId, code)
    assert tws.book.open_orders == [] and tws.book.executions == []


async def test_too_many_orders_on_one_side_are_refused() -> None:
    async with TwsSimulator(limits=Limits(orders_per_side=3)) as tws, connected(tws) as ib:
        heard = errors(ib)
        for _ in range(4):
            ib.placeOrder(EURUSD, LimitOrder("BUY", 30_000, 1.01, tif="GTC"))
        await until(lambda: heard)
        assert (heard[0][1], len(tws.book.open_orders)) == (201, 3)
        ib.placeOrder(EURUSD, LimitOrder("SELL", 30_000, 1.2, tif="GTC"))
        await until(lambda: len(tws.book.open_orders) == 4)


async def test_an_order_without_a_time_in_force_is_a_day_order_and_the_client_takes_the_notice_for_its_end(desk: Desk) -> None:
    tws, ib = desk
    trade = ib.placeOrder(EURUSD, MarketOrder("BUY", 30_000, orderRef="it"))
    seen: list[str] = []
    trade.statusEvent += lambda t: seen.append(state(t))
    await until(lambda: state(trade) == "Filled")
    assert "Cancelled" in seen, "what the client makes of 10349"
    assert tws.book.order("it").status == "Filled"


async def test_a_what_if_tells_the_margin_and_places_nothing(desk: Desk) -> None:
    tws, ib = desk
    estimate = await ib.whatIfOrderAsync(EURUSD, MarketOrder("BUY", 100_000, tif="DAY"))
    assert float(estimate.initMarginChange) == pytest.approx(0.03 * 110_005, abs=0.01)
    assert estimate.commission == 2.2
    assert tws.book.orders == []


async def test_all_orders_are_cancelled_at_once(desk: Desk) -> None:
    tws, ib = desk
    trades = [await known(ib, LimitOrder("BUY", 30_000, 1.09 - step / 100, tif="GTC")) for step in range(3)]
    ib.reqGlobalCancel()
    await until(lambda: all(state(trade) == "Cancelled" for trade in trades))
    assert tws.book.open_orders == []


async def test_small_forex_orders_are_taken_with_a_warning(desk: Desk) -> None:
    _, ib = desk
    heard = errors(ib)
    trade = ib.placeOrder(EURUSD, MarketOrder("BUY", 1_000, tif="DAY"))
    await until(lambda: state(trade) == "Filled")
    assert [code for _, code, _ in heard] == [399]


async def test_each_client_hears_of_its_own_orders_and_the_master_of_all() -> None:
    async with TwsSimulator(accounts=["DU1", "DU2"]) as tws:
        tws.master_client_id = 9
        async with connected(tws, 1) as one, connected(tws, 2) as two, connected(tws, 9) as master:
            heard_two, heard_master = [], []
            two.execDetailsEvent += lambda trade, fill: heard_two.append(fill.execution.execId)
            master.execDetailsEvent += lambda trade, fill: heard_master.append(fill.execution.execId)
            trade = one.placeOrder(EURUSD, MarketOrder("BUY", 30_000, tif="DAY", account="DU2", orderRef="it"))
            resting = one.placeOrder(EURUSD, LimitOrder("BUY", 30_000, 1.0, tif="GTC", account="DU1"))
            await until(lambda: state(trade) == "Filled" and heard_master and state(resting) == "Submitted")
            assert heard_two == []
            assert await two.reqOpenOrdersAsync() == []
            assert len(await two.reqAllOpenOrdersAsync()) == 1
            assert [position.account for position in two.positions()] == ["DU2"]
            heard = errors(two)
            two.client.cancelOrder(resting.order.orderId)
            await until(lambda: heard)
            assert heard[0][1] == 10147
            one.placeOrder(EURUSD, MarketOrder("BUY", 30_000, tif="DAY"))
            failed = errors(one)
            await until(lambda: failed)
            assert failed[0][1] == 435, "an account has to be named"
