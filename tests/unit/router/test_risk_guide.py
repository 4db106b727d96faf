"""The guide to risk names all there is: each word that a refusal can give, each limit, each breaker, each consequence of one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import fields

from barque.messages import RejectReason
from barque.messages.orders import BreakerStatus
from router.config import LIMITS, BreakersConfig, OnTrip, SizingMethod

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "risk.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-zA-Z_]+)`", GUIDE))
"""Words in the type of code."""
TRIPS = [field.name for field in fields(BreakersConfig)]


@pytest.mark.parametrize("reason", [reason.value for reason in RejectReason])
def test_the_guide_says_what_a_refusal_means(reason: str) -> None:
    assert reason in NAMED


@pytest.mark.parametrize("limit", LIMITS)
def test_the_guide_has_each_limit(limit: str) -> None:
    assert limit in NAMED


@pytest.mark.parametrize("breaker", TRIPS)
def test_the_guides_table_of_breakers_has_each_breaker(breaker: str) -> None:
    table = GUIDE.partition("## Circuit breakers")[2].partition("\n\n**")[0]
    assert re.search(rf"^\| `{breaker}` \|", table, re.MULTILINE)


@pytest.mark.parametrize("word", [*get_args(OnTrip), *get_args(BreakerStatus)])
def test_the_guide_says_what_follows_from_a_trip(word: str) -> None:
    assert word in NAMED


def test_the_guide_has_each_way_to_say_how_much() -> None:
    for method in get_args(SizingMethod):
        assert re.search(rf"\b{method}\b", GUIDE), method
