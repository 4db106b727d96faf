"""What the contract suites need of a broker's simulator, whatever its protocol: prices, faults on the wire, and its own books.

A broker in these suites has one account and one symbol of ours. Its books are the oracle: nothing in them comes from code under
test. `BROKERS` lists every simulator that there is; a new venue adds its own and runs the same suites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from barque.config import convert
from barque.instruments import Instrument
from barque.messages.signals import Side
from barque_paper import PaperConfig
from simulators.broker.server import SimulatedBroker

Fault = Literal["ignore", "silent", "cut_before", "cut_after"]
"""Of the next request of a kind: it never arrives, and the session lives on; it is done and nothing is said; the session ends
before it arrives; it is done and the session ends before anything is said."""
Verb = Literal["submit", "cancel", "modify"]


@dataclass(frozen=True)
class BookedExecution:
    """An execution that counts in the broker's books."""

    token: str
    """Our order's id, or what else the books show for it; empty: not ours."""
    quantity: Decimal
    """Signed contracts."""
    price: Decimal


class Broker(Protocol):
    """A simulator under test's control. All methods but `start` and `stop` are called in the event loop that called `start`."""

    venue: str
    """Entry point of `barque.venues`."""
    account: str
    instrument: Instrument
    quiet_s: float
    """Shortest `sender.quiet_s` that its adapter bears."""
    corrects: bool
    """Its protocol has corrections and busts."""
    native_brackets: bool
    """It holds a bracket's exits and links them."""
    resizes: bool
    """A change of quantity is one request to it."""

    async def start(self, folder: Path) -> dict[str, Any]:
        """Begin; the sections that its adapter needs (`{"simulated": {"port": …}}`). Prices are bid 1.30000, ask 1.30010."""
        ...

    async def stop(self) -> None:
        """End for good."""
        ...

    def quote(self, bid: float, ask: float, size: float = 0.0) -> None:
        """Prices move; orders that they reach trade, `size` contracts at most (0: all)."""
        ...

    def fail(self, verb: Verb, *faults: Fault) -> None:
        """What happens to the next requests of a kind, one each."""
        ...

    def drop(self) -> None:
        """The session ends without a word; the adapter may come back at once."""
        ...

    def closed(self, yes: bool) -> None:
        """While closed nobody gets a session; those that are there end."""
        ...

    def twice(self, yes: bool) -> None:
        """From now on everything is reported twice."""
        ...

    def correct(self, quantity: Decimal, price: Decimal) -> None:
        """The newest execution is replaced by this one; quantity 0 busts it."""
        ...

    def trade_by_hand(self, side: Side, quantity: Decimal) -> None:
        """Somebody trades on the account by other means, at market."""
        ...

    def submissions(self) -> Mapping[str, int]:
        """How often each of our order ids arrived in a new order."""
        ...

    def open_ids(self) -> set[str]:
        """Our order ids of the orders that may trade."""
        ...

    def executions(self) -> list[BookedExecution]:
        """What counts, oldest first."""
        ...

    def position(self) -> Decimal:
        """Signed contracts of the symbol."""
        ...


class Simulated:
    """The simulated broker; `brackets` False: the sender keeps brackets and OCO groups."""

    venue = "simulated"
    account = "SIM1"
    quiet_s = 0.5
    corrects = True
    resizes = True

    def __init__(self, brackets: bool = True) -> None:
        self.instrument = convert(
            {"symbol": "EURUSD", "currency": "USD", "base_currency": "EUR", "tick_size": "0.00001", "calendar": "24/7"},
            Instrument,
            "",
        )
        self.native_brackets = brackets
        paper = {"account": self.account, "slippage_fraction": "0", "commission_fraction": "0", "commission_min": "2"}
        money = {"currency": "USD", "starting_cash": "100000", "max_volume_fraction": "1"}
        symbols = [{"symbol": "EURUSD", "volume_per_contract": "1"}]
        self.broker = SimulatedBroker(convert({**paper, **money, "symbols": symbols}, PaperConfig, "paper"), [self.instrument])

    async def start(self, folder: Path) -> dict[str, Any]:
        port = await self.broker.start()
        self.quote(1.3, 1.3001)
        return {"simulated": {"port": port, "brackets": self.native_brackets, "reconnect_s_max": 0.2, "timeout_s": 2.0}}

    async def stop(self) -> None:
        await self.broker.stop()

    def quote(self, bid: float, ask: float, size: float = 0.0) -> None:
        self.broker.quote("EURUSD", bid, ask, size or 1e9)

    def fail(self, verb: Verb, *faults: Fault) -> None:
        self.broker.fail(verb, *faults)

    def drop(self) -> None:
        self.broker.drop()

    def closed(self, yes: bool) -> None:
        self.broker.faults.closed = yes
        if yes:
            self.broker.drop()

    def twice(self, yes: bool) -> None:
        self.broker.faults.twice = yes

    def correct(self, quantity: Decimal, price: Decimal) -> None:
        self.broker.correct(self.broker.books.executions[-1].exec_id, quantity, price)

    def trade_by_hand(self, side: Side, quantity: Decimal) -> None:
        self.broker.trade_by_hand("EURUSD", side, quantity, Decimal("1.30010" if side == "buy" else "1.30000"))

    def submissions(self) -> Mapping[str, int]:
        return self.broker.books.submissions

    def open_ids(self) -> set[str]:
        return {order.order_id for order in self.broker.books.open_orders() if order.order_id}

    def executions(self) -> list[BookedExecution]:
        return [
            BookedExecution(each.order_id, each.quantity if each.side == "buy" else -each.quantity, each.price)
            for each in self.broker.books.standing()
        ]

    def position(self) -> Decimal:
        return sum((each.quantity for each in self.broker.books.positions()), Decimal(0))


def _mt5(transport: str, hedging: bool) -> Callable[[], Broker]:
    def begin() -> Broker:
        from tests.support.mt5_broker import Mt5  # it imports this module

        return Mt5(transport, hedging)

    return begin


def _tws() -> Broker:
    from tests.support.ibkr_broker import Tws  # it imports this module

    return Tws()


BROKERS: dict[str, Callable[[], Broker]] = {
    "ibkr": _tws,
    "simulated": Simulated,
    "simulated-without-brackets": lambda: Simulated(brackets=False),
    "mt5-hedging-rpyc": _mt5("rpyc", hedging=True),
    "mt5-netting-rpyc": _mt5("rpyc", hedging=False),
    "mt5-hedging-in-process": _mt5("in_process", hedging=True),
    "mt5-netting-in-process": _mt5("in_process", hedging=False),
}
SLOW = frozenset({"mt5-netting-rpyc", "mt5-hedging-in-process", "mt5-netting-in-process"})
"""Left out of `make test`, where the adapter's own tests run with each of them."""
