"""Which orders there are: by id, by family, at work by listing; and which ids were used.

In:   orders as they are taken, leave and are forgotten.   Out: look-ups.
Not:  decisions; `matching` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators.tws.listing import Listing
from simulators.tws.orders import Order

FIRST_PERM_ID = 1_250_000_001


class Register:
    """Of one exchange."""

    def __init__(self) -> None:
        self._orders: dict[tuple[int, int], Order] = {}
        """By client and order id; done ones too, so that an id is never taken twice."""
        self._open: dict[int, Order] = {}
        """By permanent id, in the order of their arrival at the exchange."""
        self._families: dict[tuple[int, int], list[Order]] = {}
        """Children, by client and parent id."""
        self._working: dict[int, list[Order]] = {}
        """By listing, in the order of their arrival."""
        self._highest: dict[int, int] = {}
        """Order id, by client."""
        self._perm_id = FIRST_PERM_ID

    def get(self, client_id: int, order_id: int) -> Order | None:
        return self._orders.get((client_id, order_id))

    def highest(self, client_id: int) -> int:
        """The highest order id that this client has used; 0 for none."""
        return self._highest.get(client_id, 0)

    def next_order_id(self) -> int:
        """One more than any id that was ever used."""
        return max(self._highest.values(), default=0) + 1

    def new_perm_id(self) -> int:
        self._perm_id += 1
        return self._perm_id - 1

    def add(self, order: Order) -> None:
        """It was taken."""
        self._orders[order.key] = order
        self._highest[order.client_id] = max(self.highest(order.client_id), order.order_id)
        if order.terms.parent_id:
            self._families.setdefault((order.client_id, order.terms.parent_id), []).append(order)

    def begin(self, order: Order) -> None:
        """It is at the exchange from now on."""
        self._open[order.perm_id] = order
        self._working.setdefault(order.listing.con_id, []).append(order)

    def retire(self, order: Order) -> None:
        """It is done."""
        if self._open.pop(order.perm_id, None) is not None:
            self._working[order.listing.con_id].remove(order)

    def open(self) -> Iterator[Order]:
        """Oldest first; not those that wait for their transmission."""
        return (order for order in list(self._open.values()) if order.is_open)

    def at_work(self, listing: Listing) -> list[Order]:
        return list(self._working.get(listing.con_id, ()))

    def parent(self, order: Order) -> Order | None:
        return self.get(order.client_id, order.terms.parent_id) if order.terms.parent_id else None

    def children(self, order: Order) -> list[Order]:
        return list(self._families.get((order.client_id, order.order_id), ()))

    def forget_untransmitted(self) -> list[Order]:
        """A restart of the Gateway: what waits for its transmission is no more, and its ids are free."""
        forgotten = [order for order in self._orders.values() if order.status == "Held"]
        for order in forgotten:
            del self._orders[order.key]
        for client_id in {order.client_id for order in forgotten}:
            self._highest[client_id] = max((o.order_id for o in self._orders.values() if o.client_id == client_id), default=0)
            for key in [key for key in self._families if key[0] == client_id]:
                self._families[key] = [order for order in self._families[key] if order.key in self._orders]
        return forgotten

    def reset_order_ids(self) -> None:
        """The button in TWS: ids begin at 1 again; those of open orders stay taken."""
        self._highest.clear()
        self._orders = {key: order for key, order in self._orders.items() if order.is_open or order.status == "Held"}
