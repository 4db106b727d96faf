"""Section `[paper]` of `barque.toml`: what the model exchange costs, how slow it is, and how it fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from barque.config import Section


class PaperSymbolConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for one symbol."""

    symbol: str
    """As in `[[instruments]]`."""
    spread_ticks: int = 0
    """Ask minus bid in ticks, where the data has only one of them, or only `mid` or `last`."""
    slippage_ticks: int | None = None
    """Ticks that each fill is worse by, in place of `slippage_fraction`."""
    commission_per_contract: Decimal | None = None
    """In the instrument's currency, in place of `commission_fraction` and `commission_min`."""
    volume_per_contract: Decimal | None = None
    """Recorded volume that is one contract; not set: the contract size for FX, 1 otherwise."""

    def __post_init__(self) -> None:
        _refuse_negative(self, "spread_ticks", "slippage_ticks", "commission_per_contract")
        if self.volume_per_contract is not None and not (self.volume_per_contract.is_finite() and self.volume_per_contract > 0):
            raise ValueError("volume_per_contract must be positive")


class PaperConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One paper account and the frictions of its exchange."""

    account: str = "paper"
    """Orders for any other account are not ours."""
    fill_at: Literal["next_open", "close"] = "next_open"
    """Of symbols that trade on bars: where a market order fills that comes as a bar closes."""
    latency_ms: int = 0
    """Event time between an order's acceptance and the first price it may trade at."""
    slippage_fraction: Decimal = Decimal("0.0005")
    """Part of the price that each fill is worse by; a limit is never passed."""
    commission_fraction: Decimal = Decimal("0.001")
    """Part of the notional of what an order trades."""
    commission_min: Decimal = Decimal(1)
    """Least commission of an order that trades, in the instrument's currency."""
    max_volume_fraction: Decimal = Decimal(0)
    """Part of a bar's volume, or of a tick's size, that our orders may take; 0: any size trades at once."""
    max_order_quantity: Decimal | None = None
    """Contracts; a larger order is rejected."""
    trade_only_in_session: bool = False
    """Reject orders while the instrument's calendar says closed."""
    currency: str = ""
    """Of `starting_cash`."""
    starting_cash: Decimal = Decimal(0)
    """What the account begins with."""
    symbols: tuple[PaperSymbolConfig, ...] = ()
    """See `[[paper.symbols]]`."""

    def __post_init__(self) -> None:
        _refuse_negative(self, "latency_ms", "slippage_fraction", "commission_fraction", "commission_min", "max_volume_fraction")
        if self.slippage_fraction >= 1:
            raise ValueError("slippage_fraction must be below 1")
        if self.max_volume_fraction > 1:
            raise ValueError("max_volume_fraction must not be above 1: nobody can trade more than was traded")
        if self.max_order_quantity is not None and not (self.max_order_quantity.is_finite() and self.max_order_quantity > 0):
            raise ValueError("max_order_quantity must be positive")
        if self.fill_at == "close" and self.latency_ms:
            raise ValueError("fill_at 'close' needs latency_ms 0: a later order is too late for the close")
        if not self.starting_cash.is_finite() or (self.starting_cash and not self.currency):
            raise ValueError("starting_cash must be a number, and needs currency")
        names = [each.symbol for each in self.symbols]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two [[paper.symbols]] are for {name}; write it once")


def _refuse_negative(section: Section, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if value is not None and not (Decimal(value).is_finite() and value >= 0):
            raise ValueError(f"{name} must be a number that is not negative")
