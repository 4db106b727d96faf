"""A terminal, its trade server and its bridge, with what a test needs to play broker.

In:   quotes, faults, switches.   Out: a module to import, a port to connect to, the books.
Not:  chance (`walk`). Time is the caller's where it gives a clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from simulators.mt5.book import Book
from simulators.mt5.bridge import Bridge
from simulators.mt5.dealing import Account, TradeServer
from simulators.mt5.faults import Fault, Faults
from simulators.mt5.module import as_module, installed
from simulators.mt5.specs import SymbolSpec, forex
from simulators.mt5.terminal import Terminal
from simulators.mt5.zone import ServerZone


class Mt5Simulator:
    """`with Mt5Simulator([...]) as sim`: serves RPyC at `sim.port`; `sim.module` is the stand-in for the package."""

    def __init__(
        self,
        symbols: Sequence[SymbolSpec | str] = ("EURUSD", "USDJPY"),
        *,
        balance: float = 100_000.0,
        zone: str = "Europe/Athens",
        now_ns: Callable[[], int] = time.time_ns,
        port: int = 0,
        **account: Any,
    ) -> None:
        """`account`: fields of `dealing.Account` (`hedging`, `live`, `currency`, `login` …)."""
        self.account = Account(**account)
        specs = [each if isinstance(each, SymbolSpec) else forex(each) for each in symbols]
        self.book = Book(hedging=self.account.hedging, balance=balance)
        self.server = TradeServer(self.account, {spec.name: spec for spec in specs}, ServerZone(zone), now_ns, self.book)
        self.faults = Faults()
        self.terminal = Terminal(self.server, self.faults)
        self.module: ModuleType = as_module(self.terminal)
        self._bridge: Bridge | None = None
        self._port = port
        self.terminal.on_cut = self.cut

    # -- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Mt5Simulator:
        self.serve()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Of the bridge, once it serves."""
        if self._bridge is None:
            raise RuntimeError("the bridge is not served; call serve()")
        return self._bridge.port

    def serve(self) -> None:
        """Open the bridge; at the port that it had, where it had one."""
        if self._bridge is None:
            self._bridge = Bridge(self.module, self._port)
            self._port = self._bridge.port
            self._bridge.start()

    def stop_serving(self) -> None:
        """Nobody listens at the port any more, as when the bridge's container is down."""
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None

    def close(self) -> None:
        """Let calls that hang come back, and end the bridge."""
        self.terminal.stop()
        self.stop_serving()

    def installed(self) -> AbstractContextManager[ModuleType]:
        """`import MetaTrader5` gives this simulator's module meanwhile."""
        return installed(self.module)

    # -- the market --------------------------------------------------------------------------------------------------

    def quote(self, symbol: str, bid: float, ask: float, at_ns: int | None = None) -> None:
        """A new price, and what it sets off. `at_ns`: when, UTC; now, if not given."""
        with self.terminal.state:
            self.server.quote(symbol, bid, ask, at_ns)

    def load(self, symbol: str, times_ns: npt.NDArray[np.int64], bids: Iterable[float], asks: Iterable[float]) -> None:
        """A past of quotes, oldest first, UTC."""
        with self.terminal.state:
            self.server.load(symbol, times_ns, bids, asks)

    def close_market(self, symbol: str, closed: bool = True) -> None:
        """No trades in it, or again."""
        (self.server.closed.add if closed else self.server.closed.discard)(symbol)

    def charge_swap(self, ticket: int, amount: float) -> None:
        """A night's interest on a position; negative: it costs."""
        with self.terminal.state:
            position = self.book.positions[ticket]
            position.swap = round(position.swap + amount, 2)

    def stop_out(self, ticket: int) -> None:
        """The server closes a position by itself, for want of margin."""
        with self.terminal.state:
            self.server.stop_out(self.book.positions[ticket])

    def deposit(self, amount: float, comment: str = "") -> None:
        """Money from outside, or back to it where negative."""
        with self.terminal.state:
            self.book.move_balance(amount, self.server.now_ms, comment)

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def fault(self, when: Any = "before", what: Any = "ipc", **more: Any) -> Fault:
        """Something to go wrong; see `Fault`."""
        fault = Fault(when, what, **more)
        self.faults.add(fault)
        return fault

    def lose_ipc(self) -> None:
        """The package has no terminal until it is initialised anew."""
        self.terminal.lose_ipc()

    def cut(self) -> None:
        """Break the bridge's connections."""
        if self._bridge is not None:
            self._bridge.cut()

    @property
    def auto_trading(self) -> bool:
        """The button of the terminal."""
        return self.terminal.trade_allowed

    @auto_trading.setter
    def auto_trading(self, on: bool) -> None:
        self.terminal.trade_allowed = on
