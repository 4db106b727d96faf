"""The section `[strategy_host]`: bounds, and what it needs to be installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from barque.bus.redis_bus import RedisBus
from barque.config import PostgresConfig, RedisConfig, load_section
from barque.errors import ConfigError
from strategy_host.config import StrategyHostConfig
from strategy_host.shell.past import Past


def test_without_a_section_a_hook_has_five_seconds_and_there_is_no_archive() -> None:
    config = load_section({}, "strategy_host", StrategyHostConfig)
    assert (config.hook_timeout_s, config.archive_path) == (5.0, None)


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"hook_timeout_s": -1}, "key 'strategy_host': hook_timeout_s is -1.0; it must be between 0 and 3600"),
        ({"hook_timeout_s": 7200}, "hook_timeout_s is 7200.0; it must be between 0 and 3600"),
        ({"hook_timeout_s": float("nan")}, "hook_timeout_s is nan; it must be between 0 and 3600"),
        ({"hook_timeout": 3}, "unknown key 'strategy_host.hook_timeout'; did you mean 'hook_timeout_s'"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(section: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load_section({"strategy_host": section}, "strategy_host", StrategyHostConfig)


def test_an_archive_without_the_package_that_reads_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "barque_archive.archive", None)
    bus = RedisBus.open(RedisConfig(), "test")
    with pytest.raises(ConfigError, match=r"key 'strategy_host.archive_path': .* the package barque-archive"):
        Past(bus, PostgresConfig(), tmp_path)
    assert Past(bus, PostgresConfig(), None)
