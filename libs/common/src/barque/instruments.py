"""What is traded: one `Instrument` per symbol, and the one crossing from market floats to exact money.

`price(x)` and `quantity(x)` are the only places where a float becomes a `Decimal`.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import cached_property
from typing import Literal, TypeGuard

import msgspec

LARGEST = Decimal(10) ** 12
"""No price or quantity is as large; keeps every product well inside 28 digits."""
_ZERO = Decimal(0)

PRICES_KNOWN = 256
"""Floats whose price on the grid is remembered, by instrument: the same few come again and again."""

AssetClass = Literal["fx", "future", "stock", "option", "crypto", "cfd"]


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One thing to trade, as `[[instruments]]` of `barque.toml` gives it. What follows from that alone is computed once."""

    symbol: str
    asset_class: AssetClass = "fx"
    currency: str
    """In which prices and PnL are."""
    base_currency: str = ""
    """What is bought (`USD` of USDJPY); empty where there is none."""
    tick_size: Decimal
    """Smallest price step."""
    contract_size: Decimal | None = None
    """Units per contract; 100,000 for FX, 1 otherwise, unless given."""
    quantity_step: Decimal = Decimal(1)
    """Quantities are multiples of it, in contracts."""
    min_quantity: Decimal | None = None
    """Smallest order, contracts; `quantity_step` unless given."""
    calendar: str = ""
    """`24/7`, `FX`, `GLOBEX`, or an exchange's MIC code (`barque.calendars`); not given: `FX` for FX, `24/7` otherwise."""
    exchange: str = ""
    max_spike_fraction: float = 0.1
    """A tick further than this from the last good price is quarantined."""
    inverts: str = ""
    """Derived: the pair of this symbol the other way round (`USDJPY` of `JPYUSD`). It has bars and marks and cannot be traded."""

    def __post_init__(self) -> None:
        for name in ("tick_size", "quantity_step"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.symbol}: {name} must be positive")
        if not self.calendar:
            msgspec.structs.force_setattr(self, "calendar", "FX" if self.asset_class == "fx" else "24/7")

    @cached_property
    def multiplier(self) -> Decimal:
        """Units per contract: what a price difference is multiplied by."""
        if self.contract_size is not None:
            return self.contract_size
        return Decimal(100_000) if self.asset_class == "fx" else Decimal(1)

    @cached_property
    def on_margin(self) -> bool:
        """True: a trade moves only its profit and loss in cash (FX, futures, CFD); False: its whole value."""
        return self.asset_class in ("fx", "future", "cfd")

    def price(self, value: float | Decimal) -> Decimal:
        """`value` on the price grid, half to even.

        >>> Instrument(symbol="EURUSD", currency="USD", tick_size=Decimal("0.00001")).price(1.386764999)
        Decimal('1.38676')
        """
        if isinstance(value, Decimal):
            return _on_grid(value, self.tick_size, self._plain_ticks, ROUND_HALF_EVEN)
        known = self._known_prices
        price = known.get(value)
        if price is None:
            price = _on_grid(Decimal(repr(value)), self.tick_size, self._plain_ticks, ROUND_HALF_EVEN)
            if len(known) >= PRICES_KNOWN:
                known.clear()
            if value:  # -0.0 equals 0.0
                known[value] = price
        return price

    def quantity(self, value: float | Decimal) -> Decimal:
        """`value` on the quantity grid, towards zero."""
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        return _on_grid(exact, self.quantity_step, self._plain_steps, ROUND_DOWN)

    @cached_property
    def _known_prices(self) -> dict[float, Decimal]:
        return {}

    @cached_property
    def _plain_ticks(self) -> bool:
        return _is_power_of_ten(self.tick_size)

    @cached_property
    def _plain_steps(self) -> bool:
        return _is_power_of_ten(self.quantity_step)

    def notional(self, price: Decimal, quantity: Decimal) -> Decimal:
        """Absolute value of `quantity` contracts at `price`, in `currency`."""
        return abs(quantity) * self.multiplier * price


def sound(value: Decimal | None) -> TypeGuard[Decimal]:
    """True for a finite positive number of a size that occurs in markets."""
    return value is not None and value.is_finite() and _ZERO < value < LARGEST


def _on_grid(exact: Decimal, step: Decimal, plain: bool, rounding: str) -> Decimal:
    """`plain`: `step` is a power of ten, so that rounding to its digits is all there is to do."""
    if plain:
        return exact.quantize(step, rounding)
    steps = (exact / step).to_integral_value(rounding=rounding)
    return (steps * step).quantize(step)


def _is_power_of_ten(step: Decimal) -> bool:
    return step.as_tuple().digits == (1,)
