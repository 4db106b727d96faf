"""`barque simulate broker`: the simulated broker with a market that moves, until it is interrupted.

In:   options.   Out: a server on loopback; how to connect to it; at the end, what was done.
Not:  the broker (`simulators.broker`). Its market is its own: a feed of the same symbols shows other prices.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Sequence

from barque.config import convert
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque_paper import PaperConfig
from simulators.broker.server import SimulatedBroker

FIRST_PRICE = 1.1
TICK = 0.00001


async def serve(
    port: int, symbols: Sequence[str], account: str, seed: int, ticks_per_s: float, say: Callable[[str], None]
) -> None:
    """Until cancelled. Raises `ConfigError` for a symbol that is no currency pair and a port that is taken."""
    broker = SimulatedBroker(_config(account), [_pair(symbol) for symbol in symbols])
    try:
        await broker.start(port)
    except OSError as taken:
        if taken.errno != errno.EADDRINUSE:
            raise
        raise ConfigError(f"option --port: {port} is in use; choose another, or 0 for any") from None
    say(
        f"Simulated broker, account {account}, on 127.0.0.1:{broker.port}. In barque.toml:\n\n"
        f'\\[sender]\naccount = "{account}"\nvenue = "simulated"\n\n\\[simulated]\nport = {broker.port}\n\nStop with Ctrl-C.'
    )
    try:
        await _walk(broker, symbols, random.Random(seed), ticks_per_s)
    finally:
        await broker.stop()
        say(f"orders: {len(broker.books.orders)}, executions: {len(broker.books.executions)}")


async def _walk(broker: SimulatedBroker, symbols: Sequence[str], luck: random.Random, ticks_per_s: float) -> None:
    if ticks_per_s <= 0:
        raise ConfigError(f"option --ticks-per-s is {ticks_per_s:g}; it must be positive")
    prices = dict.fromkeys(symbols, FIRST_PRICE)
    while True:
        for symbol in symbols:
            prices[symbol] = round(max(prices[symbol] + luck.gauss(0, 3) * TICK, 100 * TICK), 5)
            broker.quote(symbol, prices[symbol], round(prices[symbol] + 10 * TICK, 5))
        await asyncio.sleep(luck.expovariate(ticks_per_s))


def _config(account: str) -> PaperConfig:
    return convert({"account": account, "currency": "USD", "starting_cash": "1000000"}, PaperConfig, "paper")


def _pair(symbol: str) -> Instrument:
    if len(symbol) != 6 or not symbol.isalpha():
        raise ConfigError(f"option --symbols: '{symbol}' is no currency pair; give six letters, such as EURUSD")
    keys = {"symbol": symbol, "currency": symbol[3:], "base_currency": symbol[:3], "tick_size": "0.00001", "calendar": "24/7"}
    return convert(keys, Instrument, "")
