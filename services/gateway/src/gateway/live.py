"""What every viewer of the page sees, read once a second for all of them.

In:   the ledger's queries; status, marks and feeds from the bus.   Out: one `View`, and one `Chart` per series on show.
Not:  a queue. Viewers compare with what they have; nothing grows with their number or with time.
While Postgres or Redis is away the last view stays, and `status.problems` says so.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic, time_ns
from typing import Literal

import structlog

from barque import messages
from barque.bus.redis_bus import NodeStatus, RedisBus
from barque.bus.wire import Entry
from barque.errors import BarqueError, BusUnavailable, WireError
from barque.intervals import WEEK_NS, Interval, interval_of
from barque.messages import ClockTicked, FeedStatus, Mark, Message, Topic
from barque.observability.health import Health
from gateway.format import NS
from gateway.models import (
    Alert,
    Bar,
    Equity,
    Feed,
    Fill,
    Halt,
    Instrument,
    Node,
    Order,
    Position,
    Rejection,
    Series,
    Status,
    Strategy,
)
from gateway.queries import Ledger, Scope
from gateway.tape import Curve, Tape

LOOK_INTERVAL_S = 1.0
SLOW_LOOKS = 5
"""What seldom changes is read every fifth time."""
ROWS = 50
BARS = 480
FILLS = 400
CURVE_POINTS = 600
CHARTS = 32
TICKS_READ = 32
MARKS_READ = 64
PREFERRED_PRICES = ("last", "mid", "bid", "ask")
"""Entries; each may hold many messages."""
LATE_FILLS_NS = 600 * NS
"""A fill may be booked this much after a younger one and still be found."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class View:
    """The book as last seen."""

    status: Status
    scope: Scope | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    positions: Sequence[Position] = ()
    orders: Sequence[Order] = ()
    fills: Sequence[Fill] = ()
    rejections: Sequence[Rejection] = ()
    alerts: Sequence[Alert] = ()
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    strategies: Sequence[Strategy] = ()
    series: Sequence[Series] = ()
    equity: Mapping[str, Curve[Equity]] = field(default_factory=dict)
    """Account -> its history."""


def _liveliest_first(series: Series) -> tuple[str, bool, str, int, int]:
    """By symbol, bars of time before others, the shortest before longer ones, then the price that says most.

    The page begins with the first.
    """
    try:
        interval = interval_of(series.interval)
    except ValueError:  # an archive may hold what a feed called its bars
        interval = Interval("time", WEEK_NS)
    return series.symbol, not interval.is_time, interval.kind, interval.size, PREFERRED_PRICES.index(series.price)


@dataclass(slots=True)
class Chart:
    """The newest bars of one series, and the fills among them."""

    scope: Scope
    series: Series
    bars: Tape[Bar] = field(default_factory=lambda: Tape(BARS))
    fills: Tape[Fill] = field(default_factory=lambda: Tape(FILLS))
    read_at: float = float("-inf")
    revised_ns: int = 0
    """When one of its bars was last made whole from history; a later time, and it is drawn anew."""

    async def refresh(self, ledger: Ledger) -> None:
        """Read what is new."""
        newest = self.bars.last
        if newest is None:
            self.bars.extend(await ledger.bars(self.scope, self.series, BARS))
        else:
            after = {"from_ns": newest.ts_open_ns, "from_seq": newest.seq + 1}
            self.bars.extend(await ledger.bars(self.scope, self.series, BARS, **after))
        if self.bars.items:
            await self._refresh_fills(ledger)
        self.read_at = monotonic()

    async def _refresh_fills(self, ledger: Ledger) -> None:
        start_ns = self.bars.items[0].ts_open_ns
        if self.fills.last is not None:
            start_ns = max(start_ns, self.fills.last.ts_event_ns - LATE_FILLS_NS)
        page = await ledger.fills(self.scope, FILLS, symbol=self.series.symbol, from_ns=start_ns)
        known = {(fill.account, fill.exec_id) for fill in self.fills.items}
        self.fills.extend(fill for fill in reversed(page.items) if (fill.account, fill.exec_id) not in known)


class Live:
    """Looks at the book once a second; see the module's docstring."""

    def __init__(self, book: str, clock: Literal["wall", "feed"], ledger: Ledger, bus: RedisBus, health: Health) -> None:
        self._book, self._clock = book, clock
        self._ledger, self._bus, self._health = ledger, bus, health
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._charts: OrderedDict[Series, Chart] = OrderedDict()
        self._chart_lock = asyncio.Lock()
        self._look_lock = asyncio.Lock()
        self._looks = 0
        status = Status(
            book=book, lineage="", clock=clock, now_ns=0, halt=Halt(halted=False), nodes=[], feeds=[], problems=["starting"]
        )
        self.view = View(status=status)

    async def look(self) -> View:
        """One look at both stores; what cannot be read stays as it was and becomes a problem."""
        async with self._look_lock:
            problems = [
                *await self._read("postgres", self._look_at_ledger),
                *await self._read("redis", self._look_at_bus),
            ]
            self.view = replace(self.view, status=self.view.status.model_copy(update={"problems": problems}))
            self._looks += 1
            return self.view

    async def _read(self, component: str, read: Callable[[View], Awaitable[View]]) -> list[str]:
        """Bring the view up to date from one store; returns what is wrong with it."""
        try:
            self.view = await read(self.view)
        except BarqueError as error:
            if self._health.not_ready(component, str(error)):
                log.warning("store_away", component=component, reason=str(error.__cause__ or error))
            return [str(error)]
        self._health.ready(component)
        return []

    async def chart(self, series: Series) -> Chart | None:
        """The chart of a series, at most a second old; None while the ledger has never answered."""
        scope = self.view.scope
        if scope is None:
            return None
        async with self._chart_lock:
            chart = self._charts.get(series)
            if chart is None or monotonic() - chart.read_at >= LOOK_INTERVAL_S * 0.9:
                revised_ns = await self._ledger.revised_ns(scope, series, BARS)
                if chart is None or chart.scope != scope or chart.revised_ns != revised_ns:
                    chart = self._charts[series] = Chart(scope, series, revised_ns=revised_ns)
            self._charts.move_to_end(series)
            while len(self._charts) > CHARTS:
                self._charts.popitem(last=False)
            if monotonic() - chart.read_at >= LOOK_INTERVAL_S * 0.9:
                await chart.refresh(self._ledger)
            return chart

    async def _look_at_ledger(self, view: View) -> View:
        ledger = self._ledger
        scope = await ledger.scope(self._book)
        if scope != view.scope:
            view = View(status=view.status.model_copy(update={"lineage": scope.lineage}), scope=scope)
        halt = await ledger.halt(self._book)
        if self._looks % SLOW_LOOKS == 0 or not view.series:
            view = replace(
                view,
                instruments={row.symbol: row for row in await ledger.instruments()},
                strategies=await ledger.strategies(self._book),
                series=sorted(await ledger.series(scope), key=_liveliest_first),
            )
        return replace(
            view,
            status=view.status.model_copy(update={"halt": halt}),
            positions=await ledger.positions(scope),
            orders=(await ledger.orders(scope, ROWS)).items,
            fills=(await ledger.fills(scope, ROWS)).items,
            rejections=(await ledger.rejections(scope, ROWS)).items,
            equity=await self._equity(scope, view.equity),
        )

    async def _equity(self, scope: Scope, curves: Mapping[str, Curve[Equity]]) -> Mapping[str, Curve[Equity]]:
        newest = {account: curve.last.ts_event_ns for account, curve in curves.items() if curve.last}
        if newest:
            rows = await self._ledger.equity(scope, CURVE_POINTS, from_ns=min(newest.values()) + 1)
        else:
            rows = await self._ledger.equity_curve(scope, CURVE_POINTS // 2)
        grown = dict(curves)
        for row in rows:
            if row.ts_event_ns > newest.get(row.account, -1):
                grown.setdefault(row.account, Curve(CURVE_POINTS)).extend([row])
        return grown

    async def _look_at_bus(self, view: View) -> View:
        try:
            nodes = [_node(node) for node in await self._bus.status()]
            marks = {**view.marks, **{m.symbol: m for m in await self._said(Topic.MARKS, MARKS_READ) if isinstance(m, Mark)}}
            for said in await self._feed_talk():
                if isinstance(said, FeedStatus):
                    self._feeds[said.feed, said.symbol] = _feed(said)
            alerts = await newest_alerts(self._bus, ROWS, ROWS)
            now_ns = await self._now_ns()
        except BarqueError as error:
            raise BusUnavailable("Redis is away; no order passes until it is back, and a halt holds all the same") from error
        feeds = [self._feeds[key] for key in sorted(self._feeds)]
        update = {"nodes": nodes, "feeds": feeds, "now_ns": now_ns}
        return replace(view, marks=marks, alerts=alerts, status=view.status.model_copy(update=update))

    async def _feed_talk(self) -> list[Message]:
        """The newest ticks; the first time the oldest too, where a feed says that it connected."""
        first = [] if self._feeds else _messages(await self._bus.range(Topic.TICKS, count=TICKS_READ))
        return first + await self._said(Topic.TICKS, TICKS_READ)

    async def _now_ns(self) -> int:
        if self._clock == "wall":
            return time_ns()
        ticks = [said for said in await self._said(Topic.CLOCK, 1) if isinstance(said, ClockTicked)]
        return ticks[-1].now_ns if ticks else 0

    async def _said(self, topic: Topic, entries: int) -> list[Message]:
        return _messages(await self._bus.last(topic, entries))


async def newest_alerts(bus: RedisBus, entries: int, limit: int, severity: str | None = None) -> list[Alert]:
    """Newest first, among the last `entries` of the stream. Raises `BusUnavailable`."""
    found: list[Alert] = []
    for entry in await bus.last(Topic.ALERTS, entries):
        for index, said in enumerate(_messages([entry])):
            if isinstance(said, messages.Alert) and severity in (None, said.severity):
                found.append(_shown(f"{entry.entry_id}/{index}", said))
    return found[: -limit - 1 : -1]


def _messages(entries: Sequence[Entry]) -> list[Message]:
    """What can be read of them; the rest is for the node that dead-letters it."""
    said: list[Message] = []
    for entry in entries:
        with suppress(WireError):
            said.extend(entry.messages())
    return said


def _node(status: NodeStatus) -> Node:
    return Node(
        name=status.name,
        rank=status.rank,
        seq=status.seq,
        lag=status.lag_entries,
        refused=status.refused,
        last_seen_ms=status.last_seen_ms,
        worker=status.worker,
    )


def _shown(place: str, said: messages.Alert) -> Alert:
    names = ("name", "severity", "source", "text", "ts_event_ns")
    return Alert.model_validate({"id": place} | {name: getattr(said, name) for name in names})


def _feed(said: FeedStatus) -> Feed:
    return Feed(
        feed=said.feed,
        symbol=said.symbol,
        state=said.state,
        dropped=said.dropped,
        detail=said.detail,
        ts_event_ns=said.ts_event_ns,
    )
