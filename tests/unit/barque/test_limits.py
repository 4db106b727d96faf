"""Limits that a command can set: the ones that the router's configuration has."""

from __future__ import annotations

from decimal import Decimal

import pytest

from barque.limits import OF_A_SYMBOL, OVER_ALL_SYMBOLS, fault_of, figure
from router import config


def test_the_limits_of_commands_are_those_of_the_routers_configuration() -> None:
    assert set(config.LIMITS) == {*OF_A_SYMBOL, *OVER_ALL_SYMBOLS}
    assert set(config.OVER_ALL_SYMBOLS) == set(OVER_ALL_SYMBOLS)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (("max_position", "1", "EURUSD", "sma"), ""),
        (("max_position", "none", "", ""), ""),
        (("max_positoin", "1", "", ""), "there is no limit 'max_positoin'; did you mean 'max_position'?"),
        (("max_position", "1", "EURUSX", ""), "there is no symbol 'EURUSX'; did you mean 'EURUSD'?"),
        (("max_position", "1", "GBPUSD", ""), "there is no symbol 'GBPUSD'; valid: BTCUSD, EURUSD"),
        (("max_position", "1", "", "smb"), "there is no strategy 'smb'; valid: sma-x"),
        (("max_leverage", "1", "EURUSD", ""), "max_leverage is a limit over all symbols; give it without one"),
        (("margin_fraction", "1", "", "sma-x"), "margin_fraction is the account's, not a strategy's; give it without one"),
        *(
            (
                ("max_position", value, "", ""),
                f"'{value}' is no limit; give a number that is not negative, or the word none, which takes the limit away",
            )
            for value in ("NaN", "", " ", "None", "-1")
        ),
    ],
)
def test_what_cannot_be_obeyed_is_said(fields: tuple[str, str, str, str], fault: str) -> None:
    known = ["sma"] if fields[3] == "sma" else ["sma-x"]
    assert fault_of(*fields, ["EURUSD", "BTCUSD"], known) == fault


def test_a_figure_is_a_number_that_is_not_negative() -> None:
    assert figure("2.5") == Decimal("2.5")
    assert figure("0") == 0
    assert [figure(text) for text in ("-1", "NaN", "Infinity", "much", "none", "")] == [None] * 6
