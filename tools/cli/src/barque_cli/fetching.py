"""`barque data fetch`: a broker's history into the archive, piece by piece, where it was left off.

In:   a broker's name, a series, a time.   Out: rows in the archive; beside it, which pieces are whole.
Not:  pace; each broker's source keeps to its own limits, and waits where it has to.

Each piece, some days, goes into the archive wholly and is then written down in `<archive>/.fetched`, an empty weekend too. So a
fetch that was broken off goes on with the first piece that is missing, and one that is repeated asks for nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog

from barque.errors import BarqueError, ConfigError, VenueThrottled, VenueUnavailable, nearest
from barque.instruments import Instrument
from barque.intervals import DAY_NS, interval_of
from barque.live_feed.source import Connected, HistoryQuery, Lost, MarketMessage, MarketSource, SourceEvent
from barque.messages import Bar
from barque_archive.columns import MarketColumns
from barque_archive.gathering import columns_of
from barque_archive.importing import import_into
from barque_archive.merging import Conflicts
from barque_archive.series import Series

log = structlog.get_logger()
GROUP = "barque.market_history"
CONNECT_S = 60.0
TRIES = 6
SETTLED_NS = 120 * 10**9
"""What is younger may still change at the broker; it is fetched, and asked for again the next time."""
Span = tuple[int, int]


@dataclass(slots=True)
class Fetched:
    """What it came to."""

    rows: int = 0
    added: int = 0
    pieces: int = 0
    """Asked for."""
    skipped: int = 0
    """There already."""


def open_history(name: str, raw: Mapping[str, Any], instruments: Sequence[Instrument], symbol: str) -> MarketSource:
    """The source of a broker's history; raises `ConfigError`."""
    known = {each.name: each for each in entry_points(group=GROUP)}
    if name not in known:
        raise ConfigError(f"option --source: there is no '{name}'; {nearest(name, sorted(known))}")
    source: MarketSource = known[name].load()(raw, instruments, symbol)
    return source


async def fetch(
    root: Path, source: MarketSource, wanted: HistoryQuery, conflicts: Conflicts, progress: Callable[[float, Fetched], None]
) -> Fetched:
    """All of `wanted` that is not there yet. Raises `ConfigError`, `VenueRefused`, or `VenueUnavailable` after some tries; what
    was fetched until then stays."""
    series, result = _series_of(wanted), Fetched()
    done = Done(root, source.name, series)
    watch = _Watch()
    connection = asyncio.create_task(source.connect(watch))
    try:
        await watch.until_connected(connection)
        pieces = list(_pieces(wanted))
        for number, piece in enumerate(pieces):
            rest = done.rest(piece)
            if rest is None:
                result.skipped += 1
            else:
                messages = await _ask(source, wanted, rest, watch, connection)
                await asyncio.to_thread(_store, root, series, messages, conflicts, result)
                done.add(rest, time.time_ns() - SETTLED_NS)
                result.pieces += 1
            progress((number + 1) / len(pieces), result)
    finally:
        connection.cancel()
        with suppress(asyncio.CancelledError, BarqueError):
            await asyncio.wait_for(connection, 5.0)
        await source.close()
    return result


class Done:
    """Which stretches of a series have been fetched from a broker."""

    def __init__(self, root: Path, source: str, series: Series) -> None:
        name = "-".join(part.replace("/", "%2F").replace(":", "%3A") for part in (source, *series) if part)
        self._path = root / ".fetched" / f"{name}.json"
        self.spans: list[Span] = []
        if self._path.is_file():
            try:
                self.spans = [(int(first), int(end)) for first, end in json.loads(self._path.read_text(encoding="utf-8"))]
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"{self._path} cannot be read ({error}); remove it, and everything is asked for again"
                ) from None

    def rest(self, span: Span) -> Span | None:
        """What is to be asked for of it: from where it is not known any more; None: nothing."""
        known = max((end for first, end in self.spans if first <= span[0]), default=span[0])
        first = max(span[0], known)
        return (first, span[1]) if first < span[1] else None

    def add(self, span: Span, settled_ns: int) -> None:
        """It is in the archive, up to `settled_ns` for good."""
        first, end = span[0], min(span[1], settled_ns)
        if first >= end:
            return
        merged: list[Span] = []
        for each in sorted([*self.spans, (first, end)]):
            if merged and each[0] <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], each[1]))
            else:
                merged.append(each)
        self.spans = merged
        self._path.parent.mkdir(parents=True, exist_ok=True)
        prepared = self._path.with_suffix(".part")
        prepared.write_text(json.dumps(self.spans), encoding="utf-8")
        prepared.replace(self._path)


class _Watch:
    """The sink of a source of which only the past is wanted."""

    def __init__(self) -> None:
        self._connected = asyncio.Event()
        self._why = "no answer yet"

    def heard(self, messages: Sequence[MarketMessage], missed: bool = False) -> None:
        """Nothing is subscribed."""

    def told(self, event: SourceEvent) -> None:
        if isinstance(event, Connected):
            self._connected.set()
        elif isinstance(event, Lost):
            self._connected.clear()
            self._why = event.detail

    def room(self) -> int:
        return 0

    async def until_connected(self, connection: asyncio.Task[None]) -> None:
        """Raises what ended the connection for good, or `VenueUnavailable`."""
        waiting = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait((waiting, connection), timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if connection.done():
            connection.result()
        if not self._connected.is_set():
            raise VenueUnavailable(f"no connection within {CONNECT_S:g} s: {self._why}")


async def _ask(
    source: MarketSource, wanted: HistoryQuery, piece: Span, watch: _Watch, connection: asyncio.Task[None]
) -> list[MarketMessage]:
    """One piece, in order; waits where the broker wants us to, and for a connection that is lost meanwhile."""
    query = HistoryQuery(
        symbol=wanted.symbol, kind=wanted.kind, from_ns=piece[0], to_ns=piece[1], interval=wanted.interval, price=wanted.price
    )
    for attempt in range(TRIES):
        found: list[MarketMessage] = []
        try:
            async for page in source.history(query):
                found += page.messages
            now_ns = time.time_ns()
            return [m for m in found if not isinstance(m, Bar) or m.ts_close_ns <= now_ns]
        except BarqueError as error:
            if error.disposition != "retry" or attempt + 1 == TRIES:
                raise
            log.warning("history_failed", reason=str(error), attempt=attempt + 1)
            await asyncio.sleep(error.retry_after_ms / 1_000 if isinstance(error, VenueThrottled) else min(2.0**attempt, 30.0))
            await watch.until_connected(connection)
    raise VenueUnavailable("no answer")


def _pieces(wanted: HistoryQuery) -> Iterator[Span]:
    """Days of ticks and of short bars, weeks of minutes, months of longer ones; on the same grid each time."""
    days = 1
    if wanted.kind == "bars":
        length_ns = interval_of(wanted.interval).interval_ns
        days = 1 if length_ns < 60 * 10**9 else 7 if length_ns < 3_600 * 10**9 else 30
    at_ns = wanted.from_ns
    while at_ns < wanted.to_ns:
        end_ns = min((at_ns // (days * DAY_NS) + 1) * days * DAY_NS, wanted.to_ns)
        yield at_ns, end_ns
        at_ns = end_ns


class _Piece:
    """Messages as a source of the archive."""

    path = "the broker's history"

    def __init__(self, series: Series, messages: Sequence[MarketMessage]) -> None:
        self.series = (series,)
        self.fraction = 0.0
        self._columns = columns_of(series, messages)

    def __iter__(self) -> Iterator[MarketColumns]:
        yield self._columns
        self.fraction = 1.0


def _store(root: Path, series: Series, messages: Sequence[MarketMessage], conflicts: Conflicts, result: Fetched) -> None:
    if messages:
        imported = import_into(root, _Piece(series, messages), conflicts)
        result.rows += imported.rows
        result.added += imported.added


def _series_of(wanted: HistoryQuery) -> Series:
    if wanted.kind == "bars":
        return Series(wanted.symbol, "bars", wanted.interval, wanted.price)
    return Series(wanted.symbol, wanted.kind)
