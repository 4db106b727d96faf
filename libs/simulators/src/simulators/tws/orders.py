"""Orders and executions as the simulated exchange and account keep them.

Not:  decisions; `matching` makes them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from simulators.tws.listing import Listing
from simulators.tws.place_order import PlaceOrder

Status = Literal["Held", "PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Cancelled", "Filled"]
"""As TWS says them; `Held` is ours: not transmitted, so nothing is said of it."""
OPEN: tuple[Status, ...] = ("PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive")
NOTHING = Decimal(0)


class Order(msgspec.Struct, kw_only=True, eq=False):
    """One order, from its first submission on; kept when it is done."""

    terms: PlaceOrder
    """As last accepted."""
    listing: Listing
    account: str
    client_id: int
    order_id: int
    """0 for one that was entered by hand in TWS, negative where client 0 has bound it."""
    perm_id: int
    status: Status = "PendingSubmit"
    quantity: Decimal
    """What is to be filled in all; an OCA group or a parent that ended early may have reduced it."""
    filled: Decimal = NOTHING
    value: Decimal = NOTHING
    """Sum of price × quantity of its fills."""
    last_price: Decimal = NOTHING
    commission: Decimal = NOTHING
    submissions: int = 1
    """How many `placeOrder` messages with its id reached the exchange."""
    why_held: str = ""
    liquidates: bool = False
    """The broker's own, for want of margin."""
    triggered: bool = False
    """A stop, trail or trigger that has elected its order."""
    stop: Decimal | None = None
    """Where it triggers now; a trail moves it."""
    fill_plan: list[Decimal] = msgspec.field(default_factory=list)
    """Portions of the coming fills, one per match; empty: all that is left at once."""
    placed_ns: int = 0
    expires_ns: int | None = None
    done_ns: int = 0
    end_text: str = ""

    @property
    def ref(self) -> str:
        return self.terms.order_ref

    @property
    def is_buy(self) -> bool:
        return self.terms.action == "BUY"

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def average(self) -> Decimal:
        return self.value / self.filled if self.filled else NOTHING

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def key(self) -> tuple[int, int]:
        """Orders entered by hand have no id, unless client 0 has bound them."""
        return (self.client_id, self.order_id or -self.perm_id)

    @property
    def limit(self) -> Decimal | None:
        """Its limit, once triggered; None for what trades at the market."""
        terms = self.terms
        if terms.order_type in ("LMT", "STP LMT", "LIT"):
            return terms.limit_price
        if terms.order_type == "TRAIL LIMIT" and self.stop is not None and terms.limit_offset is not None:
            return self.stop + terms.limit_offset if self.is_buy else self.stop - terms.limit_offset
        return None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One fill, or a correction of one."""

    exec_id: str
    """`0000e0d5.6581e0f5.01.01`; a correction differs in the last part."""
    time_ns: int
    order: Order
    quantity: Decimal
    price: Decimal
    cumulative: Decimal
    average: Decimal
    commission: Decimal
    commission_currency: str
    realized: Decimal | None
    """In the account's currency; None for what opens a position."""
    liquidity: int = 2
    """1 added, 2 removed."""

    @property
    def root(self) -> str:
        """What all corrections of one fill share."""
        return self.exec_id.rpartition(".")[0]


class Margins(msgspec.Struct, frozen=True):
    """What an order would do to the account: initial and maintenance margin, equity with loan; before, change, after."""

    initial: tuple[Decimal, Decimal, Decimal]
    maintenance: tuple[Decimal, Decimal, Decimal]
    equity: tuple[Decimal, Decimal, Decimal]
    commission: Decimal
    currency: str
