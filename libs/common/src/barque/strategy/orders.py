"""Orders as a strategy sees them: what it may ask for, what is open, what was said of it.

In:   what a user gave a verb.   Out: fields of a `Signal` or `ModifyRequest`, on the instrument's grid; or `StrategyError`.
Not:  judgement of the market. A stop on the wrong side of the price, or a size of no contracts, is for the router to refuse.

What is checked here must never leave the strategy: it could not be read by the router, or makes no sense whatever the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from operator import index
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, get_args

import msgspec

from barque.errors import StrategyError, nearest
from barque.instruments import Instrument
from barque.messages import (
    CancelRejected,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    SubmitOrder,
)
from barque.messages.signals import OrderType, Side, TimeInForce

OrderEvent: TypeAlias = (
    SubmitOrder
    | OrderAccepted
    | OrderRejected
    | OrderCancelled
    | OrderExpired
    | OrderModified
    | CancelRejected
    | ModifyRejected
    | OrderUnknown
)
"""A step in the life of one of the strategy's orders. `SubmitOrder`: the router made an order of its signal."""

Number: TypeAlias = float | Decimal
"""What a user may give for a price or a quantity: an integer, a float or a `Decimal`."""

WordT = TypeVar("WordT", bound=str)


class OrderOptions(TypedDict, total=False):
    """How an order is to be worked: keywords of `buy`, `sell`, `target`, `target_percent`, `close` and `bracket`.

    Prices are put on the instrument's grid. Without `order_type` the prices decide: none is `market`, `limit_price` is
    `limit`, `stop_price` is `stop`, both are `stop_limit`, `trail_amount` is `trailing_stop`.
    """

    order_type: OrderType
    """`market`, `limit`, `stop`, `stop_limit` or `trailing_stop`."""
    limit_price: Number | None
    """The worst price at which a limit trades."""
    stop_price: Number | None
    """Where a stop is triggered; of a trailing stop, where it begins."""
    trail_amount: Number | None
    """How far a trailing stop follows the best price, in price units."""
    time_in_force: TimeInForce
    """`day`, `gtc`, `ioc`, `fok` or `gtd`; `gtc` unless given, `gtd` needs `valid_until_ns`."""
    valid_until_ns: int | None
    """Not to be sent after this time, ns UTC; with `gtd`, not to work after it."""
    tag: str
    """The strategy's own word for it; its orders carry it."""
    reason: str
    """For people: why."""


class EntryOptions(OrderOptions, total=False):
    """`OrderOptions`, and what only an entry has: keywords of `buy`, `sell` and `bracket`. Exits are held until it fills."""

    take_profit: Number | None
    """Limit of the exit that takes a profit: on the winning side of the entry's price, or at market of the latest, or the wish is
    refused."""
    stop_loss: Number | None
    """Where the exit that ends a loss is triggered, likewise on the losing side."""
    volatility: Number | None
    """How far the price usually moves (an ATR, say), in price units: for sizing by volatility, and for `risk_fraction` where
    there is no `stop_loss`."""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order of the strategy that may still trade."""

    order_id: str
    signal_id: str
    """What the verb that asked for it returned."""
    symbol: str
    side: Side
    quantity: Decimal
    leaves_quantity: Decimal
    """Contracts that have not traded yet."""
    order_type: OrderType = "market"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    tag: str = ""
    status: Literal["submitted", "working", "unknown"] = "submitted"
    """`working`: the broker holds it; `unknown`: nobody knows yet, so it counts as open."""
    parent_id: str | None = None
    """Of a bracket's exits: the entry that they wait for."""


_ORDER_OPTIONS = frozenset(OrderOptions.__annotations__)
_ENTRY_OPTIONS = frozenset(EntryOptions.__annotations__)
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail_amount",),
}
_MAY: Mapping[str, tuple[str, ...]] = {**_NEEDS, "trailing_stop": ("trail_amount", "stop_price")}
_WORKING = frozenset(("limit_price", "stop_price", "trail_amount"))
_EXITS = ("take_profit", "stop_loss")


def order_fields(instrument: Instrument, options: Mapping[str, Any], *, entry: bool = False) -> dict[str, Any]:
    """`OrderOptions` (of an `entry`, `EntryOptions`) as fields of a `Signal`."""
    if not options:
        return {}
    symbol = instrument.symbol
    valid = _ENTRY_OPTIONS if entry else _ORDER_OPTIONS
    fields = {name: value for name, value in options.items() if value is not None}
    for name, value in fields.items():
        if name not in valid:
            hint = "it belongs to an entry" if name in _ENTRY_OPTIONS else nearest(name, sorted(valid))
            raise StrategyError(f"{symbol}: there is no option '{name}' here; {hint}")
        if name in _WORKING or name in _EXITS:
            fields[name] = as_price(instrument, name, value)
        elif name == "volatility":
            fields[name] = as_amount(symbol, name, value)
    given = fields.keys() & _WORKING
    if given or "order_type" in fields:
        fields["order_type"] = _order_type(symbol, fields.get("order_type"), given)
    _check_words(symbol, fields)
    return fields


def modify_fields(instrument: Instrument, changes: Mapping[str, Number | None]) -> dict[str, Any]:
    """New terms as fields of a `ModifyRequest`; at least one must change."""
    fields = {
        name: as_quantity(instrument, value) if name == "quantity" else as_price(instrument, name, value)
        for name, value in changes.items()
        if value is not None
    }
    if not fields:
        raise StrategyError(f"{instrument.symbol}: modify changes nothing; give {', '.join(changes)} or cancel the order")
    return fields


def amount_fields(
    instrument: Instrument,
    size: Number | None,
    notional: Number | None,
    risk_fraction: Number | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """How much an entry is to trade, in one of three ways; with none the router's own sizing decides."""
    symbol = instrument.symbol
    if size is not None and notional is None and risk_fraction is None:
        return {"quantity": as_quantity(instrument, size)}
    given = {"quantity": size, "notional": notional, "risk_fraction": risk_fraction}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise StrategyError(f"{symbol}: {' and '.join(names)} both say how much; give one of them")
    if notional is not None:
        return {"notional": as_amount(symbol, "notional", notional)}
    if risk_fraction is not None:
        part = as_number(symbol, "risk_fraction", risk_fraction)
        if not 0 < part <= 1:
            raise StrategyError(f"{symbol}: risk_fraction is {part}; it is a part of equity, 0.01 for 1 %")
        if options.get("stop_loss") is None and options.get("volatility") is None:
            raise StrategyError(f"{symbol}: risk_fraction needs stop_loss or volatility: how far the price may go")
        return {"risk_fraction": part}
    return {}


def as_quantity(instrument: Instrument, value: Number) -> Decimal:
    """Contracts on the instrument's grid, not negative: the verb or the order says the side."""
    exact = as_number(instrument.symbol, "quantity", value)
    if exact < 0:
        raise StrategyError(f"{instrument.symbol}: quantity is {exact}; it is never negative, the verb says the side")
    return instrument.quantity(exact)


def as_amount(symbol: str, name: str, value: Number) -> Decimal:
    """A positive number that is on no grid."""
    exact = as_number(symbol, name, value)
    if exact <= 0:
        raise StrategyError(f"{symbol}: {name} is {exact}; it must be positive")
    return exact


def as_price(instrument: Instrument, name: str, value: Number) -> Decimal:
    """A price or a distance on the instrument's grid, positive."""
    exact = as_number(instrument.symbol, name, value)
    on_grid = instrument.price(exact)
    if on_grid <= 0:
        raise StrategyError(
            f"{instrument.symbol}: {name} is {exact}, which is {on_grid} on a grid of {instrument.tick_size}; it must be positive"
        )
    return on_grid


def as_number(symbol: str, name: str, value: Any) -> Decimal:
    """`value` as an exact, finite number."""
    if isinstance(value, Decimal):
        exact = value
    elif type(value) is int or isinstance(value, Integral):
        exact = Decimal(int(value))
    elif type(value) is float or isinstance(value, Real):
        exact = Decimal(repr(float(value)))
    else:
        raise StrategyError(f"{symbol}: {name} is {value!r}; a number is needed")
    if not exact.is_finite():
        raise StrategyError(f"{symbol}: {name} is {value}; a finite number is needed")
    return exact


def as_text(name: str, value: Any) -> str:
    """`value`, which must be text, or no other service could read the message."""
    if not isinstance(value, str):
        raise StrategyError(f"{name} is {value!r}; text is needed")
    return value


def as_word(name: str, value: WordT, words: tuple[WordT, ...]) -> WordT:
    """`value`, which must be one of `words`."""
    if value not in words:
        raise StrategyError(f"{name} is {value!r}; {nearest(str(value), [str(word) for word in words])}")
    return value


def _order_type(symbol: str, kind: str | None, given: set[str]) -> str:
    if kind is None:
        kind = next((k for k, needed in _NEEDS.items() if given.issuperset(needed) and given.issubset(_MAY[k])), None)
        if kind is None:
            raise StrategyError(f"{symbol}: {_names(given)} together make no order; see `OrderOptions`")
        return kind
    kind = as_word("order_type", kind, get_args(OrderType))
    if missing := set(_NEEDS[kind]) - given:
        raise StrategyError(f"{symbol}: a {kind} order needs {_names(missing)}")
    if needless := given - set(_MAY[kind]):
        raise StrategyError(f"{symbol}: a {kind} order has no {_names(needless)}")
    return kind


def _names(found: set[str]) -> str:
    return " and ".join(sorted(found))


def _check_words(symbol: str, fields: dict[str, Any]) -> None:
    for name in ("tag", "reason"):
        if name in fields:
            as_text(name, fields[name])
    if "valid_until_ns" in fields:
        try:
            fields["valid_until_ns"] = index(fields["valid_until_ns"])
        except TypeError:
            said = fields["valid_until_ns"]
            raise StrategyError(f"{symbol}: valid_until_ns is {said!r}; whole nanoseconds are needed") from None
    if "time_in_force" in fields:
        force = as_word("time_in_force", fields["time_in_force"], get_args(TimeInForce))
        if force == "gtd" and "valid_until_ns" not in fields:
            raise StrategyError(f"{symbol}: time_in_force 'gtd' needs valid_until_ns")
