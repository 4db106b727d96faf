"""The oracle: what the simulated broker knows to be true of orders, executions and accounts, whatever its clients were told.

In:   questions of a test.   Out: orders by reference, with how often each was submitted; executions; accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from simulators.tws.account import Account
from simulators.tws.orders import Execution, Order


class Book:
    """All accounts of the login."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.accounts = accounts

    @property
    def orders(self) -> list[Order]:
        """Every order that was ever submitted, oldest first; refused ones too."""
        return sorted((order for account in self.accounts.values() for order in account.orders), key=lambda o: o.perm_id)

    @property
    def open_orders(self) -> list[Order]:
        return [order for order in self.orders if order.is_open]

    @property
    def executions(self) -> list[Execution]:
        """As corrected: one per fill, oldest first."""
        last = {execution.root: execution for account in self.accounts.values() for execution in account.executions}
        return sorted(last.values(), key=lambda e: (e.time_ns, e.exec_id))

    @property
    def submissions(self) -> Counter[str]:
        """Order reference → how many times an order with it was *taken as new*; more than once is an order sent twice."""
        return Counter(order.ref for order in self.orders)

    def order(self, ref: str) -> Order:
        """The only order with this reference. Raises `LookupError` for none or several."""
        found = [order for order in self.orders if order.ref == ref]
        if len(found) != 1:
            raise LookupError(f"{len(found)} orders have reference {ref!r}; the book has {sorted(self.submissions)}")
        return found[0]

    def fills(self, ref: str) -> list[Execution]:
        """Of all orders with this reference."""
        return [execution for execution in self.executions if execution.order.ref == ref]

    def position(self, name: str, account: str | None = None) -> Decimal:
        """Signed; of one account or of all."""
        chosen = self.accounts.values() if account is None else [self.accounts[account]]
        return sum(
            (holding.quantity for each in chosen for holding in each.holdings.values() if holding.listing.name == name),
            Decimal(0),
        )
