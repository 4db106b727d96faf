"""What a live feed tells people: what happened, to which symbol, and what to do next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from barque.live_feed.source import Subscription, SymbolNews, SymbolState

REFUSALS: dict[SymbolState, str] = {
    "no_line": "the broker gives no more subscriptions",
    "not_entitled": "the account has no permission for these data",
    "stolen": "another session of the same user takes the data",
    "unknown": "the broker does not know the symbol",
}

_DO: dict[SymbolState, str] = {
    "no_line": "take symbols out of the feed, or get more market data lines",
    "not_entitled": "subscribe to these data at the broker, or allow delayed ones (they are never traded on)",
    "unknown": "correct its contract in the configuration",
}


class Gap(Protocol):
    """What is missing of one subscription."""

    @property
    def subscription(self) -> Subscription: ...
    @property
    def from_ns(self) -> int: ...
    @property
    def to_ns(self) -> int: ...


def away(feed: str, since_ns: int, now_ns: int, why: str, pauses: bool) -> str:
    """There is no connection."""
    pause = "; nothing is opened on its symbols" if pauses else ""
    return f"{feed} has had no connection for {_length(now_ns - since_ns)}: {why}{pause}. It goes on trying by itself"


def back(feed: str, since_ns: int, now_ns: int) -> str:
    """There is one again."""
    return (
        f"{feed} is connected again after {_length(now_ns - since_ns)}; what was missed is filled from history where there is any"
    )


def safe_mode(feed: str, attempts: int, why: str) -> str:
    """Many attempts have failed."""
    return f"{feed} could not connect {attempts} times: {why}. It goes on trying once in a while; see to the broker's program"


def stale(feed: str, symbol: str, heard_ns: int, now_ns: int) -> str:
    """Subscribing anew does not help."""
    silence = f"for {_length(now_ns - heard_ns)}" if heard_ns else "at all"
    return f"{feed} has heard nothing of {symbol} {silence}; its market is open, and subscribing anew did not help. See there"


def delayed(feed: str, symbol: str, news: SymbolNews) -> str:
    """Prices of the past."""
    why = news.detail or "no reason given"
    return f"{feed} gets {news.state} prices of {symbol} ({why}); nothing is opened on them. Subscribe to live data"


def stolen(feed: str, news: SymbolNews) -> str:
    """Another session takes the data."""
    return f"{feed}: {REFUSALS['stolen']} ({news.detail or 'no reason given'}); log out there, the feed goes on by itself"


def refused(feed: str, symbol: str, news: SymbolNews) -> str:
    """The broker will not send it."""
    return f"{feed} gets no data of {symbol}: {REFUSALS[news.state]} ({news.detail or 'no reason given'}); {_DO[news.state]}"


def gap_stays(feed: str, gap: Gap, trouble: str) -> str:
    """A gap could not be filled."""
    what, length = f"{gap.subscription.kind} of {gap.subscription.symbol}", _length(gap.to_ns - gap.from_ns)
    return f"{feed} could not fill a gap of {length} in {what}: {trouble}. Bars of that time are incomplete"


def not_revised(feed: str, symbol: str, interval: str, from_ns: int, to_ns: int, trouble: str) -> str:
    """Bars that were published incomplete stay so."""
    span = " to ".join(f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%d %H:%M:%S}" for at in (from_ns, to_ns))
    return (
        f"{feed} could not make {interval} bars of {symbol} whole, {span} UTC: {trouble}. They stay in the record as they were "
        "published; `barque data fetch` mends an archive"
    )


def _length(ns: int) -> str:
    seconds = ns / 10**9
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
