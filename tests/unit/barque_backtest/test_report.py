"""The page: it needs no network, hides nothing in its packing, and cannot be broken by what strategies say."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.config import StrategyConfig
from barque.messages import Alert, PositionChanged
from barque_backtest import drawing
from barque_backtest.candles import Candles
from barque_backtest.drawing import pack_candles
from barque_backtest.report import heat_cell, render
from barque_backtest.results import Result, summarise
from tests.support.builders import MINUTE, T0
from tests.support.runs import a_run, bars, fill, order

EVIL = "</script><img src=x onerror=alert(1)>"
VOID = {"meta", "br", "img", "link", "input"}


class Tags(HTMLParser):
    """Checks that tags close in order, and gathers what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def a_result(**changes: object) -> Result:
    fills = [fill(1, "3", "10.10", order_id="in"), fill(4, "-3", "11.70"), fill(5, "1", "12.00")]
    held = PositionChanged(
        account="paper",
        strategy_id="s1",
        symbol="ACME",
        ts_event_ns=T0,
        cause="e",
        quantity=Decimal(1),
        average_price=Decimal(12),
        realised_pnl=Decimal(0),
        commission=Decimal(0),
        currency="USD",
    )
    run = a_run(
        fills,
        6,
        position_changes=[held],
        prices={"ACME": Decimal(12)},
        requests=[order("in", symbol="ACME", reason=EVIL)],
        alerts=[Alert(name="x", ts_event_ns=T0, severity="info", source="s", text=EVIL)],
        strategies=(
            StrategyConfig(id="s1", strategy="x", symbols=("ACME",)),
            StrategyConfig(id="idle", strategy="x", symbols=("ACME",)),
        ),
        **changes,
    )
    return summarise(run, [[bars([10.0, 10.5, 11.0, 10.0, 12.0, 12.0])]])


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    tags = Tags()
    tags.feed(render(a_result()))
    assert (tags.open, tags.fetched) == ([], [])
    assert "img" not in tags.names  # what a strategy says stays text
    assert {"canvas", "table", "script", "style"} <= set(tags.names)


def test_the_page_says_the_figures_and_the_data_hold_curves_candles_and_trades() -> None:
    page = render(a_result())
    for text in ("Sharpe", "largest drawdown", "s1", "idle", "2014-05-01", "Return by month", "Open at the end"):
        assert text in page
    data = data_of(page)
    assert [curve["name"] for curve in data["curves"]] == ["account", "s1", "idle"]  # type: ignore[index, attr-defined]
    trades = data["trades"]
    assert trades["net"] == [pytest.approx(4.8), 0.0]  # type: ignore[index]
    assert trades["exit"] == [(T0 + 4 * MINUTE) // 10**6, None]  # type: ignore[index]
    assert trades["reason"] == [EVIL, ""]  # type: ignore[index]


def test_a_run_without_anything_still_has_a_page() -> None:
    tags = Tags()
    tags.feed(render(summarise(a_run([], 0), [])))
    assert tags.open == []


def test_of_too_many_trades_the_largest_are_shown_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_TRADES", 2)
    profits = [1, -5, 2, 3]
    fills = [f for i, p in enumerate(profits) for f in (fill(2 * i, "1", "10.00"), fill(2 * i + 1, "-1", f"{10 + p}.00"))]
    page = render(summarise(a_run(fills, 8), [[bars([10.0] * 8)]]))
    assert data_of(page)["trades"]["net"] == [-5.0, 3.0]  # type: ignore[index]
    assert "the 2 largest of 4" in page


@given(st.lists(st.tuples(st.integers(1, 5), *(st.integers(1, 10_000) for _ in range(4))), min_size=1, max_size=30))
def test_packed_candles_unpack_to_the_same_candles(rows: list[tuple[int, int, int, int, int]]) -> None:
    table = np.array(rows)
    times = T0 + np.cumsum(table[:, 0]) * MINUTE
    prices = [table[:, column] * 0.005 for column in range(1, 5)]
    packed = pack_candles(Candles(times, *prices), 0.005)
    at = close = 0
    cells = np.array(packed["rows"]).reshape(-1, 5).tolist()
    for (moved, opened, high, low, closed), when, expected in zip(cells, times, table[:, 1:].tolist(), strict=True):
        at, first = at + moved, close + opened
        assert packed["start"] + at * packed["step"] == when // 10**6
        assert [first, first + high, first - low, first + closed] == expected
        close = first + closed


def test_a_heat_cell_is_the_stronger_the_nearer_to_the_largest() -> None:
    def shown(value: float) -> str:
        return f"{value:.1f}"

    assert "rgba(var(--heat-up), 0.550)" in heat_cell(2.0, 2.0, shown)
    assert "rgba(var(--heat-down), 0.275)" in heat_cell(-1.0, 2.0, shown)
    assert heat_cell(None, 2.0, shown, EVIL).count("<") == 2


def test_quantities_are_shown_without_superfluous_zeros() -> None:
    page = render(a_result())
    assert data_of(page)["trades"]["quantity"] == [3, 1]  # type: ignore[index]
    assert drawing._short(Decimal("0.0100")) == 0.01
