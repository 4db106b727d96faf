"""What we do about each code of the Gateway, against the vendor's own words."""

from __future__ import annotations

import doctest

import pytest

from venues.ibkr import codes, contracts, link, session
from venues.ibkr.codes import CODES, Reaction, explain, reaction_of


@pytest.mark.parametrize("module", [codes, contracts, link, session])
def test_the_examples_of_a_module_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("code", [399, 404, 2109, 10349])
def test_a_message_about_an_order_that_lives_on_never_ends_it(code: int) -> None:
    assert reaction_of(code, "Order Message: your order will not be placed until 09:30") is Reaction.ORDER_NOTE


@pytest.mark.parametrize("code", [103, 135, 161, 10147, 10148, 10149])
def test_a_doubt_about_an_order_is_neither_its_rejection_nor_its_end(code: int) -> None:
    assert reaction_of(code, "") not in (Reaction.REJECT, Reaction.CANCELLED)


def test_a_code_that_is_not_in_the_table_proves_nothing() -> None:
    assert 31_337 not in CODES
    assert reaction_of(31_337, "something new") is Reaction.NOTE


@pytest.mark.parametrize(
    ("code", "text", "reaction"),
    [
        (321, "Error validating request.-'bN' : cause - The API interface is currently in Read-Only mode.", Reaction.READ_ONLY),
        (321, "Error validating request.-'bW' : cause - Missing order exchange", Reaction.REJECT),
        (162, "Historical Market Data Service error message:HMDS query returned no data: EURUSD", Reaction.HISTORY_EMPTY),
        (162, "Historical Market Data Service error message:API historical data query cancelled: 5", Reaction.GONE),
        (162, "Historical Market Data Service error message:Historical data request pacing violation", Reaction.HISTORY_PACING),
        (
            322,
            "Error processing request.-'bS' : cause - Only 50 simultaneous API historical data requests allowed.",
            Reaction.HISTORY_PACING,
        ),
        (10148, "OrderId 7 that needs to be cancelled cannot be cancelled, state: Filled.", Reaction.CANCEL_REFUSED),
        (10148, "OrderId 7 that needs to be cancelled cannot be cancelled, state: Cancelled.", Reaction.CANCELLED),
    ],
)
def test_codes_that_say_only_in_their_text_what_they_mean(code: int, text: str, reaction: Reaction) -> None:
    assert reaction_of(code, text) is reaction


def test_what_a_person_can_do_is_said_with_the_gateways_own_words() -> None:
    said = explain(354, "Requested market data is not subscribed.")
    assert said.startswith("354 Requested market data is not subscribed.; subscribe in Client Portal")
