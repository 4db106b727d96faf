"""Our orders as requests of the package. Pure.

In:   orders, symbols as the broker trades them, the newest price.   Out: request dictionaries; or why there can be none.
Not:  sending (`sending`), what the answers mean (`retcodes`).

On a hedging account every deal opens a position of its own unless it names one: an order against a strategy's own positions
closes those first, oldest first, and opens only what is left; one that closes opens nothing. Positions of other strategies are
left alone: each strategy has a magic number of its own. What `external` closes may be anybody's: it was traded by hand, or lay
there when the book began.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from zlib import crc32

import msgspec

from barque.messages import RejectReason, SubmitOrder
from barque.messages.signals import OrderType, TimeInForce
from venues.mt5.client import Request
from venues.mt5.clock import ServerClock
from venues.mt5.config import MAGICS, Mt5Config
from venues.mt5.structs import Order, Position, Tick
from venues.mt5.symbols import FOK, Symbol

DEAL, PENDING, SLTP, MODIFY, REMOVE = 1, 5, 6, 7, 8
BUY, SELL = 0, 1
KINDS = {
    ("limit", "buy"): 2,
    ("limit", "sell"): 3,
    ("stop", "buy"): 4,
    ("stop", "sell"): 5,
    ("stop_limit", "buy"): 6,
    ("stop_limit", "sell"): 7,
}
NAMES = {number: kind for (kind, _), number in KINDS.items()}
GTC, DAY, SPECIFIED = 0, 1, 2
EXTERNAL = "external"
"""Strategy of whatever was not done by an order of ours."""
ORDER_TYPES: tuple[OrderType, ...] = ("market", "limit", "stop", "stop_limit")
TIMES: tuple[TimeInForce, ...] = ("day", "gtc", "ioc", "fok", "gtd")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order is not sent."""

    reason: RejectReason
    detail: str


class Exits(msgspec.Struct, frozen=True, kw_only=True):
    """A bracket's exits as prices at the entry."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None


def magic_of(config: Mt5Config, strategy_id: str) -> int:
    """The strategy's own number among ours."""
    return config.magic + crc32(strategy_id.encode()) % MAGICS


def is_ours(config: Mt5Config, magic: int) -> bool:
    """True for a magic number of ours."""
    return config.magic <= magic < config.magic + MAGICS


def misfit_of(config: Mt5Config, order: SubmitOrder) -> Fault | None:
    """Why the order alone would open a position of its own where it is meant to close one: a pending order on a hedging account
    names no position, so filling it opens the opposite one beside it."""
    if config.account_mode == "netting":
        return None
    if order.parent_id is not None:
        text = (
            f"an exit is the stop loss or take profit of a position, and its entry {order.parent_id} is not sent with it; alone "
            f"it could open a position. Nothing was sent"
        )
        return Fault(reason=RejectReason.UNSUPPORTED, detail=text)
    if order.closes and order.order_type != "market":
        text = (
            f"a {order.order_type} order cannot close a position of a hedging account, it would open the opposite one. Enter "
            f"with take_profit and stop_loss, which can be moved, or leave at market; nothing was sent"
        )
        return Fault(reason=RejectReason.UNSUPPORTED, detail=text)
    return None


def fault_of(symbol: Symbol, order: SubmitOrder, exits: Exits, tick: Tick | None) -> Fault | None:
    """What the broker would surely refuse, said before anything is sent."""
    text = symbol.fault_of_lots(symbol.lots(order.quantity))
    if text:
        return Fault(reason=RejectReason.QUANTITY, detail=f"{text}; nothing was sent")
    pending = order.order_type != "market"
    if pending and order.time_in_force in ("ioc", "fok"):
        text = f"MetaTrader 5 has no {order.order_type} orders with time_in_force {order.time_in_force}; nothing was sent"
        return Fault(reason=RejectReason.UNSUPPORTED, detail=text)
    if not pending and order.time_in_force == "fok" and not symbol.fok:
        text = f"{symbol.venue_symbol} does not allow fill-or-kill; nothing was sent"
        return Fault(reason=RejectReason.UNSUPPORTED, detail=text)
    if tick is None or tick.bid <= 0 or tick.ask <= 0:
        return Fault(reason=RejectReason.NO_PRICE, detail=f"{symbol.venue_symbol} has no price at the broker; nothing was sent")
    text = _too_near(symbol, order, exits, tick)
    return Fault(reason=RejectReason.PRICE, detail=f"{text}; nothing was sent") if text else None


def _too_near(symbol: Symbol, order: SubmitOrder, exits: Exits, tick: Tick) -> str:
    level = symbol.stops_level * symbol.point
    words = f"{symbol.venue_symbol} wants {symbol.stops_level} points between the price and"
    bid, ask = (Decimal(repr(each)) for each in (tick.bid, tick.ask))
    buys = order.side == "buy"
    here, basis = (ask, bid) if buys else (bid, ask)
    if order.order_type != "market":
        trigger = order.stop_price if order.order_type in ("stop", "stop_limit") else order.limit_price
        if trigger is None:
            return f"a {order.order_type} order without its price"
        above = (order.order_type == "limit") is not buys
        if (trigger - here if above else here - trigger) < level:
            side = "above" if above else "below"
            return f"{words} a pending order: {trigger} is not so far {side} {here}"
        basis = order.limit_price if order.order_type == "stop_limit" and order.limit_price is not None else trigger
    for name, price, better in (("take profit", exits.take_profit, True), ("stop loss", exits.stop_loss, False)):
        if price is not None and ((price - basis) if better is buys else (basis - price)) < level:
            return f"{words} a {name}: {price} is not so far from {basis}"
    return ""


def market(
    config: Mt5Config, symbol: Symbol, order: SubmitOrder, exits: Exits, comment: str, positions: Sequence[Position]
) -> list[Request]:
    """Deals at the market, without their price: those that close the strategy's own positions, then what is left. An order that
    closes ends there; none: there is nothing that it could close."""
    magic, kind = magic_of(config, order.strategy_id), BUY if order.side == "buy" else SELL
    left = symbol.lots(order.quantity)
    requests = []
    for position in _against(config, symbol, order, kind, exits, positions):
        if left <= 0:
            break
        lots = min(left, Decimal(repr(position.volume)))
        requests.append(_deal(config, symbol, order, kind, magic, comment, lots) | {"position": position.ticket})
        left -= lots
    if left > 0 and (config.account_mode == "netting" or not order.closes):
        opening = _deal(config, symbol, order, kind, magic, comment, left)
        requests.append(opening | _exits(symbol, exits))
    return requests


def _against(
    config: Mt5Config, symbol: Symbol, order: SubmitOrder, kind: int, exits: Exits, positions: Sequence[Position]
) -> list[Position]:
    """Positions that the order closes, in this order; of `external` first those that no strategy has opened."""
    if config.account_mode == "netting" or exits.take_profit is not None or exits.stop_loss is not None:
        return []
    opposite = [p for p in positions if p.symbol == symbol.venue_symbol and p.type != kind]
    if order.closes and order.strategy_id == EXTERNAL:
        return sorted(opposite, key=lambda position: (is_ours(config, position.magic), position.ticket))
    magic = magic_of(config, order.strategy_id)
    return sorted((p for p in opposite if p.magic == magic), key=lambda position: position.ticket)


def _deal(config: Mt5Config, symbol: Symbol, order: SubmitOrder, kind: int, magic: int, comment: str, lots: Decimal) -> Request:
    return {
        "action": DEAL,
        "symbol": symbol.venue_symbol,
        "volume": float(lots),
        "type": kind,
        "deviation": config.deviation,
        "magic": magic,
        "comment": comment,
        "type_filling": FOK if order.time_in_force == "fok" else symbol.filling,
        "type_time": GTC,
    }


def priced(symbol: Symbol, request: Request, tick: Tick) -> Request:
    """A deal at the price of now."""
    return request | {"price": round(tick.ask if request["type"] == BUY else tick.bid, symbol.digits)}


def pending(config: Mt5Config, symbol: Symbol, order: SubmitOrder, exits: Exits, comment: str, clock: ServerClock) -> Request:
    """An order that waits at the broker."""
    return {
        "action": PENDING,
        "symbol": symbol.venue_symbol,
        "volume": float(symbol.lots(order.quantity)),
        "type": KINDS[order.order_type, order.side],
        "magic": magic_of(config, order.strategy_id),
        "comment": comment,
        "type_filling": symbol.pending_filling,
        **_prices(symbol, order.order_type, order.limit_price, order.stop_price),
        **_until(order, clock),
        **_exits(symbol, exits),
    }


def changed(symbol: Symbol, order: Order, limit_price: Decimal | None, stop_price: Decimal | None) -> Request:
    """A pending order's new prices; what is not named stays, its exits too."""
    request: Request = {
        "action": MODIFY,
        "order": order.ticket,
        "symbol": order.symbol,
        "price": order.price_open,
        "stoplimit": order.price_stoplimit,
        "sl": order.sl,
        "tp": order.tp,
        "type_time": GTC if not order.time_expiration else SPECIFIED,
        "expiration": order.time_expiration,
    }
    return request | _prices(symbol, NAMES[order.type], limit_price, stop_price)


def exits_changed(order: Order | Position, take_profit: float, stop_loss: float) -> Request:
    """New exits of an entry that waits, or of a position."""
    if isinstance(order, Position):
        return {"action": SLTP, "position": order.ticket, "symbol": order.symbol, "sl": stop_loss, "tp": take_profit}
    request: Request = {"action": MODIFY, "order": order.ticket, "symbol": order.symbol, "price": order.price_open}
    request |= {"stoplimit": order.price_stoplimit, "sl": stop_loss, "tp": take_profit, "expiration": order.time_expiration}
    return request | {"type_time": GTC if not order.time_expiration else SPECIFIED}


def replaced(symbol: Symbol, order: Order, quantity: Decimal, price: Request) -> Request:
    """The order with another volume, as a new one: the platform cannot change a volume."""
    keep = ("price", "stoplimit", "sl", "tp", "type_time", "expiration")
    return {
        "action": PENDING,
        "symbol": order.symbol,
        "volume": float(symbol.lots(quantity)),
        "type": order.type,
        "magic": order.magic,
        "comment": order.comment,
        "type_filling": order.type_filling,
        **{name: price[name] for name in keep},
    }


def removed(order: Order) -> Request:
    """Withdraw a pending order."""
    return {"action": REMOVE, "order": order.ticket}


def _prices(symbol: Symbol, kind: str, limit_price: Decimal | None, stop_price: Decimal | None) -> Request:
    request: Request = {}
    first, second = (stop_price, limit_price) if kind in ("stop", "stop_limit") else (limit_price, None)
    if first is not None:
        request["price"] = symbol.price(first)
    if kind == "stop_limit" and second is not None:
        request["stoplimit"] = symbol.price(second)
    return request


def _exits(symbol: Symbol, exits: Exits) -> Request:
    request: Request = {}
    if exits.stop_loss is not None:
        request["sl"] = symbol.price(exits.stop_loss)
    if exits.take_profit is not None:
        request["tp"] = symbol.price(exits.take_profit)
    return request


def _until(order: SubmitOrder, clock: ServerClock) -> Request:
    if order.time_in_force == "day":
        return {"type_time": DAY}
    if order.time_in_force == "gtd" and order.valid_until_ns is not None:
        return {"type_time": SPECIFIED, "expiration": clock.to_wall_ms(order.valid_until_ns) // 1_000}
    return {"type_time": GTC}
