"""What the sections of a configuration need of one another: each is right by itself, and together they would be silent.

In:   the raw table of a file whose sections have been loaded.   Out: a sentence for each fault, with the key and what to do.
Not:  faults of one section (its own struct), nor what needs a connection (`checks.run`). A book without any feed is for
      `barque backtest --data`: which bars it hears, nobody can say before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from barbuilder.config import BarBuilderConfig
from barbuilder.core.inverses import OTHER_SIDE
from barque.config import CommonConfig, StrategyConfig, load_common, load_section, read_secret
from barque.errors import ConfigError, nearest
from barque.messages.market import PriceType
from barque_paper import PaperConfig
from feed_ibkr.config import FeedIbkrConfig
from feed_mt5.config import FeedMt5Config
from feed_replay.config import FeedReplayConfig, FileConfig
from gateway.config import GatewayConfig
from gateway.security import Guard
from portfolio.config import PortfolioConfig
from router.config import RouterConfig
from router.core.sending.config import SendingConfig
from strategy_host.config import enabled_strategies
from strategy_host.core.loading import bar_price
from venues.mt5.config import Mt5Config

FEEDS = ("feed_replay", "feed_ibkr", "feed_mt5")
PRICES: tuple[PriceType, ...] = get_args(PriceType)


class Made(NamedTuple):
    """One series of bars that there will be."""

    symbol: str
    interval: str
    price: PriceType


@dataclass(frozen=True)
class Supply:
    """What the feeds bring and the bar builder makes."""

    symbols: frozenset[str]
    """What a feed brings, and what is derived from it."""
    bars: frozenset[Made]


def faults(raw: Mapping[str, Any]) -> list[str]:
    """Everything that cannot work; empty: nothing is known to."""
    common = load_common(raw)
    return [
        *_secrets(raw),
        *_accounts(raw),
        *_valuations(raw, common),
        *_symbols(raw, common),
        *_feeds(raw),
        *_unheard(raw, common),
    ]


def _secrets(raw: Mapping[str, Any]) -> Iterator[str]:
    try:
        Guard(load_section(raw, "gateway", GatewayConfig))
    except ConfigError as error:
        said = str(error)
        yield said if "openssl" in said else f"{said}; make one with `openssl rand -hex 32`"
    mt5 = load_section(raw, "mt5", Mt5Config) if "mt5" in raw else None
    if mt5 is not None and mt5.password_file is not None:
        try:
            read_secret(mt5.password_file, "mt5.password_file")
        except ConfigError as error:
            yield f"{error}; write the account's password there, or leave the key out where the terminal is logged in"


def _accounts(raw: Mapping[str, Any]) -> Iterator[str]:
    router = load_section(raw, "router", RouterConfig)
    if "sender" not in raw:
        paper = load_section(raw, "paper", PaperConfig)
        if paper.account != router.account:
            yield (
                f"key 'router.account': orders go to '{router.account}', and [paper] trades '{paper.account}'; "
                "give both the same account"
            )
        return
    sender = load_section(raw, "sender", SendingConfig)
    if sender.account != router.account:
        yield (
            f"key 'router.account': orders go to '{router.account}', and [sender] trades '{sender.account}'; "
            f'set account = "{sender.account}" in [router]'
        )
    known = [account.name for account in load_section(raw, "portfolio", PortfolioConfig).accounts]
    if sender.account not in known:
        yield (
            f"key 'portfolio.accounts': '{sender.account}' of [sender] has no entry, so its equity is never known; add "
            f'[[portfolio.accounts]] with name = "{sender.account}", currency and starting_cash'
        )


def _valuations(raw: Mapping[str, Any], common: CommonConfig) -> Iterator[str]:
    """On a wall clock nothing is opened on an old valuation, nor on none."""
    router = load_section(raw, "router", RouterConfig).on(common.book.clock)
    portfolio = load_section(raw, "portfolio", PortfolioConfig)
    if not router.max_equity_age_s:
        return
    if portfolio.equity_interval_s >= router.max_equity_age_s:
        yield (
            f"key 'router.max_equity_age_s': the account is valued every {portfolio.equity_interval_s} s, nothing is opened on "
            f"a valuation older than {router.max_equity_age_s} s; set it to more than portfolio.equity_interval_s"
        )
    drawdown, known = router.breakers.drawdown, [account.name for account in portfolio.accounts]
    if "sender" not in raw and drawdown.enabled and router.account not in known:
        yield (
            f"key 'portfolio.accounts': '{router.account}' of [router] has no entry, so its equity is never known and nothing is "
            f'opened; add [[portfolio.accounts]] with name = "{router.account}", currency and starting_cash'
        )


def _symbols(raw: Mapping[str, Any], common: CommonConfig) -> Iterator[str]:
    known = [instrument.symbol for instrument in common.instruments]
    for key, symbols in _named(raw, common):
        for symbol in dict.fromkeys(symbols):
            if symbol not in known:
                hint = f"{nearest(symbol, known)} " if known else ""
                yield f"key '{key}': symbol '{symbol}' has no [[instruments]] entry; {hint}add one"


def _named(raw: Mapping[str, Any], common: CommonConfig) -> Iterator[tuple[str, Iterable[str]]]:
    yield from _brought(raw)
    for strategy in enabled_strategies(common):
        yield f"strategies.{strategy.id}.symbols", strategy.symbols
    yield "paper.symbols", [each.symbol for each in load_section(raw, "paper", PaperConfig).symbols]
    for spec in load_section(raw, "barbuilder", BarBuilderConfig).bars:
        yield "barbuilder.bars", spec.symbols


def _brought(raw: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """What each feed listens to, by key."""
    if "feed_replay" in raw:
        replay = load_section(raw, "feed_replay", FeedReplayConfig)
        if replay.source == "market":
            yield "feed_replay.market.symbols", list(replay.market.symbols)
        else:
            yield "feed_replay.files", [file.symbol for file in replay.files]
    if "feed_ibkr" in raw:
        ibkr = load_section(raw, "feed_ibkr", FeedIbkrConfig)
        yield "feed_ibkr.symbols", list(ibkr.symbols)
        yield "feed_ibkr.streams", [stream.symbol for stream in ibkr.streams]
    if "feed_mt5" in raw:
        yield "feed_mt5.symbols", list(load_section(raw, "feed_mt5", FeedMt5Config).symbols)


def _feeds(raw: Mapping[str, Any]) -> Iterator[str]:
    for name in FEEDS:
        keys = [key for key, symbols in _brought(raw) if key.startswith(f"{name}.")]
        if not keys or any(symbols for key, symbols in _brought(raw) if key in keys):
            continue
        if keys == ["feed_replay.files"]:
            yield "key 'feed_replay.files': source = \"files\" without a file; add a [[feed_replay.files]] with path and symbol"
        else:
            yield f"key '{keys[0]}': [{name}] listens to nothing; name the symbols that it is to bring"


def _unheard(raw: Mapping[str, Any], common: CommonConfig) -> Iterator[str]:
    if not any(name in raw for name in FEEDS):
        return
    supply = _supply(raw, common)
    known = {instrument.symbol for instrument in common.instruments}
    for strategy in enabled_strategies(common):
        for symbol in strategy.symbols:
            if symbol not in known:
                continue  # said above
            if symbol not in supply.symbols:
                keys = " or ".join(key for key, _ in _brought(raw))
                yield f"key 'strategies.{strategy.id}.symbols': no feed brings {symbol}; add it to {keys}"
                continue
            yield from _missing_bars(strategy, symbol, supply.bars)


def _missing_bars(strategy: StrategyConfig, symbol: str, made: frozenset[Made]) -> Iterator[str]:
    wished = bar_price(strategy)
    for interval in dict.fromkeys((strategy.interval, *strategy.intervals)):
        price = wished if interval == strategy.interval else None
        prices = sorted(each.price for each in made if (each.symbol, each.interval) == (symbol, interval))
        if price in prices or (price is None and prices):
            continue
        key = "interval" if interval == strategy.interval else "intervals"
        others = f" (there are {' and '.join(prices)})" if prices else ""
        shown = f"{price} " if price else ""
        entry = f'symbols = ["{symbol}"], interval = "{interval}", prices = ["{price or "bid"}"]'
        yield (
            f"key 'strategies.{strategy.id}.{key}': nothing makes {symbol} {interval} {shown}bars{others}; "
            f"add [[barbuilder.bars]] with {entry}"
        )


def _supply(raw: Mapping[str, Any], common: CommonConfig) -> Supply:
    symbols = {symbol for _, brought in _brought(raw) for symbol in brought}
    bars = set(_fed_bars(raw))
    for instrument in common.instruments:
        if instrument.inverts in symbols:
            symbols.add(instrument.symbol)
            fed = [made for made in bars if made.symbol == instrument.inverts]
            bars.update(Made(instrument.symbol, made.interval, OTHER_SIDE[made.price]) for made in fed)
    built = {
        Made(symbol, spec.interval, price)
        for spec in load_section(raw, "barbuilder", BarBuilderConfig).bars
        for symbol in spec.symbols
        for price in spec.prices
    }
    return Supply(frozenset(symbols), frozenset(bars | built))


def _fed_bars(raw: Mapping[str, Any]) -> Iterator[Made]:
    """Bars that come as such."""
    if "feed_replay" in raw:
        replay = load_section(raw, "feed_replay", FeedReplayConfig)
        if replay.source == "files":
            for file in replay.files:
                yield from _recorded(file)
    if "feed_ibkr" in raw:
        for stream in load_section(raw, "feed_ibkr", FeedIbkrConfig).streams:
            if stream.kind == "bars":
                yield Made(stream.symbol, "5s" if stream.how == "five_seconds" else stream.interval, stream.price)


def _recorded(file: FileConfig) -> Iterator[Made]:
    """Of an archive the series that is named. A single file says by its columns what it holds: any price is believed of it."""
    if file.path.is_dir():
        if file.kind == "bars":
            yield Made(file.symbol, file.interval, file.price)
        return
    for price in PRICES:
        yield Made(file.symbol, file.interval, price)
