"""Ticks of one symbol, and the bars that the terminal makes of them.

In:   quotes in UTC.   Out: the package's structured arrays, in the server's time.
Not:  trades; the simulated broker has no exchange behind it. A bar's price is the bid, as charts of currencies have it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulators.mt5 import constants as mt5
from simulators.mt5.tuples import Tick

TICK_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("last", "<f8"),
        ("volume", "<u8"),
        ("time_msc", "<i8"),
        ("flags", "<u4"),
        ("volume_real", "<f8"),
    ]
)
RATE_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("tick_volume", "<u8"),
        ("spread", "<i4"),
        ("real_volume", "<u8"),
    ]
)
Rows = npt.NDArray[Any]
_DAY_S, _WEEK_S = 86_400, 7 * 86_400


class TickHistory:
    """Grows at its end; times never go back."""

    def __init__(self, point: float) -> None:
        self._rows = np.zeros(1_024, TICK_DTYPE)
        self._count = 0
        self._point = point

    @property
    def rows(self) -> Rows:
        """All ticks, oldest first."""
        return self._rows[: self._count]

    @property
    def last(self) -> Tick | None:
        """The newest, as the package shows it."""
        return Tick(*self._rows[self._count - 1].tolist()) if self._count else None

    def add(self, wall_ms: int, bid: float, ask: float) -> None:
        """One quote at its place: an older time than the newest one's becomes that one's."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros(len(self._rows), TICK_DTYPE)])
        flags = mt5.FLAG_UNDOCUMENTED | mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
        if self._count:
            before = self._rows[self._count - 1]
            wall_ms = max(wall_ms, int(before["time_msc"]))
            same_bid, same_ask = before["bid"] == bid, before["ask"] == ask
            flags = mt5.FLAG_UNDOCUMENTED | (0 if same_bid else mt5.TICK_FLAG_BID) | (0 if same_ask else mt5.TICK_FLAG_ASK)
        self._rows[self._count] = (wall_ms // 1_000, bid, ask, 0.0, 0, wall_ms, flags, 0.0)
        self._count += 1

    def add_many(self, wall_ms: npt.NDArray[np.int64], bids: npt.NDArray[np.float64], asks: npt.NDArray[np.float64]) -> None:
        """Many quotes, oldest first, none older than the newest one known."""
        fresh = np.zeros(len(wall_ms), TICK_DTYPE)
        fresh["time"], fresh["time_msc"] = wall_ms // 1_000, wall_ms
        fresh["bid"], fresh["ask"] = bids, asks
        fresh["flags"] = mt5.FLAG_UNDOCUMENTED | mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
        self._rows = np.concatenate([self.rows, fresh])
        self._count = len(self._rows)

    def since(self, wall_ms: int, count: int) -> Rows:
        """At most `count` ticks from that time on."""
        start = int(np.searchsorted(self.rows["time_msc"], wall_ms, "left"))
        return self.rows[start : start + count].copy()

    def between(self, from_ms: int, to_ms: int) -> Rows:
        """The ticks of a time, both ends included."""
        times = self.rows["time_msc"]
        return self.rows[np.searchsorted(times, from_ms, "left") : np.searchsorted(times, to_ms, "right")].copy()

    def rates(self, timeframe: int) -> Rows:
        """Bars of bids, oldest first, the open one last."""
        rows = self.rows
        if not len(rows):
            return np.zeros(0, RATE_DTYPE)
        opens = _bar_opens(rows["time"], timeframe)
        starts = np.flatnonzero(np.concatenate([[True], opens[1:] != opens[:-1]]))
        ends = np.append(starts[1:], len(rows)) - 1
        bars = np.zeros(len(starts), RATE_DTYPE)
        bids = rows["bid"]
        bars["time"] = opens[starts]
        bars["open"], bars["close"] = bids[starts], bids[ends]
        bars["high"], bars["low"] = np.maximum.reduceat(bids, starts), np.minimum.reduceat(bids, starts)
        bars["tick_volume"] = ends - starts + 1
        spreads = np.rint((rows["ask"] - bids) / self._point).astype("<i4")
        bars["spread"] = np.minimum.reduceat(spreads, starts)
        return bars


def _bar_opens(times: npt.NDArray[np.int64], timeframe: int) -> npt.NDArray[np.int64]:
    if timeframe == mt5.TIMEFRAME_MN1:
        return times.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
    if timeframe == mt5.TIMEFRAME_W1:
        return (times - 3 * _DAY_S) // _WEEK_S * _WEEK_S + 3 * _DAY_S
    seconds = (timeframe & 0x3FFF) * (3_600 if timeframe & 0x4000 else 60)
    opens: npt.NDArray[np.int64] = times // seconds * seconds
    return opens
