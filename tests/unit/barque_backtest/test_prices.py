"""Prices over blocks: the grid must be that of `Instrument.price`, to the bit."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from barque_archive.columns import QuoteColumns
from barque_backtest.prices import PriceBoard, on_grid
from tests.support.builders import MINUTE, T0, eurusd, usdjpy
from tests.support.runs import STOCK, bars

TICKS = ["0.00001", "0.00005", "0.0005", "0.001", "0.01", "0.05", "0.25", "1", "2.5", "10", "1E+1"]


@given(st.sampled_from(TICKS), st.integers(1, 200_000), st.integers(0, 7), st.sampled_from([-1, 0, 1]))
def test_the_middle_of_two_prices_falls_on_the_grid_as_the_instrument_puts_it(
    tick: str, low: int, width: int, nudge: int
) -> None:
    size = Decimal(tick)
    instrument = Instrument(symbol="X", currency="USD", tick_size=size)
    middle = (float(size * low) + float(size * (low + width))) / 2
    value = float(np.nextafter(middle, middle + nudge)) if nudge else middle
    assert on_grid(np.array([value]), size)[0] == float(instrument.price(value))


@given(st.sampled_from(TICKS), st.floats(1e-5, 1e6))
def test_any_price_falls_on_the_grid_as_the_instrument_puts_it(tick: str, value: float) -> None:
    instrument = Instrument(symbol="X", currency="USD", tick_size=Decimal(tick))
    assert on_grid(np.array([value]), Decimal(tick))[0] == float(instrument.price(value))


def test_a_price_stays_until_the_next_one_across_blocks() -> None:
    board = PriceBoard([STOCK])
    board.see([bars([10.0, 11.0])])
    assert board.price("ACME").tolist() == [10.0, 11.0]
    board.see([bars([100.0], symbol="USDJPY", start_ns=T0 + 2 * MINUTE)])
    assert len(board.instants) == 0  # not ours
    board = PriceBoard([STOCK, usdjpy()])
    board.see([bars([10.0, 11.0])])
    board.see([bars([100.0], symbol="USDJPY", start_ns=T0 + 2 * MINUTE)])
    assert board.price("ACME").tolist() == [11.0]


def test_before_its_first_price_a_symbol_has_none() -> None:
    board = PriceBoard([STOCK, usdjpy()])
    board.see([bars([10.0]), bars([90.0], symbol="USDJPY", start_ns=T0 + MINUTE)])
    assert board.instants.tolist() == [T0 + MINUTE, T0 + 2 * MINUTE]
    np.testing.assert_array_equal(board.price("USDJPY"), [np.nan, 90.0])


def test_bid_and_ask_are_valued_at_their_middle_one_alone_as_it_is() -> None:
    board = PriceBoard([usdjpy()])
    bid = bars([91.700, 91.702], symbol="USDJPY", price="bid")
    ask = bars([91.706], symbol="USDJPY", price="ask", start_ns=T0 + MINUTE)
    board.see([bid, ask])
    assert board.price("USDJPY").tolist() == [91.700, 91.704]


def test_quotes_give_both_sides_and_what_is_no_price_is_not_there() -> None:
    times = np.array([1, 2, 3], dtype=np.int64)
    quotes = QuoteColumns(
        symbol="EURUSD",
        ts_event_ns=times,
        bid=np.array([1.1, 0.0, np.nan]),
        ask=np.array([1.2, 1.4, np.inf]),
        bid_size=np.zeros(3),
        ask_size=np.zeros(3),
    )
    board = PriceBoard([eurusd()])
    board.see([quotes])
    assert board.instants.tolist() == [1, 2]
    assert board.price("EURUSD").tolist() == [1.15, 1.25]


@pytest.mark.parametrize(("currency", "base", "expected"), [("JPY", "USD", 1 / 90.0), ("USD", "JPY", 90.0), ("USD", "USD", 1.0)])
def test_a_rate_is_the_pair_or_its_inverse(currency: str, base: str, expected: float) -> None:
    board = PriceBoard([STOCK, usdjpy()])
    board.see([bars([90.0], symbol="USDJPY")])
    assert np.broadcast_to(board.rate(currency, base), 1).tolist() == [expected]


def test_without_a_pair_a_rate_is_not_known() -> None:
    board = PriceBoard([STOCK])
    board.see([bars([10.0])])
    assert np.isnan(board.rate("CHF", "USD"))
