"""Requests as the real ib_async client words them, read back; its own encoder is the reference."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ib_async import (
    ComboLeg,
    Contract,
    DeltaNeutralContract,
    ExecutionFilter,
    Forex,
    LimitOrder,
    MarketOrder,
    Order,
    Stock,
    TagValue,
)
from ib_async.client import Client
from ib_async.order import (
    ExecutionCondition,
    MarginCondition,
    PercentChangeCondition,
    PriceCondition,
    TimeCondition,
    VolumeCondition,
)

from simulators.tws import requests
from simulators.tws.contract import Contract as Described
from simulators.tws.place_order import PlaceOrder
from simulators.tws.requests import read_request
from simulators.tws.wire import BadField, Fields, split

SPY = Stock("SPY", "SMART", "USD", conId=756733, primaryExchange="ARCA")
UNSET = 1.7976931348623157e308


def said(method: str, *args: Any) -> Fields:
    """The fields of one request of the real client, at server version 178; its pacing is passed by, for it wants a loop."""
    client, sent = Client(wrapper=object()), []
    client.connState, client._serverVersion, client.sendMsg = Client.CONNECTED, 178, sent.append
    getattr(client, method)(*args)
    return split(sent[0].encode())


def placed(order: Order, contract: Contract = SPY) -> PlaceOrder:
    name, request = read_request(said("placeOrder", 5, contract, order))
    assert name == "placeOrder" and isinstance(request, PlaceOrder)
    return request


def test_an_order_is_read_with_everything_that_it_says() -> None:
    order = LimitOrder(
        "SELL",
        100,
        601.25,
        orderRef="it",
        tif="GTD",
        goodTillDate="20261201 16:00:00 US/Eastern",
        ocaGroup="one",
        ocaType=2,
        account="DU1",
        parentId=4,
        transmit=False,
        outsideRth=True,
        minQty=10,
        allOrNone=True,
    )
    assert placed(order) == PlaceOrder(
        order_id=5,
        contract=Described(
            con_id=756733, symbol="SPY", sec_type="STK", exchange="SMART", primary_exchange="ARCA", currency="USD"
        ),
        action="SELL",
        quantity=Decimal(100),
        order_type="LMT",
        limit_price=Decimal("601.25"),
        aux_price=None,
        tif="GTD",
        oca_group="one",
        account="DU1",
        open_close="O",
        origin=0,
        order_ref="it",
        transmit=False,
        parent_id=4,
        outside_rth=True,
        good_till="20261201 16:00:00 US/Eastern",
        oca_type=2,
        all_or_none=True,
        min_quantity=Decimal(10),
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (MarketOrder("BUY", 1), {"limit_price": None, "aux_price": None}),
        (
            Order(orderType="STP", action="BUY", totalQuantity=1, auxPrice=590.0),
            {"aux_price": Decimal("590.0"), "limit_price": None},
        ),
        (
            Order(orderType="TRAIL", action="BUY", totalQuantity=1, auxPrice=2.5, trailStopPrice=590.0),
            {"aux_price": Decimal("2.5"), "trail_stop_price": Decimal("590.0")},
        ),
        (
            Order(orderType="TRAIL", action="BUY", totalQuantity=1, trailingPercent=1.5),
            {"trailing_percent": Decimal("1.5"), "trail_stop_price": None},
        ),
        (
            Order(orderType="TRAIL LIMIT", action="BUY", totalQuantity=1, auxPrice=1.0, lmtPriceOffset=0.25),
            {"limit_offset": Decimal("0.25")},
        ),
        (Order(orderType="MKT", action="BUY", totalQuantity=1, whatIf=True), {"what_if": True}),
    ],
    ids=lambda value: value.orderType if isinstance(value, Order) else "",
)
def test_the_prices_of_each_kind_of_order_are_where_they_belong(order: Order, expected: dict[str, object]) -> None:
    read = placed(order)
    assert {name: getattr(read, name) for name in expected} == expected


COMBO = Contract(secType="BAG", symbol="SPY", exchange="SMART", currency="USD", comboLegs=[ComboLeg(1, 1, "BUY", "SMART")] * 2)
NEUTRAL = Contract(secType="STK", symbol="SPY", exchange="SMART", deltaNeutralContract=DeltaNeutralContract(1, 0.5, 2.0))
CONDITIONS = [
    PriceCondition(price=1.0, conId=1, exch="SMART"),
    TimeCondition(time="20261201 16:00:00"),
    MarginCondition(percent=10),
    ExecutionCondition(secType="STK", exch="SMART", symbol="SPY"),
    VolumeCondition(volume=5, conId=1, exch="SMART"),
    PercentChangeCondition(changePercent=1.0, conId=1, exch="SMART"),
]


@pytest.mark.parametrize(
    ("terms", "contract", "what"),
    [
        ({}, COMBO, "a combination"),
        ({"smartComboRoutingParams": [TagValue("NonGuaranteed", "1")]}, COMBO, "a combination"),
        ({"deltaNeutralOrderType": "MKT", "deltaNeutralConId": 7}, SPY, "a delta neutral order"),
        ({"scalePriceIncrement": 0.5, "scaleInitLevelSize": 1}, SPY, "a scale order"),
        ({"hedgeType": "D", "hedgeParam": "x"}, SPY, "a hedge"),
        ({}, NEUTRAL, "a delta neutral contract"),
        ({"algoStrategy": "Adaptive", "algoParams": [TagValue("adaptivePriority", "Normal")]}, SPY, "an algorithm"),
        ({"algoStrategy": "Adaptive"}, SPY, "an algorithm"),
        ({"conditions": CONDITIONS}, SPY, "conditions"),
        ({"goodAfterTime": "20261201 16:00:00"}, SPY, "a time before which it is not active"),
        ({"cashQty": 1000.0}, SPY, "an amount of cash"),
    ],
)
def test_what_moves_the_fields_is_read_over_and_named(terms: dict[str, Any], contract: Contract, what: str) -> None:
    read = placed(Order(orderType="LMT", action="BUY", totalQuantity=7, lmtPrice=1.5, whatIf=True, **terms), contract)
    assert read.unsupported == what
    assert (read.quantity, read.what_if) == (7, True)


@pytest.mark.parametrize("kind", ["PEG BENCH", "PEG BEST", "PEG MID", "REL"])
def test_orders_that_are_pegged_can_be_read(kind: str) -> None:
    for offset in (UNSET, float("inf")):
        assert placed(Order(orderType=kind, action="BUY", totalQuantity=1, competeAgainstBestOffset=offset)).order_type == kind
    ats = Contract(secType="STK", symbol="SPY", exchange="IBKRATS", currency="USD")
    assert placed(Order(orderType=kind, action="BUY", totalQuantity=1), ats).contract.exchange == "IBKRATS"


DESCRIBED = Described(con_id=756733, symbol="SPY", sec_type="STK", exchange="SMART", primary_exchange="ARCA", currency="USD")
EXAMPLES: list[tuple[str, tuple[Any, ...], object]] = [
    ("startApi", (), requests.StartApi(-1, "")),
    ("reqMktData", (3, SPY, "233", True, False, []), requests.MarketData(3, DESCRIBED, False, "233", True, False, "")),
    ("cancelMktData", (3,), requests.WithId(3)),
    ("reqMarketDataType", (3,), requests.MarketDataType(3)),
    ("reqTickByTickData", (3, SPY, "BidAsk", 0, True), requests.TickByTick(3, DESCRIBED, "BidAsk", 0, True)),
    ("cancelTickByTickData", (3,), requests.WithId(3)),
    ("reqRealTimeBars", (3, SPY, 5, "TRADES", True, []), requests.RealTimeBars(3, DESCRIBED, 5, "TRADES", True, "")),
    ("cancelRealTimeBars", (3,), requests.WithId(3)),
    (
        "reqHistoricalData",
        (3, SPY, "", "1 D", "1 min", "TRADES", True, 2, False, []),
        requests.HistoricalData(3, DESCRIBED, False, "", "1 min", "1 D", True, "TRADES", 2, False, ""),
    ),
    ("cancelHistoricalData", (3,), requests.WithId(3)),
    ("reqHeadTimeStamp", (3, SPY, "TRADES", True, 2), requests.HeadTimestamp(3, DESCRIBED, False, True, "TRADES", 2)),
    ("cancelHeadTimeStamp", (3,), requests.WithId(3)),
    (
        "reqHistoricalTicks",
        (3, SPY, "20261201 16:00:00 UTC", "", 100, "BID_ASK", True, False, []),
        requests.HistoricalTicks(3, DESCRIBED, False, "20261201 16:00:00 UTC", "", 100, "BID_ASK", True, False, ""),
    ),
    ("reqContractDetails", (3, SPY), requests.ContractDetails(3, DESCRIBED, False, "", "", "")),
    ("reqMarketRule", (26,), requests.MarketRule(26)),
    ("reqMatchingSymbols", (3, "SP"), requests.MatchingSymbols(3, "SP")),
    ("reqSecDefOptParams", (3, "SPY", "", "STK", 756733), requests.OptionParameters(3, "SPY", "", "STK", 756733)),
    ("cancelOrder", (5, ""), requests.CancelOrder(5, "")),
    ("reqGlobalCancel", (), requests.Request()),
    ("reqOpenOrders", (), requests.Request()),
    ("reqAllOpenOrders", (), requests.Request()),
    ("reqAutoOpenOrders", (True,), requests.Switch(True)),
    ("reqCompletedOrders", (False,), requests.Switch(False)),
    (
        "reqExecutions",
        (3, ExecutionFilter(7, "DU1", "20261201-00:00:00", "SPY", "STK", "SMART", "BUY")),
        requests.Executions(3, 7, "DU1", "20261201-00:00:00", "SPY", "STK", "SMART", "BUY"),
    ),
    ("reqPositions", (), requests.Request()),
    ("cancelPositions", (), requests.Request()),
    ("reqAccountUpdates", (True, "DU1"), requests.AccountUpdates(True, "DU1")),
    ("reqAccountUpdatesMulti", (3, "DU1", "", False), requests.AccountUpdatesMulti(3, "DU1", "", False)),
    ("cancelAccountUpdatesMulti", (3,), requests.WithId(3)),
    ("reqAccountSummary", (3, "All", "NetLiquidation"), requests.AccountSummary(3, "All", "NetLiquidation")),
    ("cancelAccountSummary", (3,), requests.WithId(3)),
    ("reqPnL", (3, "DU1", ""), requests.PnL(3, "DU1", "")),
    ("cancelPnL", (3,), requests.WithId(3)),
    ("reqPnLSingle", (3, "DU1", "", 756733), requests.PnLSingle(3, "DU1", "", 756733)),
    ("cancelPnLSingle", (3,), requests.WithId(3)),
    ("reqIds", (1,), requests.ManyIds(1)),
    ("reqCurrentTime", (), requests.Request()),
    ("reqManagedAccts", (), requests.Request()),
]


@pytest.mark.parametrize(("method", "args", "expected"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_request_is_read_as_it_was_meant(method: str, args: tuple[Any, ...], expected: object) -> None:
    assert read_request(said(method, *args)) == (method, expected)


def test_every_request_that_is_known_has_an_example() -> None:
    assert {method for method, *_ in EXAMPLES} | {"placeOrder"} == set(requests.NAMES.values())


@pytest.mark.parametrize(("method", "args", "expected"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_field_too_few_or_too_many_is_noticed(method: str, args: tuple[Any, ...], expected: object) -> None:
    fields = said(method, *args)
    for wrong in (fields[:-1], (*fields, "")):
        with pytest.raises(BadField):
            read_request(wrong)


def test_an_order_with_a_field_too_few_or_too_many_is_noticed() -> None:
    fields = said("placeOrder", 5, Forex("EURUSD"), MarketOrder("BUY", 1))
    assert len(fields) == 114
    for wrong in (fields[:-1], (*fields, "")):
        with pytest.raises(BadField):
            read_request(wrong)
