"""An account at the TWS simulator, traded through the adapter: over TCP, with the real ib_async.

In:   orders and mishaps of a test.   Out: what the adapter reported; the simulator's own book is the judge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeVar

from barque.config import load_section
from barque.errors import VenueRefused, VenueUnavailable
from barque.instruments import Instrument
from barque.messages import ClockTicked, Message, ModifyOrder, RejectReason, SubmitOrder
from barque.venue import Connected, Disconnected, Executed, Rejected, VenueAccount, VenueEvent
from router.core.orders import cancel_of
from router.core.sending.config import SendingConfig
from router.core.sending.effects import AskBooks, Change, Effect, Send, Withdraw
from router.core.sending.events import Books, BooksUnavailable, Lost, NotSent, Release
from router.core.sending.node import SendingNode
from simulators.tws.orders import Order
from simulators.tws.server import TwsSimulator
from tests.support.builders import an_order, eurusd, usdjpy
from venues.ibkr.adapter import IbkrVenue
from venues.ibkr.config import IbkrConfig

D = Decimal
K = TypeVar("K")
ACCOUNT = "DU1234567"
PATIENT_S = 10.0


def instruments() -> list[Instrument]:
    """Two pairs, a future with its front month, a stock."""
    nq = Instrument(symbol="NQ", asset_class="future", currency="USD", tick_size=D("0.25"), contract_size=D(20))
    spy = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=D("0.01"))
    return [eurusd(), usdjpy(), nq, spy]


def an_ibkr_config(tws: TwsSimulator, **section: Any) -> IbkrConfig:
    """Impatient, so that what fails fails soon."""
    base: dict[str, Any] = {
        "port": tws.port,
        "connect_timeout_s": 2.0,
        "request_timeout_s": 2.0,
        "reconnect_min_s": 0.05,
        "reconnect_max_s": 0.3,
        "ping_interval_s": 0.3,
        "ping_timeout_s": 0.5,
        "contracts": [{"symbol": "NQ", "exchange": "CME", "trading_class": "NQ"}],
    }
    return load_section({"ibkr": base | section}, "ibkr", IbkrConfig)


async def until(holds: Callable[[], Any], seconds: float = PATIENT_S) -> None:
    """Wait until it does; fails with what it was waiting for."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"still not so after {seconds} s"
        await asyncio.sleep(0.01)


@contextmanager
def unheard(tws: TwsSimulator, client_id: int = 12) -> Iterator[None]:
    """What the simulator says to this client meanwhile is lost on the way."""
    outbox = tws.session(client_id).outbox
    outbox.stalled = True
    yield
    outbox.flush()
    outbox.stalled = False


class Trader:
    """The adapter and what it has reported."""

    def __init__(self, tws: TwsSimulator, account: str = ACCOUNT, **section: Any) -> None:
        self.tws = tws
        self.config = an_ibkr_config(tws, **section)
        self.venue = IbkrVenue(self.config, instruments(), account)
        self.events: list[VenueEvent] = []
        self.account: VenueAccount | None = None
        self.may_send = True
        self.number = 0
        self.tokens: dict[str, str] = {}
        self.orders: dict[str, SubmitOrder] = {}

    async def __aenter__(self) -> Trader:
        self.account = await self.venue.connect(self.events.append, lambda: self.may_send)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.venue.close()

    def an_order(self, order_id: str, **changes: Any) -> SubmitOrder:
        """One contract to buy at the market, good till cancelled."""
        order = an_order(order_id=order_id, account=ACCOUNT, **({"symbol": "EURUSD"} | changes))
        self.number += 1
        self.tokens[order_id] = self.venue.token(order_id, self.number)
        self.orders[order_id] = order
        return order

    async def send(self, *orders: SubmitOrder) -> None:
        """Hand them to the wire together."""
        await self.venue.submit([(order, self.tokens[order.order_id]) for order in orders])

    async def place(self, order_id: str, **changes: Any) -> SubmitOrder:
        """One order, handed to the wire."""
        order = self.an_order(order_id, **changes)
        await self.send(order)
        return order

    async def cancel(self, order_id: str) -> None:
        order = self.orders[order_id]
        await self.venue.cancel(cancel_of(order, "c", "r", time.time_ns()), self.tokens[order_id])

    async def modify(self, order_id: str, **terms: Any) -> None:
        order = self.orders[order_id]
        about = {name: getattr(order, name) for name in ("order_id", "strategy_id", "account", "symbol")}
        request = ModifyOrder(**about, cause="m", root="r", ts_event_ns=time.time_ns(), **terms)
        await self.venue.modify(request, order, self.tokens[order_id])

    def said(self, order_id: str) -> list[str]:
        """Kinds of events about the order, in their order, executions apart."""
        about = [event for event in self.events if getattr(event, "order_id", None) == order_id]
        return [type(event).__name__ for event in about]

    def of(self, kind: type[K]) -> list[K]:
        """Events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def filled(self, order_id: str) -> Decimal:
        """Contracts of the order, by distinct executions as corrected."""
        found = {each.execution.exec_id: each.execution for each in self.of(Executed) if each.execution.order_id == order_id}
        for execution in list(found.values()):
            found.pop(execution.corrects, None)
        return sum((execution.quantity for execution in found.values()), D(0))

    def at_tws(self, order_id: str) -> Order:
        """The simulator's own record."""
        return self.tws.book.order(self.tokens[order_id])


class Sender:
    """A sender's core with the adapter, transaction by transaction, in memory: what a shell does, without its stores."""

    def __init__(self, tws: TwsSimulator, section: dict[str, Any] | None = None, **sender: Any) -> None:
        base: dict[str, Any] = {"venue": "ibkr", "account": ACCOUNT, "ack_timeout_s": 0.5, "books_timeout_s": 3.0, "burst": 20}
        self.venue = IbkrVenue(an_ibkr_config(tws, **(section or {})), instruments(), ACCOUNT)
        self._make = lambda: SendingNode(
            load_section({"sender": base | sender}, "sender", SendingConfig),
            self.venue.capabilities,
            "ibkr",
            [each.symbol for each in instruments()],
        )
        self.node = self._make()
        self.said: list[Message] = []
        self._inbox: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self.ahead_ns = 0
        """How far the core's clock is ahead of the wall's: quiet periods need not be sat out."""

    async def __aenter__(self) -> Sender:
        self._inbox.append(Disconnected(ts_event_ns=self._now(), detail="the sender has started"))
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in [*self._tasks, *([self._loop] if self._loop else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await self.venue.close()

    async def connect(self) -> None:
        await self.venue.connect(self._inbox.append, lambda: True)
        self._inbox.append(Connected(ts_event_ns=self._now()))

    def tell(self, *messages: Any) -> None:
        """Messages of the bus."""
        self._inbox += messages

    def of(self, kind: type[K]) -> list[K]:
        return [message for message in self.said if isinstance(message, kind)]

    def state_of(self, order_id: str) -> str:
        live, ended = self.node._desk.state.orders, self.node._desk.state.finished
        known = live.get(order_id) or ended.get(order_id)
        return str(known.state) if known is not None else ""

    def _now(self) -> int:
        return time.time_ns() + self.ahead_ns

    async def _run(self) -> None:
        while True:
            events, self._inbox[:] = list(self._inbox), []
            now_ns = self._now()
            for message in (*events, ClockTicked(now_ns=now_ns), Release(now_ns=now_ns)):
                self.said += [said for _, said in self.node.handle(message)]
            for effect in self.node.take_effects():
                if isinstance(effect, AskBooks):
                    self._start(self._books(effect))
                else:
                    await self._act(effect)
            await asyncio.sleep(0.02)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _act(self, effect: Effect) -> None:
        venue = self.venue
        try:
            if isinstance(effect, Send):
                await venue.submit([(order, venue.token(order.order_id, number)) for order, number in effect.orders])
            elif isinstance(effect, Withdraw):
                await venue.cancel(effect.request, venue.token(effect.request.order_id, effect.number))
            elif isinstance(effect, Change):
                await venue.modify(effect.request, effect.order, venue.token(effect.order.order_id, effect.number))
        except VenueUnavailable as error:
            kind: Any = {Send: "submit", Withdraw: "cancel", Change: "modify"}[type(effect)]
            self._inbox.append(NotSent(order_ids=_ids(effect), request=kind, detail=str(error)))
        except VenueRefused as error:
            for order_id in _ids(effect):
                refused = Rejected(order_id=order_id, reason=RejectReason.VENUE, detail=str(error), ts_event_ns=self._now())
                self._inbox.append(refused)
        except Exception as error:
            self._inbox.append(Lost(order_ids=_ids(effect), detail=repr(error)))

    async def _books(self, ask: AskBooks) -> None:
        venue = self.venue
        try:
            books = Books(
                number=ask.number,
                open_orders=tuple(await venue.open_orders()),
                executions=tuple(await venue.executions_since(ask.since_ns)),
                positions=tuple(await venue.positions()),
                account=await venue.account(),
                ledger=None,
            )
        except (VenueUnavailable, VenueRefused) as error:
            self._inbox.append(BooksUnavailable(number=ask.number, detail=str(error)))
        else:
            self._inbox.append(books)


def _ids(effect: Any) -> tuple[str, ...]:
    return tuple(order.order_id for order, _ in effect.orders) if isinstance(effect, Send) else (effect.request.order_id,)
