"""The seeded market."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.messages import Quote
from simulators.market import Market
from simulators.market.chance import Chance
from tests.support.builders import NS, T0, eurusd, usdjpy

INSTRUMENTS = {"EURUSD": eurusd(), "USDJPY": usdjpy(), "ES": eurusd(symbol="ES", tick_size=Decimal("0.25"))}
FIRST = {"EURUSD": 1.1, "USDJPY": 150.0, "ES": 5_000.0}


def a_market(seed: int = 7, rate: float | dict[str, float] = 5.0) -> Market:
    return Market(seed, rate, FIRST, INSTRUMENTS, T0)


def test_the_same_seed_is_the_same_market_and_another_seed_another() -> None:
    until = T0 + 600 * NS
    assert a_market().advance(until) == a_market().advance(until)
    assert a_market().advance(until) != a_market(seed=8).advance(until)


@given(st.lists(st.integers(0, 20 * NS), max_size=10), st.integers(0, 10))
def test_neither_the_pace_of_the_calls_nor_a_restart_changes_a_quote(pauses: list[int], restart: int) -> None:
    market, quotes, now = a_market(), [], T0
    for call, pause in enumerate(pauses):
        now += pause
        quotes += market.advance(now)
        if call == restart:
            blob = market.snapshot()
            market = a_market(seed=99)
            market.restore(blob)
    assert quotes == a_market().advance(now)


def test_quotes_are_in_time_order_on_the_grid_never_crossed_and_never_ahead_of_time() -> None:
    until = T0 + 1_200 * NS
    quotes = a_market().advance(until)
    assert all(before.ts_event_ns <= after.ts_event_ns for before, after in pairwise(quotes))
    assert quotes[0].ts_event_ns > T0 and quotes[-1].ts_event_ns <= until
    for quote in quotes:
        instrument = INSTRUMENTS[quote.symbol]
        assert 0 < quote.bid < quote.ask
        assert quote.ts_recv_ns == quote.ts_event_ns
        for price in (quote.bid, quote.ask):
            assert float(instrument.price(price)) == price


def test_times_of_one_symbol_never_repeat() -> None:
    quotes = [quote for quote in a_market(rate=1_000.0).advance(T0 + 5 * NS) if quote.symbol == "ES"]
    assert all(before.ts_event_ns < after.ts_event_ns for before, after in pairwise(quotes))


def test_each_symbol_ticks_at_its_own_rate() -> None:
    quotes = a_market(rate={"EURUSD": 20.0, "USDJPY": 5.0, "ES": 1.0}).advance(T0 + 1_000 * NS)
    counts = {symbol: sum(quote.symbol == symbol for quote in quotes) for symbol in FIRST}
    for symbol, expected in (("EURUSD", 20_000), ("USDJPY", 5_000), ("ES", 1_000)):
        assert abs(counts[symbol] - expected) < 5 * expected**0.5, "five standard deviations of a Poisson count"


def test_volatility_comes_in_clusters_and_the_spread_returns_to_its_mean() -> None:
    quotes = [quote for quote in a_market().advance(T0 + 7_200 * NS) if quote.symbol == "EURUSD"]
    moves = [abs((b.bid + b.ask) - (a.bid + a.ask)) for a, b in pairwise(quotes)]
    calm_and_wild = [sum(moves[i : i + 50]) for i in range(0, len(moves) - 50, 50)]
    mean = sum(calm_and_wild) / len(calm_and_wild)
    assert autocorrelation(calm_and_wild) > 0.1
    assert max(calm_and_wild) > 1.5 * mean
    spreads = [quote.ask - quote.bid for quote in quotes]
    assert 0.00004 < sum(spreads) / len(spreads) < 0.0002
    assert max(spreads) < 0.001


def autocorrelation(values: list[float]) -> float:
    """Of neighbours."""
    mean = sum(values) / len(values)
    centred = [value - mean for value in values]
    return sum(a * b for a, b in pairwise(centred)) / sum(a * a for a in centred)


def test_a_long_pause_is_made_up_for_in_bounded_portions() -> None:
    market, whole = a_market(rate=1_000.0), []
    while portion := market.advance(T0 + 40 * NS):
        assert len(portion) <= 100_000
        whole += portion
    assert len(whole) > 100_000
    assert [quote.ts_event_ns for quote in whole] == sorted(quote.ts_event_ns for quote in whole)


def test_a_snapshot_is_a_few_dozen_bytes_per_symbol() -> None:
    market = a_market()
    market.advance(T0 + 60 * NS)
    assert len(market.snapshot()) < 80 * len(FIRST)


@pytest.mark.parametrize(("rate", "price"), [(0.0, 1.1), (-1.0, 1.1), (5.0, 0.0)])
def test_a_market_that_cannot_be_is_refused(rate: float, price: float) -> None:
    with pytest.raises(ValueError, match="EURUSD"):
        Market(1, rate, {"EURUSD": price}, INSTRUMENTS, T0)


def test_random_numbers_are_splitmix64() -> None:
    chance = Chance(1_234_567)
    published = (6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423)
    assert [chance.uniform() for _ in published] == [(value >> 11) * 2.0**-53 for value in published]


def test_a_quote_is_a_message() -> None:
    assert all(type(quote) is Quote for quote in a_market().advance(T0 + NS))
