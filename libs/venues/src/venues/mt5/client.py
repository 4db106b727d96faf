"""The package's functions, typed, for one event loop: structs instead of named tuples, errors of ours instead of None.

In:   calls.   Out: structs and structured arrays, all times in the trade server's wall clock.
Not:  keeping a session up (`session`), UTC (`clock`). No call is ever repeated here.

Where a call did not get an answer, the client is `broken` until it is opened anew: who supervises it is told by `on_broken`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from barque.errors import VenueError, VenueOutcomeUnknown, VenueRefused, VenueUnavailable
from venues.mt5.config import Mt5Config
from venues.mt5.structs import (
    AccountInfo,
    CheckResult,
    Deal,
    Order,
    Position,
    Rows,
    SendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    array,
    record,
    records,
)
from venues.mt5.transports import Flattened, Transport
from venues.mt5.worker import Overdue, Worker

COPY_TICKS_ALL, COPY_TICKS_INFO, COPY_TICKS_TRADE = -1, 1, 2
OK, INVALID_PARAMS, NOT_FOUND, AUTH_FAILED = 1, -2, -4, -6
INIT_FAILED, NO_IPC, IPC_TIMEOUT = -10_003, -10_004, -10_005
IPC_ERRORS = range(IPC_TIMEOUT, -9_999)
"""-10000 to -10005: something between the package and the terminal."""
URGENT, NORMAL = 0, 1
Request = dict[str, int | float | str]
T = TypeVar("T")


class Mt5Client:
    """Calls follow one another on a thread of their own; orders go before whatever else waits."""

    def __init__(self, config: Mt5Config, transport: Transport, on_broken: Callable[[str], None] = lambda detail: None) -> None:
        self._config = config
        self._transport = transport
        self._worker = Worker("mt5")
        self._on_broken = on_broken
        self.broken = "not opened"
        """Why nothing can be called; empty: it can."""

    # -- session -----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Reach the package. Raises `VenueUnavailable`, or `ConfigError` where it cannot ever be reached like this."""
        timeout_s = 3 * self._config.call_timeout_s
        try:
            await self._worker.run("connecting", self._transport.open, timeout_s, URGENT)
        except Overdue as error:
            self._transport.abort()
            raise VenueUnavailable(f"{self._config.where}: {error}") from None
        self.broken = ""

    async def close(self, shut_down: bool = False) -> None:
        """Let go; `shut_down`: the package lets go of the terminal too, which all its users in that process feel."""
        if shut_down and not self.broken:
            await self.shut_down()
        self.broken = "closed"
        try:
            await self._worker.run("closing", self._transport.close, 1.0, URGENT)
        except (Overdue, VenueUnavailable):
            self._transport.abort()
        self._worker.stop()

    async def initialize(self) -> None:
        """Connect the package with the terminal and log in as configured. Raises `VenueRefused` or `VenueUnavailable`."""
        config = self._config
        named: dict[str, Any] = {"timeout": int(config.initialize_timeout_s * 1_000)}
        if config.login and config.password_file is not None:
            named |= {"login": config.login, "password": config.password(), "server": config.server}
        args = (config.terminal,) if config.terminal else ()
        result, (code, text) = await self._flattened("initialize", args, named, config.initialize_timeout_s)
        if result[1]:
            return
        if code == AUTH_FAILED:
            raise VenueRefused(
                f"the trade server refuses login {config.login} at '{config.server}' ({text}); compare mt5.login, mt5.server and "
                f"mt5.password_file with what the broker has given you"
            )
        if code == INIT_FAILED:
            where = config.terminal or "where it is usually installed"
            raise VenueRefused(f"there is no terminal at {where} ({text}); mt5.terminal is the path of its terminal64.exe")
        raise VenueUnavailable(f"{config.where} has no terminal that answers: {text} ({code}); start MetaTrader 5 there")

    async def shut_down(self) -> None:
        """The package lets go of the terminal: before it is initialised anew."""
        await self._flattened("shutdown", (), {}, self._config.call_timeout_s)

    async def terminal_info(self) -> TerminalInfo:
        return _some(record(TerminalInfo, await self._call("terminal_info")), "terminal_info")

    async def account_info(self) -> AccountInfo:
        return _some(record(AccountInfo, await self._call("account_info")), "account_info")

    # -- symbols and prices ------------------------------------------------------------------------------------------

    async def symbol_info(self, symbol: str) -> SymbolInfo | None:
        """None: the broker has no such symbol."""
        return record(SymbolInfo, await self._call("symbol_info", symbol))

    async def symbols(self, group: str) -> list[SymbolInfo]:
        """Of the broker's symbols those that `group` matches (`*USD*, !EUR*`)."""
        return records(SymbolInfo, await self._call("symbols_get", group=group))

    async def select(self, symbol: str) -> bool:
        """Put the symbol into the Market Watch: only there it has prices. False: the broker has no such symbol."""
        return bool((await self._call("symbol_select", symbol, True))[1])

    async def tick(self, symbol: str) -> Tick | None:
        """Its newest price; None: it is not in the Market Watch."""
        return record(Tick, await self._call("symbol_info_tick", symbol))

    async def ticks_from(self, symbol: str, wall_s: int, count: int, flags: int = COPY_TICKS_ALL) -> Rows | None:
        """At most `count` ticks from that second of the server's clock on; None: no such symbol."""
        return array(await self._call("copy_ticks_from", symbol, wall_s, count, flags))

    async def ticks_between(self, symbol: str, from_s: int, to_s: int, flags: int = COPY_TICKS_ALL) -> Rows | None:
        """Every tick of a time of the server's clock, ends included; None: no such symbol."""
        return array(await self._call("copy_ticks_range", symbol, from_s, to_s, flags))

    async def rates_between(self, symbol: str, timeframe: int, from_s: int, to_s: int) -> Rows | None:
        """Bars that opened in a time of the server's clock, ends included; None: no such symbol."""
        return array(await self._call("copy_rates_range", symbol, timeframe, from_s, to_s))

    async def last_rates(self, symbol: str, timeframe: int, count: int) -> Rows | None:
        """The newest bars, the open one last; None: no such symbol."""
        return array(await self._call("copy_rates_from_pos", symbol, timeframe, 0, count))

    # -- books -------------------------------------------------------------------------------------------------------

    async def open_orders(self) -> list[Order]:
        return records(Order, await self._call("orders_get"))

    async def positions(self) -> list[Position]:
        return records(Position, await self._call("positions_get"))

    async def past_order(self, ticket: int) -> Order | None:
        """One order of the history."""
        return next(iter(records(Order, await self._call("history_orders_get", ticket=ticket))), None)

    async def deals(self, from_s: int, to_s: int) -> list[Deal]:
        """Deals of a time of the server's clock, oldest first."""
        return records(Deal, await self._call("history_deals_get", from_s, to_s))

    async def deals_count(self, from_s: int, to_s: int) -> int:
        """How many there are of a time of the server's clock; 0 for none."""
        return int((await self._call("history_deals_total", from_s, to_s))[1] or 0)

    async def deals_of_order(self, ticket: int) -> list[Deal]:
        return records(Deal, await self._call("history_deals_get", ticket=ticket))

    # -- trading -----------------------------------------------------------------------------------------------------

    async def check(self, request: Request) -> CheckResult | None:
        """What the server would say to a request; None: the package itself refuses it."""
        flattened, _ = await self._flattened("order_check", (), {}, self._config.call_timeout_s, tuple(request.items()))
        return record(CheckResult, flattened)

    async def send(self, request: Request, may_send: Callable[[], bool] = lambda: True) -> SendResult:
        """Send one request. `VenueUnavailable`: it surely has not left; `VenueRefused`: the package did not take it;
        `VenueOutcomeUnknown`: in every other case without an answer. `may_send` is asked on the thread, at the last moment."""
        try:
            flattened, (code, text) = await self._flattened(
                "order_send", (), {}, self._config.order_timeout_s, tuple(request.items()), URGENT, may_send
            )
        except _Unanswered as error:
            raise VenueOutcomeUnknown(f"nobody knows whether the trade server has the request: {error}") from None
        result = record(SendResult, flattened)
        if result is not None:
            return result
        if code == INVALID_PARAMS:
            raise VenueRefused(f"the package does not take the request: {text}")
        self._break(f"order_send: {text} ({code})")
        raise VenueOutcomeUnknown(f"the terminal gave no answer to a request: {text} ({code})")

    # -- how calls go ------------------------------------------------------------------------------------------------

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            flattened, (code, text) = await self._flattened(name, args, kwargs, self._config.call_timeout_s)
        except _Unanswered as error:
            raise VenueUnavailable(str(error)) from None
        if flattened in (("value", None), ("value", False)) and code not in (OK, NOT_FOUND):
            if code in IPC_ERRORS:
                self._break(f"{name}: {text} ({code})")
            raise VenueUnavailable(f"the terminal gave no answer to {name}: {text} ({code})")
        return flattened

    async def _flattened(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout_s: float,
        request: tuple[Any, ...] = (),
        rank: int = NORMAL,
        may_begin: Callable[[], bool] | None = None,
    ) -> Flattened:
        if self.broken:
            raise VenueUnavailable(f"{name}: not sent; {self.broken}")

        def work() -> Flattened:
            if self.broken:
                raise VenueUnavailable(f"{name}: not sent; {self.broken}")
            if may_begin is not None and not may_begin():
                raise VenueUnavailable(f"{name}: not sent; this process may not send any more")
            try:
                return self._transport.call(name, args, tuple(kwargs.items()), request, timeout_s)
            except VenueError:
                raise
            except Exception as error:
                raise _Unanswered(f"{name}: {_said(error)}") from error

        try:
            return await self._worker.run(name, work, timeout_s, rank)
        except Overdue as error:
            self._transport.abort()
            self._break(str(error))
            raise _Unanswered(str(error)) from None
        except _Unanswered as error:
            self._break(str(error))
            raise

    def _break(self, detail: str) -> None:
        if not self.broken:
            self.broken = detail
            self._on_broken(detail)


class _Unanswered(VenueUnavailable):
    """The call had begun and brought no answer."""


def _some(found: T | None, name: str) -> T:
    if found is None:
        raise VenueUnavailable(f"the terminal has no {name}: it is not logged in to an account")
    return found


def _said(error: Exception) -> str:
    """RPyC carries whole tracebacks in its errors; the first line is enough."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
