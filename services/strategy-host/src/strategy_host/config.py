"""The strategy host's part of `barque.toml`.

In:   `[strategy_host]` and `[[strategies]]`.   Out: which nodes there have to be.
Not:  a strategy's parameters; `StrategyNode` checks them against the class.
"""

from __future__ import annotations

from collections import Counter

from barque.config import CommonConfig, Section, StrategyConfig
from barque.errors import ConfigError


class StrategyHostConfig(Section, frozen=True):
    """The host has no keys of its own; what it hosts is in `[[strategies]]`."""


def node_name(strategy_id: str) -> str:
    """The node that hosts the strategy of that id."""
    return f"strategy.{strategy_id}"


def enabled_strategies(config: CommonConfig) -> tuple[StrategyConfig, ...]:
    """Those to be hosted, by id; raises `ConfigError` where an id is given twice or cannot be part of a signal's id."""
    counts = Counter(strategy.id for strategy in config.strategies)
    for strategy_id, count in counts.items():
        if count > 1:
            raise ConfigError(f"key 'strategies.id': '{strategy_id}' is given {count} times; each instance needs its own")
        if not strategy_id or "/" in strategy_id:
            raise ConfigError(
                f"key 'strategies.id': '{strategy_id}' is empty or has a '/'; choose another, such as 'gotobi-usdjpy'"
            )
    return tuple(sorted((s for s in config.strategies if s.enabled), key=lambda s: s.id))
