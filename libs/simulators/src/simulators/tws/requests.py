"""What a client asks: the messages from the client, decoded.

In:   the fields of one message.   Out: its name in the API and a typed request.
Not:  leniency: a message with a field too few, too many or of another kind is `BadField`, so that a test sees it.

Names and fields are those of server version 178, the newest that ib_async 2.1.0 negotiates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from simulators.tws.contract import Contract, read_contract
from simulators.tws.place_order import PlaceOrder, read_place_order
from simulators.tws.wire import BadField, Fields, Reader


class Request(msgspec.Struct, frozen=True):
    """Any request without fields of its own (open orders, positions, the time)."""


class WithId(Request, frozen=True):
    """A request known by its number alone: most cancels."""

    req_id: int


class StartApi(Request, frozen=True):
    client_id: int
    capabilities: str


class Switch(Request, frozen=True):
    """`reqAutoOpenOrders`, `reqCompletedOrders`."""

    on: bool


class AccountUpdates(Request, frozen=True):
    on: bool
    account: str


class AccountUpdatesMulti(Request, frozen=True):
    req_id: int
    account: str
    model: str
    ledger: bool


class AccountSummary(Request, frozen=True):
    req_id: int
    group: str
    tags: str


class PnL(Request, frozen=True):
    req_id: int
    account: str
    model: str


class PnLSingle(Request, frozen=True):
    req_id: int
    account: str
    model: str
    con_id: int


class Executions(Request, frozen=True):
    req_id: int
    client_id: int
    account: str
    since: str
    symbol: str
    sec_type: str
    exchange: str
    side: str


class CancelOrder(Request, frozen=True):
    order_id: int
    manual_time: str


class MarketDataType(Request, frozen=True):
    kind: int


class MarketRule(Request, frozen=True):
    rule_id: int


class ContractDetails(Request, frozen=True):
    req_id: int
    contract: Contract
    expired: bool
    sec_id_type: str
    sec_id: str
    issuer_id: str


class MarketData(Request, frozen=True):
    req_id: int
    contract: Contract
    delta_neutral: bool
    generic_ticks: str
    snapshot: bool
    regulatory: bool
    options: str


class TickByTick(Request, frozen=True):
    req_id: int
    contract: Contract
    kind: str
    count: int
    ignore_size: bool


class RealTimeBars(Request, frozen=True):
    req_id: int
    contract: Contract
    bar_size: int
    what: str
    rth: bool
    options: str


class HistoricalData(Request, frozen=True):
    req_id: int
    contract: Contract
    expired: bool
    end: str
    bar_size: str
    duration: str
    rth: bool
    what: str
    format_date: int
    keep_up_to_date: bool
    options: str


class HeadTimestamp(Request, frozen=True):
    req_id: int
    contract: Contract
    expired: bool
    rth: bool
    what: str
    format_date: int


class HistoricalTicks(Request, frozen=True):
    req_id: int
    contract: Contract
    expired: bool
    start: str
    end: str
    count: int
    what: str
    rth: bool
    ignore_size: bool
    misc: str


class MatchingSymbols(Request, frozen=True):
    req_id: int
    pattern: str


class OptionParameters(Request, frozen=True):
    req_id: int
    symbol: str
    exchange: str
    sec_type: str
    con_id: int


class ManyIds(Request, frozen=True):
    count: int


_SHAPES: dict[int, tuple[str, type[Request], int]] = {
    1: ("reqMktData", MarketData, 1),
    2: ("cancelMktData", WithId, 1),
    4: ("cancelOrder", CancelOrder, 1),
    5: ("reqOpenOrders", Request, 1),
    6: ("reqAccountUpdates", AccountUpdates, 1),
    7: ("reqExecutions", Executions, 1),
    8: ("reqIds", ManyIds, 1),
    9: ("reqContractDetails", ContractDetails, 1),
    15: ("reqAutoOpenOrders", Switch, 1),
    16: ("reqAllOpenOrders", Request, 1),
    17: ("reqManagedAccts", Request, 1),
    20: ("reqHistoricalData", HistoricalData, 0),
    25: ("cancelHistoricalData", WithId, 1),
    49: ("reqCurrentTime", Request, 1),
    50: ("reqRealTimeBars", RealTimeBars, 1),
    51: ("cancelRealTimeBars", WithId, 1),
    58: ("reqGlobalCancel", Request, 1),
    59: ("reqMarketDataType", MarketDataType, 1),
    61: ("reqPositions", Request, 1),
    62: ("reqAccountSummary", AccountSummary, 1),
    63: ("cancelAccountSummary", WithId, 1),
    64: ("cancelPositions", Request, 1),
    71: ("startApi", StartApi, 1),
    76: ("reqAccountUpdatesMulti", AccountUpdatesMulti, 1),
    77: ("cancelAccountUpdatesMulti", WithId, 1),
    78: ("reqSecDefOptParams", OptionParameters, 0),
    81: ("reqMatchingSymbols", MatchingSymbols, 0),
    87: ("reqHeadTimeStamp", HeadTimestamp, 0),
    90: ("cancelHeadTimeStamp", WithId, 0),
    91: ("reqMarketRule", MarketRule, 0),
    92: ("reqPnL", PnL, 0),
    93: ("cancelPnL", WithId, 0),
    94: ("reqPnLSingle", PnLSingle, 0),
    95: ("cancelPnLSingle", WithId, 0),
    96: ("reqHistoricalTicks", HistoricalTicks, 0),
    97: ("reqTickByTickData", TickByTick, 0),
    98: ("cancelTickByTickData", WithId, 0),
    99: ("reqCompletedOrders", Switch, 0),
}
"""Number → name, fields, and how many fields (a version number) stand before them."""

NAMES: dict[int, str] = {3: "placeOrder", **{number: shape[0] for number, shape in _SHAPES.items()}}


_READERS: dict[object, Callable[[Reader], Any]] = {
    int: Reader.integer,
    str: Reader.string,
    bool: Reader.boolean,
    Contract: read_contract,
}
_FIELDS: dict[type[Request], list[Callable[[Reader], Any]]] = {
    shape: [_READERS[get_type_hints(shape)[name]] for name in shape.__struct_fields__] for _, shape, _ in _SHAPES.values()
}


def read_request(fields: Fields) -> tuple[str, Request | PlaceOrder]:
    """The name and the request. Raises `BadField` for a number that is unknown or for fields that are not its own."""
    reader = Reader(fields)
    number = reader.integer()
    if number == 3:
        order = read_place_order(reader)
        reader.end()
        return "placeOrder", order
    if number not in _SHAPES:
        raise BadField(f"message {number} is not known to this simulator")
    name, shape, version = _SHAPES[number]
    reader.skip(version)
    request = shape(*(read(reader) for read in _FIELDS[shape]))
    reader.end()
    return name, request
