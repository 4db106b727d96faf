"""The desk that a host lends a strategy: facts to read, and a tray for its wishes.

In:   calls of `Strategy`, never of a user.   Out: facts; the id of each wish.
Not:  checks of what is wished; `barque.strategy.orders` has made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from barque.instruments import Instrument
from barque.messages import CancelRequest, EquityMarked, ModifyRequest, SetupChanged, Signal
from barque.messages.control import Severity
from barque.strategy.orders import OpenOrder

Wish: TypeAlias = Signal | CancelRequest | ModifyRequest | SetupChanged


class Desk(Protocol):
    """What a host provides. `barque.strategy.Strategy` documents each of these for the user."""

    strategy_id: str
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    """The main interval first."""

    @property
    def now(self) -> int: ...
    @property
    def trading(self) -> bool: ...
    @property
    def warming(self) -> bool: ...
    @property
    def account(self) -> EquityMarked | None: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def position(self, symbol: str) -> Decimal: ...
    def average_price(self, symbol: str) -> Decimal | None: ...
    def open_orders(self, symbol: str | None) -> tuple[OpenOrder, ...]: ...
    def wish(self, kind: type[Wish], symbol: str, fields: Mapping[str, Any]) -> str:
        """Say `kind` with these fields and its origin; its id, also where it is not sent."""
        ...

    def notify(self, text: str, severity: Severity) -> None: ...
