"""What a strategy wishes. A signal is not an order: the router sizes it, checks it and makes orders of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["buy", "sell"]
Action = Literal["enter", "exit", "target", "reduce"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
TimeInForce = Literal["day", "gtc", "ioc", "fok", "gtd"]


class Signal(msgspec.Struct, frozen=True, kw_only=True, tag="Signal"):
    """A wish to trade. Written by strategy nodes; read by the router.

    At most one of `quantity`, `target`, `risk_fraction`, `target_fraction`, `notional` says how much; with none, the router's
    own sizing does.
    """

    id: str
    """`<strategy_id>/<cause>/<index>`: a function of what caused it."""
    cause: str
    root: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    action: Action
    side: Side | None = None
    """Required for `enter`; derived from the position or the target otherwise."""
    quantity: Decimal | None = None
    """Contracts, positive."""
    target: Decimal | None = None
    """Signed position to reach, contracts (`action="target"`)."""
    risk_fraction: Decimal | None = None
    """Part of equity to risk to the stop, 0..1."""
    order_type: OrderType = "market"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    time_in_force: TimeInForce = "gtc"
    valid_until_ns: int | None = None
    """Not to be sent after this time."""
    tag: str = ""
    reason: str = ""
    """For people: why the strategy wants this."""
    target_fraction: Decimal | None = None
    """Signed part of the account's equity that the position is to be worth (`action="target"`); 1 is all of it."""
    notional: Decimal | None = None
    """Value to trade, in the account's base currency, positive."""
    trail_amount: Decimal | None = None
    """Of a `trailing_stop`: how far the stop follows the best price, in price units."""
    volatility: Decimal | None = None
    """How far the price usually moves (an ATR, say), in price units: what `volatility` sizing goes by, and `risk_fraction` where
    there is no stop."""
    ts_heard_ns: int | None = None
    """Event time of the bar or tick on which it was wished, where that is older than the wish by more than a second."""


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, tag="CancelRequest"):
    """A wish to cancel. Written by strategy nodes; read by the router."""

    id: str
    cause: str
    root: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    order_id: str | None = None
    """One order of ours; None: every open order of this strategy in this symbol."""


class ModifyRequest(msgspec.Struct, frozen=True, kw_only=True, tag="ModifyRequest"):
    """A wish to change one working order; None keeps a field. Written by strategy nodes; read by the router."""

    id: str
    cause: str
    root: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    order_id: str
    quantity: Decimal | None = None
    """Contracts of the whole order, what has filled included."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    ts_heard_ns: int | None = None
    """As of a `Signal`."""


class SetupChanged(msgspec.Struct, frozen=True, kw_only=True, tag="SetupChanged"):
    """A step of a setup that a strategy watches: for the page and the audit; nobody trades on it. Written by strategy nodes."""

    id: str
    cause: str
    root: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    setup_id: str
    """The same through the life of one setup."""
    side: Side
    state: str
    """Upper case, the strategy's own: `WATCHING_LIQ1`, `INVALIDATED` …"""
    reason: str = ""
    """Why it ended, snake_case."""
    levels: dict[str, Decimal] = {}
    """Prices by name, on the instrument's grid."""
