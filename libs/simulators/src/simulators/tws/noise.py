"""What a real Gateway does besides: the same thing twice, in another order, late, cut into pieces.

In:   what is to be said about orders in one turn; bytes to send.   Out: the same facts, said in a worse way.

Each toggle is off unless asked for; `Noise.all()` is for fuzzing. From one seed the noise is the same.
"""

from __future__ import annotations

import msgspec

from simulators.market.chance import Chance
from simulators.tws.replies import Message

OPEN_ORDER, ORDER_STATUS, EXECUTION, COMMISSION = 5, 3, 11, 59


class Noise(msgspec.Struct, kw_only=True):
    """Toggles; those that are chances are between 0 and 1."""

    duplicate_status: bool = False
    duplicate_open_order: bool = False
    status_before_execution: bool = False
    execution_before_open_order: bool = False
    skip_status: bool = False
    """A market order's statuses are not said at all, as TWS does for some."""
    commission_delay_s: float = 0.0
    delay_s: float = 0.0
    """Each turn's messages wait up to so long."""
    pieces: str = "whole"
    """`whole`, `random` (cut anywhere), or `bytes` (one by one)."""
    unsolicited_completed: bool = False
    """A `completedOrder` after each order that is filled."""
    unsolicited_open_orders: bool = False
    """Open orders are told on connecting, though nobody asked."""
    late_ticks: bool = False
    """One more tick after a subscription was cancelled."""
    farm_notices: bool = True
    """2104, 2106 and 2158 on connecting."""

    @classmethod
    def all(cls) -> Noise:
        """Everything at once."""
        return cls(
            duplicate_status=True,
            duplicate_open_order=True,
            status_before_execution=True,
            execution_before_open_order=True,
            commission_delay_s=0.03,
            delay_s=0.01,
            pieces="random",
            unsolicited_completed=True,
            unsolicited_open_orders=True,
            late_ticks=True,
        )


def disturbed(messages: list[Message], noise: Noise, chance: Chance) -> list[Message]:
    """What is said about orders in one turn, with the noise that is on."""
    said = list(messages)
    if noise.skip_status:
        said = [message for message in said if message[0] != ORDER_STATUS]
    if noise.status_before_execution and chance.uniform() < 0.5:
        said = _before(said, ORDER_STATUS, EXECUTION)
    if noise.execution_before_open_order and chance.uniform() < 0.5:
        said = _before(said, EXECUTION, OPEN_ORDER)
    repeated: list[Message] = []
    for message in said:
        twice = (noise.duplicate_status and message[0] == ORDER_STATUS) or (
            noise.duplicate_open_order and message[0] == OPEN_ORDER
        )
        repeated += [message, message] if twice else [message]
    return repeated


def _before(messages: list[Message], these: int, those: int) -> list[Message]:
    """The last of `these` moved before the first of `those`."""
    last = max((i for i, message in enumerate(messages) if message[0] == these), default=-1)
    first = next((i for i, message in enumerate(messages) if message[0] == those), len(messages))
    if last <= first:
        return messages
    moved = messages[last]
    return [*messages[:first], moved, *messages[first:last], *messages[last + 1 :]]


def pieces(data: bytes, how: str, chance: Chance) -> list[bytes]:
    """The chunks in which bytes go out."""
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    if how != "random":
        return [data]
    cut: list[bytes] = []
    while data:
        size = 1 + int(chance.uniform() * min(len(data), 200))
        cut.append(data[:size])
        data = data[size:]
    return cut
