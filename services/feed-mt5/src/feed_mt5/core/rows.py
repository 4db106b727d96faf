"""Rows of the terminal as messages of ours, and messages' times as questions to it.

In:   structured arrays of ticks and bars, their times in UTC.   Out: `Quote`, `Trade`, `Bar`.
Not:  which rows are new (`cursor`), zones (`venues.mt5.clock`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from barque.errors import VenueRefused
from barque.intervals import interval_of
from barque.live_feed.source import HistoryQuery
from barque.messages import Bar, Quote, Trade
from feed_mt5.core.cursor import Rows

FLAG_LAST, FLAG_VOLUME, FLAG_BUY, FLAG_SELL = 8, 16, 32, 64
_QUOTED = 2 | 4
_TRADED = FLAG_LAST | FLAG_VOLUME | FLAG_BUY | FLAG_SELL
_HOURS, _WEEKS = 0x4000, 0x8000
TIMEFRAMES: dict[str, int] = {
    **{f"{n}m": n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"{n}h": n | _HOURS for n in (1, 2, 3, 4, 6, 8, 12)},
    "1d": 24 | _HOURS,
    "1w": 1 | _WEEKS,
}
NS_PER_S = 10**9
DAY_S = 86_400
TICKS_PAGE_S = 3_600
BARS_PAGE = 5_000
Utc = npt.NDArray[np.int64]


def rows_of(kind: Literal["quotes", "trades"], rows: Rows) -> Rows:
    """Those that say something of this kind."""
    flags = rows["flags"]
    traded = (flags & _TRADED) != 0
    if kind == "trades":
        says = traded & (rows["last"] > 0) & (rows["volume_real"] > 0)
    else:
        says = (rows["bid"] > 0) & (rows["ask"] > 0) & ~(traded & ((flags & _QUOTED) == 0))
    found: Rows = rows[says]
    return found


def quotes_of(symbol: str, rows: Rows, utc_ns: Utc, now_ns: int) -> list[Quote]:
    """Of rows with both sides."""
    columns = zip(utc_ns.tolist(), rows["bid"].tolist(), rows["ask"].tolist(), strict=True)
    return [Quote(symbol=symbol, ts_event_ns=at, ts_recv_ns=now_ns, bid=bid, ask=ask) for at, bid, ask in columns]


def trades_of(symbol: str, rows: Rows, utc_ns: Utc, now_ns: int) -> list[Trade]:
    """Of rows with a price and a volume."""
    columns = zip(utc_ns.tolist(), rows["last"].tolist(), rows["volume_real"].tolist(), strict=True)
    return [Trade(symbol=symbol, ts_event_ns=at, ts_recv_ns=now_ns, price=price, size=size) for at, price, size in columns]


def timeframe_of(query: HistoryQuery) -> int:
    """The terminal's number; raises `VenueRefused` for bars that it has not."""
    frame = TIMEFRAMES.get(query.interval)
    if frame is None:
        raise VenueRefused(f"MetaTrader 5 has no bars of {query.interval}; it has {', '.join(TIMEFRAMES)}")
    if query.price not in ("bid", "last"):
        raise VenueRefused(
            f"MetaTrader 5 has bars of one price alone: bid, or last where the symbol has a tape. Of {query.price} fetch quotes"
        )
    return frame


def pages_of(query: HistoryQuery) -> Iterator[tuple[int, int]]:
    """(from, to) in ns UTC, oldest first: an hour of ticks, some thousand bars."""
    length_s = TICKS_PAGE_S
    if query.kind == "bars":
        length_s = BARS_PAGE * interval_of(query.interval).interval_ns // NS_PER_S
    at_ns = query.from_ns
    while at_ns < query.to_ns:
        end_ns = min((at_ns // (length_s * NS_PER_S) + 1) * length_s * NS_PER_S, query.to_ns)
        yield at_ns, end_ns
        at_ns = end_ns


def bars_of(query: HistoryQuery, rows: Rows, opened_ns: Utc, closed_ns: Utc) -> list[Bar]:
    """Bars that opened in the query's time."""
    names = ("open", "high", "low", "close", "tick_volume", "real_volume")
    columns: list[Any] = [opened_ns.tolist(), closed_ns.tolist(), *(rows[name].tolist() for name in names)]
    return [
        Bar(
            symbol=query.symbol,
            interval=query.interval,
            price=query.price,
            ts_open_ns=opened,
            ts_close_ns=closed,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=float(volume),
            tick_count=int(ticks),
        )
        for opened, closed, open_, high, low, close, ticks, volume in zip(*columns, strict=True)
        if query.from_ns <= opened < query.to_ns
    ]
