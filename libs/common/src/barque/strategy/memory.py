"""A strategy's memory in bytes: what a host puts into its snapshot and gives back after a restart.

In:   a strategy that has run its `setup`.   Out: its state, indicators and schedules.
Not:  other attributes of the strategy: `setup` makes those anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from barque.errors import StrategyError
from barque.strategy.base import Strategy
from barque.strategy.schedules import Schedule, Strike


class StrategyMemory(msgspec.Struct, frozen=True, kw_only=True):
    """All that a strategy remembers."""

    state: bytes
    indicators: list[tuple[bytes, bytes]]
    """As declared, and as it is now, in order of declaration."""
    schedules: dict[str, Schedule]


def remember(strategy: Strategy) -> StrategyMemory:
    """What `recall` needs."""
    encode = msgspec.msgpack.encode
    return StrategyMemory(
        state=encode(strategy.state),
        indicators=[(declared, encode(indicator)) for indicator, declared in strategy._indicators],
        schedules=strategy._schedules,
    )


def recall(strategy: Strategy, memory: StrategyMemory) -> None:
    """Make a freshly set up strategy what it was. An indicator or schedule that is declared otherwise than it was begins anew.

    Raises `StrategyError` where the state does not fit the declared `State`.
    """
    try:
        strategy.state = msgspec.msgpack.decode(memory.state, type=strategy.State)
    except msgspec.ValidationError as error:
        raise StrategyError(
            f"the kept state of strategy '{strategy.id}' does not fit its State ({error}); give changed fields a new name and a "
            "default, or the strategy a new id"
        ) from error
    for (indicator, declared), (was_declared, blob) in zip(strategy._indicators, memory.indicators, strict=False):
        if declared == was_declared:
            kept = msgspec.msgpack.decode(blob, type=type(indicator))
            for field in indicator.__struct_fields__:
                setattr(indicator, field, getattr(kept, field))
    for name, schedule in strategy._schedules.items():
        was = memory.schedules.get(name)
        if was is not None and was.rule == schedule.rule:
            schedule.due_ns = was.due_ns


def due_schedules(strategy: Strategy, now_ns: int) -> Iterator[tuple[str, Strike]]:
    """The schedules that run at `now_ns` and those that skip a run, in order of declaration."""
    for name, schedule in strategy._schedules.items():
        strike = schedule.strike(now_ns)
        if strike != "wait":
            yield name, strike
