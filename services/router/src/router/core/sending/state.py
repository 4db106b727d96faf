"""What a sender knows: orders that may still trade, what has ended, executions, the session, and the books as last seen.

Windows are bounded. Of what has left them the ledger's primary keys know: an order or an execution that comes again then
violates its key and stops the sender.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from barque.messages import CancelOrder, ModifyOrder, SubmitOrder
from barque.venue import SessionTrouble, VenueAccount
from router.core.lifecycle import OrderState

ZERO = Decimal(0)
FINISHED_NS = 600_000_000_000
"""An order that has ended is known for so long: a broker may report late what it has executed of it …"""
FINISHED_LEAST = 128
FINISHED_MOST = 1024
"""… but no more of them than this, and no fewer than the former. Of an order that has left this window a fill is `external`.

A transaction writes those that have changed (`sending.windows`), a snapshot all of them: 255 bytes of each.
"""
EXECUTIONS_WINDOW = 1024
SLACK = 64


class LiveOrder(msgspec.Struct, kw_only=True):
    """An order that may still trade."""

    order: SubmitOrder
    """With the terms that have been said."""
    keep: Decimal
    """Contracts that it is to have in the end; less than the order's where an exit is about to be cut."""
    state: OrderState = OrderState.NEW
    since_ns: int = 0
    """When it came here, or something was last asked of the broker about it."""
    filled: Decimal = ZERO
    number: int = 0
    """Of its token, given when it is about to leave, and kept should it not have left; 0: it has never been tried."""
    at_venue: Decimal = ZERO
    """Contracts of the broker's order."""
    accepted: bool = False
    venue_order_id: str = ""
    cancel: CancelOrder | None = None
    """Wanted, whether it has left or not."""
    cancel_ns: int = 0
    """Since when; 0: people know that it has not come to anything."""
    change: ModifyOrder | None = None
    own_cancel: bool = False
    """The wish to cancel is this sender's, not the router's."""
    own_change: bool = False
    asked_quantity: Decimal = ZERO
    """Contracts of the broker's order once the change under way is made; 0: none has left."""
    absent_ns: int = 0
    """When the broker's books were asked that first did not have it; 0: they had it, or were not asked."""
    wait_until_ns: int = 0
    """Nothing is asked of the broker before, for the last time failed."""
    failures: int = 0
    unknown_ns: int = 0
    """Since when its outcome has been unknown."""
    alerted: bool = False
    noted: bool = False
    """People know that it waits at the broker."""
    told: bool = False
    """People know that it waits here."""
    resent: bool = False
    again: bool = False
    """It is to be sent once more when this transaction is released."""

    @property
    def has_left(self) -> bool:
        """The broker may have it. One that surely did not leave is NEW again, whatever its number."""
        return self.state is not OrderState.NEW


def is_whole(live: LiveOrder) -> bool:
    """Nothing of the order is left to trade, nor would be if a change were made that has left and was not answered."""
    to_come = max(live.asked_quantity - live.at_venue, ZERO)
    return live.filled >= max(live.order.quantity + to_come, live.at_venue)


class EndedOrder(SubmitOrder, frozen=True, kw_only=True, omit_defaults=True, tag=False):
    """An order without what its router said for people: these are most of its bytes."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order that has ended: enough to book what is reported late."""

    order: EndedOrder
    state: OrderState
    filled: Decimal
    ended_ns: int
    number: int = 0


class Doubted(msgspec.Struct, frozen=True, kw_only=True):
    """An exit that the broker has ended, with something left to close as far as it has reported."""

    order: SubmitOrder
    left: Decimal
    """Contracts of it that have not filled."""
    why: str
    since_ns: int


class Booked(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An execution that has been booked."""

    order_id: str
    signed: Decimal
    """Contracts, with the side's sign; 0 once another took its place."""
    ts_event_ns: int
    priced: bool
    """Its commission is known."""
    replaced_by: str = ""
    reported: bool = True
    """False: only what replaced it has come."""
    silent: bool = False
    """What it comes to is in the opening balance, and no fill was said of it: of a correction the difference is said."""


class NoSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is not there, as its adapter said last."""

    detail: str = "it has not connected yet"
    trouble: SessionTrouble = "lost"
    expected: bool = False


class SendingState(msgspec.Struct, kw_only=True):
    """The whole state of a `SendingNode`."""

    now_ns: int = 0
    halted: bool = False
    tripped: dict[str, str] = {}
    """Scopes whose circuit breaker is open, with its status; empty scope: the book."""
    connected: bool = False
    disabled: str = ""
    """Why the broker takes no orders; empty: it does."""
    ready: bool = False
    """The books have been compared in this session: orders may leave."""
    lost: NoSession = NoSession()
    """Why there is no session, where there is none."""
    books_detail: str = ""
    """Why the broker's books could not be read the last time; empty: they could."""
    connected_ns: int = 0
    """When the session began."""
    waiting_ns: int = 0
    """Since when no order may leave for the session's sake; 0: they may."""
    trouble: str = ""
    """The alert about the session that is out; empty: none."""
    trouble_detail: str = ""
    blocked: bool = False
    """The last comparison was critical, and the policy is to halt."""
    number: int = 0
    """Of the token given last."""
    paced_until_ns: int = 0
    """When the rate limiter would be back to rest."""
    orders: dict[str, LiveOrder] = {}
    """By id, oldest first."""
    finished: dict[str, Finished] = {}
    """By id, the newest last; changed through `windows.renew` alone."""
    executions: dict[str, Booked] = {}
    """By `exec_id`, likewise."""
    apart: bool = False
    """These two are not in this snapshot."""
    forgotten_ns: int = 0
    """Executions up to here that are not in the window have been booked long ago."""
    positions: dict[str, Decimal] = {}
    """Signed contracts of the account by symbol; none is zero."""
    by_orders: dict[str, Decimal] = {}
    """Of these, what orders of strategies have brought; none is zero."""
    intruded: dict[str, int] = {}
    """Symbols in which others have traded against that, with the time at which people were told last."""
    liquidated: dict[str, int] = {}
    """The broker's orders by which it has lately closed by itself, with the time at which people were told."""
    prices: dict[str, Decimal] = {}
    """Of the last execution, by symbol."""
    account: VenueAccount | None = None
    """The broker's figures as they were said last."""
    account_ns: int = 0
    """When they were said last."""
    cash_offset: dict[str, Decimal] | None = None
    """The broker's cash less our ledger's when the book was opened; None: the two have not been seen together."""
    movements: dict[str, None] | None = None
    """References of the changes of cash that the broker lists and that are in the books, or in what the book was opened with;
    None: none has been looked at yet."""
    opened: bool = False
    """The broker's positions have been taken over as what this book begins with."""
    questions: int = 0
    asked: int = 0
    """Number of the question to the books that is under way; 0: none."""
    asked_ns: int = 0
    ask_due_ns: int | None = None
    reconciled_ns: int = 0
    """When the books of the last comparison without a critical difference were asked."""
    report_due: bool = False
    suspects: dict[str, int] = {}
    """Differences seen, with the time at which the books were asked that first showed them."""
    doubted: dict[str, Doubted] = {}
    """By id: people are told of these, should the next look at the books not explain them."""
    missed: dict[str, Doubted] = {}
    """By id: exits that have ended and may yet be needed, for their entry may fill."""
    refused: dict[str, str] = {}
    """Symbols of which the broker has refused the last order, with the reason that people were told."""
    external: dict[str, None] = {}
    """Open orders of others, by the broker's id."""
    symbols: list[str] | None = None
    """Those that were configured at the last look at the books; None: there was none."""
    elsewhere: dict[str, Decimal] = {}
    """What the account holds in symbols that are not configured, as people were told last; none is zero."""
    cash_is_shared: bool = False
    """There is such a holding, or one has changed and cash has not been found right since."""
    counters: dict[str, int] = {}
