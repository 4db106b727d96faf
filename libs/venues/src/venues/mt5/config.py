"""Section `[mt5]` of `barque.toml`, read by the feed and by the sender alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from barque.config import Section, read_secret
from barque.errors import ConfigError

MAGICS = 65_536
"""So many magic numbers from `magic` on are ours: one per strategy."""


class Mt5Config(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the terminal is, which account it is to have, and how the broker names things."""

    transport: Literal["rpyc", "in_process"] = "rpyc"
    """`in_process`: the package MetaTrader5, on Windows; `rpyc`: a bridge (a Wine container, a Windows machine)."""
    host: str = "127.0.0.1"
    """Of the bridge. It runs what it is sent: never one that others can reach."""
    port: int = 18_812
    """Of the bridge."""
    terminal: str = ""
    """Path of terminal64.exe as the terminal's own machine sees it; empty: the one that is installed."""
    login: int = 0
    """Account number; 0: the account that the terminal is logged in to, whichever it is."""
    password_file: Path | None = None
    """Not needed where the terminal is logged in already."""
    server: str = ""
    """The broker's trade server, as the terminal names it."""
    live: bool = False
    """False: only a demo account will do; True: only a real one."""
    account_mode: Literal["hedging", "netting"] = "hedging"
    """What the broker calls the account's margin mode; compared when connecting."""
    server_zone: str = "auto"
    """Of the trade server's clock: `auto`, a time zone, `new_york+7`, or a fixed `UTC+3`."""
    clock_wait_s: float = 2.0
    """At the start so long at most is waited for a price that changes, which shows what the server's clock is ahead of UTC."""
    suffix: str = ""
    """What the broker appends to symbols: `.a` of `USDJPY.a`."""
    symbols: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    """The broker's names where they are not ours with the suffix: `{ GOLD = "XAUUSD" }`."""
    magic: int = 770_000
    """First of the 65,536 magic numbers by which our orders are known."""
    deviation: int = 20
    """Points by which a market order's price may slip where the broker asks for that (instant execution)."""
    filling: Literal["auto", "fok", "ioc", "return"] = "auto"
    """Of market orders; `auto`: what the symbol allows, IOC before FOK."""
    call_timeout_s: float = 10.0
    """Of every other call; one that has not come back ends the session."""
    order_timeout_s: float = 20.0
    """A request that is not answered for so long has an unknown outcome."""
    initialize_timeout_s: float = 60.0
    """A terminal that has to be started first needs its time."""
    poll_s: float = 0.25
    """How often orders, positions and deals are looked at."""
    books_lag_s: float = 5.0
    """So long may the terminal take to show what the trade server has done; a look sooner proves nothing."""
    executions_back_s: int = 30 * 86_400
    """How far back deals are read."""
    ping_s: float = 5.0
    """How often terminal and account are looked at."""
    retries: int = 3
    """How often a request is repeated at most after a requote or without quotes, where nothing was executed."""
    retry_wait_s: float = 0.25
    """Before each repetition."""

    def __post_init__(self) -> None:
        for name in ("call_timeout_s", "order_timeout_s", "initialize_timeout_s", "poll_s", "ping_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"key 'mt5.{name}' is {getattr(self, name)}; it must be positive")
        if self.magic < 1:
            raise ConfigError(f"key 'mt5.magic' is {self.magic}; 0 is what orders placed by hand have, so begin above it")
        if self.login and not self.server and self.password_file is not None:
            raise ConfigError("key 'mt5.server' is required with 'mt5.password_file'; the terminal's title bar shows it")

    def password(self) -> str:
        """From its file; empty where none is configured."""
        return "" if self.password_file is None else read_secret(self.password_file, "mt5.password_file")

    @property
    def where(self) -> str:
        """For people: which terminal."""
        return "the terminal on this machine" if self.transport == "in_process" else f"the bridge {self.host}:{self.port}"
