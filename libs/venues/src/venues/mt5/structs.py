"""What the package's named tuples become here: the fields that we read, by name, whatever the version's order is.

In:   flattened records (`flatten`).   Out: structs, structured arrays.
Not:  times in UTC (`clock`): every `*_msc` and `time*` here is the trade server's wall clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from barque.errors import VenueRefused

Rows = npt.NDArray[Any]
"""Structured: of ticks `time_msc, bid, ask, last, volume, flags, volume_real`; of bars `time, open, high, low, close …`."""
T = TypeVar("T", bound=msgspec.Struct)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The newest price of a symbol; `time_msc` 0: there has been none."""

    bid: float
    ask: float
    last: float
    volume_real: float
    time_msc: int
    flags: int


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The account that the terminal is logged in to."""

    login: int
    trade_mode: int
    """0 demo, 1 contest, 2 real."""
    trade_allowed: bool
    trade_expert: bool
    margin_mode: int
    """0 netting, 1 exchange (netting too), 2 hedging."""
    balance: float
    credit: float
    profit: float
    equity: float
    margin: float
    margin_free: float
    leverage: int
    server: str
    currency: str
    company: str
    name: str


class TerminalInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The terminal."""

    connected: bool
    """With the trade server."""
    trade_allowed: bool
    """The AutoTrading button."""
    tradeapi_disabled: bool
    """Its option that programs may not trade through the Python package."""
    build: int
    ping_last: int
    """Microseconds."""
    company: str
    name: str
    path: str


class SymbolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says of a symbol."""

    name: str
    visible: bool
    digits: int
    point: float
    trade_tick_size: float
    trade_contract_size: float
    trade_mode: int
    trade_exemode: int
    trade_stops_level: int
    trade_freeze_level: int
    filling_mode: int
    volume_min: float
    volume_max: float
    volume_step: float
    currency_base: str
    currency_profit: str
    currency_margin: str
    description: str
    path: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order, open or in the history."""

    ticket: int
    time_setup_msc: int
    time_done_msc: int
    time_expiration: int
    type: int
    type_filling: int
    state: int
    magic: int
    position_id: int
    reason: int
    volume_initial: float
    volume_current: float
    price_open: float
    price_stoplimit: float
    sl: float
    tp: float
    symbol: str
    comment: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """An open position. `identifier` stays the same when its ticket does not (a netting account's reversal)."""

    ticket: int
    identifier: int
    time_msc: int
    type: int
    magic: int
    volume: float
    price_open: float
    sl: float
    tp: float
    swap: float
    profit: float
    symbol: str
    comment: str


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """An execution, or a movement of the balance."""

    ticket: int
    order: int
    time_msc: int
    type: int
    entry: int
    magic: int
    position_id: int
    reason: int
    volume: float
    price: float
    commission: float
    swap: float
    profit: float
    fee: float
    symbol: str
    comment: str


class SendResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the trade server answered."""

    retcode: int
    deal: int
    order: int
    volume: float
    price: float
    bid: float
    ask: float
    comment: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the trade server would answer; `retcode` 0: nothing is wrong."""

    retcode: int
    margin: float
    margin_free: float
    comment: str


@lru_cache(maxsize=64)
def _places(kind: type[msgspec.Struct], fields: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    missing = [name for name in kind.__struct_fields__ if name not in fields]
    if missing:
        raise VenueRefused(f"the terminal's {kind.__name__} has no {', '.join(missing)}; update MetaTrader5 on the bridge")
    return tuple((name, fields.index(name)) for name in kind.__struct_fields__)


def record(kind: type[T], flattened: Any) -> T | None:
    """One record; None where there is none."""
    if flattened[0] != "record":
        return None
    _, fields, row = flattened
    return kind(**{name: row[place] for name, place in _places(kind, fields)})


def records(kind: type[T], flattened: Any) -> list[T]:
    """All records, none where there are none."""
    if flattened[0] != "records":
        return []
    _, fields, rows = flattened
    places = _places(kind, fields)
    return [kind(**{name: row[place] for name, place in places}) for row in rows]


def array(flattened: Any) -> Rows | None:
    """A structured array over the bytes as they came, not to be written to."""
    if flattened[0] != "array":
        return None
    _, columns, content = flattened
    return np.frombuffer(content, np.dtype([(name, kind) for name, kind in columns]))
