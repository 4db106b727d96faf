"""`barque simulate`: a broker on this machine to connect to, with a market that moves; no real money, no real broker.

In:   options as typed.   Out: a server on loopback until it is interrupted, and how to connect to it.
Not:  the simulators themselves (`simulators`), which are imported when they are asked for.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="A broker on this machine to try things with.", no_args_is_help=True)
console = Console(stderr=True, highlight=False)

SymbolsOption = Annotated[str, typer.Option("--symbols", help="Comma-separated, as the broker names them.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the market's random walk.")]
RateOption = Annotated[float, typer.Option("--ticks-per-s", help="Quotes of each symbol in a second, on average.")]


@app.command()
def mt5(
    port: Annotated[int, typer.Option(help="Of the bridge (RPyC classic), on loopback; 0: any free one.")] = 18812,
    symbols: SymbolsOption = "EURUSD,GBPUSD,USDJPY",
    netting: Annotated[bool, typer.Option("--netting", help="A netting account; a hedging account, if not given.")] = False,
    balance: Annotated[float, typer.Option(help="Of the account, in USD.")] = 100_000.0,
    zone: Annotated[str, typer.Option(help="Of the server's clock: an IANA name, or new_york+7.")] = "Europe/Athens",
    seed: SeedOption = 7,
    ticks_per_s: RateOption = 2.0,
) -> None:
    """A MetaTrader 5 terminal behind an RPyC bridge, as a Wine container serves it."""
    import sys

    from simulators.mt5 import Mt5Simulator
    from simulators.mt5.module import NAME
    from simulators.mt5.walk import Walk

    names = _listed(symbols)
    simulator = Mt5Simulator(names, balance=balance, zone=zone, port=port, hedging=not netting)
    sys.modules[NAME] = simulator.module  # clients that pickle what they get need its types importable here
    with simulator:
        walk = Walk(simulator, seed, ticks_per_s)
        walk.start()
        account = simulator.account
        console.print(
            f"MetaTrader 5 terminal of {'a netting' if netting else 'a hedging'} account on 127.0.0.1:{simulator.port}. "
            f'In barque.toml:\n\n\\[mt5]\ntransport = "rpyc"\nhost = "127.0.0.1"\nport = {simulator.port}\n'
            f'login = {account.login}\nserver = "{account.server}"\naccount_mode = "{"netting" if netting else "hedging"}"\n\n'
            f"Password: {account.password}. Stop with Ctrl-C."
        )
        wait_for_interrupt()
        walk.stop()
        console.print(f"{len(simulator.book.trades())} deals; balance {simulator.book.balance:.2f} {account.currency}")


@app.command()
def tws(
    port: Annotated[int, typer.Option(help="On loopback, as a Gateway of a paper account has it; 0: any free one.")] = 4002,
    symbols: SymbolsOption = "USDJPY,EURUSD,SPY,NQ",
    account: Annotated[str, typer.Option(help="Comma-separated, where the login has several.")] = "DU1234567",
    cash: Annotated[int, typer.Option(help="Of each account, in USD.")] = 1_000_000,
    delayed: Annotated[bool, typer.Option("--delayed", help="A login that may see delayed data only.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="The API is read-only.")] = False,
    seed: SeedOption = 7,
    ticks_per_s: RateOption = 2.0,
) -> None:
    """A TWS or Gateway of Interactive Brokers, for any client of its socket API."""
    import asyncio

    from barque_cli.simulate_tws import Wanted, serve

    wanted = Wanted(
        port=port,
        names=tuple(_listed(symbols)),
        accounts=tuple(_listed(account)),
        cash=cash,
        delayed=delayed,
        read_only=read_only,
        seed=seed,
        ticks_per_s=ticks_per_s,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(wanted, console.print))


@app.command()
def broker(
    port: Annotated[int, typer.Option(help="On loopback; 0: any free one.")] = 7600,
    symbols: SymbolsOption = "EURUSD,GBPUSD",
    account: Annotated[str, typer.Option(help="Its name.")] = "SIM1",
    seed: SeedOption = 7,
    ticks_per_s: RateOption = 2.0,
) -> None:
    """A broker without a protocol of its own to learn: the paper exchange behind a socket, for `sender.venue = "simulated"`."""
    import asyncio

    from barque_cli.simulate_broker import serve

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(port, _listed(symbols), account, seed, ticks_per_s, console.print))


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def wait_for_interrupt() -> None:
    """Until Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
