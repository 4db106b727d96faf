"""Section `[feed_ibkr]` of `barque.toml`: what the feed of Interactive Brokers listens to. `[ibkr]` says where the Gateway is."""

from __future__ import annotations

from typing import Literal

from barque.config import Section
from barque.intervals import interval_of
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.source import DataKind
from barque.messages.market import PriceType

How = Literal["level1", "tick_by_tick", "five_seconds", "keep_up_to_date"]
KINDS: dict[How, tuple[DataKind, ...]] = {
    "level1": ("quotes", "trades"),
    "tick_by_tick": ("quotes", "trades"),
    "five_seconds": ("bars",),
    "keep_up_to_date": ("bars",),
}


class StreamConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[feed_ibkr.streams]]`: what is to come of a symbol, and by which kind of subscription."""

    symbol: str
    kind: DataKind = "quotes"
    how: How = "level1"
    """`level1`: every change, gathered over some milliseconds. `tick_by_tick`: each tick with the venue's second, for a few
    symbols at a time. `five_seconds`, `keep_up_to_date`: bars as the Gateway makes them."""
    interval: str = "1m"
    """Of `keep_up_to_date`."""
    price: PriceType = "last"
    """Of bars (the Gateway's `whatToShow`): `last` is TRADES, `mid` MIDPOINT, `bid` BID, `ask` ASK."""
    use_rth: bool = False
    """Bars of regular trading hours only."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS[self.how]:
            raise ValueError(f"{self.symbol}: how = '{self.how}' brings {' and '.join(KINDS[self.how])}, not {self.kind}")
        if self.how == "keep_up_to_date" and interval_of(self.interval).interval_ns % (5 * 10**9):
            raise ValueError(
                f"{self.symbol}: interval '{self.interval}' is no bar that the Gateway keeps up to date: 5s and longer"
            )


class FeedIbkrConfig(LiveFeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to listen to, and how patiently."""

    symbols: tuple[str, ...] = ()
    """Quotes of each; of what is not FX or a CFD trades too. Short for `[[feed_ibkr.streams]]` with `level1`."""
    streams: tuple[StreamConfig, ...] = ()
