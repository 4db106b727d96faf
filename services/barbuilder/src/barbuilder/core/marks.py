"""Marks: the latest prices of one symbol, from its ticks, or from bars where its feed delivers only bars."""

from __future__ import annotations

from barbuilder.core.state import NEVER_NS, Closes, Market
from barque.messages import Bar, Mark
from barque.messages.market import PriceType


def take_close(closes: Closes, bar: Bar) -> bool:
    """Let a bar's close be the newest of its price; false where a newer one is known."""
    at_ns, price = bar.ts_close_ns, bar.price
    if at_ns < _known_ns(closes, price):
        return False
    closes.count += 1
    if price == "last":
        closes.last, closes.last_ns = bar.close, at_ns
        return True
    if price != "ask":
        closes.bid, closes.bid_ns = bar.close, at_ns
    if price != "bid":
        closes.ask, closes.ask_ns = bar.close, at_ns
    return True


def _known_ns(closes: Closes, price: PriceType) -> int:
    if price == "bid":
        return closes.bid_ns
    if price == "ask":
        return closes.ask_ns
    return closes.last_ns if price == "last" else min(closes.bid_ns, closes.ask_ns)


def one_sided(closes: Closes) -> bool:
    """Of bid and ask, both known, one is older: its bar is on its way, or the clock says that it is not."""
    return closes.bid_ns != closes.ask_ns and NEVER_NS not in (closes.bid_ns, closes.ask_ns)


def mark_of(symbol: str, market: Market) -> Mark:
    """The latest prices, at the event time of the newest of them: a mark never makes an old price look fresh."""
    quotes, trades, closes = market.quotes, market.trades, market.closes
    if market.ticked:
        ts_ns = max(quotes.ts_ns, trades.ts_ns)
        return Mark(symbol=symbol, ts_event_ns=ts_ns, bid=quotes.low, ask=quotes.high, last=trades.low)
    ts_ns = max(closes.bid_ns, closes.ask_ns, closes.last_ns)
    return Mark(symbol=symbol, ts_event_ns=ts_ns, bid=closes.bid, ask=closes.ask, last=closes.last)
