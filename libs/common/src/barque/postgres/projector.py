"""How a node that commits to Postgres turns what it read and said into rows.

The ledger runner opens a transaction, advances the node's position, hands every handled message with its outputs to the
projector, writes outputs to the outbox, and commits. A projector writes rows; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import asyncpg

from barque.messages import Message, Topic
from barque.node import Output


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows: every ledger key starts with book and lineage."""

    book: str
    lineage: str
    node: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Handled:
    """One message that a node was fed in this transaction, and what it said."""

    message: Message
    outputs: Sequence[Output]


class Projector(Protocol):
    """Writes the rows of one batch, inside the caller's transaction."""

    async def write(self, connection: asyncpg.Connection, scope: Scope, batch: Sequence[Handled]) -> None:
        """Must be a pure function of `scope` and `batch`: the batch may be written again after a crash before commit."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A projector whose tables remember for the node what its state, which is written whole, cannot hold."""

    @property
    def remembers(self) -> frozenset[Topic]:
        """Topics whose messages it remembers something of."""
        ...

    async def recall(
        self, connection: asyncpg.Connection, scope: Scope, messages: Sequence[Message]
    ) -> tuple[Message, Message] | None:
        """What the node is to be told before and after `messages`, in the transaction that writes what they lead to; None where
        nothing needs to be remembered for them."""
        ...
