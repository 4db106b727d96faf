"""What the configuration asks for, as the state of a node that has seen nothing.

In:   the section `[barbuilder]` and the instruments.   Out: a `State`; `ConfigError` where they do not go together.
Not:  checks that one entry can make by itself (`barbuilder.config`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core import quality
from barbuilder.core.grids import NO_DAYS, days_of
from barbuilder.core.state import Closes, Lane, Market, Rollup, Run, State, Tape, Window
from barque.errors import ConfigError, nearest
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.messages.market import PriceType

COUNTERS = ("bars", "marks", "late", "late_bars", "outside", "duplicate", "refused_bars", *quality.REASONS)


def new_state(config: BarBuilderConfig, instruments: Mapping[str, Instrument]) -> State:
    """Empty series of everything that is to be built; raises `ConfigError`."""
    markets = {symbol: Market(Tape(), Tape(), Closes()) for symbol in instruments}
    built: set[tuple[str, str, str]] = set()
    for spec in config.bars:
        for symbol in spec.symbols:
            if symbol not in markets:
                hint = nearest(symbol, list(markets))
                raise ConfigError(f"key 'barbuilder.bars': symbol '{symbol}' has no [[instruments]] entry; {hint}")
            for price in spec.prices:
                if (symbol, spec.interval, price) in built:
                    raise ConfigError(f"key 'barbuilder.bars': {symbol} {spec.interval} {price} is there twice")
                built.add((symbol, spec.interval, price))
            _plan(markets[symbol], spec, instruments[symbol])
    for market in markets.values():
        market.rollups.sort(key=lambda rollup: rollup.interval_ns)
    return State(markets, dict.fromkeys(COUNTERS, 0))


def reads_bars(config: BarBuilderConfig, symbols: Iterable[str]) -> bool:
    """Whether bars of others matter: something may be made of them, or a symbol may have nothing else to be marked by."""
    built = {symbol for spec in config.bars for symbol in spec.symbols}
    return any(spec.takes_bars for spec in config.bars) or not built.issuperset(symbols)


def _plan(market: Market, spec: BarsConfig, instrument: Instrument) -> None:
    interval = interval_of(spec.interval)
    if not interval.is_time:
        if interval.kind == "value" and instrument.inverts:
            what = f"{instrument.symbol} has no {spec.interval} bars: its sizes are those of {instrument.inverts}"
            raise ConfigError(f"key 'barbuilder.bars': {what}; build them of {instrument.inverts}")
        market.quotes.runs += [Run(spec.interval, price) for price in spec.prices if price != "last"]
        market.trades.runs += [Run(spec.interval, price) for price in spec.prices if price == "last"]
        return
    days = _days(spec, instrument)
    if spec.takes_ticks:
        _add_window(market.quotes, spec, interval.size, days, [price for price in spec.prices if price != "last"])
        _add_window(market.trades, spec, interval.size, days, [price for price in spec.prices if price == "last"])
    if spec.takes_bars:
        market.rollups += [Rollup(spec.interval, interval.size, price, days, spec.source) for price in spec.prices]


def _add_window(tape: Tape, spec: BarsConfig, interval_ns: int, days: str, prices: Sequence[PriceType]) -> None:
    if prices:
        tape.windows.append(Window(spec.interval, interval_ns, [Lane(price) for price in prices], days=days))


def _days(spec: BarsConfig, instrument: Instrument) -> str:
    if spec.anchor == "utc":
        return NO_DAYS
    try:
        return days_of(spec.anchor, instrument.calendar)
    except ConfigError as error:
        raise ConfigError(f"key 'barbuilder.bars': {instrument.symbol} {spec.interval}: {error}") from None
