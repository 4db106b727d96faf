"""The strategy test kit in a few lines: it makes the node and, where none are given, bars and answers to orders.

In:   a strategy class.   Out: `AssertionError` where it breaks a promise (`barque.strategy.testing` says which there are).
Not:  a backtest. The answers to its orders only let it see fills: at the next bar's open, without costs or limits.

    from strategy_host.testing import bars, check_strategy

    def test_it_keeps_the_promises_of_a_strategy() -> None:
        check_strategy(MyStrategy, symbols=("EURUSD",), params={"length": 3}, bars=bars(1.10, 1.12, 1.11))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from math import sin
from typing import Any

from barque.config import StrategyConfig
from barque.instruments import Instrument
from barque.intervals import interval_of
from barque.messages import Bar, ClockTicked, Message
from barque.messages.market import PriceType
from barque.node import Output
from barque.strategy import Strategy
from barque.strategy.testing import (
    check_hooks,
    check_no_look_ahead,
    check_repeats,
    check_restores,
    run,
)
from barque.strategy.testing import check_strategy as check_node
from strategy_host.core.node import StrategyNode
from strategy_host.core.venue import AnsweringVenue

__all__ = [
    "bars",
    "check_hooks",
    "check_no_look_ahead",
    "check_node",
    "check_repeats",
    "check_restores",
    "check_strategy",
    "instrument",
    "make_node",
    "run",
    "wave",
    "with_time",
]

MINUTE_NS = 60 * 10**9
START_NS = 1_767_571_200 * 10**9
"""Monday 5 January 2026, 00:00 UTC."""
WAVE_BARS = 300


def check_strategy(
    strategy: type[Strategy],
    *,
    symbols: Sequence[str] = ("EURUSD",),
    interval: str = "1m",
    intervals: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    bars: Iterable[Bar] | None = None,
    instruments: Iterable[Instrument] = (),
    answers: bool = True,
    cuts: int = 10,
    hook_timeout_s: float = 5.0,
) -> list[Output]:
    """Every check of the kit; the outputs of an undisturbed run, for checks of your own.

    `bars` in any order: they are fed in that of their closes, after the time. Without any, bid and ask bars of a price that goes
    up and down. `instruments`: those whose tick size or calendar matters; the others are made up. `answers`: market orders are
    filled at the open of the next bar of their symbol, others stay open until they are cancelled.
    """
    make = partial(make_node, strategy, symbols, interval, intervals, params, tuple(instruments))
    messages = with_time(wave(symbols, (interval, *intervals)) if bars is None else bars)
    venue = AnsweringVenue() if answers else None
    return check_node(make, messages, cuts, venue=venue, hook_timeout_s=hook_timeout_s)


def make_node(
    strategy: type[Strategy],
    symbols: Sequence[str] = ("EURUSD",),
    interval: str = "1m",
    intervals: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    instruments: Iterable[Instrument] = (),
) -> StrategyNode:
    """A fresh node around the strategy, as `test`; raises `ConfigError` as a host would."""
    config = StrategyConfig(
        id="test",
        strategy=strategy.__name__,
        symbols=tuple(symbols),
        interval=interval,
        intervals=tuple(intervals),
        params=dict(params or {}),
    )
    known = {each.symbol: each for each in instruments}
    return StrategyNode(config, strategy, [known.get(symbol) or instrument(symbol) for symbol in symbols])


def instrument(symbol: str, **fields: Any) -> Instrument:
    """A made-up instrument: six letters are a pair of currencies, anything else a stock in dollars."""
    if len(symbol) == 6 and symbol.isalpha():
        tick = Decimal("0.001" if symbol.endswith("JPY") else "0.00001")
        base: dict[str, Any] = {"base_currency": symbol[:3], "currency": symbol[3:], "tick_size": tick}
    else:
        base = {"asset_class": "stock", "currency": "USD", "tick_size": Decimal("0.01")}
    return Instrument(symbol=symbol, **(base | fields))


def bars(
    *closes: float, symbol: str = "EURUSD", interval: str = "1m", price: PriceType = "bid", start_ns: int = START_NS
) -> list[Bar]:
    """One bar after another that close as given; each opens where the one before closed, and has no other prices. Bars that are
    not made of time get a minute each."""
    step_ns = interval_of(interval).interval_ns or MINUTE_NS
    opens = (closes[0], *closes) if closes else ()
    return [
        Bar(
            symbol=symbol,
            interval=interval,
            price=price,
            ts_open_ns=start_ns + n * step_ns,
            ts_close_ns=start_ns + (n + 1) * step_ns,
            open=first,
            high=max(first, close),
            low=min(first, close),
            close=close,
            tick_count=2,
        )
        for n, (first, close) in enumerate(zip(opens, closes, strict=False))
    ]


def wave(symbols: Sequence[str], intervals: Sequence[str]) -> list[Bar]:
    """`WAVE_BARS` bid and ask bars of each series: a price that goes up and down, now faster and now slower."""
    fed: list[Bar] = []
    for place, symbol in enumerate(symbols):
        for interval in dict.fromkeys(intervals):
            for price, shift in (("bid", 0.0), ("ask", 0.0002)):
                closes = [1.1 + place / 10 + 0.01 * sin(n / 9) + 0.004 * sin(n / 2.3) + shift for n in range(WAVE_BARS)]
                fed += bars(*(round(close, 5) for close in closes), symbol=symbol, interval=interval, price=price)  # type: ignore[arg-type]
    return fed


def with_time(fed: Iterable[Bar]) -> list[Message]:
    """Bars in the order of their closes, the time before each instant."""
    messages: list[Message] = []
    told_ns = 0
    for bar in sorted(fed, key=lambda bar: bar.ts_close_ns):
        if bar.ts_close_ns != told_ns:
            told_ns = bar.ts_close_ns
            messages.append(ClockTicked(now_ns=told_ns))
        messages.append(bar)
    return messages
