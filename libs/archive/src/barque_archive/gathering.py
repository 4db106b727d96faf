"""Messages of a stream, gathered as columns for the archive.

In:   entries of `bars` and `ticks`, in the order of the stream.   Out: per series its rows, with the entry of each.
Not:  files; what is no market data is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from barque.messages import Bar, BarRevised, Message, Quote, Trade
from barque_archive.columns import BarColumns, MarketColumns, QuoteColumns, TradeColumns
from barque_archive.edits import Passage
from barque_archive.series import Series


@dataclass(slots=True)
class Gathered:
    """What has come since the last flush."""

    entry_ids: list[str] = field(default_factory=list)
    rows: int = 0
    revised: dict[Series, dict[tuple[int, int], Bar]] = field(default_factory=dict)
    """Bars that take the place of what is there, the last of each, by open and number."""
    _messages: dict[Series, list[Message]] = field(default_factory=dict)
    _entries: dict[Series, list[int]] = field(default_factory=dict)

    def add(self, entry_id: str, messages: Sequence[Message]) -> None:
        """Take in one entry of one stream; entries of a stream come in its order."""
        number = len(self.entry_ids)
        self.entry_ids.append(entry_id)
        for message in messages:
            if type(message) is BarRevised:
                self._revise(message.bar)
                continue
            series = series_of_message(message)
            if series is not None:
                self._messages.setdefault(series, []).append(message)
                self._entries.setdefault(series, []).append(number)
                self.rows += 1

    def _revise(self, bar: Bar) -> None:
        series = series_of_message(bar)
        if series is not None:
            self.revised.setdefault(series, {})[bar.ts_open_ns, bar.seq] = bar
            self.rows += 1

    def series(self) -> list[Series]:
        """The series that something came of, in order."""
        return sorted(self._messages)

    def columns(self, series: Series, writer: str) -> tuple[MarketColumns, Passage]:
        """The rows of a series, in the order of the stream, and where they come from."""
        entries = np.array(self._entries[series], np.int64)
        return columns_of(series, self._messages[series]), Passage(writer, self.entry_ids, entries)


def series_of_message(message: Message) -> Series | None:
    """Where a message belongs; None for what is no bar, quote or trade."""
    kind = type(message)
    if kind is Bar:
        return Series(message.symbol, "bars", message.interval, message.price)
    if kind is Quote:
        return Series(message.symbol, "quotes")
    return Series(message.symbol, "trades") if kind is Trade else None


def columns_of(series: Series, messages: Sequence[Message]) -> MarketColumns:
    """Messages of one series as columns, in their order."""

    def floats(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([getattr(message, name) for message in messages], np.float64)

    def whole(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(message, name) for message in messages], np.int64)

    if series.kind == "quotes":
        sizes = {name: floats(name) for name in ("bid", "ask", "bid_size", "ask_size")}
        return QuoteColumns(symbol=series.symbol, ts_event_ns=whole("ts_event_ns"), **sizes)
    if series.kind == "trades":
        return TradeColumns(symbol=series.symbol, ts_event_ns=whole("ts_event_ns"), price=floats("price"), size=floats("size"))
    return BarColumns(
        symbol=series.symbol,
        interval=series.interval,
        price=messages[0].price,
        tick_count=whole("tick_count"),
        seq=whole("seq"),
        ts_open_ns=whole("ts_open_ns"),
        ts_close_ns=whole("ts_close_ns"),
        **{name: floats(name) for name in ("open", "high", "low", "close", "volume")},
    )
