"""The section `[barbuilder]` of `barque.toml`: which bars to build, and how patiently."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from barque.calendars import zone
from barque.config import Section
from barque.errors import ConfigError
from barque.intervals import DAY_NS, WEEK_NS, Interval, interval_of
from barque.messages.market import PriceType

TICKS = "ticks"


class BarsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """One `[[barbuilder.bars]]`: every symbol × every price at one interval."""

    symbols: tuple[str, ...]
    interval: str = "1m"
    prices: tuple[PriceType, ...] = ("bid", "ask")
    """`bid`, `ask` and `mid` are made of quotes, `last` of trades."""
    anchor: str = "utc"
    """Of bars of time. `utc`: aligned to the UTC epoch; `session`: counted from the opening of the instrument's calendar; a time
    zone such as `Europe/Stockholm`: counted from midnight there."""
    source: str = ""
    """What time bars are made of: `ticks`; bars of an interval such as `1m`; empty: of ticks where there are any, else of the
    shortest bars that the feed brings."""

    def __post_init__(self) -> None:
        interval = interval_of(self.interval)
        if interval.is_time:
            self._check_time(interval)
        else:
            self._check_measure(interval)

    @property
    def takes_ticks(self) -> bool:
        """They may be made of ticks."""
        return self.source in ("", TICKS)

    @property
    def takes_bars(self) -> bool:
        """They may be made of other bars."""
        return self.source != TICKS and interval_of(self.interval).is_time

    def _check_time(self, interval: Interval) -> None:
        if self.anchor not in ("utc", "session"):
            try:
                zone(self.anchor)
            except ConfigError as error:
                raise ValueError(f"anchor must be utc, session or a time zone: {error}") from None
        if self.anchor != "utc" and DAY_NS < interval.size < WEEK_NS:
            raise ValueError(f"a bar of {self.interval} has no place in days and weeks; with anchor '{self.anchor}' use 1d or 1w")
        if self.anchor == "session" and interval.size == WEEK_NS and self.takes_ticks:
            raise ValueError('a week of sessions has nights in it that do not count; make it of bars: from = "1d"')
        if self.takes_ticks:
            return
        lower = interval_of(self.source)
        if not lower.is_time:
            raise ValueError(f"from = '{self.source}': time bars are made of ticks or of bars of time such as 1m")
        if lower.size >= interval.size or interval.size % lower.size:
            raise ValueError(f"from = '{self.source}' must divide {self.interval} and be shorter")

    def _check_measure(self, interval: Interval) -> None:
        if self.anchor != "utc":
            raise ValueError(f"anchor = '{self.anchor}' is of bars of time; {self.interval} bars know no day, leave it out")
        if self.source not in ("", TICKS):
            raise ValueError(f"from = '{self.source}': {self.interval} bars are made of ticks, leave it out")
        quoted = [price for price in self.prices if price != "last"]
        if interval.kind in ("volume", "value") and quoted:
            raise ValueError(
                f"{self.interval} bars need traded sizes, which quotes have not: prices = [\"last\"], not '{quoted[0]}'"
            )


class BarBuilderConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bar builder does."""

    grace_ms: Annotated[int, Meta(ge=0)] = 500
    """The clock closes a bar this long after its end, so that a tick on its way still counts."""
    bar_grace_ms: Annotated[int, Meta(ge=0)] = 2_000
    """The same for bars made of other bars: so long they wait for their last one. Never less than `grace_ms`."""
    mark_interval_ms: Annotated[int, Meta(ge=0)] = 250
    """At most one mark per symbol in this time."""
    fill_gaps: bool = False
    """Put flat bars where a short silence left none, of bars of time that are made of ticks."""
    max_gap_s: Annotated[int, Meta(ge=0, le=120)] = 120
    """A silence longer than this is never filled."""
    bars: tuple[BarsConfig, ...] = ()
