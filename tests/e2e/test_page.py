"""The page in a real browser, served by the real process: candles with their fills, live, and a button that halts."""

from __future__ import annotations

import asyncio
import math
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from barque.bus.redis_bus import Commit, RedisBus
from barque.config import PostgresConfig, RedisConfig
from barque.embedded.process import free_port
from barque.messages import Alert, Topic
from tests.support.builders import MINUTE, T0
from tests.support.servers import begin_book

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
TOKEN = "c0ffee00" * 4
COUNTS = """() => {
    const chart = getElement(+document.querySelector('.a-chart .plot').id.slice(1)).chart;
    const [candles, bought, sold] = chart.getOption().series;
    return [candles, bought, sold].map(series => series?.data?.length ?? 0);  // a chart just made has series without data
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; `apt-get install chromium`")


@pytest.fixture
async def address(
    tmp_path: Path, database: PostgresConfig, valkey: RedisConfig, bus: RedisBus, connection: asyncpg.Connection
) -> AsyncIterator[str]:
    """A gateway process over a book with a hundred bars and one purchase."""
    await begin_book(bus, connection)
    for minute in range(100):
        await write_bar(connection, bus.book, minute)
    await write_fill(connection, bus.book, 90, "buy")
    port = free_port()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "barque.toml").write_text(f"""
[book]
name = "{bus.book}"
clock = "feed"
[postgres]
url = "{database.url}"
password_file = "{database.password_file}"
[redis]
url = "{valkey.url}"
password_file = "{valkey.password_file}"
[gateway]
port = {port}
token_file = "token"
""")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "--config", str(tmp_path / "barque.toml"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until_ready(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 6) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A browser's page that fails the test on any error or on a request that leaves this machine."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1680, "height": 1000})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if is_outside(request.url) else None)
        yield page
        await browser.close()
    assert faults == []


def is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


async def write_bar(connection: asyncpg.Connection, book: str, minute: int, seq: int = 0) -> None:
    price, opens = 1.38 + math.sin(minute / 9) / 1_000, T0 + minute * MINUTE
    await connection.execute(
        "INSERT INTO bars VALUES ($1, 'l1', 'EURUSD', '1m', 'bid', $2, $3, $4, $5, $6, $7, 0, 7, $8)",
        *(book, opens, opens + MINUTE, price, price + 2e-4, price - 2e-4, price + 1e-4, seq),
    )


async def write_fill(connection: asyncpg.Connection, book: str, minute: int, side: str) -> None:
    await connection.execute(
        "INSERT INTO fills VALUES ($1, 'l1', 'paper', $2, $3, 's', 'r', 'sma-eurusd', 'EURUSD', $4, 1, 1.38,"
        " 0, 'USD', 0, 'USD', $5)",
        *(book, f"{side}-{minute}-1", f"{side}-{minute}", side, T0 + minute * MINUTE + 1),
    )


async def until_ready(address: str) -> None:
    deadline = time.monotonic() + 20
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{address}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "the gateway did not become ready"
            await asyncio.sleep(0.1)


async def until_counts(page: Page, expected: list[int]) -> None:
    """Wait until the chart holds so many candles, purchases and sales."""
    deadline = time.monotonic() + 8
    counts: Any = None
    while counts != expected:
        assert time.monotonic() < deadline, f"the chart shows {counts}, not {expected}"
        await asyncio.sleep(0.1)
        counts = await page.evaluate(COUNTS)


async def until_highest(page: Page, expected: float) -> None:
    """Wait until the highest candle of the chart is as high as this."""
    highest = """() => Math.max(...getElement(+document.querySelector('.a-chart .plot').id.slice(1)).chart.getOption()
        .series[0].data.map(row => Math.max(...(row.value ?? row).filter(figure => figure < 1e6))))"""
    deadline = time.monotonic() + 8
    while (found := await page.evaluate(highest)) != expected:
        assert time.monotonic() < deadline, f"the highest candle is {found}"
        await asyncio.sleep(0.1)


async def test_the_page_shows_the_market_live_and_its_button_halts_the_book(
    address: str, page: Page, bus: RedisBus, connection: asyncpg.Connection
) -> None:
    await page.goto(address)
    await expect(page.get_by_text("sma-eurusd").first).to_be_visible()
    await until_counts(page, [100, 1, 0])

    await write_bar(connection, bus.book, 100)
    await write_fill(connection, bus.book, 100, "sell")
    await until_counts(page, [101, 1, 1])
    await write_bar(connection, bus.book, 100, seq=1)
    await until_counts(page, [102, 1, 1])

    text = "DU1: no order has left for 60 s: there is no session with the broker; see to the broker's program"
    alert = Alert(name="sender_disconnected", ts_event_ns=T0, severity="critical", source="sender.ibkr", text=text)
    await bus.commit(Commit(node="n", expected_seq=0, state=b"", positions={}, outputs={Topic.ALERTS: [alert]}, outs={}))
    await expect(page.locator(".a-alerts")).to_contain_text("sender disconnected")
    await expect(page.locator(".a-alerts")).to_contain_text(text)

    whole = "UPDATE bars SET high = 1.39, revised_ns = $1 WHERE ts_open_ns = $2"
    await connection.execute(whole, T0 + 200 * MINUTE, T0 + 95 * MINUTE)
    await until_highest(page, 1.39)
    await until_counts(page, [102, 1, 1])

    async with httpx.AsyncClient(base_url=address, trust_env=False) as api:
        started = time.monotonic()
        await page.get_by_role("button", name="HALT").click()
        while not (await api.get("/api/v1/status")).json()["halt"]["halted"]:
            assert time.monotonic() - started < 1.0, "the halt took longer than a second"
            await asyncio.sleep(0.02)
        await expect(page.locator(".banner")).to_contain_text("HALTED")
        assert await bus.halt_flag() is not None

        await page.get_by_role("button", name="Resume…").click()
        await page.get_by_label("Reason").fill("a drill")
        await page.get_by_label("Token").fill("not the token")
        await page.get_by_role("button", name="Resume", exact=True).click()
        await expect(page.get_by_text("That is not the token.")).to_be_visible()
        assert await bus.halt_flag() is not None

        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Resume", exact=True).click()
        await expect(page.get_by_role("button", name="HALT")).to_be_visible()
        assert not (await api.get("/api/v1/status")).json()["halt"]["halted"]
        assert await bus.halt_flag() is None
