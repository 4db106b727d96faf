"""How much the simulator can serve to the real client, and that it holds no more for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import psutil
import pytest
from ib_async import IB, Contract
from ib_async.ticker import Ticker

from simulators.tws import TwsSimulator
from simulators.tws.walk import Walk
from tests.support.tws import connected, until

SYMBOLS = 20
QUOTES = 4_000
MINUTES = 5
GROWTH_MB = 10.0


class Count:
    """Price ticks that arrived."""

    def __init__(self, ib: IB) -> None:
        self.ticks = 0
        ib.pendingTickersEvent += self._take

    def _take(self, tickers: Iterable[Ticker]) -> None:
        self.ticks += sum(len(ticker.ticks) for ticker in tickers)


def subscribe(tws: TwsSimulator, ib: IB) -> list[str]:
    """To twenty contracts; their names."""
    names = [each.name for each in tws.catalogue if each.sec_type in ("CASH", "STK", "FUT")][:SYMBOLS]
    for name in names:
        said = tws.catalogue.named(name).contract()
        ib.reqMktData(Contract(secType=said.sec_type, conId=said.con_id, exchange=said.exchange))
    return names


async def test_every_quote_arrives_and_two_thousand_a_second_are_no_burden(capsys: pytest.CaptureFixture[str]) -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        names = subscribe(tws, ib)
        await until(lambda: all(ticker.ask > 0 for ticker in ib.tickers()) and len(ib.tickers()) == SYMBOLS)
        count = Count(ib)
        began, used = time.perf_counter(), time.process_time()
        for number in range(QUOTES):
            tws.quote(names[number % SYMBOLS], 100 + number / 100, 100.01 + number / 100)
            if number % 40 == 0:
                await asyncio.sleep(0)
        await until(lambda: count.ticks == 2 * QUOTES)
        took, cpu = time.perf_counter() - began, time.process_time() - used
        with capsys.disabled():
            print(f"\n{QUOTES / took:,.0f} quotes/s to the client, {1e6 * cpu / QUOTES:.0f} µs of both per quote")
        assert QUOTES / cpu > 2_000, "per second of processor time, client included"


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 120)
async def test_memory_is_flat_at_a_hundred_ticks_a_second_on_twenty_symbols(capsys: pytest.CaptureFixture[str]) -> None:
    async with TwsSimulator() as tws, connected(tws) as ib:
        names, process, seen = subscribe(tws, ib), psutil.Process(), []
        async with Walk(tws, names, 100.0) as walk:
            for _ in range(MINUTES * 4):
                await asyncio.sleep(15)
                seen.append(process.memory_info().rss / 1e6)
        settled = seen[4:]
        with capsys.disabled():
            print(f"\n{walk.quotes:,} quotes; {settled[0]:.1f} MB after a minute, {settled[-1]:.1f} MB after {MINUTES}")
        assert settled[-1] - settled[0] < GROWTH_MB
