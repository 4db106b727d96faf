"""Section `[router]` of `barque.toml`: the account orders go to, sizing and risk limits."""

from __future__ import annotations

from decimal import Decimal

from barque.config import Section


class LimitsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risk limits of one symbol; a limit that is not set does not exist."""

    max_position: Decimal | None = None
    """Contracts, either way, over all strategies."""
    max_notional: Decimal | None = None
    """Value of the position, in the instrument's currency."""
    max_order_quantity: Decimal | None = None
    """Contracts of one order that is not an exit."""

    def __post_init__(self) -> None:
        for name in LIMITS:
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"{name} must be a number that is not negative")


LIMITS = ("max_position", "max_notional", "max_order_quantity")


class SymbolLimitsConfig(LimitsConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one symbol; one that is not set here is the general one's."""

    symbol: str


class RouterConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the router needs to turn signals into orders."""

    account: str = "paper"
    """Where orders go."""
    default_quantity: Decimal = Decimal(1)
    """Contracts of a signal that does not say how much."""
    limits: LimitsConfig = LimitsConfig()
    symbol_limits: tuple[SymbolLimitsConfig, ...] = ()

    def __post_init__(self) -> None:
        if not (self.default_quantity.is_finite() and self.default_quantity > 0):
            raise ValueError("default_quantity must be a positive number")

    def limit_table(self) -> dict[str, Decimal | None]:
        """What is set, by `<limit>|<symbol>`; the symbol is empty for the general limits."""
        layers: list[tuple[str, LimitsConfig]] = [("", self.limits), *((each.symbol, each) for each in self.symbol_limits)]
        return {
            f"{name}|{symbol}": value
            for symbol, limits in layers
            for name in LIMITS
            if (value := getattr(limits, name)) is not None
        }
