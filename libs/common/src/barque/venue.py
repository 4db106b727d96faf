"""What a broker adapter is: the protocol that every venue implements, and what it reports.

In:   orders that a sender has decided to send, questions about the broker's books.
Out:  `VenueEvent`s as the broker reports them, and its books as it shows them.
Not:  a decision. An adapter never re-sends, never times out an order, never guesses an outcome; the sender does, by its ledger.

Foreign objects never pass an adapter: all that crosses is defined here. An adapter may report late, twice and out of order;
it must not invent. Errors of `barque.errors`: `VenueUnavailable` only where surely nothing left this machine,
`VenueRefused` where the broker surely said no, `VenueOutcomeUnknown` in every other case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from barque.instruments import Instrument
from barque.messages import CancelOrder, ModifyOrder, RejectReason, SubmitOrder
from barque.messages.cash import CashKind
from barque.messages.signals import OrderType, Side, TimeInForce

Dedupe = Literal["none", "open_only", "forever"]
"""Whether the broker itself refuses an order whose token it has seen: never, while that order is open, or always."""
SessionTrouble = Literal["lost", "safe_mode", "refused"]
"""lost: attempts follow. safe_mode: so many have failed that a person should look; they go on. refused: it could be had, and is
not the one that is configured: another account, real money for paper, a login or a contract that the broker does not take."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do by itself; the sender does the rest or refuses."""

    order_types: tuple[OrderType, ...]
    times_in_force: tuple[TimeInForce, ...]
    modify: bool
    brackets: bool
    """It holds a bracket's exits until their parent fills."""
    oco: bool
    """It cancels the others of a group when one fills."""
    dedupe: Dedupe = "none"
    executions_back_s: int = 86_400
    """How far back `executions_since` can look."""
    executions_zone: str = ""
    """And no further than to the last midnight in this time zone; empty: as far as `executions_back_s`."""
    books_lag_s: float = 5.0
    """So long may the books take to show what has happened; a look at them sooner proves nothing."""
    converts: bool = False
    """Profits in other currencies become the account's own at once, at the broker's rate: then there is no cash to compare."""


def reach_ns(capabilities: Capabilities, now_ns: int) -> int:
    """The oldest time of which `executions_since` tells at `now_ns`. What was executed before shows in positions alone.

    >>> can = Capabilities(
    ...     order_types=(), times_in_force=(), modify=True, brackets=True, oco=True, executions_zone="America/New_York"
    ... )
    >>> (1_796_212_800 * 10**9 - reach_ns(can, 1_796_212_800 * 10**9)) // 10**9  # 12:00 UTC is seven hours after midnight there
    25200
    """
    furthest_ns = now_ns - capabilities.executions_back_s * 10**9
    if not capabilities.executions_zone:
        return furthest_ns
    now = datetime.fromtimestamp(now_ns // 10**9, ZoneInfo(capabilities.executions_zone))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return max(furthest_ns, int(midnight.timestamp()) * 10**9)


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An open order as the broker's books show it."""

    order_id: str
    """Ours, found by the token at the wire; empty: it is not ours."""
    venue_order_id: str
    symbol: str
    """Ours; the broker's own name where no instrument maps to it, told from ours where one of ours is called so."""
    side: Side
    quantity: Decimal
    """Contracts of the whole order."""
    filled: Decimal
    order_type: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class VenueExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as the broker's books show it."""

    exec_id: str
    """The broker's, unique within the account."""
    order_id: str
    """Ours; empty: it is not ours."""
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    """Contracts, positive; 0: the execution named by `corrects` is busted."""
    price: Decimal
    ts_event_ns: int
    commission: Decimal | None = None
    """None: not known yet."""
    commission_currency: str = ""
    corrects: str = ""
    """`exec_id` that this one replaces."""
    position_of: str = ""
    """Of one that is of no order of ours: the order of ours whose position it took away from, where the broker says so, as when
    somebody closes that by hand or the broker stops it out. It was that strategy's to lose."""
    strategy_id: str = ""
    """Whose order `position_of` was. An adapter leaves it empty: a sender's ledger knows."""
    liquidation: str = ""
    """Why the broker has closed this by itself, as for want of margin, in its words; empty: it has not."""


class VenuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position as the broker's books show it."""

    symbol: str
    """As of a `VenueOrder`."""
    quantity: Decimal
    """Signed contracts; in the broker's own unit where no instrument maps to it."""
    average_price: Decimal


class CashMovement(msgspec.Struct, frozen=True, kw_only=True):
    """Cash of an account that came or went without a trade, as the broker lists it."""

    reference: str
    """The broker's; it stays the same however often it is listed."""
    kind: CashKind
    currency: str
    amount: Decimal
    """Negative: it went out."""
    ts_event_ns: int
    detail: str = ""


class VenueAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the broker's books show it."""

    account: str
    live: bool
    """False: a paper or demo account."""
    currency: str
    cash: dict[str, Decimal]
    """By currency."""
    equity: Decimal
    buying_power: Decimal
    daily_pnl: Decimal | None = None
    """Profit since the broker's day began, in `currency`; None: the broker does not say. Shown, never decided upon."""
    unrealised_pnl: Decimal | None = None
    realised_pnl: Decimal | None = None
    """Of the broker's day."""
    rates: dict[str, Decimal] = {}
    """By currency: what one unit is worth in `currency`, where the broker says."""
    movements: tuple[CashMovement, ...] = ()
    """As far back as the broker lists them; none where it does not."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The broker holds the order."""

    order_id: str
    venue_order_id: str
    ts_event_ns: int


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The order will never trade."""

    order_id: str
    reason: RejectReason
    detail: str
    ts_event_ns: int


class Modified(msgspec.Struct, frozen=True, kw_only=True):
    """The order works on with these terms."""

    order_id: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_amount: Decimal | None
    ts_event_ns: int


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The order is open, and the broker says something of it: that it waits for its market to open, or for shares to borrow."""

    order_id: str
    detail: str
    ts_event_ns: int
    works: bool = True
    """False: the broker holds it and would not fill it now, whatever the price does."""


class RequestRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The broker did not cancel or change the order. `RejectReason.UNKNOWN_ORDER`: it says that it does not know it."""

    order_id: str
    request: Literal["cancel", "modify"]
    reason: RejectReason
    detail: str
    ts_event_ns: int


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The rest of the order is withdrawn, or ran out of time."""

    order_id: str
    how: Literal["cancelled", "expired"]
    detail: str
    ts_event_ns: int


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """The order traded, an execution was replaced, or its commission became known (the same `exec_id` again)."""

    execution: VenueExecution


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The session works (again); what happened meanwhile is in the broker's books."""

    ts_event_ns: int


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """The session is gone; what is under way has an unknown outcome. Said again where it becomes a matter for a person."""

    ts_event_ns: int
    detail: str
    trouble: SessionTrouble = "lost"
    expected: bool = False
    """It is the hour at which the broker, or its program, restarts."""


class TradingDisabled(msgspec.Struct, frozen=True, kw_only=True):
    """The session works and takes no orders: a read-only API, AutoTrading off."""

    ts_event_ns: int
    detail: str


VenueEvent: TypeAlias = (
    Accepted | Rejected | Modified | Noted | RequestRefused | Ended | Executed | Connected | Disconnected | TradingDisabled
)
OnEvent: TypeAlias = Callable[[VenueEvent], None]
MaySend: TypeAlias = Callable[[], bool]
"""Asked by an adapter right before it writes a new order to the wire, after any queue or pacing of its own. False: this process
may no longer be the one that sends (it was frozen, or waited too long); the adapter writes nothing, raises `VenueUnavailable`."""


class Venue(Protocol):
    """One account at one broker. All methods are called from one event loop; none retries by itself.

    `submit`, `modify` and `cancel` return when the request has been handed to the wire; what comes of it arrives as events,
    perhaps before they return.
    """

    @property
    def name(self) -> str:
        """`paper`, `ibkr`, `mt5`: a word for logs and metrics."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Known before connecting."""
        ...

    async def connect(self, on_event: OnEvent, may_send: MaySend) -> VenueAccount:
        """Begin a session and say whose it is; raises `VenueUnavailable`, `VenueRefused` or `ConfigError`.

        The caller takes its return for the first `Connected`. An adapter that loses its session says `Disconnected`, reconnects
        by itself with backoff and says `Connected`; it checks account and kind of account again before it does.
        """
        ...

    async def close(self) -> None:
        """End the session; orders stay at the broker."""
        ...

    def token(self, order_id: str, number: int, parent_id: str = "") -> str:
        """What stands at the wire for an order so that it can be found again; stored before the order is sent.

        `number` counts the orders of the account's ledger from 1 and is never given twice: for brokers that want integers.
        `parent_id`: of an exit, its entry; empty: it has none, or nobody knows it here. A process that starts asks again for
        every order that it remembers, those that may trade last, before it connects: an adapter may learn from it.
        """
        ...

    async def submit(self, orders: Sequence[tuple[SubmitOrder, str]]) -> None:
        """Send orders with their tokens: one, or a parent with its exits where `capabilities.brackets`."""
        ...

    async def modify(self, request: ModifyOrder, order: SubmitOrder, token: str) -> None:
        """Change a working order; `order` has its terms as they are now."""
        ...

    async def cancel(self, request: CancelOrder, token: str) -> None:
        """Withdraw a working order."""
        ...

    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account, ours and others'."""
        ...

    async def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        """Every execution of the account from `ts_ns` on, oldest first, as far back as `executions_back_s`."""
        ...

    async def positions(self) -> list[VenuePosition]:
        """Every position of the account that is not flat."""
        ...

    async def account(self) -> VenueAccount:
        """Money of the account."""
        ...


OpenVenue: TypeAlias = Callable[[Mapping[str, Any], Sequence[Instrument], str], Venue]
"""What an entry point of group `barque.venues` names: `(configuration file, instruments, account) -> Venue`, not connected.

The adapter reads its own section (`[ibkr]`, `[mt5]`) out of the file's table and raises `ConfigError`.
"""
