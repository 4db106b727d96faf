"""Columns as messages.

In:   `BarColumns`, `QuoteColumns`, `TradeColumns`.   Out: `Bar`, `Quote`, `Trade`, one per row, in the order of rows.
Not:  judgement: NaN and prices that are none come through as they are. Every row becomes an object of some 300 bytes; whoever
      has many rows cuts the columns first (`in_chunks`).

Constructors with keywords over plain lists are the fastest way there is: twice as fast as packing rows into MessagePack with
numpy and decoding them, because the texts of a series are made once.
"""

from __future__ import annotations

from collections.abc import Iterator

from barque.messages import Bar, Quote, Trade
from barque_archive.columns import AnyColumns, BarColumns, Integers, MarketColumns, QuoteColumns, TradeColumns, take

CHUNK_ROWS = 16_384
"""Rows that are messages at one time, where a long series is worked on."""


def bars_of(columns: BarColumns) -> list[Bar]:
    """A bar per row; `root` is empty."""
    symbol, interval, price = columns.symbol, columns.interval, columns.price
    names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume", "tick_count", "seq")
    if not (columns.volume.any() or columns.tick_count.any() or columns.seq.any()):  # then all of them are what a bar has anyway
        table = zip(*(getattr(columns, name).tolist() for name in names[:6]), strict=True)
        return [
            Bar(
                symbol=symbol,
                interval=interval,
                price=price,
                ts_open_ns=open_ns,
                ts_close_ns=close_ns,
                open=first,
                high=high,
                low=low,
                close=last,
            )
            for open_ns, close_ns, first, high, low, last in table
        ]
    whole = zip(*(getattr(columns, name).tolist() for name in names), strict=True)
    return [
        Bar(
            symbol=symbol,
            interval=interval,
            price=price,
            ts_open_ns=open_ns,
            ts_close_ns=close_ns,
            open=first,
            high=high,
            low=low,
            close=last,
            volume=volume,
            tick_count=count,
            seq=seq,
        )
        for open_ns, close_ns, first, high, low, last, volume, count, seq in whole
    ]


def quotes_of(columns: QuoteColumns) -> list[Quote]:
    """A quote per row, received when it happened."""
    symbol = columns.symbol
    table = zip(
        columns.ts_event_ns.tolist(),
        columns.bid.tolist(),
        columns.ask.tolist(),
        columns.bid_size.tolist(),
        columns.ask_size.tolist(),
        strict=True,
    )
    return [
        Quote(symbol=symbol, ts_event_ns=at_ns, ts_recv_ns=at_ns, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size)
        for at_ns, bid, ask, bid_size, ask_size in table
    ]


def trades_of(columns: TradeColumns) -> list[Trade]:
    """A trade per row, received when it happened."""
    symbol = columns.symbol
    table = zip(columns.ts_event_ns.tolist(), columns.price.tolist(), columns.size.tolist(), strict=True)
    return [Trade(symbol=symbol, ts_event_ns=at_ns, ts_recv_ns=at_ns, price=price, size=size) for at_ns, price, size in table]


def messages_of(columns: MarketColumns) -> list[Bar] | list[Quote] | list[Trade]:
    """A message per row."""
    if isinstance(columns, BarColumns):
        return bars_of(columns)
    return quotes_of(columns) if isinstance(columns, QuoteColumns) else trades_of(columns)


def event_times(columns: MarketColumns) -> Integers:
    """Event time of each row, ns UTC: a bar's close, a tick's own time."""
    return columns.ts_close_ns if isinstance(columns, BarColumns) else columns.ts_event_ns


def in_chunks(columns: AnyColumns, size: int = CHUNK_ROWS) -> Iterator[AnyColumns]:
    """`columns` in pieces of at most `size` rows, which share its arrays."""
    return (take(columns, slice(start, start + size)) for start in range(0, len(columns), size))
