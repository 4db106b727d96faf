"""The orders at work, found by symbol, by parent, by OCO group and by deadline.

In:   `PaperState.working`, of which everything here is an index.   Out: orders, always in order of acceptance.
Not:  state: a restored node makes a new one.
"""

from __future__ import annotations

from collections.abc import Collection

from barque_paper.state import WorkingOrder

Orders = dict[str, WorkingOrder]
_NONE: Orders = {}


class OrderBook:
    """Working orders with their indexes."""

    def __init__(self, working: Orders) -> None:
        self._all = working
        self._by_symbol: dict[str, Orders] = {}
        """Of a symbol that has had an order, though it may have none now."""
        self._by_parent: dict[str, Orders] = {}
        self._by_group: dict[str, Orders] = {}
        self._timed: Orders = {}
        for order in working.values():
            self._index(order)

    def __len__(self) -> int:
        return len(self._all)

    def get(self, order_id: str) -> WorkingOrder | None:
        """The working order of that id."""
        return self._all.get(order_id)

    def add(self, working: WorkingOrder) -> None:
        """A newly accepted one."""
        self._all[working.order.order_id] = working
        self._index(working)

    def remove(self, working: WorkingOrder) -> None:
        """It has ended."""
        order = working.order
        del self._all[order.order_id]
        del self._by_symbol[order.symbol][order.order_id]
        if order.parent_id is not None:
            _leave(self._by_parent, order.parent_id, order.order_id)
        if order.oco_group is not None:
            _leave(self._by_group, order.oco_group, order.order_id)
        if working.deadline_ns is not None:
            del self._timed[order.order_id]

    def of_symbol(self, symbol: str) -> Orders:
        """Those of a symbol. Not to be kept."""
        return self._by_symbol.get(symbol, _NONE)

    def children(self, order_id: str) -> list[WorkingOrder]:
        """Those that wait for that order, or came with it."""
        members = self._by_parent.get(order_id)
        return [] if members is None else list(members.values())

    def group(self, oco_group: str) -> list[WorkingOrder]:
        """Those of an OCO group."""
        members = self._by_group.get(oco_group)
        return [] if members is None else list(members.values())

    def timed(self) -> Collection[WorkingOrder]:
        """Those with a deadline. Not to be kept."""
        return self._timed.values()

    def _index(self, working: WorkingOrder) -> None:
        order = working.order
        _join(self._by_symbol, order.symbol, working)
        if order.parent_id is not None:
            _join(self._by_parent, order.parent_id, working)
        if order.oco_group is not None:
            _join(self._by_group, order.oco_group, working)
        if working.deadline_ns is not None:
            self._timed[order.order_id] = working


def _join(index: dict[str, Orders], key: str, working: WorkingOrder) -> None:
    members = index.get(key)
    if members is None:
        members = index[key] = {}
    members[working.order.order_id] = working


def _leave(index: dict[str, Orders], key: str, order_id: str) -> None:
    members = index[key]
    del members[order_id]
    if not members:
        del index[key]
