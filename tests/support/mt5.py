"""A simulated MetaTrader 5 terminal for tests, with a client over either transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

from barque.instruments import Instrument
from simulators.mt5 import Mt5Simulator
from venues.mt5.config import Mt5Config
from venues.mt5.session import Mt5Session, SessionEvent

TRANSPORTS = ("rpyc", "in_process")
D = Decimal


def an_instrument(symbol: str = "EURUSD", **changes: Any) -> Instrument:
    """A currency pair as a broker of this family trades it: steps of a hundredth of a lot."""
    jpy = symbol.endswith("JPY")
    base: dict[str, Any] = {"symbol": symbol, "currency": symbol[3:6], "base_currency": symbol[:3]}
    return Instrument(**(base | {"tick_size": D("0.001") if jpy else D("0.00001"), "quantity_step": D("0.01")} | changes))


def a_config(sim: Mt5Simulator, transport: str = "rpyc", **changes: Any) -> Mt5Config:
    """For the simulator's own account, impatient."""
    base: dict[str, Any] = {"transport": transport, "ping_s": 0.1, "poll_s": 0.02, "retry_wait_s": 0.01, "clock_wait_s": 0.0}
    base |= {"account_mode": "hedging" if sim.account.hedging else "netting", "live": sim.account.live}
    if transport == "rpyc":
        base["port"] = sim.port
    return Mt5Config(**(base | changes))


@contextmanager
def reachable(sim: Mt5Simulator, transport: str) -> Iterator[Mt5Simulator]:
    """Served over RPyC, or importable in this process."""
    if transport == "rpyc":
        with sim:
            yield sim
    else:
        with sim.installed():
            try:
                yield sim
            finally:
                sim.close()


@asynccontextmanager
async def a_session(sim: Mt5Simulator, config: Mt5Config, *symbols: str) -> AsyncIterator[tuple[Mt5Session, list[SessionEvent]]]:
    """Open, with what it has said."""
    said: list[SessionEvent] = []
    instruments = [an_instrument(symbol) for symbol in symbols or ("EURUSD",)]
    session = Mt5Session(config, instruments, said.append, first_wait_s=0.02)
    await session.open()
    try:
        yield session, said
    finally:
        sim.terminal.stop()
        await session.close()


async def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for it, or fail."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > timeout_s:
            raise AssertionError("it has not come true")
        await asyncio.sleep(0.005)
