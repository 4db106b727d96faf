"""A currency pair the other way round: `JPYUSD` from `USDJPY`.

In:   quotes, trades and bars of the source.   Out: the same of the inverse.
Not:  sizes and volumes: they stay those of the source, in its contracts.

Whoever sells dollars for yen buys yen for dollars, so bid and ask change places: bid = 1 / ask and ask = 1 / bid. The highest
bid of the inverse was made by the lowest ask of the source. 1 / x falls as x rises, in floats too, so a bar of reciprocal ticks
is the reciprocal of the bar, exactly. Only a mid is not: 1 / mid lies below the mid of 1 / ask and 1 / bid, by the square of
half the spread (3e-9 of the price where the spread is 1e-4 of it). Mids of ticks are made of reciprocal ticks, mids of bars
are 1 / mid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from barque.errors import ConfigError, nearest
from barque.instruments import Instrument
from barque.messages import Bar, Quote, Trade
from barque.messages.market import PriceType

OTHER_SIDE: Mapping[PriceType, PriceType] = {"bid": "ask", "ask": "bid", "mid": "mid", "last": "last"}


def sources_of(instruments: Iterable[Instrument]) -> dict[str, str]:
    """Source -> inverse; raises `ConfigError` where an instrument cannot be the inverse of what it names."""
    known = {instrument.symbol: instrument for instrument in instruments}
    inverses: dict[str, str] = {}
    for instrument in known.values():
        if not instrument.inverts:
            continue
        key = f"key 'instruments': {instrument.symbol} inverts '{instrument.inverts}'"
        source = known.get(instrument.inverts)
        if source is None:
            raise ConfigError(f"{key}, which has no [[instruments]] entry; {nearest(instrument.inverts, list(known))}")
        if source.inverts:
            raise ConfigError(f"{key}, which is derived itself; only an instrument that a feed brings can be inverted")
        if source.symbol in inverses:
            raise ConfigError(f"{key}, and so does {inverses[source.symbol]}; one inverse is enough")
        if not source.base_currency or (instrument.base_currency, instrument.currency) != (source.currency, source.base_currency):
            ours, theirs = (f"{each.base_currency or '?'}/{each.currency}" for each in (instrument, source))
            raise ConfigError(f"{key}, but it is {ours} and that is {theirs}; currency and base_currency must change places")
        inverses[source.symbol] = instrument.symbol
    return inverses


def inverted_quote(quote: Quote) -> Quote:
    """The same quote from the other side of the pair, still under the name of its source, which is its root."""
    return Quote(
        symbol=quote.symbol, ts_event_ns=quote.ts_event_ns, ts_recv_ns=quote.ts_recv_ns, bid=1 / quote.ask, ask=1 / quote.bid
    )


def inverted_trade(trade: Trade) -> Trade:
    """The same trade from the other side of the pair, still under the name of its source, which is its root."""
    return Trade(
        symbol=trade.symbol,
        ts_event_ns=trade.ts_event_ns,
        ts_recv_ns=trade.ts_recv_ns,
        price=1 / trade.price,
        size=trade.size,
    )


def inverted_bar(bar: Bar, symbol: str) -> Bar:
    """The sound bar `bar` as that of `symbol`."""
    return Bar(
        symbol=symbol,
        interval=bar.interval,
        price=OTHER_SIDE[bar.price],
        ts_open_ns=bar.ts_open_ns,
        ts_close_ns=bar.ts_close_ns,
        open=1 / bar.open,
        high=1 / bar.low,
        low=1 / bar.high,
        close=1 / bar.close,
        volume=bar.volume,
        tick_count=bar.tick_count,
        root=bar.root or bar.id,
        seq=bar.seq,
    )
