"""Examples in the docstrings of calendars and of the strategy API are what happens."""

from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import barque.calendars
import barque.strategy

PACKAGES = (barque.calendars, barque.strategy)
MODULES = sorted(found.name for package in PACKAGES for found in walk_packages(package.__path__, f"{package.__name__}."))
EXAMPLES = {
    "barque.calendars.names",
    "barque.calendars.wall_clock",
    "barque.strategy.cron",
    "barque.strategy.features",
    "barque.strategy.indicators.averages",
    "barque.strategy.indicators.extremes",
    "barque.strategy.signals",
}
"""Modules that are known to have some, so that the test cannot pass without looking."""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name not in EXAMPLES
