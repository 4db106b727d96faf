"""Rows of a file as columns: text and numbers of a batch understood, and what cannot be.

In:   a batch of a file, and which of its columns is what.   Out: its rows as each series of the file, and their faults.
Not:  what becomes of a faulty row; whether rows follow one another as they should.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barque.errors import ConfigError
from barque.messages.market import PriceType
from barque_archive.arrow import missing_rows, values_of
from barque_archive.checks import Fault
from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, QuoteColumns, TradeColumns
from barque_archive.kinds import OHLC, FileKind
from barque_archive.times import TimeFormat, TimeReader, texts_of

Group = tuple[MarketColumns, ...]
"""The same rows of one file as each of its series: one, or bid and ask."""
Label = Literal["open", "close"]
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """What a file's columns are."""

    kind: FileKind
    names: Mapping[str, Sequence[str]]
    """Our name -> the file's column, or columns of which a timestamp is put together."""
    symbol: str
    interval: str = ""
    duration_ns: int | None = None
    """Of bars made of time; None where each says when it closed."""
    label: Label = "open"
    prices: tuple[PriceType, ...] = ()
    """Of bars: what the series of the file are made of."""


class RowReader:
    """Understands one file, batch by batch."""

    def __init__(self, form: RowFormat, time: TimeFormat) -> None:
        self._form = form
        self._time = TimeReader(time)
        self._time_close = TimeReader(time)

    def read(self, arrays: Mapping[str, pa.Array]) -> tuple[Group, list[Fault]]:
        """The rows of a batch; one with a fault holds a 0 or NaN where it has it."""
        found = _Batch(self._form, arrays)
        times = found.times("timestamp", self._time)
        if self._form.kind == "quotes":
            return (self._quotes(found, times),), found.faults
        if self._form.kind == "trades":
            numbers = {name: found.floats(name) for name in ("price", "size")}
            return (TradeColumns(symbol=self._form.symbol, ts_event_ns=times, **numbers),), found.faults
        return self._bars(found, times), found.faults

    def _quotes(self, found: _Batch, times: Integers) -> QuoteColumns:
        numbers = {name: found.floats(name) for name in ("bid", "ask", "bid_size", "ask_size")}
        return QuoteColumns(symbol=self._form.symbol, ts_event_ns=times, **numbers)

    def _bars(self, found: _Batch, times: Integers) -> Group:
        form = self._form
        if "ts_close" in form.names:
            opens, closes = times, found.times("ts_close", self._time_close)
        else:
            length = form.duration_ns or 0
            opens, closes = (times, times + length) if form.label == "open" else (times - length, times)
        volume, ticks, seq = found.floats("volume"), found.integers("tick_count"), found.integers("seq")
        return tuple(
            BarColumns(
                symbol=form.symbol,
                interval=form.interval,
                price=price,
                ts_open_ns=opens,
                ts_close_ns=closes,
                volume=volume,
                tick_count=ticks,
                seq=seq,
                **{part: found.floats(self.prefix(price) + part) for part in OHLC},
            )
            for price in form.prices
        )

    def prefix(self, price: str) -> str:
        """What goes before the names of prices in a file of both sides: `bid_`."""
        return f"{price}_" if self._form.kind == "bid_ask_bars" else ""


@dataclass(slots=True)
class _Batch:
    form: RowFormat
    arrays: Mapping[str, pa.Array]
    faults: list[Fault] = field(default_factory=list)

    def _array(self, name: str) -> pa.Array:
        parts = [self.arrays[column] for column in self.form.names[name]]
        array = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def times(self, name: str, reader: TimeReader) -> Integers:
        """ns UTC of each row."""
        ns, wrong = reader.read(self._array(name))
        if wrong:
            reasons = {fault.index: fault.reason for fault in wrong}
            rows = np.array(sorted(reasons), np.int64)
            self.faults.append(Fault(rows, f"{name} is no time", lambda row: f"{name}: {reasons[row]}"))
        return ns

    def floats(self, name: str) -> Floats:
        """The numbers of a column; 0 where the file has none such."""
        if name not in self.form.names:
            return np.zeros(len(next(iter(self.arrays.values()))), np.float64)
        array = self._array(name)
        values, wrong = _numbers(name, array)
        if len(wrong):
            says = dict(zip(wrong.tolist(), texts_of(array.take(pa.array(wrong))), strict=True))
            self.faults.append(Fault(wrong, f"{name} is no number", lambda row: _no_number(name, says[row])))
        return values

    def integers(self, name: str) -> Integers:
        """As `floats`, of whole numbers."""
        values = self.floats(name)
        whole = (values == np.floor(values)) & (np.abs(values) < _EXACT)
        if not whole.all():
            rows = np.flatnonzero(~whole)
            self.faults.append(Fault(rows, f"{name} is no whole number", lambda row: f"{name}: {values[row]} is no whole number"))
            values = np.where(whole, values, 0.0)
        return values.astype(np.int64)


def _no_number(name: str, said: str | None) -> str:
    return f"{name}: the value is missing" if said is None else f"{name}: '{said}' is no number"


def _numbers(name: str, array: pa.Array) -> tuple[Floats, Integers]:
    """The values as float64, NaN where there is none, and the rows where there is none."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            values = pc.cast(array, pa.float64())
        except pa.ArrowException:
            return _one_by_one(array)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values = array.cast(pa.float64(), safe=False)
    else:
        raise ConfigError(f"column '{name}' holds {kind}: numbers expected")
    return values_of(values), missing_rows(values)


def _one_by_one(array: pa.Array) -> tuple[Floats, Integers]:
    """The slow way: text with spaces around its numbers, or with something that is none."""
    values, wrong = np.full(len(array), np.nan), []
    for row, text in enumerate(texts_of(array)):
        try:
            if text is None or "_" in text:
                raise ValueError(text)
            values[row] = float(text)
        except ValueError:
            wrong.append(row)
    return values, np.array(wrong, np.int64)
