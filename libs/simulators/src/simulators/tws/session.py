"""One connection of a client: greeting, version, startApi, then requests.

In:   bytes.   Out: requests to the desks, and what the desks say as frames; entries for the transcript.
Not:  answers; the desks have them. What a scenario wants of a request is done here, around its handling.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, cast

from simulators.market.chance import seeded
from simulators.tws.limits import MessageRate
from simulators.tws.outbox import Outbox
from simulators.tws.place_order import PlaceOrder
from simulators.tws.replies import Message, clock_text, error
from simulators.tws.requests import Request, StartApi, read_request
from simulators.tws.scripting import Step, error_step
from simulators.tws.transcript import Entry, Way
from simulators.tws.wire import GREETING, BadField, BadFrame, Fields, Unframer, frame, split

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

_VERSIONS = re.compile(rb"v(\d+)\.\.(\d+)(?: .*)?\Z")


class ApiSession(asyncio.Protocol):
    """From accept to close."""

    def __init__(self, server: TwsSimulator, number: int) -> None:
        self.server = server
        self.number = number
        self.client_id = -1
        self.version = 0
        self.ready = False
        self.auto_open_orders = False
        self._greeted = False
        self._start = b""
        self._unframer = Unframer()
        self._rate = MessageRate(server.limits)
        self._muted = 0
        self._inside = False

    # --- the socket -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.outbox = Outbox(self.transport, self.server.noise, seeded(self.server.seed, "session", self.number))
        self.server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ready = False
        self.server.closed(self)

    def data_received(self, data: bytes) -> None:
        if self.outbox.stalled:
            return
        if not self._greeted:
            self._start += data
            if len(self._start) < len(GREETING):
                return
            if not self._start.startswith(GREETING):
                self.outbox.drop()
                return
            self._greeted, data = True, self._start[len(GREETING) :]
        try:
            for body in self._unframer.feed(data):
                if self.transport.is_closing():
                    return
                self._receive(body)
        except BadFrame as bad:
            self.server.complain(f"client {self.client_id}: {bad}")
            self.say(error(-1, 507, f"Bad message length: {bad}"))
            self.outbox.close()

    def eof_received(self) -> bool:
        return False

    # --- saying ---------------------------------------------------------------------------------------------------

    def say(self, *messages: Message) -> None:
        """To the client, in this order."""
        if self.transport.is_closing():
            return
        for message in messages:
            way: Way = "cut" if self._muted or self.outbox.stalled else "out"
            self.server.record(Entry(self.server.now_ns(), self.client_id, way, message))
            if self._inside:
                self._inside, self._muted = False, self._muted + 1
                whole = frame(message)
                self.outbox.write_part(whole[: len(whole) // 2])
            elif not self._muted:
                self.outbox.put(frame(message))

    def say_ticks(self, data: bytes, messages: tuple[Message, ...]) -> None:
        """Frames that are made already, and what they say; for market data, which is the most of all traffic."""
        if self._muted or self.outbox.stalled or self._inside:
            self.say(*messages)
            return
        self.server.record_ticks(self.client_id, messages)
        self.outbox.put(data)

    # --- hearing --------------------------------------------------------------------------------------------------

    def _receive(self, body: bytes) -> None:
        if not self.version:
            self._negotiate(body)
            return
        fields = split(body)
        self.server.record(Entry(self.server.now_ns(), self.client_id, "in", fields))
        verdict = self._rate.take(self.server.real_ns())
        if verdict != "ok":
            self.say(error(-1, 100, "Max rate of messages per second has been exceeded:max=50 rec=51"))
        if verdict == "close":
            self.outbox.close()
            return
        try:
            name, request = read_request(fields)
        except BadField as bad:
            self._unreadable(fields, bad)
            return
        self._obey(name, request, self.server.script.step(name, self.client_id, request))

    def _negotiate(self, body: bytes) -> None:
        self.server.record(Entry(self.server.now_ns(), self.client_id, "in", (body.decode(errors="backslashreplace"),)))
        step = self.server.script.step("handshake", -1)
        if step is not None and step.kind == "silence":
            self.outbox.stalled = True
            return
        if step is not None and step.kind in ("drop", "close"):
            self.outbox.drop()
            return
        found = _VERSIONS.match(body)
        if found is None:
            self.server.complain(f"a greeting that names no versions: {body!r}")
            self.outbox.drop()
            return
        self.version = min(self.server.version, int(found[2]))
        if self.version < int(found[1]):
            self.say((str(self.version), clock_text(self.server.now_ns())))
            self.outbox.close()
            return
        self.say((str(self.version), clock_text(self.server.now_ns())))

    def _unreadable(self, fields: Fields, bad: BadField) -> None:
        """A message this simulator cannot read: said to the client and to the test, never passed over."""
        self.server.complain(f"client {self.client_id}: {' '.join(fields[:3])} …: {bad}")
        self.say(error(-1, 320, f"Error reading request: {bad}"))

    def _obey(self, name: str, request: Request | PlaceOrder, step: Step | None) -> None:
        """Do with the request what the scenario says, or the usual."""
        if step is None:
            self.perform(name, request)
        elif step.kind in ("reply", "error"):
            req_id = _req_id(request)
            self.say(*error_step(step, -1 if req_id is None else req_id))
        elif step.kind == "delay":
            self.server.later(step.delay_s, lambda: self.perform(name, request))
        elif step.kind == "close":
            self.outbox.close()
        elif step.kind == "silence":
            if step.handled:
                self._quietly(name, request)
        elif step.drop == "before":
            self.outbox.drop()
        elif step.drop == "after":
            self._quietly(name, request)
            self.outbox.drop()
        elif step.drop == "inside":
            self._inside = True
            self.perform(name, request)
            self.outbox.drop(reset=False)
        else:
            self.perform(name, request)
            self.outbox.flush()
            self.outbox.drop(reset=False)

    def _quietly(self, name: str, request: Request | PlaceOrder) -> None:
        self._muted += 1
        try:
            self.perform(name, request)
        finally:
            self._muted -= 1

    def perform(self, name: str, request: Request | PlaceOrder) -> None:
        """Handle it and say what follows."""
        if self.transport.is_closing():
            return
        if isinstance(request, StartApi):
            self.server.start_api(self, request.client_id)
        elif not self.ready:
            self.server.complain(f"client {self.client_id}: {name} before startApi")
            self.say(error(-1, 504, "Not connected"))
        else:
            self.server.perform(self, name, request)


def _req_id(request: Request | PlaceOrder) -> int | None:
    found = getattr(request, "order_id", None)
    return found if found is not None else getattr(request, "req_id", None)
