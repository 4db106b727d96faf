"""Interactive Brokers' feed at a TWS simulator: what its tests configure, and a price that moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from simulators.tws import TwsSimulator
from tests.support.feeds import RunningFeed, an_instrument

Start: TypeAlias = Callable[..., AbstractAsyncContextManager[RunningFeed]]
"""`start("EURUSD", ibkr={…}, streams=[…], gateway=…, **feed)`: the feed while it runs."""


def instrument_of(name: str) -> dict[str, Any]:
    """A currency pair, the future NQ, or a stock."""
    if len(name) == 6:
        return an_instrument(name)
    if name == "NQ":
        future = {"asset_class": "future", "contract_size": "20", "tick_size": "0.25", "base_currency": ""}
        return an_instrument(name, currency="USD", **future)
    return an_instrument(name, currency="USD", base_currency="", asset_class="stock", tick_size="0.01")


async def moves(tws: TwsSimulator, count: int, first: float = 1.0860, symbol: str = "EURUSD", pause_s: float = 0.01) -> None:
    """The price walks up by a pip each time."""
    for number in range(count):
        tws.quote(symbol, round(first + number * 0.0001, 5), round(first + number * 0.0001 + 0.0001, 5))
        await asyncio.sleep(pause_s)
