"""Our instruments at the broker: its names, its lots, its steps, its rules.

In:   instruments, the broker's `SymbolInfo`.   Out: `Symbol`s that were checked; quantities in lots; prices on the grid.
Not:  prices of the market. What does not fit is said once, when connecting, with the key to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from barque.errors import ConfigError
from barque.instruments import Instrument
from venues.mt5.client import Mt5Client
from venues.mt5.config import Mt5Config
from venues.mt5.structs import SymbolInfo

FOK, IOC, RETURN = 0, 1, 2
"""Of `type_filling` in requests."""
FOK_ALLOWED, IOC_ALLOWED = 1, 2
"""Bits of `SymbolInfo.filling_mode`."""
INSTANT, MARKET = 1, 2
"""Of `SymbolInfo.trade_exemode`."""
_FILLINGS = {"fok": FOK, "ioc": IOC, "return": RETURN}


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument as the broker trades it."""

    instrument: Instrument
    venue_symbol: str
    digits: int
    point: Decimal
    tick_size: Decimal
    contracts_per_lot: Decimal
    """Of ours: 1 where both sides have the same contract size."""
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    stops_level: int
    """Points that stops and pending orders keep from the price."""
    execution: int
    filling: int
    """Of market orders."""
    pending_filling: int
    """Of orders that wait: what is not filled at once waits on, where the symbol allows that."""
    fok: bool
    """It allows fill-or-kill."""

    def lots(self, contracts: Decimal) -> Decimal:
        """In the broker's unit, not rounded."""
        return contracts / self.contracts_per_lot

    def contracts(self, lots: float) -> Decimal:
        """In ours; lots come as binary fractions of a multiple of the step."""
        exact = Decimal(repr(lots))
        steps = (exact / self.volume_step).to_integral_value(ROUND_HALF_EVEN)
        return plain(steps * self.volume_step * self.contracts_per_lot)

    def fault_of_lots(self, lots: Decimal) -> str:
        """What is wrong with a volume; empty: nothing."""
        if lots % self.volume_step:
            return f"{lots.normalize():f} lots of {self.venue_symbol} are no multiple of its step, {self.volume_step}"
        if lots < self.volume_min:
            return f"{lots.normalize():f} lots of {self.venue_symbol} are less than its smallest, {self.volume_min}"
        if lots > self.volume_max:
            return f"{lots.normalize():f} lots of {self.venue_symbol} are more than its largest, {self.volume_max}"
        return ""

    def price(self, price: Decimal) -> float:
        """For a request: with the symbol's digits."""
        return round(float(price), self.digits)

    def decimal(self, price: float) -> Decimal | None:
        """A price of the broker, on its grid; None for 0, which is its "none"."""
        return Decimal(repr(price)).quantize(self.point, ROUND_HALF_EVEN) if price else None


def plain(value: Decimal) -> Decimal:
    """Without trailing zeros, and never with an exponent."""
    value = value.normalize()
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value


def venue_symbol(config: Mt5Config, symbol: str) -> str:
    """The broker's name."""
    return config.symbols.get(symbol, f"{symbol}{config.suffix}")


async def resolve(client: Mt5Client, config: Mt5Config, instruments: Sequence[Instrument]) -> dict[str, Symbol]:
    """Each instrument at the broker, put into the Market Watch. Raises `ConfigError` naming the first that does not fit."""
    found = {}
    for instrument in instruments:
        if instrument.inverts:
            continue  # derived from another; it cannot be traded
        name = venue_symbol(config, instrument.symbol)
        info = await client.symbol_info(name)
        if info is None:
            raise ConfigError(await _missing(client, instrument.symbol, name))
        if not info.visible and not await client.select(name):
            raise ConfigError(f"{instrument.symbol}: '{name}' cannot be put into the terminal's Market Watch")
        found[instrument.symbol] = symbol_of(config, instrument, info)
    return found


def symbol_of(config: Mt5Config, instrument: Instrument, info: SymbolInfo) -> Symbol:
    """Checked against the instrument; raises `ConfigError`."""
    tick_size = plain(Decimal(repr(info.trade_tick_size or info.point)))
    step, least = (plain(Decimal(repr(each))) for each in (info.volume_step, info.volume_min))
    if instrument.tick_size % tick_size:
        raise ConfigError(
            f"instruments '{instrument.symbol}': tick_size is {instrument.tick_size}, and {info.name} moves by {tick_size} "
            f'at this broker; prices would be refused. Set tick_size = "{tick_size}"'
        )
    per_lot = plain(Decimal(repr(info.trade_contract_size)) / instrument.multiplier)
    if (instrument.quantity_step / per_lot) % step:
        raise ConfigError(
            f"instruments '{instrument.symbol}': quantity_step is {instrument.quantity_step} contracts of "
            f"{instrument.multiplier}, and {info.name} is traded in steps of {step} lots of {info.trade_contract_size:g}. "
            f"Set quantity_step = "
            f'"{plain(step * per_lot)}" or a multiple of it'
        )
    return Symbol(
        instrument=instrument,
        venue_symbol=info.name,
        digits=info.digits,
        point=Decimal(1).scaleb(-info.digits),
        tick_size=tick_size,
        contracts_per_lot=per_lot,
        volume_min=least,
        volume_max=plain(Decimal(repr(info.volume_max))),
        volume_step=step,
        stops_level=info.trade_stops_level,
        execution=info.trade_exemode,
        filling=_filling(config, info),
        pending_filling=RETURN,
        fok=bool(info.filling_mode & FOK_ALLOWED),
    )


def _filling(config: Mt5Config, info: SymbolInfo) -> int:
    """IOC before FOK: a part of an order is better than none, and what is left is said to be gone."""
    allowed = [RETURN] if info.trade_exemode != MARKET else []
    allowed += [kind for kind, bit in ((IOC, IOC_ALLOWED), (FOK, FOK_ALLOWED)) if info.filling_mode & bit]
    if config.filling != "auto":
        wanted = _FILLINGS[config.filling]
        if wanted not in allowed:
            names = [name for name, kind in _FILLINGS.items() if kind in allowed]
            raise ConfigError(
                f"key 'mt5.filling' is {config.filling}, which {info.name} does not allow; it allows {', '.join(names) or 'none'}"
            )
        return wanted
    return next((kind for kind in (IOC, FOK, RETURN) if kind in allowed), FOK)


async def _missing(client: Mt5Client, symbol: str, name: str) -> str:
    near = sorted(info.name for info in await client.symbols(f"*{symbol}*"))[:5]
    hint = f"it has {', '.join(near)}: set mt5.suffix, or mt5.symbols" if near else "compare with the terminal's Market Watch"
    return f"instruments '{symbol}': the broker has no symbol '{name}'; {hint}"
