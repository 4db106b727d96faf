"""Whether TWS takes an order: the checks before the exchange, in its order, with its codes.

In:   an order's terms, its listing, the account's open orders.   Out: the first reason against it, or none.
Not:  the order's life after that (`matching`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from simulators.tws.account import Account
from simulators.tws.catalogue import Catalogue
from simulators.tws.events import Refusal
from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing
from simulators.tws.orders import NOTHING, Order
from simulators.tws.place_order import PlaceOrder
from simulators.tws.replies import ZONE

ORDER_TYPES = ("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT")
TIMES_IN_FORCE = ("", "DAY", "GTC", "IOC", "GTD", "FOK")
IDEALPRO_MINIMUM = 25_000
"""USD; a smaller forex order is an odd lot."""
_NEEDS_LIMIT = ("LMT", "STP LMT", "LIT")
_NEEDS_TRIGGER = ("STP", "STP LMT", "MIT", "LIT")


def wording(terms: PlaceOrder) -> Refusal | None:
    """What is wrong with the message itself."""
    if terms.unsupported:
        return Refusal(321, f"Error validating request.-'bW' : cause - This simulator does not trade {terms.unsupported}")
    if terms.action not in ("BUY", "SELL"):
        return Refusal(321, f"Error validating request.-'bW' : cause - Invalid order action: {terms.action}")
    if terms.quantity == 0:
        return Refusal(434, "The order size cannot be zero.")
    if terms.order_type not in ORDER_TYPES:
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    if terms.tif not in TIMES_IN_FORCE:
        return Refusal(321, f"Error validating request.-'bW' : cause - Invalid time in force: {terms.tif}")
    if terms.tif == "GTD" and instant(terms.good_till) is None:
        return Refusal(391, "The time or time-zone entered is invalid. The correct format is hh:mm:ss xxx")
    if terms.tif in ("IOC", "FOK") and terms.order_type not in ("MKT", "LMT"):
        return Refusal(201, "Order rejected - reason:Invalid time in force for this order type")
    missing = (terms.order_type in _NEEDS_LIMIT and terms.limit_price is None) or (
        terms.order_type in _NEEDS_TRIGGER and terms.aux_price is None
    )
    if missing:
        return Refusal(321, f"Error validating request.-'bW' : cause - {terms.order_type} order without its price")
    if terms.order_type.startswith("TRAIL") and terms.aux_price is None and terms.trailing_percent is None:
        return Refusal(321, "Error validating request.-'bW' : cause - Trailing amount or percentage is missing")
    if terms.order_type == "TRAIL LIMIT" and terms.limit_offset is None:
        return Refusal(321, "Error validating request.-'bW' : cause - Limit price offset is missing")
    return None


def grid(terms: PlaceOrder, listing: Listing, catalogue: Catalogue) -> Refusal | None:
    """Prices and size against the contract's steps."""
    prices = [terms.limit_price, terms.trail_stop_price]
    if terms.order_type in _NEEDS_TRIGGER:
        prices.append(terms.aux_price)
    for price in prices:
        if price and price % catalogue.step(listing, price):
            return Refusal(110, "The price does not conform to the minimum price variation for this contract.")
    if terms.quantity < 0 or terms.quantity % listing.size_step:
        return Refusal(201, f"Order rejected - reason:Order size must be a positive multiple of {listing.size_step}")
    return None


def crowd(terms: PlaceOrder, listing: Listing, working: Iterable[Order], most: int) -> Refusal | None:
    """So many orders may work on one side of one contract of one account."""
    same = sum(order.listing is listing and order.terms.action == terms.action for order in working)
    if same < most:
        return None
    text = f"Minimum of {most} orders working on either the buy or sell side for this particular contract"
    return Refusal(201, f"Order rejected - reason:{text}")


def change(order: Order, terms: PlaceOrder) -> Refusal | None:
    """Whether a submission of a known id can be a change of that order."""
    if order.status == "Filled":
        return Refusal(104, "Cannot modify a filled order.")
    if not order.is_open and order.status != "Held":
        return Refusal(103, "Duplicate order id")
    if terms.order_type != order.terms.order_type:
        return Refusal(329, "Order modify failed. Cannot change to the new order type.")
    if (terms.action, terms.oca_group) != (order.terms.action, order.terms.oca_group):
        return Refusal(105, "Order being modified does not match original order")
    return None


def margin(order: Order, account: Account) -> Refusal | None:
    """Against what the account can bear; exits of a bracket are not looked at."""
    after = account.what_if(order.listing, order.quantity if order.is_buy else -order.quantity, NOTHING)
    if order.terms.parent_id or after.initial[1] <= 0 or after.initial[2] <= after.equity[2]:
        return None
    text = (
        "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
        f"[{after.equity[2]} {account.currency}] MUST EXCEED THE INITIAL MARGIN [{after.initial[2]} {account.currency}]"
    )
    return Refusal(201, f"Order rejected - reason:{text}")


def notices(order: Order, account: Account, is_open: bool) -> list[Refusal]:
    """What is said of an order that is taken all the same."""
    said = []
    if not is_open:
        text = "Order Message:\nWarning: your order will not be placed at the exchange until the market opens"
        said.append(Refusal(399, text))
    if order.listing.is_fx and order.quantity * account.rate(order.listing.symbol) < IDEALPRO_MINIMUM:
        text = (
            "Order Message:\nWarning: Your order size is below the USD 25000 IdealPro minimum "
            "and will be routed as an odd lot order."
        )
        said.append(Refusal(399, text))
    return said


def expiry(order: Order, now_ns: int) -> int | None:
    """When its time in force ends, ns; None for never."""
    if order.terms.tif == "GTD":
        return instant(order.terms.good_till)
    return order.listing.hours.closes_ns(now_ns) if order.terms.tif in ("", "DAY") else None


def instant(text: str) -> int | None:
    """ns of `20261128 15:00:00 US/Eastern`, `20261128-20:00:00` (UTC), or a date; None for anything else."""
    day, _, rest = text.replace("-", " ").partition(" ") if text.count("-") == 1 else text.partition(" ")
    clock, _, zone = rest.partition(" ")
    zone = zone or ("UTC" if "-" in text else ZONE)
    for shape in ("%Y%m%d %H:%M:%S", "%Y%m%d %H:%M"):
        try:
            moment = datetime.strptime(f"{day} {clock or '23:59:59'}", shape).replace(tzinfo=ZoneInfo(zone))
        except (ValueError, ZoneInfoNotFoundError):
            continue
        return int(moment.astimezone(UTC).timestamp()) * NS_PER_S
    return None
