"""The one crossing from market floats to exact money."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.instruments import Instrument
from tests.support.builders import eurusd, usdjpy

TICKS = ("0.00001", "0.001", "0.01", "0.25", "0.5", "1", "5", "0.03125")


def stepped(tick: str, quantity: str = "1") -> Instrument:
    return Instrument(symbol="X", currency="USD", tick_size=Decimal(tick), quantity_step=Decimal(quantity))


@pytest.mark.parametrize(
    ("tick", "value", "expected"),
    [
        ("0.00001", 1.386764999, "1.38676"),
        ("0.00001", 1.386765, "1.38676"),  # half to even
        ("0.00001", 1.386775, "1.38678"),  # half to even
        ("0.25", 4_511.13, "4511.25"),
        ("0.25", 4_511.125, "4511.00"),
        ("0.5", 67_000.74, "67000.5"),
        ("5", 12.5, "10"),
        ("1", -3.4, "-3"),
    ],
)
def test_a_price_goes_to_the_nearest_tick_and_from_the_middle_to_the_even_one(tick: str, value: float, expected: str) -> None:
    assert str(stepped(tick).price(value)) == expected


def test_a_decimal_keeps_every_digit_on_its_way_to_the_grid() -> None:
    exact = Decimal("1.38676500000000000000000001")
    assert str(stepped("0.00001").price(exact)) == "1.38677"


def test_one_tenth_as_a_float_is_one_tenth() -> None:
    assert str(stepped("0.01").price(0.1 + 0.2)) == "0.30"


@given(st.sampled_from(TICKS), st.floats(min_value=-1e7, max_value=1e7))
def test_a_price_is_on_the_grid_and_within_half_a_tick(tick: str, value: float) -> None:
    price = Fraction(stepped(tick).price(value))
    assert (price / Fraction(tick)).denominator == 1
    assert abs(price - Fraction(repr(value))) <= Fraction(tick) / 2


@given(st.sampled_from(TICKS), st.floats(min_value=-1e7, max_value=1e7))
def test_a_price_on_the_grid_stays_where_it_is(tick: str, value: float) -> None:
    price = stepped(tick).price(value)
    assert stepped(tick).price(price) == price
    assert stepped(tick).price(float(price)) == price


@given(st.sampled_from(("1", "0.001", "0.1", "100")), st.floats(min_value=-1e6, max_value=1e6))
def test_a_quantity_is_on_its_grid_and_never_more_than_was_asked_for(step: str, value: float) -> None:
    quantity = Fraction(stepped("0.01", step).quantity(value))
    asked = Fraction(repr(value))
    assert (quantity / Fraction(step)).denominator == 1
    assert abs(quantity) <= abs(asked)
    assert abs(asked - quantity) < Fraction(step)
    assert quantity * asked >= 0


@pytest.mark.parametrize(("value", "expected"), [(0.2509, "0.250"), (-0.2509, "-0.250"), (0.0009, "0.000")])
def test_a_quantity_goes_towards_zero(value: float, expected: str) -> None:
    assert str(stepped("0.01", "0.001").quantity(value)) == expected


def test_a_notional_is_quantity_times_contract_times_price_whatever_the_side() -> None:
    assert eurusd().notional(Decimal("1.38690"), Decimal(-2)) == Decimal("277380.00000")
    assert usdjpy(contract_size=Decimal(1_000)).notional(Decimal("101.500"), Decimal(3)) == Decimal(304_500)


@pytest.mark.parametrize(
    ("kind", "multiplier", "on_margin", "calendar"),
    [
        ("fx", 100_000, True, "FX"),
        ("future", 1, True, "24/7"),
        ("cfd", 1, True, "24/7"),
        ("stock", 1, False, "24/7"),
        ("crypto", 1, False, "24/7"),
        ("option", 1, False, "24/7"),
    ],
)
def test_an_asset_class_brings_its_own_defaults(kind: str, multiplier: int, on_margin: bool, calendar: str) -> None:
    found = Instrument(symbol="X", asset_class=kind, currency="USD", tick_size=Decimal("0.01"))  # type: ignore[arg-type]
    assert (found.multiplier, found.on_margin, found.calendar) == (multiplier, on_margin, calendar)


def test_what_is_given_beats_the_asset_class() -> None:
    found = Instrument(
        symbol="ES", asset_class="future", currency="USD", tick_size=Decimal("0.25"), contract_size=Decimal(50), calendar="XCME"
    )
    assert (found.multiplier, found.calendar) == (50, "XCME")
    assert found.notional(Decimal("4500.25"), Decimal(2)) == Decimal("450025.00")


@pytest.mark.parametrize("name", ["tick_size", "quantity_step"])
@pytest.mark.parametrize("value", ["0", "-0.01"])
def test_a_grid_without_a_positive_step_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"EURUSD: {name} must be positive"):
        eurusd(**{name: Decimal(value)})


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=9, allow_nan=False),
    st.sampled_from(["0.00001", "0.01", "1", "10", "1E+1", "0.25", "0.10", "0.005", "0.1"]),
)
def test_any_grid_is_rounded_to_as_fractions_are(value: Decimal, step: str) -> None:
    found = stepped(step, step)
    steps = Fraction(value) / Fraction(step)
    assert Fraction(found.price(value)) == round(steps) * Fraction(step)  # Python rounds fractions half to even
    assert Fraction(found.quantity(value)) == int(steps) * Fraction(step)
    for on_grid in (found.price(value), found.quantity(value)):
        assert on_grid.as_tuple().exponent == Decimal(step).as_tuple().exponent
