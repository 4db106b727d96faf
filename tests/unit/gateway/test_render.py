"""The page's panels: figures as they should read, and nothing from outside as markup."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from barque.messages import Mark
from gateway import render
from gateway.live import View
from gateway.models import Alert, Equity, Feed, Fill, Halt, Instrument, Node, Order, Position, Rejection, Status
from gateway.tape import Curve

T0 = 1_398_902_400_000_000_000
UTC = ZoneInfo("UTC")
EVIL = "<script>alert('x')</script>\" onload=\"x"


def a_view(status: dict[str, Any] | None = None, **changes: Any) -> View:
    base: dict[str, Any] = {
        "book": "main",
        "lineage": "l1",
        "clock": "feed",
        "now_ns": T0,
        "halt": Halt(halted=False),
        "nodes": [a_node()],
        "feeds": [],
        "problems": [],
    }
    return replace(View(status=Status(**(base | (status or {})))), **changes)


def a_node(**changes: Any) -> Node:
    base: dict[str, Any] = {"name": "router", "rank": 30, "seq": 5, "lag": {}, "refused": {}, "last_seen_ms": 10, "worker": "w"}
    return Node(**(base | changes))


def a_position(**changes: Any) -> Position:
    base: dict[str, Any] = {
        "account": "paper",
        "strategy_id": "s1",
        "symbol": "EURUSD",
        "ts_event_ns": T0,
        "quantity": Decimal(-2),
        "average_price": Decimal("1.38700"),
        "realised_pnl": Decimal("12.5"),
        "commission": Decimal(4),
        "currency": "USD",
    }
    return Position(**(base | changes))


EURUSD = Instrument(
    symbol="EURUSD",
    asset_class="fx",
    currency="USD",
    base_currency="EUR",
    tick_size=Decimal("0.00001"),
    contract_size=Decimal(100_000),
    quantity_step=Decimal(1),
    calendar="FX",
)


def test_a_short_position_wins_when_the_mark_falls() -> None:
    # By hand: (1.38650 - 1.38700) * -2 * 100,000 = +100.00
    mark = Mark(symbol="EURUSD", ts_event_ns=T0, bid=1.3864, ask=1.3866, last=float("nan"))
    text = render.positions(a_view(positions=[a_position()], marks={"EURUSD": mark}, instruments={"EURUSD": EURUSD}))
    assert "+100.00" in text
    assert "−2" in text
    assert "1.38700" in text


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (render.positions, "No positions yet"),
        (lambda view: render.orders(view, UTC), "No orders yet"),
        (lambda view: render.fills(view, UTC), "No fills yet"),
        (lambda view: render.machinery(view, UTC), "No feed has spoken yet"),
    ],
)
def test_an_empty_panel_says_what_will_be_there(panel: Any, words: str) -> None:
    assert words in panel(a_view())


def a_curve(*worth: tuple[int, int]) -> Curve[Equity]:
    """Of (equity, deposits less withdrawals so far)."""
    curve: Curve[Equity] = Curve(10)
    zero = Decimal(0)
    for index, (equity, flows) in enumerate(worth):
        about: dict[str, Any] = {"account": "paper", "currency": "USD", "unrealised_pnl": zero, "realised_pnl": zero}
        money = Decimal(equity)
        curve.extend([Equity(ts_event_ns=T0 + index, cash=money, equity=money, flows=Decimal(flows), **about)])
    return curve


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    """90/120 - 1 = -25 %; 117/130 - 1 = -10 %."""
    curve = a_curve((100, 0), (120, 0), (90, 0), (130, 0), (117, 0))
    assert "−25.00%" in render.tiles(a_view(equity={"paper": curve}))


def test_a_withdrawal_is_no_part_of_a_drawdown_and_a_deposit_makes_up_for_none() -> None:
    """95 of 100; 76 go out: 19 of 20, then 18, which is -10 %; 72 come in: 90 of 100."""
    curve = a_curve((100, 0), (95, 0), (19, -76), (18, -76), (90, -4))
    assert "−10.00%" in render.tiles(a_view(equity={"paper": curve}))


@pytest.mark.parametrize(
    ("status", "dot", "words"),
    [
        ({}, "good", "All well"),
        ({"problems": ["Redis is away"]}, "bad", "1 problem"),
        ({"halt": Halt(halted=True)}, "bad", "Halted"),
        ({"nodes": []}, "slow", "no node has registered"),
        ({"nodes": [a_node(last_seen_ms=9_000)]}, "slow", "router silent"),
        ({"nodes": [a_node(lag={"bars": 5_000})]}, "slow", "router behind"),
        (
            {"feeds": [Feed(feed="ibkr", symbol="", state="stale", dropped=0, detail="", ts_event_ns=T0)]},
            "slow",
            "feed ibkr",
        ),
    ],
)
def test_health_is_one_dot(status: dict[str, Any], dot: str, words: str) -> None:
    assert render.health(a_view(status)) == (dot, words)


def test_nothing_from_outside_becomes_markup() -> None:
    order = Order(
        ts_event_ns=T0,
        order_id=EVIL,
        account=EVIL,
        strategy_id=EVIL,
        signal_id=EVIL,
        symbol=EVIL,
        side=EVIL,
        quantity=Decimal(1),
        filled=Decimal(0),
        order_type=EVIL,
        limit_price=None,
        stop_price=None,
        time_in_force="gtc",
        state="REJECTED",
        detail=EVIL,
        venue_order_id=EVIL,
        updated_ns=T0,
    )
    fill = Fill(
        ts_event_ns=T0,
        exec_id=EVIL,
        account=EVIL,
        order_id=EVIL,
        signal_id=EVIL,
        strategy_id=EVIL,
        symbol=EVIL,
        side=EVIL,
        quantity=Decimal(1),
        price=Decimal(1),
        commission=Decimal(0),
        commission_currency=EVIL,
        realised_pnl=Decimal(1),
        currency=EVIL,
    )
    view = a_view(
        {
            "book": EVIL,
            "lineage": EVIL,
            "halt": Halt(halted=True, actor=EVIL, reason=EVIL, at_ns=T0),
            "nodes": [a_node(name=EVIL, worker=EVIL, lag={EVIL: 1}, refused={EVIL: 1})],
            "feeds": [Feed(feed=EVIL, symbol=EVIL, state=EVIL, dropped=1, detail=EVIL, ts_event_ns=T0)],
            "problems": [EVIL],
        },
        positions=[a_position(symbol=EVIL, strategy_id=EVIL, currency=EVIL)],
        orders=[order],
        fills=[fill],
        rejections=[Rejection(ts_event_ns=T0, signal_id=EVIL, strategy_id=EVIL, symbol=EVIL, reason=EVIL, detail=EVIL)],
    )
    page = (
        render.facts(view, UTC)
        + render.banner(view, UTC)
        + render.tiles(view)
        + render.positions(view)
        + render.orders(view, UTC)
        + render.fills(view, UTC)
        + render.rejections(view, UTC)
        + render.machinery(view, UTC)
    )
    assert "<script" not in page
    assert '" onload="' not in page


@pytest.mark.parametrize(
    ("state", "css"), [("live", "good"), ("filled", "good"), ("delayed", "slow"), ("gap", "slow"), ("safe_mode", "bad")]
)
def test_a_feed_is_well_while_its_data_is_live(state: str, css: str) -> None:
    feed = Feed(feed="feed.ibkr", symbol="EURUSD", state=state, dropped=0, detail="", ts_event_ns=T0)
    view = a_view({"feeds": [feed]})
    assert f'class="tag {css}"' in render.machinery(view, UTC)
    assert render.health(view)[0] == ("slow" if css == "bad" else "good")


def test_an_alert_is_shown_with_its_severity_and_the_whole_sentence() -> None:
    alert = Alert(
        id="1-0/0",
        name="sender_refused",
        severity="critical",
        source="sender.ibkr",
        text=f"no session {EVIL}; log in",
        ts_event_ns=T0,
    )
    shown = render.alerts(a_view(alerts=[alert]), UTC)
    assert 'class="tag bad" title="critical, from sender.ibkr">sender refused<' in shown
    assert "no session" in shown and "; log in" in shown and "<script" not in shown
    assert render.alerts(a_view(), UTC) == '<div class="empty">No alert.</div>'
