"""A market that moves by itself: seeded random walks of some listings, for trying things and for long runs.

In:   a simulator, names, a rate.   Out: quotes, and trades of what has an exchange, as time passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from barque.instruments import Instrument
from simulators.market import Market
from simulators.market.chance import seeded
from simulators.tws.listing import Listing
from simulators.tws.server import TwsSimulator

STEP_S = 0.02
TRADES_PER_QUOTE = 0.3


class Walk:
    """Of one simulator. `async with Walk(tws, ["USDJPY"], 5.0): …`"""

    def __init__(self, tws: TwsSimulator, names: Sequence[str], ticks_per_s: float) -> None:
        """Raises `KeyError` for a name that is not listed."""
        self._tws = tws
        listings = {name: tws.catalogue.named(name) for name in names}
        instruments = {name: _instrument(name, listing) for name, listing in listings.items()}
        prices = {name: float(listing.first_price) for name, listing in listings.items()}
        self._market = Market(tws.seed, ticks_per_s, prices, instruments, tws.now_ns())
        self._traded = {name for name, listing in listings.items() if not listing.is_fx}
        self._chance = seeded(tws.seed, "trades")
        self._task: asyncio.Task[None] | None = None
        self.quotes = 0

    async def __aenter__(self) -> Walk:
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def step(self) -> None:
        """Everything up to now."""
        for quote in self._market.advance(self._tws.now_ns()):
            scale = 100_000.0 if quote.symbol not in self._traded else 1.0
            sizes = quote.bid_size * scale, quote.ask_size * scale
            self._tws.quote(quote.symbol, quote.bid, quote.ask, *sizes, time_ns=quote.ts_event_ns)
            self.quotes += 1
            if quote.symbol in self._traded and self._chance.uniform() < TRADES_PER_QUOTE:
                price = quote.ask if self._chance.uniform() < 0.5 else quote.bid
                self._tws.trade(quote.symbol, price, 1 + int(5 * self._chance.uniform()), time_ns=quote.ts_event_ns)

    async def _run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(STEP_S)


def _instrument(name: str, listing: Listing) -> Instrument:
    """Forex is quoted in fifths of the order step, as IDEALPRO does."""
    step = listing.tick / 5 if listing.is_fx else listing.tick
    return Instrument(symbol=name, currency=listing.currency, tick_size=step.normalize() if listing.is_fx else Decimal(step))
