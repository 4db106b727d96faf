"""How the two charts look (ECharts options), and what is sent to them: full once, afterwards only what is new. Pure.

`static/page.js` keeps the points in the browser and draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.format import NS, places_of, price, quantity
from gateway.live import BARS, CURVE_POINTS, Chart
from gateway.models import Equity
from gateway.tape import Curve, Place

UP, DOWN, BUY, SELL = "#2fbf9b", "#ef6461", "#5cb8ff", "#ffb454"
_FAINT, _LINE = "#566275", "#1d2635"
_GRID = {"lineStyle": {"color": "#151c28"}}
_TOOLTIP = {
    "trigger": "axis",
    "backgroundColor": "#161d29f2",
    "borderColor": "#2a3648",
    "textStyle": {"color": "#d5dde8", "fontSize": 12},
    "axisPointer": {"type": "cross", "lineStyle": {"color": "#3a475c"}, "crossStyle": {"color": "#3a475c"}},
}
_TIME_AXIS = {
    "axisLine": {"lineStyle": {"color": _LINE}},
    "axisTick": {"show": False},
    "axisLabel": {"color": _FAINT, "fontSize": 11},
}


def candle_options() -> dict[str, Any]:
    """Candles, the fills on them, and activity below."""
    right, left = 76, 12
    category = {"type": "category", **_TIME_AXIS, "splitLine": {"show": False}}
    label = {
        "color": "#0a0d13",
        "backgroundColor": BUY,
        "padding": [4, 6],
        "borderRadius": 3,
        "fontSize": 11,
        "textBorderWidth": 0,
    }
    mark = {"type": "scatter", "z": 5, "symbol": "triangle", "symbolSize": 13}
    return {
        "animation": False,
        "grid": [
            {"left": left, "right": right, "top": 10, "bottom": 92},
            {"left": left, "right": right, "height": 54, "bottom": 28},
        ],
        "xAxis": [{**category, "gridIndex": 0, "axisLabel": {"show": False}}, {**category, "gridIndex": 1}],
        "yAxis": [
            {"scale": True, "position": "right", "splitLine": _GRID, "axisLabel": {"color": _FAINT, "fontSize": 11}},
            {"gridIndex": 1, "show": False},
        ],
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "label": {"backgroundColor": "#2a3648"}},
        "tooltip": _TOOLTIP,
        "dataZoom": [{"type": "inside", "xAxisIndex": [0, 1], "minValueSpan": 12}],
        "series": [
            {
                "type": "candlestick",
                "itemStyle": {"color": UP, "color0": DOWN, "borderColor": UP, "borderColor0": DOWN},
                "barMaxWidth": 12,
            },
            {
                **mark,
                "name": "buy",
                "symbolOffset": [0, 12],
                "itemStyle": {"color": BUY, "borderColor": "#0a0d13", "borderWidth": 1.5},
            },
            {
                **mark,
                "name": "sell",
                "symbolRotate": 180,
                "symbolOffset": [0, -12],
                "itemStyle": {"color": SELL, "borderColor": "#0a0d13", "borderWidth": 1.5},
            },
            {
                "type": "line",
                "symbol": "none",
                "silent": True,
                "lineStyle": {"color": BUY, "type": "dashed", "width": 1, "opacity": 0.6},
                "endLabel": {**label, "show": True, "distance": 6},
            },
            {"type": "bar", "xAxisIndex": 1, "yAxisIndex": 1, "barMaxWidth": 10},
        ],
    }


def equity_options() -> dict[str, Any]:
    """One line per account."""
    return {
        "animation": False,
        "grid": {"left": 12, "right": 76, "top": 8, "bottom": 26},
        "xAxis": {"type": "time", **_TIME_AXIS, "splitLine": {"show": False}},
        "yAxis": {
            "scale": True,
            "position": "right",
            "splitLine": _GRID,
            "splitNumber": 4,
            "axisLabel": {"color": _FAINT, "fontSize": 11},
        },
        "tooltip": _TOOLTIP,
        "series": [],
    }


def candle_update(
    chart: Chart, seen: tuple[Place, Place] | None, tick_size: Decimal | None, zone: str, mark: float | None
) -> dict[str, Any]:
    """What the browser must learn of `chart` after `seen`, the places of bars and fills it has."""
    bars, reset = chart.bars.since(seen[0] if seen else None)
    fills, reset_fills = chart.fills.since(seen[1] if seen else None)
    places = places_of(tick_size) if tick_size else 5
    return {
        "reset": reset,
        "resetFills": reset_fills,
        "look": {"keep": BARS, "places": places, "zone": zone},
        "at": chart.bars.place.cursor - len(bars),
        "bars": [[b.ts_open_ns * 1000 // NS, b.open, b.close, b.low, b.high, b.volume or b.tick_count] for b in bars],
        "fills": [
            {
                "ms": f.ts_event_ns * 1000 // NS,
                "side": f.side,
                "price": float(f.price),
                "text": price(f.price, tick_size),
                "quantity": quantity(f.quantity),
                "strategy": f.strategy_id,
                "order": f.order_id,
            }
            for f in fills
        ],
        "mark": mark,
    }


def equity_update(curves: Mapping[str, Curve[Equity]], seen: Mapping[str, Place], zone: str) -> dict[str, Any] | None:
    """What the browser must learn of the curves; None where it knows all of them."""
    accounts = {}
    for name, curve in curves.items():
        rows, reset = curve.since(seen.get(name))
        if rows or reset:
            points = [[row.ts_event_ns * 1000 // NS, float(row.equity)] for row in rows]
            accounts[name] = {"reset": reset, "points": points}
    if not accounts:
        return None
    series = [_line(color) for color in (BUY, UP, SELL, "#b58cff")]
    return {"look": {"keep": CURVE_POINTS, "places": 2, "zone": zone, "series": series}, "accounts": accounts}


def _line(color: str) -> dict[str, Any]:
    fade = [{"offset": 0, "color": f"{color}40"}, {"offset": 1, "color": f"{color}00"}]
    return {
        "type": "line",
        "showSymbol": False,
        "lineStyle": {"width": 1.6, "color": color},
        "itemStyle": {"color": color},
        "areaStyle": {"origin": "start", "color": {"type": "linear", "x": 0, "y": 0, "x2": 0, "y2": 1, "colorStops": fade}},
    }
