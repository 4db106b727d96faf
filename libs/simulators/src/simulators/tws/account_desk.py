"""Accounts: positions, account values, summaries, profit and loss; asked for once or subscribed.

In:   account requests of sessions; the end of a turn in which an account changed.   Out: messages.

Positions are told when they change. Account values and PnL are told to subscribers when an execution changed them, and now
and then.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulators.tws import replies, requests
from simulators.tws.account import Account, Holding
from simulators.tws.hours import NS_PER_S
from simulators.tws.orders import NOTHING
from simulators.tws.replies import Message
from simulators.tws.session import ApiSession
from simulators.tws.wire import UNSET

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

CENT = Decimal("0.01")
VALUES_EVERY_S = 180
PNL_EVERY_S = 1


class _Subscriptions:
    """Of one session."""

    def __init__(self) -> None:
        self.positions = False
        self.updates: set[str] = set()
        self.multi: dict[int, str] = {}
        self.summaries: dict[int, str] = {}
        self.pnl: dict[int, requests.PnL | requests.PnLSingle] = {}


class AccountDesk:
    """One for the whole login."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self._subscriptions: dict[ApiSession, _Subscriptions] = {}
        self._changed: set[tuple[str, int]] = set()
        self._values_ns = self._pnl_ns = server.now_ns()
        self.handlers: dict[str, Callable[[ApiSession, Any], object]] = {
            "reqPositions": self._positions,
            "cancelPositions": lambda session, _: setattr(self._of(session), "positions", False),
            "reqAccountUpdates": self._updates,
            "reqAccountUpdatesMulti": self._multi,
            "cancelAccountUpdatesMulti": lambda session, request: self._of(session).multi.pop(request.req_id, None),
            "reqAccountSummary": self._summary,
            "cancelAccountSummary": lambda session, request: self._of(session).summaries.pop(request.req_id, None),
            "reqPnL": self._pnl,
            "reqPnLSingle": self._pnl,
            "cancelPnL": lambda session, request: self._of(session).pnl.pop(request.req_id, None),
            "cancelPnLSingle": lambda session, request: self._of(session).pnl.pop(request.req_id, None),
            "reqManagedAccts": lambda session, _: session.say(replies.managed_accounts(server.account_names)),
        }

    def _of(self, session: ApiSession) -> _Subscriptions:
        return self._subscriptions.setdefault(session, _Subscriptions())

    def leave(self, session: ApiSession) -> None:
        self._subscriptions.pop(session, None)

    # --- requests -------------------------------------------------------------------------------------------------

    def _positions(self, session: ApiSession, request: object) -> None:
        self._of(session).positions = True
        for account in self._server.accounts.values():
            session.say(*(_position(account, holding) for holding in account.holdings.values() if holding.quantity))
        session.say((62, 1))

    def _updates(self, session: ApiSession, request: requests.AccountUpdates) -> None:
        name = request.account or self._server.account_names[0]
        if name not in self._server.accounts:
            session.say(replies.error(-1, 321, f"Error validating request.-'bS' : cause - Invalid account code '{name}'"))
        elif request.on:
            self._of(session).updates = {name}
            self._tell_updates(session, self._server.accounts[name])
        else:
            self._of(session).updates.discard(name)

    def _multi(self, session: ApiSession, request: requests.AccountUpdatesMulti) -> None:
        if request.account not in self._server.accounts:
            text = f"Error validating request.-'bS' : cause - Invalid account code '{request.account}'"
            session.say(replies.error(request.req_id, 321, text))
            return
        self._of(session).multi[request.req_id] = request.account
        self._tell_multi(session, request.req_id, self._server.accounts[request.account])
        session.say((74, 1, request.req_id))

    def _summary(self, session: ApiSession, request: requests.AccountSummary) -> None:
        mine = self._of(session).summaries
        if len(mine) >= 2 and request.req_id not in mine:
            session.say(replies.error(request.req_id, 322, "Maximum number of account summary requests exceeded"))
            return
        mine[request.req_id] = request.tags
        self._tell_summary(session, request.req_id, request.tags)

    def _pnl(self, session: ApiSession, request: requests.PnL | requests.PnLSingle) -> None:
        if request.account not in self._server.accounts:
            session.say(
                replies.error(
                    request.req_id, 321, f"Error validating request.-'bS' : cause - Invalid account '{request.account}'"
                )
            )
            return
        self._of(session).pnl[request.req_id] = request
        session.say(self._pnl_message(request))

    # --- telling --------------------------------------------------------------------------------------------------

    def touched(self, account: str, con_id: int) -> None:
        """An execution changed this holding."""
        self._changed.add((account, con_id))

    def settle(self) -> None:
        """The end of a turn: tell what changed in it."""
        changed, self._changed = sorted(self._changed), set()
        if not changed:
            return
        accounts = {name for name, _ in changed}
        for session, mine in list(self._subscriptions.items()):
            for name, con_id in changed:
                account = self._server.accounts[name]
                if mine.positions:
                    session.say(_position(account, account.holdings[con_id]))
            self._tell_subscribers(session, mine, accounts)

    def pulse(self, now_ns: int) -> None:
        """The time; tells what is due."""
        if now_ns - self._pnl_ns >= PNL_EVERY_S * NS_PER_S:
            self._pnl_ns = now_ns
            for session, mine in list(self._subscriptions.items()):
                session.say(*map(self._pnl_message, mine.pnl.values()))
        if now_ns - self._values_ns >= VALUES_EVERY_S * NS_PER_S:
            self._values_ns = now_ns
            for session, mine in list(self._subscriptions.items()):
                self._tell_subscribers(session, mine, set(self._server.accounts))

    def _tell_subscribers(self, session: ApiSession, mine: _Subscriptions, accounts: set[str]) -> None:
        for name in sorted(mine.updates & accounts):
            self._tell_updates(session, self._server.accounts[name])
        for req_id, name in mine.multi.items():
            if name in accounts:
                self._tell_multi(session, req_id, self._server.accounts[name])
        for req_id, tags in mine.summaries.items():
            self._tell_summary(session, req_id, tags, end=False)
        for request in mine.pnl.values():
            if request.account in accounts:
                session.say(self._pnl_message(request))

    def _tell_updates(self, session: ApiSession, account: Account) -> None:
        session.say(*((6, 2, tag, value, currency, account.name) for tag, value, currency in account.values()))
        session.say(*(self._portfolio(account, holding) for holding in account.holdings.values()))
        session.say((8, 1, replies.clock_text(self._server.now_ns())[9:14]), (54, 1, account.name))

    def _tell_multi(self, session: ApiSession, req_id: int, account: Account) -> None:
        session.say(*((73, 1, req_id, account.name, "", tag, value, currency) for tag, value, currency in account.values()))

    def _tell_summary(self, session: ApiSession, req_id: int, tags: str, end: bool = True) -> None:
        wanted = set(tags.split(","))
        for account in self._server.accounts.values():
            for tag, value, currency in account.values():
                if tag in wanted and currency != "BASE":
                    session.say((63, 1, req_id, account.name, tag, value, currency))
        if end:
            session.say((64, 1, req_id))

    def _portfolio(self, account: Account, holding: Holding) -> Message:
        listing, price = holding.listing, self._server.market.mid(holding.listing)
        value = holding.quantity * price * listing.units
        cost = holding.average * listing.units
        figures = (holding.quantity, price, _cents(value), cost, _cents(holding.unrealized(price)), _cents(holding.realized))
        return replies.portfolio_value(account.name, listing.contract(), figures)

    def _pnl_message(self, request: requests.PnL | requests.PnLSingle) -> Message:
        account = self._server.accounts[request.account]
        if isinstance(request, requests.PnL):
            unrealized, realized = account.unrealized(), account.realized - account.commissions
            said = _cents(realized) if account.executions else UNSET
            return (94, request.req_id, _cents(unrealized + realized), _cents(unrealized), said)
        holding = account.holdings.get(request.con_id)
        if holding is None:
            return (95, request.req_id, 0, 0, UNSET, UNSET, 0)
        price, rate = self._server.market.mid(holding.listing), account.rate(holding.listing.currency)
        unrealized, realized = holding.unrealized(price) * rate, holding.realized * rate
        value = holding.quantity * price * holding.listing.units * rate
        figures = (holding.quantity, _cents(unrealized + realized), _cents(unrealized), _cents(realized), _cents(value))
        return (95, request.req_id, *figures)


def _position(account: Account, holding: Holding) -> Message:
    cost = holding.average * holding.listing.units if holding.quantity else NOTHING
    return replies.position(account.name, holding.listing.contract(), holding.quantity, cost)


def _cents(value: Decimal) -> Decimal:
    return value.quantize(CENT)
