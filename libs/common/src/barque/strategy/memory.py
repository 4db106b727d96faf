"""A strategy's memory in bytes: what a host puts into its snapshot and gives back after a restart.

In:   a strategy that has run its `setup`.   Out: its state, indicators, histories and schedules.
Not:  other attributes of the strategy: `setup` makes those anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from barque.errors import StrategyError
from barque.node import ASLEEP, AWAKE
from barque.strategy.base import Strategy
from barque.strategy.schedules import Schedule, Strike, due_runs


class StrategyMemory(msgspec.Struct, frozen=True, kw_only=True):
    """All that a strategy remembers."""

    state: bytes
    indicators: list[tuple[bytes, bytes]]
    """And histories: as declared, and as it is now, in order of declaration."""
    schedules: dict[str, Schedule]


def remember(strategy: Strategy) -> StrategyMemory:
    """What `recall` needs."""
    encode = msgspec.msgpack.encode
    return StrategyMemory(
        state=encode(strategy.state),
        indicators=[(declared, encode(indicator)) for indicator, declared in strategy._barque.indicators],
        schedules=strategy._barque.schedules,
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
    for (indicator, declared), (was_declared, blob) in zip(strategy._barque.indicators, memory.indicators, strict=False):
        if declared == was_declared:
            kept = msgspec.msgpack.decode(blob, type=type(indicator))
            for field in indicator.__struct_fields__:
                setattr(indicator, field, getattr(kept, field))
    for name, schedule in strategy._barque.schedules.items():
        was = memory.schedules.get(name)
        if was is not None:
            schedule.recall(was)


def due_schedules(strategy: Strategy, now_ns: int) -> Iterator[tuple[str, Strike]]:
    """What its schedules do at `now_ns`, in the order of scheduled times; see `barque.strategy.schedules.due_runs`."""
    return due_runs(strategy._barque.schedules, now_ns)


def next_due_ns(strategy: Strategy) -> int:
    """When `due_schedules` has to be asked next: `AWAKE`, at the next time that is told; `ASLEEP`, never."""
    dues = [schedule.due_ns for schedule in strategy._barque.schedules.values()]
    return min((AWAKE if due is None else due for due in dues), default=ASLEEP)
