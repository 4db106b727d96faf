"""The time that a hook may take.

In:   seconds.   Out: a block in which strategy nodes stop, pause and report a hook that runs longer than that for one message.
Not:  for other threads than the main one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from barque.watchdog import Watchdog
from strategy_host.core.node import StrategyNode


def hook_budget(seconds: float) -> AbstractContextManager[object]:
    """Watch the hooks of every strategy node of this process while the block runs; 0 seconds: no limit, no watch."""
    return Watchdog(StrategyNode.user_calls(), seconds) if seconds else nullcontext()
