"""The strategy host's part of `barque.toml`.

In:   `[strategy_host]` and `[[strategies]]`.   Out: which nodes there have to be.
Not:  a strategy's parameters; `StrategyNode` checks them against the class.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from barque.config import CommonConfig, Section, StrategyConfig
from barque.errors import ConfigError

LONGEST_HOOK_S = 3_600.0


class StrategyHostConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How strategies are hosted; which ones is in `[[strategies]]`."""

    hook_timeout_s: float = 5.0
    """A hook that takes longer for one message pauses its strategy; 0: no limit."""
    archive_path: Path | None = None
    """A folder of archived market data: where the warm-up of new strategies is looked for, besides Postgres."""

    def __post_init__(self) -> None:
        if not 0 <= self.hook_timeout_s <= LONGEST_HOOK_S:
            raise ValueError(f"hook_timeout_s is {self.hook_timeout_s}; it must be between 0 and {LONGEST_HOOK_S:g}")


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
