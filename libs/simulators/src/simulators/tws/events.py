"""What the exchange reports; desks turn it into messages for those whom it concerns."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from simulators.tws.orders import Execution, Margins, Order


class Changed(msgspec.Struct, frozen=True):
    """An order was taken, or its status or terms are others now."""

    order: Order
    echo: bool = True
    """With `openOrder` before `orderStatus`."""


class Executed(msgspec.Struct, frozen=True):
    """A fill, or the correction of one."""

    execution: Execution


class Said(msgspec.Struct, frozen=True):
    """An error or a notice about an order, known or not."""

    client_id: int
    order_id: int
    code: int
    text: str


class Estimated(msgspec.Struct, frozen=True):
    """The answer to a what-if."""

    order: Order
    margins: Margins


Event: TypeAlias = Changed | Executed | Said | Estimated


class Refusal(msgspec.Struct, frozen=True):
    """Why an order or a change is not taken."""

    code: int
    text: str
