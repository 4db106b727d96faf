"""Section `[router]` of `barque.toml`: the account orders go to, sizing, risk limits and circuit breakers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from barque.calendars import zone
from barque.config import Clock, Section
from barque.errors import ConfigError

OnTrip = Literal["refuse", "cancel", "flatten", "halt"]
MAX_SIGNAL_AGE_S, MAX_EQUITY_AGE_S, STALE_AFTER_S = Decimal(60), Decimal(300), Decimal(300)
"""On a wall clock, where nothing is set."""
SizingMethod = Literal["fixed", "equity_fraction", "notional", "risk_fraction", "volatility"]


class SymbolFigures(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risk limits that a symbol can have of its own; one that is not set does not exist."""

    max_position: Decimal | None = None
    """Contracts, long or short, with every open order of that side filled."""
    max_notional: Decimal | None = None
    """Value of that position, in the instrument's currency."""
    max_order_quantity: Decimal | None = None
    """Contracts of one order."""
    max_order_notional: Decimal | None = None
    """Value of one order, in the instrument's currency."""
    price_collar_fraction: Decimal | None = None
    """How far the prices of an order may lie from the latest mark."""
    stale_after_s: Decimal | None = None
    """The latest mark may not be older, in event time."""
    duplicate_window_ms: int | None = None
    """Within it the same order (side, quantity, type and prices) of the same strategy is refused."""
    trading_hours: bool | None = None
    """`true`: only while the instrument's calendar is open."""
    margin_fraction: Decimal | None = None
    """What a position ties up, as part of its notional; all of it where it is not set."""

    def __post_init__(self) -> None:
        for name, value in self.numbers():
            if not (value.is_finite() and value >= 0):
                raise ValueError(f"{name} must be a number that is not negative")

    def numbers(self) -> Iterator[tuple[str, Decimal]]:
        """What is set and is a number, by name."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | Decimal) and not isinstance(value, bool):
                yield name, Decimal(value)


class LimitsConfig(SymbolFigures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risk limits of the book, over all its strategies; one that is not set does not exist."""

    max_gross_exposure: Decimal | None = None
    """Value of all positions, long and short added, each with every open order of its worse side filled; base currency."""
    max_net_exposure: Decimal | None = None
    """Value of all positions, short ones taken from long ones, with the open orders of the order's side filled; base currency."""
    max_leverage: Decimal | None = None
    """Gross exposure as a multiple of the account's equity."""
    max_margin_use_fraction: Decimal | None = None
    """Margin of all positions as part of the account's equity."""
    max_buying_power_use_fraction: Decimal | None = None
    """What open orders and the new one tie up, as part of the account's buying power: the broker's figure, else equity less
    the margin of the positions."""
    max_open_orders: int | None = None
    """Orders that may still trade, a bracket's exits included."""
    max_orders_per_minute: int | None = None
    """Orders and changes of orders within 60 s of event time; what is more is refused. Exits may go on to twice the figure."""
    symbols: tuple[str, ...] | None = None
    """The only symbols in which positions may be opened."""


class SymbolLimitsConfig(SymbolFigures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one symbol; one that is not set here is the general one's."""

    symbol: str


class StrategyLimitsConfig(LimitsConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one strategy alone, beside the book's; with a `symbol`, of the strategy in that symbol."""

    strategy: str
    symbol: str = ""
    """Empty: every symbol."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*OVER_ALL_SYMBOLS, "symbols"):
            if self.symbol and getattr(self, name) is not None:
                raise ValueError(f"{name} is a limit over all symbols; set it in the entry of {self.strategy} that has no symbol")
        if self.margin_fraction is not None:
            raise ValueError("margin_fraction is the account's, not a strategy's; set it in router.limits or a symbol's limits")


LIMITS = tuple(name for name in LimitsConfig.__struct_fields__ if name not in ("trading_hours", "symbols"))
"""Limits that are numbers, and so can be set by a command."""
OVER_ALL_SYMBOLS = tuple(name for name in LIMITS if name not in SymbolFigures.__struct_fields__)
"""Of these, the ones that no single symbol can have."""


class BreakerConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every circuit breaker has."""

    enabled: bool = True
    on_trip: OnTrip = "cancel"
    """`refuse` entries; also `cancel` those at work; also `flatten` the positions; or `halt` the book, exits too."""
    cool_down_s: int = 0
    """It resets itself so long after it tripped, in event time; 0: a person has to."""

    def __post_init__(self) -> None:
        if self.cool_down_s < 0:
            raise ValueError("cool_down_s must not be negative")


class LossConfig(BreakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A breaker that trips on a loss; the smaller of the two figures counts, with none it never trips."""

    fraction: Decimal | None = None
    """Loss as part of the equity that it is measured from."""
    amount: Decimal | None = None
    """Loss in the account's base currency."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fraction", "amount"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value > 0):
                raise ValueError(f"{name} must be a positive number; `enabled = false` switches the breaker off")
        if self.fraction is not None and self.fraction > 1:
            raise ValueError(f"fraction is {self.fraction}; it is part of the equity, at most 1 (0.05 is 5 %)")


class DrawdownConfig(LossConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when equity has fallen from its highest by as much."""

    fraction: Decimal | None = Decimal("0.1")
    """Loss as part of the equity that it is measured from."""


class DailyLossConfig(LossConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when equity has fallen from where the day began by as much."""

    time_zone: str = "UTC"
    """Whose midnight begins the day."""
    resets_next_day: bool = True
    """It resets itself when the next day begins, if not before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            zone(self.time_zone)
        except ConfigError as error:
            raise ValueError(f"time_zone: {error}") from None


class RateConfig(BreakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when more than `per_minute` come within 60 s of event time."""

    per_minute: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_minute < 0:
            raise ValueError("per_minute must not be negative")


class OrderRateConfig(RateConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips at the first order, or change of one, that would be more than `per_minute` within 60 s; that one is refused."""

    per_minute: int = 100


class RejectionRateConfig(RateConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when brokers have refused more than `per_minute` orders, changes and cancels within 60 s. What one signal led to
    counts once, what a sender refuses by itself does not."""

    per_minute: int = 10


class StaleDataConfig(BreakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when a symbol with a position or an open order has no mark for so long while its market is open; resets itself when
    all have one again."""

    after_s: Decimal | None = None
    """Not set: it never trips. In event time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after_s is not None and not (self.after_s.is_finite() and self.after_s > 0):
            raise ValueError("after_s must be a positive number")


class ReconciliationConfig(BreakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trips when a comparison of the broker's books with ours ends `critical`, and the policy of that is to halt."""

    on_trip: OnTrip = "halt"
    """As of the others; by default the book is halted, for our own positions cannot be relied upon."""


class BreakersConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Circuit breakers of the book."""

    drawdown: DrawdownConfig = DrawdownConfig()
    daily_loss: DailyLossConfig = DailyLossConfig()
    order_rate: OrderRateConfig = OrderRateConfig()
    rejection_rate: RejectionRateConfig = RejectionRateConfig()
    stale_data: StaleDataConfig = StaleDataConfig()
    reconciliation: ReconciliationConfig = ReconciliationConfig()


class StrategyBreakersConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Circuit breakers of one strategy; one that is not set does not exist. Losses are those of the strategy's own trades."""

    strategy: str
    drawdown: DrawdownConfig | None = None
    daily_loss: DailyLossConfig | None = None
    order_rate: OrderRateConfig | None = None
    rejection_rate: RejectionRateConfig | None = None

    def __post_init__(self) -> None:
        for name in ("drawdown", "daily_loss", "order_rate", "rejection_rate"):
            breaker = getattr(self, name)
            if breaker is not None and breaker.on_trip == "halt":
                raise ValueError(f"{name}: a strategy's breaker cannot halt the book; take refuse, cancel or flatten")


class SizingConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an entry is that does not say so itself; of several entries the most specific counts."""

    method: SizingMethod
    """`fixed`: `value` contracts; `notional`: worth `value` in the base currency; of the account's equity: worth the part `value`
    (`equity_fraction`), losing the part `value` at the stop (`risk_fraction`) or at a move of the signal's `volatility`."""
    value: Decimal
    strategy: str = ""
    """Empty: every strategy."""
    symbol: str = ""
    """Empty: every symbol."""

    def __post_init__(self) -> None:
        if not (self.value.is_finite() and self.value > 0):
            raise ValueError("value must be a positive number")


class RouterConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the router needs to turn signals into orders."""

    account: str = "paper"
    """Where orders go."""
    default_quantity: Decimal = Decimal(1)
    """Contracts of an entry that does not say how much and for which there is no `[[router.sizing]]`."""
    max_signal_age_s: Decimal | None = None
    """How old a wish, or the bar or tick that it was wished on, may be to open a position; not set: 60 on a wall clock, no limit
    on a feed clock. 0: no limit."""
    max_equity_age_s: Decimal | None = None
    """How old the account's valuation may be to open a position where a breaker, a limit or a size goes by it; not set: 300 on a
    wall clock, no limit on a feed clock. 0: no limit. More than `portfolio.equity_interval_s`."""
    sizing: tuple[SizingConfig, ...] = ()
    limits: LimitsConfig = LimitsConfig()
    symbol_limits: tuple[SymbolLimitsConfig, ...] = ()
    strategy_limits: tuple[StrategyLimitsConfig, ...] = ()
    breakers: BreakersConfig = BreakersConfig()
    strategy_breakers: tuple[StrategyBreakersConfig, ...] = ()

    def __post_init__(self) -> None:
        if not (self.default_quantity.is_finite() and self.default_quantity > 0):
            raise ValueError("default_quantity must be a positive number")
        for name in ("max_signal_age_s", "max_equity_age_s"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"{name} must be a number that is not negative; 0: no limit")
        _once("sizing", [(each.strategy, each.symbol) for each in self.sizing])
        _once("symbol_limits", [(each.symbol,) for each in self.symbol_limits])
        _once("strategy_limits", [(each.strategy, each.symbol) for each in self.strategy_limits])
        _once("strategy_breakers", [(each.strategy,) for each in self.strategy_breakers])

    def on(self, clock: Clock) -> RouterConfig:
        """With the ages that count on a book's clock where none are set. Where the feed tells the time, nothing is late."""
        if clock == "feed":
            return self
        signal_s, equity_s = self.max_signal_age_s, self.max_equity_age_s
        return msgspec.structs.replace(
            self,
            max_signal_age_s=MAX_SIGNAL_AGE_S if signal_s is None else signal_s,
            max_equity_age_s=MAX_EQUITY_AGE_S if equity_s is None else equity_s,
        )


def _once(table: str, keys: list[tuple[str, ...]]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"two [[router.{table}]] entries are for {' in '.join(part or 'all' for part in key)}; join them")
