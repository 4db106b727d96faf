"""The section `[barbuilder]` of `barque.toml`: which bars to build, and how patiently."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from barque.config import Section
from barque.intervals import parse_interval
from barque.messages.market import PriceType


class BarsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[barbuilder.bars]]`: every symbol × every price at one interval."""

    symbols: tuple[str, ...]
    interval: str = "1m"
    prices: tuple[PriceType, ...] = ("bid", "ask")
    """`bid`, `ask` and `mid` are made of quotes, `last` of trades."""

    def __post_init__(self) -> None:
        parse_interval(self.interval)


class BarBuilderConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bar builder does."""

    grace_ms: Annotated[int, Meta(ge=0)] = 500
    """The clock closes a bar this long after its end, so that a tick on its way still counts."""
    mark_interval_ms: Annotated[int, Meta(ge=0)] = 250
    """At most one mark per symbol in this time."""
    fill_gaps: bool = False
    """Put flat bars where a short silence left none."""
    max_gap_s: Annotated[int, Meta(ge=0, le=120)] = 120
    """A silence longer than this is never filled."""
    bars: tuple[BarsConfig, ...] = ()
