"""Comments by which our orders are known again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.mt5.tokens import LONGEST, REMEMBERED, Tokens

ids = st.text("0123456789abcdef", min_size=20, max_size=20)
legs = st.sampled_from(["", "t", "s", "ts", "st"])


@given(ids, st.integers(1, 36**5), legs)
def test_every_comment_is_short_enough_and_tells_the_order_and_its_exits(order_id: str, number: int, kinds: str) -> None:
    tokens = Tokens()
    children = [(kind, f"{place}{kind}", number + place) for place, kind in enumerate(kinds, 1)]
    pairs = [(kind, tokens.token(child, n, order_id)) for kind, child, n in children]
    token = tokens.token(order_id, number)
    comment = tokens.comment(token, pairs)
    assert len(comment) <= LONGEST and comment.isascii()
    known = tokens.read(comment)
    assert known is not None and (known.order_id, known.token) == (order_id, token)
    assert known.take_profit_id == next((child for kind, child, _ in children if kind == "t"), "")
    assert known.stop_loss_id == next((child for kind, child, _ in children if kind == "s"), "")


def test_an_order_is_known_by_its_comment_alone_and_its_exits_by_what_the_ledger_names() -> None:
    comment = "0f1e2d3c4b5a69788796~1Z" + "ts"
    stranger = Tokens().read(comment)
    assert stranger is not None and (stranger.order_id, stranger.stop_loss_id) == ("0f1e2d3c4b5a69788796", "")
    tokens = Tokens()
    tokens.token("profit", 72, "0f1e2d3c4b5a69788796")  # 1Z is 71
    tokens.token("stop", 73, "0f1e2d3c4b5a69788796")
    known = tokens.read(comment)
    assert known is not None and (known.take_profit_id, known.stop_loss_id) == ("profit", "stop")


@pytest.mark.parametrize("comment", ["", "by hand", "[sl 1.09800]", "so: 52.1%", "0f1e~", "~", "0f1e~1z", "x~1tt"])
def test_comments_of_others_are_not_ours(comment: str) -> None:
    assert Tokens().read(comment) is None


def test_an_id_that_is_too_long_stands_for_itself_by_its_number() -> None:
    tokens = Tokens()
    token = tokens.token("an-order-id-that-is-longer-than-a-comment", 5)
    assert token == "~5"
    known = tokens.read(token)
    assert known is not None and known.order_id == "an-order-id-that-is-longer-than-a-comment"
    assert Tokens().read(token) is None


def test_exits_whose_numbers_do_not_follow_are_refused() -> None:
    tokens = Tokens()
    with pytest.raises(ValueError, match="does not follow"):
        tokens.comment(tokens.token("entry", 5), [("t", tokens.token("profit", 7))])


def test_the_exits_of_a_comment_are_not_those_of_another_entry_that_has_its_number_now() -> None:
    """Numbers begin anew with a book's next lineage; positions at the broker stay."""
    tokens = Tokens()
    tokens.token("new-entry", 71)
    tokens.token("new-profit", 72, "new-entry")
    tokens.token("new-stop", 73, "new-entry")
    old = tokens.read("0f1e2d3c4b5a69788796~1Zts")
    assert old is not None and (old.order_id, old.take_profit_id, old.stop_loss_id) == ("0f1e2d3c4b5a69788796", "", "")
    new = tokens.read("new-entry~1Zts")
    assert new is not None and (new.take_profit_id, new.stop_loss_id) == ("new-profit", "new-stop")


def test_exits_that_the_terminal_shows_are_known_however_many_orders_follow() -> None:
    tokens = Tokens()
    comment = tokens.comment(
        tokens.token("entry", 1), [("t", tokens.token("profit", 2, "entry")), ("s", tokens.token("stop", 3, "entry"))]
    )
    for number in range(4, 4 + 2 * REMEMBERED):
        tokens.token(f"{number:020x}", number)
        if number % 1_000 == 0:  # a look at the terminal
            tokens.read(comment)
    known = tokens.read(comment)
    assert known is not None and (known.take_profit_id, known.stop_loss_id) == ("profit", "stop")


def test_whose_exit_an_order_is_stays_known_where_its_number_is_named_without_its_entry() -> None:
    tokens = Tokens()
    comment = tokens.comment(tokens.token("entry", 1), [("s", tokens.token("stop", 2, "entry"))])
    tokens.token("stop", 2)  # a request to cancel it names no entry
    known = tokens.read(comment)
    assert known is not None and known.stop_loss_id == "stop"
