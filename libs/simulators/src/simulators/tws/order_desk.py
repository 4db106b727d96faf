"""Orders: what clients ask about them, and who is told what happens to them.

In:   order requests of sessions; events of the exchange.   Out: messages, in the sequence of a real Gateway, plus noise.

A client hears of its own orders, client 0 of those entered by hand too, the master client of all. All that one turn leads to is
said together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from simulators.market.chance import seeded
from simulators.tws import replies, requests
from simulators.tws.account import midnight_ns
from simulators.tws.checks import instant
from simulators.tws.events import Changed, Estimated, Event, Executed, Said
from simulators.tws.noise import disturbed
from simulators.tws.orders import Execution, Order
from simulators.tws.place_order import PlaceOrder
from simulators.tws.replies import Message
from simulators.tws.session import ApiSession

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

READ_ONLY = "The API interface is currently in Read-Only mode."


class OrderDesk:
    """One for the whole login."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self._chance = seeded(server.seed, "orders")
        self._turn: list[tuple[Callable[[ApiSession], bool], Message]] = []
        self._late: list[tuple[Callable[[ApiSession], bool], Message]] = []
        self.handlers: dict[str, Callable[[ApiSession, Any], object]] = {
            "placeOrder": self._place,
            "cancelOrder": self._cancel,
            "reqGlobalCancel": self._cancel_all,
            "reqOpenOrders": self._open,
            "reqAllOpenOrders": self._all_open,
            "reqAutoOpenOrders": self._auto_open,
            "reqCompletedOrders": self._completed,
            "reqExecutions": self._executions,
            "reqIds": lambda session, _: session.say(replies.next_valid_id(server.exchange.register.next_order_id())),
        }

    # --- events ---------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Put into words at once, for an order goes on changing; said at the end of the turn."""
        match event:
            case Changed(order, echo):
                hears = self._audience(order)
                if echo:
                    self._say(hears, replies.open_order(order))
                self._say(hears, replies.order_status(order))
            case Executed(execution):
                self._executed(execution)
            case Said(client_id, order_id, code, text):
                self._say(lambda session: session.client_id == client_id, replies.error(order_id, code, text))
            case Estimated(order, margins):
                self._say(self._audience(order, own_only=True), replies.open_order(order, margins))

    def _executed(self, execution: Execution) -> None:
        order, noise = execution.order, self._server.noise
        hears = self._audience(order)
        self._say(hears, replies.execution_details(-1, execution))
        self._say(hears, replies.open_order(order, commission=False))
        self._say(hears, replies.order_status(order))
        report = replies.commission_report(execution)
        if noise.commission_delay_s:
            self._late.append((hears, report))
        else:
            self._say(hears, replies.open_order(order))
            self._say(hears, report)
        if order.status == "Filled" and noise.unsolicited_completed:
            self._say(hears, replies.completed_order(order))

    def _audience(self, order: Order, own_only: bool = False) -> Callable[[ApiSession], bool]:
        ids = {order.client_id} if own_only else {order.client_id, self._server.master_client_id}
        return lambda session: session.client_id in ids

    def _say(self, hears: Callable[[ApiSession], bool], message: Message) -> None:
        self._turn.append((hears, message))

    def settle(self) -> None:
        """The end of a turn: say what it led to."""
        turn, self._turn = self._turn, []
        late, self._late = self._late, []
        if not turn and not late:
            return
        for session in self._server.ready_sessions():
            mine = [message for hears, message in turn if hears(session)]
            session.say(*disturbed(mine, self._server.noise, self._chance))
        if late:
            self._server.later(self._server.noise.commission_delay_s, lambda: self._say_late(late))

    def _say_late(self, late: Iterable[tuple[Callable[[ApiSession], bool], Message]]) -> None:
        for session in self._server.ready_sessions():
            session.say(*(message for hears, message in late if hears(session)))

    # --- requests -------------------------------------------------------------------------------------------------

    def _place(self, session: ApiSession, terms: PlaceOrder) -> None:
        server = self._server
        account = terms.account or (server.account_names[0] if len(server.account_names) == 1 else "")
        if server.read_only:
            session.say(replies.error(terms.order_id, 321, f"Error validating request.-'bW' : cause - {READ_ONLY}"))
        elif not account:
            session.say(replies.error(terms.order_id, 435, "You must specify an account."))
        elif account not in server.accounts:
            text = f"Error validating request.-'bW' : cause - Invalid account code '{account}'"
            session.say(replies.error(terms.order_id, 321, text))
        else:
            server.exchange.place(terms, session.client_id, account)

    def _cancel(self, session: ApiSession, request: requests.CancelOrder) -> None:
        if self._server.read_only:
            session.say(replies.error(request.order_id, 321, f"Error validating request.-'bW' : cause - {READ_ONLY}"))
        else:
            self._server.exchange.cancel(request.order_id, session.client_id)

    def _cancel_all(self, session: ApiSession, request: object) -> None:
        if self._server.read_only:
            session.say(replies.error(-1, 321, f"Error validating request.-'bW' : cause - {READ_ONLY}"))
        else:
            self._server.exchange.cancel_all()

    def _open(self, session: ApiSession, request: object) -> None:
        self._show_open(
            session, lambda order: order.client_id == session.client_id or (session.client_id == 0 and order.order_id <= 0)
        )

    def _all_open(self, session: ApiSession, request: object) -> None:
        self._show_open(session, lambda order: True)

    def _show_open(self, session: ApiSession, shown: Callable[[Order], bool]) -> None:
        if self._server.read_only:
            session.say(replies.error(-1, 321, f"Error validating request.-'bW' : cause - {READ_ONLY}"))
            return
        for order in self._server.exchange.open_orders():
            if shown(order):
                session.say(replies.open_order(order), replies.order_status(order))
        session.say((53, 1))

    def _auto_open(self, session: ApiSession, request: requests.Switch) -> None:
        session.auto_open_orders = request.on

    def _completed(self, session: ApiSession, request: requests.Switch) -> None:
        """Orders of today that are done, without their ids; with `apiOnly`, only those that came from the API."""
        if self._server.read_only:
            session.say(replies.error(-1, 321, f"Error validating request.-'bW' : cause - {READ_ONLY}"))
            return
        start_ns = midnight_ns(self._server.now_ns())
        for account in self._server.accounts.values():
            for order in account.orders:
                if order.done_ns >= start_ns and (not request.on or order.order_id > 0):
                    session.say(replies.completed_order(order, self._server.blank_completed_refs))
        session.say((102,))

    def _executions(self, session: ApiSession, request: requests.Executions) -> None:
        found = [execution for account in self._server.accounts.values() for execution in account.today(self._server.now_ns())]
        since = instant(request.since) if request.since else None
        shown = [
            execution
            for execution in sorted(found, key=lambda e: (e.time_ns, e.exec_id))
            if request.client_id in (0, execution.order.client_id)
            and request.account in ("", execution.order.account)
            and request.symbol in ("", execution.order.listing.symbol)
            and request.sec_type in ("", execution.order.listing.sec_type)
            and (since is None or execution.time_ns >= since)
            and request.side.upper()[:1] in ("", "B" if execution.order.is_buy else "S")
        ]
        for execution in shown:
            session.say(replies.execution_details(request.req_id, execution))
            if not self._server.noise.commission_delay_s:
                session.say(replies.commission_report(execution))
        session.say((55, 1, request.req_id))
        if self._server.noise.commission_delay_s:
            session.say(*map(replies.commission_report, shown))
