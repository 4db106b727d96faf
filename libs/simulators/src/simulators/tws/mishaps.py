"""What goes wrong between a client and its broker, on demand.

In:   calls of a test.   Out: errors, broken sockets, refused connections, reports nobody asked for.

Each method does one thing at once. For things that are to happen at a request or at a time, see `scripting`.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from simulators.tws import replies
from simulators.tws.orders import Execution, Order
from simulators.tws.place_order import PlaceOrder

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

FARMS = {
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2107: "HMDS data farm connection is inactive but should be available upon demand.ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usfarm",
    2110: "Connectivity between TWS and server is broken. It will be restored automatically.",
    2157: "Sec-def data farm connection is broken:secdefil",
    2158: "Sec-def data farm connection is OK:secdefil",
}
LOST = "Connectivity between IBKR and Trader Workstation has been lost."
RESTORED_LOST = "Connectivity between IBKR and Trader Workstation has been restored - data lost."
RESTORED = "Connectivity between IBKR and Trader Workstation has been restored - data maintained."
LIVE_UPDATES_FAILED = "Failed to request live updates (disconnected)."
BUST = "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately."


class Mishaps:
    """Of one simulator."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self.accept_then_close = False
        """As socat before a Gateway that is down: accepts, and closes."""
        self.linger_s = 0.0
        """How long a client id stays taken after its socket is gone: 326."""
        self._left: dict[int, float] = {}
        self._bound = 0

    # --- sockets --------------------------------------------------------------------------------------------------

    def drop_sockets(self, client_id: int | None = None) -> None:
        """Connections break, of one client or all."""
        for session in list(self._server.sessions):
            if client_id in (None, session.client_id):
                session.outbox.drop()

    def cut_inside_frame(self, client_id: int) -> None:
        """Half a message, and the connection is gone."""
        session = self._server.session(client_id)
        session.outbox.write_part(b"\0\0\0\x20" + b"4\0002\0")
        session.outbox.drop(reset=False)

    def stall(self, client_id: int | None = None) -> None:
        """A connection that is half dead: open, and nothing is read, answered or sent any more."""
        for session in self._server.ready_sessions():
            if client_id in (None, session.client_id):
                session.outbox.stalled = True

    async def restart(self, refuse_s: float = 0.0, socat_s: float = 0.0, in_use_s: float = 0.0) -> None:
        """A restart of the Gateway: sockets close, connections are refused, then accepted and closed, then answered with 326.

        Orders that were not transmitted are forgotten; all else is as before. Returns when connections are accepted again."""
        clients = [session.client_id for session in self._server.ready_sessions()]
        await self._server.refuse()
        for session in list(self._server.sessions):
            session.outbox.close()
        self._server.exchange.forget_untransmitted()
        await asyncio.sleep(refuse_s)
        self.accept_then_close = socat_s > 0
        await self._server.listen()
        until = time.monotonic() + socat_s + in_use_s
        for client_id in clients:
            self._left[client_id] = until if in_use_s else 0.0
        if socat_s:
            self._server.later(socat_s, lambda: setattr(self, "accept_then_close", False))

    def in_use(self, client_id: int) -> bool:
        return self._left.get(client_id, 0.0) > time.monotonic()

    def left(self, client_id: int) -> None:
        if client_id >= 0 and self.linger_s:
            self._left[client_id] = time.monotonic() + self.linger_s

    # --- connectivity and data ------------------------------------------------------------------------------------

    def lose_ibkr(self) -> None:
        """1100: the Gateway has lost IBKR; sockets stay, ticks stop. Orders go on, and their reports still come."""
        self._server.quotes.stalled.add("*")
        self._server.error(1100, LOST)

    def restore_ibkr(self, data: Literal["kept", "lost", "secretly_dead"] = "kept") -> None:
        """1102, or 1101 with all subscriptions gone; `secretly_dead` says 1102 and delivers nothing to old subscriptions."""
        server = self._server
        server.quotes.stalled.discard("*")
        if data != "kept":
            for session in server.ready_sessions():
                server.quotes.forget_subscriptions(session)
                server.bars.leave(session)
        server.error(1101 if data == "lost" else 1102, RESTORED_LOST if data == "lost" else RESTORED)

    def farm(self, code: int) -> None:
        """2103–2110, 2157, 2158. A broken farm stops the ticks, until it is said to be well."""
        if code in (2103, 2110):
            self._server.quotes.stalled.add("*")
        elif code in (2104, 2108):
            self._server.quotes.stalled.discard("*")
        self._server.error(code, FARMS[code])

    def stop_ticks(self, name: str = "*") -> None:
        """A stream goes silent and nobody says so; pings are answered."""
        self._server.quotes.stalled.add(name)

    def resume_ticks(self, name: str = "*") -> None:
        self._server.quotes.stalled.discard(name)

    def drop_bar_streams(self, code: int = 10182) -> None:
        """10182: bars are kept up to date no longer (10225: after a bust). The client has to ask again."""
        text = LIVE_UPDATES_FAILED if code == 10182 else BUST
        server = self._server
        for streams in (server.bars.live, server.bars.five):
            for session, req_id in list(streams):
                session.say(replies.error(req_id, code, text))
            streams.clear()

    # --- orders ---------------------------------------------------------------------------------------------------

    def notice(self, order: Order, code: int, text: str) -> None:
        """An error or notice on an order that changes nothing: 399, 404, 2109, 10349, 161 …"""
        self._server.error(code, text, order.order_id, order.client_id)

    def reject(self, order: Order, text: str = "Order rejected - reason:Rejected by the exchange", code: int = 201) -> None:
        """An order that was at work is refused after all; its children go with it."""
        self._server.exchange.end(order, "Cancelled", text, code)
        self._server.settle()

    def deactivate(self, order: Order) -> None:
        """`Inactive`: held, nothing of it fills; it may come back to life (`revive`)."""
        order.status = "Inactive"
        self._server.emit(replies.order_status(order), client_id=order.client_id)

    def revive(self, order: Order) -> None:
        """An `Inactive` order is at work again."""
        self._server.exchange.revive(order)
        self._server.settle()

    def cancel(self, order: Order, reason: str = "Cancelled by the exchange") -> None:
        """202, though nobody asked."""
        self._server.exchange.end(order, "Cancelled", reason)
        self._server.settle()

    def fill(self, order: Order, quantity: Decimal | int, price: Decimal | None = None) -> Execution:
        """A fill whatever the market says, also of an order that is cancelled."""
        execution = self._server.exchange.fill(order, Decimal(quantity), price)
        self._server.settle()
        return execution

    def repeat(self, execution: Execution, client_id: int | None = None) -> None:
        """The same execution once more, with the same id: to its client, or to another one too."""
        to = execution.order.client_id if client_id is None else client_id
        self._server.emit(replies.execution_details(-1, execution), replies.commission_report(execution), client_id=to)

    def liquidate(self, name: str, action: Literal["BUY", "SELL"], quantity: int) -> Order:
        """The broker closes by itself, for want of margin."""
        return self.enter_by_hand(name, action, quantity, liquidates=True)

    def enter_by_hand(
        self, name: str, action: Literal["BUY", "SELL"], quantity: int, limit: Decimal | None = None, *, liquidates: bool = False
    ) -> Order:
        """An order from the window of TWS: no client's, with id 0; a negative one where client 0 binds such orders."""
        server = self._server
        listing = server.catalogue.named(name)
        terms = PlaceOrder(
            order_id=0,
            contract=listing.contract(),
            action=action,
            quantity=Decimal(quantity),
            order_type="MKT" if limit is None else "LMT",
            limit_price=limit,
            tif="GTC",
            account=server.account_names[0],
        )
        order = Order(
            terms=terms,
            listing=listing,
            account=terms.account,
            client_id=0,
            order_id=self._bound_id(),
            perm_id=server.exchange.register.new_perm_id(),
            quantity=terms.quantity,
            liquidates=liquidates,
            placed_ns=server.now_ns(),
        )
        server.exchange.adopt(order)
        if order.order_id:
            server.emit((100, order.perm_id, 0, order.order_id), client_id=0)
        server.settle()
        return order

    def _bound_id(self) -> int:
        if not any(session.client_id == 0 and session.auto_open_orders for session in self._server.ready_sessions()):
            return 0
        self._bound += 1
        return -self._bound

    def correct(self, execution: Execution, price: Decimal) -> Execution:
        """The broker corrects a fill: the same id with a higher last part. The account is booked anew."""
        number = int(execution.exec_id.rpartition(".")[2]) + 1
        order = execution.order
        order.value += (price - execution.price) * execution.quantity
        exec_id = f"{execution.root}.{number:02d}"
        corrected = msgspec.structs.replace(execution, exec_id=exec_id, price=price, average=order.average)
        account = self._server.accounts[order.account]
        account.executions.append(corrected)
        account.book_anew()
        self._server.emit(replies.execution_details(-1, corrected), client_id=order.client_id)
        self._server.emit(replies.commission_report(corrected), client_id=order.client_id)
        self._server.account_desk.touched(order.account, order.listing.con_id)
        self._server.settle()
        return corrected
