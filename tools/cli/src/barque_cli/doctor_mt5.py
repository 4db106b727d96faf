"""`barque doctor mt5`: one thing after the other that has to be right at a MetaTrader 5 terminal. Nothing is sent.

In:   the configuration file.   Out: findings, each with what to do; after the first that stops everything, no more.
Not:  repairing anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barque.config import CommonConfig, load_section
from barque.errors import BarqueError, ConfigError
from barque_cli.checks import Finding
from venues.mt5 import symbols
from venues.mt5.client import Mt5Client
from venues.mt5.clock import ServerClock, words
from venues.mt5.config import Mt5Config
from venues.mt5.session import REAL, check_account, why_no_trading
from venues.mt5.transports import open_transport

CLOCK_WAIT_S = 5.0


@dataclass(frozen=True)
class Look:
    """What every step needs."""

    client: Mt5Client
    config: Mt5Config
    common: CommonConfig
    clock: ServerClock


async def probe(raw: Mapping[str, Any], common: CommonConfig) -> list[Finding]:
    """All findings."""
    try:
        config = load_section(raw, "mt5", Mt5Config)
        config.password()
        look = Look(Mt5Client(config, open_transport(config)), config, common, ServerClock(config.server_zone))
    except BarqueError as error:
        return [Finding("configuration", False, str(error))]
    found = [Finding("configuration", True, f"[mt5]: {config.transport}, {config.where}")]
    for name, step in STEPS.items():
        try:
            found += await step(look)
        except BarqueError as error:
            found.append(Finding(name, False, str(error)))
            break
    await look.client.close(shut_down=config.transport == "in_process")
    return found


async def _bridge(look: Look) -> list[Finding]:
    await look.client.open()
    return [Finding("bridge", True, f"{look.config.where} answers and has the package MetaTrader5")]


async def _terminal(look: Look) -> list[Finding]:
    await look.client.initialize()
    terminal = await look.client.terminal_info()
    text = f"{terminal.name} build {terminal.build} of {terminal.company}"
    if not terminal.connected:
        return [Finding("terminal", False, f"{text} has no trade server; its status bar, at the right, shows why")]
    return [Finding("terminal", True, f"{text}, {terminal.ping_last / 1_000:.0f} ms to the trade server")]


async def _account(look: Look) -> list[Finding]:
    account = await look.client.account_info()
    check_account(look.config, account)
    kind = "REAL" if account.trade_mode == REAL else "demo"
    money = f"{account.balance:.2f} {account.currency}"
    return [Finding("account", True, f"{account.login} at {account.server}, {kind}, {look.config.account_mode}, {money}")]


async def _trading(look: Look) -> list[Finding]:
    why = why_no_trading(await look.client.terminal_info(), await look.client.account_info())
    return [Finding("trading", not why, why or "orders of programs are taken")]


async def _symbols(look: Look) -> list[Finding]:
    found = []
    for instrument in look.common.instruments:
        if instrument.inverts:
            continue
        try:
            known = (await symbols.resolve(look.client, look.config, [instrument]))[instrument.symbol]
        except ConfigError as error:
            found.append(Finding(instrument.symbol, False, str(error)))
            continue
        tick = await look.client.tick(known.venue_symbol)
        price = f"{tick.bid} / {tick.ask}" if tick is not None and tick.time_msc else "no price yet"
        lots = f"{known.volume_min} to {known.volume_max} lots in steps of {known.volume_step}"
        text = f"{known.venue_symbol}: {price}; {lots}; stops {known.stops_level} points from the price"
        found.append(Finding(instrument.symbol, True, text))
    return found


async def _clock(look: Look) -> list[Finding]:
    """Wait a little for a price that changes."""
    clock = look.clock
    names = [symbols.venue_symbol(look.config, each.symbol) for each in look.common.instruments if not each.inverts]
    seen: dict[str, int] = {}
    until = time.monotonic() + CLOCK_WAIT_S
    while time.monotonic() < until:
        for name in names:
            tick = await look.client.tick(name)
            if tick is not None and tick.time_msc > seen.get(name, tick.time_msc):
                now_ns = time.time_ns()
                notice = clock.observe(tick.time_msc, now_ns)
                text = notice or f"{clock.zone}, now {words(clock.offset_ms(now_ns))}"
                return [Finding("clock", clock.confirmed, text)]
            if tick is not None:
                seen[name] = tick.time_msc
        await asyncio.sleep(0.1)
    text = f"{clock.zone} is assumed: no price has changed for {CLOCK_WAIT_S:g} s, the market may be closed"
    return [Finding("clock", True, text)]


STEPS = {
    "bridge": _bridge,
    "terminal": _terminal,
    "account": _account,
    "trading": _trading,
    "symbols": _symbols,
    "clock": _clock,
}
