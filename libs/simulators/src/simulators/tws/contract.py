"""A contract as messages describe it: twelve fields from the client, eleven to it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulators.tws.wire import Reader, Value


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about a contract; what is empty is left open."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    """`202612` or `20261218`."""
    strike: Decimal | None = None
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    def said(self) -> tuple[Value, ...]:
        """The eleven fields of a message to the client."""
        return (
            self.con_id,
            self.symbol,
            self.sec_type,
            self.expiry,
            self.strike or 0,
            self.right or "?",
            self.multiplier,
            self.exchange,
            self.currency,
            self.local_symbol,
            self.trading_class,
        )


def read_contract(reader: Reader) -> Contract:
    """The twelve fields of a request."""
    return Contract(
        con_id=reader.integer(),
        symbol=reader.string(),
        sec_type=reader.string(),
        expiry=reader.string(),
        strike=reader.decimal() or None,
        right=reader.string().replace("?", ""),
        multiplier=reader.string(),
        exchange=reader.string(),
        primary_exchange=reader.string(),
        currency=reader.string(),
        local_symbol=reader.string(),
        trading_class=reader.string(),
    )
