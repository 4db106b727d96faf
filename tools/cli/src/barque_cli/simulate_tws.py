"""`barque simulate tws`: the TWS simulator with a market that moves, until it is interrupted.

In:   options.   Out: a server on loopback; how to connect to it; at the end, what was done.
Not:  the simulator (`simulators.tws`).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import msgspec

from barque.errors import ConfigError, nearest
from simulators.tws import TwsSimulator
from simulators.tws.walk import Walk


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The options."""

    port: int
    names: tuple[str, ...]
    accounts: tuple[str, ...]
    cash: int
    delayed: bool
    read_only: bool
    seed: int
    ticks_per_s: float


async def serve(wanted: Wanted, say: Callable[[str], None]) -> None:
    """Until cancelled. Raises `ConfigError` for a symbol that is not listed and a port that is taken."""
    tws = TwsSimulator(accounts=wanted.accounts, cash=wanted.cash, seed=wanted.seed, port=wanted.port, strict=False)
    tws.read_only = wanted.read_only
    tws.quotes.entitle("*", "delayed" if wanted.delayed else "live")
    try:
        walk = Walk(tws, wanted.names, wanted.ticks_per_s)
    except KeyError as unknown:
        name = next(name for name in wanted.names if name in str(unknown))
        known = [listing.name for listing in tws.catalogue if listing.sec_type != "OPT"] + list(tws.catalogue.fronts)
        raise ConfigError(f"option --symbols: '{name}' is not listed; {nearest(name, sorted(known))}") from None
    except ValueError as wrong:
        raise ConfigError(f"option --ticks-per-s: {wrong}") from None
    try:
        await tws.listen()
    except OSError as taken:
        if taken.errno != errno.EADDRINUSE:
            raise
        raise ConfigError(f"option --port: {wanted.port} is in use; choose another, or 0 for any") from None
    async with tws, walk:
        say(
            f"TWS simulator, accounts {', '.join(wanted.accounts)}, on 127.0.0.1:{tws.port}. With ib_async:\n\n"
            f"    ib.connect('127.0.0.1', {tws.port}, clientId=1)\n\n"
            f"Moving: {', '.join(wanted.names)}. Stop with Ctrl-C."
        )
        try:
            await asyncio.Event().wait()
        finally:
            book = tws.book
            say(f"orders: {len(book.orders)}, executions: {len(book.executions)}")
            for account in book.accounts.values():
                say(f"{account.name}: net liquidation {account.net_liquidation():.2f} {account.currency}")
