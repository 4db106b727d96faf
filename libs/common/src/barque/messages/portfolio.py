"""What the books say after a fill or a new price."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class PositionChanged(msgspec.Struct, frozen=True, kw_only=True, tag="PositionChanged"):
    """A position after a fill. Written by portfolio; read by router, gateway. Money in the instrument's currency."""

    account: str
    strategy_id: str
    symbol: str
    ts_event_ns: int
    cause: str
    """`exec_id` of the fill."""
    quantity: Decimal
    """Signed contracts."""
    average_price: Decimal
    realised_pnl: Decimal
    """Since the book began, before commissions."""
    commission: Decimal
    """Since the book began."""
    currency: str


class EquityMarked(msgspec.Struct, frozen=True, kw_only=True, tag="EquityMarked"):
    """An account valued at the latest marks. Written by portfolio; read by router, gateway. Base currency."""

    account: str
    ts_event_ns: int
    currency: str
    cash: Decimal
    equity: Decimal
    unrealised_pnl: Decimal
    realised_pnl: Decimal
    flows: Decimal = Decimal(0)
    """Deposits less withdrawals since the book began, part of `equity` and no profit."""


class ReconciliationReport(msgspec.Struct, frozen=True, kw_only=True, tag="ReconciliationReport"):
    """A comparison of the broker's books with ours. Written by senders; read by router, gateway."""

    account: str
    ts_event_ns: int
    severity: str
    """`clean`, `minor` or `critical`."""
    discrepancies: tuple[str, ...] = ()
    policy: str = ""
    """What was done about the worst of them: `halt_and_alert`, `sync_to_broker` or `sync_to_local`; empty: it is not said."""
