"""Indicators, against plain Python over real closes."""

from __future__ import annotations

import csv
import gzip
from fractions import Fraction

import msgspec
import pytest

from barque.strategy import EMA, SMA
from tests.support.data import data_file


def btc_closes(count: int) -> list[str]:
    """Closing prices as the exchange wrote them."""
    with gzip.open(data_file("btcusd-perp-m1-2022-01.csv.gz"), "rt") as lines:
        return [row["close"] for row, _ in zip(csv.DictReader(lines), range(count), strict=False)]


def test_a_simple_average_is_the_exact_mean_of_a_window_over_a_month_of_real_prices() -> None:
    closes = btc_closes(45_031)
    exact = [Fraction(close) for close in closes]
    sma, window = SMA(20), Fraction(0)
    for index, close in enumerate(closes):
        value = sma.update(float(close))
        window += exact[index] - (exact[index - 20] if index >= 20 else 0)
        if index < 19:
            assert value is None
        else:
            assert value == pytest.approx(float(window / 20), rel=1e-14)


def test_a_simple_average_recovers_from_a_huge_number_once_it_has_left_the_window() -> None:
    sma = SMA(3)
    for x in (1e20, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        sma.update(x)
    assert sma.value == 5.0


def test_an_exponential_average_starts_from_a_mean_and_follows_its_definition() -> None:
    closes = [float(close) for close in btc_closes(500)]
    ema, expected = EMA(10), sum(closes[:10]) / 10
    for index, close in enumerate(closes):
        value = ema.update(close)
        if index < 9:
            assert value is None
        else:
            expected = expected if index == 9 else 2 / 11 * close + 9 / 11 * expected
            assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [lambda: SMA(4), lambda: EMA(4)])
def test_an_indicator_goes_on_from_its_own_bytes(make: type) -> None:
    living, reborn = make(), make()
    for x in range(11):
        reborn = msgspec.msgpack.decode(msgspec.msgpack.encode(reborn), type=type(reborn))
        assert reborn.update(x * 1.1) == living.update(x * 1.1)
    assert reborn == living


def test_an_average_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 0"):
        SMA(0)
