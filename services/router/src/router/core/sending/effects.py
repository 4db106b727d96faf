"""What a sender's core wants done outside, once the transaction in which it was decided is durable.

In:   decisions.   Out: values for the shell.
Not:  messages: what comes of an effect returns as an event, and a crash may lose any of them.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from barque.messages import CancelOrder, ModifyOrder, SubmitOrder


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """New orders, each with the number of its token: one, or a parent with its exits where the venue holds brackets."""

    orders: tuple[tuple[SubmitOrder, int], ...]


class Withdraw(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel a working order."""

    request: CancelOrder
    number: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Change a working order; `order` has its terms as they are now."""

    request: ModifyOrder
    order: SubmitOrder
    number: int
    under_halt: bool
    """It opens nothing and leaves under a halt too: it only takes contracts away, or makes an exit as large as its position."""


class AskBooks(msgspec.Struct, frozen=True, kw_only=True):
    """Read the broker's books, executions from `since_ns` on."""

    number: int
    since_ns: int


class HaltBook(msgspec.Struct, frozen=True, kw_only=True):
    """Stop the book: write the halt's row."""

    reason: str


Effect: TypeAlias = Send | Withdraw | Change | AskBooks | HaltBook
