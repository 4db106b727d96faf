"""Money that comes into an account or leaves it without a trade."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

CashKind = Literal["deposit", "withdrawal", "interest", "dividend", "financing", "fee", "tax", "reconciliation"]
"""`financing`: what a broker takes or pays for positions held overnight (swap). `fee`: what it takes for no single trade.
`reconciliation`: what its books have and ours cannot explain. Deposits and withdrawals are flows, all others profit or loss."""


class CashAdjusted(msgspec.Struct, frozen=True, kw_only=True, tag="CashAdjusted"):
    """Cash of an account has changed without a trade. Written by senders; read by portfolio."""

    account: str
    ts_event_ns: int
    kind: CashKind
    currency: str
    amount: Decimal
    """By what cash has changed; negative: it went out."""
    reference: str
    """What it is known by in its account; a second one of the same reference is the same."""
    reason: str = ""
    """For people."""
