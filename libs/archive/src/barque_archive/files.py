"""Recorded files as columns: rows read, understood and judged, some thousands at a time.

In:   a CSV or Parquet file, plain or .gz; how to read it.   Out: `MarketColumns`, oldest first, and a tally of what was left out.
Not:  silence. A row that is not what it should be is an error that names file, row and field, or it is counted.

What a file holds is known by its columns (`barque_archive.kinds`); a column that is not needed is ignored. A file that is
missing or lacks columns raises `ConfigError` when it is opened; a bad row raises `BadRow` once what precedes it has been given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from barque.errors import ConfigError
from barque.messages.market import PriceType
from barque_archive.checks import Fault, faults_of, not_numbers
from barque_archive.columns import BarColumns, Integers, MarketColumns, between, concat, key_ns, take
from barque_archive.kinds import COLUMNS, OPTIONAL, TIMESTAMPS, FileKind, kind_of, renamed
from barque_archive.rows import Group, Label, RowFormat, RowReader
from barque_archive.sequence import Sequencer, Twins
from barque_archive.series import Series, SeriesKind, duration_ns
from barque_archive.tables import BadRow, Batch, Table, opened, row_number
from barque_archive.times import TimeFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is to be read, and what becomes of rows that are not as they should be."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name -> the file's own: `{"timestamp": "Date", "open": "O"}`."""
    time: TimeFormat = field(default_factory=TimeFormat)
    label: Label = "open"
    """Which end of a bar its timestamp is."""
    delimiter: str = ","
    kind: SeriesKind | None = None
    """What to read a file as that could be several kinds; None: what its columns say first."""
    order: Literal["strict", "sort", "as_is"] = "strict"
    """Rows out of order: refused, sorted (the whole file in memory), or left as they stand."""
    bad: Literal["refuse", "skip", "keep"] = "refuse"
    """Rows with impossible values: refused, left out and counted, or given as they are. What is no row at all is never given."""
    twins: Twins = "refuse"
    """A second bar of one time: refused, dropped where it says the same, or given. Ticks may be equal; `drop` drops one that
    equals the one before it."""


AS_RECORDED = Reading(order="as_is", bad="keep", twins="keep")
"""As a feed hands it on: late rows late, impossible prices for others to judge."""


@dataclass(slots=True)
class Tally:
    """What one pass over a file came to."""

    rows: int = 0
    """Given, of each series."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows, by what was wrong with them."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first row of each of these, in words."""


class FileSource:
    """One file. Each iteration reads it from its start; `tally` and `fraction` speak of the latest one."""

    def __init__(
        self,
        path: Path,
        symbol: str,
        interval: str = "1m",
        price: PriceType | None = None,
        reading: Reading | None = None,
        span: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """`price`: of plain bars what they are made of (None: `last`); of bid and ask bars which to give (None: both).

        `span`: only rows whose time (a bar's open) is in [from, to) ns UTC.
        """
        self.path, self.reading, self._span = path, reading or Reading(), span
        self.tally = Tally()
        self._table: Table | None = None
        with opened(path, (), self.reading.delimiter) as table:
            try:
                names = renamed(table.columns, self.reading.columns)
                self.kind: FileKind = kind_of(list(names), _among(self.reading.kind))
                self._form = self._row_format(names, symbol, interval, price)
            except ConfigError as error:
                raise ConfigError(f"recorded file {path}: {error}") from None
        kind: SeriesKind = "bars" if "bars" in self.kind else cast(SeriesKind, self.kind)
        pairs = [(interval, price) for price in self._form.prices] if kind == "bars" else [("", "")]
        self.series: tuple[Series, ...] = tuple(Series(symbol, kind, *pair) for pair in pairs)

    @property
    def fraction(self) -> float:
        """How much of the file the iteration under way has read."""
        return self._table.fraction if self._table is not None else 0.0

    def __iter__(self) -> Iterator[MarketColumns]:
        """Some thousand rows at a time; of bid and ask bars each stretch twice, bid first."""
        for group in self.groups():
            yield from group

    def groups(self) -> Iterator[Group]:
        """Some thousand rows at a time, as each series of the file."""
        self.tally = Tally()
        to_ns = self._span[1]
        for group in self._in_sequence():
            cut = self._within_span(group)
            if len(cut[0]):
                self.tally.rows += len(cut[0])
                yield cut
            if to_ns is not None and self.reading.order != "as_is" and key_ns(group[0])[-1] >= to_ns:
                return

    def _within_span(self, group: Group) -> Group:
        from_ns, to_ns = self._span
        if from_ns is None and to_ns is None:
            return group
        if self.reading.order != "as_is":
            return tuple(between(columns, from_ns, to_ns) for columns in group)
        times = key_ns(group[0])
        wanted = (times >= (from_ns if from_ns is not None else times)) & (times < (to_ns if to_ns is not None else times + 1))
        return tuple(take(columns, wanted) for columns in group)

    def _in_sequence(self) -> Iterator[Group]:
        reading, names = self.reading, self._form.names
        numbered = "seq" in names or self._form.duration_ns is not None
        sequencer = Sequencer(strict=reading.order != "as_is", twins=reading.twins, numbered=numbered)
        for group, places in self._sorted() if reading.order == "sort" else self._judged():
            admitted, fault = sequencer.admit(group)
            if len(admitted[0]):
                yield admitted
            if fault is not None:
                raise self._bad_row(int(places[fault.rows[0]]), fault.text(int(fault.rows[0])))
        if sequencer.dropped:
            self._leave_out("duplicate", sequencer.dropped, "the same as the row before it")

    def _sorted(self) -> Iterator[tuple[Group, Integers]]:
        parts = list(self._judged())
        if parts:
            sides = range(len(parts[0][0]))
            whole = tuple(concat([group[side] for group, _ in parts]) for side in sides)
            order = np.argsort(key_ns(whole[0]), kind="stable")
            yield tuple(take(columns, order) for columns in whole), np.concatenate([places for _, places in parts])[order]

    # -- rows by themselves -----------------------------------------------------------------------------------------------

    def _judged(self) -> Iterator[tuple[Group, Integers]]:
        """Rows that are what they should be, with their places in the file. Raises `BadRow` at the first that must not be."""
        skip = self.reading.bad == "skip"
        reader = RowReader(self._form, self.reading.time)
        wanted = sorted({column for columns in self._form.names.values() for column in columns})
        with opened(self.path, wanted, self.reading.delimiter) as table:
            self._table = table
            for batch in table.batches:
                torn = None if skip else _first_torn(table, int(batch.places[-1]))
                yield from self._judged_batch(reader, batch if torn is None else _before(batch, torn))
                if torn is not None:
                    raise self._bad_row(torn, table.torn[torn])
            for place in sorted(table.torn)[: 1 if table.torn else 0]:
                if not skip:
                    raise self._bad_row(place, table.torn[place])
                self._leave_out("values are too many or too few", len(table.torn), self._example(place, table.torn[place]))

    def _judged_batch(self, reader: RowReader, batch: Batch) -> Iterator[tuple[Group, Integers]]:
        group, faults = reader.read(batch.arrays)
        keep = self.reading.bad == "keep"
        for columns in group:
            prefix = reader.prefix(columns.price) if isinstance(columns, BarColumns) else ""
            if not keep:
                faults += faults_of(columns, prefix)
            elif isinstance(columns, BarColumns):
                faults += not_numbers(columns, prefix)
        if not faults:
            yield group, batch.places
        elif self.reading.bad == "skip":
            rest = self._without(faults, batch.places)
            yield tuple(take(columns, rest) for columns in group), batch.places[rest]
        else:
            first = min(faults, key=lambda fault: int(fault.rows[0]))
            row = int(first.rows[0])
            yield tuple(take(columns, slice(0, row)) for columns in group), batch.places[:row]
            raise self._bad_row(int(batch.places[row]), first.text(row))

    def _without(self, faults: Sequence[Fault], places: Integers) -> Integers:
        """The rows that have no fault; the others are counted, each once."""
        faulty = np.zeros(len(places), np.bool_)
        for fault in faults:
            news = fault.rows[~faulty[fault.rows]]
            faulty[news] = True
            if len(news):
                known = fault.name in self.tally.examples
                example = "" if known else self._example(int(places[news[0]]), fault.text(int(news[0])))
                self._leave_out(fault.name, len(news), example)
        return np.flatnonzero(~faulty)

    def _leave_out(self, why: str, count: int, example: str) -> None:
        self.tally.left_out[why] = self.tally.left_out.get(why, 0) + count
        self.tally.examples.setdefault(why, example)

    def _example(self, place: int, text: str) -> str:
        return f"row {row_number(self.path, place, self.reading.delimiter)}: {text}"

    def _bad_row(self, place: int, text: str) -> BadRow:
        return BadRow(self.path, row_number(self.path, place, self.reading.delimiter), text)

    # -- what the file is ---------------------------------------------------------------------------------------------------

    def _row_format(self, names: Mapping[str, tuple[str, ...]], symbol: str, interval: str, price: PriceType | None) -> RowFormat:
        kind = self.kind
        stamp = next(name for name in TIMESTAMPS if name in names)
        known = (*COLUMNS[kind], *(name for name in OPTIONAL[kind] if name in names))
        chosen = {"timestamp": names[stamp], **{name: names[name] for name in known}}
        if "bars" not in kind:
            return RowFormat(kind=kind, names=chosen, symbol=symbol)
        try:
            length = duration_ns(interval)
        except ValueError as error:
            raise ConfigError(f"key 'interval': {error}") from None
        if length is None and "ts_close" not in names:
            raise ConfigError(
                f"key 'interval': bars of {interval} end when something has happened; the file needs a column ts_close"
            )
        prices: tuple[PriceType, ...] = (price or "last",)
        if kind == "bid_ask_bars":
            if price not in (None, "bid", "ask"):
                raise ConfigError(f"it holds bars of bid and of ask, none of '{price}'")
            prices = ("bid", "ask") if price is None else (price,)
            chosen = {name: columns for name, columns in chosen.items() if name[:4] not in ("bid_", "ask_") or name[:3] in prices}
        return RowFormat(
            kind=kind,
            names=chosen,
            symbol=symbol,
            interval=interval,
            duration_ns=length,
            label=self.reading.label,
            prices=prices,
        )


def _among(kind: SeriesKind | None) -> Sequence[FileKind]:
    if kind is None:
        return tuple(COLUMNS)
    return ("bid_ask_bars", "bars") if kind == "bars" else (kind,)


def _first_torn(table: Table, last: int) -> int | None:
    """The first torn row before the place `last`."""
    return min((place for place in table.torn if place < last), default=None)


def _before(batch: Batch, place: int) -> Batch:
    count = int(np.searchsorted(batch.places, place))
    return Batch({name: array.slice(0, count) for name, array in batch.arrays.items()}, batch.places[:count])
