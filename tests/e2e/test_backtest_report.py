"""The report of a backtest in a real browser, from the disk and without a network."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from barque.config import StrategyConfig
from barque_backtest.folder import write_folder
from barque_backtest.results import summarise
from tests.support.runs import a_run, bars, fill, order

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
MINUTES = 9_000
TRADES = 120
INK = """(selector) => {
    const canvas = document.querySelector(selector), { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let inked = 0;
    for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
    return inked / (width * height);
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; `apt-get install chromium`")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """The report of some days of bars and a hundred trades; fails on errors in the page and on anything it fetches."""
    closes = [100 + (minute % 700) / 100 + minute / 4_000 for minute in range(MINUTES)]
    fills = []
    for number in range(TRADES):
        begin = 70 * number + 10
        fills.append(fill(begin, "10", f"{closes[begin]:.2f}", order_id=f"o{number}"))
        fills.append(fill(begin + 40, "-10", f"{closes[begin + 40]:.2f}", order_id=f"x{number}"))
    orders = [order(f"o{n}", symbol="ACME", reason=f"reason {n} <b>&amp;") for n in range(TRADES)]
    strategies = [StrategyConfig(id=name, strategy="x", symbols=("ACME",)) for name in ("s1", "idle")]
    result = summarise(a_run(fills, MINUTES, requests=orders, strategies=strategies), [[bars(closes)]])
    write_folder(result, tmp_path / "out")
    troubles: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith("file://") else troubles.append(request.url))
        await page.goto((tmp_path / "out" / "report.html").as_uri())
        await page.wait_for_selector("body[data-ready=yes]")
        yield page
        await browser.close()
    assert troubles == []


async def test_charts_are_drawn_and_tables_are_filled(page: Page) -> None:
    for canvas in ("#equity", ".price canvas"):
        assert await page.evaluate(INK, canvas) > 0.01
    await expect(page.locator(".price h2 small")).to_have_text("last, candles of 5m")
    await expect(page.locator("#trades tbody tr")).to_have_count(50)
    await expect(page.locator("#trades h2")).to_contain_text("1 of 3")
    await expect(page.locator("#legend button")).to_have_count(3)
    await expect(page.locator("#trades tbody tr").first).to_contain_text("reason 0 <b>&amp;")


async def test_a_click_on_a_trade_shows_it_near_and_a_double_click_shows_all_again(page: Page) -> None:
    await page.locator("#trades tbody tr").nth(3).click()
    await expect(page.locator(".price h2 small")).to_have_text("last, candles of 30s")
    near = await page.evaluate("span")
    assert near[0] <= await page.evaluate("trades[3].entry") < await page.evaluate("trades[3].exit") <= near[1]
    await page.locator("#equity").dblclick()
    await expect(page.locator(".price h2 small")).to_have_text("last, candles of 5m")


async def test_the_wheel_zooms_around_the_pointer_and_dragging_moves(page: Page) -> None:
    box = await page.locator("#equity").bounding_box()
    assert box is not None
    whole = await page.evaluate("span")
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    await page.mouse.wheel(0, -300)
    await page.wait_for_function("whole => span[1] - span[0] < whole[1] - whole[0]", arg=whole)
    await expect(page.locator("#equity + .tip")).to_contain_text("account")
    zoomed = await page.evaluate("span")
    assert whole[0] < zoomed[0] < zoomed[1] < whole[1]
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80)
    await page.mouse.up()
    await page.wait_for_function("before => span[0] < before", arg=zoomed[0])


async def test_trades_are_sorted_by_a_click_on_their_heads(page: Page) -> None:
    await page.locator("#trades th[data-sort=net]").click()
    values = await page.evaluate("[...document.querySelectorAll('#trades tbody tr')].map(row => trades[row.dataset.i].net)")
    assert values == sorted(values, reverse=True)
    await page.locator("#trades h2 button").last.click()
    await expect(page.locator("#trades h2")).to_contain_text("2 of 3")


async def test_a_strategy_that_is_switched_off_takes_its_trades_with_it(page: Page) -> None:
    before = await page.evaluate(INK, ".price canvas")
    button = page.locator("#legend button", has_text="s1")
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "false")
    without = await page.evaluate(INK, ".price canvas")
    assert without < before
    await button.click()
    await page.mouse.move(0, 0)
    assert await page.evaluate(INK, ".price canvas") == pytest.approx(before)
