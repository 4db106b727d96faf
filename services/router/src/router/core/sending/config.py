"""How long a sender waits, how fast it sends, and what it does where the broker's books differ from ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from barque.config import Section
from barque.errors import ConfigError

Policy = Literal["sync_to_broker", "sync_to_local", "halt_and_alert"]
NS = 1_000_000_000


class ReconcilePolicy(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When two books are equal, and what follows where they are not."""

    every_s: float = 300.0
    """The broker's books are asked for at least this often."""
    quantity_tolerance: Decimal = Decimal(0)
    """Contracts by which a position may differ."""
    cash_tolerance: Decimal = Decimal("0.01")
    """By which an amount of cash may differ: its worth in the account's currency."""
    cash_critical: Decimal = Decimal(1000)
    """From here on a difference of cash is critical: its worth in the account's currency."""
    minor: Policy = "sync_to_broker"
    critical: Policy = "halt_and_alert"


class SendingConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account, and a sender's patience with its broker. Without this section the book trades on paper (`[paper]`)."""

    account: str
    venue: str
    """Which broker: `ibkr`, `mt5`, `simulated`, or another entry point of `barque.venues`."""
    live: bool = False
    """The account trades real money. Where the broker says otherwise, nothing is sent."""
    ack_timeout_s: float = 5.0
    """A request that is not answered for so long: the order is UNKNOWN, or the books are asked what came of it."""
    quiet_s: float = 5.0
    """Apart from one another lie the two looks at the broker's books that say that something is not there."""
    unknown_alert_s: float = 60.0
    """An order is UNKNOWN, or a cancel has come to nothing, for so long before a person is told."""
    books_timeout_s: float = 30.0
    """A question to the broker's books that is not answered for so long is asked again."""
    alert_after_s: float = 60.0
    """No order could leave for so long, for want of a session or of the broker's books, before a person is told."""
    expected_alert_after_s: float = 1_800.0
    """The same where the broker restarts at that hour."""
    max_wait_s: float = 300.0
    """An order that opens and has not left so long after it was decided never will. Of one that closes a person is told."""
    max_requests_per_s: float = 20.0
    burst: int = 5
    """Requests that may leave at once."""
    reconciliation: ReconcilePolicy = ReconcilePolicy()

    def __post_init__(self) -> None:
        if self.max_requests_per_s <= 0 or self.burst < 1:
            raise ConfigError(
                f"max_requests_per_s = {self.max_requests_per_s}, burst = {self.burst}: with these nothing would ever leave; "
                f"give a positive rate and a burst of at least 1"
            )


def ns(seconds: float) -> int:
    """Seconds in nanoseconds."""
    return int(seconds * NS)
