"""Which streams a configuration means.

In:   `[feed_ibkr]`, instruments.   Out: `Stream`s, each with the subscription that the feed knows it by.
Not:  contracts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from barque.errors import ConfigError
from barque.instruments import AssetClass, Instrument
from barque.live_feed.source import DataKind, Subscription
from barque.messages.market import PriceType
from feed_ibkr.config import FeedIbkrConfig, How, StreamConfig

WITHOUT_TRADES: tuple[AssetClass, ...] = ("fx", "cfd")
"""Their prices are a dealer's quotes; there is no tape."""
WHAT_TO_SHOW: dict[PriceType, str] = {"last": "TRADES", "mid": "MIDPOINT", "bid": "BID", "ask": "ASK"}


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    subscription: Subscription
    how: How
    use_rth: bool = False

    @property
    def what_to_show(self) -> str:
        """Of bars, as the Gateway calls it."""
        return WHAT_TO_SHOW[self.subscription.price]


def streams_of(config: FeedIbkrConfig, instruments: Sequence[Instrument]) -> list[Stream]:
    """In the order of the configuration; raises `ConfigError`."""
    known = {each.symbol: each for each in instruments}
    wanted = [each for symbol in config.symbols for each in _usual(symbol, known)] + list(config.streams)
    streams = [_stream(each, known) for each in wanted]
    keys = [stream.subscription.key for stream in streams]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"[feed_ibkr]: {twice} is there twice; each symbol and kind once, in `symbols` or in [[feed_ibkr.streams]]"
        )
    return streams


def _usual(symbol: str, known: Mapping[str, Instrument]) -> list[StreamConfig]:
    quotes_only = symbol in known and known[symbol].asset_class in WITHOUT_TRADES
    kinds: tuple[DataKind, ...] = ("quotes",) if quotes_only else ("quotes", "trades")
    return [StreamConfig(symbol=symbol, kind=kind) for kind in kinds]


def _stream(wanted: StreamConfig, known: Mapping[str, Instrument]) -> Stream:
    instrument = known.get(wanted.symbol)
    trades = wanted.kind == "trades" or (wanted.kind == "bars" and wanted.price == "last")
    if instrument is not None and instrument.asset_class in WITHOUT_TRADES and trades:
        raise ConfigError(f'[feed_ibkr]: {wanted.symbol} has no trades; take quotes, or bars with price = "mid"')
    if wanted.kind == "bars":
        interval = "5s" if wanted.how == "five_seconds" else wanted.interval
        subscription = Subscription(
            symbol=wanted.symbol, kind="bars", interval=interval, price=wanted.price, resumes=wanted.how == "keep_up_to_date"
        )
    else:
        exact = wanted.how == "tick_by_tick" or wanted.kind == "trades"
        subscription = Subscription(symbol=wanted.symbol, kind=wanted.kind, exact_times=exact)
    return Stream(subscription=subscription, how=wanted.how, use_rth=wanted.use_rth)
