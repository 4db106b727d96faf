"""What the portfolio knows: the accounts' books, the latest prices, and what it has published and warned of."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from barque.messages import Mark
from portfolio.core.books import Account
from portfolio.core.history import Memory
from portfolio.core.valuation import Valuation


class Unvalued(msgspec.Struct, kw_only=True):
    """An account that cannot be valued."""

    since_ns: int
    lasts: bool = False
    """People have been told that it lasts."""


class PortfolioState(msgspec.Struct, kw_only=True):
    """The whole state of a `PortfolioNode`."""

    now_ns: int = 0
    accounts: dict[str, Account] = {}
    marks: dict[str, Mark] = {}
    bar_marks: dict[str, Mark] = {}
    """Made of bars' closes, for symbols that have no marks."""
    published: dict[str, Valuation] = {}
    """Last valuation by account."""
    due_ns: dict[str, int] = {}
    """When an account is next to be valued."""
    warned: dict[str, None] = {}
    """Of accounts that are not configured, each warning is given once."""
    counters: dict[str, int] = {}
    flows: dict[str, Decimal] = {}
    """Deposits less withdrawals by account, in its base currency at the prices of their time."""
    flows_due: dict[str, dict[str, Decimal]] = {}
    """By account and currency: of those, what the next valuation is to convert."""
    memory: Memory | None = None
    """What the shell has told of the ledger, while a batch with fills is handled; None between."""
    unvalued: dict[str, Unvalued] = {}
    """Accounts that cannot be valued now."""

    def open_account(self, name: str, currency: str, starting_cash: Decimal) -> None:
        """Begin books for an account that has none."""
        if name not in self.accounts:
            self.accounts[name] = Account(cash={currency: starting_cash})

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counters[name] = self.counters.get(name, 0) + 1
