"""The adapter of the simulated broker: the smallest thing that is a `barque.venue.Venue`.

In:   requests of a sender.   Out: frames; the broker's reports as events.
Not:  decisions. Where nothing surely left, `VenueUnavailable`; where something may have, silence, and the books will tell.

An adapter for a broker of your own has the same parts: a session that comes back by itself, requests that are written or not,
reports turned into events, questions to the books, and a token by which the books show an order as ours.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from barque.config import Section, load_section
from barque.errors import ConfigError, VenueOutcomeUnknown, VenueRefused, VenueUnavailable
from barque.instruments import Instrument
from barque.messages import CancelOrder, ModifyOrder, SubmitOrder
from barque.venue import (
    Capabilities,
    Connected,
    Disconnected,
    MaySend,
    OnEvent,
    Venue,
    VenueAccount,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from simulators.broker.wire import (
    Answer,
    Ask,
    Cancel,
    Frame,
    Hello,
    Modify,
    Report,
    Submit,
    Welcome,
    event_of,
    pack,
    read_frame,
)

T = TypeVar("T")


class SimulatedConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[simulated]`: where the simulated broker listens (`barque simulate broker`)."""

    port: int
    host: str = "127.0.0.1"
    timeout_s: float = 5.0
    """For connecting, and for an answer of the broker's books."""
    reconnect_s_max: float = 5.0
    """Longest pause between two attempts to reconnect."""
    brackets: bool = True
    """The broker holds a bracket's exits and links them; false: the sender does."""


class SimulatedVenue:
    """One account at the simulated broker."""

    name = "simulated"

    def __init__(self, config: SimulatedConfig, account: str) -> None:
        self._config = config
        self._account = account
        self._on_event: OnEvent = lambda _: None
        self._may_send: MaySend = lambda: False
        self._writer: asyncio.StreamWriter | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[bytes]] = {}

    @property
    def capabilities(self) -> Capabilities:
        """All that the paper exchange can do."""
        return Capabilities(
            order_types=("market", "limit", "stop", "stop_limit", "trailing_stop"),
            times_in_force=("day", "gtc", "ioc", "fok", "gtd"),
            modify=True,
            brackets=self._config.brackets,
            oco=self._config.brackets,
            books_lag_s=0.0,
        )

    # -- the session --------------------------------------------------------------------------------------------------

    async def connect(self, on_event: OnEvent, may_send: MaySend) -> VenueAccount:
        """Begin a session; see `barque.venue.Venue`."""
        self._on_event, self._may_send = on_event, may_send
        reader, account = await self._open()
        self._keeping = asyncio.create_task(self._keep(reader))
        return account

    async def close(self) -> None:
        """End the session."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self._drop("the session was ended")

    async def _open(self) -> tuple[asyncio.StreamReader, VenueAccount]:
        config = self._config
        where = f"the simulated broker at {config.host}:{config.port}"
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(config.timeout_s):
                reader, writer = await asyncio.open_connection(config.host, config.port)
                writer.write(pack(Hello(account=self._account)))
                welcome = await read_frame(reader)
            if not isinstance(welcome, Welcome):
                raise VenueUnavailable("it does not speak our protocol")
            if welcome.account is None:
                raise VenueRefused(f"{where}: {welcome.refused}")
            self._writer, writer = writer, None
        except (OSError, TimeoutError, VenueUnavailable) as error:
            raise VenueUnavailable(f"{where}: {error or 'no answer'}; start it with `barque simulate broker`") from None
        finally:
            if writer is not None:
                writer.transport.abort()
        return reader, welcome.account

    async def _keep(self, reader: asyncio.StreamReader) -> None:
        """Hear what the broker says; when the session ends, begin another one, for as long as it takes."""
        while True:
            detail = await self._hear(reader)
            self._drop(detail)
            self._on_event(Disconnected(ts_event_ns=time.time_ns(), detail=detail))
            reader = await self._reopen()
            self._on_event(Connected(ts_event_ns=time.time_ns()))

    async def _hear(self, reader: asyncio.StreamReader) -> str:
        """Until the session ends; why it did."""
        try:
            while True:
                frame = await read_frame(reader)
                if isinstance(frame, Report):
                    self._on_event(event_of(frame))
                elif isinstance(frame, Answer):
                    question = self._questions.pop(frame.number, None)
                    if question is not None and not question.done():
                        question.set_result(frame.body)
        except VenueUnavailable as error:
            return str(error)

    async def _reopen(self) -> asyncio.StreamReader:
        pause = 0.1
        while True:
            try:
                reader, account = await self._open()
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, self._config.reconnect_s_max)
            else:
                if account.account == self._account:
                    return reader
                self._drop("another account")

    def _drop(self, detail: str) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        questions, self._questions = self._questions, {}
        for question in questions.values():
            if not question.done():
                question.set_exception(VenueUnavailable(detail))

    # -- requests -----------------------------------------------------------------------------------------------------

    def token(self, order_id: str, number: int, parent_id: str = "") -> str:
        """Our order's id: the broker takes any text."""
        return order_id

    async def submit(self, orders: Sequence[tuple[SubmitOrder, str]]) -> None:
        """One frame, written whole or not at all."""
        if not self._may_send():
            raise VenueUnavailable("this process may not send any more")
        await self._send(Submit(orders=list(orders)))

    async def modify(self, request: ModifyOrder, order: SubmitOrder, token: str) -> None:
        """Change a working order."""
        await self._send(Modify(request=request, token=token))

    async def cancel(self, request: CancelOrder, token: str) -> None:
        """Withdraw a working order."""
        await self._send(Cancel(request=request, token=token))

    async def _send(self, frame: Frame) -> None:
        writer = self._writer
        if writer is None or writer.transport.is_closing():
            raise VenueUnavailable("there is no session with the simulated broker")
        writer.write(pack(frame))
        try:
            await writer.drain()
        except OSError as error:
            raise VenueOutcomeUnknown(f"the session ended while it was written: {error}") from None

    # -- the books ----------------------------------------------------------------------------------------------------

    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account."""
        return await self._ask("open_orders", list[VenueOrder])

    async def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        """Every execution from `ts_ns` on."""
        return await self._ask("executions", list[VenueExecution], ts_ns)

    async def positions(self) -> list[VenuePosition]:
        """Every position that is not flat."""
        return await self._ask("positions", list[VenuePosition])

    async def account(self) -> VenueAccount:
        """Money of the account."""
        return await self._ask("account", VenueAccount)

    async def _ask(self, what: str, kind: type[T], since_ns: int = 0) -> T:
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        try:
            await self._send(Ask(number=number, what=what, since_ns=since_ns))
            async with asyncio.timeout(self._config.timeout_s):
                return msgspec.msgpack.decode(await answer, type=kind)
        except TimeoutError:
            raise VenueUnavailable(f"the broker has not answered '{what}' for {self._config.timeout_s:g} s") from None
        finally:
            self._questions.pop(number, None)


def open_venue(raw: Mapping[str, Any], instruments: Sequence[Instrument], account: str) -> Venue:
    """Entry point `simulated` of `barque.venues`; raises `ConfigError`."""
    if "simulated" not in raw:
        raise ConfigError('section [simulated] is required where sender.venue = "simulated": give it the broker\'s port')
    return SimulatedVenue(load_section(raw, "simulated", SimulatedConfig), account)
