"""A session with a Gateway or TWS that a feed or a sender keeps: opened, watched, opened again when it is lost.

In:   `[ibkr]`, a client id, what to do with each new connection (`prepare`).
Out:  `SessionEvent`s in their order; `ask` and `write` on the connection that there is.
Not:  what is asked for. Nothing is ever sent again here, and no subscription survives a connection: who subscribed does so anew
      at `Up`, and at `Restored` where its data was lost.

One task alone reconnects, from `reconnect_min_s` to `reconnect_max_s` apart with jitter. After `safe_after_attempts` failures the
session is in safe mode: it goes on probing, and says that a person is needed. It never restarts a Gateway: each restart asks for
a confirmation on a phone, and they pile up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import structlog
from ib_async import IB, StartupFetch
from ib_async.wrapper import RequestError

from barque.errors import BarqueError, ConfigError, VenueRefused, VenueUnavailable
from venues.ibkr.codes import Reaction, code_of, explain, reaction_of
from venues.ibkr.config import IbkrConfig
from venues.ibkr.link import SYNC_MESSAGES, Link, ReadOnly, Tap
from venues.ibkr.pacing import HistoryGate, HistoryRule, Lane, MessageGate, MessageRule
from venues.ibkr.windows import check_restart, expected_outage

log = structlog.get_logger()
T = TypeVar("T")

NOTHING = StartupFetch(0)
ORDERS = StartupFetch.ORDERS_OPEN | StartupFetch.ACCOUNT_UPDATES | StartupFetch.EXECUTIONS
PREPARE_S = 120.0
MISSED_PINGS = 2

State = Literal["closed", "connecting", "up", "degraded", "down", "safe"]


@dataclass(frozen=True, slots=True)
class Up:
    """A connection is there, prepared. Subscribe."""

    number: int
    """Counts connections from 1."""
    accounts: tuple[str, ...]
    read_only: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is gone, or an attempt to have one again has failed."""

    detail: str
    attempts: int
    """Failed ones since it was lost; 0: it has just been lost."""
    expected: str
    """Why the Gateway may be away at this hour; empty: it should be there."""
    refused: bool = False
    """It could be had, and is not what is configured: another attempt will not help by itself."""


@dataclass(frozen=True, slots=True)
class Safe:
    """So many attempts have failed that a person is needed. The session goes on probing."""

    detail: str
    attempts: int
    expected: str


@dataclass(frozen=True, slots=True)
class Degraded:
    """The Gateway has lost Interactive Brokers. Fills may still come; nothing new is sent."""

    detail: str


@dataclass(frozen=True, slots=True)
class Restored:
    """It is back. Verify every subscription, or make it anew where `data_lost`; orders and executions are to be read again."""

    data_lost: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The Gateway says something, about a request, an order, or itself (`number` -1)."""

    number: int
    code: int
    text: str
    reaction: Reaction


SessionEvent: TypeAlias = Up | Down | Safe | Degraded | Restored | Notice
OnSessionEvent: TypeAlias = Callable[[SessionEvent], None]
Prepare: TypeAlias = Callable[[Link], Awaitable[None]]


def _nothing(_: SessionEvent) -> None:
    pass


async def _unprepared(_: Link) -> None:
    pass


class Session:
    """One client id's session. Build it, `open` it, `close` it."""

    def __init__(
        self,
        config: IbkrConfig,
        client_id: int,
        *,
        account: str | None = None,
        fetch: StartupFetch = NOTHING,
        taps: Mapping[str, Tap] | None = None,
        prepare: Prepare = _unprepared,
        on_event: OnSessionEvent = _nothing,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`account`: checked at each connection before anything is asked, empty for the only one, None for whichever; `taps`:
        called after the methods of ib_async's wrapper of these names; `prepare`: runs on each new connection before `Up`."""
        check_restart(config)
        self.config = config
        self.client_id = client_id
        self.history = HistoryGate(HistoryRule(config.history_per_10_min))
        self.state: State = "closed"
        self.reconnects = 0
        self.clock_skew_s = 0.0
        """The Gateway's clock less ours, to the second."""
        self._account = account
        self._fetch = fetch
        self._taps = dict(taps or {})
        self._prepare = prepare
        self._on_event = on_event
        self._chance = chance
        self._gate = MessageGate(MessageRule(config.messages_per_s))
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._link: Link | None = None
        self._number = 0
        self._keeper: asyncio.Task[None] | None = None

    # -- using it ------------------------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection; raises `VenueUnavailable` where there is none."""
        link = self._link
        if link is None or link.gone.done():
            raise VenueUnavailable(f"no session with {self.config.host}:{self.config.port}")
        return link

    @property
    def ib(self) -> IB:
        """ib_async's object of the connection; raises `VenueUnavailable` where there is none."""
        return self.link.ib

    async def open(self) -> Link:
        """The first connection, in one attempt; it is kept from then on. Raises `VenueUnavailable` or `ConfigError`."""
        self.state = "connecting"
        try:
            link = await self._connect()
        except BaseException:
            self.state = "closed"
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"ibkr-session-{self.client_id}")
        return link

    async def close(self) -> None:
        """End the session for good."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        link, self._link = self._link, None
        if link is not None:
            await link.close("closed by us")
        self.state = "closed"

    async def ask(
        self,
        what: str,
        make: Callable[[IB], Awaitable[T]],
        *,
        timeout_s: float | None = None,
        lane: Lane = Lane.REQUEST,
        paced: bool = True,
    ) -> T:
        """Ask, in turn and in time; one question of the same name at a time. Raises `VenueUnavailable` where no answer came,
        `GatewayRefused` where the Gateway said no.

        `make` calls one of ib_async's `req…Async`. Its own waits never end when we hang up: they are raced with the connection.
        """
        lock = self._locks.setdefault(what, asyncio.Lock())
        async with lock:
            if paced:
                await self._gate.enter(lane)
            link = self.link
            answer: asyncio.Future[T] = asyncio.ensure_future(make(link.ib))
            race: set[asyncio.Future[Any]] = {answer, link.gone}
            try:
                seconds = self.config.request_timeout_s if timeout_s is None else timeout_s
                await asyncio.wait(race, timeout=seconds, return_when="FIRST_COMPLETED")
                if answer.done():
                    return answer.result()
            except RequestError as error:
                raise GatewayRefused(what, error.code, error.message) from None
            except ConnectionError as error:
                raise VenueUnavailable(f"{what}: {error}") from None
            finally:
                answer.cancel()
            if link.gone.done():
                raise VenueUnavailable(f"{what}: the session ended before the answer came")
            raise VenueUnavailable(f"{what}: no answer within {seconds:g} s")

    async def write(self, lane: Lane, put: Callable[[Link], None], may_send: Callable[[], bool] | None = None) -> None:
        """Let `put` write to the wire, in turn. Raises `VenueUnavailable` where nothing was written: there is no session, the
        Gateway has lost Interactive Brokers, or `may_send` says no at the last moment."""
        self._check_writable()
        await self._gate.enter(lane)
        link = self._check_writable()
        if may_send is not None and not may_send():
            raise VenueUnavailable("this process may no longer send: another one may have taken over")
        try:
            put(link)
        except ConnectionError as error:  # raised by ib_async before it writes
            raise VenueUnavailable(f"no session: {error}") from None

    def pass_by(self, messages: int) -> None:
        """So many messages go to the wire without having waited: the legs that belong to one `write`."""
        self._gate.count(messages)

    def break_off(self, reason: str) -> None:
        """Give this connection up: the session begins anew."""
        if self._link is not None and not self._link.gone.done():
            self._link.gone.set_result(reason)

    def _check_writable(self) -> Link:
        link = self.link
        if self.state not in ("up", "degraded"):
            raise VenueUnavailable("the session is not ready yet")
        if link.degraded:
            raise VenueUnavailable(f"the Gateway has lost Interactive Brokers: {link.degraded}")
        return link

    # -- keeping it ----------------------------------------------------------------------------------------------------

    async def _connect(self) -> Link:
        try:
            return await self._attempt(read_only=False)
        except ReadOnly:
            log.warning("ibkr_read_only", client_id=self.client_id)
            return await self._attempt(read_only=True)

    async def _attempt(self, read_only: bool) -> Link:
        link = Link(self.config, self.client_id, self._taps, self._hear)
        self._gate.count(SYNC_MESSAGES)
        self._link = link  # what comes while it synchronises is heard; `prepare` may ask
        try:
            await link.open(self._account, self._fetch, read_only)
            await asyncio.wait_for(self._prepare(link), PREPARE_S)
            if link.gone.done():
                raise VenueUnavailable(f"the session ended while it was being prepared: {link.gone.result()}")
        except BaseException as error:
            self._link = None
            await link.close("it could not be prepared")
            if isinstance(error, TimeoutError):
                raise VenueUnavailable(f"the session could not be prepared within {PREPARE_S:g} s") from None
            raise
        self._number += 1
        self.state = "degraded" if link.degraded else "up"
        log.info(
            "ibkr_connected", client_id=self.client_id, number=self._number, accounts=link.accounts, read_only=link.read_only
        )
        self._say(Up(self._number, link.accounts, link.read_only))
        return link

    async def _keep(self) -> None:
        while True:
            link = self._link
            assert link is not None  # noqa: S101 - only this task replaces it
            ping = asyncio.create_task(self._ping(link), name=f"ibkr-ping-{self.client_id}")
            try:
                detail = await asyncio.shield(link.gone)
            finally:
                ping.cancel()
                with suppress(asyncio.CancelledError):
                    await ping
            self._link = None
            self.state = "down"
            expected = expected_outage(datetime.now(UTC), self.config)
            log.warning("ibkr_disconnected", client_id=self.client_id, detail=detail, expected=expected)
            self._say(Down(detail, 0, expected))
            await link.close(detail)
            await self._reconnect()
            self.reconnects += 1

    async def _reconnect(self) -> None:
        attempts = 0
        while True:
            await asyncio.sleep(backoff_s(self.config, attempts, self._chance()))
            try:
                await self._connect()
                return
            except (BarqueError, OSError) as error:
                attempts += 1
                self._failed(str(error), attempts, refused=isinstance(error, ConfigError))
            except Exception as error:  # whatever ib_async raises: the session is kept
                attempts += 1
                log.exception("ibkr_attempt_failed", client_id=self.client_id)
                self._failed(repr(error), attempts)

    def _failed(self, detail: str, attempts: int, refused: bool = False) -> None:
        expected = expected_outage(datetime.now(UTC), self.config)
        log.warning("ibkr_attempt_failed", client_id=self.client_id, attempt=attempts, detail=detail, expected=expected)
        self._say(Down(detail, attempts, expected, refused))
        if attempts == self.config.safe_after_attempts:
            self.state = "safe"
            log.error("ibkr_safe_mode", client_id=self.client_id, attempts=attempts, detail=detail, expected=expected)
            self._say(Safe(detail, attempts, expected))

    async def _ping(self, link: Link) -> None:
        """The protocol has no heartbeat of its own. An answer shows that the Gateway lives, not that Interactive Brokers does."""
        missed = 0
        while True:
            await asyncio.sleep(self.config.ping_interval_s)
            try:
                there = await self.ask(
                    "current time", lambda ib: ib.reqCurrentTimeAsync(), timeout_s=self.config.ping_timeout_s, lane=Lane.EXIT
                )
            except (VenueUnavailable, VenueRefused) as error:
                missed += 1
                if missed >= MISSED_PINGS and not link.gone.done():
                    link.gone.set_result(f"the Gateway does not answer any more ({error})")
                    return
            else:
                missed = 0
                self.clock_skew_s = there.timestamp() - time.time()

    # -- hearing -------------------------------------------------------------------------------------------------------

    def _hear(self, number: int, code: int, text: str) -> None:
        reaction = reaction_of(code, text)
        level = "info" if reaction in _QUIET else "warning"
        getattr(log, level)(
            "ibkr_notice", client_id=self.client_id, about=number, code=code, text=text, to_do=code_of(code).to_do
        )
        link = self._link
        if link is None:
            return
        self._say(Notice(number, code, text, reaction))
        if reaction is Reaction.DEGRADED:
            if not link.degraded:
                link.degraded = explain(code, text)
                self._degrade(link)
        elif reaction in (Reaction.RESTORED, Reaction.RESTORED_EMPTY) or (reaction is Reaction.FARM_UP and _farm_ends(link)):
            self._restore(link, reaction, explain(code, text))
        elif reaction is Reaction.RECONNECT and not link.gone.done():
            link.gone.set_result(explain(code, text))

    def _degrade(self, link: Link) -> None:
        if self.state == "up":
            self.state = "degraded"
        self._say(Degraded(link.degraded))

    def _restore(self, link: Link, reaction: Reaction, detail: str) -> None:
        was, link.degraded = link.degraded, ""
        if self.state == "degraded":
            self.state = "up"
        if was or reaction is Reaction.RESTORED_EMPTY:
            self._say(Restored(reaction is Reaction.RESTORED_EMPTY, detail))

    def _say(self, event: SessionEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("ibkr_listener_failed", client_id=self.client_id, event_kind=type(event).__name__)
            self.break_off("our own listener failed")


class GatewayRefused(VenueRefused):
    """The Gateway said no to a question, with a code."""

    def __init__(self, what: str, code: int, text: str) -> None:
        super().__init__(f"{what}: {explain(code, text)}")
        self.code = code


_QUIET = frozenset({Reaction.NOTE, Reaction.FARM_UP, Reaction.FARM_IDLE, Reaction.GONE, Reaction.ORDER_NOTE})


def _farm_ends(link: Link) -> bool:
    """2110 says that the Gateway will be back by itself; no 1102 needs to follow, a farm's return shows it."""
    return link.degraded.startswith("2110 ")


def backoff_s(config: IbkrConfig, failed: int, chance: float) -> float:
    """How long to wait before the next attempt after `failed` ones: doubling, between three quarters and five quarters of it.

    >>> [backoff_s(IbkrConfig(), n, 0.5) for n in (0, 1, 2, 5, 6, 50)]
    [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]
    """
    whole = min(config.reconnect_min_s * 2.0 ** min(failed, 16), config.reconnect_max_s)
    return float(whole * (0.75 + 0.5 * chance))
