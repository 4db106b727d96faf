"""Candles against pandas, excursions against a loop over the bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque_archive.columns import QuoteColumns, TradeColumns, take
from barque_backtest.candles import CandleChart, Excursions
from barque_backtest.trades import round_trips
from tests.support.builders import MINUTE, T0, eurusd
from tests.support.runs import STOCK, bars, fill

prices = st.lists(st.integers(90, 110), min_size=1, max_size=60)


def ohlc(closes: list[int], width: int) -> dict[str, np.ndarray]:
    close = np.array(closes, dtype=float)
    return {"open": close - 1, "high": close + width, "low": close - 2 * width, "close": close}


@given(prices, st.integers(1, 59), st.integers(1, 5))
def test_candles_of_a_longer_interval_are_those_of_pandas(closes: list[int], cut: int, width: int) -> None:
    columns = bars(closes, **ohlc(closes, width))
    chart = CandleChart(5 * MINUTE)
    for part in (slice(0, cut), slice(cut, None)):
        chart.see([take(columns, part)])
    side, candles = chart.candles()["ACME"]
    frame = pd.DataFrame(ohlc(closes, width), index=pd.to_datetime(columns.ts_open_ns))
    expected = frame.resample("5min").agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    assert side == "last"
    assert candles.ts_ns.tolist() == expected.index.astype("int64").tolist()
    for name in ("open", "high", "low", "close"):
        assert getattr(candles, name).tolist() == expected[name].tolist()


def test_ticks_become_candles_and_of_several_prices_the_traded_one_is_drawn() -> None:
    times = T0 + np.array([0, 1, 2]) * MINUTE
    chart = CandleChart(2 * MINUTE)
    zeros = np.zeros(3)
    chart.see(
        [QuoteColumns(symbol="X", ts_event_ns=times, bid=np.array([1.0, 2, 3]), ask=zeros + 4, bid_size=zeros, ask_size=zeros)]
    )
    assert chart.candles()["X"][0] == "bid"
    chart.see([TradeColumns(symbol="X", ts_event_ns=times + MINUTE, price=np.array([5.0, 7.0, 6.0]), size=zeros)])
    side, candles = chart.candles()["X"]
    assert (side, candles.open.tolist(), candles.high.tolist(), candles.close.tolist()) == (
        "last",
        [5.0, 7.0],
        [5.0, 7.0],
        [5.0, 6.0],
    )


def test_of_two_intervals_of_one_symbol_the_finer_is_drawn() -> None:
    chart = CandleChart(MINUTE)
    chart.see([bars([1.0, 2.0, 3.0, 4.0, 5.0]), bars([5.0], interval="5m", step_ns=5 * MINUTE)])
    assert len(chart.candles()["ACME"][1]) == 5


@given(
    st.lists(st.integers(90, 110), min_size=12, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["1", "-1", "2", "-2"])), max_size=8),
    st.integers(0, 12),
)
def test_an_excursion_is_the_extreme_of_the_bars_between_entry_and_exit(
    closes: list[int], orders: list[tuple[int, str]], cut: int
) -> None:
    columns = bars(closes, **ohlc(closes, 3))
    fills = [fill(minute, quantity, f"{closes[minute]}.00") for minute, quantity in sorted(orders, key=lambda o: o[0])]
    trips = round_trips(fills, {"ACME": STOCK}, {}, {"ACME": STOCK.price(float(closes[-1]))})
    excursions = Excursions(trips, {"ACME": STOCK})
    for part in (slice(0, cut), slice(cut, None)):
        excursions.see([take(columns, part)])
    for place, trip in enumerate(trips):
        end_ns = trip.exit_ns if trip.exit_ns is not None else 2**62
        inside = (columns.ts_open_ns >= trip.entry_ns) & (columns.ts_close_ns <= end_ns)
        reached = [*columns.low[inside], *columns.high[inside], float(trip.exit_price or 0), float(trip.entry_price)]
        sign = 1 if trip.direction == "long" else -1
        profits = [sign * (price - float(trip.entry_price)) * float(trip.quantity) for price in reached]
        assert excursions.of(place) == (pytest.approx(min(profits)), pytest.approx(max(profits)))


def test_a_long_is_left_at_the_bid_and_a_short_at_the_ask() -> None:
    bid = bars([1.10, 1.05], symbol="EURUSD", price="bid")
    ask = bars([1.12, 1.20], symbol="EURUSD", price="ask")
    for side, worst in (("1", -5000.0), ("-1", -10000.0)):
        fills = [fill(0, side, "1.10000", symbol="EURUSD"), fill(2, str(-int(side)), "1.10000", symbol="EURUSD")]
        trips = round_trips(fills, {"EURUSD": eurusd()}, {}, {})
        excursions = Excursions(trips, {"EURUSD": eurusd()})
        excursions.see([bid, ask])
        assert excursions.of(0)[0] == pytest.approx(worst)


def test_without_bars_an_excursion_is_entry_or_exit() -> None:
    trips = round_trips([fill(0, "2", "10.00"), fill(1, "-2", "11.00")], {"ACME": STOCK}, {}, {})
    assert Excursions(trips, {"ACME": STOCK}).of(0) == (0.0, 2.0)


def test_an_open_trade_without_a_price_has_no_excursion() -> None:
    trips = round_trips([fill(0, "2", "10.00")], {"ACME": STOCK}, {}, {})
    assert Excursions(trips, {"ACME": STOCK}).of(0) == (None, None)
