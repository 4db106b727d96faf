"""Keeps a terminal usable: connects, logs in, checks whose account it is, looks after it, and begins anew when it is lost.

In:   configuration.   Out: a client that works, and what changes, as it changes.
Not:  orders, prices. What was under way when a session ended is its users' affair.

Attempts are 1, 2, 4 … 60 seconds apart. After ten that failed it is in safe mode: it says so, and goes on trying once a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from random import uniform
from typing import TypeAlias

import msgspec

from barque.errors import BarqueError, ConfigError, VenueError, VenueUnavailable
from barque.instruments import Instrument
from venues.mt5 import symbols
from venues.mt5.client import Mt5Client
from venues.mt5.clock import ServerClock
from venues.mt5.config import Mt5Config
from venues.mt5.structs import AccountInfo, TerminalInfo
from venues.mt5.transports import Transport, open_transport

DEMO, REAL = 0, 2
HEDGING = 2
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
SAFE_MODE_AFTER = 10
FIRST_LOOK_S = 0.25
FRESH_NS = 15_000_000_000
"""A tick that was not there when last looked, so long ago at most, is fresh."""


class SessionUp(msgspec.Struct, frozen=True, kw_only=True):
    """The terminal works, on the account that it should. `number` counts the sessions of this process from 1."""

    number: int
    account: AccountInfo


class SessionLost(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing can be asked or sent; attempts follow."""

    detail: str
    refused: bool = False
    """It could be had, and is not what is configured, or does not take our login: a person has to change that."""


class SafeMode(msgspec.Struct, frozen=True, kw_only=True):
    """So many attempts have failed: a person should look. Attempts go on, once a minute."""

    attempts: int
    detail: str


class TradingOff(msgspec.Struct, frozen=True, kw_only=True):
    """Prices come, orders would be refused."""

    detail: str


class TradingOn(msgspec.Struct, frozen=True, kw_only=True):
    """Orders are taken again."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something for a person that changes nothing by itself."""

    detail: str


SessionEvent: TypeAlias = SessionUp | SessionLost | SafeMode | TradingOff | TradingOn | Notice


class Mt5Session:
    """`await open()` once, then `client` while `up`. `on_event` is called from the event loop."""

    def __init__(
        self,
        config: Mt5Config,
        instruments: Sequence[Instrument],
        on_event: Callable[[SessionEvent], None],
        transport: Transport | None = None,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self.config = config
        self.clock = ServerClock(config.server_zone)
        self.symbols: dict[str, symbols.Symbol] = {}
        """By our names; filled when the session is up."""
        self.client = Mt5Client(config, transport or open_transport(config), self._broken)
        self.number = 0
        self.up = False
        self.trading = ""
        """Why orders would be refused; empty: they are taken."""
        self.attempts = 0
        """That have failed since the session was up."""
        self._instruments = tuple(instruments)
        self._on_event = on_event
        self._first_wait_s = first_wait_s
        self._last_ticks: dict[str, tuple[int, int]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> AccountInfo:
        """The first session. Raises `ConfigError`, `VenueRefused` or `VenueUnavailable`, and then nothing is left open."""
        try:
            account = await self._begin()
        except BarqueError:
            await self.client.close()
            raise
        self._task = asyncio.create_task(self._look_after(), name="mt5-session")
        self._task.add_done_callback(self._unattended)
        return account

    async def close(self) -> None:
        """End it. The package is shut down only where the process is ours alone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.up = False
        await self.client.close(shut_down=self.config.transport == "in_process")

    # -- one session -------------------------------------------------------------------------------------------------

    async def _begin(self) -> AccountInfo:
        """Reach the terminal, and be sure that it is the right one."""
        await self.client.open()
        await self.client.initialize()
        account = await self.client.account_info()
        terminal = await self.client.terminal_info()
        check_account(self.config, account)
        if not terminal.connected:
            raise VenueUnavailable(
                "the terminal has no connection with the trade server; its status bar, at the right, shows why"
            )
        self.symbols = await symbols.resolve(self.client, self.config, self._instruments)
        notice = await self._read_clock() if self.number else await self._first_clock()
        if notice and not self.number and not self.clock.automatic:
            raise ConfigError(notice)
        self.number += 1
        self.up, self.attempts = True, 0
        self._on_event(SessionUp(number=self.number, account=account))
        if notice:
            self._on_event(Notice(detail=notice))
        self._follow_trading(terminal, account)
        return account

    async def _first_clock(self) -> str:
        """Wait a little for a price that changes; where the market is closed none does, and the usual zone is taken."""
        until = time.monotonic() + self.config.clock_wait_s
        while True:
            notice = await self._read_clock()
            if notice or self.clock.confirmed or time.monotonic() >= until:
                return notice
            await asyncio.sleep(FIRST_LOOK_S)

    async def _read_clock(self) -> str:
        """Compare the server's clock with ours by the first symbol whose price has just changed."""
        for symbol in self.symbols.values():
            tick = await self.client.tick(symbol.venue_symbol)
            now_ns = time.time_ns()
            if tick is None or not tick.time_msc:
                continue
            before_msc, looked_ns = self._last_ticks.get(symbol.venue_symbol, (0, 0))
            self._last_ticks[symbol.venue_symbol] = (tick.time_msc, now_ns)
            if looked_ns and tick.time_msc > before_msc and now_ns - looked_ns < FRESH_NS:
                return self.clock.observe(tick.time_msc, now_ns)
        return ""

    def _follow_trading(self, terminal: TerminalInfo, account: AccountInfo) -> None:
        before, self.trading = self.trading, why_no_trading(terminal, account)
        if self.trading and self.trading != before:
            self._on_event(TradingOff(detail=self.trading))
        elif before and not self.trading:
            self._on_event(TradingOn())

    def trading_refused(self, why: str) -> None:
        """An order was refused because trading is off; whether it still is, is seen when the terminal is next looked at."""
        if not self.trading:
            self.trading = why
            self._on_event(TradingOff(detail=why))

    # -- supervision -------------------------------------------------------------------------------------------------

    def _broken(self, detail: str, refused: bool = False) -> None:
        """The client has got no answer, or one that must not be."""
        if self.up:
            self.up = False
            self._on_event(SessionLost(detail=detail, refused=refused))
        self._wake.set()

    def _unattended(self, task: asyncio.Task[None]) -> None:
        """Supervision has ended, which it never should: nothing more may be sent."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(f"looking after the terminal has failed: {error!r}")

    async def _look_after(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.config.ping_s):
                    await self._wake.wait()
            except TimeoutError:
                await self._ping()
            self._wake.clear()
            if not self.up:
                await self._regain()

    async def _ping(self) -> None:
        try:
            terminal, account = await self.client.terminal_info(), await self.client.account_info()
            check_account(self.config, account)
            if not terminal.connected:
                raise VenueUnavailable("the terminal has lost the trade server")
            notice = await self._read_clock()
            if notice:
                self._on_event(Notice(detail=notice))
            self._follow_trading(terminal, account)
        except BarqueError as error:
            self._broken(str(error), refused=error.disposition != "retry")

    async def _regain(self) -> None:
        """Until it works. What would stop the service at its start is said here, and tried again: a person is at the terminal."""
        wait_s = self._first_wait_s
        while True:
            await asyncio.sleep(wait_s * uniform(0.8, 1.2))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                await self._let_go()
                await self._begin()
                return
            except (VenueError, ConfigError) as error:
                self.attempts += 1
                if error.disposition != "retry":
                    self._on_event(SessionLost(detail=str(error), refused=True))
                if self.attempts == SAFE_MODE_AFTER:
                    self._on_event(SafeMode(attempts=self.attempts, detail=str(error)))

    async def _let_go(self) -> None:
        """The package has to let go of a terminal that it has lost before it can have it again."""
        try:
            await self.client.open()
            await self.client.shut_down()
        except VenueUnavailable:
            if self.client.broken:
                raise


def check_account(config: Mt5Config, account: AccountInfo) -> None:
    """It is the account of the configuration, demo or real as that says. Raises `ConfigError`; then nothing is sent."""
    if config.login and account.login != config.login:
        raise ConfigError(
            f"key 'mt5.login' is {config.login}, and the terminal is logged in to {account.login}; log in there anew"
        )
    if config.server and account.server != config.server:
        raise ConfigError(f"key 'mt5.server' is '{config.server}', and the terminal is logged in at '{account.server}'")
    is_live = account.trade_mode == REAL
    if is_live and not config.live:
        raise ConfigError(
            f"account {account.login} at {account.server} is a REAL account, and mt5.live is false: nothing is sent. "
            f"Log in to a demo account, or set live = true"
        )
    if config.live and not is_live:
        raise ConfigError(f"key 'mt5.live' is true, and account {account.login} at {account.server} is a demo account")
    mode = "hedging" if account.margin_mode == HEDGING else "netting"
    if mode != config.account_mode:
        raise ConfigError(f"key 'mt5.account_mode' is {config.account_mode}, and account {account.login} is a {mode} account")


def why_no_trading(terminal: TerminalInfo, account: AccountInfo) -> str:
    """What a person has to do before orders are taken; empty: nothing."""
    if not terminal.trade_allowed:
        return "AutoTrading is off; press the button 'Algo Trading' in the terminal's tool bar"
    if terminal.tradeapi_disabled:
        return (
            "the terminal forbids trading through Python; Tools, Options, Expert Advisors, 'Disable automatic trading via Python'"
        )
    if not account.trade_allowed:
        return "the account may not trade: it was logged in with the investor's password, or the broker has disabled it"
    if not account.trade_expert:
        return "the broker does not let programs trade on this account; ask it"
    return ""


def unavailable(session: Mt5Session) -> VenueUnavailable:
    """What to raise where the session is not up."""
    return VenueUnavailable(f"{session.config.where}: no session; {session.client.broken or 'it is being looked at'}")
