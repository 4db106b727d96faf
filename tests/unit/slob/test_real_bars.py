"""SLOB over five days of the E-mini future, against the rules written once more, looking forward from each sweep."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, time
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from barque.messages import Bar, SetupChanged
from tests.support.data import data_file
from tests.unit.slob.setups import MINUTE, a_node, heard

LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def bars() -> list[Bar]:
    with gzip.open(data_file("esz3-cme-m1-2013-10.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    return [_bar(row) for row in rows]


def test_setups_and_orders_are_those_of_the_rules(bars: list[Bar]) -> None:
    # Wider rules than the defaults, so that five days bring setups of every kind.
    for params in ({}, {"consol_min_range_pct": 0.05, "liq2_min_wait_minutes": 0, "consol_min_minutes": 5}):
        changes, signals = heard(a_node(**params), bars)
        told = sorted((c.setup_id, c.ts_event_ns, c.state, c.reason or _order(c)) for c in changes)
        expected = sorted(step for day in _days(bars) for step in _steps(day, params))
        assert told == expected
        complete = [c for c in changes if c.state == "SETUP_COMPLETE"]
        assert [(s.side, s.cause, s.stop_loss, s.take_profit) for s in signals] == [
            (c.side, c.cause, c.levels["stop_loss"], c.levels["take_profit"]) for c in complete
        ]
    assert len(signals) > 20, "the wider rules bring orders"


def test_cutting_the_data_at_any_minute_changes_nothing_before_the_cut(bars: list[Bar]) -> None:
    params: dict[str, Any] = {"consol_min_range_pct": 0.05, "liq2_min_wait_minutes": 0, "consol_min_minutes": 5}
    node = a_node(**params)
    full = [[message for _, message in node.handle(bar)] for bar in bars]
    for cut in range(200, len(bars), 397):
        fresh = a_node(**params)
        assert [[message for _, message in fresh.handle(bar)] for bar in bars[:cut]] == full[:cut]


def test_a_restart_now_and_then_changes_nothing(bars: list[Bar]) -> None:
    params: dict[str, Any] = {"consol_min_range_pct": 0.05, "liq2_min_wait_minutes": 0, "consol_min_minutes": 5}
    expected, orders = heard(a_node(**params), bars)
    node = a_node(**params)
    said = []
    for index, bar in enumerate(bars):
        if index % 7 == 0:
            blob, node = node.snapshot(), a_node(**params)
            node.restore(blob)
        said += [message for _, message in node.handle(bar)]
    assert said == sorted([*expected, *orders], key=said.index)


def _order(change: SetupChanged) -> str:
    if change.state != "SETUP_COMPLETE":
        return ""
    return f"stop {change.levels['stop_loss']:.2f} target {change.levels['take_profit']:.2f}"


# ---- the rules once more


class _Day(NamedTuple):
    europe: list[Bar]
    america: list[Bar]
    after: Bar | None
    """The first bar after New York has closed."""


class _Seen(NamedTuple):
    open: float
    high: float
    low: float
    close: float
    at: int
    """Close, ns."""


def _bar(row: dict[str, str]) -> Bar:
    at = int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp()) * 1_000_000_000
    prices = {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
    return Bar(symbol="ES", interval="1m", price="last", ts_open_ns=at, ts_close_ns=at + MINUTE, **prices)


def _days(bars: list[Bar]) -> list[_Day]:
    """October 2013 has neither a holiday in London or New York nor a change of clocks before the 27th."""
    found = []
    for day in sorted({datetime.fromtimestamp(bar.ts_open_ns // 10**9, UTC).date() for bar in bars}):
        if day.weekday() >= 5:
            continue
        begins, turns, ends = (
            int(datetime.combine(day, at, zone).timestamp()) * 10**9
            for at, zone in ((time(8), LONDON), (time(9, 30), NEW_YORK), (time(16), NEW_YORK))
        )
        europe = [bar for bar in bars if begins <= bar.ts_open_ns < turns]
        america = [bar for bar in bars if turns <= bar.ts_open_ns < ends]
        after = next((bar for bar in bars if bar.ts_open_ns >= ends), None)
        found.append(_Day(europe, america, after))
    return found


def _steps(day: _Day, params: dict[str, Any]) -> list[tuple[str, int, str, str]]:
    if not day.europe:
        return []
    top, bottom = max(bar.high for bar in day.europe), min(bar.low for bar in day.europe)
    steps = []
    for side in ("short", "long"):
        seen = [
            _Seen(bar.open, bar.high, bar.low, bar.close, bar.ts_close_ns)
            if side == "short"
            else _Seen(-bar.open, -bar.low, -bar.high, -bar.close, bar.ts_close_ns)
            for bar in day.america
        ]
        edge, target = (top, bottom) if side == "short" else (-bottom, -top)
        newest = 0
        for index, bar in enumerate(seen):
            if bar.high > edge and bar.at - newest >= 5 * MINUTE:
                newest = bar.at
                name = f"ES.{side}.{bar.at}"
                steps.append((name, bar.at, "WATCHING_CONSOL", ""))
                steps += [(name, *step) for step in _life(bar, seen[index + 1 :], target, day.after, params)]
    return steps


def _life(
    sweep: _Seen, later: list[_Seen], target: float, after: Bar | None, params: dict[str, Any]
) -> list[tuple[int, str, str]]:
    """What becomes of one sweep: (time, state, reason)."""
    least, wait = params.get("consol_min_minutes", 15), params.get("liq2_min_wait_minutes", 5)
    narrow = params.get("consol_min_range_pct", 0.1)
    closed = [(after.ts_close_ns, "INVALIDATED", "market_closed")] if after else []
    confirmed = None
    for index, bar in enumerate(later):
        past, minutes = later[:index], (bar.at - sweep.at) / MINUTE
        if minutes > 120:
            return [(bar.at, "INVALIDATED", "consol_timeout")]
        if minutes < least or not past:
            continue
        high, low = max(p.high for p in past), min(p.low for p in past)
        if not narrow <= 100 * (high - low) / abs(high) <= 0.5:
            return [(bar.at, "INVALIDATED", "consol_range_invalid")]
        calm = [p for p in past if p.close > p.open and p.high - p.close < 0.2 * (p.close - p.open)]
        if calm and len(past) >= 3:
            confirmed = index
            break
    if confirmed is None:
        return closed
    steps = [(later[confirmed].at, "WATCHING_LIQ2", "")]
    for index, bar in enumerate(later[confirmed:]):
        if index > 20:
            return [*steps, (bar.at, "INVALIDATED", "liq2_timeout")]
        if bar.high > calm[0].high + min(100, abs(calm[0].high) / 100):
            return [*steps, (bar.at, "INVALIDATED", "retracement_exceeded")]
        if bar.high > high and bar.at - later[confirmed].at >= wait * MINUTE:
            steps.append((bar.at, "WAITING_ENTRY", ""))
            return steps + (_entry(bar, later[confirmed + index + 1 :], calm[0].low, target) or closed)
    return steps + closed


def _entry(liq2: _Seen, later: list[_Seen], trigger: float, target: float) -> list[tuple[int, str, str]]:
    for index, bar in enumerate(later[:21]):
        if index == 20:
            return [(bar.at, "INVALIDATED", "entry_timeout")]
        if bar.close < trigger:
            spike = max(liq2.high, *(p.high for p in later[: index + 1]))
            body, wick = abs(liq2.close - liq2.open), liq2.high - max(liq2.open, liq2.close)
            stop = max(liq2.open, liq2.close) + 2 if body > 0 and wick > 2 * body else spike + 1
            sound = (bar.close - (target - 1)) / (stop - bar.close) > 0 if stop != bar.close else False
            if not sound:
                return [(bar.at, "INVALIDATED", "negative_risk_reward")]
            return [(bar.at, "SETUP_COMPLETE", f"stop {abs(stop):.2f} target {abs(target - 1):.2f}")]
    return []
