"""Section `[paper]` of `barque.toml`: what the model exchange costs and how slow it is."""

from __future__ import annotations

from decimal import Decimal

from barque.config import Section


class PaperConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One paper account and the frictions of its exchange."""

    account: str = "paper"
    """Orders for any other account are not ours."""
    latency_ms: int = 0
    """Event time between an order's acceptance and the first price it may trade at."""
    slippage_fraction: Decimal = Decimal(0)
    """Part of the price that each fill is worse by; a limit is never passed."""
    commission_fraction: Decimal = Decimal(0)
    """Part of a fill's notional."""
    commission_min: Decimal = Decimal(0)
    """Least commission of a fill, in the instrument's currency."""

    def __post_init__(self) -> None:
        for name in ("latency_ms", "slippage_fraction", "commission_fraction", "commission_min"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.slippage_fraction >= 1:
            raise ValueError("slippage_fraction must be below 1")
