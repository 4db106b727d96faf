"""All that can be traded in the simulator, by number, by name, and by what a request says.

In:   a date; more listings of a test; a request's contract.   Out: the listings it may mean; market rules; the front month.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from simulators.tws import seeds
from simulators.tws.contract import Contract
from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing


class Catalogue:
    """All listings by number; what exists depends on the date it is made for."""

    def __init__(self, today: date) -> None:
        self._by_con_id: dict[int, Listing] = {}
        self._by_name: dict[str, Listing] = {}
        self._rules: dict[int, tuple[tuple[Decimal, Decimal], ...]] = {}
        self.fronts: dict[str, str] = {}
        """Family of futures → expiry of the month that CONTFUT names; put another there to roll."""
        for listing in seeds.listings(today):
            self.add(listing)
            if listing.sec_type == "FUT":
                self.fronts.setdefault(listing.symbol, listing.expiry)

    def add(self, listing: Listing, rule: tuple[tuple[Decimal, Decimal], ...] = ()) -> None:
        """One more; `rule`: its market rule as (low edge, increment), one increment if none is given."""
        self._by_con_id[listing.con_id] = self._by_name[listing.name] = listing
        self._rules[listing.market_rule] = rule or self._rules.get(listing.market_rule, ((Decimal(0), listing.tick),))

    def remove(self, name: str) -> None:
        """A contract that exists no more, such as an expired future."""
        del self._by_con_id[self._by_name.pop(name).con_id]

    def named(self, name: str) -> Listing:
        """By our name, or a family of futures for its front month."""
        if name in self.fronts and name not in self._by_name:
            return self.front(name)
        if name not in self._by_name:
            raise KeyError(f"{name} is not listed in the simulator; listed are {', '.join(sorted(self._by_name)[:20])} …")
        return self._by_name[name]

    def front(self, family: str) -> Listing:
        """The month that CONTFUT names today."""
        expiry = self.fronts[family]
        return next(x for x in self._by_con_id.values() if x.sec_type == "FUT" and (x.symbol, x.expiry) == (family, expiry))

    def find(self, wanted: Contract) -> list[Listing]:
        """All that a description may mean; CONTFUT is the front month."""
        if wanted.sec_type == "CONTFUT":
            plain = msgspec.structs.replace(wanted, sec_type="FUT", expiry="")
            return [x for x in self.find(plain) if self.fronts.get(x.symbol) == x.expiry]
        if wanted.con_id:
            listing = self._by_con_id.get(wanted.con_id)
            return [listing] if listing and (not wanted.exchange or wanted.exchange in listing.valid_exchanges) else []
        if not (wanted.symbol or wanted.local_symbol):
            return []
        return [listing for listing in self._by_con_id.values() if listing.matches(wanted)]

    def rule(self, rule_id: int) -> tuple[tuple[Decimal, Decimal], ...] | None:
        """Price bands of a market rule: from this price on, this step."""
        return self._rules.get(rule_id)

    def step(self, listing: Listing, price: Decimal) -> Decimal:
        """The order price step at `price`."""
        return [step for low, step in self._rules[listing.market_rule] if low <= price or not low][-1]

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._by_con_id.values())


def catalogue_at(now_ns: int) -> Catalogue:
    """What is listed on that day in New York."""
    return Catalogue(datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(ZoneInfo("America/New_York")).date())
