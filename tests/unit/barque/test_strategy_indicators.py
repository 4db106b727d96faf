"""Indicators: against TA-Lib, pandas, numpy and exact fractions, over recorded prices and a seeded series."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from barque.strategy.indicators import (
    ADX,
    ATR,
    EMA,
    MACD,
    ROC,
    RSI,
    SMA,
    VWAP,
    WMA,
    Bollinger,
    Donchian,
    Highest,
    Indicator,
    Lowest,
    RollingVWAP,
    SessionRange,
    StdDev,
    Stochastic,
)
from tests.support.builders import a_bar
from tests.support.series import MINUTE, Series, series

Column = NDArray[np.float64]

loaded = cache(series)

everywhere = pytest.mark.parametrize("name", ["seeded", "ES", "6E", "BTCUSD"])


class Case(NamedTuple):
    """An indicator and what TA-Lib says instead. `noise`: how far TA-Lib itself may be off, as a part of the price."""

    make: Callable[[], Any]
    reference: Callable[[Series], Column | tuple[Column, ...]]
    noise: float = 1e-13


CASES = {
    "SMA": Case(lambda: SMA(20), lambda s: talib.SMA(s.close, 20)),
    "SMA of 3": Case(lambda: SMA(3), lambda s: talib.SMA(s.close, 3)),
    "EMA": Case(lambda: EMA(10), lambda s: talib.EMA(s.close, 10)),
    "WMA": Case(lambda: WMA(14), lambda s: talib.WMA(s.close, 14)),
    "RSI": Case(lambda: RSI(14), lambda s: talib.RSI(s.close, 14)),
    "ROC": Case(lambda: ROC(10), lambda s: talib.ROC(s.close, 10)),
    "MACD": Case(lambda: MACD(12, 26, 9), lambda s: talib.MACD(s.close, 12, 26, 9)),
    "MACD 5 35 5": Case(lambda: MACD(5, 35, 5), lambda s: talib.MACD(s.close, 5, 35, 5)),
    "StdDev": Case(lambda: StdDev(20), lambda s: talib.STDDEV(s.close, 20), 1e-6),
    "Bollinger": Case(lambda: Bollinger(20, 2.5), lambda s: talib.BBANDS(s.close, 20, 2.5, 2.5)[::-1], 1e-6),
    "Highest": Case(lambda: Highest(30), lambda s: talib.MAX(s.close, 30)),
    "Lowest": Case(lambda: Lowest(30), lambda s: talib.MIN(s.close, 30)),
    "ATR": Case(lambda: ATR(14), lambda s: talib.ATR(s.high, s.low, s.close, 14)),
    "Stochastic": Case(lambda: Stochastic(5, 3, 3), lambda s: talib.STOCH(s.high, s.low, s.close, 5, 3, 0, 3, 0), 1e-11),
    "Stochastic 14 1 3": Case(lambda: Stochastic(14, 1, 3), lambda s: talib.STOCH(s.high, s.low, s.close, 14, 1, 0, 3, 0), 1e-11),
    "ADX": Case(lambda: ADX(14), lambda s: talib.ADX(s.high, s.low, s.close, 14)),
}


def fed(indicator: Any, data: Series) -> list[Any]:
    """The value after every bar."""
    if isinstance(indicator, ATR | ADX | Stochastic | Donchian):
        return [
            indicator.update(h, lo, c)
            for h, lo, c in zip(data.high.tolist(), data.low.tolist(), data.close.tolist(), strict=True)
        ]
    return [indicator.update(x) for x in data.close.tolist()]


def columns(values: Sequence[Any], width: int) -> list[Column]:
    """Values as columns, NaN where there is none."""
    empty = (np.nan,) * width
    rows = [empty if value is None else (value if isinstance(value, tuple) else (value,))[:width] for value in values]
    return list(np.array(rows, dtype=np.float64).T)


@everywhere
@pytest.mark.parametrize("case", CASES)
def test_an_indicator_says_what_ta_lib_says_to_nine_digits_from_the_same_bar_on(case: str, name: str) -> None:
    data, (make, reference, noise) = loaded(name), CASES[case]
    expected = reference(data)
    expected = expected if isinstance(expected, tuple | list) else (expected,)
    found = columns(fed(make(), data), len(expected))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=noise * float(np.nanmax(data.close)))


@everywhere
def test_the_directional_indicators_of_adx_are_those_of_ta_lib(name: str) -> None:
    data = loaded(name)
    _, plus, minus = columns(fed(ADX(14), data), 3)
    there = ~np.isnan(plus)
    assert there.sum() == len(data.close) - 27
    np.testing.assert_allclose(plus[there], talib.PLUS_DI(data.high, data.low, data.close, 14)[there], rtol=1e-9)
    np.testing.assert_allclose(minus[there], talib.MINUS_DI(data.high, data.low, data.close, 14)[there], rtol=1e-9)


@everywhere
def test_a_deviation_is_that_of_every_window_by_itself(name: str) -> None:
    data = loaded(name)
    windows = np.lib.stride_tricks.sliding_window_view(data.close, 20)
    expected = windows.std(axis=1)
    flat = (windows == windows[:, :1]).all(axis=1)
    found = columns(fed(StdDev(20), data), 1)[0][19:]
    np.testing.assert_allclose(found[~flat], expected[~flat], rtol=1e-9, atol=1e-15 * data.close.max())
    np.testing.assert_allclose(found[flat], 0.0, atol=1e-15 * data.close.max())


@everywhere
def test_a_donchian_channel_is_the_lowest_low_and_the_highest_high(name: str) -> None:
    data = loaded(name)
    lower, middle, upper = columns(fed(Donchian(20), data), 3)
    np.testing.assert_array_equal(upper, talib.MAX(data.high, 20))
    np.testing.assert_array_equal(lower, talib.MIN(data.low, 20))
    np.testing.assert_allclose(middle[19:], (talib.MAX(data.high, 20) + talib.MIN(data.low, 20))[19:] / 2, rtol=1e-15)


def as_frame(data: Series) -> pd.DataFrame:
    """Turnover and volume by time."""
    typical = (data.high + data.low + data.close) / 3
    return pd.DataFrame(
        {"turnover": typical * data.volume, "volume": data.volume}, index=pd.to_datetime(data.ts_open_ns, utc=True)
    )


@everywhere
def test_a_vwap_begins_anew_with_each_trading_day(name: str) -> None:
    data, frame = loaded(name), as_frame(loaded(name))
    day = (frame.index.tz_convert("America/New_York").tz_localize(None) + pd.Timedelta(hours=7)).normalize()
    day = day.where(
        day.day_of_week < 5, day + pd.to_timedelta(7 - day.day_of_week, "D")
    )  # what trades at a weekend counts to Monday
    sums = frame.groupby(day).cumsum()
    vwap = VWAP("FX")
    [found] = columns([vwap.update_bar(bar) for bar in data.bars()], 1)
    np.testing.assert_allclose(found, (sums["turnover"] / sums["volume"]).to_numpy(), rtol=1e-9)


@everywhere
def test_a_vwap_of_a_market_around_the_clock_begins_anew_at_midnight_utc(name: str) -> None:
    data, frame = loaded(name), as_frame(loaded(name))
    sums = frame.groupby(frame.index.date).cumsum()
    vwap = VWAP()
    [found] = columns([vwap.update_bar(bar) for bar in data.bars()], 1)
    np.testing.assert_allclose(found, (sums["turnover"] / sums["volume"]).to_numpy(), rtol=1e-9)


@everywhere
def test_a_rolling_vwap_is_that_of_every_window_by_itself(name: str) -> None:
    data, frame = loaded(name), as_frame(loaded(name))
    windows = np.lib.stride_tricks.sliding_window_view
    turnover, volume = (windows(frame[key].to_numpy(), 20).sum(axis=1) for key in ("turnover", "volume"))
    traded = volume > 0
    vwap = RollingVWAP(20)
    [found] = columns([vwap.update_bar(bar) for bar in data.bars()], 1)
    assert np.isnan(found[:19]).all()
    np.testing.assert_allclose(found[19:][traded], turnover[traded] / volume[traded], rtol=1e-9)


def walk(count: int) -> list[float]:
    """Prices of a cryptocurrency on a grid of a half, as a million bars of them might be."""
    chance, price, prices = random.Random(11), 134_001, []
    for _ in range(count):
        price += chance.randint(-40, 40)
        prices.append(price / 2)
    return prices


def test_rounding_errors_do_not_pile_up_over_a_million_numbers() -> None:
    prices = [price * 1.0000001 for price in walk(1_000_000)]
    sma, wma, deviation, rolling, ema = SMA(20), WMA(20), StdDev(20), RollingVWAP(20), EMA(10)
    for price in prices:
        sma.update(price)
        wma.update(price)
        deviation.update(price)
        rolling.update(price, price, price, price * 0.1)
        ema.update(price)
    window = [Fraction(price) for price in prices[-20:]]
    mean, weights = sum(window) / 20, [Fraction(price * 0.1) for price in prices[-20:]]
    assert sma.value == pytest.approx(float(mean), rel=1e-14)
    assert wma.value == pytest.approx(float(sum(n * x for n, x in enumerate(window, 1)) / 210), rel=1e-14)
    assert deviation.value == pytest.approx(float(sum((x - mean) ** 2 for x in window) / 20) ** 0.5, rel=1e-12)
    assert rolling.value == pytest.approx(
        float(sum(p * w for p, w in zip(window, weights, strict=True)) / sum(weights)), rel=1e-13
    )
    forgotten = Fraction(0)  # 400 steps on, nothing is left of where an average of 10 began: (9/11)^400 is 1e-35
    for price in prices[-400:]:
        forgotten += (Fraction(price) - forgotten) * Fraction(2, 11)
    assert ema.value == pytest.approx(float(forgotten), rel=1e-14)


def test_a_vwap_of_a_million_bars_without_a_new_day_is_exact() -> None:
    vwap, turnover, volume = VWAP(), 0, 0
    chance = random.Random(3)
    for price in walk(1_000_000):
        size = chance.randint(1, 10**9)
        vwap.update(price, price, price, size / 1024)
        turnover += int(price * 2) * size
        volume += size
    assert vwap.value == pytest.approx(float(Fraction(turnover, 2 * volume)), rel=1e-15)


@pytest.mark.parametrize(("name", "grid"), [("ES", "0.25"), ("6E", "0.00005"), ("BTCUSD", "0.5"), ("seeded", "0.00001")])
def test_two_averages_are_in_the_order_that_exact_integer_arithmetic_finds(name: str, grid: str) -> None:
    closes = loaded(name).close.tolist()
    ticks = [round(Fraction(repr(close)) / Fraction(grid)) for close in closes]
    fast, slow, compared = SMA(10), SMA(20), 0
    for index, close in enumerate(closes):
        a, b = fast.update(close), slow.update(close)
        if a is None or b is None:
            continue
        exact = 2 * sum(ticks[index - 9 : index + 1]) - sum(ticks[index - 19 : index + 1])
        assert (a - b > 1e-7, a - b < -1e-7) == (exact > 0, exact < 0)
        compared += 1
    assert compared == len(closes) - 19


def test_a_simple_average_recovers_from_a_huge_number_once_it_has_left_the_window() -> None:
    sma = SMA(3)
    for x in (1e20, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        sma.update(x)
    assert sma.value == 5.0


def test_a_deviation_is_zero_in_a_flat_market_right_after_a_jump_has_left_the_window() -> None:
    deviation = StdDev(10)
    for x in [*(67_000.5 + n for n in range(10)), 1e9, *[67_000.1] * 10]:
        deviation.update(x)
    assert deviation.value == 0.0


numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(numbers, st.integers(1, 12))
def test_extremes_are_those_of_the_window(values: list[float], length: int) -> None:
    highest, lowest = Highest(length), Lowest(length)
    for end, x in enumerate(values, 1):
        window = values[end - length : end] if end >= length else None
        assert highest.update(x) == (max(window) if window else None)
        assert lowest.update(x) == (min(window) if window else None)
        assert len(highest.keys) <= 2 * length + 1


@given(numbers, st.integers(1, 12))
def test_averages_are_those_of_the_window(values: list[float], length: int) -> None:
    sma, wma, deviation = SMA(length), WMA(length), StdDev(length)
    for end, x in enumerate(values, 1):
        found = sma.update(x), wma.update(x), deviation.update(x)
        if end < length:
            assert found == (None, None, None)
            continue
        window = [Fraction(v) for v in values[end - length : end]]
        mean = sum(window) / length
        exact = (
            mean,
            sum(n * v for n, v in enumerate(window, 1)) / (length * (length + 1) // 2),
            float(sum((v - mean) ** 2 for v in window) / length) ** 0.5,
        )
        assert found == pytest.approx([float(v) for v in exact], rel=1e-9, abs=1e-6)


SMALL: dict[str, Callable[[], Any]] = {
    "SMA": lambda: SMA(4),
    "EMA": lambda: EMA(4),
    "WMA": lambda: WMA(4),
    "RSI": lambda: RSI(4),
    "ROC": lambda: ROC(4),
    "MACD": lambda: MACD(2, 4, 3),
    "StdDev": lambda: StdDev(4),
    "Bollinger": lambda: Bollinger(4),
    "Highest": lambda: Highest(4),
    "Lowest": lambda: Lowest(4),
    "ATR": lambda: ATR(4),
    "Stochastic": lambda: Stochastic(4),
    "ADX": lambda: ADX(4),
    "Donchian": lambda: Donchian(4),
    "VWAP": lambda: VWAP("FX"),
    "RollingVWAP": lambda: RollingVWAP(4),
    "SessionRange": lambda: SessionRange("FX"),
}


@pytest.mark.parametrize("kind", SMALL)
def test_an_indicator_goes_on_from_its_own_bytes_at_every_bar(kind: str) -> None:
    living, reborn = SMALL[kind](), SMALL[kind]()
    for bar in loaded("seeded").bars()[950:1_100]:
        reborn = msgspec.msgpack.decode(msgspec.msgpack.encode(reborn), type=type(reborn))
        assert reborn.update_bar(bar) == living.update_bar(bar)
        assert reborn == living
    assert living != SMALL[kind]()


def test_every_indicator_is_tested_for_what_it_keeps() -> None:
    def concrete(kind: type[Indicator]) -> set[str]:
        own = {sub.__name__ for sub in kind.__subclasses__() if sub.__module__.startswith("barque.strategy.indicators")}
        return own.union(*(concrete(sub) for sub in kind.__subclasses__()))

    assert concrete(Indicator) - set(SMALL) == {"ScalarIndicator", "BarIndicator", "_Peak"}


@pytest.mark.parametrize("kind", [SMA, WMA, StdDev, Highest, Bollinger])
def test_what_an_indicator_keeps_stays_small(kind: Callable[[int], Any]) -> None:
    indicator, largest = kind(200), 0
    for bar in loaded("seeded").bars()[:5_000]:
        indicator.update_bar(bar)
        largest = max(largest, len(msgspec.msgpack.encode(indicator)))
    assert 200 * 9 < largest < 400 * 9 + 120  # at most two windows of numbers, nine bytes each


def test_bars_feed_each_indicator_with_its_own_price() -> None:
    bar = a_bar(open=2.0, high=5.0, low=1.0, close=3.0, volume=2.0)
    values = SMA(1).update_bar(bar), Highest(1).update_bar(bar), Lowest(1).update_bar(bar), RollingVWAP(1).update_bar(bar)
    assert values == (3.0, 5.0, 1.0, 3.0)
    assert Donchian(1).update_bar(bar) == (1.0, 3.0, 5.0)


def at(text: str) -> int:
    """ns UTC of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def test_a_session_range_begins_anew_with_the_trading_day() -> None:
    ranges = SessionRange("FX")
    bars = [("2013-02-05T21:58:00", 5.0, 3.0), ("2013-02-05T21:59:00", 6.0, 4.0), ("2013-02-05T22:00:00", 2.0, 1.0)]
    found = [ranges.update_bar(a_bar(at(text), MINUTE, high=high, low=low)) for text, high, low in bars]
    assert found == [(3.0, 5.0), (3.0, 6.0), (1.0, 2.0)]


def test_a_market_that_never_moves_is_what_ta_lib_makes_of_it() -> None:
    flat = np.full(60, 1.25)
    rsi, adx, stochastic = RSI(14), ADX(14), Stochastic(5)
    for _ in flat:
        rsi.update(1.25)
        adx.update(1.25, 1.25, 1.25)
        stochastic.update(1.25, 1.25, 1.25)
    assert rsi.value == talib.RSI(flat, 14)[-1] == 0
    assert adx.value is not None
    assert adx.value.adx == talib.ADX(flat, flat, flat, 14)[-1] == 0
    assert stochastic.value == (0.0, 0.0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SMA(0), "length is 0; it must be at least 1"),
        (lambda: MACD(26, 12), "slow is 12; it must be at least 27"),
        (lambda: MACD(0, 12), "fast is 0; it must be at least 1"),
        (lambda: ADX(1), "length is 1; it must be at least 2"),
        (lambda: Bollinger(0), "length is 0"),
        (lambda: Stochastic(5, 0), "length is 0"),
        (lambda: Donchian(-1), "length is -1"),
    ],
)
def test_a_length_that_cannot_be_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
