"""Our orders in Interactive Brokers' words: token, terms on the exchange's grid, the order at the wire, its id.

In:   SubmitOrder, the contract it is on.   Out: ib_async's `Order`.
Not:  sending. Nothing is left to a preset: time in force, account, reference and transmission are always said.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from ib_async import Order

from barque.messages import ModifyOrder, SubmitOrder
from barque.messages.signals import OrderType, TimeInForce
from venues.ibkr.contracts import Listing, Towards

NS = 1_000_000_000
PREFIX = "bq"
ORDER_TYPES: dict[OrderType, str] = {
    "market": "MKT",
    "limit": "LMT",
    "stop": "STP",
    "stop_limit": "STP LMT",
    "trailing_stop": "TRAIL",
}
TIMES_IN_FORCE: dict[TimeInForce, str] = {"day": "DAY", "gtc": "GTC", "ioc": "IOC", "fok": "FOK", "gtd": "GTD"}
REDUCE_WITH_BLOCK = 2
"""OCA type: a fill of one takes as much from the others, and no two that could overfill are at an exchange at a time. With 1,
a part of a take profit would take away the whole stop."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order can change: in contracts of ours, on the exchange's grid."""

    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands at the wire."""

    wire_id: int
    account: str
    token: str
    parent_wire_id: int = 0
    transmit: bool = True
    """False: it waits, unseen by any exchange, for a later one of its family that is transmitted."""


class WireIds:
    """Order ids at the wire, rising. They follow from the ledger's number of the order: a Gateway which forgot what it saw
    leads to no id twice; and are pushed further by what the Gateway is known to have seen."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._next = base + 1

    def see(self, wire_id: int) -> None:
        """This one is taken."""
        self._next = max(self._next, wire_id + 1)

    def take(self, number: int) -> int:
        """For order `number`, or for trying it (what-if) before: each has two.

        >>> ids = WireIds(1_000_000)
        >>> ids.take(1), ids.take(2)
        (1000002, 1000004)
        >>> ids.see(1_000_900)
        >>> ids.take(3)
        1000901
        """
        wire_id = max(self._base + 2 * number, self._next)
        self._next = wire_id + 1
        return wire_id


def token_of(order_id: str, number: int) -> str:
    """The order's reference at the wire, by which the broker's books show it."""
    return f"{PREFIX}.{number}.{order_id}"


def order_id_of(token: str) -> str:
    """Ours; empty: the reference is not one of ours.

    >>> order_id_of("bq.12.6d0c1f0a9b8e7d6c5b4a"), order_id_of("my spread")
    ('6d0c1f0a9b8e7d6c5b4a', '')
    """
    prefix, _, rest = token.partition(".")
    number, _, order_id = rest.partition(".")
    return order_id if prefix == PREFIX and number.isdigit() else ""


def number_of(token: str) -> int:
    """Of the order in the account's ledger."""
    return int(token.split(".")[1])


def terms_of(order: SubmitOrder, listing: Listing) -> Terms:
    """On the grid of the exchange: a limit never worse than asked, a stop at the nearest price, a trail of at least one step."""
    limit: Towards = "down" if order.side == "buy" else "up"
    trail = order.trail_amount
    if trail is not None:
        trail = max(listing.on_grid(trail, "nearest"), listing.increment_at(trail))
    return Terms(
        quantity=order.quantity,
        limit_price=listing.on_grid(order.limit_price, limit) if order.limit_price is not None else None,
        stop_price=listing.on_grid(order.stop_price, "nearest") if order.stop_price is not None else None,
        trail_amount=trail,
    )


_SAID: dict[str, tuple[str, ...]] = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail_amount",),
}


def compared(terms: Terms | SubmitOrder, order_type: str) -> Terms:
    """What of an order's terms is its sender's to say; the stop of a trailing order moves by itself."""
    names = _SAID.get(order_type, ("limit_price", "stop_price", "trail_amount"))
    return Terms(quantity=terms.quantity, **{name: getattr(terms, name) for name in names})


def changed(order: SubmitOrder, request: ModifyOrder) -> SubmitOrder:
    """The order with what `request` names."""
    names = ("quantity", "limit_price", "stop_price", "trail_amount")
    asked = {name: value for name in names if (value := getattr(request, name)) is not None}
    return msgspec.structs.replace(order, **asked)


def wire_order(order: SubmitOrder, terms: Terms, listing: Listing, place: Place) -> Order:
    """The order as it goes to the wire."""
    wire = Order(
        orderId=place.wire_id,
        action="BUY" if order.side == "buy" else "SELL",
        totalQuantity=_number(terms.quantity * listing.unit),
        orderType=ORDER_TYPES[order.order_type],
        tif=TIMES_IN_FORCE[order.time_in_force],
        account=place.account,
        orderRef=place.token,
        transmit=place.transmit,
        parentId=place.parent_wire_id,
        outsideRth=listing.outside_rth and order.order_type != "market",
    )
    if terms.limit_price is not None and order.order_type in ("limit", "stop_limit"):
        wire.lmtPrice = float(terms.limit_price)
    if order.order_type == "trailing_stop":
        if terms.trail_amount is not None:
            wire.auxPrice = float(terms.trail_amount)
        if terms.stop_price is not None:
            wire.trailStopPrice = float(terms.stop_price)
    elif terms.stop_price is not None and order.order_type in ("stop", "stop_limit"):
        wire.auxPrice = float(terms.stop_price)
    if order.time_in_force == "gtd" and order.valid_until_ns is not None:
        wire.goodTillDate = f"{datetime.fromtimestamp(order.valid_until_ns // NS, UTC):%Y%m%d-%H:%M:%S}"
    if order.oco_group is not None:
        wire.ocaGroup, wire.ocaType = f"{PREFIX}.{order.oco_group}", REDUCE_WITH_BLOCK
    return wire


def fault_of(order: SubmitOrder, listing: Listing) -> str:
    """What cannot be said of it at the wire; empty: nothing."""
    for name in _SAID[order.order_type]:
        if getattr(order, name) is None:
            return f"a {order.order_type} order needs its {name}"
    if order.time_in_force == "gtd" and order.valid_until_ns is None:
        return "an order with time_in_force gtd needs its valid_until"
    units = order.quantity * listing.unit
    if listing.size_step and units % listing.size_step:
        return f"{units} {listing.local_symbol} is no multiple of {listing.size_step}"
    return ""


def _number(value: Decimal) -> float:
    """Whole numbers without a point, as TWS shows them."""
    return int(value) if value == value.to_integral_value() else float(value)
