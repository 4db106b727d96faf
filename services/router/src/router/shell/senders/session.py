"""The sender's end of the wire: one venue's session, what it reports, and the requests that go to it.

In:   effects of the node, one gate at a time; the venue's events.   Out: events for the node's next transaction.
Not:  decisions, retries of a request, guesses. What became of a request is told as it is known: `NotSent` where surely nothing
      left, `Lost` where nobody knows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import structlog

from barque.bus.ledger_row import IDLE_SESSION_TIMEOUT_MS
from barque.errors import BarqueError, ConfigError, VenueError, VenueRefused, VenueThrottled, VenueUnavailable
from barque.faults import reach
from barque.messages import RejectReason, SubmitOrder
from barque.venue import (
    Connected,
    Disconnected,
    Rejected,
    RequestRefused,
    SessionTrouble,
    Venue,
    VenueAccount,
    VenueEvent,
    VenuePosition,
)
from router.core.sending.config import SendingConfig
from router.core.sending.effects import AskBooks, Change, Effect, Send, Withdraw
from router.core.sending.events import Books, BooksUnavailable, LedgerFigures, Lost, NotSent
from router.shell.senders.metrics import show

log = structlog.get_logger()
Event: TypeAlias = VenueEvent | NotSent | Lost | Books | BooksUnavailable
Request: TypeAlias = Send | Withdraw | Change
GATE_S = 1.0
"""So long may requests of one transaction take to be written; what has not left by then will not."""
HELD_S = IDLE_SESSION_TIMEOUT_MS / 1000 - 1
"""So long after it asked for the gate a process may believe that it has it, whatever has kept it since."""
MAX_EVENTS = 10_000
"""More waiting than this, and the session is treated as a new one: its books tell what was missed."""
MAX_BACKOFF_S = 60.0
SAFE_MODE_AFTER = 10
"""So many first attempts have failed, and a person should look; they go on."""


class VenueSession:
    """One venue, connected while this process holds the account's node."""

    def __init__(
        self,
        venue: Venue,
        config: SendingConfig,
        figures: Callable[[Sequence[VenuePosition], VenueAccount], Awaitable[LedgerFigures | None]],
    ) -> None:
        """`figures`: the portfolio's rows of the account, beside the broker's positions and account."""
        self.news = asyncio.Event()
        """Set while there is something to take."""
        self._venue = venue
        self._config = config
        self._figures = figures
        self._events: deque[Event] = deque()
        self._connected = False
        self._connecting: asyncio.Task[None] | None = None
        self._at_work: set[asyncio.Task[None]] = set()
        self._fault: BarqueError | None = None
        self._gate_until = 0.0

    # -- the session --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The node has been loaded: whatever was under way before has an unknown outcome."""
        self._restart_events("the sender has been started anew")
        self._connecting = asyncio.create_task(self._connect())

    async def close(self) -> None:
        """End the session; orders stay at the broker."""
        self._gate_until = 0.0
        tasks = [task for task in (self._connecting, *self._at_work) if task is not None]
        self._connecting, self._at_work, self._connected = None, set(), False
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._venue.close()

    def may_send(self) -> bool:
        """Asked by the adapter right before it writes a new order."""
        return time.monotonic() < self._gate_until

    def take(self) -> list[Event]:
        """What has been reported since this was last asked, oldest first; raises what ends the sender for good, once all that
        was reported before has been taken."""
        events = list(self._events)
        self._events.clear()
        if self._fault is None:
            self.news.clear()
        elif not events:
            raise self._fault
        return events

    async def _connect(self) -> None:
        """Until there is a session whose account is the one of the configuration. From then on the adapter keeps it."""
        failures, said = 0, ""
        while True:
            try:
                account = await self._venue.connect(self._on_event, self.may_send)
                self._check(account)
            except ConfigError as error:
                self._missing(error, "refused")
                self._fault = error
                return
            except VenueError as error:
                pause = min(2.0**failures, MAX_BACKOFF_S) * random.uniform(0.8, 1.2)
                failures += 1
                news, said = str(error) != said, str(error)
                if news:
                    log.warning("venue_unavailable", venue=self._venue.name, reason=str(error), retry_s=round(pause, 1))
                if news or failures == SAFE_MODE_AFTER:
                    refused = error.disposition == "reject"
                    self._missing(error, "refused" if refused else "safe_mode" if failures >= SAFE_MODE_AFTER else "lost")
                await asyncio.sleep(pause)
            else:
                log.info("venue_connected", venue=self._venue.name, account=account.account, live=account.live)
                self._on_event(Connected(ts_event_ns=time.time_ns()))
                return

    def _missing(self, error: BarqueError, trouble: SessionTrouble) -> None:
        """There has been no session yet: the core tells people."""
        self._put(Disconnected(ts_event_ns=time.time_ns(), detail=str(error), trouble=trouble))

    def _check(self, account: VenueAccount) -> None:
        config = self._config
        if account.account != config.account:
            raise ConfigError(
                f"key 'sender.account': the session with {self._venue.name} is of account '{account.account}', "
                f"not '{config.account}'; nothing was sent"
            )
        if account.live != config.live:
            kinds = {True: "real money", False: "paper or demo"}
            raise ConfigError(
                f"key 'sender.live': account '{account.account}' is {kinds[account.live]} and the configuration says "
                f"{kinds[config.live]}; nothing was sent"
            )

    # -- events -------------------------------------------------------------------------------------------------------

    def _on_event(self, event: VenueEvent) -> None:
        if isinstance(event, Connected):
            self._connected = True
        elif isinstance(event, Disconnected):
            self._connected = False
        self._put(event)

    def _put(self, event: Event) -> None:
        if len(self._events) >= MAX_EVENTS:
            log.error("venue_events_overflow", venue=self._venue.name, dropped=len(self._events))
            self._restart_events("more was reported than could be booked in time")
            return
        self._events.append(event)
        self.news.set()

    def _restart_events(self, detail: str) -> None:
        now_ns = time.time_ns()
        self._events.clear()
        self._events.append(Disconnected(ts_event_ns=now_ns, detail=detail))
        if self._connected:
            self._events.append(Connected(ts_event_ns=now_ns))
        self.news.set()

    # -- effects ------------------------------------------------------------------------------------------------------

    async def send(self, requests: Sequence[Request], halted: bool, since: float) -> None:
        """Write requests to the wire, in their order, within the gate that the caller holds. `halted`: the node may not have been
        told yet when it decided them. `since`: the monotonic time at which the gate was not open yet."""
        self._gate_until = min(time.monotonic() + GATE_S, since + HELD_S)
        try:
            for request in requests:
                if held := self._held_back(request, halted):
                    self._put(NotSent(order_ids=_ids(request), request=_verb(request), detail=held))
                    continue
                reach("before_send")
                task = self._start(self._request(request))
                await asyncio.wait((task,), timeout=max(self._gate_until - time.monotonic(), 0.0))
                reach("after_send")
        finally:
            self._gate_until = 0.0

    def _held_back(self, request: Request, halted: bool) -> str:
        """Why it does not leave; empty: it does."""
        if halted and not isinstance(request, Withdraw) and not (isinstance(request, Change) and request.under_halt):
            return "the book was halted before it left"
        if not self.may_send():
            return "requests before it took too long"
        return ""

    def ask(self, question: AskBooks) -> None:
        """Begin to read the broker's books; what comes of it is an event."""
        self._start(self._read_books(question))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return task

    def _token(self, order: SubmitOrder, number: int) -> str:
        return self._venue.token(order.order_id, number, order.parent_id or "")

    async def _request(self, request: Request) -> None:
        """One request; what came of it. An answer of the broker comes as an event of its own."""
        venue = self._venue
        try:
            if isinstance(request, Send):
                await venue.submit([(order, self._token(order, number)) for order, number in request.orders])
            elif isinstance(request, Withdraw):
                await venue.cancel(request.request, venue.token(request.request.order_id, request.number))
            else:
                await venue.modify(request.request, request.order, self._token(request.order, request.number))
        except (VenueUnavailable, VenueThrottled) as error:
            self._put(NotSent(order_ids=_ids(request), request=_verb(request), detail=str(error)))
        except VenueRefused as error:
            self._refused(request, str(error))
        except Exception as error:  # whatever it was, the broker may have the request
            if not isinstance(error, VenueError):
                log.exception("venue_request_failed", venue=venue.name, order_ids=_ids(request), request=_verb(request))
            if isinstance(request, Send):
                self._put(Lost(order_ids=_ids(request), detail=str(error) or type(error).__name__))

    def _refused(self, request: Request, detail: str) -> None:
        now_ns, reason = time.time_ns(), RejectReason.VENUE
        for order_id in _ids(request):
            about: dict[str, Any] = {"order_id": order_id, "reason": reason, "detail": detail, "ts_event_ns": now_ns}
            if isinstance(request, Send):
                self._put(Rejected(**about))
            else:
                self._put(RequestRefused(request=_verb(request), **about))

    async def _read_books(self, question: AskBooks) -> None:
        venue = self._venue
        try:
            async with asyncio.timeout(self._config.books_timeout_s):
                orders = tuple(await venue.open_orders())
                executions = tuple(await venue.executions_since(question.since_ns))
                positions = tuple(await venue.positions())
                account = await venue.account()
                show(account)
                books = Books(
                    number=question.number,
                    open_orders=orders,
                    executions=executions,
                    positions=positions,
                    account=account,
                    ledger=await self._figures(positions, account),
                )
        except Exception as error:  # the question is put again, whatever kept it from being answered
            if not isinstance(error, BarqueError | TimeoutError):
                log.exception("venue_books_failed", venue=venue.name)
            self._put(BooksUnavailable(number=question.number, detail=str(error) or type(error).__name__))
        else:
            self._put(books)


def is_request(effect: Effect) -> bool:
    """True for what goes to the broker and moves orders there."""
    return isinstance(effect, Send | Withdraw | Change)


def _ids(request: Request) -> tuple[str, ...]:
    if isinstance(request, Send):
        return tuple(order.order_id for order, _ in request.orders)
    return (request.request.order_id,)


def _verb(request: Request) -> Any:
    return {Send: "submit", Withdraw: "cancel", Change: "modify"}[type(request)]
