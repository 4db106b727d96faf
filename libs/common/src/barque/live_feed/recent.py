"""The last bars of each symbol, for people and programs that look while the feed has no connection.

In:   history at the start, then quotes, trades and bars as they are heard.   Out: the last N minute bars of a symbol.
Not:  the bars that are traded on; those are the bar builder's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from barque.live_feed.source import MarketMessage
from barque.messages import Bar, Quote
from barque.messages.market import PriceType

MINUTE_NS = 60 * 10**9


class _Open(msgspec.Struct):
    """The bar of the present minute."""

    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: int


class RecentBars:
    """Of one symbol: minute bars of its bids where there are quotes, else of its trades, or bars as the feed has them."""

    def __init__(self, symbol: str, price: PriceType, interval: str, length: int) -> None:
        self.symbol, self.price, self.interval = symbol, price, interval
        self._bars: deque[Bar] = deque(maxlen=length)
        self._open: _Open | None = None

    def seed(self, history: Iterable[Bar]) -> None:
        """Bars of the past, oldest first; those before the first that is known come in front of it."""
        known = list(self._bars)
        first_ns = known[0].ts_open_ns if known else self._open.open_ns if self._open is not None else None
        older = [bar for bar in history if first_ns is None or bar.ts_open_ns < first_ns]
        self._bars.clear()
        self._bars.extend([*older, *known])

    def __len__(self) -> int:
        return len(self._bars)

    def hear(self, message: MarketMessage) -> None:
        """One more."""
        if isinstance(message, Bar):
            if message.interval == self.interval and message.price == self.price and self._is_newer(message.ts_open_ns):
                self._bars.append(message)
        elif isinstance(message, Quote):
            if self.price == "bid":
                self._tick(message.ts_event_ns, message.bid, 0.0)
        elif self.price == "last":
            self._tick(message.ts_event_ns, message.price, message.size)

    def bars(self) -> list[Bar]:
        """The closed ones, oldest first; safe to call from another thread."""
        return list(self._bars)

    def _is_newer(self, open_ns: int) -> bool:
        return not self._bars or open_ns > self._bars[-1].ts_open_ns

    def _tick(self, ts_ns: int, price: float, size: float) -> None:
        open_ns = ts_ns - ts_ns % MINUTE_NS
        now = self._open
        if now is None or open_ns > now.open_ns:
            if now is not None and self._is_newer(now.open_ns):
                self._bars.append(self._closed(now))
            self._open = _Open(open_ns, price, price, price, price, size, 1)
        elif open_ns == now.open_ns:
            now.high, now.low, now.close = max(now.high, price), min(now.low, price), price
            now.volume, now.ticks = now.volume + size, now.ticks + 1

    def _closed(self, now: _Open) -> Bar:
        return Bar(
            symbol=self.symbol,
            interval="1m",
            price=self.price,
            ts_open_ns=now.open_ns,
            ts_close_ns=now.open_ns + MINUTE_NS,
            open=now.open,
            high=now.high,
            low=now.low,
            close=now.close,
            volume=now.volume,
            tick_count=now.ticks,
        )
