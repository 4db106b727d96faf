"""What a look at the terminal says of orders; records by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import an_order
from venues.mt5.reports import Names
from venues.mt5.structs import Order
from venues.mt5.tokens import Tokens
from venues.mt5.watch import CANCELED, EXPIRED, FILLED, REJECTED, Watch


def ended(state: int) -> Order:
    facts: dict[str, Any] = dict.fromkeys(Order.__struct_fields__, 0)
    return Order(**(facts | {"ticket": 7, "symbol": "EURUSD", "state": state, "comment": "aa~1"}))


@pytest.mark.parametrize(
    ("state", "words"), [(FILLED, []), (CANCELED, ["Ended"]), (EXPIRED, ["Ended"]), (REJECTED, ["Rejected"])]
)
def test_the_end_of_a_market_order_that_was_taken_without_a_deal_is_found_by_a_look(state: int, words: list[str]) -> None:
    watch = Watch(Tokens(), Names({}))
    watch.follow(7, an_order(order_id="aa"))
    assert watch.gone([]) == [7]
    assert watch.look([], [], {}, 1) == [], "in neither list: the next look may know more"
    said: list[Any] = watch.look([], [], {7: ended(state)}, 2)
    assert [(type(each).__name__, each.order_id) for each in said] == [(word, "aa") for word in words]
    assert watch.gone([]) == []
