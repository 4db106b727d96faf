"""A simulated MetaTrader 5 terminal for tests, with a client over either transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any, TypeVar

from barque.instruments import Instrument
from barque.messages import SubmitOrder
from barque.venue import Executed, VenueEvent
from simulators.mt5 import Mt5Simulator
from tests.support.builders import an_order
from venues.mt5.adapter import Mt5Venue
from venues.mt5.config import Mt5Config
from venues.mt5.session import Mt5Session, SessionEvent

TRANSPORTS = ("rpyc", "in_process")
T = TypeVar("T")
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


class Desk:
    """An adapter at the simulator, with what it has said."""

    def __init__(self, sim: Mt5Simulator, config: Mt5Config, *symbols: str) -> None:
        self.sim = sim
        self.venue = Mt5Venue(config, [an_instrument(symbol) for symbol in symbols or ("EURUSD",)], str(sim.account.login))
        self.said: list[VenueEvent] = []
        self.may_send = True
        self._number = 0

    async def __aenter__(self) -> Desk:
        await self.venue.connect(self.said.append, lambda: self.may_send)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sim.terminal.stop()
        await self.venue.close()

    def number(self) -> int:
        """Of the next token."""
        self._number += 1
        return self._number

    def an_order(self, **terms: Any) -> tuple[SubmitOrder, str]:
        """To buy 0.1 contracts at market, or what `terms` say, with its token."""
        number = self.number()
        base: dict[str, Any] = {"order_id": f"{number:020x}", "symbol": "EURUSD", "side": "buy", "quantity": D("0.1")}
        order = an_order(**(base | terms))
        return order, self.venue.token(order.order_id, number, order.parent_id or "")

    async def submit(self, **terms: Any) -> SubmitOrder:
        """One order, sent."""
        order, token = self.an_order(**terms)
        await self.venue.submit([(order, token)])
        return order

    async def bracket(self, take_profit: str, stop_loss: str, **terms: Any) -> tuple[SubmitOrder, SubmitOrder, SubmitOrder]:
        """An entry with both exits, sent."""
        entry = self.an_order(**terms)
        side = "sell" if entry[0].side == "buy" else "buy"
        leg: dict[str, Any] = {"side": side, "quantity": entry[0].quantity, "parent_id": entry[0].order_id, "closes": True}
        profit = self.an_order(order_type="limit", limit_price=D(take_profit), **leg)
        stop = self.an_order(order_type="stop", stop_price=D(stop_loss), **leg)
        await self.venue.submit([entry, profit, stop])
        return entry[0], profit[0], stop[0]

    def of(self, kind: type[T], order: SubmitOrder | None = None) -> list[T]:
        """Events of a kind, of one order if given."""
        return [e for e in self.said if isinstance(e, kind) and (order is None or _about(e) == order.order_id)]

    def words(self, order: SubmitOrder) -> list[str]:
        """What was said of an order, by name."""
        return [type(event).__name__ for event in self.said if _about(event) == order.order_id]

    async def hears(self, kind: type[T], order: SubmitOrder | None = None, count: int = 1) -> T:
        """Wait for so many of them; the last one."""
        await until(lambda: len(self.of(kind, order)) >= count)
        return self.of(kind, order)[-1]


def _about(event: VenueEvent) -> str:
    return event.execution.order_id if isinstance(event, Executed) else getattr(event, "order_id", "")
