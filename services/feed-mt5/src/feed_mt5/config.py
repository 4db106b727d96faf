"""Section `[feed_mt5]` of `barque.toml`: what the feed of MetaTrader 5 listens to. `[mt5]` says where the terminal is."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from barque.errors import ConfigError
from barque.live_feed.config import LiveFeedConfig


class FeedMt5Config(LiveFeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to listen to, and how often to ask for it."""

    symbols: tuple[str, ...] = ()
    """Quotes of each."""
    trades: tuple[str, ...] = ()
    """Of these of them trades too; only symbols of exchanges have any."""
    poll_min_s: Annotated[float, Meta(gt=0)] = 0.1
    """A symbol that speaks is asked this often; the terminal has no way to say something by itself."""
    poll_max_s: Annotated[float, Meta(gt=0)] = 0.5
    """One that is quiet, at least this often."""
    poll_closed_s: Annotated[float, Meta(gt=0)] = 5.0
    """And one whose market is closed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.poll_min_s <= self.poll_max_s <= self.poll_closed_s:
            raise ConfigError("[feed_mt5]: poll_min_s, poll_max_s and poll_closed_s must not fall")
        for symbol in self.trades:
            if symbol not in self.symbols:
                raise ConfigError(f"key 'feed_mt5.trades': '{symbol}' is not one of feed_mt5.symbols")
        for symbol in self.symbols:
            if self.symbols.count(symbol) > 1:
                raise ConfigError(f"key 'feed_mt5.symbols': '{symbol}' is there twice")
