"""Which risk limits a command can set, and what is wrong with one that cannot be obeyed: one rule for those who give and obey it.

In:   the fields of a `SetLimit`, the book's symbols and strategies.   Out: a sentence, empty where it can be obeyed.
Not:  what a limit does (`router.core.checks`), nor its figure in the file (`router.config`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from barque.errors import nearest

OF_A_SYMBOL = (
    "max_position",
    "max_notional",
    "max_order_quantity",
    "max_order_notional",
    "price_collar_fraction",
    "stale_after_s",
    "duplicate_window_ms",
    "margin_fraction",
)
"""Limits that a single symbol can have."""
OVER_ALL_SYMBOLS = (
    "max_gross_exposure",
    "max_net_exposure",
    "max_leverage",
    "max_margin_use_fraction",
    "max_buying_power_use_fraction",
    "max_open_orders",
    "max_orders_per_minute",
)
"""Those that none can."""
NO_LIMIT = "none"
"""The word that takes a limit away; nothing else does, least of all an empty value."""


def fault_of(limit: str, value: str, symbol: str, strategy_id: str, symbols: Iterable[str], strategy_ids: Iterable[str]) -> str:
    """Why a `SetLimit` of these fields would change nothing.

    >>> fault_of("max_positoin", "1", "", "", ["EURUSD"], ["sma"])
    "there is no limit 'max_positoin'; did you mean 'max_position'?"
    """
    valid = {"limit": [*OF_A_SYMBOL, *OVER_ALL_SYMBOLS], "symbol": sorted(symbols), "strategy": sorted(strategy_ids)}
    for kind, name in {"limit": limit, "symbol": symbol, "strategy": strategy_id}.items():
        if name not in valid[kind] and (name or kind == "limit"):
            return f"there is no {kind} '{name}'; {nearest(name, valid[kind])}"
    if symbol and limit in OVER_ALL_SYMBOLS:
        return f"{limit} is a limit over all symbols; give it without one"
    if strategy_id and limit == "margin_fraction":
        return "margin_fraction is the account's, not a strategy's; give it without one"
    if value != NO_LIMIT and figure(value) is None:
        return f"'{value}' is no limit; give a number that is not negative, or the word none, which takes the limit away"
    return ""


def figure(text: str) -> Decimal | None:
    """A limit's figure; None for a text that is none, and for the word that takes a limit away."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value >= 0 else None
