"""`barque simulate tws` as a person runs it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ib_async import IB, Forex, MarketOrder, Stock
from msgspec.structs import replace

from barque.errors import ConfigError
from barque_cli.simulate_tws import Wanted, serve
from tests.support.tws import errors, until

USDJPY = Forex("USDJPY", conId=15016059)
COMMAND = (sys.executable, "-m", "barque_cli.main", "simulate", "tws")


async def test_it_serves_a_moving_market_until_it_is_interrupted_and_says_what_was_done() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "--port",
        "0",
        "--symbols",
        "USDJPY,SPY",
        "--ticks-per-s",
        "20",
        "--account",
        "DU7",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        told = (await asyncio.wait_for(process.stderr.readuntil(b"Ctrl-C."), 60)).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", told)
        assert found is not None and "DU7" in told
        ib = IB()
        await ib.connectAsync("127.0.0.1", int(found[1]), clientId=1, timeout=15)
        assert ib.managedAccounts() == ["DU7"]
        tickers = [ib.reqMktData(USDJPY), ib.reqMktData(Stock("SPY", "SMART", "USD", conId=756733))]
        moves: list[int] = [0, 0]

        def count(which: int) -> None:
            moves[which] += 1

        for which, ticker in enumerate(tickers):
            ticker.updateEvent += lambda _, which=which: count(which)
        await until(lambda: min(moves) > 3, 30)
        trade = ib.placeOrder(USDJPY, MarketOrder("BUY", 30_000, tif="DAY"))
        await until(lambda: trade.orderStatus.status == "Filled", 30)
        ib.disconnect()
        process.send_signal(signal.SIGINT)
        rest = (await asyncio.wait_for(process.stderr.read(), 30)).decode()
        assert "orders: 1, executions: 1" in rest and re.search(r"DU7: net liquidation 99\d{4}\.\d\d USD", rest)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


WANTED = Wanted(port=0, names=("USDJPY",), accounts=("DU7",), cash=1_000, delayed=False, read_only=False, seed=1, ticks_per_s=1.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": ("USDJPY", "EURUSX")}, "--symbols: 'EURUSX' is not listed; did you mean 'EURUSD'"),
        ({"ticks_per_s": 0.0}, "--ticks-per-s"),
    ],
)
async def test_a_mistake_is_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await serve(replace(WANTED, **wrong), print)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"{port} is in use"):
            await serve(replace(WANTED, port=port), print)


@pytest.mark.parametrize(("options", "code"), [({"delayed": True}, 10089), ({"read_only": True}, 321)])
async def test_a_login_can_see_delayed_data_only_or_may_not_trade(options: dict[str, object], code: int) -> None:
    told: list[str] = []
    server = asyncio.create_task(serve(replace(WANTED, **options), told.append))
    await until(lambda: told)
    port = int(re.findall(r"127\.0\.0\.1:(\d+)", told[0])[0])
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=1, timeout=10, readonly=True)
    heard = errors(ib)
    ib.reqMktData(USDJPY)
    ib.placeOrder(USDJPY, MarketOrder("BUY", 30_000, tif="DAY"))
    await until(lambda: code in [each for _, each, _ in heard])
    ib.disconnect()
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server
    assert told[1].startswith("orders: ")


@pytest.mark.parametrize("page", ["docs/guides/tws-simulator.md", "libs/simulators/README.md"])
async def test_the_examples_of_the_pages_run(page: str) -> None:
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "TwsSimulator" in block]
    names: dict[str, Any] = {}
    exec(compile(example.replace("asyncio.run(main())", ""), page, "exec"), names)  # noqa: S102
    await names["main"]()
