"""Bars: history, bars that are kept up to date, five-second bars, and ticks of the past.

In:   requests of sessions; cells as they close.   Out: messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from simulators.tws import replies, requests
from simulators.tws.checks import instant
from simulators.tws.hours import NS_PER_S
from simulators.tws.limits import HistoryPacing
from simulators.tws.market import CELL_S, Cell, Lane
from simulators.tws.past import BAR_SIZES, DAY, DURATIONS, KINDS, Past, PastBar, told
from simulators.tws.session import ApiSession
from simulators.tws.wire import Value

if TYPE_CHECKING:
    from simulators.tws.server import TwsSimulator

MAX_TICKS = 1_000
HMDS = "Historical Market Data Service error message:"


class LiveBars(msgspec.Struct, eq=False):
    """A history that goes on: `reqHistoricalData` with `keepUpToDate`."""

    session: ApiSession
    request: requests.HistoricalData
    lane: Lane
    seconds: int
    alive: bool = True


class FiveSeconds(msgspec.Struct, eq=False):
    """`reqRealTimeBars`."""

    session: ApiSession
    req_id: int
    lane: Lane
    what: str
    alive: bool = True


class BarDesk:
    """One for the whole login."""

    def __init__(self, server: TwsSimulator) -> None:
        self._server = server
        self.past = Past(server.seed, server.keep_hours)
        self._pacing = HistoryPacing(server.limits)
        self.live: dict[tuple[ApiSession, int], LiveBars] = {}
        self.five: dict[tuple[ApiSession, int], FiveSeconds] = {}
        self._closed_s: dict[int, int] = {}
        self.handlers: dict[str, Callable[[ApiSession, Any], None]] = {
            "reqHistoricalData": self._history,
            "cancelHistoricalData": self._cancel_history,
            "reqRealTimeBars": self._bars,
            "cancelRealTimeBars": self._cancel_bars,
            "reqHeadTimeStamp": self._head,
            "cancelHeadTimeStamp": lambda session, request: None,
            "reqHistoricalTicks": self._ticks,
        }

    def leave(self, session: ApiSession) -> None:
        for streams in (self.live, self.five):
            for key in [key for key in streams if key[0] is session]:
                del streams[key]

    # --- history --------------------------------------------------------------------------------------------------

    def _history(self, session: ApiSession, request: requests.HistoricalData) -> None:
        refusal = self._refusal(session, request)
        if refusal is not None:
            session.say(replies.error(request.req_id, *refusal))
            return
        listing = self._server.contracts.resolve(session, request.req_id, request.contract)
        if listing is None:
            return
        if listing.is_fx and request.what in ("TRADES", "ADJUSTED_LAST"):
            text = f"{HMDS}No historical market data for {listing.symbol}/CASH@IDEALPRO Last"
            session.say(replies.error(request.req_id, 162, text))
            return
        lane, now_ns = self._server.market.lane(listing), self._server.now_ns()
        seconds = BAR_SIZES[request.bar_size]
        if seconds <= 30:
            key = (request.contract, request.end, request.bar_size, request.duration, request.rth, request.what)
            weight = 2 if request.what == "BID_ASK" else 1
            paced = self._pacing.take(key, (listing.con_id, request.what), weight, self._server.real_ns())
            if paced is not None:
                session.say(replies.error(request.req_id, paced.code, paced.text))
                return
        end_s = (instant(request.end) or now_ns) // NS_PER_S + (0 if request.end else 1)
        count, unit = request.duration.split()
        bars = self.past.bars(lane, request.what, seconds, end_s - int(count) * DURATIONS[unit], end_s, request.rth)
        if not bars:
            session.say(replies.error(request.req_id, 162, f"{HMDS}HMDS query returned no data: {listing.local_symbol}"))
            return
        zone = listing.hours.zone
        fields = [value for bar in bars for value in self._fields(bar, seconds, request.format_date, zone)]
        session.say((17, request.req_id, told(bars[0].start_s, 1, 1, zone), told(end_s, 1, 1, zone), len(bars), *fields))
        if request.keep_up_to_date:
            self.live[session, request.req_id] = LiveBars(session, request, lane, seconds)

    def _refusal(self, session: ApiSession, request: requests.HistoricalData) -> tuple[int, str] | None:
        count, _, unit = request.duration.partition(" ")
        if request.bar_size not in BAR_SIZES or request.what not in KINDS or unit not in DURATIONS or not count.isdigit():
            wrong = f"{request.bar_size}, {request.duration} or {request.what}"
            return 321, f"Error validating request.-'bN' : cause - Historical data request for {wrong} is invalid"
        if request.end and instant(request.end) is None:
            return 10314, "End Date/Time: The date, time, or time-zone entered is invalid."
        if request.end and request.contract.sec_type == "CONTFUT":
            return 10339, "Setting end date/time for continuous future security type is not allowed."
        if request.end and request.keep_up_to_date:
            return 321, "Error validating request.-'bN' : cause - End Date not supported with keepUpToDate"
        if (session, request.req_id) in self.live:
            return 322, "Error processing request.-'bN' : cause - Duplicate ticker id"
        if len(self.live) >= self._server.limits.history_simultaneous:
            return 322, "Error processing request.-'bN' : cause - Only 50 simultaneous API historical data requests allowed."
        return None

    def _cancel_history(self, session: ApiSession, request: requests.WithId) -> None:
        if self.live.pop((session, request.req_id), None) is None:
            session.say(replies.error(request.req_id, 366, f"No historical data query found for ticker id:{request.req_id}"))
        else:
            session.say(replies.error(request.req_id, 162, f"{HMDS}API historical data query cancelled: {request.req_id}"))

    @staticmethod
    def _fields(bar: PastBar, seconds: int, format_date: int, zone: str) -> tuple[str | float | int, ...]:
        start = told(bar.start_s, seconds, format_date, zone)
        return (start, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.average, bar.count)

    def _head(self, session: ApiSession, request: requests.HeadTimestamp) -> None:
        listing = self._server.contracts.resolve(session, request.req_id, request.contract)
        if listing is not None:
            first = self._server.market.lane(listing).begun_ns // NS_PER_S - 365 * DAY
            said = str(first) if request.format_date == 2 else told(first, 1, 1, "UTC").replace(" UTC", "").replace(" ", "-")
            session.say((88, request.req_id, said))

    def _ticks(self, session: ApiSession, request: requests.HistoricalTicks) -> None:
        """Ticks of the simulator's own time, at most a thousand: from `start` on, or the last before `end`."""
        listing = self._server.contracts.resolve(session, request.req_id, request.contract)
        if listing is None:
            return
        start, end = instant(request.start) if request.start else None, instant(request.end) if request.end else None
        if start is None and end is None:
            session.say(
                replies.error(request.req_id, 321, "Error validating request.-'bY' : cause - one of start and end must be given")
            )
            return
        traded = request.what == "TRADES"
        found = [
            tick
            for tick in self._server.market.lane(listing).ticks
            if (tick.price > 0) == traded and (start is None or tick.time_ns >= start) and (end is None or tick.time_ns < end)
        ]
        count = min(request.count, MAX_TICKS)
        chosen = found[:count] if start is not None else found[-count:]
        exchange = listing.primary_exchange or listing.exchange
        number = {"TRADES": 98, "BID_ASK": 97}.get(request.what, 96)
        fields: list[Value] = []
        for tick in chosen:
            fields += (tick.time_ns // NS_PER_S, 0)
            if number == 98:
                fields += (tick.price, tick.size, exchange, "")
            elif number == 97:
                fields += (tick.bid, tick.ask, tick.bid_size, tick.ask_size)
            else:
                fields += ((tick.bid + tick.ask) / 2, 0)
        session.say((number, request.req_id, len(chosen), *fields, True))

    # --- bars as they happen --------------------------------------------------------------------------------------

    def _bars(self, session: ApiSession, request: requests.RealTimeBars) -> None:
        listing = self._server.contracts.resolve(session, request.req_id, request.contract)
        if listing is None:
            return
        wrong = request.what not in ("TRADES", "MIDPOINT", "BID", "ASK") or (listing.is_fx and request.what == "TRADES")
        if wrong or request.contract.sec_type == "CONTFUT":
            text = f"Invalid Real-time Query:No market data permissions for {request.what} of {listing.local_symbol}"
            session.say(replies.error(request.req_id, 420, text))
        elif (session, request.req_id) in self.five:
            session.say(replies.error(request.req_id, 102, "Duplicate ticker ID."))
        else:
            lane = self._server.market.lane(listing)
            self.five[session, request.req_id] = FiveSeconds(session, request.req_id, lane, request.what)

    def _cancel_bars(self, session: ApiSession, request: requests.WithId) -> None:
        if self.five.pop((session, request.req_id), None) is None:
            session.say(replies.error(request.req_id, 300, f"Can't find EId with tickerId:{request.req_id}"))

    def pulse(self, now_ns: int) -> None:
        """Cells that are over: their bars, and the bars that grew by them."""
        now_s = now_ns // NS_PER_S // CELL_S * CELL_S
        lanes = {id(lane): lane for lane in [s.lane for s in self.live.values()] + [s.lane for s in self.five.values()]}
        for lane in lanes.values():
            done_s = self._closed_s.get(lane.listing.con_id, now_s - CELL_S)
            for start_s in range(done_s, now_s, CELL_S):
                if self._server.market.is_open(lane):
                    self._close_cell(lane, start_s)
            self._closed_s[lane.listing.con_id] = now_s

    def _close_cell(self, lane: Lane, start_s: int) -> None:
        cell = next((cell for cell in reversed(lane.cells) if cell.start_s == start_s), None)
        for bars in list(self.five.values()):
            if bars.lane is lane and bars.alive and not self._server.quotes.is_silent(lane):
                self._say_five(bars, cell, start_s)
        for live in list(self.live.values()):
            if live.lane is lane and live.alive and cell is not None and not self._server.quotes.is_silent(lane):
                self._say_live(live, cell)

    def _say_five(self, bars: FiveSeconds, cell: Cell | None, start_s: int) -> None:
        found = self.past.bars(bars.lane, bars.what, CELL_S, start_s, start_s + CELL_S) if cell is not None else []
        if found:
            bar = found[0]
        else:
            price = {"TRADES": bars.lane.last, "BID": bars.lane.bid, "ASK": bars.lane.ask}.get(bars.what, bars.lane.mid)
            if price <= 0:
                return
            bar = PastBar(start_s, price, price, price, price, 0.0 if bars.what == "TRADES" else -1.0, price, 0)
        bars.session.say(
            (50, 3, bars.req_id, start_s, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.average, bar.count)
        )

    def _say_live(self, live: LiveBars, cell: Cell) -> None:
        start_s = cell.start_s // live.seconds * live.seconds
        found = self.past.bars(live.lane, live.request.what, live.seconds, start_s, cell.start_s + CELL_S, live.request.rth)
        if not found:
            return
        bar, zone = found[-1], live.lane.listing.hours.zone
        date = told(bar.start_s, live.seconds, live.request.format_date, zone)
        said = (bar.count, date, bar.open, bar.close, bar.high, bar.low, bar.average, bar.volume)
        live.session.say((90, live.request.req_id, *said))
