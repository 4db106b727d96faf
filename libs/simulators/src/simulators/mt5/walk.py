"""A terminal whose market moves: the seeded market's quotes, as time goes on.

In:   a simulator, a seed.   Out: its quotes, in real time.
Not:  a claim about real markets (`simulators.market`).
"""

from __future__ import annotations

import threading
import time
from decimal import Decimal

from barque.instruments import Instrument
from simulators.market import Market
from simulators.mt5.simulator import Mt5Simulator

STEP_S = 0.02
FIRST_PRICES = {"EURUSD": 1.085, "GBPUSD": 1.27, "USDJPY": 150.0, "AUDUSD": 0.655, "USDCHF": 0.88, "EURJPY": 162.8}


class Walk:
    """Moves every symbol of the simulator until it is stopped."""

    def __init__(self, simulator: Mt5Simulator, seed: int = 7, ticks_per_s: float = 2.0) -> None:
        self._simulator = simulator
        specs = simulator.server.specs
        instruments = {
            name: Instrument(symbol=name, currency=spec.currency_profit, tick_size=Decimal(1).scaleb(-spec.digits))
            for name, spec in specs.items()
        }
        prices = {name: FIRST_PRICES.get(name[:6], 100.0 if spec.digits <= 3 else 1.0) for name, spec in specs.items()}
        self._market = Market(seed, ticks_per_s, prices, instruments, time.time_ns())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mt5-walk", daemon=True)
        for name, price in prices.items():
            simulator.quote(name, price, price + 10 * specs[name].point)

    def start(self) -> None:
        """Begin to move."""
        self._thread.start()

    def stop(self) -> None:
        """Stand still, for good."""
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.wait(STEP_S):
            for quote in self._market.advance(time.time_ns()):
                self._simulator.quote(quote.symbol, quote.bid, quote.ask, quote.ts_event_ns)
