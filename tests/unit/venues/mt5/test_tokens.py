"""Comments by which our orders are known again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.mt5.tokens import LONGEST, Tokens

ids = st.text("0123456789abcdef", min_size=20, max_size=20)
legs = st.sampled_from(["", "t", "s", "ts", "st"])


@given(ids, st.integers(1, 36**5), legs)
def test_every_comment_is_short_enough_and_tells_the_order_and_its_exits(order_id: str, number: int, kinds: str) -> None:
    tokens = Tokens()
    children = [(kind, f"{place}{kind}", number + place) for place, kind in enumerate(kinds, 1)]
    pairs = [(kind, tokens.token(child, n)) for kind, child, n in children]
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
    tokens.token("profit", 72)  # 1Z is 71
    tokens.token("stop", 73)
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
