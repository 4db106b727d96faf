"""Quotes: market data of the first level, live, delayed and frozen; tick by tick.

In:   data requests of sessions; quotes and trades as they happen.   Out: ticks to whom they concern.
Not:  bars (`bar_desk`).

What a subscriber sees depends on the type its connection asked for, on what the login may see of the listing (`entitle`), on
whether the market is open, and on whether another session has taken the data away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from simulators.tws import replies, requests
from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing
from simulators.tws.market import Lane, Tick
from simulators.tws.replies import Message
from simulators.tws.session import ApiSession
from simulators.tws.wire import frame

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

Entitlement = Literal["live", "delayed", "none", "delayed_disabled"]
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
_DELAYED_ID = {0: 69, 1: 66, 2: 67, 3: 70, 4: 68, 5: 71, 6: 72, 7: 73, 8: 74, 9: 75, 14: 76, 45: 88}
TICK_KINDS = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}
STOLEN = "No market data during competing live session"


class Line(msgspec.Struct, eq=False):
    """One subscription of the first level. `kind`: the data type it is served."""

    session: ApiSession
    req_id: int
    lane: Lane
    kind: int
    volume_ticks: bool = False

    def tick_id(self, live: int) -> int:
        return _DELAYED_ID.get(live, live) if self.kind in (DELAYED, DELAYED_FROZEN) else live


class TickStream(msgspec.Struct, eq=False):
    """One tick-by-tick subscription."""

    session: ApiSession
    req_id: int
    lane: Lane
    kind: int


class QuoteDesk:
    """One for the whole login."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self._types: dict[ApiSession, int] = {}
        self._lines: dict[tuple[ApiSession, int], Line] = {}
        self._streams: dict[tuple[ApiSession, int], TickStream] = {}
        self._entitlements: dict[str, Entitlement] = {}
        self._by_lane: dict[int, tuple[list[Line], list[TickStream]]] = {}
        self.stolen = False
        self.stalled: set[str] = set()
        """Listings whose ticks are kept back though the market moves; `*` is all."""
        self.handlers: dict[str, Callable[[ApiSession, Any], None]] = {
            "reqMarketDataType": self._type,
            "reqMktData": self._subscribe,
            "cancelMktData": self._cancel,
            "reqTickByTickData": self._stream,
            "cancelTickByTickData": self._cancel_stream,
        }

    # --- what tests do --------------------------------------------------------------------------------------------

    def entitle(self, name: str, to: Entitlement) -> None:
        """What the login may see of a listing; `*`: of all that are not named."""
        self._entitlements[name] = to

    def steal(self, taken: bool) -> None:
        """Another session takes the market data, or gives it back."""
        self.stolen = taken
        for line in list(self._lines.values()):
            if taken:
                line.session.say(replies.error(line.req_id, 10197, STOLEN))
            else:
                self._show_all(line)

    def is_silent(self, lane: Lane) -> bool:
        """Nothing of this listing is told: the data are stolen, or its stream has stalled."""
        return self.stolen or lane.listing.name in self.stalled or "*" in self.stalled

    def lines(self) -> int:
        """Market data lines in use."""
        return len(self._lines)

    def leave(self, session: ApiSession) -> None:
        self._types.pop(session, None)
        self.forget_subscriptions(session)

    def forget_subscriptions(self, session: ApiSession) -> None:
        """As if it had never subscribed; its requests are not cancelled, nothing comes any more."""
        for lines in (self._lines, self._streams):
            for key in [key for key in lines if key[0] is session]:
                del lines[key]
        self._index()

    # --- requests -------------------------------------------------------------------------------------------------

    def _type(self, session: ApiSession, request: requests.MarketDataType) -> None:
        self._types[session] = request.kind if request.kind in (1, 2, 3, 4) else LIVE

    def _subscribe(self, session: ApiSession, request: requests.MarketData) -> None:
        server, req_id = self._server, request.req_id
        if (session, req_id) in self._lines:
            session.say(replies.error(req_id, 102, "Duplicate ticker ID."))
            return
        if request.contract.sec_type == "CONTFUT":
            session.say(replies.error(req_id, 321, "Error validating request.-'bT' : cause - CONTFUT has historical data only"))
            return
        listing = server.contracts.resolve(session, req_id, request.contract)
        if listing is None:
            return
        if not request.snapshot and len(self._lines) >= server.limits.lines:
            session.say(replies.error(req_id, 101, "Max number of tickers has been reached"))
            return
        kind = self._served(session, req_id, listing)
        if kind is None:
            return
        line = Line(session, req_id, server.market.lane(listing), kind, "233" in request.generic_ticks.split(","))
        session.say((81, req_id, listing.tick, "9c0001" if listing.sec_type == "STK" else "", 3), (58, 1, req_id, kind))
        self._show_all(line)
        if request.snapshot:
            server.later(server.snapshot_s, lambda: session.say((57, 1, req_id)))
        else:
            self._lines[session, req_id] = line
            self._index()

    def _served(self, session: ApiSession, req_id: int, listing: Listing) -> int | None:
        """The data type for this subscription; None after an error was said."""
        asked = self._types.get(session, LIVE)
        right = self._entitlements.get(listing.name, self._entitlements.get("*", "live"))
        is_open = self._server.market.is_open(self._server.market.lane(listing))
        if self.stolen:
            session.say(replies.error(req_id, 10197, STOLEN))
            return asked
        if right == "live":
            return FROZEN if asked in (FROZEN, DELAYED_FROZEN) and not is_open else LIVE
        if asked in (DELAYED, DELAYED_FROZEN) and right == "delayed":
            text = "Requested market data is not subscribed. Displaying delayed market data."
            session.say(replies.error(req_id, 10167, text))
            return DELAYED_FROZEN if asked == DELAYED_FROZEN and not is_open else DELAYED
        code, text = {
            "delayed": (
                10089,
                "Requested market data requires additional subscription for API. Delayed market data is available.",
            ),
            "delayed_disabled": (10168, "Requested market data is not subscribed. Delayed market data is not enabled."),
        }.get(right, (354, "Requested market data is not subscribed."))
        session.say(replies.error(req_id, code, text))
        return None

    def _cancel(self, session: ApiSession, request: requests.WithId) -> None:
        line = self._lines.pop((session, request.req_id), None)
        if line is None:
            session.say(replies.error(request.req_id, 300, f"Can't find EId with tickerId:{request.req_id}"))
        elif self._server.noise.late_ticks:
            session.say((1, 6, line.req_id, line.tick_id(1), line.lane.bid, line.lane.bid_size, 1))
        self._index()

    def _stream(self, session: ApiSession, request: requests.TickByTick) -> None:
        req_id = request.req_id
        listing = self._server.contracts.resolve(session, req_id, request.contract)
        if listing is None:
            return
        kind = TICK_KINDS.get(request.kind)
        if kind is None or (listing.is_fx and kind in (1, 2)):
            text = f"Failed to request tick-by-tick data:{request.kind} is not available for {listing.sec_type}"
            session.say(replies.error(req_id, 10189, text))
        elif len(self._streams) >= self._server.limits.tick_by_tick:
            session.say(replies.error(req_id, 10190, "Max number of tick-by-tick requests has been reached."))
        elif (session, req_id) in self._streams:
            session.say(replies.error(req_id, 102, "Duplicate ticker ID."))
        else:
            self._streams[session, req_id] = TickStream(session, req_id, self._server.market.lane(listing), kind)
            self._index()

    def _cancel_stream(self, session: ApiSession, request: requests.WithId) -> None:
        if self._streams.pop((session, request.req_id), None) is None:
            session.say(replies.error(request.req_id, 300, f"Can't find EId with tickerId:{request.req_id}"))
        self._index()

    def _index(self) -> None:
        self._by_lane = {}
        for line in self._lines.values():
            self._by_lane.setdefault(line.lane.listing.con_id, ([], []))[0].append(line)
        for stream in self._streams.values():
            self._by_lane.setdefault(stream.lane.listing.con_id, ([], []))[1].append(stream)

    # --- ticks ----------------------------------------------------------------------------------------------------

    def quoted(self, lane: Lane, before: tuple[float, float, float, float], tick: Tick) -> None:
        """A quote happened; `before`: bid, ask and their sizes until now. What did not change is not said again."""
        lines, streams = self._hearers(lane)
        sides = [
            (1, 0, tick.bid, tick.bid_size, tick.bid != before[0], tick.bid_size != before[2]),
            (2, 3, tick.ask, tick.ask_size, tick.ask != before[1], tick.ask_size != before[3]),
        ]
        for line in lines:
            said: list[Message] = []
            for price_id, size_id, price, size, moved, resized in sides:
                if moved or resized:
                    said.append((1, 6, line.req_id, line.tick_id(price_id), price, size, 1))
                    said.append((2, 6, line.req_id, line.tick_id(size_id), size))
            self._send(line.session, said)
        for stream in streams:
            at = tick.time_ns // NS_PER_S
            if stream.kind == 3:
                self._send(stream.session, [(99, stream.req_id, 3, at, tick.bid, tick.ask, tick.bid_size, tick.ask_size, 0)])
            elif stream.kind == 4 and tick.bid > 0 and tick.ask > 0:
                self._send(stream.session, [(99, stream.req_id, 4, at, lane.mid)])

    def traded(self, lane: Lane, tick: Tick) -> None:
        """A trade happened."""
        lines, streams = self._hearers(lane)
        for line in lines:
            self._send(line.session, list(self._trade_ticks(line)))
        exchange = lane.listing.primary_exchange or lane.listing.exchange
        for stream in streams:
            if stream.kind in (1, 2):
                at = tick.time_ns // NS_PER_S
                self._send(stream.session, [(99, stream.req_id, stream.kind, at, tick.price, tick.size, 0, exchange, "")])

    def switched(self, lane: Lane) -> None:
        """The market opened or closed: while it is closed there is no quote, but for frozen data."""
        for line in self._hearers(lane)[0]:
            self._show_all(line)

    def halted(self, lane: Lane) -> None:
        """Trading was halted or goes on."""
        for line in self._hearers(lane)[0]:
            line.session.say((45, 6, line.req_id, 49, 1.0 if lane.halted else 0.0))

    def _hearers(self, lane: Lane) -> tuple[list[Line], list[TickStream]]:
        return ([], []) if self.is_silent(lane) else self._by_lane.get(lane.listing.con_id, ([], []))

    def _trade_ticks(self, line: Line) -> Iterator[Message]:
        lane, req_id = line.lane, line.req_id
        if lane.last <= 0:
            return
        yield (1, 6, req_id, line.tick_id(4), lane.last, lane.last_size, 0)
        yield (2, 6, req_id, line.tick_id(5), lane.last_size)
        yield (2, 6, req_id, line.tick_id(8), lane.volume)
        yield (46, 6, req_id, line.tick_id(45), str(lane.last_ns // NS_PER_S))
        if line.volume_ticks:
            average = lane.value / lane.volume if lane.volume else 0.0
            at_ms = lane.last_ns // 10**6
            yield (46, 6, req_id, 48, f"{lane.last};{lane.last_size};{at_ms};{lane.volume};{average};true")

    def _show_all(self, line: Line) -> None:
        """The state of a line, as TWS says it on subscribing."""
        lane, req_id = line.lane, line.req_id
        if self.stolen:
            return
        closed = not self._server.market.is_open(lane) and line.kind not in (FROZEN, DELAYED_FROZEN)
        bid, ask, bid_size, ask_size = (-1.0, -1.0, 0.0, 0.0) if closed else (lane.bid, lane.ask, lane.bid_size, lane.ask_size)
        said: list[Message] = [
            (1, 6, req_id, line.tick_id(1), bid, bid_size, 1),
            (2, 6, req_id, line.tick_id(0), bid_size),
            (1, 6, req_id, line.tick_id(2), ask, ask_size, 1),
            (2, 6, req_id, line.tick_id(3), ask_size),
            *self._trade_ticks(line),
        ]
        day = ((6, lane.high), (7, lane.low), (9, lane.close), (14, lane.open))
        said += [(1, 6, req_id, line.tick_id(tick), price, 0, 0) for tick, price in day if price > 0]
        self._send(line.session, said)

    def _send(self, session: ApiSession, messages: list[Message]) -> None:
        if messages:
            session.say_ticks(b"".join(map(frame, messages)), tuple(messages))
