"""The terminal as a module `MetaTrader5`, for programs that import the package.

In:   a terminal.   Out: a module with the package's functions, constants and types.
Not:  importing it: `installed` puts it where `import MetaTrader5` finds it, and takes it away again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from simulators.mt5 import constants, tuples
from simulators.mt5.terminal import Terminal

NAME = "MetaTrader5"
FUNCTIONS = (
    *("initialize", "login", "shutdown", "version", "last_error", "account_info", "terminal_info", "symbols_total"),
    *("symbols_get", "symbol_info", "symbol_info_tick", "symbol_select", "market_book_add", "market_book_get"),
    *("market_book_release", "copy_rates_from", "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from"),
    *("copy_ticks_range", "orders_total", "orders_get", "order_calc_margin", "order_calc_profit", "order_check"),
    *("order_send", "positions_total", "positions_get", "history_orders_total", "history_orders_get"),
    *("history_deals_total", "history_deals_get"),
)


def as_module(terminal: Terminal) -> ModuleType:
    """A module whose functions are the terminal's."""
    module = ModuleType(NAME, "A stand-in for the package, backed by a simulated terminal.")
    module.__version__ = "5.0.0-simulated"  # type: ignore[attr-defined]
    for name in FUNCTIONS:
        setattr(module, name, getattr(terminal, name))
    for name, value in vars(constants).items():
        if name.isupper():
            setattr(module, name, value)
    for kind in tuples.ALL:
        setattr(module, kind.__name__, kind)
    return module


@contextmanager
def installed(module: ModuleType) -> Iterator[ModuleType]:
    """`import MetaTrader5` gives this module meanwhile."""
    before = sys.modules.get(NAME)
    sys.modules[NAME] = module
    try:
        yield module
    finally:
        if before is None:
            del sys.modules[NAME]
        else:
            sys.modules[NAME] = before
