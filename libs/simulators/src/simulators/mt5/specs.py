"""What the simulated broker says of a symbol.

In:   a specification.   Out: the package's `SymbolInfo`.
Not:  prices (`history`), whether it is selected (`terminal`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulators.mt5 import constants as mt5
from simulators.mt5.tuples import SymbolInfo, Tick


class SymbolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol of the broker, in the broker's own words."""

    name: str
    digits: int = 5
    contract_size: float = 100_000.0
    volume_min: float = 0.01
    volume_max: float = 500.0
    volume_step: float = 0.01
    volume_limit: float = 0.0
    """Lots that one direction may have in all; 0: no limit."""
    stops_level: int = 0
    """Points that stops and pending orders keep from the price."""
    freeze_level: int = 0
    filling_mode: int = mt5.SYMBOL_FILLING_FOK | mt5.SYMBOL_FILLING_IOC
    execution: int = mt5.SYMBOL_TRADE_EXECUTION_MARKET
    trade_mode: int = mt5.SYMBOL_TRADE_MODE_FULL
    currency_base: str
    currency_profit: str
    currency_margin: str
    commission_per_lot: float = 0.0
    """Taken at each deal, in the account's currency."""
    path: str = ""
    calc_mode: int = mt5.SYMBOL_CALC_MODE_FOREX

    @property
    def point(self) -> float:
        """Smallest step of the price."""
        return round(10.0**-self.digits, self.digits)

    def price(self, value: float) -> float:
        """`value` with the symbol's digits."""
        return round(value, self.digits)


def forex(name: str, **changes: Any) -> SymbolSpec:
    """A currency pair; what follows its six letters is the broker's suffix.

    >>> forex("USDJPY.a").digits, forex("USDJPY.a").currency_profit
    (3, 'JPY')
    """
    base, profit = name[:3], name[3:6]
    facts: dict[str, Any] = {
        "name": name,
        "digits": 3 if profit == "JPY" else 5,
        "currency_base": base,
        "currency_profit": profit,
        "currency_margin": base,
        "path": f"Forex\\{name}",
    }
    return SymbolSpec(**(facts | changes))


def symbol_info(spec: SymbolSpec, tick: Tick | None, selected: bool, profit_rate: float) -> SymbolInfo:
    """`profit_rate`: of the profit currency in the account's."""
    bid, ask, time = (tick.bid, tick.ask, tick.time) if tick is not None else (0.0, 0.0, 0)
    tick_value = round(spec.contract_size * spec.point * profit_rate, 5)
    known: dict[str, Any] = {
        "select": selected,
        "visible": selected,
        "time": time,
        "digits": spec.digits,
        "spread": round((ask - bid) / spec.point),
        "spread_float": True,
        "ticks_bookdepth": 10,
        "trade_calc_mode": spec.calc_mode,
        "trade_mode": spec.trade_mode,
        "trade_stops_level": spec.stops_level,
        "trade_freeze_level": spec.freeze_level,
        "trade_exemode": spec.execution,
        "swap_mode": mt5.SYMBOL_SWAP_MODE_POINTS,
        "swap_rollover3days": mt5.DAY_OF_WEEK_WEDNESDAY,
        "expiration_mode": 15,
        "filling_mode": spec.filling_mode,
        "order_mode": 127,
        "bid": bid,
        "ask": ask,
        "point": spec.point,
        "trade_tick_value": tick_value,
        "trade_tick_value_profit": tick_value,
        "trade_tick_value_loss": tick_value,
        "trade_tick_size": spec.point,
        "trade_contract_size": spec.contract_size,
        "volume_min": spec.volume_min,
        "volume_max": spec.volume_max,
        "volume_step": spec.volume_step,
        "volume_limit": spec.volume_limit,
        "margin_hedged": spec.contract_size,
        "currency_base": spec.currency_base,
        "currency_profit": spec.currency_profit,
        "currency_margin": spec.currency_margin,
        "description": spec.name,
        "name": spec.name,
        "path": spec.path or spec.name,
    }
    return SymbolInfo(**{name: known.get(name, _EMPTY[name]) for name in SymbolInfo._fields})


_WORDS = ("basis", "category", "bank", "exchange", "formula", "isin", "page")
_FLAGS = ("custom", "margin_hedged_use_leg")
_WHOLE = (
    *("chart_mode", "session_deals", "session_buy_orders", "session_sell_orders", "volume", "volumehigh", "volumelow"),
    *("start_time", "expiration_time", "order_gtc_mode", "option_mode", "option_right"),
)
_EMPTY: dict[str, Any] = {
    name: "" if name in _WORDS else False if name in _FLAGS else 0 if name in _WHOLE else 0.0 for name in SymbolInfo._fields
}
