"""Contracts: details, market rules, symbols by pattern, option chains; and the time.

In:   requests of sessions.   Out: messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulators.tws import replies, requests
from simulators.tws.contract import Contract
from simulators.tws.listing import Listing, details
from simulators.tws.session import ApiSession
from simulators.tws.wire import Value

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

NO_DEFINITION = "No security definition has been found for the request"


class ContractDesk:
    """One for the whole login."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self.handlers: dict[str, Callable[[ApiSession, Any], None]] = {
            "reqContractDetails": self._details,
            "reqMarketRule": self._rule,
            "reqMatchingSymbols": self._matching,
            "reqSecDefOptParams": self._chains,
            "reqCurrentTime": lambda session, _: session.say(replies.current_time(server.now_ns())),
        }

    def resolve(self, session: ApiSession, req_id: int, wanted: Contract) -> Listing | None:
        """The one listing that is meant; None after an error was said."""
        found = self._server.catalogue.find(wanted)
        if len(found) == 1:
            return found[0]
        name = wanted.symbol or wanted.local_symbol or wanted.con_id
        text = f"The contract description specified for {name} is ambiguous." if found else NO_DEFINITION
        session.say(replies.error(req_id, 200, text))
        return None

    def _details(self, session: ApiSession, request: requests.ContractDetails) -> None:
        found = self._server.catalogue.find(request.contract)
        if not found:
            session.say(replies.error(request.req_id, 200, NO_DEFINITION))
            return
        sec_type = "CONTFUT" if request.contract.sec_type == "CONTFUT" else ""
        session.say(*(details(request.req_id, listing, self._server.now_ns(), sec_type) for listing in found))
        session.say((52, 1, request.req_id))

    def _rule(self, session: ApiSession, request: requests.MarketRule) -> None:
        bands = self._server.catalogue.rule(request.rule_id)
        if bands is None:
            session.say(replies.error(-1, 321, f"Error validating request.-'bX' : cause - Invalid market rule {request.rule_id}"))
        else:
            session.say((93, request.rule_id, len(bands), *(value for band in bands for value in band)))

    def _matching(self, session: ApiSession, request: requests.MatchingSymbols) -> None:
        found = {
            listing.con_id: listing
            for listing in self._server.catalogue
            if listing.sec_type in ("STK", "CASH") and listing.name.startswith(request.pattern.upper())
        }
        fields: list[tuple[Value, ...]] = [
            (
                each.con_id,
                each.symbol,
                each.sec_type,
                each.primary_exchange or each.exchange,
                each.currency,
                0,
                each.long_name,
                "",
            )
            for each in found.values()
        ]
        session.say((79, request.req_id, len(fields), *(value for each in fields for value in each)))

    def _chains(self, session: ApiSession, request: requests.OptionParameters) -> None:
        chains: dict[tuple[str, str, str], list[Listing]] = defaultdict(list)
        for listing in self._server.catalogue:
            if listing.sec_type == "OPT" and listing.under_con_id == request.con_id:
                for exchange in listing.valid_exchanges:
                    chains[exchange, listing.trading_class, listing.multiplier].append(listing)
        for (exchange, trading_class, multiplier), options in sorted(chains.items()):
            expiries = sorted({option.expiry for option in options})
            strikes = sorted({option.strike for option in options if option.strike})
            said: tuple[Value, ...] = (len(expiries), *expiries, len(strikes), *strikes)
            session.say((75, request.req_id, exchange, request.con_id, trading_class, multiplier, *said))
        session.say((76, request.req_id))
