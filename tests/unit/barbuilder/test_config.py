"""The section `[barbuilder]`."""

from __future__ import annotations

import tomllib

import msgspec
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
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "tick:0"',
            "'tick:0' is not an interval: .*; did you mean 'tick:N'",
        ),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "renco:10"', "did you mean 'renko:10'"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "8d"', "longer than a week"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\nform = "1m"', "unknown key 'barbuilder.bars.*form'; did you mean 'from'"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5m"\nfrom = "2m"', "from = '2m' must divide 5m and be shorter"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5m"\nfrom = "5m"', "from = '5m' must divide 5m and be shorter"),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5m"\nfrom = "1min"', "'1min' is not an interval"),
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "5m"\nfrom = "tick:5"',
            "time bars are made of ticks or of bars of time",
        ),
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "tick:5"\nfrom = "1m"',
            "tick:5 bars are made of ticks, leave it out",
        ),
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "tick:5"\nanchor = "session"',
            "tick:5 bars know no day, leave it out",
        ),
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\nanchor = "Europe/Stokholm"',
            "anchor must be utc, session or a time zone: .*Stockholm",
        ),
        ('[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "2d"\nanchor = "session"', "2d has no place in days and weeks"),
        (
            '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "volume:5"',
            r"need traded sizes.*prices = \[\"last\"\], not 'bid'",
        ),
    ],
)
def test_a_wrong_key_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        section(text)


def test_bars_of_bars_and_of_sessions_are_asked_for_by_from_and_anchor() -> None:
    text = '[[barbuilder.bars]]\nsymbols = ["EURUSD"]\ninterval = "1h"\nfrom = "5m"\nanchor = "session"'
    [bars] = section(text).bars
    assert (bars.source, bars.anchor, bars.takes_ticks, bars.takes_bars) == ("5m", "session", False, True)
    assert msgspec.to_builtins(bars)["from"] == "5m", "it is shown as it is written"


def test_a_session_of_a_calendar_that_is_not_known_is_refused_before_anything_runs() -> None:
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",), interval="1d", anchor="session"),))
    with pytest.raises(ConfigError, match=r"key 'barbuilder.bars': EURUSD 1d: calendar 'XNYZ' is not known"):
        BarBuilderNode(config, [eurusd(calendar="XNYZ")])


def test_a_bar_of_a_symbol_that_is_no_instrument_is_refused_before_anything_runs() -> None:
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUDS",)),))
    with pytest.raises(ConfigError, match=r"'EURUDS' .* did you mean 'EURUSD'"):
        BarBuilderNode(config, [eurusd()])


def test_the_same_bar_twice_is_refused() -> None:
    config = BarBuilderConfig(bars=(BarsConfig(symbols=("EURUSD",)), BarsConfig(symbols=("EURUSD",), prices=("mid", "ask"))))
    with pytest.raises(ConfigError, match="EURUSD 1m ask is there twice"):
        BarBuilderNode(config, [eurusd()])
