"""Whether the strategies of a run could hear its data: a run of which nobody heard anything is all zeros, as one without trades.

In:   a `BacktestRun`.   Out: a sentence for each strategy that asks for bars which there were not.
Not:  strategies that listen to ticks alone, or a run without any data (that is said where it is read).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from barbuilder.config import BarBuilderConfig, BarsConfig
from barque.config import StrategyConfig, load_section
from barque.intervals import interval_of
from barque.strategy import Strategy
from barque_archive.series import Series
from barque_backtest.run import BacktestRun
from strategy_host.core.loading import bar_price, load_strategy

_MIRRORED: Mapping[str, str] = {"bid": "ask", "ask": "bid"}


def deaf(run: BacktestRun, wholly: bool = False) -> list[str]:
    """What to say of the strategies that cannot have heard a bar of their main interval; or, unless `wholly`, of one of their
    symbols and intervals."""
    if not run.facts.series:
        return []
    fed = [*run.facts.series, *_inverted(run)]
    there = [*(series for series in fed if series.kind == "bars"), *_built(run, fed)]
    notes = []
    for entry in run.strategies:
        if load_strategy(entry.strategy).on_bar is Strategy.on_bar:
            continue
        wished = bar_price(entry)
        own = [bars for bars in there if bars.symbol in entry.symbols]
        if not any(bars.interval == entry.interval and wished in (None, bars.price) for bars in own):
            notes.append(f"strategy {entry.id} heard no bar: it asks for {_asked(entry, wished)}, {_instead(run, entry, own)}")
        elif not wholly and (missing := _missing(entry, own)):
            notes.append(
                f"strategy {entry.id} heard no bar of {', '.join(missing)}: neither the data nor [[barbuilder.bars]] have any"
            )
    return notes


def _missing(entry: StrategyConfig, own: Sequence[Series]) -> list[str]:
    """Of its symbols and intervals those without bars."""
    known = {(bars.symbol, bars.interval) for bars in own}
    intervals = dict.fromkeys((entry.interval, *entry.intervals))
    asked = [(symbol, interval) for symbol in entry.symbols for interval in intervals]
    return [f"{symbol} {interval}" for symbol, interval in asked if (symbol, interval) not in known]


def _built(run: BacktestRun, fed: Sequence[Series]) -> Iterator[Series]:
    """What the bar builder can have made of the data."""
    for spec in load_section(run.config, "barbuilder", BarBuilderConfig).bars:
        for symbol in spec.symbols:
            own = [series for series in fed if series.symbol == symbol]
            yield from (Series(symbol, "bars", spec.interval, price) for price in spec.prices if _is_made(spec, price, own))


def _is_made(spec: BarsConfig, price: str, own: Sequence[Series]) -> bool:
    """Of ticks of that kind, or of shorter bars of that price."""
    if any(series.kind == ("trades" if price == "last" else "quotes") for series in own):
        return True
    longer = interval_of(spec.interval)
    shorter = [interval_of(bars.interval) for bars in own if bars.kind == "bars" and bars.price == price]
    return spec.takes_bars and any(each.is_time and longer.size % each.size == 0 < longer.size - each.size for each in shorter)


def _inverted(run: BacktestRun) -> Iterator[Series]:
    """The same of derived symbols: of bids asks, and of asks bids."""
    inverse = {instrument.inverts: instrument.symbol for instrument in run.instruments if instrument.inverts}
    for series in run.facts.series:
        if series.symbol in inverse:
            yield series._replace(symbol=inverse[series.symbol], price=_MIRRORED.get(series.price, series.price))


def _asked(entry: StrategyConfig, wished: str | None) -> str:
    return " ".join((", ".join(entry.symbols), entry.interval, wished or "bars"))


def _instead(run: BacktestRun, entry: StrategyConfig, own: list[Series]) -> str:
    if own:
        return f"there were {', '.join(dict.fromkeys(f'{bars.symbol} {bars.interval} {bars.price}' for bars in own))}"
    ticks = [series for series in run.facts.series if series.kind != "bars" and series.symbol in entry.symbols]
    if ticks:
        listed = f'symbols = ["{ticks[0].symbol}"], interval = "{entry.interval}"'
        return f"and the data have {ticks[0].kind}: add [[barbuilder.bars]] with {listed}"
    return f"the data have {', '.join(dict.fromkeys(series.symbol for series in run.facts.series))}"
