"""Orders on their way to a broker, and what the broker said of them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from barque.messages.signals import OrderType, Side, TimeInForce

BreakerStatus = Literal["NORMAL", "TRIPPED", "MANUALLY_HALTED"]


class RejectReason(StrEnum):
    """Why a signal or an order was refused; the first word of every rejection a person reads."""

    HALTED = "halted"
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_STRATEGY = "unknown_strategy"
    NO_PRICE = "no_price"
    QUANTITY = "quantity"
    PRICE = "price"
    POSITION_LIMIT = "position_limit"
    NOTIONAL_LIMIT = "notional_limit"
    ORDER_SIZE_LIMIT = "order_size_limit"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    UNSUPPORTED = "unsupported"
    UNKNOWN_ORDER = "unknown_order"
    VENUE = "venue"
    ORDER_STATE = "order_state"
    NO_EQUITY = "no_equity"
    NOT_ALLOWED = "not_allowed"
    NOT_TRADABLE = "not_tradable"
    MARKET_CLOSED = "market_closed"
    STALE_DATA = "stale_data"
    PRICE_COLLAR = "price_collar"
    GROSS_EXPOSURE_LIMIT = "gross_exposure_limit"
    NET_EXPOSURE_LIMIT = "net_exposure_limit"
    LEVERAGE_LIMIT = "leverage_limit"
    MARGIN_LIMIT = "margin_limit"
    BUYING_POWER = "buying_power"
    OPEN_ORDERS_LIMIT = "open_orders_limit"
    ORDER_RATE = "order_rate"
    BREAKER = "breaker"
    NOT_SENT = "not_sent"
    """It never reached the broker: it could not be sent, or the broker's books, read twice, do not have it."""


class _AboutOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What every message about an order says."""

    order_id: str
    """Ours: a digest of signal id and leg."""
    cause: str
    """Id of the signal, or of the request to cancel, that led to it."""
    root: str
    """Id of the tick or bar that started it all."""
    strategy_id: str
    account: str
    symbol: str
    ts_event_ns: int
    """When it happened; of a fill, when it executed."""


class SubmitOrder(_AboutOrder, frozen=True, kw_only=True, tag="SubmitOrder"):
    """An order to send. Written by the router; read by senders and portfolio."""

    side: Side
    quantity: Decimal
    """Contracts, positive."""
    order_type: OrderType = "market"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = "gtc"
    valid_until_ns: int | None = None
    parent_id: str | None = None
    """Held until this order fills (a bracket's exits)."""
    oco_group: str | None = None
    """A fill of one cancels the others of the group."""
    tag: str = ""
    reason: str = ""
    trail_amount: Decimal | None = None
    """Of a `trailing_stop`: how far the stop follows the best price, in price units."""
    closes: bool = False
    """It can only bring its strategy's position nearer to zero: it goes before entries, and where entries are refused."""
    checks: tuple[str, ...] = ()
    """The router's checks that it has passed, each with its figures: for people and the audit. Of a bracket, its entry's."""


class CancelOrder(_AboutOrder, frozen=True, kw_only=True, tag="CancelOrder"):
    """A request to cancel. Written by the router; read by senders."""


class ModifyOrder(_AboutOrder, frozen=True, kw_only=True, tag="ModifyOrder"):
    """A request to change a working order; None keeps a field. Written by the router; read by senders."""

    quantity: Decimal | None = None
    """Contracts of the whole order, what has filled included."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None


class SignalRejected(msgspec.Struct, frozen=True, kw_only=True, tag="SignalRejected"):
    """A signal that became no order. Written by the router; read by the strategy and portfolio."""

    signal_id: str
    cause: str
    root: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    reason: RejectReason
    detail: str
    """For people: what happened and what to do."""
    limit: str = ""
    actual: str = ""


class BreakerChanged(msgspec.Struct, frozen=True, kw_only=True, tag="BreakerChanged"):
    """A circuit breaker tripped or was reset. Written by the router; read by gateway, and by senders as a second gate: while the
    status is not NORMAL, no order of the scope that does not close."""

    account: str
    strategy_id: str
    """Whose orders it concerns; empty: all of the book's."""
    breaker: str
    """`drawdown`, `daily_loss`, `order_rate`, `rejection_rate`, `stale_data`, `reconciliation`, `manual`."""
    status: BreakerStatus
    """Of the scope as a whole, after the change."""
    ts_event_ns: int
    cause: str
    """Id of the message that led to it."""
    tripped: bool
    """True: this breaker has tripped; False: it was reset."""
    limit: str = ""
    actual: str = ""
    until_ns: int = 0
    """When it resets itself; 0: a person has to."""


class OrderAccepted(_AboutOrder, frozen=True, kw_only=True, tag="OrderAccepted"):
    """The broker holds the order. Written by senders; read by router, strategies, portfolio."""

    venue_order_id: str = ""


class OrderRejected(_AboutOrder, frozen=True, kw_only=True, tag="OrderRejected"):
    """The order will never trade. Written by senders; read by router, strategies, portfolio."""

    reason: RejectReason
    detail: str = ""


class OrderCancelled(_AboutOrder, frozen=True, kw_only=True, tag="OrderCancelled"):
    """The rest of the order is withdrawn. Written by senders; read by router, strategies, portfolio."""

    filled_quantity: Decimal = Decimal(0)
    detail: str = ""


class OrderExpired(_AboutOrder, frozen=True, kw_only=True, tag="OrderExpired"):
    """The rest of the order ran out of time. Written by senders; read by router, strategies, portfolio."""

    filled_quantity: Decimal = Decimal(0)


class OrderModified(_AboutOrder, frozen=True, kw_only=True, tag="OrderModified"):
    """The order works on with these terms. Written by senders; read by router, strategies, portfolio."""

    quantity: Decimal
    """Contracts of the whole order, what has filled included."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None


class CancelRejected(_AboutOrder, frozen=True, kw_only=True, tag="CancelRejected"):
    """The broker did not cancel: the order is as it was, or the broker does not know it. Written by senders."""

    reason: RejectReason
    detail: str = ""


class ModifyRejected(_AboutOrder, frozen=True, kw_only=True, tag="ModifyRejected"):
    """The broker did not change the order: it works on as it was, or the broker does not know it. Written by senders."""

    reason: RejectReason
    detail: str = ""


class OrderUnknown(_AboutOrder, frozen=True, kw_only=True, tag="OrderUnknown"):
    """Nobody knows whether the broker has it; counts as live until the broker's books tell. Written by senders."""

    detail: str = ""


def commission_id(exec_id: str) -> str:
    """The id of the correction by which an execution gets its commission."""
    return f"{exec_id}/commission"


class Fill(_AboutOrder, frozen=True, kw_only=True, tag="Fill"):
    """One execution. Written by senders; read by router, strategies, portfolio. Booked once per (account, exec_id)."""

    exec_id: str
    side: Side
    quantity: Decimal
    """Contracts of this execution, positive."""
    price: Decimal
    commission: Decimal = Decimal(0)
    commission_currency: str = ""
    leaves_quantity: Decimal = Decimal(0)
    """Still open after this execution."""
    corrects: str = ""
    """`exec_id` this one replaces."""

    @property
    def adds_commission(self) -> bool:
        """It is the execution that it corrects, now with its commission, which the broker had not said before."""
        return bool(self.corrects) and self.exec_id == commission_id(self.corrects)

    @property
    def signed_quantity(self) -> Decimal:
        """Quantity with the side's sign: positive when bought."""
        return self.quantity if self.side == "buy" else -self.quantity


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag="AccountSnapshot"):
    """The broker's figures for an account. Written by senders; read by router, portfolio."""

    account: str
    ts_event_ns: int
    currency: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    daily_pnl: Decimal | None = None
    """Profit since the broker's day began; None: the broker does not say. Shown, never decided upon."""
    unrealised_pnl: Decimal | None = None
    realised_pnl: Decimal | None = None
    """Of the broker's day."""


class PositionSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag="PositionSnapshot"):
    """The broker's figure for one position. Written by senders; read by router, portfolio."""

    account: str
    symbol: str
    ts_event_ns: int
    quantity: Decimal
    """Signed contracts."""
    average_price: Decimal
