"""Bars of every kind of real trades, against bars that pandas works out from the whole column at once.

Prices in cents and sizes are whole numbers here, so sums on both sides are exact and equal means equal.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.instruments import Instrument
from barque.messages import Bar, ClockTicked, Topic, Trade
from tests.support.data import data_file

ROWS = 60_000
WIDE, LARGE, DEAR, TALL, BRICK = 250, 100_000, 20_000_000, 5, 5
KINDS = (f"tick:{WIDE}", f"volume:{LARGE}", f"value:{DEAR}", f"range:{TALL}", f"renko:{BRICK}", "30s", "5m", "1h")
PARTS = ["open", "high", "low", "close"]
Starts = list[int]


@pytest.fixture(scope="module")
def trades() -> pd.DataFrame:
    """The first trades of a day of SPY, read without our own reader."""
    table = pd.read_csv(data_file("spy-trades-2013-10-07.csv.gz"), nrows=ROWS)
    table["ns"] = pd.to_datetime(table["timestamp"], utc=True).dt.as_unit("ns").astype("int64")
    table["cents"] = (table["price"] * 100).round().astype("int64")
    return table


@pytest.fixture(scope="module")
def ours(trades: pd.DataFrame) -> dict[str, list[Bar]]:
    """Our bars of them, by interval, all kinds built at once."""
    spy = Instrument(symbol="SPY", asset_class="stock", currency="USD", tick_size=Decimal("0.01"), max_spike_fraction=1.0)
    specs = tuple(BarsConfig(symbols=("SPY",), interval=kind, prices=("last",)) for kind in KINDS)
    node = BarBuilderNode(BarBuilderConfig(bars=specs), [spy])
    found: dict[str, list[Bar]] = {kind: [] for kind in KINDS}
    ticks = [
        Trade(symbol="SPY", ts_event_ns=at, ts_recv_ns=at, price=price, size=float(size))
        for at, price, size in zip(trades["ns"].tolist(), trades["price"].tolist(), trades["size"].tolist(), strict=True)
    ]
    for message in (*ticks, ClockTicked(now_ns=ticks[-1].ts_event_ns + 3_601 * 10**9)):
        for topic, said in node.handle(message):
            if topic is Topic.BARS:
                assert isinstance(said, Bar)
                found[said.interval].append(said)
    assert node.counters["ticks"] == len(trades)
    assert node.counters["late"] == node.counters["spike"] == 0
    return found


def summed(trades: pd.DataFrame, starts: Starts) -> pd.DataFrame:
    """One row per group of trades; a group begins at each of `starts`, the last of which ends the one before it."""
    rows = trades.iloc[starts[0] : starts[-1]]
    bars = np.searchsorted(np.asarray(starts[:-1]), np.arange(starts[0], starts[-1]), side="right") - 1
    grouped = rows.groupby(bars)
    table = grouped["price"].agg(["first", "max", "min", "last"])
    table.columns = pd.Index(PARTS)
    return table.assign(volume=grouped["size"].sum(), tick_count=grouped.size(), ts_open=grouped["ns"].first())


def as_table(bars: list[Bar]) -> pd.DataFrame:
    return pd.DataFrame(
        [(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.tick_count, bar.ts_open_ns) for bar in bars],
        columns=[*PARTS, "volume", "tick_count", "ts_open"],
    )


def assert_same(bars: list[Bar], expected: pd.DataFrame, least: int) -> None:
    assert len(bars) >= least
    pd.testing.assert_frame_equal(as_table(bars), expected.reset_index(drop=True), check_dtype=False, check_exact=True)


def test_tick_bars(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    starts = list(range(0, len(trades) + 1, WIDE))
    assert_same(ours[f"tick:{WIDE}"], summed(trades, starts), least=240)
    assert [bar.ts_close_ns for bar in ours[f"tick:{WIDE}"]] == trades["ns"].iloc[WIDE - 1 :: WIDE].tolist()


def reached(amounts: pd.Series, size: int) -> Starts:
    """Where groups begin of which each has just as many of `amounts` as make `size`."""
    running = amounts.cumsum().to_numpy()
    starts = [0]
    while True:
        before = running[starts[-1] - 1] if starts[-1] else 0
        end = int(np.searchsorted(running, before + size)) + 1
        if end > len(running):
            return starts
        starts.append(end)


def test_volume_bars(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    assert_same(ours[f"volume:{LARGE}"], summed(trades, reached(trades["size"], LARGE)), least=150)


def test_value_bars(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    starts = reached(trades["cents"] * trades["size"], DEAR * 100)
    assert_same(ours[f"value:{DEAR}"], summed(trades, starts), least=130)


def test_range_bars(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    cents, starts = trades["cents"].to_numpy(), [0]
    while starts[-1] < len(cents):
        ahead = cents[starts[-1] : starts[-1] + 20_000]
        widths = np.maximum.accumulate(ahead) - np.minimum.accumulate(ahead)
        whole = int(np.argmax(widths >= TALL))
        if widths[whole] < TALL:
            break
        starts.append(starts[-1] + whole + (1 if widths[whole] == TALL else 0))
    expected = summed(trades, starts)
    assert_same(ours[f"range:{TALL}"], expected, least=200)
    assert 0 < ((expected["high"] - expected["low"]).round(2) < TALL / 100).sum() < len(expected) / 2, "some are cut by jumps"


def test_renko_bricks(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    """A brick for each line that the price crosses, the first line back behind the last brick excepted."""
    bricks: list[tuple[int, int, int, int]] = []
    line, direction, seen = None, 0, 0
    for number, cents in enumerate(trades["cents"].tolist()):
        seen += 1
        if line is None:
            assert cents % BRICK, "the day begins between two lines"
            line = below = cents // BRICK * BRICK
            above = below + BRICK
        elif not direction and (cents >= above + BRICK or cents <= below - BRICK):
            direction, line = (1, above) if cents > above else (-1, below)
        if direction and (cents - line) * direction <= -2 * BRICK:
            direction, line = -direction, line - direction * BRICK
        while direction and (cents - line) * direction >= BRICK:
            bricks.append((line, line + direction * BRICK, seen, number))
            line, seen = line + direction * BRICK, 0
    found = ours[f"renko:{BRICK}"]
    assert len(found) >= 80
    assert [(round(bar.open * 100), round(bar.close * 100), bar.tick_count) for bar in found] == [brick[:3] for brick in bricks]
    assert [bar.ts_close_ns for bar in found] == [trades["ns"].iloc[brick[3]] for brick in bricks]
    assert [bar.open for bar in found] == [brick[0] / 100 for brick in bricks]


@pytest.mark.parametrize(("interval", "pandas_rule"), [("30s", "30s"), ("5m", "5min"), ("1h", "1h")])
def test_time_bars(trades: pd.DataFrame, ours: dict[str, list[Bar]], interval: str, pandas_rule: str) -> None:
    grouped = trades.set_index(pd.to_datetime(trades["ns"], utc=True)).resample(pandas_rule)
    table = grouped["price"].ohlc().assign(volume=grouped["size"].sum(), tick_count=grouped.size())
    table = table[table["tick_count"] > 0]
    expected = table.assign(ts_open=table.index.as_unit("ns").astype("int64"))
    assert_same(ours[interval], expected, least=6)


def test_no_kind_loses_a_trade(trades: pd.DataFrame, ours: dict[str, list[Bar]]) -> None:
    for kind, bars in ours.items():
        inside = sum(bar.tick_count for bar in bars)
        assert sum(bar.volume for bar in bars) == trades["size"].iloc[:inside].sum(), kind
