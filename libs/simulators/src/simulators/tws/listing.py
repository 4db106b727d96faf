"""One contract that can be traded, and how TWS tells its details.

Not:  which there are (`catalogue`).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulators.tws.contract import Contract
from simulators.tws.hours import Hours
from simulators.tws.wire import Value

ORDER_TYPES = "ACTIVETIM,ADJUST,ALERT,DAY,FOK,GTC,GTD,IOC,LIT,LMT,MIT,MKT,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One contract that can be traded."""

    name: str
    """How the simulator's own interface calls it: `USDJPY`, `SPY`, `NQZ6`, `SPY 261218C00600000`."""
    con_id: int
    symbol: str
    sec_type: str
    currency: str
    exchange: str
    valid_exchanges: tuple[str, ...]
    primary_exchange: str = ""
    local_symbol: str
    trading_class: str
    expiry: str = ""
    last_trade: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: str = ""
    tick: Decimal
    """Order prices are multiples of it; quotes may be finer."""
    market_rule: int
    min_size: Decimal = Decimal(1)
    size_step: Decimal = Decimal(1)
    long_name: str
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    hours: Hours
    liquid_hours: Hours
    first_price: Decimal

    @property
    def units(self) -> Decimal:
        """What a price difference of one is worth, per contract."""
        return Decimal(self.multiplier or 1)

    @property
    def is_fx(self) -> bool:
        return self.sec_type == "CASH"

    def contract(self, exchange: str = "", sec_type: str = "") -> Contract:
        """As messages describe it."""
        return Contract(
            con_id=self.con_id,
            symbol=self.symbol,
            sec_type=sec_type or self.sec_type,
            expiry=self.expiry,
            strike=self.strike,
            right=self.right,
            multiplier=self.multiplier,
            exchange=exchange or self.exchange,
            primary_exchange=self.primary_exchange,
            currency=self.currency,
            local_symbol=self.local_symbol,
            trading_class=self.trading_class,
        )

    def matches(self, wanted: Contract) -> bool:
        """True where nothing that `wanted` says is otherwise here."""
        said = (
            (wanted.con_id, self.con_id),
            (wanted.symbol, self.symbol),
            (wanted.sec_type, self.sec_type),
            (wanted.currency, self.currency),
            (wanted.local_symbol, self.local_symbol),
            (wanted.trading_class, self.trading_class),
            (wanted.multiplier, self.multiplier),
            (wanted.strike, self.strike),
            (wanted.right[:1], self.right),
            (wanted.primary_exchange, self.primary_exchange if wanted.sec_type != "CASH" else ""),
        )
        exchange = not wanted.exchange or wanted.exchange in self.valid_exchanges
        return exchange and self.expiry.startswith(wanted.expiry) and all(not asked or asked == has for asked, has in said)


def details(req_id: int, listing: Listing, now_ns: int, sec_type: str = "") -> tuple[Value, ...]:
    """`contractData`: everything TWS tells of a contract."""
    said = listing.contract(sec_type=sec_type)
    return (
        10,
        req_id,
        said.symbol,
        said.sec_type,
        listing.last_trade or said.expiry,
        said.strike or 0,
        said.right,
        said.exchange,
        said.currency,
        said.local_symbol,
        said.trading_class,
        said.trading_class,
        said.con_id,
        listing.tick,
        said.multiplier,
        ORDER_TYPES,
        ",".join(listing.valid_exchanges),
        1,
        listing.under_con_id,
        listing.long_name,
        listing.primary_exchange,
        listing.expiry[:6],
        "",
        "",
        "",
        listing.hours.zone,
        listing.hours.told(now_ns),
        listing.liquid_hours.told(now_ns),
        "",
        0,
        0,
        1,
        listing.under_symbol,
        listing.under_sec_type,
        ",".join(str(listing.market_rule) for _ in listing.valid_exchanges),
        listing.expiry,
        "COMMON" if listing.sec_type == "STK" else "",
        listing.min_size,
        listing.size_step,
        listing.size_step,
    )
