"""The section `[barbuilder]`."""

from __future__ import annotations

import tomllib

import pytest

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.config import load_section
from barque.errors import ConfigError
from tests.support.builders import eurusd


def section(text: str) -> BarBuilderConfig:
    """The section as the service loads it."""
    return load_section(tomllib.loads(text), "barbuilder", BarBuilderConfig)


def test_defaults_need_no_file() -> None:
    config = section("")
    assert (config.grace_ms, config.mark_interval_ms, config.fill_gaps, config.max_gap_s) == (500, 250, False, 120)


def test_bars_are_listed_by_symbols_interval_and_prices() -> None:
    config = section('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5m"\nprices = ["mid", "last"]')
    assert config.bars == (BarsConfig(symbols=("EURUSD",), interval="5m", prices=("mid", "last")),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[barbuilder]\nmax_gap_s = 121", "max_gap_s"),
        ("[barbuilder]\ngrace_ms = -1", "grace_ms"),
        ("[barbuilder]\ngrace = 1", "grace_ms"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5min"', "'5min' is not an interval"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\nprices = ["close"]', "prices"),
    ],
)
def test_a_wrong_key_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        section(text)


def test_a_bar_of_a_symbol_that_is_no_instrument_is_refused_before_anything_runs() -> None:
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUDS",)),))
    with pytest.raises(ConfigError, match=r"'EURUDS' .* did you mean 'EURUSD'"):
        BarBuilderNode(config, [eurusd()])


def test_the_same_bar_twice_is_refused() -> None:
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",)), BarsConfig(symbols=("EURUSD",), prices=("mid", "ask"))))
    with pytest.raises(ConfigError, match="EURUSD 1m ask is there twice"):
        BarBuilderNode(config, [eurusd()])
