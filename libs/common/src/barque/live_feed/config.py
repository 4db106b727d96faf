"""What every live feed can be told. `[feed_ibkr]` and `[feed_mt5]` are this and more."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from barque.config import Section
from barque.intervals import interval_of


class LiveFeedConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient a live feed is, and what it fills."""

    heartbeat_s: Annotated[float, Meta(gt=0)] = 30.0
    """It says that it lives at least this often."""
    stale_after_s: Annotated[float, Meta(gt=0)] = 60.0
    """A symbol that says nothing for so long while its market is open is stale, and is subscribed to anew."""
    stale_after_by_symbol_s: dict[str, float] = msgspec.field(default_factory=dict)
    """The same for single symbols, such as `{ EXOTIC = 600.0 }`."""
    verify_s: Annotated[float, Meta(gt=0)] = 15.0
    """After something that may have killed a subscription, it has so long to say something."""
    pause_after_s: Annotated[float, Meta(ge=0)] = 5.0
    """After so long without a connection nothing is opened any more."""
    pause_trading: bool = True
    """False: stale and delayed prices are only reported, and it is for the router's `stale_after_s` to judge them."""
    alert_after_s: Annotated[float, Meta(ge=0)] = 60.0
    """A lost connection is worth an alert after so long."""
    expected_alert_after_s: Annotated[float, Meta(ge=0)] = 1_800.0
    """The same where the broker restarts at that time of the day or week."""
    backfill_max_s: Annotated[float, Meta(ge=0)] = 86_400.0
    """Longer gaps are filled only as far back as this; 0: none is filled."""
    backfill_ticks_s: Annotated[float, Meta(ge=0)] = 180.0
    """Gaps up to this long are filled with quotes and trades, longer ones with bars."""
    backfill_intervals: tuple[str, ...] = ("1m",)
    """Of the bars that longer gaps are filled with: those that `[[barbuilder.bars]]` makes."""
    revise_after_s: Annotated[float, Meta(ge=0)] = 10.0
    """So long after its close a bar that a gap has left incomplete is asked for, to make the record whole."""
    backfill_wait_s: Annotated[float, Meta(gt=0)] = 30.0
    """Quotes and trades heard after a gap wait so long for those that belong in front of them; then they go on without."""
    settle_s: Annotated[float, Meta(ge=0)] = 2.0
    """After a gap is filled trading waits so long, so that nobody trades on bars of the past."""
    recent_bars: Annotated[int, Meta(ge=0, le=100_000)] = 1_000
    """Minute bars of each symbol that are kept, and shown while there is no connection."""
    buffer_ticks: Annotated[int, Meta(ge=1)] = 10_000
    """While Redis is away so many ticks are kept."""
    buffer_s: Annotated[float, Meta(gt=0)] = 60.0
    """And none that is older."""

    def __post_init__(self) -> None:
        for interval in self.backfill_intervals:
            if not interval_of(interval).is_time:
                raise ValueError(f"backfill_intervals: '{interval}' is not a bar of time")

    def stale_ns(self, symbol: str) -> int:
        """How long `symbol` may be silent."""
        return int(self.stale_after_by_symbol_s.get(symbol, self.stale_after_s) * 1e9)
