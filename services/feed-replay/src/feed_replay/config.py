"""Configuration of the replay feed: section `[feed_replay]` of `barque.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from barque.config import Section
from barque.messages.market import PriceType


class FileConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recorded file, of which its columns say what it holds; or one series of an archive."""

    path: Path
    symbol: str
    interval: str = "1m"
    """Of bars."""
    price: PriceType = "last"
    """Of plain OHLC files which price they are made of; of an archive which bars."""
    kind: Literal["quotes", "trades", "bars"] = "bars"
    """Of an archive (`path` is a folder): which series of the symbol."""
    from_utc: str = ""
    """Only what is at this time (a bar's open) or later: `2014-05-01`, `2014-05-01T08:00`."""
    to_utc: str = ""
    """Only what is earlier than this time."""


class MarketConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seeded market of the demo."""

    seed: int = 1
    ticks_per_s: float = 5.0
    """Mean number of quotes per second and symbol."""
    symbols: dict[str, float] = msgspec.field(default_factory=dict)
    """Symbol -> first mid price."""

    def __post_init__(self) -> None:
        if not 0 < self.ticks_per_s < float("inf"):
            raise ValueError(f"ticks_per_s is {self.ticks_per_s:g}; it must be a positive number")


class FeedReplayConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to publish, and how fast."""

    source: Literal["files", "market"] = "market"
    files: tuple[FileConfig, ...] = ()
    market: MarketConfig = MarketConfig()
    speed: float | Literal["max"] = 1.0
    """`1.0`: as it happened; `60.0`: a minute a second; `max`: as fast as the book can follow."""
    tail_s: float = 3_600.0
    """After a file's last message the clock moves on by this much, so that the last bars and timers come due."""
