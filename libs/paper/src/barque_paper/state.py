"""What the exchange knows: prices, orders at work, and which orders it has finished."""

from __future__ import annotations

import msgspec

from barque.messages import SubmitOrder
from barque.messages.market import PriceType
from barque.messages.signals import Side

FINISHED_KEPT = 4096
"""So many finished orders are remembered, to know a repeated one; older ones the ledger's primary key refuses."""

_SERVES: dict[Side, tuple[PriceType, ...]] = {"buy": ("ask", "mid", "last"), "sell": ("bid", "mid", "last")}


class Span(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Prices of one side over some time: a bar, or a tick as a bar of one instant."""

    open: float
    high: float
    low: float
    from_ns: int
    until_ns: int
    """Exclusive; a tick's equals `from_ns`."""


class Market(msgspec.Struct, kw_only=True):
    """The latest prices of one symbol."""

    ticked: bool = False
    """True: it has had a quote or trade, so its bars say nothing new."""
    spans: dict[PriceType, Span] = {}

    def span(self, side: Side) -> Span | None:
        """What an order of `side` trades against: ask for a buy, bid for a sell, else mid, else last."""
        return next((self.spans[price] for price in _SERVES[side] if price in self.spans), None)


class WorkingOrder(msgspec.Struct, kw_only=True):
    """An accepted order that has neither traded nor ended."""

    order: SubmitOrder
    active_ns: int
    """It may trade from here on."""
    deadline_ns: int | None
    """It may not trade after this time."""
    held: bool
    """Waiting for its parent to fill."""
    triggered: bool = False
    """The stop of a stop_limit has been touched: it is a limit order now."""

    def is_past(self, now_ns: int) -> bool:
        """True: its time is over at `now_ns`."""
        return self.deadline_ns is not None and self.deadline_ns < now_ns


class PaperState(msgspec.Struct, kw_only=True):
    """The whole state of a `PaperNode`."""

    now_ns: int = 0
    halted: bool = False
    markets: dict[str, Market] = {}
    working: dict[str, WorkingOrder] = {}
    """By order id, in order of acceptance."""
    finished: dict[str, bool] = {}
    """The last `FINISHED_KEPT` order ids, oldest first; True: filled."""
    filled_groups: dict[str, str] = {}
    """The last `FINISHED_KEPT` OCO groups that are done, oldest first, each with the order that filled."""
    counters: dict[str, int] = {}

    def finish(self, order: SubmitOrder, filled: bool) -> None:
        """Forget a working order, remember how it ended."""
        self.working.pop(order.order_id, None)
        self.finished[order.order_id] = filled
        if len(self.finished) > FINISHED_KEPT:
            del self.finished[next(iter(self.finished))]
        if filled and order.oco_group is not None:
            self.filled_groups[order.oco_group] = order.order_id
            if len(self.filled_groups) > FINISHED_KEPT:
                del self.filled_groups[next(iter(self.filled_groups))]

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counters[name] = self.counters.get(name, 0) + 1
