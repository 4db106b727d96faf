"""The simulated Gateway: a TCP server that an unmodified ib_async client takes for TWS, and the handle of the test that runs it.

In:   connections of clients; quotes, scripts and mishaps of a test.   Out: what a Gateway says; `book`, what is true.

    async with TwsSimulator() as tws:
        tws.quote("USDJPY", 150.00, 150.01)
        await ib.connectAsync("127.0.0.1", tws.port, clientId=7)
        ...
        assert tws.book.order("my-ref").filled == 25_000

Everything that a broker knows (orders, executions, positions, ids) outlives sockets and restarts of the Gateway. A message from
the client that cannot be read fails the `async with` at its end, unless `strict=False`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from types import TracebackType

from simulators.tws import replies
from simulators.tws.account import Account, cross_rate
from simulators.tws.account_desk import AccountDesk
from simulators.tws.bar_desk import BarDesk
from simulators.tws.book import Book
from simulators.tws.catalogue import catalogue_at
from simulators.tws.contract_desk import ContractDesk
from simulators.tws.events import Event, Executed
from simulators.tws.limits import Limits
from simulators.tws.market import Lane, Market, Tick
from simulators.tws.matching import Exchange
from simulators.tws.mishaps import Mishaps
from simulators.tws.noise import Noise
from simulators.tws.order_desk import OrderDesk
from simulators.tws.place_order import PlaceOrder
from simulators.tws.quote_desk import QuoteDesk
from simulators.tws.replies import Message
from simulators.tws.requests import Request
from simulators.tws.scripting import Act, Script
from simulators.tws.session import ApiSession
from simulators.tws.transcript import Entry, Transcript

PULSE_S = 0.05
SERVER_VERSION = 178
SPOKEN_FROM = 157
"""The oldest that ib_async accepts."""


class UnreadableRequests(AssertionError):
    """Clients sent what is not the protocol; raised when the simulator ends."""


class TwsSimulator:
    """One login with its accounts. Its parts: `book`, `script`, `mishaps`, `quotes`, `exchange`, `transcript`."""

    def __init__(
        self,
        *,
        accounts: Sequence[str] = ("DU1234567",),
        cash: Decimal | int = 1_000_000,
        seed: int = 1,
        port: int = 0,
        noise: Noise | None = None,
        limits: Limits | None = None,
        clock: Callable[[], int] | None = None,
        keep_hours: bool = False,
        version: int = SERVER_VERSION,
        strict: bool = True,
    ) -> None:
        """Raises `ValueError` for a version that cannot be spoken.

        `clock`: ns UTC, for all that is stamped; the wall's unless given. `keep_hours`: markets close when their hours say."""
        if SPOKEN_FROM <= version < SERVER_VERSION:
            raise ValueError(
                f"server version {version}: only {SERVER_VERSION} is spoken; one below {SPOKEN_FROM} is too old for clients"
            )
        self.seed = seed
        self.host = "127.0.0.1"
        self.port = port
        self.noise = noise or Noise()
        self.limits = limits or Limits()
        self.version = version
        self.read_only = False
        self.blank_completed_refs = False
        self.master_client_id: int | None = None
        self.snapshot_s = 0.02
        self.next_valid_id: int | None = None
        """What is told on connecting instead of the true next id."""
        self.complaints: list[str] = []
        self.now_ns: Callable[[], int] = clock or time.time_ns
        self.real_ns: Callable[[], int] = time.monotonic_ns
        self._strict = strict
        self.keep_hours = keep_hours
        self.account_names = list(accounts)
        self.catalogue = catalogue_at(self.now_ns())
        self.market = Market(self.catalogue, self.now_ns, keep_hours)
        self.accounts = {name: Account(name, Decimal(cash), self.market.mid) for name in accounts}
        for account in self.accounts.values():
            account.rate_source = lambda currency, base=account.currency: cross_rate(currency, base, self._mid_of)  # type: ignore[misc]
        self.book = Book(self.accounts)
        self.exchange = Exchange(self.accounts, self.market, self.limits, self.now_ns, self._tell)
        self.transcript = Transcript()
        self.script = Script(self.later)
        self.contracts = ContractDesk(self)
        self.orders = OrderDesk(self)
        self.account_desk = AccountDesk(self)
        self.quotes = QuoteDesk(self)
        self.bars = BarDesk(self)
        self.mishaps = Mishaps(self)
        self._desks = (self.contracts, self.orders, self.account_desk, self.quotes, self.bars)
        self._handlers = {name: handler for desk in self._desks for name, handler in desk.handlers.items()}
        self.sessions: list[ApiSession] = []
        self._server: asyncio.Server | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._accepted = 0

    # --- its life -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> TwsSimulator:
        await self.listen()
        self._pulse = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()
        if self._strict and self.complaints and error is None:
            raise UnreadableRequests("; ".join(self.complaints))

    async def listen(self) -> None:
        """Accept connections, on the same port as before if there was one."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._new_session, self.host, self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """End all connections and timers."""
        await self.refuse()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
            self._pulse = None
        for session in list(self.sessions):
            session.outbox.close()
        for _ in range(3):
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PULSE_S)
            self.pulse()

    def pulse(self) -> None:
        """Everything that the time alone brings: bars that close, orders that expire, figures that are due."""
        now_ns = self.now_ns()
        if self.keep_hours:
            for lane in self.market:
                self._note_hours(lane)
        self.bars.pulse(now_ns)
        self.exchange.expire()
        self.account_desk.pulse(now_ns)
        self.settle()

    def later(self, seconds: float, act: Act) -> None:
        """Call `act` so much later, unless the simulator has ended."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            self._timers.discard(timer)
            act()
            self.settle()

        timer = loop.call_later(seconds, run)
        self._timers.add(timer)

    # --- the market -----------------------------------------------------------------------------------------------

    def quote(
        self,
        name: str,
        bid: float,
        ask: float,
        bid_size: float | None = None,
        ask_size: float | None = None,
        time_ns: int | None = None,
    ) -> None:
        """The market moves: orders match, subscribers are told. Sizes stay as they were unless given."""
        lane = self.market.named(name)
        before = (lane.bid, lane.ask, lane.bid_size, lane.ask_size)
        tick = Tick(
            self.now_ns() if time_ns is None else time_ns,
            float(bid),
            float(ask),
            before[2] if bid_size is None else float(bid_size),
            before[3] if ask_size is None else float(ask_size),
        )
        lane.quote(tick)
        if self.market.is_open(lane):
            self.quotes.quoted(lane, before, tick)
        self.exchange.match(lane)
        self.settle()

    def trade(self, name: str, price: float, size: float = 1.0, time_ns: int | None = None) -> None:
        """A trade on the tape; stops may trigger."""
        lane = self.market.named(name)
        tick = Tick(self.now_ns() if time_ns is None else time_ns, price=float(price), size=float(size))
        lane.trade(tick)
        if self.market.is_open(lane):
            self.quotes.traded(lane, tick)
        self.exchange.match(lane)
        self.settle()

    def halt(self, name: str, halted: bool = True) -> None:
        """A trading halt: nothing matches; or its end."""
        lane = self.market.named(name)
        lane.halted = halted
        self.quotes.halted(lane)
        self.exchange.match(lane)
        self.settle()

    def plan(self, key: str, *portions: Decimal | int) -> None:
        """How the order with this reference, or every coming order on this listing, fills: one portion per match, then no more.

        An order is matched when it arrives and at every quote and trade of its listing. Without portions nothing fills by itself.
        """
        self.exchange.plan(key, [Decimal(portion) for portion in portions])

    def switch_market(self, name: str, is_open: bool | None) -> None:
        """Open or close a listing's market by hand; None: as its hours have it, or always open."""
        lane = self.market.named(name)
        lane.switched = is_open
        self._note_hours(lane)
        self.settle()

    def _note_hours(self, lane: Lane) -> None:
        """Tell of a market that has opened or closed since it was last looked at."""
        if self.market.is_open(lane) != lane.was_open:
            lane.was_open = not lane.was_open
            self.quotes.switched(lane)
            self.exchange.reopened(lane)

    # --- sessions -------------------------------------------------------------------------------------------------

    def _new_session(self) -> ApiSession:
        self._accepted += 1
        return ApiSession(self, self._accepted)

    def opened(self, session: ApiSession) -> None:
        """A connection was accepted."""
        self.sessions.append(session)
        if len(self.sessions) > self.limits.clients:
            session.outbox.close()
        step = self.script.step("connect", -1)
        if step is not None and step.kind in ("drop", "close"):
            session.outbox.drop(reset=step.kind == "drop")
        elif step is not None and step.kind == "silence":
            session.outbox.stalled = True
        elif self.mishaps.accept_then_close:
            session.outbox.close()

    def closed(self, session: ApiSession) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
        self.mishaps.left(session.client_id)
        for desk in (self.account_desk, self.quotes, self.bars):
            desk.leave(session)

    def start_api(self, session: ApiSession, client_id: int) -> None:
        """The client says who it is: taken, or told that its id is in use."""
        session.client_id = client_id
        twin = any(other.ready and other.client_id == client_id for other in self.sessions if other is not session)
        if twin or self.mishaps.in_use(client_id):
            session.client_id = -1
            session.say(
                replies.error(-1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
            )
            session.outbox.close()
            return
        session.ready = True
        next_id = self.exchange.register.next_order_id() if self.next_valid_id is None else self.next_valid_id
        session.say(replies.managed_accounts(self.account_names), replies.next_valid_id(next_id))
        if self.noise.farm_notices:
            session.say(
                replies.error(-1, 2104, "Market data farm connection is OK:usfarm"),
                replies.error(-1, 2106, "HMDS data farm connection is OK:ushmds"),
                replies.error(-1, 2158, "Sec-def data farm connection is OK:secdefil"),
            )
        if self.noise.unsolicited_open_orders:
            for order in self.exchange.open_orders():
                if order.client_id == client_id:
                    session.say(replies.open_order(order), replies.order_status(order))

    def perform(self, session: ApiSession, name: str, request: Request | PlaceOrder) -> None:
        """A request of a client, to the desk it is for. A bug of ours is the test's to see, not the client's to guess."""
        try:
            self._handlers[name](session, request)
            self.settle()
        except Exception as bug:
            self.complain(f"client {session.client_id}: {name} could not be handled: {bug!r}")
            session.say(replies.error(-1, 322, f"Error processing request: {name}"))
            raise

    def ready_sessions(self) -> list[ApiSession]:
        return [session for session in self.sessions if session.ready]

    def session(self, client_id: int) -> ApiSession:
        """The connection of this client. Raises `LookupError` without one."""
        for session in self.ready_sessions():
            if session.client_id == client_id:
                return session
        raise LookupError(f"client {client_id} is not connected; connected are {[s.client_id for s in self.ready_sessions()]}")

    # --- saying and noting ----------------------------------------------------------------------------------------

    def emit(self, *messages: Message, client_id: int | None = None) -> None:
        """Say these to one client or to all, whatever the state is."""
        for session in self.ready_sessions():
            if client_id in (None, session.client_id):
                session.say(*messages)

    def error(self, code: int, text: str, req_id: int = -1, client_id: int | None = None) -> None:
        """An error or a notice."""
        self.emit(replies.error(req_id, code, text), client_id=client_id)

    def settle(self) -> None:
        """The end of a turn: what it led to is said."""
        self.orders.settle()
        self.account_desk.settle()

    def complain(self, text: str) -> None:
        """Something that no client should do; kept for the test."""
        self.complaints.append(text)

    def record(self, entry: Entry) -> None:
        self.transcript.add(entry)

    def record_ticks(self, client_id: int, messages: Iterable[Message]) -> None:
        now_ns = self.now_ns()
        for message in messages:
            self.transcript.add(Entry(now_ns, client_id, "out", message))

    def _tell(self, event: Event) -> None:
        self.orders.tell(event)
        if isinstance(event, Executed):
            self.account_desk.touched(event.execution.order.account, event.execution.order.listing.con_id)

    def _mid_of(self, pair: str) -> Decimal:
        return self.market.mid(self.catalogue.named(pair))
