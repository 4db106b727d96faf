"""The simulated broker: sessions over TCP on loopback around one account's books, and faults at the points where they hurt.

In:   frames of adapters; prices and faults from whoever runs it.   Out: reports to the newest session, answers to questions.
Not:  forgiveness. The books outlive every session; what is lost on the wire is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

from barque.errors import VenueUnavailable
from barque.instruments import Instrument
from barque.messages.signals import Side
from barque.venue import TradingDisabled, VenueEvent
from barque_paper import PaperConfig
from simulators.broker.books import BrokerBooks
from simulators.broker.wire import (
    Answer,
    Ask,
    Cancel,
    Frame,
    Hello,
    Modify,
    Parts,
    Submit,
    Welcome,
    pack,
    read_frame,
    report_of,
)

CLOCK_S = 0.1
Fault = Literal["ignore", "silent", "cut_before", "cut_after", "cut_inside"]
"""What happens to a request: it never arrives; it is done and nothing is reported; the session ends before it arrives; it is done
and the session ends before anything is reported; the session ends inside the report's frame."""
Verb = Literal["submit", "cancel", "modify"]
_encode = msgspec.msgpack.Encoder().encode


@dataclass
class Faults:
    """What is to go wrong."""

    next: dict[str, deque[Fault | None]] = field(default_factory=dict)
    """By verb: what happens to its next requests, one each; None: nothing."""
    twice: bool = False
    """Everything is reported twice."""
    hidden_s: float = 0.0
    """So long after it came an order is not among the open orders."""
    refuses: str = ""
    """No session begins, for this reason."""
    closed: bool = False
    """Connections are dropped as they come."""


class SimulatedBroker:
    """One account; any number of sessions one after another, the newest hears the reports."""

    def __init__(self, config: PaperConfig, instruments: Sequence[Instrument], live: bool = False) -> None:
        self.books = BrokerBooks(config, instruments, live)
        self.faults = Faults()
        self.port = 0
        self.sessions = 0
        """Sessions that have ever begun."""
        self._account = config.account
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.arrived_ns: dict[str, int] = {}
        """When each token first arrived in a new order."""
        self._clock: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._clock = asyncio.create_task(self._tick())
        return self.port

    async def stop(self) -> None:
        """End; the books stay."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)
        self.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    # -- what a test or a person does ---------------------------------------------------------------------------------

    def quote(self, symbol: str, bid: float, ask: float, size: float = 0.0) -> None:
        """The market moves, and orders trade."""
        self._report(self.books.quote(symbol, bid, ask, size))

    def correct(self, exec_id: str, quantity: Decimal, price: Decimal) -> None:
        """An execution is replaced (quantity 0: busted), and that is reported."""
        self._report([self.books.correct(exec_id, quantity, price)])

    def trade_by_hand(self, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> None:
        """A trade on the account that is none of the sender's."""
        self._report([self.books.trade_by_hand(symbol, side, quantity, price)])

    def disable(self, detail: str) -> None:
        """From now on the session takes no orders."""
        self._report([TradingDisabled(ts_event_ns=time.time_ns(), detail=detail)])

    def drop(self) -> None:
        """The session ends without a word."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()

    def fail(self, verb: Verb, *faults: Fault | None) -> None:
        """What happens to the next requests of a kind."""
        self.faults.next.setdefault(verb, deque()).extend(faults)

    # -- sessions -----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = await read_frame(reader)
            if self.faults.closed or not isinstance(hello, Hello):
                return
            refused = self.faults.refuses
            if not refused and hello.account != self._account:
                refused = f"there is no account '{hello.account}' in this login; it has '{self._account}'"
            writer.write(pack(Welcome(refused=refused, account=None if refused else self.books.account())))
            if refused:
                await writer.drain()
                return
            self.drop()
            self._writer = writer
            self.sessions += 1
            while True:
                self._take(await read_frame(reader), writer)
        except VenueUnavailable:
            return
        finally:
            if self._writer is writer:
                self._writer = None
            with suppress(OSError):
                writer.close()

    def _take(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        if isinstance(frame, Ask):
            writer.write(pack(Answer(number=frame.number, body=_encode(self._answer(frame)))))
        elif isinstance(frame, Submit):
            self._request("submit", lambda: [event for each in frame.orders for event in self._submit(*each)])
        elif isinstance(frame, Cancel):
            self._request("cancel", lambda: self.books.handle(frame.request))
        elif isinstance(frame, Modify):
            self._request("modify", lambda: self.books.handle(frame.request))

    def _submit(self, order: object, token: str) -> list[VenueEvent]:
        self.arrived_ns.setdefault(token, time.time_ns())
        return self.books.submit(order, token)  # type: ignore[arg-type]

    def _answer(self, ask: Ask) -> Parts:
        if ask.what == "open_orders":
            before_ns = time.time_ns() - int(self.faults.hidden_s * 1e9)
            return [each for each in self.books.open_orders() if self.arrived_ns.get(each.order_id, 0) <= before_ns]
        if ask.what == "executions":
            return self.books.executions_since(ask.since_ns)
        if ask.what == "positions":
            return self.books.positions()
        return self.books.account()

    def _request(self, verb: Verb, do: Callable[[], list[VenueEvent]]) -> None:
        planned = self.faults.next.get(verb)
        fault = planned.popleft() if planned else None
        if fault == "cut_before":
            self.drop()
        if fault in ("cut_before", "ignore"):
            return
        events = do()
        if fault == "cut_inside" and events and self._writer is not None:
            frame = pack(report_of(events[0]))
            self._writer.write(frame[: len(frame) // 2])
        if fault in ("cut_after", "cut_inside"):
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
        elif fault != "silent":
            self._report(events)

    def _report(self, events: Iterable[VenueEvent]) -> None:
        """To the session that there is; where there is none, nobody hears it."""
        for event in events:
            for _ in range(2 if self.faults.twice else 1):
                if self._writer is not None:
                    self._writer.write(pack(report_of(event)))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_S)
            self._report(self.books.tick(time.time_ns()))
