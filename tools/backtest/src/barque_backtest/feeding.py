"""Market data of several sources as the one sequence of instants that a replay would publish, in bounded memory.

In:   sources of columns; a span of time.   Out: the bars before the span, then `Stretch`es of messages.
Not:  pace, clocks, repairs: rows come as their source gave them.

The order is that of `feed_replay.shell.files.merge`: instants by event time; inside one, sources in the order given, ask bars
last; a row that is older than the row before it of its series stays behind it, in that row's instant. A bar belongs to the
span when it opens in it, a tick when it happens in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from barque.bus.stretch import Stretch
from barque.errors import InvariantError
from barque.messages import Bar, Message, Topic
from barque_archive.columns import BarColumns, Integers, MarketColumns, Mask, concat, key_ns, series_of, take
from barque_archive.series import Series
from barque_archive.structs import CHUNK_ROWS, bars_of, event_times, messages_of
from barque_backtest.soundness import InstantCheck, unsound_rows

NEVER_NS = -(2**63)
FOREVER_NS = 2**63 - 1
DAY_NS = 86_400_000_000_000


class Source(Protocol):
    """Recorded data: each iteration gives its columns from the start, the parts of each series in order of time. Several series
    of one source come side by side: the bids of some thousand bars, the asks of the same, the next bids."""

    @property
    def series(self) -> Sequence[Series]:
        """What it holds, in the order in which rows of one instant come."""
        ...

    def __iter__(self) -> Iterator[MarketColumns]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of the data that is played."""

    from_ns: int = NEVER_NS
    """Inclusive, UTC; what came before is history."""
    to_ns: int = FOREVER_NS
    """Exclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How much history is wanted: of each series its last `bars`, and all that closed in the last `days` before the span."""

    bars: int = 0
    days: float = 0.0


EVERYTHING = Span()
NOTHING = Past()


class Feeding:
    """One pass over the sources."""

    def __init__(self, sources: Sequence[Source], span: Span = EVERYTHING, past: Past = NOTHING) -> None:
        self._readers = [_Reader(source, [_Lane(series, past, span) for series in source.series], span) for source in sources]
        made = [(lane, reader) for reader in self._readers for lane in reader.lanes.values()]
        made.sort(key=lambda pair: pair[0].series.price == "ask")  # stable: asks last, sources in their order
        self._lanes = [lane for lane, _ in made]
        self._reader_of = {id(lane): reader for lane, reader in made}
        self._check = InstantCheck([lane.series for lane in self._lanes])
        self._topic = Topic.BARS if all(lane.series.kind == "bars" for lane in self._lanes) else Topic.TICKS
        self.bars = 0
        """Played so far."""
        self.ticks = 0
        self.first_ns = 0
        """Event time of the first instant; 0: there was none."""
        self.last_ns = 0

    def history(self) -> list[Bar]:
        """The bars from before the span, in the order in which they would have been played. Reads on to the span. One that is
        under way at its beginning is history only if it closes before anything is played."""
        for reader in self._readers:
            reader.read_to_span()
        begins_ns = self.begins_ns()
        bars = [bar for lane in self._lanes for part in lane.history(begins_ns) for bar in bars_of(part)]
        return sorted(bars, key=lambda bar: bar.ts_close_ns)  # stable: lanes in their order

    def begins_ns(self) -> int:
        """Event time of the first instant, known once the history has been read; `FOREVER_NS` where there is none."""
        return min((lane.first_ns() for lane in self._lanes), default=FOREVER_NS)

    def __iter__(self) -> Iterator[Stretch]:
        while True:
            complete_ns = self._read_on()
            parts = [lane.cut(complete_ns) for lane in self._lanes]
            if not any(len(part.times) for part in parts):
                return
            yield self._merged(parts)

    def _read_on(self) -> int:
        """Read until something is complete; every row before the time that is returned is there. At the end all are."""
        while True:
            behind = min((lane for lane in self._lanes if not lane.done), key=lambda lane: lane.last_ns, default=None)
            if behind is None or any(lane.begins_before(behind.last_ns) for lane in self._lanes):
                complete_ns = FOREVER_NS if behind is None else behind.last_ns
                return min([complete_ns, *(lane.full_ns() for lane in self._lanes)])
            self._reader_of[id(behind)].pull()

    def _merged(self, parts: Sequence[_Part]) -> Stretch:
        filled = [slot for slot, part in enumerate(parts) if part.rows]
        rows: Sequence[Message] = parts[filled[0]].rows
        if len(filled) > 1:
            rows = [row for slot in filled for row in parts[slot].rows]
        times = np.concatenate([part.times for part in parts])
        unsound = np.concatenate([part.unsound for part in parts])
        slots = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
        if len(filled) > 1:
            order = np.argsort(times, kind="stable")
            rows = list(map(rows.__getitem__, order.tolist()))
            times, unsound, slots = times[order], unsound[order], slots[order]
        begins = np.diff(times, prepend=times[0] - 1) != 0
        ends = np.append(np.flatnonzero(begins)[1:], len(times))
        instants = times[ends - 1]
        crooked = self._check(instants, np.cumsum(begins) - 1, slots, unsound)
        self._count(parts, instants)
        return Stretch(
            topic=self._topic,
            times=instants.tolist(),
            rows=rows,
            slots=slots.tolist(),
            ends=ends.tolist() if len(ends) < len(rows) else None,
            crooked=crooked.tolist() if crooked.any() else None,
        )

    def _count(self, parts: Sequence[_Part], instants: Integers) -> None:
        for lane, part in zip(self._lanes, parts, strict=True):
            if lane.series.kind == "bars":
                self.bars += len(part.rows)
            else:
                self.ticks += len(part.rows)
        self.first_ns = self.first_ns or int(instants[0])
        self.last_ns = int(instants[-1])


class _Part(NamedTuple):
    """Rows of one series: each with its instant, and whether it is unsound by itself."""

    rows: Sequence[Message]
    times: Integers
    unsound: Mask


class _Lane:
    """One series on its way: what has been read of it and not yet been played."""

    def __init__(self, series: Series, past: Past, span: Span) -> None:
        self.series = series
        self.past: list[BarColumns] = []
        self.done = False
        self.last_ns = NEVER_NS
        """Newest instant read."""
        self._wanted, self._span = past, span
        self._opened_ns = NEVER_NS
        self._columns: Any = None
        self._times = np.zeros(0, np.int64)
        self._unsound = np.zeros(0, np.bool_)

    def remember(self, bars: BarColumns) -> None:
        """Keep of the past what is wanted of it, no more."""
        if not (self._wanted.bars or self._wanted.days):
            return
        spare = 1 if self._wanted.bars else 0  # the last one may be under way
        self.past = [self._newest(concat([*self.past, bars]), self._wanted.bars + spare)]

    def history(self, begins_ns: int) -> list[BarColumns]:
        """What is wanted of the past where the first thing played happens at `begins_ns`."""
        return [self._newest(take(part, part.ts_close_ns <= begins_ns), self._wanted.bars) for part in self.past]

    def _newest(self, bars: BarColumns, count: int) -> BarColumns:
        """The last `count`, and all of the days that are wanted."""
        since_ns = self._span.from_ns - int(self._wanted.days * DAY_NS) if self._wanted.days else FOREVER_NS
        first = min(int(np.searchsorted(bars.ts_close_ns, since_ns, "right")), max(len(bars) - count, 0))
        return take(bars, slice(first, None))

    def add(self, columns: MarketColumns) -> None:
        """Rows of the span."""
        times = event_times(columns)
        instants = np.maximum.accumulate(np.maximum(times, self.last_ns))
        unsound = unsound_rows(columns) | (times != instants)
        if isinstance(columns, BarColumns):
            unsound |= columns.ts_open_ns <= np.concatenate(([self._opened_ns], columns.ts_open_ns[:-1]))
            self._opened_ns = int(columns.ts_open_ns[-1])
        self._columns = columns if self._columns is None else concat([self._columns, columns])
        self._times = np.concatenate((self._times, instants))
        self._unsound = np.concatenate((self._unsound, unsound))
        self.last_ns = int(instants[-1])

    def first_ns(self) -> int:
        """Instant of the first row that has not been played."""
        return int(self._times[0]) if len(self._times) else FOREVER_NS

    def begins_before(self, at_ns: int) -> bool:
        """Something that was read is older."""
        return self.first_ns() < at_ns

    def full_ns(self) -> int:
        """Up to here are as many rows as are played in one go."""
        times = self._times
        return max(int(times[CHUNK_ROWS]), int(times[0]) + 1) if len(times) > CHUNK_ROWS else FOREVER_NS

    def cut(self, before_ns: int) -> _Part:
        """Take the rows of all instants before a time."""
        count = int(np.searchsorted(self._times, before_ns))
        if not count:
            return _Part([], self._times[:0], self._unsound[:0])
        part = _Part(messages_of(take(self._columns, slice(0, count))), self._times[:count], self._unsound[:count])
        self._columns = take(self._columns, slice(count, None)) if count < len(self._times) else None
        self._times, self._unsound = self._times[count:], self._unsound[count:]
        return part


class _Reader:
    """One source, read as far as needed."""

    def __init__(self, source: Source, lanes: Sequence[_Lane], span: Span) -> None:
        self.lanes = {lane.series: lane for lane in lanes}
        self._columns = iter(source)
        self._span = span

    def read_to_span(self) -> None:
        """Until each series has come to the span, or ended."""
        while any(not lane.done and lane.last_ns == NEVER_NS for lane in self.lanes.values()):
            self.pull()

    def pull(self) -> None:
        """Read the next piece; at the end its series are done."""
        columns = next(self._columns, None)
        if columns is None:
            for lane in self.lanes.values():
                lane.done = True
            return
        if not len(columns):
            return
        lane = self._lane_of(columns)
        if lane.done:
            return
        keys = key_ns(columns)
        before, after = keys < self._span.from_ns, keys >= self._span.to_ns
        if isinstance(columns, BarColumns) and before.any():
            lane.remember(take(columns, before))
        if after.all():
            lane.done = True
        elif not (before | after).all():
            lane.add(take(columns, ~(before | after)) if before.any() or after.any() else columns)

    def _lane_of(self, columns: MarketColumns) -> _Lane:
        series = series_of(columns)
        if series not in self.lanes:
            raise InvariantError(f"a source of {', '.join(map(str, self.lanes))} gave {series}")
        return self.lanes[series]
