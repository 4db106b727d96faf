"""Whether the terminal and the trade server take a request, in the order in which they look.

In:   a request as the package gets it, the market, the books.   Out: a retcode, or None where nothing is wrong with it.
Not:  carrying it out (`server`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.mt5 import constants as mt5
from simulators.mt5.book import Book, Order, Position
from simulators.mt5.specs import SymbolSpec
from simulators.mt5.tuples import Tick, TradeRequest

COMMENT_LENGTH = 31
_INTEGERS = (
    "action",
    "magic",
    "order",
    "deviation",
    "type",
    "type_filling",
    "type_time",
    "expiration",
    "position",
    "position_by",
)
_NUMBERS = ("volume", "price", "stoplimit", "sl", "tp")
NEW_ORDERS = (mt5.TRADE_ACTION_DEAL, mt5.TRADE_ACTION_PENDING)
TEXTS = {
    10004: "Requote",
    10006: "Request rejected",
    10008: "Order placed",
    10009: "Request executed",
    10010: "Request executed partially",
    10012: "Request canceled by timeout",
    10013: "Invalid request",
    10014: "Invalid volume",
    10015: "Invalid price",
    10016: "Invalid stops",
    10017: "Trade disabled",
    10018: "Market closed",
    10019: "No money",
    10020: "Price changed",
    10021: "Off quotes",
    10022: "Invalid expiration",
    10024: "Too many requests",
    10025: "No changes",
    10026: "AutoTrading disabled by server",
    10027: "AutoTrading disabled by client",
    10029: "Order or position frozen",
    10030: "Unsupported filling mode",
    10031: "No connection with trade server",
    10033: "Orders limit reached",
    10034: "Volume limit reached",
    10035: "Invalid order type",
    10036: "Position doesn't exist",
    10038: "Invalid close volume",
    10042: "Only long positions allowed",
    10043: "Only short positions allowed",
    10044: "Only position closing allowed",
}


def parse(request: Any) -> TradeRequest | str:
    """The request as the package understands it, or its complaint (`last_error` -2)."""
    if not isinstance(request, Mapping):
        return "Unnamed arguments not allowed"
    values: dict[str, Any] = dict.fromkeys(TradeRequest._fields, 0)
    values |= dict.fromkeys(_NUMBERS, 0.0) | {"symbol": "", "comment": ""}
    for name, value in request.items():
        kinds: tuple[type, ...] = (int,) if name in _INTEGERS else (int, float) if name in _NUMBERS else (str,)
        if name not in values or not isinstance(value, kinds) or isinstance(value, bool):
            return f'Invalid "{name}" argument'
        number: Any = value
        values[name] = float(number) if name in _NUMBERS else value
    if len(values["comment"]) > COMMENT_LENGTH:
        return 'Invalid "comment" argument'
    if "action" not in request:
        return 'Invalid "action" argument'
    return TradeRequest(**values)


def volume(spec: SymbolSpec, lots: float) -> int | None:
    """Its smallest, its largest and its step."""
    steps = lots / spec.volume_step
    if lots < spec.volume_min - 1e-9 or lots > spec.volume_max + 1e-9 or abs(steps - round(steps)) > 1e-6:
        return mt5.TRADE_RETCODE_INVALID_VOLUME
    return None


def filling(spec: SymbolSpec, wanted: int, pending: bool) -> int | None:
    """`RETURN` is for pending orders, and for markets that are no market execution."""
    if wanted == mt5.ORDER_FILLING_RETURN:
        fine = pending or spec.execution != mt5.SYMBOL_TRADE_EXECUTION_MARKET
    elif wanted == mt5.ORDER_FILLING_FOK:
        fine = bool(spec.filling_mode & mt5.SYMBOL_FILLING_FOK)
    elif wanted == mt5.ORDER_FILLING_IOC:
        fine = bool(spec.filling_mode & mt5.SYMBOL_FILLING_IOC)
    else:
        fine = False
    return None if fine else mt5.TRADE_RETCODE_INVALID_FILL


def direction(spec: SymbolSpec, buys: bool, closing: bool) -> int | None:
    """What the symbol lets one do."""
    if spec.trade_mode == mt5.SYMBOL_TRADE_MODE_DISABLED:
        return mt5.TRADE_RETCODE_TRADE_DISABLED
    if closing:
        return None
    if spec.trade_mode == mt5.SYMBOL_TRADE_MODE_CLOSEONLY:
        return mt5.TRADE_RETCODE_CLOSE_ONLY
    if spec.trade_mode == mt5.SYMBOL_TRADE_MODE_LONGONLY and not buys:
        return mt5.TRADE_RETCODE_LONG_ONLY
    if spec.trade_mode == mt5.SYMBOL_TRADE_MODE_SHORTONLY and buys:
        return mt5.TRADE_RETCODE_SHORT_ONLY
    return None


def pending_price(spec: SymbolSpec, tick: Tick, kind: int, price: float, stoplimit: float) -> int | None:
    """A limit lies on the better side of the market, a stop on the worse, both at the stops level or further."""
    level = spec.stops_level * spec.point
    if price <= 0 or abs(spec.price(price) - price) > spec.point / 100:
        return mt5.TRADE_RETCODE_INVALID_PRICE
    below = {mt5.ORDER_TYPE_BUY_LIMIT: tick.ask, mt5.ORDER_TYPE_SELL_STOP: tick.bid, mt5.ORDER_TYPE_SELL_STOP_LIMIT: tick.bid}
    above = {mt5.ORDER_TYPE_SELL_LIMIT: tick.bid, mt5.ORDER_TYPE_BUY_STOP: tick.ask, mt5.ORDER_TYPE_BUY_STOP_LIMIT: tick.ask}
    slack = spec.point / 100
    if kind in below and not price <= below[kind] - level + slack:
        return mt5.TRADE_RETCODE_INVALID_PRICE
    if kind in above and not price >= above[kind] + level - slack:
        return mt5.TRADE_RETCODE_INVALID_PRICE
    if kind == mt5.ORDER_TYPE_BUY_STOP_LIMIT and not 0 < stoplimit <= price + slack:
        return mt5.TRADE_RETCODE_INVALID_PRICE
    if kind == mt5.ORDER_TYPE_SELL_STOP_LIMIT and not stoplimit >= price - slack:
        return mt5.TRADE_RETCODE_INVALID_PRICE
    return None


def stops(spec: SymbolSpec, buys: bool, basis: float, sl: float, tp: float) -> int | None:
    """`basis`: the price at which the position would be closed now, or the pending order's price."""
    level, slack = spec.stops_level * spec.point, spec.point / 100
    sign = 1.0 if buys else -1.0
    for price, side in ((sl, -1.0), (tp, 1.0)):
        if price and (price - basis) * sign * side < level - slack:
            return mt5.TRADE_RETCODE_INVALID_STOPS
        if price and abs(price - basis) < slack:
            return mt5.TRADE_RETCODE_INVALID_STOPS
    return None


def expiration(order: TradeRequest, now_ms: int) -> int | None:
    """A time to end at lies ahead, in the server's time."""
    specified = order.type_time in (mt5.ORDER_TIME_SPECIFIED, mt5.ORDER_TIME_SPECIFIED_DAY)
    if specified and order.expiration * 1_000 <= now_ms:
        return mt5.TRADE_RETCODE_INVALID_EXPIRATION
    return None


def limits(book: Book, spec: SymbolSpec, limit_orders: int, pending: bool, lots: float, buys: bool) -> int | None:
    """How many orders there may be, and how many lots of one direction."""
    if pending and limit_orders and len(book.open) >= limit_orders:
        return mt5.TRADE_RETCODE_LIMIT_ORDERS
    if spec.volume_limit:
        held = sum(p.volume for p in book.positions.values() if p.symbol == spec.name and p.buys == buys)
        waiting = sum(o.volume_left for o in book.open.values() if o.symbol == spec.name and o.buys == buys)
        if held + waiting + lots > spec.volume_limit + 1e-9:
            return mt5.TRADE_RETCODE_LIMIT_VOLUME
    return None


def closing(position: Position | None, symbol: str, buys: bool, lots: float) -> int | None:
    """A deal that names a position goes against it, and is no larger."""
    if position is None:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    if position.symbol != symbol or position.buys == buys:
        return mt5.TRADE_RETCODE_INVALID
    if lots > position.volume + 1e-9:
        return mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME
    return None


def frozen(spec: SymbolSpec, tick: Tick, order: Order) -> int | None:
    """An order that is about to be triggered cannot be changed."""
    price = tick.ask if order.buys else tick.bid
    near = abs(order.price - price) <= spec.freeze_level * spec.point
    return mt5.TRADE_RETCODE_FROZEN if spec.freeze_level and near else None
