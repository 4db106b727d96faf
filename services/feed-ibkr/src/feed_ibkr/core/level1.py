"""Level 1 of one symbol: single price and size ticks become quotes.

In:   ticks by their number, in the order of the wire.   Out: quotes, when they are whole.
Not:  a quote that never was, as far as the wire tells: sides that move together come one after the other, so a side waits for the
      other until it moves again or the packet is over; and while the two are crossed, nothing is said.

Ids of delayed ticks mean the same; that they are delayed, the Gateway says elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from barque.messages import Quote, Trade

BID, ASK = 0, 1
_PRICES = {1: BID, 2: ASK, 66: BID, 67: ASK}
_SIZES = {0: BID, 3: ASK, 69: BID, 70: ASK}
RT_VOLUME = 48
NS_PER_MS = 10**6
UNSET = 1e300
"""Figures from here on mean that there is none: the wire says 1.8e308."""


def is_known(*figures: float) -> bool:
    """Whether all of them are there, as prices and sizes of a trade or of a side of a quote are.

    >>> is_known(1.1, 100.0), is_known(-1.0, 0.0), is_known(1.7976931348623157e308, 100.0), is_known(float("nan"))
    (True, False, False, False)
    """
    return all(0 < figure < UNSET for figure in figures)


class Level1:
    """One subscription."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._prices = [0.0, 0.0]
        self._sizes = [0.0, 0.0]
        self._moved = [False, False]
        self._said: tuple[float, ...] = ()

    def price(self, tick: int, price: float, size: float, now_ns: int) -> Iterator[Quote]:
        """A price with its size; -1 or a size of 0: there is no quote on that side."""
        side = _PRICES.get(tick)
        if side is None:
            return
        if self._moved[side]:
            yield from self.flush(now_ns)
        there = is_known(price, size)
        self._prices[side], self._sizes[side] = (price, size) if there else (0.0, 0.0)
        self._moved[side] = True

    def size(self, tick: int, size: float, now_ns: int) -> Iterator[Quote]:
        """A size alone; after each price the same size comes once more."""
        side = _SIZES.get(tick)
        if side is None or size == self._sizes[side] or size >= UNSET:
            return
        if self._moved[side]:
            yield from self.flush(now_ns)
        self._sizes[side] = size
        self._moved[side] = True

    def flush(self, now_ns: int) -> Iterator[Quote]:
        """The packet is over: what has moved is said, if both sides are there."""
        if not any(self._moved):
            return
        self._moved = [False, False]
        (bid, ask), (bid_size, ask_size) = self._prices, self._sizes
        said = (bid, ask, bid_size, ask_size)
        if not 0 < bid <= ask or said == self._said:
            return
        self._said = said
        yield Quote(
            symbol=self.symbol, ts_event_ns=now_ns, ts_recv_ns=now_ns, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size
        )


def trade_of(symbol: str, text: str, now_ns: int) -> Trade | None:
    """A trade of the tick `RTVolume`: `price;size;ms;volume;average;single`. None: it tells none."""
    parts = text.split(";")
    try:
        price, size, at_ms = float(parts[0]), float(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        return None
    if not is_known(price, size):
        return None
    return Trade(symbol=symbol, ts_event_ns=at_ms * NS_PER_MS, ts_recv_ns=now_ns, price=price, size=size)
