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

    Exactly one of `quantity`, `target`, `risk_fraction` says how much; with none, the router's own sizing does.
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
