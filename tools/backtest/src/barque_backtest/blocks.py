"""The prices of a run once more, after it: in blocks of columns, each later than the one before, in bounded memory.

In:   the sources and the span that were played.   Out: lists of columns of one stretch of time.
Not:  messages. Rows that no node would have taken are left out: late ones, prices that are none, crossed quotes, and ticks that
      the bar builder quarantines as spikes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from barbuilder.core.quality import is_spike
from barbuilder.core.state import Tape
from barque.instruments import Instrument
from barque_archive.columns import BarColumns, MarketColumns, Mask, QuoteColumns, concat, key_ns, series_of, take
from barque_archive.series import Series
from barque_archive.structs import event_times
from barque_backtest.feeding import NEVER_NS, Source, Span
from barque_backtest.soundness import unsound_rows

BLOCK_ROWS = 100_000
"""Read of each source before a block is cut, of its longest series."""


def blocks(sources: Iterable[Source], span: Span, instruments: Iterable[Instrument]) -> Iterator[list[MarketColumns]]:
    """Go through the sources from their beginning."""
    spikes = {instrument.symbol: instrument.max_spike_fraction for instrument in instruments}
    readers = [_Reader(source, span, spikes) for source in sources]
    lanes = [lane for reader in readers for lane in reader.lanes.values()]
    while True:
        for reader in readers:
            reader.read(BLOCK_ROWS)
        until_ns = min((lane.last_ns for lane in lanes if not lane.done), default=None)
        block = [part for lane in lanes for part in [lane.cut(until_ns)] if part is not None]
        if block:
            yield block
        if until_ns is None:
            return
        if not block:
            for reader in readers:
                reader.read_on(until_ns)


class _Lane:
    """One series of one source: what has been read and not yet been given."""

    def __init__(self, spike_fraction: float) -> None:
        self.done = False
        self.last_ns = NEVER_NS
        self.rows = 0
        self._parts: list[MarketColumns] = []
        self._tape = Tape()
        self._spike_fraction = spike_fraction

    def add(self, columns: MarketColumns) -> None:
        times = event_times(columns)
        good = (times >= np.maximum.accumulate(np.maximum(times, self.last_ns))) & ~unsound_rows(columns)
        columns = take(columns, good)
        if not isinstance(columns, BarColumns):
            columns = take(columns, ~self._spikes(columns))
        self.last_ns = max(self.last_ns, int(times.max()))
        if len(columns):
            self._parts.append(columns)
            self.rows += len(columns)

    def cut(self, before_ns: int | None) -> MarketColumns | None:
        """Take what happened before a time (None: all that is there)."""
        if not self._parts:
            return None
        columns: Any = concat(self._parts)
        count = len(columns) if before_ns is None else int(np.searchsorted(event_times(columns), before_ns))
        self._parts = [take(columns, slice(count, None))] if count < len(columns) else []
        self.rows -= count
        return take(columns, slice(0, count)) if count else None

    def _spikes(self, ticks: Any) -> Mask:
        """Which ticks the bar builder would hold back. It is asked tick by tick only where some neighbours are far apart."""
        quotes = isinstance(ticks, QuoteColumns)
        lows, highs = (ticks.bid, ticks.ask) if quotes else (ticks.price, ticks.price)
        faulty: Mask = lows > highs
        if not len(ticks):
            return faulty
        tape, fraction = self._tape, self._spike_fraction
        known = [tape.low, tape.high] if tape.count else [lows[0], highs[0]]
        before = (np.concatenate(([known[0]], lows[:-1])), np.concatenate(([known[1]], highs[:-1])))
        far = (np.abs(lows - before[0]) > fraction * before[0]) | (np.abs(highs - before[1]) > fraction * before[1])
        if tape.suspects or (far | faulty).any():
            for index, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
                if not faulty[index]:
                    faulty[index] = is_spike(tape, low, high, fraction)
                if not faulty[index]:
                    tape.low, tape.high, tape.count = low, high, tape.count + 1
        else:
            tape.low, tape.high, tape.count = float(lows[-1]), float(highs[-1]), tape.count + len(ticks)
        return faulty


class _Reader:
    """One source, read as far as needed."""

    def __init__(self, source: Source, span: Span, spikes: Mapping[str, float]) -> None:
        self.lanes: dict[Series, _Lane] = {series: _Lane(spikes.get(series.symbol, 1.0)) for series in source.series}
        self._columns = iter(source)
        self._span = span

    def read(self, rows: int) -> None:
        """Until one of its series has so many rows, or all have ended."""
        while not all(lane.done for lane in self.lanes.values()) and max(lane.rows for lane in self.lanes.values()) < rows:
            self._pull()

    def read_on(self, until_ns: int) -> None:
        """Until each of its series is past a time, or has ended."""
        while any(not lane.done and lane.last_ns <= until_ns for lane in self.lanes.values()):
            self._pull()

    def _pull(self) -> None:
        columns = next(self._columns, None)
        if columns is None:
            for lane in self.lanes.values():
                lane.done = True
            return
        lane = self.lanes[series_of(columns)]
        keys = key_ns(columns)
        inside = (keys >= self._span.from_ns) & (keys < self._span.to_ns)
        if len(columns) and bool((keys >= self._span.to_ns).all()):
            lane.done = True
        elif inside.any() and not lane.done:
            lane.add(columns if inside.all() else take(columns, inside))
