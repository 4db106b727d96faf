"""Every example of docs/fill-model.md is what the exchange does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import fill_scenarios

PAGE = Path(__file__).parents[3] / "docs" / "fill-model.md"
BLOCKS = re.findall(r"^```fills\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 20


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_says_what_happens(block: str) -> None:
    pairs = fill_scenarios.run(block)
    assert any(expected for expected, _ in pairs), "it expects nothing"
    assert [said for _, said in pairs] == [expected for expected, _ in pairs], block


def test_an_example_that_is_wrong_is_found_out() -> None:
    right = "buy a 1 market\nbar 100 101 99 100\n-> a filled 1 at 100"
    assert fill_scenarios.run(right) == [("a filled 1 at 100", "a filled 1 at 100")]
    assert fill_scenarios.run(right.replace("at 100", "at 101")) == [("a filled 1 at 101", "a filled 1 at 100")]
    assert fill_scenarios.run(right.splitlines()[0] + "\nbar 100 101 99 100") == [("", "a filled 1 at 100")]
    assert fill_scenarios.run("buy a 1 market\n-> a filled 1 at 100") == [("a filled 1 at 100", "")]
